"""Prediction of streams and data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from muxlearn import prediction
from muxlearn._docs import fill_docs
from muxlearn.points import PointLike

__all__ = ["predict_dataset", "predict_iter"]


@fill_docs()
def predict_iter(
    self: Any,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: Iterable[Any] | None = None,
    n_passes: int = 1,
    method: Literal[
        "predict", "predict_proba", "predict_log_proba", "decision_function"
    ] = "predict",
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

    method : str, default="predict"
        The method whose results to yield; of a classifier or a tagger also "predict_proba",
        "predict_log_proba" or "decision_function".

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
        header, as one file, a folder or a list. Columns of CSV files are read as text, an empty
        cell as an empty text; those that are only kept, and hold whole numbers alone, as integers.

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
        What to write. Probabilities, which a regressor does not have, are lists in the order of
        `classes_`; a tagger writes a list of such lists for each sentence.

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
