"""The text classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from inspect import signature
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import ArrayLike

from muxlearn._classifier import MuxClassifierMixin
from muxlearn._mimo import MimoMixin
from muxlearn._params import Boolean, Constraint, Integer, OneOf
from muxlearn._revmux import RevMuxMixin
from muxlearn._text_base import STRUCTURE, MuxTextEstimator
from muxlearn._text_modules import (
    MIMO_CONSTRAINTS,
    MIMO_STRUCTURE,
    REVMUX_CONSTRAINTS,
    check_architecture,
)
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.text import MuxSequenceClassifier, MuxTextModule
from muxlearn.rows import (
    TOKENIZERS,
    IntegerReader,
    Reader,
    TextReader,
    TokenizerChoice,
    check_rows,
    copy_tokenizer,
    fingerprint,
    holds_integers,
    make_tokenizer,
)

if TYPE_CHECKING:
    from muxlearn.pretraining import MuxTextPretrainer

__all__ = ["MuxTextClassifier"]


class MuxTextClassifier(MuxClassifierMixin, MimoMixin, RevMuxMixin):
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

    architecture : {"tmux", "mimoformer", "revmux"}, default="tmux"
        The network.

        - "tmux": the multiplexed Transformer of [1]_: texts are added up before the encoder.
        - "mimoformer": a Transformer for long texts, whose attention runs on texts in superposition
          and takes time in proportion to their length ([3]_). At ``n_mux=1`` it is a Performer.
        - "revmux": a `backbone` that stays as it is, so that one serves many tasks, with small
          reversible adapters that mix texts after its first layers ([4]_). Only adapters and head
          are trained and saved. At ``n_mux=1`` it is the frozen backbone with a head.

        A choice that the network does not have, such as a `multiplexer` with "mimoformer", is an
        error; numbers that it has no use for are ignored.

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

    demux_layers : int, default=1
        Hidden layers of "rsa"; of no use to the other demultiplexers. More than one start as if
        they were one, and take time for each slot that is read.

    learn_keys : bool, default=True
        Whether the multiplexer is trained or stays as drawn; keys of "mimoformer" always do. The
        layers of "contextual" and the adapters of "revmux" are trained in any case.

    mux_grid : (int, int), default=None
        Rows and columns of the grid on which the texts of a mixture stand in "mimoformer": M and N
        of [3]_, `n_mux` together. None is the most square grid, with more rows than columns.

    mimo_variant : {"att", "att+mlp"}, default="att"
        What of "mimoformer" runs in superposition: attention, or the feed-forward networks too,
        over the rows of the grid, which is faster and less accurate.

    attention : {"favor", "softmax"}, default="favor"
        Of "mimoformer": attention by random features, or the usual one, which needs ``n_mux=1``.

    attention_kernel : {"relu", "exp"}, default="relu"
        What makes random features of projections.

    n_features : int, default=256
        Random features of a head.

    head_dim : int, default=64
        Size of the queries and keys of a head of "mimoformer", whatever `hidden_size` is. Texts in
        superposition disturb each other the less the larger it is.

    positions : {"learned", "sinusoidal"}, default="learned"
        How "mimoformer" tells places in a text.

    pooling : {"mean", "cls"}, default="mean"
        Whether "mimoformer" reads a text off the mean of its tokens, or off a mark in front.

    tied_layers : bool, default=False
        Whether all layers of "mimoformer" share their weights.

    mux_layer : int, default=None
        Layers of the backbone that "revmux" runs on each text before it mixes them: from 0, where
        embeddings are mixed, to one less than there are. None is half of them. With l of L layers
        before it, multiplexing is at most ``N * L / (N * l + L - l)`` times as fast as the plain
        backbone, and so never more than ``L / l`` times: with half of the layers 1.33 times at
        N = 2, 1.6 times at N = 4.

    backbone : str, path or MuxTextPretrainer, default=None
        The encoder of "tmux", and of "revmux", which takes one of `transformers` alone.

        - None: the packaged one, English, warmed up for mixtures of up to 20 texts (see
          `muxlearn.box`). With the default `multiplexer` and `demultiplexer` these start from
          there, too, and no warm-up is needed.
        - "scratch": a compact one of the sizes below, trained from nothing with a tokenizer
          trained on the texts.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one. Within
          `GridSearchCV` and whatever else clones, wrap it in `sklearn.frozen.FrozenEstimator`.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM, ModernBERT, …).
        - A folder, or a name on the hub, of what the authors of [1]_ (retrieval warm-up) or of [2]_
          (MUX-BERT) have pre-trained on mixtures. It is known by its tensors, and brings its
          multiplexer and demultiplexer along; see the notes.

        "mimoformer" is always trained from nothing. The encoder of "revmux" has to be a plain
        stack of layers, as all that are named here are. A saved model looks for it again where it
        is loaded, and knows it by the SHA-256 of its weights.

    tokenizer : {"byte", "char", "word"} or tokenizers.Tokenizer, default=None
        What the tokens of a text are, for ``backbone="scratch"`` and for "mimoformer".

        - None: pieces of words, learnt from the texts. Rows may be sequences of integers as well.
        - "byte": the bytes of UTF-8.
        - "char": characters, the most frequent `vocab_size` of the training; others are unknown.
        - "word": words and punctuation, likewise.
        - A tokenizer of the `tokenizers` library, which is used as it is. It may also come beside
          a `backbone` that was multiplexed in its pre-training, such as
          ``tokenizers.Tokenizer.from_pretrained("bert-base-uncased")``.

    hidden_size : int, default=256
        Width of the encoder for ``backbone="scratch"``, or of "mimoformer". Any other `backbone`
        has sizes of its own.

    num_hidden_layers : int, default=4
        Its layers.

    num_attention_heads : int, default=4
        Its attention heads; has to divide `hidden_size` for "tmux".

    intermediate_size : int, default=None
        Width of its feed-forward layers, None for ``4 * hidden_size``.

    vocab_size : int, default=8000
        Size of the vocabulary that is learnt, at least 259 (the bytes and three special tokens).

    max_length : int, default=128
        Tokens of a text, or of a pair together, that the encoder reads; the rest is cut off.
        "mimoformer" reads as many of each text of a pair. The packaged encoder reads 128 at most.

    lexical_path : bool, default=True
        Whether a text's own words reach its prediction past the mixture, too, as the weighted mean
        of their vectors: next to nothing beside the encoder, and most of what a higher `n_mux`
        would lose. Not in [1]_; False is the network of the paper. Of "tmux"; an encoder that is
        not warmed up has none at ``n_mux=1``.

    lexical_length : int or None, default=512
        Tokens of a single text whose words the lexical path reads, where that is more than
        `max_length`: of a long document the encoder reads the beginning. None is `max_length`,
        which it always is for pairs.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head; attention
        weights are not dropped, but for those of "softmax". Of "revmux" that of the projection
        behind the demultiplexer and of the head: the backbone drops nothing.

    warm_up : {"auto", "retrieval", "grid", None}, default="auto"
        Training before the task. "auto" is "retrieval" for "tmux" and "grid" for "mimoformer",
        which have no other, and nothing for "revmux" and where `backbone` comes warmed up. Not
        done at ``n_mux=1``, where nothing has to be told apart.

        - "retrieval": recover the tokens of single texts from the mixture ([1]_, eq. 3).
        - "grid": the task itself, with mixtures on half of the grid's rows and columns ([3]_);
          where that does not divide the grid, on the next smaller part that does.

    warm_up_epochs : int, default=5
        Epochs of the warm-up.

    isometry_weight : float, default=0.0
        Weight of the regulariser that keeps the linear layers of "mimoformer" near isometries
        ([3]_).

    revmux_infonce_weight : float, default=0.25
        Weight of the InfoNCE loss of "revmux" beside the task's ([4]_): the vector that is unfolded
        for a text has to be nearer to what the plain backbone makes of this text than to what it
        makes of any other text in the batch. 0 saves that pass of the backbone.

    revmux_temperature : float, default=0.05
        What the cosines of the InfoNCE loss are divided by.

    retrieval_weight : float or "auto", default="auto"
        Weight of the retrieval loss beside the task's ([1]_, eq. 4); of "tmux". "auto" is 0.1, and
        0 where `backbone` comes warmed up.

    retrieval_samples : int, default=32
        Tokens of each mixture that the retrieval loss looks at in a step, at least one a slot.

    operating_points : tuple of int, default=None
        Values of `n_mux` that the model is trained for, each in its share of the steps, so that
        one model serves all of them. None trains at `n_mux` alone. `predict` takes any value up
        to `n_mux` all the same. "mimoformer" runs on parts of its grid that divide it, so that
        (4, 4) has 1, 2, 4, 8 and 16; `predict` takes the next lower one for any other. "revmux"
        has the powers of two, likewise; a text that stands in several slots is read once by the
        layers below `mux_layer`.

    max_epochs : int, default=10
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps whatever `n_mux`
        is, so that each text is seen `n_mux` times an epoch, each time among other texts. 0
        leaves it at the warm-up, and with ``warm_up=None`` builds and initialises the model
        without any training.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate of AdamW, reached after a tenth of the steps; falls linearly to 0.
        "auto" is 5e-4 for an encoder from nothing or of this library and 1e-4 for one of
        `transformers`. What is new then trains at five times the rate of what is not. Of "revmux"
        all is new, and "auto" is 1e-3.

    weight_decay : float, default=0.01
        Decay of weight matrices.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" makes every class count the same.

    early_stopping : bool, default=False
        Whether to set a part of the training texts aside, stop when the loss on it does not
        improve any more, and keep the best weights. The operating points are measured on it
        then, see `operating_points_`, which takes the time of a few predictions of that part.

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
        The tokenizer; for sequences of integers what stands in its place.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    warm_up_history_ : skorch.history.History or None
        Losses of the warm-up, and its retrieval accuracy.

    operating_points_ : dict of int to dict of str to float
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
    its weights, with its authors' arithmetic (see `from_reference`), below a new head. `n_mux` has
    to be that of the weights; `multiplexer`, `demultiplexer`, `demux_layers` and all sizes are
    theirs, there is no lexical path, and `warm_up` "auto" is none. Every text is padded to
    `max_length`: lower it for short ones. `lr` "auto" is 5e-5, as the authors chose it, and five
    times that for the head.

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

    _reference_task = "sequence"
    _structure_names: ClassVar[tuple[str, ...]] = (
        *STRUCTURE,
        "tokenizer",
        "lexical_path",
        "lexical_length",
        *MIMO_STRUCTURE,
        "mux_layer",
    )
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxTextEstimator._constraints,
        **MuxClassifierMixin._constraints,
        **MIMO_CONSTRAINTS,
        **REVMUX_CONSTRAINTS,
        "tokenizer": TokenizerChoice,
        "lexical_path": Boolean(),
        "lexical_length": OneOf(None, Integer(1)),
    }

    def __init__(
        self,
        n_mux: int = 10,
        *,
        architecture: str = "tmux",
        multiplexer: str = "subspace",
        demultiplexer: str = "rsa",
        demux_layers: int = 1,
        learn_keys: bool = True,
        mux_grid: tuple[int, int] | None = None,
        mimo_variant: str = "att",
        attention: str = "favor",
        attention_kernel: str = "relu",
        n_features: int = 256,
        head_dim: int = 64,
        positions: str = "learned",
        pooling: str = "mean",
        tied_layers: bool = False,
        mux_layer: int | None = None,
        backbone: str | os.PathLike | MuxTextPretrainer | None = None,
        tokenizer: Any = None,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int | None = None,
        vocab_size: int = 8000,
        max_length: int = 128,
        lexical_path: bool = True,
        lexical_length: int | None = 512,
        dropout: float = 0.1,
        warm_up: str | None = "auto",
        warm_up_epochs: int = 5,
        isometry_weight: float = 0.0,
        revmux_infonce_weight: float = 0.25,
        revmux_temperature: float = 0.05,
        retrieval_weight: float | str = "auto",
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
        self.demux_layers = demux_layers
        self.learn_keys = learn_keys
        self.mux_grid = mux_grid
        self.mimo_variant = mimo_variant
        self.attention = attention
        self.attention_kernel = attention_kernel
        self.n_features = n_features
        self.head_dim = head_dim
        self.positions = positions
        self.pooling = pooling
        self.tied_layers = tied_layers
        self.mux_layer = mux_layer
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.lexical_path = lexical_path
        self.lexical_length = lexical_length
        self.dropout = dropout
        self.warm_up = warm_up
        self.warm_up_epochs = warm_up_epochs
        self.isometry_weight = isometry_weight
        self.revmux_infonce_weight = revmux_infonce_weight
        self.revmux_temperature = revmux_temperature
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
        X : sequence of str, of (str, str) pairs or of sequences of int, length n_samples
            List, array, `pandas.Series`, `datasets` column; pairs may come as a two-column
            frame. Integers from 0 on, in lists or an array of shape (n_samples, length), are
            tokens as they are; they need ``tokenizer=None``.

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
            A parameter, a text or a label is not what it has to be.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        continued = self.warm_start and self.__sklearn_is_fitted__()
        rows = self._reader.check(X) if continued else check_rows(X)
        extra = rows if unlabeled is None else check_rows(unlabeled, name="unlabeled")
        self._check_integers(rows, extra)
        self._fit_labels(rows, extra, y, sample_weight)
        return self

    # Parameters

    def _check_parameters(self) -> None:
        super()._check_parameters()
        parameters = signature(MuxTextClassifier).parameters.items()
        defaults = {name: parameter.default for name, parameter in parameters}
        check_architecture(self.get_params(deep=False), defaults)

    def _check_integers(self, rows: Any, extra: Any) -> None:
        numbers = holds_integers(rows)
        if numbers != holds_integers(extra):
            raise TypeError(
                "`X` and `unlabeled` must be of one kind, texts or sequences of integers"
            )
        if numbers and self.tokenizer is not None:
            raise ValueError(
                "`tokenizer` reads texts, but `X` holds sequences of integers; set tokenizer=None"
            )
        if numbers and not self._is_from_nothing:
            raise ValueError(
                f"{self._backbone_name} reads texts, but `X` holds sequences of integers; set "
                "backbone='scratch'"
            )

    def _structure_params(self) -> dict[str, Any]:
        return super()._structure_params() | {"tokenizer": fingerprint(self.tokenizer)}

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

    def _learn_reader(self, rows: Any, extra: Any) -> Any:
        parts = [rows] if extra is rows else [rows, extra]
        if holds_integers(rows):
            return IntegerReader.learn(parts, self.max_length)
        if self.tokenizer is None:
            return super()._learn_reader(rows, extra)
        corpus = chain.from_iterable(parts)
        return self._cutting(make_tokenizer(self.tokenizer, corpus, self.vocab_size))

    # The network

    def _module(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
    ) -> MuxSequenceClassifier:
        return MuxSequenceClassifier(
            encoder,
            multiplexer,
            demultiplexer,
            n_classes,
            self.dropout,
            bool(self.lexical_path),
            self.max_length,
        )

    def _build(self, rows: Any, extra: Any, n_classes: int) -> tuple[Any, MuxModule]:
        reader, module = super()._build(rows, extra, n_classes)
        reads_on = isinstance(module, MuxTextModule) and module.lexical_mean is not None
        # Of a longer pair the encoder would read the first text alone.
        if reads_on and not isinstance(rows[0], tuple):
            length = max(self.max_length, self.lexical_length or 0)
            if isinstance(reader, IntegerReader):
                reader = replace(reader, max_length=length)
            else:
                reader.enable_truncation(length)
        return self._wrap(reader, module), module

    # Saving

    def _complete_loaded(self) -> None:
        if self._structure.get("tokenizer") not in (None, *TOKENIZERS):
            # The parameter was an object, which a configuration cannot hold.
            self.tokenizer = copy_tokenizer(self.tokenizer_)
