"""The text classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from muxlearn._docs import fill_docs
from muxlearn._params import Constraint
from muxlearn.architectures import Architecture
from muxlearn.estimators import (
    _classifying,
    _points,
    _predicting,
    _sequences,
    _text_reference,
    _texts,
    _transforming,
)
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._fitting import fit
from muxlearn.estimators._texts import TEXT_CONSTRAINTS
from muxlearn.points import PointsLike
from muxlearn.rows import pair_columns
from muxlearn.tasks import learn_labels

__all__ = ["MuxTextClassifier"]


@fill_docs(row="text", rows="texts")
class MuxTextClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, MuxEstimator
):
    """Classify texts with several tokens, or several texts, in each position of the encoder.

    The encoder runs on sequences that are `patch_size` times shorter, and once for `n_mux` texts
    (DataMUX [1]_). This costs accuracy and a longer training. A prediction depends on the texts
    that share its mixture; there are none with ``n_mux=1``, and `groups` and `n_passes` limit it.

    Parameters
    ----------
    {n_mux}
    {patch_size}
        If both are "auto" and there are no `operating_points`, the packaged encoder reads two
        tokens of a text in a position. Another encoder gives (1, 10), or up to (10, 1) if it is
        warmed up for rows alone. A given `multiplexer` or `demultiplexer` and "mimoformer" give
        (10, 1), "revmux" gives (8, 1).
    architecture : {"tmux", "mimoformer", "revmux"} or Architecture, default="tmux"
        An object of `muxlearn.architectures`, or the name that stands for its defaults. `TMUX`
        ([1]_) adds up the texts before a Transformer. `MIMOFormer` ([3]_) reads long texts with
        attention on their superposition, and is trained from scratch. `RevMUX` ([4]_) trains small
        adapters in a frozen encoder of `transformers`. A parameter that the architecture does not
        use raises an error.
    {multiplexer}
    {demultiplexer}
    {backbone}
    {texts.max_length}
    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the classification head.
    warm_up : int, "auto" or None, default="auto"
        Epochs of a training before the task in which the network learns to keep texts apart ([1]_,
        eq. 3, and [3]_). "auto" is 5 for an encoder from scratch, a fifth of `max_epochs` for a
        trained one, and 0, as None, if it is warmed up already and for "revmux". Always 0 at the
        point (1, 1).
    {operating_points}
        {operating_points.texts}
        "mimoformer" runs on parts of its grid that divide it, "revmux" at the powers of two;
        `predict` takes the next lower one.
    {max_epochs}
        With 0 the warm-up is the only training, of 5 epochs where "auto" warms up; with
        ``warm_up=None`` as well, `fit` only builds and initialises the model.
    {batch_size}
    {lr}
        "auto" is 5e-4 for an encoder from scratch, 2e-4 for the packaged one, 1e-4 for others, and
        1e-3 for "revmux". New layers around a trained encoder learn at five times its rate.
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
    {trained_points_}
    {history_}
    {warm_up_history_}
    {measured_points_}
    {n_iter_}

    Notes
    -----
    {notes.several_labels}

    `from_reference` loads a classifier that the authors of [1]_ or [2]_ have published.
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

    _kind = _sequences.SequenceKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **TEXT_CONSTRAINTS,
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
        operating_points: PointsLike | None = None,
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
            frame, a table or a `datasets.Dataset` the only column of texts is read, and columns of
            numbers are ignored. Two columns of texts and no other are pairs, and a frame in a
            prediction must then have the same two, in the same order. Integers of 0 or more, in
            lists or in an array of shape (n_samples, length), are taken as tokens. They need a
            `backbone` from scratch without `tokenizer`.

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
        rows, unlabeled = _sequences.check_given(self, X, unlabeled)
        task, training_set = learn_labels(rows, y, sample_weight, self.class_weight)
        fit(
            self,
            training_set,
            task,
            partial(self._kind.build, self, unlabeled=unlabeled),
            unlabeled=unlabeled,
            checkpoint=checkpoint,
            columns=pair_columns(X),
        )
        return self

    predict = _classifying.predict
    predict_proba = _classifying.predict_proba
    predict_log_proba = _classifying.predict_log_proba
    decision_function = _classifying.decision_function
    score = _sequences.score
    predict_iter = _predicting.predict_iter
    predict_dataset = _predicting.predict_dataset
    measure_operating_points = _points.measure_operating_points
    fastest_point = _points.fastest_point
    measured_points_ = property(_points.measured_points)
    transform = _classifying.transform
    fit_transform = _transforming.fit_transform

    from_reference: Any = classmethod(_text_reference.from_reference)
    tokenizer_ = property(_texts.tokenizer)
    warm_up_history_ = property(_texts.warm_up_history)
    _n_features_out = property(_classifying.n_features_out)
