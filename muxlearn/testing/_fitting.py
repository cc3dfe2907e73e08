"""Checks of ``fit``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from numbers import Integral
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from muxlearn.testing._common import (
    METHODS,
    assert_same,
    fitted,
    fresh,
    object_array,
    outputs,
    rejects,
)


def check_estimators_fit_returns_self(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``fit`` returns the estimator itself."""
    estimator = fresh(estimator_orig)
    assert estimator.fit(X, y) is estimator, f"{name}.fit does not return self"


def check_estimators_overwrite_params(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``fit`` neither replaces nor mutates a parameter."""
    estimator = fresh(estimator_orig)
    before = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    estimator.fit(X, y)
    after = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    changed = [key for key in before if after.get(key) != before[key]]
    assert not changed, f"{name}.fit changes the parameters {changed}"


def check_dont_overwrite_parameters(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """All that ``fit`` sets ends or starts with an underscore."""
    estimator = fresh(estimator_orig)
    before = set(vars(estimator))
    estimator.fit(X, y)
    added = set(vars(estimator)) - before
    public = sorted(key for key in added if not (key.endswith("_") or key.startswith("_")))
    assert not public, f"{name}.fit sets the public attributes {public}"


def check_fit_check_is_fitted(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """`check_is_fitted` tells a fitted estimator from one that is not."""
    estimator = fresh(estimator_orig)
    with rejects(f"check_is_fitted of an unfitted {name}", error=NotFittedError):
        check_is_fitted(estimator)
    estimator.fit(X, y)
    check_is_fitted(estimator)


def check_estimators_unfitted(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Predicting before ``fit`` raises `NotFittedError`."""
    estimator = clone(estimator_orig)
    for method in METHODS:
        if hasattr(estimator, method):
            with rejects(f"{name}.{method} before fit", error=NotFittedError):
                getattr(estimator, method)(X)
    with rejects(f"{name}.score before fit", error=NotFittedError):
        estimator.score(X, y)


def check_fit_idempotent(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Fitting again starts anew: predictions are those of the first ``fit``."""
    estimator = fitted(estimator_orig, X, y)
    first = outputs(estimator, X)
    estimator.fit(X, y)
    assert_same(outputs(estimator, X), first, f"{name} differs after a second fit")


def check_fit_reproducible(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """With one ``random_state`` two fits agree, whatever state the global generators are in."""
    first = outputs(fitted(estimator_orig, X, y), X)
    with _global_generators_restored():
        _seed_global_generators()
        second = outputs(fitted(estimator_orig, X, y), X)
    assert_same(second, first, f"{name} depends on the global random state")


def check_global_random_state(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """With an integer ``random_state``, ``fit`` and prediction leave global generators alone."""
    estimator = fresh(estimator_orig)
    with _global_generators_restored():
        _seed_global_generators()
        before = _global_generators()
        estimator.fit(X, y)
        after_fit = _global_generators()
        outputs(estimator, X)
        after_predict = _global_generators()
    for key, state in before.items():
        assert after_fit[key] == state, f"{name}.fit moves the global generator of {key}"
        assert after_predict[key] == state, f"predicting moves the global generator of {key}"


def _seed_global_generators() -> None:
    """Seed them with a number that nobody else uses: seeding them again then shows."""
    random.seed(7_351_024)
    np.random.seed(7_351_024)  # noqa: NPY002 (the legacy generator is what is watched)
    torch.manual_seed(7_351_024)


def _global_generators() -> dict[str, str]:
    states = {
        "random": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "torch": torch.get_rng_state().numpy(),
    }
    return {key: joblib.hash(state) for key, state in states.items()}


@contextmanager
def _global_generators_restored() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def check_non_transformer_estimators_n_iter(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """In ``n_iter_`` stands the number of iterations, an integer of at least 1."""
    estimator = fitted(estimator_orig, X, y)
    if not hasattr(estimator, "n_iter_"):
        iterative = {"max_iter", "max_epochs"} & set(estimator.get_params())
        assert not iterative, f"{name} has {iterative}, but no n_iter_ after fit"
        return
    n_iter = estimator.n_iter_
    assert isinstance(n_iter, Integral), f"{name}.n_iter_ is {n_iter!r}, not an integer"
    assert int(n_iter) >= 1, f"{name}.n_iter_ is {n_iter}"


def check_input_not_modified(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``fit`` and prediction leave ``X`` and ``y`` as they were."""
    given_X, given_y = deepcopy(X), deepcopy(y)
    outputs(fitted(estimator_orig, given_X, given_y), given_X)
    assert_same(given_X, X, f"{name} modifies X")
    assert_same(given_y, y, f"{name} modifies y")


def check_readonly_memmap_input(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Arrays that cannot be written to, as workers get them from joblib, are fine."""
    X_array = object_array(X)
    y_array = y.copy() if isinstance(y, np.ndarray) else object_array(y)
    X_array.setflags(write=False)
    y_array.setflags(write=False)
    outputs(fitted(estimator_orig, X_array, y_array), X_array)


def check_fit_1sample(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """One row is enough to fit, or the error says that there are too few rows or classes."""
    estimator = fresh(estimator_orig)
    few = r"\b(1|one)\b|sample|row|class"
    with rejects(f"{name}.fit on one row", naming=few, may_pass=True):
        estimator.fit(X[:1], y[:1])
        estimator.predict(X)


CHECKS = (
    check_estimators_fit_returns_self,
    check_estimators_overwrite_params,
    check_dont_overwrite_parameters,
    check_fit_check_is_fitted,
    check_estimators_unfitted,
    check_fit_idempotent,
    check_fit_reproducible,
    check_global_random_state,
    check_non_transformer_estimators_n_iter,
    check_input_not_modified,
    check_readonly_memmap_input,
    check_fit_1sample,
)
