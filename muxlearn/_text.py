"""The text classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from muxlearn._classifier import MuxClassifierMixin
from muxlearn._params import Constraint
from muxlearn._tables import RowTable
from muxlearn._text_base import MuxTextEstimator
from muxlearn._texts import check_texts, iterate_rows, tokenize
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.text import MuxSequenceClassifier

__all__ = ["MuxTextClassifier"]


class MuxTextClassifier(MuxClassifierMixin, MuxTextEstimator):
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
    `from_reference` loads a checkpoint that the authors of [1]_ or [2]_ have published.

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

    _reference_task = "sequence"
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxTextEstimator._constraints,
        **MuxClassifierMixin._constraints,
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
        extra = rows if unlabeled is None else check_texts(unlabeled, name="unlabeled")
        self._fit_labels(rows, extra, y, sample_weight)
        return self

    def _iterate_rows(self, X: Any) -> Iterator[Any]:
        return iterate_rows(X)

    def _check_rows(self, X: Any, *, first_row: int = 0) -> list[Any]:
        return check_texts(X, first_row=first_row)

    def _table(self, tokenizer: Any, rows: list[Any]) -> RowTable:
        return tokenize(tokenizer, rows)

    def _module(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
    ) -> MuxSequenceClassifier:
        return MuxSequenceClassifier(encoder, multiplexer, demultiplexer, n_classes, self.dropout)
