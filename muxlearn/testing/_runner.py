"""Choose the checks of an estimator and run them, in two ways."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from unittest import SkipTest

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import EstimatorCheckFailedWarning, SkipTestWarning
from sklearn.utils.validation import has_fit_parameter

from muxlearn.testing import (
    _classifier,
    _compatibility,
    _fitting,
    _input,
    _parameters,
    _prediction,
    _regressor,
    _tagger,
    _weights,
)
from muxlearn.testing._common import default_data, row_kind

if TYPE_CHECKING:
    import pytest

Check = Callable[[BaseEstimator], None]
Reasons = Mapping[str, str]

_GENERAL = (_parameters, _fitting, _prediction, _compatibility, _input)
_SPECIAL = (_weights, _classifier, _regressor, _tagger)
_ALL_NAMES = [check.__name__ for module in _GENERAL + _SPECIAL for check in module.CHECKS]


def text_estimator_checks(
    estimator: BaseEstimator, X: Sequence[Any] | None = None, y: Any = None
) -> Iterator[tuple[BaseEstimator, Check]]:
    """Yield every check that applies to `estimator`, ready to be called with it.

    Parameters
    ----------
    estimator : estimator instance
        What to check. It is cloned before every fit and fitted about once a check, so its
        parameters should make ``fit`` fast.
    X : sequence of length n_samples, default=None
        Rows to fit and predict: strings, pairs of strings or lists of tokens. At least eight
        rows that differ from each other. By default, and for classifiers and regressors only, a
        small problem on strings.
    y : sequence of length n_samples, default=None
        The target of each row; given if and only if `X` is.

    Yields
    ------
    estimator : estimator instance
        The estimator as given.
    check : functools.partial
        Called with the estimator, it returns None, raises `unittest.SkipTest` where the check
        does not apply, or raises another exception where the estimator breaks the contract.
    """
    if isinstance(estimator, type):
        raise TypeError(f"pass an instance, {estimator.__name__}(), not the class")
    X, y = _data(estimator, X, y)
    name = type(estimator).__name__
    for module in _applicable(estimator, X):
        for check in module.CHECKS:
            yield estimator, partial(check, name, X=deepcopy(X), y=deepcopy(y))


def _data(estimator: BaseEstimator, X: Any, y: Any) -> tuple[list[Any], Any]:
    if (X is None) != (y is None):
        raise ValueError("give both X and y, or neither")
    if X is None:
        if not (is_classifier(estimator) or is_regressor(estimator)):
            raise ValueError(
                f"{type(estimator).__name__} is neither a classifier nor a regressor, so it needs "
                "X and y of its own"
            )
        X, y = default_data()
        if is_regressor(estimator):
            y = [float(len(text)) for text in X]
    if len(X) != len(y) or len(X) < 8:
        raise ValueError(f"X and y need 8 or more rows each, got {len(X)} and {len(y)}")
    in_array = is_classifier(estimator) or is_regressor(estimator)
    return list(X), np.asarray(y) if in_array else list(y)


def _applicable(estimator: BaseEstimator, X: Sequence[Any]) -> Iterator[Any]:
    yield from _GENERAL
    if has_fit_parameter(estimator, "sample_weight"):
        yield _weights
    if is_classifier(estimator):
        yield _classifier
    elif is_regressor(estimator):
        yield _regressor
    elif row_kind(estimator, X) == "tokens":
        yield _tagger


def check_text_estimator(
    estimator: BaseEstimator,
    X: Sequence[Any] | None = None,
    y: Any = None,
    *,
    expected_failed_checks: Reasons | None = None,
    on_fail: Literal["raise", "warn"] | None = "raise",
) -> list[dict[str, Any]]:
    """Check that an estimator on text keeps scikit-learn's conventions.

    Parameters
    ----------
    estimator : estimator instance
        What to check; see :func:`text_estimator_checks`.
    X : sequence of length n_samples, default=None
        Rows to fit and predict; see :func:`text_estimator_checks`.
    y : sequence of length n_samples, default=None
        The target of each row; given if and only if `X` is.
    expected_failed_checks : dict of str to str, default=None
        Names of the checks that may fail, each with the reason.
    on_fail : {"raise", "warn"} or None, default="raise"
        What an unexpected failure does: raise its exception at once, or go on, with or without
        an `EstimatorCheckFailedWarning`.

    Returns
    -------
    list of dict
        One entry a check with the keys "estimator", "check_name", "exception" (None unless the
        check failed or was skipped), "status" ("passed", "failed", "xfail" or "skipped"),
        "expected_to_fail" and "expected_to_fail_reason".

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.backbones import Scratch
    >>> from muxlearn.testing import check_text_estimator
    >>> clf = MuxTextClassifier(n_mux=1, backbone=Scratch(hidden_size=16), max_epochs=1)
    >>> results = check_text_estimator(clf)  # doctest: +SKIP
    """
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f"on_fail should be 'raise', 'warn' or None, got {on_fail!r}")
    reasons = _known(expected_failed_checks)
    results = []
    for _, check in text_estimator_checks(estimator, X, y):
        result = _run(estimator, check, reasons)
        results.append(result)
        if result["status"] == "skipped":
            warnings.warn(_skip_message(result), SkipTestWarning, stacklevel=2)
        if result["status"] == "failed" and on_fail == "raise":
            raise result["exception"]
        if result["status"] == "failed" and on_fail == "warn":
            warnings.warn(EstimatorCheckFailedWarning(**result), stacklevel=2)
    return results


def _run(estimator: BaseEstimator, check: Check, reasons: Reasons) -> dict[str, Any]:
    name = _check_name(check)
    expected = name in reasons
    exception: BaseException | None = None
    try:
        check(estimator)
        status = "passed"
    except SkipTest as skip:
        exception, status = skip, "skipped"
    except Exception as failure:
        exception, status = failure, "xfail" if expected else "failed"
    return {
        "estimator": estimator,
        "check_name": name,
        "exception": exception,
        "status": status,
        "expected_to_fail": expected,
        "expected_to_fail_reason": reasons.get(name, "Check is not expected to fail"),
    }


def parametrize_with_text_checks(
    estimators: Sequence[BaseEstimator],
    *,
    data: tuple[Sequence[Any], Any] | None = None,
    expected_failed_checks: Reasons | Callable[[BaseEstimator], Reasons] | None = None,
) -> pytest.MarkDecorator:
    """Make one pytest case of each estimator and check.

    Parameters
    ----------
    estimators : sequence of estimator instances
        What to check; see :func:`text_estimator_checks`.
    data : tuple (X, y), default=None
        Rows and targets for all `estimators`; see :func:`text_estimator_checks`.
    expected_failed_checks : dict of str to str, or callable, default=None
        Names of the checks that must fail, each with the reason, or a function that returns
        such a dict for an estimator. These cases are strict xfails: one that passes is an error.

    Returns
    -------
    pytest.MarkDecorator
        Decorates a test function with the arguments ``estimator`` and ``check``.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.testing import parametrize_with_text_checks
    >>> @parametrize_with_text_checks([MuxTextClassifier(n_mux=1, max_epochs=1)])
    ... def test_scikit_learn_api(estimator, check):
    ...     check(estimator)
    """
    import pytest

    cases = []
    for estimator in estimators:
        reasons = _known(
            expected_failed_checks(estimator)
            if callable(expected_failed_checks)
            else expected_failed_checks
        )
        for _, check in text_estimator_checks(estimator, *(data or ())):
            reason = reasons.get(_check_name(check))
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
            cases.append(pytest.param(estimator, check, marks=marks))
    return pytest.mark.parametrize(("estimator", "check"), cases, ids=_case_id)


def _known(reasons: Reasons | None) -> Reasons:
    """Refuse names that no check has: a misspelt or retired expectation would never be met."""
    for name in reasons or {}:
        if name not in _ALL_NAMES:
            nearest = get_close_matches(name, _ALL_NAMES, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"expected_failed_checks names no check: {name!r}{hint}")
    return reasons or {}


def _check_name(check: Any) -> str:
    return check.func.__name__


def _case_id(value: Any) -> str:
    return _check_name(value) if isinstance(value, partial) else " ".join(repr(value).split())


def _skip_message(result: dict[str, Any]) -> str:
    return f"{result['check_name']} was skipped: {result['exception']}"
