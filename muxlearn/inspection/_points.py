"""An estimator at its operating points."""

from __future__ import annotations

from functools import partial, update_wrapper
from typing import Any

from sklearn.utils.validation import check_is_fitted

from muxlearn.estimators import MuxEstimator
from muxlearn.points import PointLike
from muxlearn.tasks import ClassesTask, TagsTask

__all__ = ["OperatingPoint", "check_predicts_labels", "multiplexed"]

_PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score")


class OperatingPoint:
    """A fitted estimator that predicts at one operating point: scorers cannot ask for one.

    Parameters
    ----------
    estimator : MuxEstimator
    n_mux : int, (int, int) or "words"
    """

    def __init__(self, estimator: MuxEstimator, n_mux: PointLike) -> None:
        self._estimator = estimator
        self._n_mux = n_mux

    def __getattr__(self, name: str) -> Any:
        if name in ("_estimator", "_n_mux"):  # a copy that is being made has none yet
            raise AttributeError(name)
        value = getattr(self._estimator, name)
        if name not in _PREDICTIONS:
            return value
        return update_wrapper(partial(value, n_mux=self._n_mux), value)


def multiplexed(estimator: Any) -> Any:
    """Return the fitted multiplexed estimator that was given, or that a search has found.

    Parameters
    ----------
    estimator : estimator or fitted search

    Returns
    -------
    MuxEstimator

    Raises
    ------
    TypeError
        It does not multiplex.
    sklearn.exceptions.NotFittedError
        It is not fitted.
    """
    found = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(found, MuxEstimator):
        raise TypeError(
            "`estimator` must be a MuxTextClassifier, a MuxImageClassifier or a "
            "MuxTokenTagger, or a fitted search for one, got an instance of "
            f"{type(found).__name__}; of a pipeline, give the last step, and as `X` what the "
            "steps before it make of the rows"
        )
    check_is_fitted(found)
    return found


def check_predicts_labels(estimator: Any) -> None:
    """Raise TypeError for an estimator whose predictions are no labels that can be counted.

    Parameters
    ----------
    estimator : MuxEstimator
        Fitted.
    """
    task = estimator.predictor_.task
    if not isinstance(task, ClassesTask | TagsTask):
        raise TypeError(
            "`estimator` must predict one label for each row or token, for these are counted, but "
            f"this {type(estimator).__name__} predicts {task.name}; compare its predictions at "
            "several operating points by `score`"
        )
