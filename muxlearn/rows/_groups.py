"""Groups of rows that never share a mixture, and streams of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_groups", "group_windows", "iterate_groups", "stream_windows"]


def check_groups(groups: ArrayLike | None, n_rows: int) -> NDArray | None:
    """Check one group label for each row.

    Parameters
    ----------
    groups : array-like of shape (n_rows,) or None
    n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,) or None
    """
    if groups is None:
        return None
    labels = list(iterate_groups(groups))
    if len(labels) != n_rows:
        raise ValueError(
            f"`groups` needs one label for each of the {n_rows} rows of `X`, got {len(labels)}"
        )
    numbers: dict[Any, int] = {}
    try:
        return np.array([numbers.setdefault(label, len(numbers)) for label in labels])
    except TypeError as error:
        raise TypeError(f"a label of `groups` cannot be used as a key ({error})") from error


def iterate_groups(groups: Any) -> Iterator[Any]:
    """Iterate over group labels as they are: numpy would take 1 and "1" for the same one.

    Parameters
    ----------
    groups : iterable

    Returns
    -------
    iterator
    """
    wanted = "`groups` needs one label for each row of `X`"
    if isinstance(groups, str | Mapping) or not isinstance(groups, Iterable):
        raise TypeError(f"{wanted}, got an instance of {type(groups).__name__}")
    if len(getattr(groups, "shape", (1,))) != 1:
        raise ValueError(f"{wanted}, got an array of shape {tuple(getattr(groups, 'shape', ()))}")
    return iter(groups.tolist() if hasattr(groups, "tolist") else groups)


def group_windows(
    codes: NDArray[np.int64] | None, n_rows: int, size: int
) -> list[NDArray[np.int64]]:
    """Cut rows into windows; those of a group do not depend on the rows of other groups.

    Parameters
    ----------
    codes : ndarray of int64, shape (n_rows,), or None
        Numbers of the rows' groups, from 0 on.
    n_rows : int
    size : int
        Rows of a window, at most.

    Returns
    -------
    list of ndarray of int64
        The rows of each window. A group that is larger than a window is cut every `size` rows,
        counted from its own first one; smaller ones stay whole.
    """
    if codes is None:
        return np.split(np.arange(n_rows), range(size, n_rows, size))
    order = np.argsort(codes, kind="stable")
    cuts, start, end = [], 0, 0
    for n_of_group in np.bincount(codes).tolist():
        for first in range(0, n_of_group, size):
            n_piece = min(size, n_of_group - first)
            if end + n_piece - start > size:
                cuts.append(end)
                start = end
            end += n_piece
    return np.split(order, cuts)


def stream_windows(
    rows: Iterator[Any],
    groups: Iterator[Any] | None,
    size: int,
    check_rows: Callable[..., list[Any]],
) -> Iterator[tuple[list[Any], NDArray[np.int64] | None]]:
    """Cut a stream of rows into checked windows with their groups' numbers.

    Parameters
    ----------
    rows : iterator
    groups : iterator or None
        One label for each row.
    size : int
        Rows of a window.
    check_rows : callable
        Takes a list of rows and `first_row`, the number of the first one.

    Yields
    ------
    rows : list
    codes : ndarray of int64, shape (n_rows,), or None
    """
    first_row = 0
    while window := list(islice(rows, size)):
        window = check_rows(window, first_row=first_row)
        codes = None
        if groups is not None:
            labels = list(islice(groups, len(window)))
            if len(labels) < len(window):
                raise ValueError(
                    "`groups` needs one label for each row of `X`, but ends after "
                    f"{first_row + len(labels)} labels"
                )
            codes = check_groups(labels, len(window))
        yield window, codes
        first_row += len(window)
    if groups is not None and list(islice(groups, 1)):
        raise ValueError(
            f"`groups` needs one label for each row of `X`, but goes on after its {first_row} rows"
        )
