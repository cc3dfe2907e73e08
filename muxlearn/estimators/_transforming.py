"""The methods of text embedders, and `fit_transform` of all that have `transform`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn import prediction
from muxlearn._docs import fill_docs
from muxlearn.points import PointLike

__all__ = ["fit_transform", "transform", "transform_dataset", "transform_iter"]

_OF_TRANSFORM = ("n_mux", "groups", "n_passes", "patch_size")


@fill_docs(row="text", rows="texts")
def transform(
    self: Any,
    X: Iterable[str],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> NDArray[np.float32]:
    """Embed texts.

    Parameters
    ----------
    X : sequence of str, length n_samples
        The texts; a single one is enough.

    {transform.n_mux}

    {predict.groups}

    {transform.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of float32, shape (n_samples, n_features)
        The vectors, in the order of `X`.
    """
    return self.predictor_.predict(X, n_mux, groups, n_passes, "transform", patch_size=patch_size)


@fill_docs(row="text", rows="texts")
def transform_iter(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: Iterable[Any] | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Embed a stream of texts of any length in constant memory.

    Parameters
    ----------
    X : iterable
        The texts. They are read as vectors are requested, up to two windows of some thousand
        texts ahead. Mixtures are planned within a window.

    {transform.n_mux}

    {stream.groups}

    {transform.n_passes}

    {predict.patch_size}

    Yields
    ------
    ndarray of float32, shape (n_features,)
        One vector for each text, in order.
    """
    return self.predictor_.predict_iter(
        X, n_mux, groups, n_passes, "transform", patch_size=patch_size
    )


@fill_docs(row="text", rows="texts")
def transform_dataset(
    self: Any,
    dataset: Any,
    output: str | os.PathLike,
    *,
    column: str | None = None,
    groups: str | None = None,
    keep: Sequence[str] = (),
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    rows_per_part: int = 100_000,
    patch_size: int | None = None,
) -> Path:
    """Embed a data set larger than the memory into a folder; an interrupted run can continue.

    Parameters
    ----------
    dataset : datasets.Dataset, path, or list of paths
        As in `MuxTextClassifier.predict_dataset`.

    output : str or path
        The folder of the results, Parquet files with the columns `keep` and "vector", lists of
        float32. It is created if needed, and ``pandas.read_parquet(output)`` reads it back.

    column : str, default=None
        The column of the texts. None takes the only column, or "text".

    {dataset.groups}

    {dataset.keep}

    {transform.n_mux}

    {transform.n_passes}

    {dataset.rows_per_part}

    {predict.patch_size}

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    TypeError, ValueError, FileExistsError, OSError
        As in `MuxTextClassifier.predict_dataset`.
    """
    return prediction.predict_dataset(
        self.predictor_,
        dataset,
        output,
        column=column,
        groups=groups,
        keep=keep,
        n_mux=n_mux,
        n_passes=n_passes,
        method="transform",
        rows_per_part=rows_per_part,
        patch_size=patch_size,
    )


def fit_transform(self: Any, X: Any, y: Any = None, **params: Any) -> NDArray[np.float32]:
    """Fit to rows, and return their vectors.

    Parameters
    ----------
    X : sequence of length n_samples
        Rows as in `fit`.
    y : array-like of length n_samples, default=None
        As in `fit`.
    **params
        Arguments of `transform`, and others of `fit`.

    Returns
    -------
    ndarray of float32, shape (n_samples, n_features)
    """
    X = list(X) if isinstance(X, Iterator) else X
    of_transform = {name: params.pop(name) for name in _OF_TRANSFORM if name in params}
    return self.fit(X, y, **params).transform(X, **of_transform)
