"""Score and speed of a fitted estimator at its operating points, and the choice of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _num_samples, check_is_fitted

from muxlearn import prediction
from muxlearn._docs import fill_docs
from muxlearn._params import Integer, Number
from muxlearn._timing import REPEATS, TIMED_ROWS
from muxlearn._warnings import warn
from muxlearn.points import PointLike
from muxlearn.prediction import Measured, choose_points, label_of, measure_points
from muxlearn.rows import distinct_rows, take_rows
from muxlearn.tasks import TrainingSet
from muxlearn.training.processes import agree_on

__all__ = [
    "fastest_point",
    "measure_operating_points",
    "measure_set_aside",
    "measured_points",
]

_HOW_TO_MEASURE = (
    "fit with early_stopping=True, which sets validation rows aside and measures on them, or call "
    "measure_operating_points(X, y) with rows of your own"
)


@fill_docs()
def measure_operating_points(
    self: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    n_mux: PointLike | Sequence[PointLike] | None = None,
    groups: ArrayLike | None = None,
    repeats: int = 5,
) -> Any:
    """Score and time `predict` at each operating point, and store both as `measured_points_`.

    This replaces earlier measurements. The points are timed in turn, again and again, so that a
    slow moment of the machine affects all of them. For reliable speeds give some thousand rows,
    since few rows fill few batches. For reliable scores give rows that no training has seen.

    Parameters
    ----------
    X : sequence of length n_samples
        Rows as `predict` takes them.

    y : sequence of length n_samples
        The true labels, or the tags of each sentence.

    {score.sample_weight}

    n_mux : int, "words" or tuple of operating points, default=None
        The operating points to measure. None stands for those that the estimator was trained at,
        or for its capacity, half of it, a quarter and so on down to 1.

    {predict.groups}
        Many small groups leave mixtures half empty, which lowers the speed.

    {measure.repeats}

    Returns
    -------
    estimator
        The estimator itself.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to measure.
    TypeError, ValueError
        An argument, a row or a label is not valid. Earlier measurements are kept.
    """
    check_is_fitted(self)
    Integer(1).check("repeats", repeats)
    X = list(X) if isinstance(X, Iterator) else X  # read once for each point
    self._measured = measure_points(
        _chosen(self, n_mux),
        lambda point: self.score(X, y, sample_weight, n_mux=point, groups=groups),
        lambda point: self.predict(X, n_mux=point, groups=groups),
        _num_samples(X),
        repeats,
        is_share=self.predictor_.task.score_is_share,
    )
    return self


def _chosen(estimator: Any, given: Any) -> list[PointLike]:
    runner = estimator.predictor_.runner
    points = choose_points(given, estimator.trained_points_, runner)
    return [label_of(point, runner) for point in points]


def measure_set_aside(estimator: Any, training_set: TrainingSet, part: NDArray[np.int64]) -> None:
    """Measure on the rows that `fit` has set aside.

    Parameters
    ----------
    training_set : TrainingSet
        Rows and labels of the whole training.
    part : ndarray of int64
        Numbers of the rows set aside.
    """
    first, n_copies = distinct_rows(training_set.sources[part])
    part = part[first]
    weights: NDArray[Any] = n_copies
    if training_set.row_weights is not None:
        weights = training_set.row_weights[part]
    rows, true = take_rows(training_set.rows, part), take_rows(training_set.true, part)
    timed = take_rows(rows, np.arange(min(len(rows), TIMED_ROWS)))
    measured = None
    if len(rows) == 1 and not estimator.predictor_.task.score_is_share:
        warn(
            "the operating points were not measured: `early_stopping` has set one row aside, and "
            "R^2 takes two; raise `validation_fraction`, or call measure_operating_points"
        )
        return
    try:
        predictor = estimator.predictor_
        measured = measure_points(
            _chosen(estimator, None),
            lambda point: predictor.task.score(
                true, predictor.predict_checked(rows, point), weights
            ),
            lambda point: predictor.predict_checked(timed, point),
            len(rows),
            REPEATS,
            n_timed=len(timed),
            is_share=predictor.task.score_is_share,
        )
    except KeyboardInterrupt:
        pass  # as in training: what has been learned so far is kept
    except (MemoryError, RuntimeError) as error:
        # An error here must not lose hours of training; `predict` will raise it as well.
        warn(
            "the operating points could not be measured after the training "
            f"({type(error).__name__}: {error}); the estimator is fitted all the same, and "
            "measure_operating_points(X, y) measures them later",
        )
    estimator._measured = agree_on(measured)


def fastest_point(self: Any, min_score: float) -> PointLike:
    """Return the fastest operating point that is accurate enough, for use in `predict`.

    Parameters
    ----------
    min_score : float
        The minimum score of the point, in the measure of `score`. Scores were measured in one
        pass.

    Returns
    -------
    int, (int, int) or "words"
        What `predict` takes as `n_mux`. Of equally fast points, the one with the higher score is
        chosen.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to choose from.
    TypeError, ValueError
        `min_score` is no number, no point reaches it, or no point was measured.

    Examples
    --------
    >>> clf.predict(X, n_mux=clf.fastest_point(min_score=0.95))  # doctest: +SKIP
    """
    check_is_fitted(self)
    Number().check("min_score", min_score)
    if self._measured is None:
        raise ValueError(f"no operating points were measured: {_HOW_TO_MEASURE}")
    return prediction.fastest_point(self._measured, min_score)


def measured_points(self: Any) -> Measured:
    """The score and the rows per second at each point that was measured, in its order."""  # noqa: D401
    check_is_fitted(self)
    if self._measured is None:
        raise AttributeError("`measured_points_` needs a validation split: " + _HOW_TO_MEASURE)
    return self._measured
