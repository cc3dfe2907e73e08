"""Operating points: what a fitted model may predict at, and how well and how fast it does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from muxlearn._params import Integer, IntegerTuple, OneOf, check_parameters
from muxlearn._timing import paired_seconds
from muxlearn.prediction._runner import Runner

__all__ = ["choose_points", "fastest_point", "measure_points", "resolve_point"]


def resolve_point(n_mux: int | None, runner: Runner) -> int:
    """Return the operating point that is asked for.

    Parameters
    ----------
    n_mux : int or None
        None stands for the capacity.
    runner : Runner
        Runs the network that predicts there.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        The network has no such point.
    """
    if n_mux is None:
        return runner.round_n_mux(runner.n_mux)
    within = Integer(1, runner.n_mux)
    if not within.accepts(n_mux):
        error = within.complain("n_mux", n_mux)
        slots = f"{error}; this model was built with {runner.n_mux} slots"
        advice = ", and `fastest_point` chooses among them" if isinstance(n_mux, str) else ""
        raise type(error)(slots + advice)
    return runner.round_n_mux(int(n_mux))


def choose_points(
    given: int | Sequence[int] | None, trained: Sequence[int] | None, runner: Runner
) -> list[int]:
    """Return the operating points to look at, in ascending order.

    Parameters
    ----------
    given : int, tuple of int or None
        None stands for `trained`, or for the capacity and its halves down to 1.
    trained : sequence of int or None
        The operating points that the model was trained at.
    runner : Runner

    Returns
    -------
    list of int
    """
    check_parameters({"n_mux": given}, {"n_mux": OneOf(None, Integer(1), IntegerTuple(1))})
    points: Sequence[int]
    if given is None:
        points = trained or _halves(resolve_point(None, runner))
    else:
        points = [given] if isinstance(given, int | np.integer) else given
    return sorted({resolve_point(point, runner) for point in points})


def _halves(n_mux: int) -> list[int]:
    return [n_mux >> halvings for halvings in range(n_mux.bit_length())]


def measure_points(
    points: Sequence[int],
    score: Callable[[int], float],
    predict: Callable[[int], Any],
    n_rows: int,
    repeats: int,
) -> dict[int, dict[str, float]]:
    """Score and time some operating points; to score one is to predict once, which warms it up.

    Parameters
    ----------
    points : sequence of int
    score, predict : callable
        Take a point.
    n_rows : int
        That one call of `predict` predicts.
    repeats : int
        Number of timed calls of `predict`, whose median is taken.

    Returns
    -------
    dict of int to dict of str to float
        By point: its "score" and its "rows_per_second".
    """
    scores = {point: float(score(point)) for point in points}
    runs = {point: partial(predict, point) for point in points}
    seconds = paired_seconds(runs, repeats, warm_ups=0)
    return {
        point: {
            "score": scores[point],
            "rows_per_second": n_rows / statistics.median(seconds[point]),
        }
        for point in points
    }


def fastest_point(measured: Mapping[int, Mapping[str, float]], min_score: float) -> int:
    """Return the fastest of some measured operating points that is good enough.

    Parameters
    ----------
    measured : mapping of int to mapping of str to float
        From `measure_points`.
    min_score : float

    Returns
    -------
    int
        The point. Of equally fast ones, it is the one with the higher score.

    Raises
    ------
    ValueError
        No point reaches `min_score`.
    """
    scores = {point: figures["score"] for point, figures in measured.items()}
    rates = {point: figures["rows_per_second"] for point, figures in measured.items()}
    # 0.95 - 0.02 is not quite 0.93.
    good = [point for point, score in scores.items() if score >= min_score - 1e-9]
    if not good:
        best = max(scores, key=lambda point: (scores[point], rates[point]))
        raise ValueError(
            f"no operating point scores `min_score` {min_score} or more: the best is "
            f"n_mux={best} with {scores[best]:.6g}; lower `min_score`"
        )
    return max(good, key=lambda point: (rates[point], scores[point]))
