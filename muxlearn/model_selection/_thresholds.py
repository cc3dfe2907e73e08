"""Temperatures and thresholds of a cascade, learned from rows that were set aside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from muxlearn.metrics import unbeaten

__all__ = ["Aim", "Answers", "Learned", "learn_temperature", "learn_thresholds", "temper"]

#: Probabilities below this are as good as 0, whose logarithm there is not.
_LEAST = 1e-12
#: Temperatures are searched between these.
_TEMPERATURES = (0.05, 20.0)
#: Each threshold has at most so many values, and at most one for so many rows.
_MOST_LEVELS, _ROWS_PER_LEVEL = 100, 10
#: Combinations of thresholds to compare, at most.
_MOST_COMBINATIONS = 100_000
#: Thresholds are tried on rows that they were not learned from, in so many parts.
_N_FOLDS = 5
#: How many standard errors of the drop are added to it, until it is kept on those rows.
_MARGINS = (0.0, 0.5, 1.0, 2.0)
#: How much of the standard error that was found there must fit under `max_drop` as well.
_CAUTION = 0.5
#: A cascade that is hardly faster than its last stage is not worth its stages.
_LEAST_GAIN = 1.05
#: A sum of differences is not quite what it is on paper.
_ROUNDING = 1e-9


# Temperatures


def temper(proba: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Divide log-probabilities by a temperature.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
    temperature : float
        Above 1 lowers the confidence. The order of the classes stays.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    if temperature == 1:
        return proba
    return softmax(np.log(np.maximum(proba, _LEAST)) / temperature, axis=1)


def learn_temperature(
    proba: NDArray[np.float64], targets: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """Return the temperature with the lowest log loss; 1 where none is lower than that of 1.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
    targets : ndarray of int64, shape (n_rows,)
        The numbers of the true classes.
    weights : ndarray of shape (n_rows,)

    Returns
    -------
    float
    """
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        tempered = temper(proba, float(np.exp(log_temperature)))
        return -float(weights @ np.log(np.maximum(tempered[rows, targets], _LEAST)))

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    before = loss(0.0)
    return float(np.exp(found.x)) if found.fun < before - 1e-6 * abs(before) else 1.0


# Thresholds


@dataclass(frozen=True)
class Answers:
    """The answers of each stage to all rows that were set aside.

    Attributes
    ----------
    confidence : ndarray of shape (n_stages, n_rows)
        The highest probability.
    correct : ndarray of bool, shape (n_stages, n_rows)
    weights : ndarray of shape (n_rows,)
        Above 0.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    weights: NDArray[np.float64]

    def scores(self) -> NDArray[np.float64]:
        """Return the accuracy of each stage."""
        return self.correct @ self.weights / self.weights.sum()


class Aim(NamedTuple):
    """The aim that thresholds are learned for.

    Attributes
    ----------
    max_drop : float or None
        How far the score may be below that of the last stage.
    min_rows_per_second : float or None
        None stands for the highest speed within `max_drop`. A speed stands for the best score at
        that speed or above it.
    """

    max_drop: float | None
    min_rows_per_second: float | None


class Learned(NamedTuple):
    """Thresholds, and what is to be expected of them.

    Attributes
    ----------
    thresholds : ndarray of shape (n_stages - 1,)
        A row of at least this confidence stops; at infinity, no row is given to the stage.
    drop : float
        How far the score is below that of the last stage, on rows not learned from.
    standard_error : float
        Standard error of `drop`.
    rows_per_second : float
        What the speeds of the stages make of the rows.
    """

    thresholds: NDArray[np.float64]
    drop: float
    standard_error: float
    rows_per_second: float


def learn_thresholds(answers: Answers, rates: Sequence[float], aim: Aim, seed: int) -> Learned:
    """Search all thresholds together, and try them on rows that they were not learned from.

    A stage that another beats in score and speed is left out. For the others, the search compares
    all combinations of quantiles of the confidences; any of them may also be left out. What is best
    on some rows is worse on others; therefore the search also runs on four fifths of the rows and
    is tried on the last fifth, each fifth once. While the drop found there plus half its standard
    error is above `max_drop`, the search adds half a standard error, one and then two to the drop
    of each combination. Since few rows cannot decide many thresholds, this is also done without the
    first stage, without the first two and so on, and the fastest of all that keep `max_drop` is
    returned. If none does, or none is faster than the last stage by a twentieth, the last stage
    answers all rows.

    Parameters
    ----------
    answers : Answers
    rates : sequence of float, length n_stages
        Rows per second of each stage.
    aim : Aim
    seed : int
        Decides the fifths.

    Returns
    -------
    Learned

    Raises
    ------
    ValueError
        The aim is out of reach; the message says what is within.
    """
    speeds = np.asarray(rates, np.float64)
    useful = _unbeaten(answers.scores(), speeds)
    answers = Answers(answers.confidence[useful], answers.correct[useful], answers.weights)
    learned = _learn_useful(answers, speeds[useful], aim, seed)
    thresholds = np.full(len(speeds) - 1, np.inf)
    thresholds[useful[:-1]] = learned.thresholds
    return learned._replace(thresholds=thresholds)


def _unbeaten(scores: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the stages that no other beats in score and speed, and the last one."""
    last = len(scores) - 1
    places = np.stack([scores, rates], axis=1)
    stages = np.flatnonzero(unbeaten(scores, rates)[:last])
    _, first = np.unique(places[stages], axis=0, return_index=True)  # one of equals
    return np.array([*stages[np.sort(first)], last])


def _learn_useful(answers: Answers, rates: NDArray[np.float64], aim: Aim, seed: int) -> Learned:
    """Learn the thresholds of stages that may all be of use."""
    if len(rates) == 1:
        _check_reach(aim, float(rates[0]))
        return Learned(np.empty(0), 0.0, 0.0, float(rates[0]))
    search = _Search(answers, 1 / rates, aim, seed)
    if aim.min_rows_per_second is None:
        return _fastest(search)
    _check_reach(aim, 1 / search.fewest_seconds)
    learned = search.learn(0.0)
    if aim.max_drop is not None and learned.drop > aim.max_drop + _ROUNDING:
        possible = _fastest(_Search(answers, search.seconds, Aim(aim.max_drop, None), seed))
        raise ValueError(
            f"at `min_rows_per_second` {aim.min_rows_per_second:g} the score drops by "
            f"{learned.drop:.4g} or more, and `max_drop` is {aim.max_drop:g}; within that drop "
            f"{possible.rows_per_second:.6g} rows per second are possible: lower "
            "`min_rows_per_second`, raise `max_drop`, or set max_drop=None to accept any drop"
        )
    return learned


def _check_reach(aim: Aim, fastest: float) -> None:
    """Raise ValueError for a speed that no thresholds have."""
    wanted = aim.min_rows_per_second
    if wanted is not None and fastest < wanted * (1 - _ROUNDING):
        raise ValueError(
            f"`min_rows_per_second` is {wanted:g}, but no thresholds are faster than "
            f"{fastest:.6g} rows per second here; lower it or add a faster stage"
        )


def _fastest(search: _Search) -> Learned:
    """Learn for the highest speed, as carefully as it takes."""
    assert search.aim.max_drop is not None
    alone = search.last_alone()
    kept = []
    for n_skipped in range(search.n_thresholds):
        for margin in _MARGINS:
            learned = search.learn(margin, n_skipped)
            if learned.drop + _CAUTION * learned.standard_error <= search.aim.max_drop + _ROUNDING:
                kept.append(learned)
                break
    fastest = max(kept, key=lambda learned: learned.rows_per_second, default=alone)
    return fastest if fastest.rows_per_second >= _LEAST_GAIN * alone.rows_per_second else alone


class _Tables(NamedTuple):
    """Figures of all combinations of thresholds, each of shape (n_choices of stage 0, of 1, ...).

    Attributes
    ----------
    drop, squares : ndarray
        Sums over the rows: of the weighted drop, and of its square.
    seconds : ndarray
        Seconds that a row takes, on average.
    """

    drop: NDArray[np.float64]
    squares: NDArray[np.float64]
    seconds: NDArray[np.float64]


class _Search:
    """Compares combinations of thresholds.

    A choice of a stage's threshold is a number: 0 stops every row, `k` those from level `k` on
    (counted from 1), and `n_levels + 1` leaves the stage out.
    """

    def __init__(self, answers: Answers, seconds: NDArray[np.float64], aim: Aim, seed: int) -> None:
        confidence = answers.confidence[:-1]
        self.n_rows = len(answers.weights)
        self.n_thresholds = len(confidence)
        self.seconds = seconds
        self.aim = aim
        self._weights = answers.weights
        n_levels = int(_MOST_COMBINATIONS ** (1 / len(confidence))) - 2
        n_levels = max(1, min(n_levels, _MOST_LEVELS, self.n_rows // _ROWS_PER_LEVEL))
        quantiles = np.arange(1, n_levels + 1) / (n_levels + 1)
        self._levels = [np.unique(np.quantile(values, quantiles)) for values in confidence]
        #: The number of levels that each row reaches: (n_stages - 1, n_rows).
        self._bins = np.stack(
            [
                np.searchsorted(levels, values, side="right")
                for levels, values in zip(self._levels, confidence, strict=True)
            ]
        )
        self._left_out = np.array([len(levels) + 1 for levels in self._levels])
        # By how much a row's answer is worse than that of the last stage: 1, 0 or -1.
        correct = answers.correct.astype(np.float64)
        self._worse = correct[-1] - correct[:-1]
        every = np.ones(self.n_rows, bool)
        self._tables = self._sum_up(every)
        parts = np.random.default_rng(seed).permutation(self.n_rows) % _N_FOLDS
        # A single row has no others to learn from.
        folds = [parts == part for part in np.unique(parts)] if self.n_rows > 1 else []
        self._folds = [(fold, self._sum_up(~fold)) for fold in folds] or [(every, self._tables)]

    @property
    def fewest_seconds(self) -> float:
        """The least seconds that a row takes."""
        return float(self._tables.seconds.min())

    def learn(self, margin: float, n_skipped: int = 0) -> Learned:
        """Learn thresholds from all rows, and try the same search on rows it has not seen.

        Parameters
        ----------
        margin : float
            Standard errors to add to a drop.
        n_skipped : int, default=0
            Stages to leave out from the start.

        Returns
        -------
        Learned
        """
        choice = self._choose(self._tables, margin, n_skipped)
        worse = np.zeros(self.n_rows)
        for tried, others in self._folds:
            worse[tried] = self._outcome(self._choose(others, margin, n_skipped))[0][tried]
        shares = self._weights / self._weights.sum()
        drop = float(shares @ worse)
        return Learned(
            thresholds=self._values(choice),
            drop=drop,
            standard_error=float(np.sqrt(shares**2 @ (worse - drop) ** 2)),
            rows_per_second=float(1 / (shares @ self._outcome(choice)[1])),
        )

    def last_alone(self) -> Learned:
        """Return the thresholds at which the last stage answers all rows."""
        return Learned(self._values(self._left_out), 0.0, 0.0, float(1 / self.seconds[-1]))

    def _sum_up(self, rows: NDArray[np.bool_]) -> _Tables:
        """Sum up the figures of some rows."""
        weights, bins, worse = self._weights[rows], self._bins[:, rows], self._worse[:, rows]
        n_choices = tuple(self._left_out + 1)
        drop, squares, seconds = (np.zeros(n_choices) for _ in range(3))
        total = weights.sum()
        for stage in range(len(bins) + 1):
            reached = _reached(bins[:stage], weights, n_choices[:stage])
            runs = np.full(n_choices[stage : stage + 1], self.seconds[stage])
            if stage < len(bins):
                runs[self._left_out[stage]] = 0
            seconds += _spread(np.multiply.outer(reached, runs), len(n_choices)) / total
            if stage < len(bins):
                drop += _spread(
                    _stopped(bins[: stage + 1], weights * worse[stage], n_choices), len(n_choices)
                )
                squares += _spread(
                    _stopped(bins[: stage + 1], (weights * worse[stage]) ** 2, n_choices),
                    len(n_choices),
                )
        return _Tables(drop / total, squares / total**2, seconds)

    def _choose(self, tables: _Tables, margin: float, n_skipped: int = 0) -> NDArray[np.int64]:
        """Return the best combination of choices."""
        skipped = self._left_out[:n_skipped]
        tables = _Tables(*(table[tuple(skipped)] for table in tables))
        drop = tables.drop + margin * np.sqrt(np.maximum(tables.squares, 0))
        if self.aim.min_rows_per_second is None:
            assert self.aim.max_drop is not None
            # The last stage alone has no drop.
            allowed = drop <= self.aim.max_drop + _ROUNDING
            first, second = tables.seconds, drop
        else:
            most = 1 / self.aim.min_rows_per_second
            # On some of the rows, it may be out of reach.
            most = max(most, float(tables.seconds.min()))
            allowed, first, second = tables.seconds <= most * (1 + _ROUNDING), drop, tables.seconds
        first = np.where(allowed, first, np.inf)
        ties = first <= first.min() + _ROUNDING * np.abs(first.min())
        best = np.where(ties, second, np.inf).argmin()
        return np.append(skipped, np.unravel_index(best, drop.shape)).astype(np.int64)

    def _outcome(
        self, choice: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return for each row by how much its answer is worse, and the seconds it takes."""
        stops = self._bins >= choice[:, None]
        stage = np.where(stops.any(0), stops.argmax(0), len(stops))
        worse = np.concatenate([self._worse, np.zeros((1, self.n_rows))])
        runs = self.seconds * np.append(choice != self._left_out, True)
        return worse[stage, np.arange(self.n_rows)], np.cumsum(runs)[stage]

    def _values(self, choice: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the thresholds that choices stand for."""
        return np.array(
            [[0.0, *levels, np.inf][k] for levels, k in zip(self._levels, choice, strict=True)]
        )


def _sums(
    bins: NDArray[np.int64], values: NDArray[np.float64], n_choices: tuple[int, ...]
) -> NDArray[np.float64]:
    """Sum up values by the bins of their rows: (n_choices - 1 of each stage)."""
    sizes = tuple(n - 1 for n in n_choices[: len(bins)])
    if not sizes:
        return values.sum(keepdims=True).reshape(())
    cells = np.ravel_multi_index(tuple(bins), sizes)
    sums = np.bincount(cells, values, minlength=math.prod(sizes))
    return np.asarray(sums, np.float64).reshape(sizes)


def _below(sums: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Sum up the bins below each choice: one more entry along the axis, the first of which is 0."""
    padding = [(1, 0) if a == axis else (0, 0) for a in range(sums.ndim)]
    return np.pad(sums.cumsum(axis), padding)


def _reached(
    bins: NDArray[np.int64], values: NDArray[np.float64], n_choices: tuple[int, ...]
) -> NDArray[np.float64]:
    """Sum up the rows that no stage before has stopped, by the choices of these."""
    sums = _sums(bins, values, n_choices)
    for axis in range(len(bins)):
        sums = _below(sums, axis)
    return sums


def _stopped(
    bins: NDArray[np.int64], values: NDArray[np.float64], n_choices: tuple[int, ...]
) -> NDArray[np.float64]:
    """Sum up the rows that the last of some stages stops, by the choices of these."""
    sums = _sums(bins, values, n_choices)
    for axis in range(len(bins) - 1):
        sums = _below(sums, axis)
    return sums.sum(-1, keepdims=True) - _below(sums, sums.ndim - 1)


def _spread(values: NDArray[np.float64], n_axes: int) -> NDArray[np.float64]:
    """Add axes of length 1 for the stages that come later."""
    return values.reshape(values.shape + (1,) * (n_axes - values.ndim))
