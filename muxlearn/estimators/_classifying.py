"""The methods of classifiers, whatever their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn.estimators._fitting import fit
from muxlearn.estimators._points import measure_set_aside
from muxlearn.tasks import ClassesTask

__all__ = [
    "CONSTRAINTS",
    "decision_function",
    "fit_labels",
    "predict",
    "predict_proba",
    "score",
]

#: What their own parameters may be.
CONSTRAINTS: dict[str, Constraint] = {
    "class_weight": OneOf(
        None, Choice("balanced"), Instance((dict,), "a dict from label to weight")
    ),
}


def fit_labels(
    estimator: Any, rows: Any, extra: Any, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> None:
    """Fit to checked rows, and to labels and weights that are not checked yet."""
    task, targets = ClassesTask.learn(rows, y, sample_weight, estimator.class_weight)
    part = fit(estimator, targets, targets.rows if extra is rows else extra, task)
    if part is not None:
        measure_set_aside(estimator, targets, part)


def predict(
    estimator: Any,
    X: Iterable[Any],
    n_mux: int | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
) -> NDArray:
    """Predict the labels of rows.

    Parameters
    ----------
    X : sequence of length n_samples
        Rows as in `fit`; a single one is enough.

    n_mux : int, default=None
        Rows in a mixture, from 1 to the model's capacity, the default. With
        fewer, a row fills several slots and their predictions are averaged, which is slower and
        more accurate. `fastest_point` returns the fastest `n_mux` that is accurate enough.

    groups : array-like of shape (n_samples,), default=None
        Rows of different groups (tenants, say) never share a mixture.

    n_passes : int, default=1
        Number of predictions, each in other mixtures. Their probabilities are averaged.

    Returns
    -------
    ndarray of shape (n_samples,)
        The labels, in the order of `X`.
    """
    return estimator._predict("predict", X, n_mux, groups, n_passes)


def predict_proba(
    estimator: Any,
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
    return estimator._predict("predict_proba", X, n_mux, groups, n_passes)


def decision_function(
    estimator: Any,
    X: Iterable[Any],
    n_mux: int | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
) -> NDArray[np.float64]:
    """Return log-probabilities, or with two classes the log odds of the second.

    Parameters
    ----------
    X, n_mux, groups, n_passes
        As in `predict`.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
    """
    return estimator._predict("decision_function", X, n_mux, groups, n_passes)


def score(
    estimator: Any,
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
        Weights of the rows in the score.

    Returns
    -------
    float
    """
    return estimator.predictor_.score(X, y, sample_weight, n_mux, groups, n_passes)
