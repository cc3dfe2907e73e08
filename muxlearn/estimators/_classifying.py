"""The methods of classifiers, whatever their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn.points import PointLike
from muxlearn.tasks import VectorsTask

__all__ = [
    "CONSTRAINTS",
    "decision_function",
    "n_features_out",
    "predict",
    "predict_log_proba",
    "predict_proba",
    "transform",
]

#: What their own parameters may be.
CONSTRAINTS: dict[str, Constraint] = {
    "class_weight": OneOf(
        None, Choice("balanced"), Instance((dict,), "a dict from label to weight")
    ),
}


@fill_docs()
def predict(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray:
    """Predict the labels of rows.

    Parameters
    ----------
    {predict.X}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples,), or several labels in the form of `y` in `fit`
        The labels, in the order of `X`: several as an indicator of shape (n_samples, n_labels),
        dense or sparse, or as a list of sets, lists or tuples.
    """
    return self.predictor_.predict(X, n_mux, groups, n_passes, patch_size=patch_size)


@fill_docs()
def predict_proba(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float64]:
    """Predict the probabilities of the classes.

    Parameters
    ----------
    {predict.X}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Columns in the order of `classes_`. Of several labels, each column is a probability of its
        own.
    """
    return self.predictor_.predict(
        X, n_mux, groups, n_passes, "predict_proba", patch_size=patch_size
    )


@fill_docs()
def predict_log_proba(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float64]:
    """Predict the logarithms of the classes' probabilities.

    Parameters
    ----------
    {predict.X}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Columns in the order of `classes_`. None is infinite, however small a probability.
    """
    return self.predictor_.predict(
        X, n_mux, groups, n_passes, "predict_log_proba", patch_size=patch_size
    )


@fill_docs()
def decision_function(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float64]:
    """Return log-probabilities, or with two classes the log odds of the second.

    Parameters
    ----------
    {predict.X}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        Of several labels the log odds of each, of shape (n_samples, n_labels).
    """
    return self.predictor_.predict(
        X, n_mux, groups, n_passes, "decision_function", patch_size=patch_size
    )


@fill_docs()
def transform(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float32]:
    """Return the vectors that the last layer reads, which tell the classes apart.

    They can be given to another model, in a pipeline for example.

    Parameters
    ----------
    {predict.X}

    {transform.n_mux}

    {predict.groups}

    {transform.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of float32, shape (n_samples, n_features)
        In the order of `X`. A row that fills several slots has the mean of their vectors.
    """
    check_is_fitted(self)
    reader, _ = self._kind.parts(self)
    predictor = self._make_predictor(reader, VectorsTask(normalize=False), penultimate=True)
    return predictor.predict(X, n_mux, groups, n_passes, "transform", patch_size=patch_size)


def n_features_out(self: Any) -> int:
    """Return the size of a vector, for `get_feature_names_out`."""
    return self.module_.penultimate_size
