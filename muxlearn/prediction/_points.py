"""Operating points: what a fitted model may predict at, and how well and how fast it does."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from muxlearn._params import Choice, Integer, OneOf
from muxlearn._timing import paired_seconds
from muxlearn._warnings import warn
from muxlearn.points import (
    WORDS,
    OperatingPoints,
    Point,
    PointLike,
    as_point,
    as_points,
    speed_rank,
)
from muxlearn.prediction._runner import Runner

__all__ = [
    "Measured",
    "choose_points",
    "fastest_point",
    "label_of",
    "measure_points",
    "resolve_point",
    "resolve_points",
]

#: "score", "n_rows" and "rows_per_second" by operating point; of a share also "low" and "high".
Measured = dict[PointLike, dict[str, float]]

#: Rows below which a score says little, and the quantile of an interval of 95 %.
_FEW, _QUANTILE = 100, 1.96


def resolve_point(n_mux: PointLike | None, runner: Runner, patch_size: int | None = None) -> Point:
    """Return the operating point that is asked for.

    Parameters
    ----------
    n_mux : int, (int, int), "words" or None
        Rows in a mixture, or a whole point. None stands for the capacity.
    runner : Runner
        Runs the network that predicts there.
    patch_size : int, default=None
        Tokens of a row in a position; None stands for the model's own.

    Returns
    -------
    Point

    Raises
    ------
    TypeError, ValueError
        The network has no such point.
    """
    if n_mux is None and patch_size is None:
        return runner.own_point
    # Not `own_point.patch_size`, which is 0 for a model that answers by the words alone.
    own = next(iter(runner.patch_sizes), 1) if patch_size is None else patch_size
    Integer(1).check("patch_size", own)
    if n_mux is None:
        return runner.round_point(Point(runner.n_mux, own))
    point = as_point(n_mux, own)
    if point is not None and isinstance(n_mux, str | tuple | list) and patch_size is not None:
        raise ValueError(
            f"`n_mux` is {n_mux!r}, which says all of an operating point; leave `patch_size` out"
        )
    if point is None or point.n_mux > runner.n_mux:
        raise _no_point(n_mux, runner)
    return runner.round_point(point)


def _no_point(given: Any, runner: Runner) -> Exception:
    """Return the error for what names no operating point of the network that a runner runs."""
    n_slots, sizes = runner.n_mux, sorted(runner.patch_sizes)
    is_large = as_point(given) is not None
    is_point = is_large or isinstance(given, int | np.integer)
    error = ValueError if is_point and not isinstance(given, bool) else TypeError
    built = f"{n_slots} slot" + "s" * (n_slots > 1)
    if sizes[-1:] > [1]:
        built += f" and a `patch_size` of {' or '.join(map(str, sizes))}"
    advice = "; fit one with a larger `n_mux` for more rows" if is_large else ""
    if isinstance(given, str):
        advice = "; `fastest_point` returns a point that it has"
    return error(
        "`n_mux` must be an operating point: 'words', a pair (n_mux, patch_size), or a number of "
        f"rows of at least 1 and of at most {n_slots}, got {given!r} ({type(given).__name__}); "
        f"this model was built with {built}{advice}"
    )


def choose_points(
    given: PointLike | Sequence[PointLike] | None,
    trained: Sequence[PointLike] | None,
    runner: Runner,
) -> list[Point]:
    """Return the operating points to look at, the slowest first.

    Parameters
    ----------
    given : int, "words", tuple of points or None
        None stands for `trained`, or for the capacity and its halves down to 1.
    trained : sequence of points or None
        The operating points that the model was trained at.
    runner : Runner

    Returns
    -------
    list of Point
    """
    if isinstance(given, Point):
        given = [given]
    allowed = OneOf(None, Integer(1), Choice("words"), OperatingPoints())
    allowed.check("n_mux", given)
    if given is None:
        given = as_points(trained) if trained else _halves(resolve_point(None, runner))
    return sorted(resolve_points(given, runner), key=speed_rank)


def resolve_points(given: PointLike | Iterable[PointLike], runner: Runner) -> set[Point]:
    """Return the operating points that are asked for.

    Parameters
    ----------
    given : int, "words", Point, or iterable of points
        A pair of numbers is two of them.
    runner : Runner

    Returns
    -------
    set of Point

    Raises
    ------
    TypeError, ValueError
        The network has no such point.
    """
    if isinstance(given, str | Point) or not isinstance(given, Iterable):
        return {resolve_point(given, runner)}
    try:
        return {resolve_point(point, runner) for point in given}
    except (TypeError, ValueError) as error:
        if as_point(given) is None:
            raise
        advice = f"a single pair stands in a list, [{tuple(given)}]"
        raise type(error)(f"{error}; {advice}") from None


def _halves(point: Point) -> list[Point]:
    n_mux, patch_size = point
    return [Point(n_mux >> halvings, patch_size) for halvings in range(n_mux.bit_length())]


def label_of(point: Point, runner: Runner) -> PointLike:
    """Return what users call a point: a number where rows alone share positions, or a pair.

    Parameters
    ----------
    point : Point
    runner : Runner

    Returns
    -------
    int, Point or "words"
        `resolve_point` takes it.
    """
    if point == WORDS:
        return str(point)
    return point.n_mux if runner.patch_sizes == (1,) else point


def measure_points(
    points: Sequence[PointLike],
    score: Callable[[PointLike], float],
    predict: Callable[[PointLike], Any],
    n_rows: int,
    repeats: int,
    *,
    n_timed: int | None = None,
    is_share: bool = False,
) -> Measured:
    """Score and time some operating points; to score one is to predict once, which warms it up.

    Parameters
    ----------
    points : sequence of int, Point or "words"
    score, predict : callable
        Take a point.
    n_rows : int
        Number of rows that are scored.
    repeats : int
        Number of timed calls of `predict`, whose median is taken.
    n_timed : int, default=None
        Rows that one call of `predict` predicts; None stands for `n_rows`.
    is_share : bool, default=False
        Whether a score is the share of rows that are right, which has an interval.

    Returns
    -------
    dict of point to dict of str to float
        By point: its "score", "n_rows" and "rows_per_second", and of a share "low" and "high".
    """
    scores = {point: float(score(point)) for point in points}
    runs = {point: partial(predict, point) for point in points}
    seconds = paired_seconds(runs, repeats, warm_ups=0)
    return {
        point: {
            "score": scores[point],
            "rows_per_second": (n_timed or n_rows) / statistics.median(seconds[point]),
            "n_rows": n_rows,
            **(share_interval(scores[point], n_rows) if is_share else {}),
        }
        for point in points
    }


def share_interval(share: float, n_rows: int) -> dict[str, float]:
    """Return "low" and "high", the interval of 95 % of a share (Wilson, 1927)."""
    squared = _QUANTILE**2 / n_rows
    center = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    return {"low": max(0.0, center - half), "high": min(1.0, center + half)}


def fastest_point(measured: Mapping[PointLike, Mapping[str, float]], min_score: float) -> PointLike:
    """Return the fastest of some measured operating points that is good enough.

    Parameters
    ----------
    measured : mapping of points to mapping of str to float
        From `measure_points`.
    min_score : float

    Returns
    -------
    int, Point or "words"
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
            f"n_mux={best!r} with {scores[best]:.6g}; lower `min_score`"
        )
    chosen = max(good, key=lambda point: (rates[point], scores[point]))
    _warn_of_few_rows(chosen, measured[chosen])
    return chosen


def _warn_of_few_rows(point: PointLike, figures: Mapping[str, float]) -> None:
    n_rows = figures.get("n_rows", _FEW)
    if n_rows >= _FEW:
        return
    between = (
        f", between {figures['low']:.3g} and {figures['high']:.3g}" if "low" in figures else ""
    )
    warn(
        f"the score of n_mux={point!r} is {figures['score']:.3g}{between}, and was measured on "
        f"only {n_rows:.0f} rows; measure_operating_points(X, y) with some hundred rows says more",
    )
