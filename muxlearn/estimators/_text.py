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

    The classifier folds `n_mux` texts into one sequence of vectors, runs the encoder once and
    unfolds one prediction for each text (DataMUX [1]_). The encoder thus runs `n_mux` times less
    often. This costs accuracy and a longer training.

    A prediction depends on the texts that share its mixture. To limit this, predict with a
    smaller `n_mux`, with more `n_passes` or with `groups`.

    Parameters
    ----------
    n_mux : int, default=10
        Number of texts in a mixture, which is the model's number of slots, its capacity. 1 is
        the plain encoder without multiplexer and demultiplexer.

    architecture : {"tmux", "mimoformer", "revmux"} or Architecture, default="tmux"
        The network: an object of `muxlearn.architectures`, or the string that stands for its
        defaults.

        - "tmux", `TMUX`: the multiplexed Transformer of [1]_, which adds up the texts before the
          encoder.
        - "mimoformer", `MIMOFormer`: a Transformer for long texts ([3]_). Its attention runs on
          texts in superposition, in time proportional to their length. At ``n_mux=1`` it is a
          Performer.
        - "revmux", `RevMUX`: a frozen `backbone`, which can serve many tasks, with small
          reversible adapters that mix texts after its first layers ([4]_). Only adapters and
          head are trained and saved.

        Parameters of an object are searched as ``architecture__grid``. A parameter of the
        estimator that the network does not use, such as `multiplexer` with "mimoformer", raises
        an error.

    multiplexer : {"subspace", "hadamard", "orthogonal", "binary", "identity", "contextual"}, \
            default="subspace"
        How the texts of a mixture are marked before they are added up by "tmux".

        - "subspace": every slot writes into its own dimensions through a learned projection. It
          costs nothing at prediction.
        - "hadamard": elementwise product with a Gaussian key ([1]_, section 3.1).
        - "orthogonal": product with a random orthogonal matrix ([1]_, section 3.1).
        - "binary": every slot keeps its own stretch of the dimensions ([1]_).
        - "identity": no mark at all, for ablations.
        - "contextual": attention over the tokens of each text, a Gaussian key, and attention over
          the slots at each position ([2]_, section 3). Both layers run on every slot instead of
          once for the mixture. The speed-up therefore stays below half the number of the
          encoder's layers at any `n_mux`.

    demultiplexer : {"rsa", "index", "mlp"}, default="rsa"
        How "tmux" recovers a slot's vector.

        - "rsa": one network, shared by all slots, takes a learned key of the slot ([2]_).
        - "index": `n_mux` prefix positions carry the slots' keys through the encoder ([1]_,
          section 3.3). It is slower, since sequences grow by `n_mux`.
        - "mlp": each slot has its own layer ([1]_, section 3.3).

    backbone : str, path, Scratch, Published or MuxTextPretrainer, default=None
        The encoder.

        - None: the packaged English encoder, warmed up for mixtures of up to 20 texts (see
          `muxlearn.box`). It includes weights for the default `multiplexer` and `demultiplexer`,
          which then need no warm-up.
        - "scratch" or `muxlearn.backbones.Scratch`: a compact encoder, trained from scratch with
          its own tokenizer. The object sets sizes and tokenizer, searched as
          ``backbone__hidden_size``.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one. Wrap a
          fitted one in `sklearn.frozen.FrozenEstimator` for `GridSearchCV` and other code that
          clones.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM, ModernBERT, …).
        - A folder, or a name on the hub, of what the authors of [1]_ (retrieval warm-up) or of [2]_
          (MUX-BERT) have pre-trained on mixtures. It is recognised by its tensors and includes
          its multiplexer and demultiplexer, see the notes. `muxlearn.backbones.Published` names
          one together with a tokenizer.

        "mimoformer" is always trained from scratch, with None for ``Scratch()``. "revmux" only
        takes an encoder of `transformers`.

    max_length : int, default=128
        Maximum number of tokens of a text, or of a pair together, that the encoder reads. The
        rest is cut off. "mimoformer" reads as many of each text of a pair. The packaged encoder
        reads at most 128. The lexical path may read more, see `TMUX`.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head. Attention weights
        are only dropped by "mimoformer" with attention "softmax". With "revmux": dropout of the
        projection after the demultiplexer and of the head. Its backbone has no dropout.

    warm_up : int, "auto" or None, default="auto"
        Epochs of the warm-up, a training before the task in which the network learns to keep
        texts apart. "tmux" learns to recover the tokens of single texts from the mixture ([1]_,
        eq. 3). "mimoformer" learns the task on half of the grid's rows and columns ([3]_).
        "revmux" has no warm-up. "auto" is 5, or 0 if `backbone` is warmed up already. None is the
        same as 0. ``n_mux=1`` needs no warm-up and has none.

    operating_points : tuple of int, default=None
        Values of `n_mux` that one model is trained for, each in an equal share of the steps. None
        trains at `n_mux` only. `predict` accepts any value up to `n_mux` in both cases.
        "mimoformer" runs on parts of its grid that divide it: (4, 4) has 1, 2, 4, 8 and 16.
        "revmux" has the powers of two. For any other value, `predict` uses the next lower one.
        With "revmux", the layers below `mux_layer` read a text in several slots only once.

    max_epochs : int, default=10
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps at any `n_mux`, so
        that the model sees each text `n_mux` times an epoch, each time among other texts. With 0
        the warm-up is the only training; with ``warm_up=None`` as well, `fit` only builds and
        initialises the model.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate. It is reached after a tenth of the steps and falls linearly to 0.
        "auto" is 5e-4 for an encoder from scratch or the packaged one, 1e-4 for other encoders,
        and 1e-3 for "revmux", which only trains new layers. Other new layers around an encoder
        that is trained already, the packaged one included, learn at five times its rate.

    optimizer : Optimizer, str or class, default=None
        The optimizer: a name or class of `torch.optim`, or a `muxlearn.training.Optimizer`, which
        sets its parameters, searched as ``optimizer__weight_decay``. None is AdamW with
        a decay of 0.01 on weight matrices.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" gives every class the same total weight.

    early_stopping : bool or int, default=False
        Whether to set aside a part of the training texts and stop when the loss on it has not
        improved for 3 epochs, or for as many as an int says. The best weights are kept. `fit` then
        also measures the operating points on that part, in the time of a few predictions of it
        (see `measured_points_`).

    validation_fraction : float, default=0.1
        The fraction of the training texts to set aside with `early_stopping`.

    warm_start : bool, default=False
        Whether `fit` continues from the last `fit`, with the same tokenizer, weights and classes
        and without a second warm-up.

    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of prediction, and of the products in training. "auto" is bfloat16 on a GPU and
        float32 elsewhere. "float16" needs a GPU and trains in bfloat16.

    device : str or torch.device, default="auto"
        The device to compute on. "auto" uses a GPU if there is one.

    compile : bool, default=False
        Whether prediction runs through `torch.compile`. It needs a C++ compiler and only
        pays off in long runs.

    callbacks : list of skorch callbacks, default=None
        Callbacks of the training, not of the warm-up. Copies are used. An `LRScheduler` replaces
        the schedule that `lr` describes. Scoring callbacks see each validation row once.

    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the composition of mixtures and dropout.

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
        The tokenizer, or the reader that replaces it for sequences of integers.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    warm_up_history_ : skorch.history.History or None
        Losses of the warm-up, and its retrieval accuracy.

    measured_points_ : dict of int to dict of str to float
        "score", the value of `score`, and "rows_per_second" for each `n_mux` in ascending order.
        They are measured on the validation rows of `early_stopping` or by
        `measure_operating_points`; without either, there is no such attribute. The speed depends
        on the machine, `device` and `dtype` of the measurement.

    n_iter_ : int
        Number of epochs of the training, without the warm-up.

    See Also
    --------
    muxlearn.testing.check_text_estimator : The API checks that this estimator passes.

    Notes
    -----
    `from_reference` loads a classifier that the authors of [1]_ or [2]_ have published.

    A `backbone` that they have published gives the initial weights of the encoder, the multiplexer
    and the demultiplexer, which keep their authors' arithmetic (see `from_reference`). The head
    is new. `n_mux` must be that of the weights, which also set `multiplexer`, `demultiplexer` and
    all sizes. There is no lexical path, and `warm_up` "auto" is 0. Every text is padded to
    `max_length`: lower it for short ones. `lr` "auto" is the authors' 5e-5, and five times that
    for the head.

    Ensembling, as in [2]_, is chosen at prediction. ``n_mux=1`` puts a text into every slot of its
    own mixture and averages the probabilities of the slots. ``n_passes=k`` averages those of `k`
    passes in full mixtures, each time among other texts and in another slot. The code of [2]_ does
    the same with `k` copies of each text in a batch.

    Two of scikit-learn's estimator checks do not hold for ``n_mux > 1``, since a prediction depends
    on the rows in its mixture: invariance to the order of the samples and to the batch size.

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
            The texts: a list, array, `pandas.Series` or `datasets` column. Pairs may be a
            two-column frame. Integers of 0 or more, in lists or in an array of shape (n_samples,
            length), are taken as tokens. They need a `backbone` from scratch without `tokenizer`.

        y : array-like of shape (n_samples,)
            The labels, of any type.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the texts. A text of weight 2 counts as two copies of it, one of weight 0 is
            left out. Weights that are not integers, or above 10 on average, weight the loss.

        unlabeled : sequence of str or of sequences of int, default=None
            Rows for the retrieval warm-up, and for the tokenizer if one is trained. None stands
            for `X`.

        Returns
        -------
        MuxTextClassifier
            The estimator itself. An interrupted `fit` (Ctrl-C) returns it as well, trained so far.

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a label is not valid.
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
        # The encoder only reads the beginning, which would be the first of two long texts.
        return replace(reader, pairs=False) if reader.max_length > self.max_length else reader

    # Saving

    def _complete_loaded(self) -> None:
        tokenizer = self._structure.get("backbone__tokenizer")
        if isinstance(self.backbone, Scratch) and tokenizer not in (None, *TOKENIZERS):
            # The parameter was an object, which a configuration cannot hold.
            self.backbone.tokenizer = copy_tokenizer(self.tokenizer_)
