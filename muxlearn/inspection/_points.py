"""An estimator at its operating points, and what it says of the same rows in other mixtures."""

from __future__ import annotations

from functools import partial, update_wrapper
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from muxlearn._estimator import MuxEstimator
from muxlearn._tagging import MuxTokenTagger
from muxlearn.rows import RowTable, stream_windows

__all__ = ["OperatingPoint", "multiplexed", "predict_regrouped"]

_PREDICTIONS = ("predict", "predict_proba", "decision_function", "score")


class OperatingPoint:
    """A fitted estimator that predicts at one `n_mux`: scorers cannot ask for one.

    Parameters
    ----------
    estimator : MuxEstimator
    n_mux : int
    """

    def __init__(self, estimator: MuxEstimator, n_mux: int) -> None:
        self._estimator = estimator
        self._n_mux = n_mux

    def __getattr__(self, name: str) -> Any:
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


def predict_regrouped(
    estimator: Any, X: Any, n_mux: int, n_regroupings: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Predict the same rows in several mixtures, each time among other companions.

    Parameters
    ----------
    estimator : MuxEstimator
        Fitted.
    X : sequence of length n_samples
        Rows as `predict` takes them.
    n_mux : int
        Rows in a mixture.
    n_regroupings : int
        The first is that of `predict`, the others those of its `n_passes`.

    Returns
    -------
    labels : ndarray of shape (n_regroupings, n_targets)
        What `predict` would say, of a tagger the tags of one sentence after the other.
    places : ndarray of int64, the same shape
        The place in the mixture, from 0, of the row that each label belongs to.
    """
    model = estimator._inference_model()
    # The windows of `predict`: mixtures are planned inside one.
    windows = stream_windows(
        estimator._iterate_rows(X), None, estimator._window_size(n_mux), estimator._check_rows
    )
    labels, places = [], []
    for rows, _ in windows:
        table = estimator._table(estimator._reader, rows)
        for regrouping in range(n_regroupings):
            log_proba = estimator._log_proba_pass(model, table, n_mux, None, regrouping)
            said = estimator._labels(estimator._per_row(rows, log_proba))
            if isinstance(estimator, MuxTokenTagger):
                said = list(chain.from_iterable(said))
            labels.append(np.asarray(said))
            places.append(_places(estimator, table, n_mux, regrouping, len(said)))
    return _join(labels, n_regroupings), _join(places, n_regroupings)


def _places(
    estimator: MuxEstimator, table: RowTable, n_mux: int, regrouping: int, n_targets: int
) -> NDArray[np.int64]:
    """Say at which place of its mixture each target of a table was predicted."""
    places = np.zeros(n_targets, np.int64)
    if not n_targets:
        return places
    plan = estimator._plan(table, n_mux, None, regrouping)
    for place in range(n_mux):
        targets, kept = table.answers(plan.rows[:, [place]], plan.counted[:, [place]])
        places[targets[kept]] = place
    return places


def _join(parts: list[NDArray[Any]], n_regroupings: int) -> NDArray[Any]:
    """Join what all windows gave, regrouping by regrouping."""
    return np.stack([np.concatenate(parts[i::n_regroupings]) for i in range(n_regroupings)])
