"""What a fitted estimator scores, and how fast it is, at each `n_mux`; and the choice of one."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _num_samples, check_is_fitted

from muxlearn._params import (
    Choice,
    Constraint,
    Integer,
    IntegerTuple,
    Number,
    OneOf,
    check_parameters,
)
from muxlearn._sharded import agree_on
from muxlearn._sharing import SharingMixin
from muxlearn._timing import paired_seconds
from muxlearn.rows import take_rows

__all__ = ["OperatingPointsMixin", "operating_points"]

Self = TypeVar("Self", bound="OperatingPointsMixin")

#: What `fit` times: so many rows at most, so many times.
_TIMED_ROWS, _REPEATS = 1024, 3

_HOW_TO_MEASURE = (
    "fit with early_stopping=True, which sets validation rows aside and measures on them, or call "
    "measure_operating_points(X, y) with rows of your own"
)


class OperatingPointsMixin(SharingMixin):
    """`operating_points_`, and ``n_mux="auto"``, which chooses among them."""

    #: Whether rows get labels. Where they do not there is nothing to predict.
    _labels_rows: ClassVar[bool] = True

    @property
    def operating_points_(self) -> dict[int, dict[str, float]]:
        """The score and the rows per second at each `n_mux` that was measured, in its order."""
        check_is_fitted(self)
        if self._measured is None:
            raise AttributeError(
                "`operating_points_` is not there, for that takes a validation split: "
                + _HOW_TO_MEASURE
            )
        return self._measured

    def measure_operating_points(
        self: Self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        n_mux: int | Sequence[int] | None = None,
        repeats: int = 5,
    ) -> Self:
        """Score and time `predict` at each operating point, and keep that as `operating_points_`.

        What was measured before is replaced. The points are timed in turn, again and again, so
        that a slow moment of the machine hits all of them. Few rows fill few batches: give some
        thousand for speeds that hold, and rows that no training has seen for scores that do.

        Parameters
        ----------
        X : sequence of length n_samples
            Rows as `predict` takes them.

        y : sequence of length n_samples
            The true labels, or the tags of each sentence.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the score.

        n_mux : int or tuple of int, default=None
            The operating points. None stands for those that the estimator was trained at, or for
            its capacity and the halves of it down to 1.

        repeats : int, default=5
            Calls of `predict` whose median counts, after one that does not.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is nothing to measure.
        TypeError, ValueError
            An argument, a row or a label is not what it has to be. What was measured before stays.
        """
        self._check_labels_rows("measure_operating_points")
        check_is_fitted(self)
        check_parameters({"repeats": repeats}, {"repeats": Integer(1)})
        labelling: Any = self  # has `predict` and `score`, as was checked
        self._measured = _measure(
            operating_points(self, n_mux),
            lambda point: labelling.score(X, y, sample_weight, n_mux=point),
            lambda point: labelling.predict(X, n_mux=point),
            _num_samples(X),
            repeats,
        )
        return self

    def _measure_set_aside(
        self, rows: Any, true: Any, weights: NDArray[np.float64] | None, part: NDArray[np.int64]
    ) -> None:
        """Measure on the rows that `fit` has set aside.

        Parameters
        ----------
        rows : list or ndarray
            All rows of the training, checked.
        true : list or ndarray
            What is true of them.
        weights : ndarray of shape (n_rows,) or None
        part : ndarray of int64
            Numbers of those set aside.
        """
        if weights is not None:
            part = part[weights[part] > 0]
        if not len(part):
            return
        weights = None if weights is None else weights[part]
        rows, true = take_rows(rows, part), take_rows(true, part)
        timed = take_rows(rows, np.arange(min(len(rows), _TIMED_ROWS)))
        measured = None
        try:
            measured = _measure(
                operating_points(self, None),
                lambda point: self._score_labels(true, self._predict_checked(rows, point), weights),
                lambda point: self._predict_checked(timed, point),
                len(timed),
                _REPEATS,
            )
        except KeyboardInterrupt:
            pass  # as in training: what has been learned so far is kept
        except (MemoryError, RuntimeError) as error:
            # Hours of training are not to be lost to what `predict` will say as well.
            warnings.warn(
                "the operating points could not be measured after the training "
                f"({type(error).__name__}: {error}); the estimator is fitted all the same, and "
                "measure_operating_points(X, y) measures them later",
                stacklevel=4,
            )
        self._measured = agree_on(measured)

    # The choice

    def _predict_n_mux(self, n_mux: int | str | None, min_score: float | None = None) -> int:
        """Return the rows in a mixture that are asked for."""
        capacity = self.module_.n_mux
        automatic = self._labels_rows and isinstance(n_mux, str) and n_mux == "auto"
        if min_score is not None and not automatic:
            raise ValueError(
                f"`min_score` is {min_score!r}, but `n_mux` is {n_mux!r}; set n_mux='auto' to take "
                "the fastest operating point with that score, or leave `min_score` out"
            )
        if automatic:
            n_mux = self._fastest_point(min_score)
        if n_mux is None:
            return capacity
        within = Integer(1, capacity)
        if not within.accepts(n_mux):
            allowed: Constraint = OneOf(within, Choice("auto")) if self._labels_rows else within
            error = allowed.complain("n_mux", n_mux)
            raise type(error)(f"{error}; this model was built with {capacity} slots")
        return int(n_mux)

    def _fastest_point(self, min_score: float | None) -> int:
        """Return the fastest of the operating points that are good enough."""
        if min_score is None:
            raise ValueError(
                "`n_mux` is 'auto', which takes the fastest operating point that scores "
                "`min_score` or more; give `min_score`, or a number as `n_mux`"
            )
        if not Number().accepts(min_score):
            raise Number().complain("min_score", min_score)
        if self._measured is None:
            raise ValueError(
                f"`n_mux` is 'auto', but no operating points were measured: {_HOW_TO_MEASURE}"
            )
        scores = {point: figures["score"] for point, figures in self._measured.items()}
        rates = {point: figures["rows_per_second"] for point, figures in self._measured.items()}
        # 0.95 - 0.02 is not quite 0.93.
        good = [point for point, score in scores.items() if score >= min_score - 1e-9]
        if not good:
            best = max(scores, key=lambda point: (scores[point], rates[point]))
            raise ValueError(
                f"no operating point scores `min_score` {min_score} or more: the best is "
                f"n_mux={best} with {scores[best]:.6g}; lower `min_score`"
            )
        return max(good, key=lambda point: (rates[point], scores[point]))

    # What a subclass says

    def _check_labels_rows(self, method: str) -> None:
        if not self._labels_rows:
            name = type(self).__name__
            raise AttributeError(f"a {name} embeds rows and has no {method}; call its transform")

    def _predict_checked(self, rows: Any, n_mux: int) -> Any:
        """Return the labels of checked rows."""
        raise NotImplementedError

    def _score_labels(self, true: Any, predicted: Any, weights: ArrayLike | None) -> float:
        """Return the score of labels that were predicted."""
        raise NotImplementedError


def operating_points(
    estimator: OperatingPointsMixin, n_mux: int | Sequence[int] | None
) -> list[int]:
    """Return the values of `n_mux` to look at, in ascending order.

    Parameters
    ----------
    estimator : MuxEstimator
        Fitted.
    n_mux : int, tuple of int or None
        None stands for the operating points that it was trained at, or for the capacity and its
        halves down to 1.

    Returns
    -------
    list of int
    """
    allowed = OneOf(None, Integer(1), IntegerTuple(1))
    check_parameters({"n_mux": n_mux}, {"n_mux": allowed})
    points: Sequence[int]
    if n_mux is None:
        points = estimator.operating_points or _halves(estimator._predict_n_mux(None))
    else:
        points = [n_mux] if isinstance(n_mux, int | np.integer) else n_mux
    return sorted({estimator._predict_n_mux(point) for point in points})


def _halves(n_mux: int) -> list[int]:
    return [n_mux >> halvings for halvings in range(n_mux.bit_length())]


def _measure(
    points: Sequence[int],
    score: Callable[[int], float],
    predict: Callable[[int], Any],
    n_rows: int,
    repeats: int,
) -> dict[int, dict[str, float]]:
    """Score and time some operating points; to score one is to predict once, which warms it up."""
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
