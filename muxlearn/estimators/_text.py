"""The text classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from muxlearn._docs import fill_docs
from muxlearn._params import Constraint
from muxlearn.architectures import Architecture
from muxlearn.estimators import _classifying, _penultimate, _sequences
from muxlearn.estimators._text_base import MuxTextEstimator
from muxlearn.points import PointLike

__all__ = ["MuxTextClassifier"]


@fill_docs(row="text", rows="texts")
class MuxTextClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, MuxTextEstimator
):
    """Classify texts, `n_mux` of them in one pass of the encoder.

    The classifier folds `n_mux` texts into one sequence of vectors, runs the encoder once and
    unfolds one prediction for each text (DataMUX [1]_). The encoder thus runs `n_mux` times less
    often. This costs accuracy and a longer training.

    A prediction depends on the texts that share its mixture. To limit this, predict with a
    smaller `n_mux`, with more `n_passes` or with `groups`.

    Parameters
    ----------
    {n_mux}
    {patch_size}

        If both are "auto", the model runs about seven times as fast as the plain encoder: the first
        three layers of the packaged encoder read five tokens of a text in a position. Another
        `backbone` gives (1, 10), ten tokens of one text, or, if it is warmed up for rows alone, as
        many as it has up to 10. A given `multiplexer` or `demultiplexer` and "mimoformer" mean ten
        rows, "revmux" eight. (1, 1) is the plain encoder.

    architecture : {"tmux", "mimoformer", "revmux"} or Architecture, default="tmux"
        The network: an object of `muxlearn.architectures`, searched as ``architecture__grid``, or
        the string that stands for its defaults. "tmux" (`TMUX`, [1]_) adds up the texts before a
        Transformer. "mimoformer" (`MIMOFormer`, [3]_) reads long texts, with attention on texts in
        superposition. "revmux" (`RevMUX`, [4]_) trains small adapters in a frozen `backbone`,
        which can serve many tasks. A parameter that the network does not use raises an error.

    {multiplexer}
    {demultiplexer}

    backbone : str, path, Packaged, Scratch, Published or MuxTextPretrainer, default=None
        The encoder.

        - None: the packaged English encoder, warmed up for patches of 2, 5 and 10 tokens and for
          mixtures of up to 20 texts (`muxlearn.box`). It ignores case.
          `muxlearn.backbones.Packaged` keeps its first layers alone, which are faster.
        - "scratch" or `muxlearn.backbones.Scratch`: a compact encoder, trained from scratch with
          its own tokenizer, searched as ``backbone__hidden_size``.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one, which
          needs a `sklearn.frozen.FrozenEstimator` around it where code clones.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM, ModernBERT, …), or of what the
          authors of [1]_ or [2]_ have pre-trained on mixtures.

        "mimoformer" is always trained from scratch. "revmux" takes an encoder of `transformers`.

    max_length : int, default=128
        Maximum number of tokens of a text, or of a pair together, that the encoder reads. The
        rest is cut off. "mimoformer" reads as many of each text of a pair. The packaged encoder
        reads at most 512. The lexical path may read more, see `TMUX`.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head. Attention weights
        are only dropped by "mimoformer" with attention "softmax". With "revmux": dropout of the
        projection after the demultiplexer and of the head. Its backbone has no dropout.

    warm_up : int, "auto" or None, default="auto"
        Epochs of the warm-up, a training before the task in which the network learns to keep
        texts apart ([1]_, eq. 3, and [3]_). "auto" is 5 for an encoder from scratch, a fifth of
        `max_epochs` for a trained one and 0 for one that is warmed up already. None is the same as
        0. ``n_mux=1`` needs no warm-up and has none, and neither has "revmux".

    {operating_points}
        {operating_points.texts}

        "mimoformer" runs on parts of its grid that divide it, "revmux" at the powers of two. For
        any other value, `predict` uses the next lower one.

    {max_epochs}
        With 0 the warm-up is the only training; with ``warm_up=None`` as well, `fit` only builds
        and initialises the model.

    {batch_size}

    {lr}
        "auto" is 5e-4 for an encoder from scratch, 2e-4 for the packaged one (5e-4 is worth a try
        for single texts with ten tokens in a position), 1e-4 for others, and 1e-3 for "revmux",
        which only trains new layers. Other new layers around an encoder that is trained already,
        the packaged one included, learn at five times its rate.

    {optimizer}
    {class_weight}
    {early_stopping}
    {validation_fraction}
    {warm_start}
    {dtype}
    {device}
    {compile}
    {callbacks}
    {random_state}
    {verbose}

    Attributes
    ----------
    {classes_}
    {net_}
    module_ : torch.nn.Module
        The fitted module: takes `input_ids` and `attention_mask` of ``k * n_mux`` rows and
        returns their logits in the same order.
    {tokenizer_}
        For sequences of integers, the reader that takes its place.
    {operating_point_}
    {history_}
    {warm_up_history_}
    {measured_points_}
    {n_iter_}

    See Also
    --------
    muxlearn.testing.check_text_estimator : The API checks that this estimator passes.

    Notes
    -----
    `from_reference` loads a classifier that the authors of [1]_ or [2]_ have published.

    {notes.several_labels}

    {notes.published}
    {notes.ensembling}
    {notes.invariance}

    References
    ----------
    .. [1] Murahari et al., DataMUX, NeurIPS 2022.
    .. [2] Murahari et al., MUX-PLMs, Findings of EMNLP 2023.
    .. [3] Menet et al., MIMONets, NeurIPS 2023.
    .. [4] Xu et al., RevMUX, EMNLP 2024.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> X = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 8
    >>> y = ["weather", "sport", "weather", "sport"] * 8
    >>> clf = MuxTextClassifier(batch_size=8, random_state=0).fit(X, y)
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
        n_mux: int | str = "auto",
        *,
        patch_size: int | str = "auto",
        architecture: str | Architecture = "tmux",
        multiplexer: str = "auto",
        demultiplexer: str = "auto",
        backbone: Any = None,
        max_length: int = 128,
        dropout: float = 0.1,
        warm_up: int | str | None = "auto",
        operating_points: tuple[PointLike, ...] | None = None,
        max_epochs: int = 5,
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
        self.patch_size = patch_size
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []  # vectors are float32, whatever rows are
        return tags

    def fit(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        unlabeled: Iterable[Any] | None = None,
        *,
        checkpoint: str | os.PathLike | None = None,
    ) -> MuxTextClassifier:
        """Fit the model to texts and labels.

        Parameters
        ----------
        X : sequence of str, of (str, str) pairs or of sequences of int, length n_samples
            The texts: a list, an array, a column of pandas, polars, pyarrow or `datasets`. Of a
            frame, a table or a `datasets.Dataset` the only column of texts is read; two columns
            of texts and no other are pairs. Integers of 0 or more, in lists or in an array of
            shape (n_samples, length), are taken as tokens. They need a `backbone` from scratch
            without `tokenizer`.

        {fit.labels}

        {fit.sample_weight}

        {fit.unlabeled}

        {fit.checkpoint}

        Returns
        -------
        {fit.returns}

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a label is not valid, or the checkpoint is of another training.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        rows, extra = _sequences.check_given(self, X, unlabeled)
        _classifying.fit_labels(self, rows, extra, y, sample_weight, checkpoint)
        return self

    predict = _classifying.predict
    predict_proba = _classifying.predict_proba
    predict_log_proba = _classifying.predict_log_proba
    decision_function = _classifying.decision_function
    score = _classifying.score
    transform = _penultimate.transform

    _n_features_out = property(_penultimate.n_features_out)
    _wrap = _sequences.wrap
    _complete_loaded = _sequences.complete_loaded
