"""The text regressor."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from muxlearn._docs import fill_docs
from muxlearn._params import Constraint
from muxlearn.architectures import Architecture
from muxlearn.estimators import (
    _points,
    _predicting,
    _regressing,
    _sequences,
    _text_reference,
    _texts,
)
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._fitting import fit
from muxlearn.estimators._texts import TEXT_CONSTRAINTS
from muxlearn.points import PointsLike
from muxlearn.rows import pair_columns
from muxlearn.tasks import NumbersTask

__all__ = ["MuxTextRegressor"]


class _RegressorKind(_sequences.SequenceKind):
    """The kind of the text regressor; see `Kind`."""

    def published_task(self, estimator: Any, classes: Any) -> NumbersTask:
        """Return the task of a published model, whose numbers are as they are."""
        return NumbersTask.without_training()


@fill_docs(row="text", rows="texts")
class MuxTextRegressor(RegressorMixin, MuxEstimator):
    """Predict numbers for texts, `n_mux` of them in one pass of the encoder.

    The network and its training are those of `MuxTextClassifier`; one or several numbers for each
    text take the place of its label.

    A prediction depends on the texts that share its mixture. To limit this, predict with a
    smaller `n_mux`, with more `n_passes` or with `groups`, or share positions by `patch_size`.

    Parameters
    ----------
    {n_mux}
    {patch_size}
        If both are "auto", point and layers are those of `MuxTextClassifier`.
    architecture : {"tmux", "mimoformer", "revmux"} or Architecture, default="tmux"
        An object of `muxlearn.architectures`, or the name that stands for its defaults, as for
        `MuxTextClassifier`. A parameter that the architecture does not use raises an error.
    {multiplexer}
    {demultiplexer}
    {backbone}
    {texts.max_length}
    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and of the last layers.
    warm_up : int, "auto" or None, default="auto"
        Epochs of a training before the task in which the network learns to keep texts apart, see
        `MuxTextClassifier`.
    {operating_points}
        {operating_points.texts}
    {loss}
    {max_epochs}
        With 0 the warm-up is the only training, of 5 epochs where "auto" warms up; with
        ``warm_up=None`` as well, `fit` only builds and initialises the model.
    {batch_size}
    {lr}
        "auto" is 5e-4 for an encoder from scratch, 2e-4 for the packaged one, 1e-4 for others, and
        1e-3 for "revmux". New layers around a trained encoder learn at five times its rate.
    {optimizer}
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
    {net_}
    module_ : torch.nn.Module
        The fitted module: takes `input_ids` and `attention_mask` of ``k * n_mux`` rows and
        returns their standardised targets in the same order.
    {tokenizer_}
        For sequences of integers, the reader that takes its place.
    {operating_point_}
    {trained_points_}
    {history_}
    {warm_up_history_}
    {measured_points_}
    {n_iter_}

    See Also
    --------
    MuxTextClassifier : Predicts labels, one or several for each text.

    Notes
    -----
    {notes.standardised}

    There is no cascade of regressors: `muxlearn.model_selection.CascadeClassifier` passes a row on
    where the probability of the best class is low, and a number that is predicted by its mean has
    no such probability.

    `from_reference` loads a regression that the authors of [1]_ or [2]_ have published, such as one
    for STS-B.

    {notes.published}
    {notes.invariance}

    References
    ----------
    .. [1] Murahari et al., DataMUX, NeurIPS 2022.
    .. [2] Murahari et al., MUX-PLMs, Findings of EMNLP 2023.

    Examples
    --------
    >>> from muxlearn import MuxTextRegressor
    >>> X = ["good", "bad", "very good", "very bad", "so so"] * 8
    >>> y = [1.0, -1.0, 2.0, -2.0, 0.0] * 8
    >>> reg = MuxTextRegressor(batch_size=8, random_state=0).fit(X, y)
    >>> good, bad = reg.predict(["very good", "very bad"])
    >>> bool(good > 0 > bad)
    True
    """

    _kind = _RegressorKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **TEXT_CONSTRAINTS,
        **_regressing.CONSTRAINTS,
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
        loss: str = "squared_error",
        max_epochs: int = 5,
        batch_size: int = 32,
        lr: float | str = "auto",
        optimizer: Any = None,
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
        self.loss = loss
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
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
        tags.target_tags.multi_output = True
        return tags

    def fit(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        unlabeled: Iterable[Any] | None = None,
        *,
        checkpoint: str | os.PathLike | None = None,
    ) -> MuxTextRegressor:
        """Fit the model to texts and numbers.

        Parameters
        ----------
        X : sequence of str, of (str, str) pairs or of sequences of int, length n_samples
            The texts, as `MuxTextClassifier.fit` takes them.

        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The numbers to predict, finite. Predictions have the same number of axes.

        {fit.sample_weight}

        {fit.unlabeled}

        {fit.checkpoint}

        Returns
        -------
        {fit.returns}

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a target is not valid, or the checkpoint is of another training.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        rows, unlabeled = _sequences.check_given(self, X, unlabeled)
        task, training_set = _regressing.learn(self, rows, y, sample_weight)
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

    predict = _regressing.predict
    score = _sequences.score

    predict_iter = _predicting.predict_iter
    predict_dataset = _predicting.predict_dataset
    measure_operating_points = _points.measure_operating_points
    fastest_point = _points.fastest_point
    measured_points_ = property(_points.measured_points)
    from_reference: Any = classmethod(_text_reference.from_reference)
    tokenizer_ = property(_texts.tokenizer)
    warm_up_history_ = property(_texts.warm_up_history)
