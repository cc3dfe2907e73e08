"""Plan which rows share a mixture, and put their answers back in order.

Everything here is numpy on row numbers: no strings, no tensors. Training, prediction and export
form their mixtures with these functions and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn._params import Integer, check_parameters

__all__ = ["MixturePlan", "plan_mixtures", "training_batches", "turns_of"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MixturePlan:
    """A one-to-one map from rows to the counted places of some mixtures.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_mixtures, n_mux)
        The row that stands in each place.
    counted : ndarray of bool, shape (n_mixtures, n_mux)
        False where the row is a filler: a repetition whose prediction is thrown away. Every row
        is counted exactly once.
    """

    rows: Rows
    counted: NDArray[np.bool_]

    @property
    def n_mux(self) -> int:
        """Rows in a mixture."""
        return self.rows.shape[1]

    def __len__(self) -> int:
        """Return the number of mixtures."""
        return len(self.rows)

    def batches(self, batch_size: int) -> Iterator[MixturePlan]:
        """Yield consecutive parts of at most `batch_size` mixtures."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield MixturePlan(self.rows[part], self.counted[part])

    def unmix(self, values: NDArray) -> NDArray:
        """Bring the values of all places back into the order of the rows.

        Parameters
        ----------
        values : ndarray, shape (n_mixtures, n_mux, ...)
            One value for each place, fillers included.

        Returns
        -------
        ndarray, shape (n_rows, ...)
            The values of the counted places; entry `i` belongs to row `i`.
        """
        if values.shape[:2] != self.rows.shape:
            raise ValueError(
                f"`values` starts with axes {values.shape[:2]}, but the plan has "
                f"{self.rows.shape[0]} mixtures of {self.rows.shape[1]} rows"
            )
        counted_rows = self.rows[self.counted]
        out = np.empty((len(counted_rows), *values.shape[2:]), dtype=values.dtype)
        out[counted_rows] = values[self.counted]
        return out


def plan_mixtures(
    lengths: ArrayLike,
    n_mux: int,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    regrouping: int = 0,
) -> MixturePlan:
    """Plan the mixtures of one prediction call.

    Rows of similar length share a mixture, since a mixture is as long as its longest row. The
    last mixture of a group is filled up by repeating rows of the same group, nearest in length
    first.

    Parameters
    ----------
    lengths : array-like of int, shape (n_rows,)
        Length of each row in tokens; constant for images.
    n_mux : int
        Rows in a mixture, at least 1.
    groups : array-like, shape (n_rows,), default=None
        Rows of different groups never share a mixture.
    seed : int, default=0
        Decides the order of rows of equal length. The same arguments give the same plan.
    regrouping : int, default=0
        Number of an alternative plan for the same rows: from 1 on, rows change companions and
        places at little cost in padding.

    Returns
    -------
    MixturePlan
        Mixtures in descending order of their longest row, so that batches hold little padding
        and one that does not fit into memory fails at the start.
    """
    lengths = _check_lengths(lengths)
    check_parameters(
        {"n_mux": n_mux, "seed": seed, "regrouping": regrouping},
        {"n_mux": Integer(1), "seed": Integer(0), "regrouping": Integer(0)},
    )
    if groups is not None and np.shape(groups) != lengths.shape:
        raise ValueError(
            f"`groups` has shape {np.shape(groups)}, but there are {len(lengths)} rows"
        )
    if groups is None or n_mux == 1:
        codes = np.zeros(len(lengths), dtype=np.int64)
    else:
        codes = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(codes)[codes]
    by_size = np.lexsort((codes, sizes))
    # What is drawn depends on a group's size alone: no group moves another's rows.
    parts = [
        _plan_groups(rows.reshape(-1, sizes[rows[0]]), lengths, n_mux, seed, regrouping)
        for rows in np.split(by_size, np.flatnonzero(np.diff(sizes[by_size])) + 1)
    ]
    rows, counted = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    longest_first = np.lexsort((codes[rows[:, 0]], -lengths[rows].max(1)))
    return MixturePlan(rows[longest_first], counted[longest_first])


def _check_lengths(lengths: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(lengths)
    if given.ndim != 1 or len(given) == 0:
        raise ValueError(f"`lengths` needs one axis and at least one row, got shape {given.shape}")
    # The negative of an unsigned number is a large one.
    return given.astype(np.int64)


def _plan_groups(
    rows: Rows, lengths: NDArray, n_mux: int, seed: int, regrouping: int
) -> tuple[Rows, NDArray[np.bool_]]:
    """Mix groups of one size, (n_groups, size): rows and whether they count, as in a plan."""
    n_groups, size = rows.shape
    rng = np.random.default_rng([seed, regrouping])
    ranking = -lengths[rows].astype(np.float64)
    if regrouping:
        # Up to an eighth longer or shorter: new companions, little more padding.
        ranking *= rng.uniform(0.875, 1.125, size)
    tie_breaker = np.broadcast_to(rng.permutation(size), rows.shape)
    order = np.lexsort((tie_breaker, ranking))
    mixed, counted = _fill(np.take_along_axis(rows, order, 1), n_mux)
    if not regrouping:
        return mixed, counted
    in_order = np.broadcast_to(np.arange(n_mux), (len(mixed) // n_groups, n_mux))
    places = np.tile(rng.permuted(in_order, axis=1), (n_groups, 1))
    return np.take_along_axis(mixed, places, 1), np.take_along_axis(counted, places, 1)


def _fill(rows: Rows, n_mux: int) -> tuple[Rows, NDArray[np.bool_]]:
    """Cut groups into mixtures; the last one of each borrows the rows that stand before it."""
    n_groups, size = rows.shape
    n_spare = -size % n_mux
    first_of_last = size - (n_mux - n_spare)
    borrowed = rows[:, (first_of_last - 1 - np.arange(n_spare)) % size]
    counted = np.ones((n_groups, size + n_spare), dtype=bool)
    counted[:, size:] = False
    return np.concatenate([rows, borrowed], 1).reshape(-1, n_mux), counted.reshape(-1, n_mux)


def training_batches(
    lengths: ArrayLike,
    n_mux: int | tuple[int, ...],
    batch_size: int,
    rng: np.random.Generator,
    shares: tuple[float, ...] | None = None,
) -> list[Rows]:
    """Draw the batches of one training epoch.

    An epoch has `ceil(n_rows / batch_size)` steps whatever `n_mux` is, so it sees every row about
    `n_mux` times, each time among new companions (the convention of MIMONets, where an epoch
    passes over the data N times).

    Parameters
    ----------
    lengths : array-like of int, shape (n_rows,)
        Length of each row in tokens.
    n_mux : int or tuple of int
        Rows in a mixture; of several operating points, each batch gets one, all equally often.
    batch_size : int
        Mixtures in a batch.
    rng : numpy.random.Generator
        Source of the order.
    shares : tuple of float, default=None
        Share of the batches of each operating point, with a sum of 1.

    Returns
    -------
    list of ndarray of int64, shape (batch_size or fewer, one of `n_mux`)
        The rows of each mixture, batch by batch.
    """
    lengths = _check_lengths(lengths)
    check_parameters({"batch_size": batch_size}, {"batch_size": Integer(1)})
    points = np.atleast_1d(np.asarray(n_mux))
    if shares is not None and len(shares) != len(points):
        raise ValueError(
            f"`shares` has {len(shares)} numbers, but `n_mux` {len(points)}; give one for each"
        )
    n_steps = -(-len(lengths) // batch_size)
    batch_size = min(batch_size, len(lengths))
    if shares is None:
        step_points = rng.permutation(np.resize(rng.permutation(points), n_steps))
    else:
        step_points = points[turns_of(shares, n_steps, rng)]
    n_places = batch_size * int(step_points.sum())
    n_rounds = -(-n_places // len(lengths))
    stream = np.concatenate([rng.permutation(len(lengths)) for _ in range(n_rounds)])[:n_places]

    batches = []
    # A window sorts by length. Twice the rows in it at most, or little else than copies of the same
    # rows would meet in a batch.
    mean_batch = batch_size * np.average(points, weights=shares)
    steps_per_window = max(1, min(64, n_steps, int(2 * len(lengths) / mean_batch)))
    start = 0
    for first in range(0, n_steps, steps_per_window):
        window_points = step_points[first : first + steps_per_window]
        n_window = batch_size * int(window_points.sum())
        window = stream[start : start + n_window]
        start += n_window
        noisy_lengths = lengths[window] * rng.uniform(0.9, 1.1, len(window))
        window = window[np.argsort(noisy_lengths, kind="stable")]
        bounds = np.cumsum(batch_size * window_points)[:-1]
        for rows, point in zip(np.split(window, bounds), window_points, strict=True):
            batches.append(_scatter(rows, int(point), rng))
    return [batches[i] for i in rng.permutation(len(batches))]


def turns_of(
    shares: tuple[float, ...], n_turns: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw which of some things takes each turn.

    Parameters
    ----------
    shares : tuple of float
        With a sum of 1. In every draw each gets its share of the turns, rounded up or down.
    n_turns : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (n_turns,)
    """
    marks = (rng.random() + np.arange(n_turns)) / n_turns
    drawn = np.searchsorted(np.cumsum(shares), marks, side="right")
    return rng.permutation(np.minimum(drawn, len(shares) - 1))


def _scatter(rows: Rows, n_mux: int, rng: np.random.Generator) -> Rows:
    """Deal rows to mixtures so that copies of a row land in different ones where they can."""
    _, codes = np.unique(rows, return_inverse=True)
    shuffled = rng.permutation(codes.max() + 1)
    rounds = rows[np.argsort(shuffled[codes], kind="stable")].reshape(n_mux, -1)
    dealt = np.empty_like(rounds)
    for i, row in enumerate(rounds[:, 0]):
        order = rng.permutation(rounds.shape[1])
        if i:
            # Mixtures that got a copy of this row at the end of the last round come last.
            order = order[np.argsort(dealt[i - 1, order] == row, kind="stable")]
        dealt[i, order] = rounds[i]
    return rng.permuted(dealt.T, axis=1)
