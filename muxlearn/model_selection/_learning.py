"""Learns a cascade from rows that were set aside, and reports on it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from muxlearn._params import Number
from muxlearn._timing import REPEATS, TIMED_ROWS, paired_seconds
from muxlearn._warnings import warn
from muxlearn.model_selection._running import Cascade, answer
from muxlearn.model_selection._stages import Stage, check_classes
from muxlearn.model_selection._thresholds import (
    Aim,
    Answers,
    Learned,
    learn_temperature,
    learn_thresholds,
    temper,
)

__all__ = ["LearnedCascade", "check_rates", "learn"]

#: With fewer rows than this, there is a warning.
_FEW_ROWS = 100


class LearnedCascade(NamedTuple):
    """A cascade, and what it did on the rows it was learned from.

    Attributes
    ----------
    cascade : Cascade
    stage_report : dict of dict of str to float
    cascade_report : dict of str to float
    """

    cascade: Cascade
    stage_report: dict[Any, dict[str, float]]
    cascade_report: dict[str, float]


def check_rates(rates: Any, stages: Sequence[Stage] | None) -> None:
    """Raise TypeError or ValueError for a parameter `rows_per_second` that does not fit.

    Parameters
    ----------
    rates : object
    stages : sequence of Stage or None
        None: they are not known yet, nor how many there are.
    """
    if rates is None:
        return
    wanted = "`rows_per_second` must be None or a list of numbers above 0, one for each stage"
    if not isinstance(rates, list | tuple | np.ndarray):
        raise TypeError(f"{wanted}, got {rates!r} ({type(rates).__name__})")
    if not all(map(Number(0, open_low=True).accepts, rates)):
        raise ValueError(f"{wanted}, got {rates!r}")
    if stages is not None and len(rates) != len(stages):
        names = [stage.name for stage in stages]
        raise ValueError(f"{wanted}, got {len(rates)} numbers for the {len(names)} stages {names}")


def learn(
    stages: Sequence[Stage],
    X: Any,
    y: NDArray,
    weights: NDArray[np.float64],
    *,
    aim: Aim,
    rates: Sequence[float] | None,
    seed: int,
) -> LearnedCascade:
    """Learn temperatures and thresholds.

    Parameters
    ----------
    stages : sequence of Stage
        Fitted to other rows.
    X : sequence of length n_rows
    y : ndarray of shape (n_rows,)
        Labels.
    weights : ndarray of shape (n_rows,)
        Above 0.
    aim : Aim
    rates : sequence of float, length n_stages, or None
        Rows per second; None measures them.
    seed : int

    Returns
    -------
    LearnedCascade

    Raises
    ------
    ValueError
        Stages do not belong together, or the aim is out of reach.
    """
    check_rates(rates, stages)
    _warn_of_few(len(y), aim.max_drop)
    classes = check_classes(stages, y)
    targets = np.searchsorted(classes, y)
    proba = [answer(stage, X) for stage in stages]
    temperatures = np.array([learn_temperature(p, targets, weights) for p in proba])
    tempered = np.stack(list(map(temper, proba, temperatures.tolist())))
    answers = Answers(tempered.max(axis=2), tempered.argmax(axis=2) == targets, weights)
    timed = _safe_indexing(X, np.arange(min(len(y), TIMED_ROWS)))
    # To answer all rows has warmed the stages up.
    speeds = rates
    if speeds is None:
        speeds = _measure([partial(answer, stage, timed) for stage in stages], timed)
    learned = learn_thresholds(answers, speeds, aim, seed)
    cascade = Cascade(stages, learned.thresholds, temperatures, classes)
    whole = [learned.rows_per_second, speeds[-1]]
    if rates is None:
        last = partial(answer, stages[-1], timed)
        whole = _measure([partial(cascade.predict_proba, timed), last], timed)
    return LearnedCascade(
        cascade,
        _stage_report(cascade, answers, speeds),
        _cascade_report(learned, float(answers.scores()[-1]), whole, len(y)),
    )


def _measure(runs: Sequence[Callable[[], Any]], rows: Any) -> list[float]:
    """Return rows per second of some runs, which are timed in turn."""
    seconds = paired_seconds(dict(enumerate(runs)), REPEATS, warm_ups=0)
    return [_num_samples(rows) / statistics.median(seconds[run]) for run in seconds]


def _stage_report(
    cascade: Cascade, answers: Answers, speeds: Sequence[float]
) -> dict[Any, dict[str, float]]:
    reached, stopped = cascade.shares(answers.confidence, answers.weights)
    figures = zip(reached, stopped, answers.scores(), speeds, strict=True)
    names = ("reached", "stopped", "score", "rows_per_second")
    return {
        stage.name: dict(zip(names, map(float, row), strict=True))
        for stage, row in zip(cascade.stages, figures, strict=True)
    }


def _cascade_report(
    learned: Learned, last_score: float, speeds: Sequence[float], n_rows: int
) -> dict[str, float]:
    return {
        "score": last_score - learned.drop,
        "rows_per_second": float(speeds[0]),
        "last_score": last_score,
        "last_rows_per_second": float(speeds[1]),
        "drop": learned.drop,
        "drop_standard_error": learned.standard_error,
        "n_rows": n_rows,
    }


def _warn_of_few(n_rows: int, max_drop: float | None) -> None:
    if n_rows < max(_FEW_ROWS, 1 / max_drop if max_drop else 0):
        warn(
            f"thresholds are learned from {n_rows} rows, and each of them changes the score by "
            f"{1 / n_rows:.2g}; give more rows, or set more of them aside by `validation_fraction`",
        )
