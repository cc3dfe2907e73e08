"""Targets and scores: what only regressors promise."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score

from muxlearn.testing._common import (
    assert_same,
    fitted,
    fresh,
    rejects,
    replace,
)


def check_regressors_output(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Predictions are finite floats, as many as there are rows."""
    predicted = fitted(estimator_orig, X, y).predict(X)
    assert isinstance(predicted, np.ndarray), f"{name}.predict returns {type(predicted)}"
    assert predicted.shape == np.shape(y), f"{name}.predict has shape {predicted.shape}"
    assert predicted.dtype.kind == "f", f"{name}.predict is of dtype {predicted.dtype}"
    assert np.isfinite(predicted).all(), f"{name}.predict is not finite"


def check_regressors_int(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Whole numbers as targets are as good as floats of the same value."""
    whole = np.arange(len(X)) % 5
    of_ints = fitted(estimator_orig, X, whole).predict(X)
    of_floats = fitted(estimator_orig, X, whole.astype(float)).predict(X)
    assert_same(of_ints, of_floats, f"{name} fitted on int targets, beside float targets")


def check_regressors_no_decision_function(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """There is neither a decision function nor a probability of a number."""
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        assert not hasattr(estimator_orig, method), f"{name} has {method}"


def check_regressor_multioutput(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Of several targets, predictions have the shape of the targets."""
    targets = np.column_stack([y, np.arange(len(X)), np.ones(len(X))])
    if not estimator_orig.__sklearn_tags__().target_tags.multi_output:
        raise SkipTest(f"{name} takes one target")
    for given in (targets, targets[:, :1]):
        predicted = fitted(estimator_orig, X, given).predict(X)
        assert predicted.shape == given.shape, (
            f"{name}.predict has shape {predicted.shape} for targets of shape {given.shape}"
        )


def check_regressors_one_value(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Predictions of a constant target are finite."""
    predicted = fitted(estimator_orig, X, np.full(len(X), 7.0)).predict(X)
    assert np.isfinite(predicted).all(), f"{name} fitted on one value predicts {predicted}"


def check_supervised_y_no_nan(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """NaN, infinity, None and words among the targets are refused."""
    for value in (np.nan, np.inf, -np.inf):
        with rejects(f"{name}.fit with {value} in y", naming=r"\by\b"):
            fresh(estimator_orig).fit(X, np.array(replace(np.asarray(y, float), 1, value)))
    for odd in (None, "a word"):
        with rejects(f"{name}.fit with {odd!r} in y", error=(ValueError, TypeError)):
            fresh(estimator_orig).fit(X, replace(list(y), 1, odd))


def check_score_is_r2(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``score`` is the R^2 of ``predict``, weighted if weights are given."""
    estimator = fitted(estimator_orig, X, y)
    weights = np.arange(len(X)) + 1.0
    predicted = estimator.predict(X)
    assert_same(estimator.score(X, y), r2_score(y, predicted), f"{name}.score")
    assert_same(
        estimator.score(X, y, sample_weight=weights),
        r2_score(y, predicted, sample_weight=weights),
        f"{name}.score with weights",
    )


CHECKS = (
    check_regressors_output,
    check_regressors_int,
    check_regressors_no_decision_function,
    check_regressor_multioutput,
    check_regressors_one_value,
    check_supervised_y_no_nan,
    check_score_is_r2,
)
