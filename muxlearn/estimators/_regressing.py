"""The methods of regressors, whatever their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint
from muxlearn.nn.losses import REGRESSION_LOSSES
from muxlearn.points import PointLike
from muxlearn.tasks import NumbersTask, TrainingSet

__all__ = ["CONSTRAINTS", "learn", "predict"]

#: What their own parameters may be.
CONSTRAINTS: dict[str, Constraint] = {"loss": Choice(*REGRESSION_LOSSES)}


def learn(
    estimator: Any, rows: Any, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[NumbersTask, TrainingSet]:
    """Check targets and weights, and return the task and its rows; `warm_start` keeps the scale."""
    continued = estimator.warm_start and estimator.__sklearn_is_fitted__()
    former = estimator._task if continued else None
    return NumbersTask.learn(rows, y, sample_weight, estimator.loss, former)


@fill_docs()
def predict(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float64]:
    """Predict the targets of rows.

    Parameters
    ----------
    {predict.X}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of float64, shape (n_samples,) or (n_samples, n_targets)
        As `y` was in `fit`, in the order of `X`.
    """
    return self.predictor_.predict(X, n_mux, groups, n_passes, patch_size=patch_size)
