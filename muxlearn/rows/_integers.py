"""Rows that are sequences of integers as they are: pixels, symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from muxlearn._params import Constraint, Integer
from muxlearn.rows._reader import Reader
from muxlearn.rows._tensors import as_plain
from muxlearn.rows._texts import TokenTable, check_texts, iterate_rows

__all__ = ["IntegerReader", "check_rows", "holds_integers"]

#: Tables hold integers of this type.
_DTYPE = np.int32


@dataclass(frozen=True)
class IntegerReader(Reader):
    """Reads sequences of integers, which are tokens as they are.

    Parameters
    ----------
    vocab_size : int
        Integers are 0 to ``vocab_size - 1``.
    max_length : int
        What comes after that many integers of a row is cut off.
    """

    vocab_size: int
    max_length: int

    kind: ClassVar[str] = "integers"
    constraints: ClassVar[dict[str, Constraint]] = {
        "vocab_size": Integer(1),
        "max_length": Integer(1),
    }
    column_kind: ClassVar[str | None] = "integers"

    @classmethod
    def learn(cls, parts: Sequence[Any], max_length: int) -> IntegerReader:
        """Take the greatest integer of some checked rows, in parts, for the greatest there is."""
        greatest = max(int(row.max()) for rows in parts for row in rows)
        return cls(greatest + 1, max_length)

    def get_vocab_size(self) -> int:
        """Return the number of different integers."""
        return self.vocab_size

    def iterate(self, X: Any) -> Iterator[Any]:
        return iterate_rows(X)

    def check(self, X: Any, *, first_row: int = 0) -> list[Any] | NDArray[Any]:
        rows = check_rows(X, first_row=first_row, vocab_size=self.vocab_size)
        if not holds_integers(rows):
            raise TypeError("`X` holds texts, but `fit` was given sequences of integers")
        return rows

    def table(self, rows: Any) -> TokenTable:
        if isinstance(rows, np.ndarray):
            cut = rows[:, : self.max_length].astype(_DTYPE)
            return TokenTable(cut.ravel(), np.full(len(cut), cut.shape[1], np.int64))
        parts = [row[: self.max_length].astype(_DTYPE) for row in rows]
        return TokenTable(np.concatenate(parts), np.fromiter(map(len, parts), np.int64, len(parts)))

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocab_size": self.vocab_size, "max_length": self.max_length}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], files: Mapping[str, str]) -> IntegerReader:
        return cls(config["vocab_size"], config["max_length"])


def check_rows(
    X: Any, *, name: str = "X", first_row: int = 0, vocab_size: int | None = None
) -> list[Any] | NDArray[Any]:
    """Turn what holds texts, pairs of texts or sequences of integers into checked rows.

    Parameters
    ----------
    X : sequence
        Texts and pairs as for `check_texts`; an array of integers of shape (n_rows, length), or
        lists, tuples or arrays of integers.
    name : str, default="X"
        What to call it in an error.
    first_row : int, default=0
        Number of the first row, for the parts of a stream.
    vocab_size : int, default=None
        Integers must be below it; None allows any.

    Returns
    -------
    list of str, list of (str, str), list of ndarray, or ndarray of shape (n_rows, length)

    Raises
    ------
    TypeError, ValueError
        A row is none of these or not what the first one is; a sequence is empty or holds what is
        no integer from 0 to below `vocab_size`. The message says which row.
    """
    rows: Any
    X = as_plain(X, f"`{name}`")
    if issparse(X):
        raise TypeError(
            f"`{name}` is a sparse matrix; give texts, or sequences of integers in lists or in a "
            "dense array"
        )
    if getattr(X, "ndim", 0) == 2 and not hasattr(X, "columns") and _kind(X) in "iuf":
        rows = np.asarray(X)
        if not len(rows):
            raise ValueError(f"`{name}` has 0 rows; at least 1 is needed")
        if rows.dtype.kind == "f":
            raise TypeError(
                f"`{name}` is an array of {rows.dtype}; give texts, not numbers made of them, or "
                "sequences of integers: convert whole numbers with .astype(int)"
            )
    else:
        rows = [as_plain(row, f"a row of `{name}`") for row in iterate_rows(X, name=name)]
        if hasattr(X, "columns") or not _are_numbers(rows):
            return check_texts(rows, name=name, first_row=first_row)
        rows = [
            _check_sequence(row, f"row {number} of `{name}`", first_row)
            for number, row in enumerate(rows, first_row)
        ]
    _check_bounds(rows, name, first_row, vocab_size)
    return rows


def holds_integers(rows: list[Any] | NDArray[Any]) -> bool:
    """Return whether checked rows are sequences of integers, not texts.

    Parameters
    ----------
    rows : list or ndarray
        From `check_rows`.

    Returns
    -------
    bool
    """
    return isinstance(rows[0], np.ndarray)


def _kind(X: Any) -> str:
    return np.asarray(X).dtype.kind


def _are_numbers(rows: list[Any]) -> bool:
    """Return whether the first row that is not empty is a sequence of numbers."""
    first: Any = next((row for row in rows if not _is_sequence(row) or len(row)), ())
    if not _is_sequence(first):
        return False
    values = first.tolist() if hasattr(first, "tolist") else first
    return bool(rows) and all(
        isinstance(v, Real) and not isinstance(v, bool) and v == v for v in values
    )


def _is_sequence(row: Any) -> bool:
    return isinstance(row, list | tuple) or getattr(row, "ndim", 0) == 1


def _check_sequence(row: Any, where: str, first_row: int) -> NDArray[Any]:
    if not _is_sequence(row):
        raise TypeError(
            f"{where} is of type {type(row).__name__}, but row {first_row} is a sequence of "
            "integers; give rows of one kind"
        )
    if not len(row):
        raise ValueError(f"{where} is empty; a sequence needs one integer at least")
    if not hasattr(row, "dtype"):
        odd = [v for v in row if not isinstance(v, Integral) or isinstance(v, bool)]
        if odd:
            raise ValueError(f"{where} holds {odd[0]!r}; sequences are of integers")
    values = np.asarray(row)
    if values.dtype.kind not in "iu":
        raise ValueError(f"{where} is of {values.dtype}; sequences are of integers")
    return values


def _check_bounds(rows: Any, name: str, first_row: int, vocab_size: int | None) -> None:
    if not rows[0].size:
        raise ValueError(f"row {first_row} of `{name}` is empty; a sequence needs one integer")
    limit = np.iinfo(_DTYPE).max if vocab_size is None else vocab_size
    if isinstance(rows, np.ndarray) and rows.min() >= 0 and rows.max() < limit:
        return
    for number, row in enumerate(rows, first_row):
        low, high = int(row.min()), int(row.max())
        if low < 0:
            raise ValueError(
                f"row {number} of `{name}` holds {low}; integers of sequences are 0 or more"
            )
        if high >= limit:
            known = "" if vocab_size is None else ", the greatest that `fit` has seen"
            raise ValueError(
                f"row {number} of `{name}` holds {high}, but integers go up to {limit - 1}{known}; "
                "map it to one of these"
            )
