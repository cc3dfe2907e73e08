"""The text classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from muxlearn._params import Constraint
from muxlearn.architectures import Architecture
from muxlearn.backbones import Scratch
from muxlearn.estimators import _classifying
from muxlearn.estimators._text_base import MuxTextEstimator
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.module import MuxModule
from muxlearn.rows import (
    TOKENIZERS,
    IntegerReader,
    Reader,
    TextReader,
    check_rows,
    copy_tokenizer,
    holds_integers,
)

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

    architecture : {"tmux", "mimoformer", "revmux"} or Architecture, default="tmux"
        The network: an object of `muxlearn.architectures`, or the string that stands for its
        defaults.

        - "tmux", `TMUX`: the multiplexed Transformer of [1]_: texts are added up before the
          encoder.
        - "mimoformer", `MIMOFormer`: a Transformer for long texts, whose attention runs on texts
          in superposition and takes time in proportion to their length ([3]_). At ``n_mux=1`` it
          is a Performer.
        - "revmux", `RevMUX`: a `backbone` that stays as it is, so that one serves many tasks, with
          small reversible adapters that mix texts after its first layers ([4]_). Only adapters
          and head are trained and saved.

        Parameters of an object are searched as ``architecture__grid``. A parameter of the
        estimator that the network has no use for, such as a `multiplexer` with "mimoformer", is
        an error.

    multiplexer : {"subspace", "hadamard", "orthogonal", "binary", "identity", "contextual"}, \
            default="subspace"
        How the texts of a mixture are marked before they are added up by "tmux".

        - "subspace": every slot writes into dimensions of its own through a learned projection;
          costs nothing at prediction.
        - "hadamard": elementwise product with a Gaussian key ([1]_, section 3.1).
        - "orthogonal": product with a random orthogonal matrix ([1]_, section 3.1).
        - "binary": every slot keeps its own stretch of the dimensions ([1]_).
        - "identity": no mark at all, the ablation.
        - "contextual": attention over the tokens of each text, a Gaussian key, and attention over
          the slots at each position ([2]_, section 3). Both layers run on every slot and not once
          for the mixture, so that the speed-up stays below half the number of the encoder's
          layers at any `n_mux`.

    demultiplexer : {"rsa", "index", "mlp"}, default="rsa"
        How "tmux" recovers a slot's vector.

        - "rsa": a network shared by all slots that is given a learned key of the slot ([2]_).
        - "index": `n_mux` prefix positions carry the slots' keys through the encoder ([1]_,
          section 3.3); slower, since sequences grow by `n_mux`.
        - "mlp": a layer of its own for each slot ([1]_, section 3.3).

    backbone : str, path, Scratch, Published or MuxTextPretrainer, default=None
        The encoder.

        - None: the packaged one, English, warmed up for mixtures of up to 20 texts (see
          `muxlearn.box`). With the default `multiplexer` and `demultiplexer` these start from
          there, too, and no warm-up is needed.
        - "scratch" or `muxlearn.backbones.Scratch`: a compact one, trained from scratch with a
          tokenizer of its own. The object has sizes and tokenizer, searched as
          ``backbone__hidden_size``.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one. Within
          `GridSearchCV` and whatever else clones, wrap it in `sklearn.frozen.FrozenEstimator`.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM, ModernBERT, …).
        - A folder, or a name on the hub, of what the authors of [1]_ (retrieval warm-up) or of [2]_
          (MUX-BERT) have pre-trained on mixtures. It is known by its tensors, and brings its
          multiplexer and demultiplexer along; see the notes. `muxlearn.backbones.Published` names
          one together with a tokenizer.

        "mimoformer" is always trained from scratch, and None is ``Scratch()`` there. "revmux"
        takes an encoder of `transformers` alone.

    max_length : int, default=128
        Tokens of a text, or of a pair together, that the encoder reads; the rest is cut off.
        "mimoformer" reads as many of each text of a pair. The packaged encoder reads 128 at most.
        The lexical path may read on, see `TMUX`.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head; attention
        weights are not dropped, but for those of "softmax". Of "revmux" that of the projection
        behind the demultiplexer and of the head: the backbone drops nothing.

    warm_up : int, "auto" or None, default="auto"
        Epochs of the training before the task, in which a network learns to keep texts apart:
        "tmux" recovers the tokens of single texts from the mixture ([1]_, eq. 3), "mimoformer"
        learns the task itself on half of the grid's rows and columns ([3]_), and "revmux" has
        none. "auto" is 5, and none where `backbone` comes warmed up. None, like 0, is none. Not
        done at ``n_mux=1``, where nothing must be told apart.

    operating_points : tuple of int, default=None
        Values of `n_mux` that the model is trained for, each in its share of the steps, so that
        one model serves all of them. None trains at `n_mux` alone. `predict` takes any value up
        to `n_mux` all the same. "mimoformer" runs on parts of its grid that divide it, so that
        (4, 4) has 1, 2, 4, 8 and 16; `predict` takes the next lower one for any other. "revmux"
        has the powers of two, likewise; a text that stands in several slots is read once by the
        layers below its `mux_layer`.

    max_epochs : int, default=10
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps whatever `n_mux`
        is, so that each text is seen `n_mux` times an epoch, each time among other texts. 0
        leaves it at the warm-up, and with ``warm_up=None`` builds and initialises the model
        without any training.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate, reached after a tenth of the steps; falls linearly to 0. "auto" is the
        architecture's: 5e-4 for an encoder from scratch or the packaged one and 1e-4 for others,
        beside which what is new trains at five times the rate. Of "revmux" all is new, and "auto"
        is 1e-3.

    optimizer : Optimizer, str or class, default=None
        The optimizer: a name or class of `torch.optim`, or with parameters of its own an
        `muxlearn.training.Optimizer`, searched as ``optimizer__weight_decay``. None is AdamW with
        a decay of 0.01 on weight matrices.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" makes every class count the same.

    early_stopping : bool or int, default=False
        Whether to set a part of the training texts aside, stop when the loss on it does not
        improve any more, and keep the best weights: after 3 epochs without improvement, or as
        many as an int says. The operating points are measured on it
        then, see `measured_points_`, which takes the time of a few predictions of that part.

    validation_fraction : float, default=0.1
        The part set aside with `early_stopping`.

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
        Added to those of the training, not of the warm-up; copies are used. An `LRScheduler` takes
        the place of the schedule that `lr` describes. Scores see each row of the validation once.

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
        The tokenizer; for sequences of integers what stands in its place.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    warm_up_history_ : skorch.history.History or None
        Losses of the warm-up, and its retrieval accuracy.

    measured_points_ : dict of int to dict of str to float
        By `n_mux`, from the least on: its "score", which is that of `score`, and its
        "rows_per_second", both measured on the validation rows of `early_stopping` or by
        `measure_operating_points`; not there without either. A speed is that of the machine, and
        of the `device` and `dtype`, with which it was measured.

    n_iter_ : int
        Epochs of training, the warm-up not counted.

    See Also
    --------
    muxlearn.testing.check_text_estimator : The API checks that this estimator passes.

    Notes
    -----
    `from_reference` loads a classifier that the authors of [1]_ or [2]_ have published.

    A `backbone` of theirs is the start of one: encoder, multiplexer and demultiplexer go on from
    its weights, with its authors' arithmetic (see `from_reference`), below a new head. `n_mux` must
    be that of the weights; `multiplexer`, `demultiplexer` and all sizes are theirs, there is no
    lexical path, and `warm_up` "auto" is none. Every text is padded to `max_length`: lower it for
    short ones. `lr` "auto" is 5e-5, as the authors chose it, and five times that for the head.

    Ensembling, as in [2]_, is a choice of the prediction. ``n_mux=1`` puts a text into every slot
    of a mixture of its own and averages the probabilities that the slots give it. ``n_passes=k``
    averages those of `k` passes in full mixtures, each time among other companions and in
    another slot, as their code does with `k` copies that it spreads over a batch.

    Two of scikit-learn's estimator checks, invariance to the order of the samples and to the
    size of the batch, do not hold for ``n_mux > 1``: a prediction depends on its companions.

    References
    ----------
    .. [1] V. Murahari, C. E. Jimenez, R. Yang, K. Narasimhan, "DataMUX: Data Multiplexing for
       Neural Networks", NeurIPS 2022.
    .. [2] V. Murahari et al., "MUX-PLMs: Data Multiplexing for High-throughput Language Models",
       Findings of EMNLP 2023.
    .. [3] N. Menet, M. Hersche, G. Karunaratne, L. Benini, A. Sebastian, A. Rahimi, "MIMONets:
       Multiple-Input-Multiple-Output Neural Networks Exploiting Computation in Superposition",
       NeurIPS 2023, section 4.
    .. [4] Y. Xu, X. Guo, Z. Zeng, C. Miao, "RevMUX: Data Multiplexing with Reversible Adapters for
       Efficient LLM Batch Inference", EMNLP 2024.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> X = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 8
    >>> y = ["weather", "sport", "weather", "sport"] * 8
    >>> clf = MuxTextClassifier(n_mux=2, batch_size=8, random_state=0).fit(X, y)
    >>> clf.predict(["rain and wind", "a late equaliser"]).tolist()
    ['weather', 'sport']
    """

    _task_name = "sequence"
    _movable = ("backbone",)
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxTextEstimator._constraints,
        **_classifying.CONSTRAINTS,
    }

    def __init__(
        self,
        n_mux: int = 10,
        *,
        architecture: str | Architecture = "tmux",
        multiplexer: str = "subspace",
        demultiplexer: str = "rsa",
        backbone: Any = None,
        max_length: int = 128,
        dropout: float = 0.1,
        warm_up: int | str | None = "auto",
        operating_points: tuple[int, ...] | None = None,
        max_epochs: int = 10,
        batch_size: int = 32,
        lr: float | str = "auto",
        optimizer: Any = None,
        class_weight: dict | str | None = None,
        early_stopping: bool | int = False,
        validation_fraction: float = 0.1,
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
        self.backbone = backbone
        self.max_length = max_length
        self.dropout = dropout
        self.warm_up = warm_up
        self.operating_points = operating_points
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
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
        X : sequence of str, of (str, str) pairs or of sequences of int, length n_samples
            List, array, `pandas.Series`, `datasets` column; pairs may come as a two-column
            frame. Integers from 0 on, in lists or an array of shape (n_samples, length), are
            tokens as they are; they need a `backbone` from scratch without a `tokenizer`.

        y : array-like of shape (n_samples,)
            The labels, of any type.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the texts. One of weight 2 counts as two copies of it, and one of weight
            0 as none; weights that are not whole numbers, or above 10 on average, weigh the loss.

        unlabeled : sequence of str or of sequences of int, default=None
            Rows for the retrieval warm-up, and for the tokenizer if one is trained; None stands
            for `X`.

        Returns
        -------
        MuxTextClassifier
            The estimator itself. An interrupted `fit` (Ctrl-C) returns as well, with what has
            been learned so far.

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a label is not what it must be.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        continued = self.warm_start and self.__sklearn_is_fitted__()
        rows = self._reader.check(X) if continued else check_rows(X)
        extra = rows if unlabeled is None else check_rows(unlabeled, name="unlabeled")
        self._check_integers(rows, extra)
        _classifying.fit_labels(self, rows, extra, y, sample_weight)
        return self

    predict = _classifying.predict
    predict_proba = _classifying.predict_proba
    decision_function = _classifying.decision_function
    score = _classifying.score

    # Parameters

    def _check_integers(self, rows: Any, extra: Any) -> None:
        numbers = holds_integers(rows)
        if numbers != holds_integers(extra):
            raise TypeError(
                "`X` and `unlabeled` must be of one kind, texts or sequences of integers"
            )
        backbone = self._backbone
        if numbers and not backbone.from_scratch:
            raise ValueError(
                f"{backbone.label} reads texts, but `X` holds sequences of integers; set "
                "backbone='scratch'"
            )
        if numbers and backbone.tokenizer is not None:
            raise ValueError(
                "`tokenizer` reads texts, but `X` holds sequences of integers; set tokenizer=None"
            )

    # Rows

    def _wrap(self, tokenizer: Any, module: MuxModule) -> Reader:
        if isinstance(tokenizer, IntegerReader):
            return tokenizer
        if isinstance(module, MIMOFormer):
            paired = module.n_texts == 2
            return TextReader(tokenizer, pairs=paired, apart=paired)
        reader = TextReader(tokenizer)
        # The encoder, which reads the beginning, would see the first of two long texts alone.
        return replace(reader, pairs=False) if reader.max_length > self.max_length else reader

    # Saving

    def _complete_loaded(self) -> None:
        tokenizer = self._structure.get("backbone__tokenizer")
        if isinstance(self.backbone, Scratch) and tokenizer not in (None, *TOKENIZERS):
            # The parameter was an object, which a configuration cannot hold.
            self.backbone.tokenizer = copy_tokenizer(self.tokenizer_)
