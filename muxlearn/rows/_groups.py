"""Groups of rows that never share a mixture, and streams of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn.rows._tables import join_rows, take_rows
from muxlearn.rows._texts import is_missing

__all__ = [
    "check_groups",
    "group_windows",
    "in_stream_order",
    "iterate_groups",
    "own_windows",
    "ranks_in_groups",
    "stream_windows",
]


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
        codes = np.array([numbers.setdefault(label, len(numbers)) for label in labels])
    except TypeError as error:
        raise TypeError(f"labels of `groups` must be hashable ({error})") from error
    # Whether two of them are one group would depend on what holds them.
    if any(map(is_missing, numbers)):
        _check_given(labels)
    return codes


def _check_given(labels: list[Any], first_row: int = 0) -> None:
    for row, label in enumerate(labels, first_row):
        if is_missing(label):
            raise ValueError(f"row {row} of `groups` is missing ({label!r}); give each row a label")


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
    if isinstance(groups, str | bytes | Mapping | set | frozenset) or not isinstance(
        groups, Iterable
    ):
        raise TypeError(f"{wanted}, got an instance of {type(groups).__name__}")
    if len(getattr(groups, "shape", (1,))) != 1:
        raise ValueError(f"{wanted}, got an array of shape {tuple(getattr(groups, 'shape', ()))}")
    return iter(groups.tolist() if hasattr(groups, "tolist") else groups)


def ranks_in_groups(groups: NDArray[np.int64] | None, n_rows: int) -> NDArray[np.int64]:
    """Return the number of each row among those of its group, from 0 on.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_rows,), or None
        None: all rows are of one group.
    n_rows : int

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    ranks = np.arange(n_rows)
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        _, firsts, counts = np.unique(groups[order], return_index=True, return_counts=True)
        ranks[order] = np.arange(n_rows) - np.repeat(firsts, counts)
    return ranks


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
    for window, labels in _labelled_windows(rows, groups, size, check_rows):
        yield window, None if labels is None else check_groups(labels, len(labels))


def own_windows(
    rows: Iterator[Any],
    groups: Iterator[Any],
    size: int,
    n_together: int,
    check_rows: Callable[..., Any],
) -> Iterator[tuple[Any, NDArray[np.int64], NDArray[np.int64]]]:
    """Cut a stream into windows in which a group's companions depend on its own rows alone.

    Each group's rows are counted from its first one, and `n_together` in a row are predicted
    together, whatever comes between them. A row waits for its companions until two windows of rows
    have been read behind it: no stream could be predicted in constant memory and in order if it
    waited for longer. Then all rows of its group that have come are predicted, and counted anew.

    Parameters
    ----------
    rows : iterator
    groups : iterator
        One label for each row.
    size : int
        Rows of a window at most.
    n_together : int
        At most `size`.
    check_rows : callable
        Takes a list of rows and `first_row`, the number of the first one.

    Yields
    ------
    rows : list or ndarray
    codes : ndarray of int64, shape (n_rows,)
        Rows with the same number may share a mixture.
    numbers : ndarray of int64, shape (n_rows,)
        The rows' numbers in the stream.
    """
    waiting: Any = []
    numbers, labels, n_read = np.empty(0, np.int64), [], 0
    for window, more in _labelled_windows(rows, groups, size, check_rows):
        waiting = join_rows(waiting, window)
        numbers = np.concatenate([numbers, np.arange(n_read, n_read + len(window))])
        labels += more or []
        n_read += len(window)
        codes, ready = _count_groups(labels, numbers, n_together, n_read - 2 * size)
        yield from _cut(waiting, codes, numbers, np.flatnonzero(ready), size)
        left = np.flatnonzero(~ready)
        waiting, numbers, labels = take_rows(waiting, left), numbers[left], take_rows(labels, left)
    if labels:
        codes, _ = _count_groups(labels, numbers, n_together, n_read)
        yield from _cut(waiting, codes, numbers, np.arange(len(labels)), size)


def in_stream_order(predicted: Iterable[tuple[tuple[Any, ...], Any]]) -> Iterator[Any]:
    """Yield the results of windows row by row, in the order of the stream they were cut from.

    Parameters
    ----------
    predicted : iterable of (window, results)
        Windows of `stream_windows` or of `own_windows`, and a result for each row.

    Yields
    ------
    object
        The result of a row.
    """
    held: dict[int, Any] = {}
    following = 0
    for (_, _, *numbers), results in predicted:
        if not numbers:  # as they were read
            yield from results
            continue
        held.update(zip(numbers[0].tolist(), results, strict=True))
        while following in held:
            yield held.pop(following)
            following += 1


def _count_groups(
    labels: list[Any], numbers: NDArray[np.int64], n_together: int, first_to_wait: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give what is predicted together a number, and say what waits for no other row."""
    groups = check_groups(labels, len(labels))
    assert groups is not None
    _, firsts, n_of_group = np.unique(groups, return_index=True, return_counts=True)
    parts = ranks_in_groups(groups, len(groups)) // n_together
    whole = parts < n_of_group[groups] // n_together
    late = numbers[firsts] < first_to_wait
    codes = np.unique(groups * (parts.max() + 1) + parts, return_inverse=True)[1]
    return codes, whole | late[groups]


def _cut(
    rows: Any,
    codes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    ready: NDArray[np.int64],
    size: int,
) -> Iterator[tuple[Any, NDArray[np.int64], NDArray[np.int64]]]:
    if not len(ready):
        return
    ready_codes = np.unique(codes[ready], return_inverse=True)[1]
    for part in group_windows(ready_codes, len(ready), size):
        chosen = ready[part]
        yield take_rows(rows, chosen), codes[chosen], numbers[chosen]


def _labelled_windows(
    rows: Iterator[Any],
    groups: Iterator[Any] | None,
    size: int,
    check_rows: Callable[..., Any],
) -> Iterator[tuple[Any, list[Any] | None]]:
    first_row = 0
    while window := list(islice(rows, size)):
        n_rows = len(window)
        window = check_rows(window, first_row=first_row)
        labels = None
        if groups is not None:
            labels = list(islice(groups, n_rows))
            if len(labels) < n_rows:
                raise ValueError(
                    "`groups` needs one label for each row of `X`, but ends after "
                    f"{first_row + len(labels)} labels"
                )
            _check_given(labels, first_row)
        yield window, labels
        first_row += n_rows
    if groups is not None and list(islice(groups, 1)):
        raise ValueError(
            f"`groups` needs one label for each row of `X`, but goes on after its {first_row} rows"
        )
