"""Rows in columns: frames of pandas and polars, tables and arrays of Arrow, sets of `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "as_list",
    "check_pair_columns",
    "has_other_columns",
    "iterate_columns",
    "pair_columns",
]

#: What a kind of rows is called, by the name of it.
_KINDS = {"texts": "texts", "tokens": "lists of tokens"}

#: How the names of types of lists begin; "array" is polars'.
_LISTS = ("list", "large_list", "fixed_size_list", "array")


def as_list(values: Any) -> Any:
    """Return an array, a tensor or a column of any library as a list, all else as it is.

    Parameters
    ----------
    values : object

    Returns
    -------
    list or object
    """
    names = ("tolist", "to_list", "to_pylist")  # numpy and pandas, polars, Arrow
    name = next((name for name in names if hasattr(values, name)), None)
    return values if name is None or hasattr(values, "column_names") else getattr(values, name)()


class _Columns(NamedTuple):
    """A container of columns.

    Attributes
    ----------
    what : str
        What it is called.
    names : list of str
    types : list
        The type of each column, by its name.
    rows : callable
        Takes the numbers of one column, and returns its values, or of two, and returns pairs.
    """

    what: str
    names: list[str]
    types: list[Any]
    rows: Callable[[Sequence[int]], Iterable[Any]]

    def holding(self, kind: str) -> list[int]:
        """Return the numbers of the columns that hold such rows."""
        return [i for i, found in enumerate(self.types) if _is_of(kind, found)]

    @property
    def are_pairs(self) -> bool:
        """Whether there are two columns, both of texts."""
        return len(self.holding("texts")) == len(self.names) == 2


def iterate_columns(X: Any, *, name: str = "X", kind: str = "texts") -> Iterator[Any] | None:
    """Iterate over the rows of what keeps them in columns.

    Parameters
    ----------
    X : object
    name : str, default="X"
        What to call it in an error.
    kind : {"texts", "tokens"}, default="texts"
        The rows that are wanted.

    Returns
    -------
    iterator or None
        The values of the only column, or of the only one that holds such rows; pairs where there
        are two columns of texts and no other. None if `X` keeps no columns.

    Raises
    ------
    ValueError
        The columns do not tell which of them holds the rows.
    """
    if hasattr(X, "to_pylist") and not hasattr(X, "column_names"):  # an array of Arrow
        return chain.from_iterable(part.to_pylist() for part in getattr(X, "chunks", [X]))
    columns = _columns(X)
    if columns is None:
        return None
    fitting = columns.holding(kind)
    if len(columns.names) == 1:
        fitting = [0]
    if len(fitting) == 1 or (kind == "texts" and columns.are_pairs):
        return iter(columns.rows(fitting))
    raise ValueError(_explained(columns, fitting, name, kind))


def pair_columns(X: Any) -> tuple[str, ...] | None:
    """Return the names of the two columns that pairs of texts are read from.

    Parameters
    ----------
    X : object

    Returns
    -------
    tuple of str or None
        None if `X` keeps no columns, or no pairs in them.
    """
    columns = _columns(X)
    return tuple(columns.names) if columns is not None and columns.are_pairs else None


def has_other_columns(X: Any) -> bool:
    """Return whether `X` is a frame with columns beside the one that texts are read from.

    Parameters
    ----------
    X : object

    Returns
    -------
    bool
    """
    return len(getattr(X, "columns", ())) > 1 and pair_columns(X) is None


def check_pair_columns(X: Any, columns: tuple[str, ...] | None) -> None:
    """Check that pairs stand in the columns that they stood in before.

    Parameters
    ----------
    X : object
    columns : tuple of str or None
        From `pair_columns`.

    Raises
    ------
    ValueError
        They stand in others, or in these the other way round.
    """
    given = None if columns is None else pair_columns(X)
    if columns is not None and given not in (None, columns):
        raise ValueError(
            f"the columns of `X` are {list(given or ())}, but `fit` was given {list(columns)}; "
            "give these, in this order, or a list of pairs"
        )


def _explained(columns: _Columns, fitting: list[int], name: str, kind: str) -> str:
    known = ", ".join(repr(columns.names[i]) for i in fitting) or "none"
    example = columns.names[fitting[0]] if fitting else columns.names[0] if columns.names else "…"
    advice = f"give one column, {name}[{example!r}]"
    if kind == "texts":
        advice += ", or two columns alone for pairs"
    return (
        f"`{name}` is a {columns.what} of {len(columns.names)} columns; {len(fitting)} hold "
        f"{_KINDS[kind]} ({known}); {advice}"
    )


def _columns(X: Any) -> _Columns | None:
    if hasattr(X, "columns") and hasattr(X, "itertuples"):
        return _of_pandas(X)
    if hasattr(X, "columns") and hasattr(X, "iter_rows"):
        return _of_polars(X)
    if hasattr(X, "column_names") and hasattr(X, "to_pylist"):
        return _of_arrow(X)
    if hasattr(X, "column_names") and hasattr(X, "features") and hasattr(X, "__len__"):
        return _of_datasets(X)
    return None


def _of_pandas(X: Any) -> _Columns:
    def rows(numbers: Sequence[int]) -> Iterable[Any]:
        if len(numbers) == 1:
            return X.iloc[:, numbers[0]]
        return X.iloc[:, list(numbers)].itertuples(index=False, name=None)

    types = [_pandas_type(X.iloc[:, i]) for i in range(X.shape[1])]
    return _Columns("frame", list(map(str, X.columns)), types, rows)


def _pandas_type(column: Any) -> str:
    from pandas.api.types import infer_dtype

    if hasattr(column, "cat"):
        return infer_dtype(column.cat.categories)
    if hasattr(column.dtype, "pyarrow_dtype"):
        return str(column.dtype.pyarrow_dtype)
    found = infer_dtype(column, skipna=True)
    if found.startswith("mixed") or found == "empty":
        held = [value for value in column if value is not None]
        if held and isinstance(held[0], list | tuple | np.ndarray):
            return "list"
        # Objects among which some are no texts: which row that is, the check of the rows says.
        return "string" if any(isinstance(value, str | bytes) for value in held) else found
    return found


def _of_polars(X: Any) -> _Columns:
    def rows(numbers: Sequence[int]) -> Iterable[Any]:
        if len(numbers) == 1:
            return X.to_series(numbers[0])
        return X.select(X.columns[i] for i in numbers).iter_rows()

    return _Columns("frame", list(X.columns), list(map(str, X.dtypes)), rows)


def _of_arrow(X: Any) -> _Columns:
    def rows(numbers: Sequence[int]) -> Iterable[Any]:
        values = [X.column(i).to_pylist() for i in numbers]
        return values[0] if len(values) == 1 else zip(*values, strict=True)

    return _Columns("table", list(X.column_names), list(map(str, X.schema.types)), rows)


def _of_datasets(X: Any) -> _Columns:
    plain, names = X.with_format(None), list(X.column_names)

    def rows(numbers: Sequence[int]) -> Iterable[Any]:
        values = [plain[names[i]] for i in numbers]
        return values[0] if len(values) == 1 else zip(*values, strict=True)

    types = X.features.arrow_schema.types if X.features is not None else []
    return _Columns("data set", names, list(map(str, types)), rows)


def _is_of(kind: str, found: str) -> bool:
    """Return whether a type, by its name in any of the libraries, is that of such rows."""
    found = found.lower()
    if kind == "tokens":
        return found.startswith(_LISTS)
    nested = (*_LISTS, "struct", "map")
    named = any(part in found for part in ("string", "categorical", "enum"))
    return named and not found.startswith(nested)
