"""Data, fitted copies and comparisons of predictions for the checks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import SkipTest

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor

METHODS = ("predict", "predict_proba", "decision_function")

_SUBJECTS = ("the cat", "a small dog", "my old grey horse", "the owl")
_ENDINGS = {"animal": ("sleeps", "eats hay", "runs home"), "weather": ("rain", "snow", "wind")}


def default_data() -> tuple[list[str], np.ndarray]:
    """Return 24 short texts of differing lengths and their two labels, both shuffled."""
    texts, labels = [], []
    for subject in _SUBJECTS:
        texts += [f"{subject} {ending}" for ending in _ENDINGS["animal"]]
        texts += [f"{ending} today, says {subject}" for ending in _ENDINGS["weather"]]
        labels += ["animal"] * 3 + ["weather"] * 3
    order = np.random.RandomState(0).permutation(len(texts))
    return [texts[i] for i in order], np.array(labels)[order]


def fresh(estimator: BaseEstimator) -> Any:
    """Clone `estimator` with fixed seeds and no warm start, so that two fits are comparable."""
    copy = clone(estimator)
    for key, value in copy.get_params().items():
        last = key.rpartition("__")[2]
        if last == "random_state" and not isinstance(value, int):
            copy.set_params(**{key: 0})
        elif last == "warm_start":
            copy.set_params(**{key: False})
    return copy


def fitted(estimator: BaseEstimator, X: Any, y: Any, **fit_params: Any) -> Any:
    """Return a fresh copy of `estimator` after ``fit``, whatever ``fit`` returns."""
    copy = fresh(estimator)
    copy.fit(X, y, **fit_params)
    return copy


def outputs(estimator: Any, X: Any) -> dict[str, Any]:
    """Return what each prediction method that `estimator` has says about `X`."""
    return {name: getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)}


def need(estimator: Any, *methods: str) -> None:
    """Skip the check unless `estimator` has all `methods`."""
    missing = [method for method in methods if not hasattr(estimator, method)]
    if missing:
        raise SkipTest(f"{type(estimator).__name__} has no {', '.join(missing)}")


def need_pandas() -> Any:
    """Return the module pandas, or skip the check."""
    try:
        return import_module("pandas")
    except ImportError as error:
        raise SkipTest("pandas is not installed") from error


def take(rows: Sequence[Any], indices: Iterable[int]) -> list[Any]:
    """Return the rows at `indices` as a list."""
    return [rows[i] for i in indices]


def replace(rows: Any, index: int, value: Any) -> list[Any]:
    """Return the rows as a list, with `value` at `index`."""
    return [*rows[:index], value, *rows[index + 1 :]]


def object_array(rows: Sequence[Any]) -> np.ndarray:
    """Return a 1-D object array of `rows`, also where numpy would stack them."""
    array = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


def row_kind(estimator: BaseEstimator, X: Sequence[Any]) -> str:
    """Say what a row of `X` is: "text", "pair" or "tokens" (a tagger's)."""
    if isinstance(X[0], str):
        return "text"
    return "pair" if is_classifier(estimator) or is_regressor(estimator) else "tokens"


def assert_same(actual: Any, expected: Any, message: str, *, tolerance: float = 1e-5) -> None:
    """Assert that two outputs agree: equal structure, labels and, within `tolerance`, numbers.

    Outputs may be ragged: dicts, arrays and lists nest to any depth.
    """
    if isinstance(expected, dict):
        assert list(actual) == list(expected), f"{message}: {list(actual)} != {list(expected)}"
        for key, value in expected.items():
            assert_same(actual[key], value, f"{message} in {key}", tolerance=tolerance)
        return
    _assert_same(_plain(actual), _plain(expected), message, "", tolerance)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _assert_same(actual: Any, expected: Any, message: str, at: str, tolerance: float) -> None:
    where = f"{message}: at {at}" if at else message
    if isinstance(expected, list) and isinstance(actual, list):
        assert len(actual) == len(expected), f"{where}: {len(actual)} items, not {len(expected)}"
        for i, (left, right) in enumerate(zip(actual, expected, strict=True)):
            _assert_same(left, right, message, f"{at}[{i}]", tolerance)
    elif isinstance(expected, float) and isinstance(actual, float):
        same = math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance)
        assert same or (math.isnan(actual) and math.isnan(expected)), (
            f"{where}: {actual!r}, not {expected!r}"
        )
    else:
        same = type(actual) is type(expected) and actual == expected
        assert same, f"{where}: {actual!r}, not {expected!r}"


@contextmanager
def rejects(
    what: str,
    *,
    error: type[Exception] | tuple[type[Exception], ...] = ValueError,
    naming: str = "",
    may_pass: bool = False,
) -> Iterator[None]:
    """Assert that the block raises `error` and that its message matches the regex `naming`.

    With `may_pass` no error is as good.
    """
    try:
        yield
    except error as exception:
        if not re.search(naming, str(exception), re.IGNORECASE):
            wrong = f"the error for {what} should match {naming!r}, but reads: {exception}"
            raise AssertionError(wrong) from exception
    except Exception as exception:
        kind = type(exception).__name__
        raise AssertionError(f"{what} raises {kind}, not {error}: {exception}") from exception
    else:
        if not may_pass:
            raise AssertionError(f"{what} raises no error")
