"""Vectors of rows from a network that was trained for a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn.points import PointLike
from muxlearn.tasks import VectorsTask

__all__ = ["n_features_out", "transform"]


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
