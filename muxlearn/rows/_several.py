"""Checks of targets that hold several labels, or shares of classes, for each row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from muxlearn.rows._columns import as_list
from muxlearn.rows._labels import check_labels, ends_in_nul
from muxlearn.rows._lengths import check_n_rows
from muxlearn.rows._tensors import as_plain
from muxlearn.rows._texts import is_missing

__all__ = ["LABEL_FORMS", "SeveralLabels", "SoftLabels", "check_several", "mark_labels"]

#: What `y` may be where a row has several labels, and what predictions then are.
LABEL_FORMS = ("indicator", "sparse", "set", "list", "tuple")

_CONTAINERS = (set, frozenset, list, tuple, np.ndarray)

#: How far from 1 the shares of a row may add up.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class SeveralLabels:
    """Any number of labels for each row.

    Attributes
    ----------
    classes : ndarray of shape (n_labels,)
        The labels, in the order of the columns.
    indicator : ndarray of bool, shape (n_rows, n_labels)
        Which labels a row has.
    form : str
        One of `LABEL_FORMS`.
    dtype : str
        The type of a matrix.
    """

    classes: NDArray
    indicator: NDArray[np.bool_]
    form: str
    dtype: str = "int64"


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """The share that each class has in each row.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes, sorted, in the order of the columns.
    shares : ndarray of float64, shape (n_rows, n_classes)
        Rows add up to 1.
    """

    classes: NDArray
    shares: NDArray[np.float64]


def check_several(y: Any, n_rows: int) -> SeveralLabels | SoftLabels | None:
    """Check targets that are not one label for each row.

    Parameters
    ----------
    y : object
        A matrix or frame of two columns or more: of values 0 and 1 it says which labels a row has,
        and of other values, whose rows add up to 1, what share each class has. Or one set of labels
        for each row: a set, or a list or tuple of strings.
    n_rows : int

    Returns
    -------
    SeveralLabels, SoftLabels or None
        None where `y` is something else, such as one label for each row.

    Raises
    ------
    TypeError, ValueError
        `y` is one of these, and not valid.
    """
    y = as_plain(y, "`y`")
    given = _matrix(y)
    if given is not None:
        values, names = given
        check_n_rows(n_rows, len(values))
        return _read_matrix(values, names, sparse.issparse(y))
    rows = _label_sets(y)
    if rows is None:
        return None
    check_n_rows(n_rows, len(rows))
    labels = _sorted_labels(rows)
    form = type(rows[0]).__name__
    form = form if form in ("list", "tuple") else "list" if form == "ndarray" else "set"
    return SeveralLabels(labels, mark_labels(rows, labels), form)


# Matrices


def _matrix(y: Any) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
    """Return the values of a matrix of two columns or more, and the names of its columns."""
    if sparse.issparse(y):
        return (y.toarray(), None) if y.ndim == 2 else None
    if hasattr(y, "column_names") and hasattr(y, "to_pandas"):  # a table of Arrow
        y = y.to_pandas()
    if hasattr(y, "columns") and hasattr(y, "to_numpy"):
        return (y.to_numpy(), _column_names(list(y.columns))) if len(y.columns) > 1 else None
    if isinstance(y, list | tuple) and not _are_rows_of_numbers(y):
        return None
    if getattr(y, "ndim", 2) != 2 or isinstance(y, str) or y is None:
        return None
    try:
        values = np.asarray(y)
    except (RuntimeError, TypeError, ValueError):
        rows = list(y) if isinstance(y, Iterable) else []
        if not rows or not all(map(_holds_labels, rows)):
            return None
        lengths = sorted(set(map(len, rows)))
        raise ValueError(
            f"rows of `y` are of different lengths, {lengths[0]} to {lengths[-1]}; give labels "
            "that are numbers in sets"
            if len(lengths) > 1
            else "rows of `y` hold values of different shapes; give labels that are numbers in sets"
        ) from None
    return (values, None) if values.ndim == 2 and values.shape[1] > 1 else None


def _column_names(names: list[Any]) -> NDArray[Any]:
    """Return the names of a frame's columns, which are the labels."""
    try:
        labels, numbers = check_labels(names, len(names))
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"the columns of `y` name its labels, but are called {names}; give strings or whole "
            "numbers, or an array, whose labels are 0, 1, …"
        ) from error
    if len(labels) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`y` has two columns called {twice!r}; give each label one column")
    return labels[numbers]


def _are_rows_of_numbers(y: Sequence[Any]) -> bool:
    """Whether a list holds rows of a matrix: arrays, lists or tuples without strings."""
    return (
        bool(y)
        and all(
            isinstance(row, list | tuple | np.ndarray)
            and (
                row.ndim > 0 and row.dtype.kind not in "UO"
                if isinstance(row, np.ndarray)
                else not _has_text(row)
            )
            for row in y
        )
        and any(len(row) for row in y)
    )


def _has_text(row: Iterable[Any]) -> bool:
    return any(isinstance(label, str) for label in row)


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Return a matrix of objects, such as a frame of nullable types, as one of numbers or bools."""
    with contextlib.suppress(ValueError):  # cells that hold sequences
        narrow = np.array(values.tolist())
        if narrow.dtype.kind in "biuf" and narrow.ndim == 2:
            return narrow
    missing = [row for row, items in enumerate(values) if any(map(is_missing, items))]
    if missing:
        raise ValueError(
            f"row {missing[0]} of `y` holds a missing value: {list(values[missing[0]])}"
        )
    with contextlib.suppress(TypeError, ValueError):
        return values.astype(np.float64)
    return values


def _read_matrix(
    values: NDArray[Any], names: NDArray[Any] | None, is_sparse: bool
) -> SeveralLabels | SoftLabels:
    if values.dtype == object:
        values = _narrowed(values)
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"`y` is a matrix of {values.dtype} with {values.shape[1]} columns, which is neither "
            "one label for each row nor an indicator of several, whose values are 0 and 1"
        )
    odd = np.flatnonzero(~np.isfinite(values.astype(np.float64)).all(axis=1))
    if len(odd):
        raise ValueError(f"row {odd[0]} of `y` contains NaN or infinity")
    classes = np.arange(values.shape[1]) if names is None else names
    if ((values == 0) | (values == 1)).all():
        form = "sparse" if is_sparse else "indicator"
        # A long double has another name, and another size, on every machine.
        dtype = values.dtype.name if values.dtype.itemsize <= 8 else "float64"
        return SeveralLabels(classes, values.astype(bool), form, dtype)
    sums = values.sum(axis=1, dtype=np.float64)
    wrong = (values < 0).any(axis=1) | (np.abs(sums - 1) > _TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"`y` is a matrix with values other than 0 and 1, and row {row} is "
            f"{values[row].tolist()}; give an indicator of 0 and 1, or soft labels: rows of shares "
            "of 0 or more that add up to 1"
        )
    order = np.argsort(classes, kind="stable")
    shares = values[:, order].astype(np.float64)
    return SoftLabels(classes[order], shares / shares.sum(axis=1, keepdims=True))


# Sets


def _label_sets(y: Any) -> list[Any] | None:
    """Return one set of labels for each row, None where `y` holds something else."""
    if isinstance(y, str | bytes | dict) or getattr(y, "ndim", 1) != 1:
        return None
    if isinstance(y, np.ndarray) and y.dtype != object:
        return None
    try:
        rows = list(as_list(y))
    except TypeError:
        return None
    first = next((row for row in rows if row is not None), None)
    if not _holds_labels(first) or _are_rows_of_numbers(rows):
        return None
    for number, row in enumerate(rows):
        if not _holds_labels(row):
            raise TypeError(
                f"row {number} of `y` is {row!r}, but others are sets of labels; give one for each "
                "row, an empty one where there is no label"
            )
    return rows


def _holds_labels(row: Any) -> bool:
    """Whether a row is a container, which an array without dimensions is not."""
    return isinstance(row, _CONTAINERS) and getattr(row, "ndim", 1) > 0


def _sorted_labels(rows: Sequence[Iterable[Any]]) -> NDArray[Any]:
    """Return all labels of some sets, sorted."""
    kinds: dict[bool, Any] = {}
    for number, row in enumerate(rows):
        for label in row:
            if ends_in_nul(label):
                raise ValueError(
                    f"row {number} of `y` holds {label!r}; a label must not end in NUL"
                )
            if is_missing(label) or isinstance(label, _CONTAINERS):
                raise ValueError(
                    f"row {number} of `y` holds {label!r}, which is no label; give strings or "
                    "numbers"
                )
            kinds[isinstance(label, str)] = label
    if len(kinds) > 1:
        raise TypeError(
            f"`y` mixes labels such as {kinds[True]!r} and {kinds[False]!r}; give strings or "
            "numbers alone"
        )
    try:
        labels = np.array(sorted({label for row in rows for label in row}))
    except TypeError as error:
        raise TypeError(f"the labels of `y` cannot be put in order ({error})") from error
    if labels.ndim != 1:
        raise TypeError("labels of `y` must be strings or numbers, but some hold several values")
    return labels


def mark_labels(rows: Sequence[Iterable[Any]], classes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which labels each row has.

    Parameters
    ----------
    rows : sequence of sets, length n_rows
    classes : ndarray of shape (n_labels,)

    Returns
    -------
    ndarray of bool, shape (n_rows, n_labels)
        With one column more, for rows that have a label which is none of `classes`, if there are
        any.
    """
    column = {label: at for at, label in enumerate(classes.tolist())}
    marked = np.zeros((len(rows), len(classes) + 1), bool)
    for number, row in enumerate(rows):
        for label in row:
            marked[number, column.get(label, len(classes))] = True
    return marked if marked[:, -1].any() else marked[:, :-1]
