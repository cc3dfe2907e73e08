"""``sample_weight``, for estimators whose ``fit`` takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor

from muxlearn.testing._common import (
    assert_same,
    fitted,
    fresh,
    need,
    need_pandas,
    outputs,
    rejects,
)


def _uneven(n_rows: int) -> np.ndarray:
    return np.where(np.arange(n_rows) % 3 == 0, 5.0, 1.0)


def check_sample_weights_list(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Weights in a list are as good as in an array."""
    as_list = _uneven(len(X)).tolist()
    of_array = outputs(fitted(estimator_orig, X, y, sample_weight=_uneven(len(X))), X)
    of_list = outputs(fitted(estimator_orig, X, y, sample_weight=as_list), X)
    assert_same(of_list, of_array, f"{name} given weights as a list")


def check_sample_weights_pandas_series(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Weights in a Series are read by position, whatever its index."""
    series = need_pandas().Series(_uneven(len(X)), index=np.arange(len(X))[::-1])
    of_array = outputs(fitted(estimator_orig, X, y, sample_weight=_uneven(len(X))), X)
    of_series = outputs(fitted(estimator_orig, X, y, sample_weight=series), X)
    assert_same(of_series, of_array, f"{name} given weights as a Series")


def check_sample_weights_used(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Equal weights of 1 are no weights; uneven weights make another model."""
    method = "predict" if is_regressor(estimator_orig) else "predict_proba"
    need(estimator_orig, method)
    plain = getattr(fitted(estimator_orig, X, y), method)(X)
    ones = getattr(fitted(estimator_orig, X, y, sample_weight=np.ones(len(X))), method)(X)
    assert_same(ones, plain, f"{name} fitted with weights of 1")
    uneven = getattr(fitted(estimator_orig, X, y, sample_weight=_uneven(len(X))), method)(X)
    try:
        assert_same(uneven, plain, "", tolerance=0.0)
    except AssertionError:
        return
    raise AssertionError(f"{name}.fit takes sample_weight and ignores it")


def check_sample_weights_shape(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Weights that are not one finite number for each row are a `ValueError`."""
    ones = np.ones(len(X))
    wrong = {
        "too few weights": ones[:-1],
        "two columns of weights": np.ones((len(X), 2)),
        "a weight of NaN": np.where(np.arange(len(X)) == 1, np.nan, ones),
    }
    for what, weights in wrong.items():
        with rejects(f"{name}.fit with {what}"):
            fresh(estimator_orig).fit(X, y, sample_weight=weights)


def check_all_zero_sample_weights_error(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Weights of zero for all rows leave nothing to fit, and the error says so."""
    with rejects(f"{name}.fit with zero weights", naming="weight.*zero|zero.*weight"):
        fresh(estimator_orig).fit(X, y, sample_weight=np.zeros(len(X)))


def check_sample_weights_not_overwritten(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``fit`` leaves the array of weights as it was."""
    weights = _uneven(len(X))
    fitted(estimator_orig, X, y, sample_weight=weights)
    np.testing.assert_array_equal(weights, _uneven(len(X)), f"{name}.fit modifies sample_weight")


def check_sample_weight_equivalence(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Weights are numbers of copies, 0 is none, and the order of rows does not matter."""
    counts = np.arange(len(X)) % 3
    copies = np.repeat(np.arange(len(X)), counts)
    shuffled = np.random.default_rng(0).permutation(len(X))
    estimator = fresh(estimator_orig)
    if "class_weight" in estimator.get_params():
        estimator.set_params(class_weight=None)  # "balanced" may count rows or their weights
    weighted = fitted(
        estimator,
        [X[row] for row in shuffled],
        [y[row] for row in shuffled],
        sample_weight=counts[shuffled].astype(float),
    )
    copied = fitted(estimator, [X[row] for row in copies], [y[row] for row in copies])
    what = f"{name} fitted with weights, beside copies of rows"
    assert_same(outputs(weighted, X), outputs(copied, X), what)


CHECKS = (
    check_sample_weights_list,
    check_sample_weights_pandas_series,
    check_sample_weights_used,
    check_sample_weights_shape,
    check_all_zero_sample_weights_error,
    check_sample_weights_not_overwritten,
    check_sample_weight_equivalence,
)
