"""Prediction of streams and data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn import prediction
from muxlearn._docs import fill_docs
from muxlearn.points import PointLike

__all__ = [
    "fit_transform",
    "predict_dataset",
    "predict_iter",
    "transform",
    "transform_dataset",
    "transform_iter",
]

_OF_TRANSFORM = ("n_mux", "groups", "n_passes", "patch_size")


@fill_docs()
def predict_iter(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: Iterable[Any] | None = None,
    n_passes: int = 1,
    method: Literal["predict", "predict_proba"] = "predict",
    patch_size: int | None = None,
) -> Iterator[Any]:
    """Predict a stream of rows of any length in constant memory.

    Parameters
    ----------
    X : iterable
        Rows as in `fit`. They are read as results are requested, up to two windows of some
        thousand rows ahead, with `groups` four. Mixtures are planned within a window.

    {predict.n_mux}

    {stream.groups}

    {predict.n_passes}

    {stream.method}

    {predict.patch_size}

    Yields
    ------
    One result for each row, in order.
    """
    return self.predictor_.predict_iter(X, n_mux, groups, n_passes, method, patch_size=patch_size)


@fill_docs()
def predict_dataset(
    self: Any,
    dataset: Any,
    output: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    keep: Sequence[str] = (),
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    method: Literal["predict", "predict_proba"] = "predict",
    form: Literal["parquet", "csv"] = "parquet",
    rows_per_part: int = 100_000,
    patch_size: int | None = None,
) -> Path:
    """Predict a data set larger than the memory into a folder; an interrupted run can continue.

    Parameters
    ----------
    dataset : datasets.Dataset, path, or list of paths
        A `datasets.Dataset`, which stays on the disk, or Parquet files, or CSV files with a
        header, as one file, a folder or a list. Columns of CSV files are read as text; those that
        are only kept, and hold whole numbers alone, as integers.

    output : str or path
        The folder of the results, which is created if needed. It holds ``part-000000.parquet`` and
        so on, in the order of the rows, with the columns `keep` and "prediction" or
        "probabilities". ``pandas.read_parquet(output)`` reads it back.

    {dataset.column}

    {dataset.groups}

    {dataset.keep}

    {predict.n_mux}
        Operating points that are measured anew may choose another `n_mux`, with which the parts in
        `output` were not made.

    {predict.n_passes}

    method : {"predict", "predict_proba"}, default="predict"
        What to write. Probabilities are lists in the order of `classes_`; a tagger writes a list
        of such lists for each sentence.

    form : {"parquet", "csv"}, default="parquet"
        The format of the files. CSV has no lists and only takes the labels of classifiers.

    {dataset.rows_per_part}

    {predict.patch_size}

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    TypeError, ValueError
        A parameter, a column or a row is not valid, the files differ in their columns, or the
        parts in `output` come from other data, another model or other arguments.
    FileExistsError
        `output` holds other files.
    OSError
        The disk is full, for example. As after a kill, the same call continues after the last
        whole part, with the results of an uninterrupted run.

    Examples
    --------
    >>> clf.predict_dataset("texts.parquet", "labels", keep=["id"])  # doctest: +SKIP
    >>> pandas.read_parquet("labels")  # doctest: +SKIP
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
        method=method,
        form=form,
        rows_per_part=rows_per_part,
        patch_size=patch_size,
    )


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
