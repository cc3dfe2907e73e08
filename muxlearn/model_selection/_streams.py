"""Prediction of streams and data sets by a cascade."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from muxlearn._docs import fill_docs
from muxlearn._params import Choice
from muxlearn.model_selection._running import Cascade
from muxlearn.model_selection._stages import predictor_of, takes
from muxlearn.prediction import Recipe, predict_parts
from muxlearn.rows import (
    check_pair_columns,
    has_other_columns,
    in_stream_order,
    iterate_groups,
    iterate_rows,
    own_windows,
    stream_windows,
)

__all__ = ["WINDOW_ROWS", "predict_dataset", "predict_iter"]

#: Rows of a window: enough to fill the batches of a stage that few of them reach.
WINDOW_ROWS = 8192

_METHODS = Choice("predict", "predict_proba")


@fill_docs()
def predict_iter(
    self: Any,
    X: Iterable[Any],
    groups: Iterable[Any] | None = None,
    method: Literal["predict", "predict_proba"] = "predict",
) -> Iterator[Any]:
    """Predict a stream of rows of any length in constant memory.

    Parameters
    ----------
    X : iterable
        Rows as in `fit`. They are read as results are requested, some thousand at a time. Each
        stage mixes rows of such a window only.

    {stream.groups}

    method : {"predict", "predict_proba"}, default="predict"
        What to yield.

    Yields
    ------
    One result for each row, in order.
    """
    _METHODS.check("method", method)
    cascade = self._cascade
    rows, check, take = _items(self, X)
    windows: Iterable[tuple[Any, ...]]
    if groups is None:
        windows = stream_windows(rows, None, WINDOW_ROWS, check)
    else:
        labels, together = iterate_groups(groups), _rows_together(cascade)
        windows = own_windows(rows, labels, WINDOW_ROWS, together, check)
    grouped = self._grouped("predict_proba", groups)
    return in_stream_order(
        (window, _results(cascade, method, take(window[0]), window[1], grouped))
        for window in windows
    )


@fill_docs()
def predict_dataset(
    self: Any,
    dataset: Any,
    output: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    keep: Sequence[str] = (),
    method: Literal["predict", "predict_proba"] = "predict",
    form: Literal["parquet", "csv"] = "parquet",
    rows_per_part: int = 100_000,
) -> Path:
    """Predict a data set larger than the memory into a folder; an interrupted run can continue.

    Parameters
    ----------
    dataset : datasets.Dataset, path, or list of paths
        As in `MuxTextClassifier.predict_dataset`, which describes the other parameters as well.

    output : str or path
        The folder of the results, which is created if needed.

    {dataset.column}

    {dataset.groups}

    {dataset.keep}

    method : {"predict", "predict_proba"}, default="predict"
        What to write. Probabilities are lists in the order of `classes_`.

    form : {"parquet", "csv"}, default="parquet"
        The format of the files. CSV only takes labels.

    rows_per_part : int, default=100000
        Rows of a part, rounded up to a multiple of a window.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    TypeError, ValueError
        A parameter, a column or a row is not valid, or the parts in `output` come from other data,
        another model or other arguments.
    FileExistsError
        `output` holds other files.
    OSError
        The disk is full, for example.
    """
    _METHODS.check("method", method)
    cascade = self._cascade
    recipe = Recipe(
        predict=partial(_predict_windows, cascade, method, self._grouped("predict_proba", groups)),
        check=self._check_rows,
        column_kind=_column_kind(self),
        example=[0.0] if method == "predict_proba" else cascade.classes[0],
        method=method,
        window_rows=WINDOW_ROWS,
        described={"model": cascade.fingerprint()},
    )
    return predict_parts(
        recipe,
        dataset,
        output,
        column=column,
        groups=groups,
        keep=keep,
        form=form,
        rows_per_part=rows_per_part,
    )


def _items(self: Any, X: Any) -> tuple[Iterator[Any], Callable[..., Any], Callable[[Any], Any]]:
    """Return an iterator for a stream, what checks items, and what makes rows of checked ones."""
    if self._reads_texts() and not has_other_columns(X):
        check_pair_columns(X, self._pair_columns)
        return iterate_rows(X), self._check_rows, _as_they_are
    if isinstance(X, Iterator) or not hasattr(X, "__len__"):
        return iter(X), self._check_rows, _as_they_are
    # Items are numbers of rows, as the rows of a frame or of a sparse matrix, one by one, are none
    # any more.
    X = self._check_rows(X)
    numbers = iter(range(_num_samples(X)))
    return numbers, lambda numbers, **_: numbers, partial(_safe_indexing, X)


def _as_they_are(rows: Any) -> Any:
    return rows


def _rows_together(cascade: Cascade) -> int:
    """Return how many rows of a group are predicted together: as many as any stage asks for.

    A stage of another library that takes groups gets a whole window of them.
    """
    most = 1
    for stage in cascade.stages:
        predictor = predictor_of(stage.classifier)
        if predictor is not None:
            most = max(most, predictor.rows_together(predictor.resolve_point(stage.n_mux).n_mux))
        elif takes(stage.classifier, "groups"):
            most = WINDOW_ROWS
    return min(most, WINDOW_ROWS)


def _predict_windows(
    cascade: Cascade,
    method: str,
    grouped: list[bool] | None,
    windows: Iterable[tuple[Any, ...]],
    *,
    total: int | None,
    n_done: int,
) -> Iterator[tuple[tuple[Any, ...], NDArray[Any]]]:
    """Yield one window after the other with its results; there is no bar to show numbers on."""
    for window in windows:
        yield window, _results(cascade, method, window[0], window[1], grouped)


def _column_kind(estimator: Any) -> str | None:
    """Return what a column of rows holds."""
    predictor = predictor_of(estimator.estimator_)
    if predictor is not None:
        return predictor.reader.column_kind
    return "texts" if estimator._reads_texts() else None


def _results(
    cascade: Cascade,
    method: str,
    rows: Any,
    groups: NDArray[np.int64] | None,
    grouped: list[bool] | None,
) -> NDArray[Any]:
    """Return what a method says of the rows of a window.

    Parameters
    ----------
    cascade : Cascade
    method : {"predict", "predict_proba"}
    rows : sequence of length n_rows
    groups : ndarray of int64, shape (n_rows,), or None
    grouped : list of bool or None
        As `Cascade.predict_proba` has it.

    Returns
    -------
    ndarray of shape (n_rows,) or (n_rows, n_classes)
    """
    proba = cascade.predict_proba(rows, groups, grouped)
    return proba if method == "predict_proba" else cascade.classes[proba.argmax(axis=1)]
