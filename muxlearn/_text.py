"""The text classifier."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from muxlearn._estimator import check_groups, iterate_groups, seeded
from muxlearn._labels import check_labels, row_weights, split_rows
from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn._text_base import MuxTextEstimator, stream_windows
from muxlearn._texts import check_texts, iterate_rows, tokenize
from muxlearn.nn.text import MuxSequenceClassifier

__all__ = ["MuxTextClassifier"]


class MuxTextClassifier(ClassifierMixin, MuxTextEstimator):
    """Classify texts, `n_mux` of them in one pass of the encoder.

    `n_mux` texts are folded into one sequence of vectors, the encoder runs once, and one
    prediction is unfolded for each text, so that the encoder runs `n_mux` times less often
    (DataMUX [1]_). The price is accuracy and a longer training. A prediction depends on the
    texts that share the mixture; `groups`, `n_passes` and a smaller `n_mux` at prediction are
    the ways out.

    Parameters
    ----------
    n_mux : int, default=10
        Number of texts in a mixture: the slots of the model, its capacity. 1 is the plain
        encoder without multiplexer and demultiplexer.

    architecture : {"tmux"}, default="tmux"
        The multiplexed Transformer of [1]_.

    multiplexer : {"subspace", "hadamard", "orthogonal", "binary", "identity"}, \
            default="subspace"
        How the texts of a mixture are marked before they are added up.

        - "subspace": every slot writes into dimensions of its own through a learned projection;
          costs nothing at prediction.
        - "hadamard": elementwise product with a Gaussian key ([1]_, section 3.1).
        - "orthogonal": product with a random orthogonal matrix ([1]_, section 3.1).
        - "binary": every slot keeps its own stretch of the dimensions ([1]_).
        - "identity": no mark at all, the ablation.

    demultiplexer : {"rsa", "index", "mlp"}, default="rsa"
        How a slot's vector is recovered.

        - "rsa": a network shared by all slots that is given a learned key of the slot ([2]_).
        - "index": `n_mux` prefix positions carry the slots' keys through the encoder ([1]_,
          section 3.3); slower, since sequences grow by `n_mux`.
        - "mlp": a layer of its own for each slot ([1]_, section 3.3).

    learn_keys : bool, default=True
        Whether the multiplexer is trained or stays as drawn.

    backbone : str or path, default=None
        The encoder. None builds a compact one of the sizes below, trained from nothing with a
        tokenizer trained on the texts. A folder, or a name on the hub, is an encoder of the
        `transformers` library with its tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM,
        ModernBERT, …).

    hidden_size : int, default=256
        Width of the compact encoder; as the other sizes ignored with a `backbone`.

    num_hidden_layers : int, default=4
        Layers of the compact encoder.

    num_attention_heads : int, default=4
        Attention heads of the compact encoder; has to divide `hidden_size`.

    intermediate_size : int, default=None
        Width of its feed-forward layers, None for ``4 * hidden_size``.

    vocab_size : int, default=8000
        Size of the vocabulary that is trained for the compact encoder, at least 259 (the bytes
        and three special tokens).

    max_length : int, default=128
        Tokens of a text, or of a pair together, that are read; the rest is cut off.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head; attention
        weights are not dropped.

    warm_up : {"retrieval", None}, default="retrieval"
        Training before the task: recover the tokens of single texts from the mixture ([1]_,
        eq. 3). Not done at ``n_mux=1``, where nothing has to be told apart.

    warm_up_epochs : int, default=5
        Epochs of the warm-up.

    retrieval_weight : float, default=0.1
        Weight of the retrieval loss beside the task's ([1]_, eq. 4).

    retrieval_samples : int, default=32
        Tokens of each mixture that the retrieval loss looks at in a step, at least one a slot.

    operating_points : tuple of int, default=None
        Values of `n_mux` that the model is trained for, each in its share of the steps, so that
        one model serves all of them. None trains at `n_mux` alone. `predict` takes any value up
        to `n_mux` all the same.

    max_epochs : int, default=10
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps whatever `n_mux`
        is, so that each text is seen `n_mux` times an epoch, each time among other texts. 0
        leaves it at the warm-up, and with ``warm_up=None`` builds and initialises the model
        without any training.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate of AdamW, reached after a tenth of the steps; falls linearly to 0.
        "auto" is 5e-4 for the compact encoder and 1e-4 with a `backbone`, whose new parts then
        train at five times that rate.

    weight_decay : float, default=0.01
        Decay of weight matrices.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" makes every class count the same.

    early_stopping : bool, default=False
        Whether to set a part of the training texts aside, stop when the loss on it does not
        improve any more, and keep the best weights.

    validation_fraction : float, default=0.1
        The part set aside with `early_stopping`.

    n_iter_no_change : int, default=3
        Epochs without improvement before `early_stopping` ends the training.

    warm_start : bool, default=False
        Whether `fit` goes on from the last one: same tokenizer, weights and classes, no second
        warm-up.

    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of prediction, and of the products in training. "auto" is bfloat16 on a GPU and
        float32 elsewhere. "float16" needs a GPU and trains in bfloat16.

    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.

    compile : bool, default=False
        Whether prediction runs through `torch.compile`. Needs a C++ compiler, and pays for long
        runs only.

    callbacks : list of skorch callbacks, default=None
        Added to those of the training, not of the warm-up; copies are used.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights, companions and dropout.

    verbose : int, default=0
        1 shows progress bars on a terminal, 2 also skorch's table of epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    net_ : skorch.NeuralNet
        The skorch net that was trained.

    module_ : torch.nn.Module
        The fitted module: takes `input_ids` and `attention_mask` of ``k * n_mux`` rows and
        returns their logits in the same order.

    tokenizer_ : tokenizers.Tokenizer
        The tokenizer.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    warm_up_history_ : skorch.history.History or None
        Losses and retrieval accuracy of the warm-up.

    n_iter_ : int
        Epochs of training, the warm-up not counted.

    See Also
    --------
    muxlearn.testing.check_text_estimator : The API checks that this estimator passes.

    Notes
    -----
    Two of scikit-learn's estimator checks, invariance to the order of the samples and to the
    size of the batch, do not hold for ``n_mux > 1``: a prediction depends on its companions.

    References
    ----------
    .. [1] V. Murahari, C. E. Jimenez, R. Yang, K. Narasimhan, "DataMUX: Data Multiplexing for
       Neural Networks", NeurIPS 2022.
    .. [2] V. Murahari et al., "MUX-PLMs: Pre-training Language Models with Data Multiplexing",
       Findings of ACL 2023.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> X = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 8
    >>> y = ["weather", "sport", "weather", "sport"] * 8
    >>> clf = MuxTextClassifier(n_mux=2, hidden_size=32, num_hidden_layers=1, vocab_size=300,
    ...                         max_epochs=40, batch_size=8, random_state=0).fit(X, y)
    >>> clf.predict(["rain and wind", "a late equaliser"]).tolist()
    ['weather', 'sport']
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxTextEstimator._constraints,
        "class_weight": OneOf(
            None, Choice("balanced"), Instance((dict,), "a dict from label to weight")
        ),
    }

    def __init__(
        self,
        n_mux: int = 10,
        *,
        architecture: str = "tmux",
        multiplexer: str = "subspace",
        demultiplexer: str = "rsa",
        learn_keys: bool = True,
        backbone: str | os.PathLike | None = None,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int | None = None,
        vocab_size: int = 8000,
        max_length: int = 128,
        dropout: float = 0.1,
        warm_up: str | None = "retrieval",
        warm_up_epochs: int = 5,
        retrieval_weight: float = 0.1,
        retrieval_samples: int = 32,
        operating_points: tuple[int, ...] | None = None,
        max_epochs: int = 10,
        batch_size: int = 32,
        lr: float | str = "auto",
        weight_decay: float = 0.01,
        class_weight: dict | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.architecture = architecture
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.learn_keys = learn_keys
        self.backbone = backbone
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.dropout = dropout
        self.warm_up = warm_up
        self.warm_up_epochs = warm_up_epochs
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples
        self.operating_points = operating_points
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        unlabeled: Iterable[Any] | None = None,
    ) -> MuxTextClassifier:
        """Fit the model to texts and labels.

        Parameters
        ----------
        X : sequence of str or of (str, str) pairs, length n_samples
            List, array, `pandas.Series`, `datasets` column; pairs may come as a two-column
            frame.

        y : array-like of shape (n_samples,)
            The labels, of any type.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the texts in the loss.

        unlabeled : sequence of str, default=None
            Texts for the warm-up, and for the tokenizer if one is trained; None stands for `X`.

        Returns
        -------
        MuxTextClassifier
            The estimator itself. An interrupted `fit` (Ctrl-C) returns as well, with what has
            been learned so far.

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a label is not what it has to be.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        rows = check_texts(X)
        if self.early_stopping and len(rows) == 1:
            raise ValueError("`early_stopping` sets rows aside, but `X` has only one")
        classes, targets = check_labels(y, len(rows))
        weights = row_weights(sample_weight, self.class_weight, classes, targets)
        extra = rows if unlabeled is None else check_texts(unlabeled, name="unlabeled")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))

        continued = self.warm_start and self.__sklearn_is_fitted__()
        with seeded(seed, self._device()):
            if continued:
                self._check_continues(classes)
                # A copy, so that a fit which fails leaves the former one as it is.
                tokenizer, module = self.tokenizer_, copy.deepcopy(self.module_).train()
                warm_up_history = self.warm_up_history_
            else:
                tokenizer, module = self._build(rows, extra, len(classes))
            interrupted = False
            if not continued:
                warm_up_history, interrupted = self._warm_up(tokenizer, module, extra, seed)
            net = self._fit_task(tokenizer, module, rows, targets, weights, seed, interrupted)

        history = net.history
        if continued:
            history = type(history)([*self.history_, *history])
        self._set_fitted(
            tokenizer=tokenizer,
            net=net,
            classes=classes,
            history=history,
            warm_up_history=warm_up_history,
            plan_seed=seed,
            structure=self._structure if continued else self._structure_params(),
        )
        return self

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray:
        """Predict the labels of texts.

        Parameters
        ----------
        X : sequence of str or of (str, str) pairs, length n_samples
            As in `fit`; a single text is enough.

        n_mux : int, default=None
            Texts in a mixture, from 1 to the model's capacity, which None stands for. With
            fewer, a text fills several slots whose answers are averaged: slower and more
            accurate.

        groups : array-like of shape (n_samples,), default=None
            Texts of different groups (tenants, say) never share a mixture.

        n_passes : int, default=1
            How often to predict, among other companions each time; probabilities are averaged.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels, in the order of `X`.
        """
        return self._labels(self._log_proba(X, n_mux, groups, n_passes))

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return np.exp(self._log_proba(X, n_mux, groups, n_passes))

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray[np.float64]:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        log_proba = self._log_proba(X, n_mux, groups, n_passes)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def score(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> float:
        """Return the accuracy of `predict`.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        y : array-like of shape (n_samples,)
            The true labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the texts in the mean.

        Returns
        -------
        float
        """
        predicted = self.predict(X, n_mux=n_mux, groups=groups, n_passes=n_passes)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def predict_iter(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: Literal["predict", "predict_proba"] = "predict",
    ) -> Iterator[Any]:
        """Predict a stream of texts of any length in constant memory.

        Parameters
        ----------
        X : iterable of str or of (str, str) pairs
            Read as results are asked for, some thousand texts ahead.

        n_mux, n_passes
            As in `predict`.

        groups : iterable, default=None
            As in `predict`, one for each text.

        method : {"predict", "predict_proba"}, default="predict"
            What to yield.

        Yields
        ------
        label, or ndarray of shape (n_classes,)
            One result for each text, in order.
        """
        check_is_fitted(self)
        methods = Choice("predict", "predict_proba")
        if not methods.accepts(method):
            raise methods.complain("method", method)
        n_mux = self._predict_n_mux(n_mux)
        n_passes = self._check_n_passes(n_passes)
        labels = None if groups is None else iterate_groups(groups)
        windows = stream_windows(iterate_rows(X), labels, self._window_size(n_mux))
        results = self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes)
        return (
            result
            for log_proba in results
            for result in (self._labels(log_proba) if method == "predict" else np.exp(log_proba))
        )

    def _labels(self, log_proba: NDArray[np.float64]) -> NDArray:
        return self.classes_[log_proba.argmax(1)]

    def _log_proba(
        self, X: Iterable[Any], n_mux: int | None, groups: ArrayLike | None, n_passes: int
    ) -> NDArray[np.float64]:
        check_is_fitted(self)
        n_mux = self._predict_n_mux(n_mux)
        n_passes = self._check_n_passes(n_passes)
        rows = check_texts(X)
        codes = check_groups(groups, len(rows))
        # Groups one after the other, so that few mixtures are cut short by the end of a window.
        order = np.arange(len(rows)) if codes is None else np.argsort(codes, kind="stable")
        size = self._window_size(n_mux)
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        windows = (
            ([rows[i] for i in part], None if codes is None else codes[part]) for part in parts
        )
        log_proba = np.concatenate(
            list(self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes, total=len(rows)))
        )
        out = np.empty_like(log_proba)
        out[order] = log_proba
        return out

    def _check_continues(self, classes: NDArray) -> None:
        for name, value in self._structure_params().items():
            if value != self._structure[name]:
                raise ValueError(
                    f"`warm_start` goes on with {name}={self._structure[name]!r}, but `{name}` is "
                    f"{value!r} now; set warm_start=False to begin anew"
                )
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"`warm_start` goes on with the classes {self.classes_.tolist()}, but `y` holds "
                f"{classes.tolist()}; set warm_start=False to begin anew"
            )

    def _fit_task(
        self,
        tokenizer: Any,
        module: MuxSequenceClassifier,
        rows: list[Any],
        targets: NDArray[np.int64],
        weights: NDArray[np.float32],
        seed: int,
        interrupted: bool,
    ) -> Any:
        """Train the task; returns the net."""
        from muxlearn._net import MixtureData

        train, valid = np.arange(len(rows)), None
        if self.early_stopping:
            train, valid = split_rows(targets, self.validation_fraction, seed)

        def data(part: NDArray[np.int64]) -> MixtureData:
            tokens = tokenize(tokenizer, [rows[i] for i in part])
            return MixtureData(tokens, targets[part], weights[part])

        return self._train(
            module,
            data(train),
            None if valid is None else data(valid),
            seed=seed + 1,
            description="training",
            max_epochs=0 if interrupted else self.max_epochs,
            retrieval_weight=self.retrieval_weight if self.n_mux > 1 else 0.0,
            retrieval_samples=self.retrieval_samples,
            # Copies: skorch changes callbacks as it runs, and a parameter stays as given.
            callbacks=copy.deepcopy(list(self.callbacks or ())),
        )
