"""Containers that are accepted, and input that is refused with a clear error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from muxlearn.testing._common import (
    assert_same,
    fitted,
    fresh,
    need_pandas,
    object_array,
    outputs,
    rejects,
    replace,
    row_kind,
)

_MISSING = {"None": None, "NaN": float("nan")}
_NOT_TEXT = {"a number": 0.25, "an integer": 0, "bytes": b"bytes", "a dict": {"text": "a"}}
_WRONG = (TypeError, ValueError)


class _Column(Sequence[Any]):
    """A sequence and nothing more, like a column of a `datasets.Dataset`."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]


def check_estimators_data_not_an_array(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Rows are the same in a list, a tuple, an array or any other sequence."""
    estimator = fitted(estimator_orig, X, y)
    expected = outputs(estimator, X)
    containers: list[Any] = [tuple(X), object_array(X), _Column(X)]
    if row_kind(estimator_orig, X) == "text":
        containers.append(np.array(X))
    for rows in containers:
        kind = f"{type(rows).__name__} {getattr(rows, 'dtype', '')}".strip()
        assert_same(outputs(estimator, rows), expected, f"{name} given a {kind}")
    refitted = fitted(estimator_orig, object_array(X), list(y))
    assert_same(outputs(refitted, X), expected, f"{name} fitted on an array and a list")


def check_pandas_input(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Series are read by position, whatever their index."""
    pd = need_pandas()
    index = np.arange(len(X))[::-1]
    X_series, y_series = pd.Series(X, index=index), pd.Series(list(y), index=index + 1)
    expected = outputs(fitted(estimator_orig, X, y), X)
    actual = outputs(fitted(estimator_orig, X_series, y_series), X_series)
    assert_same(actual, expected, f"{name} given pandas.Series")


def check_estimators_empty_data_messages(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """No rows at all is a `ValueError`, in ``fit`` as in ``predict``."""
    with rejects(f"{name}.fit on no rows"):
        fresh(estimator_orig).fit([], [])
    estimator = fitted(estimator_orig, X, y)
    with rejects(f"{name}.predict of no rows"):
        estimator.predict([])


def check_inconsistent_length(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``X`` and ``y`` of different length is a `ValueError` that gives both numbers."""
    numbers = f"{len(X)}.*{len(X) - 1}|{len(X) - 1}.*{len(X)}"
    with rejects(f"{name}.fit with one y too few", naming=numbers):
        fresh(estimator_orig).fit(X, y[:-1])
    with rejects(f"{name}.fit with one row too few", naming=numbers):
        fresh(estimator_orig).fit(X[:-1], y)


def check_estimators_nan_inf(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """None and NaN among the texts are refused, and the error gives the row's number."""
    _assert_refuses_rows(name, estimator_orig, X, y, _MISSING)


def check_dtype_object(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Numbers, bytes and dicts among the texts are refused, with the row's number."""
    _assert_refuses_rows(name, estimator_orig, X, y, _NOT_TEXT)


def _assert_refuses_rows(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any, values: dict[str, Any]
) -> None:
    estimator = fitted(estimator_orig, X, y)
    at = len(X) // 2 + 1
    for what, rows in _with_bad_row(row_kind(estimator_orig, X), X, at, values):
        with rejects(f"{name}.fit with {what} in row {at}", error=_WRONG, naming=_number(at)):
            fresh(estimator_orig).fit(rows, y)
        with rejects(f"{name}.predict with {what} in row {at}", error=_WRONG, naming=_number(at)):
            estimator.predict(rows)


def _with_bad_row(
    kind: str, X: Any, at: int, values: dict[str, Any]
) -> Iterator[tuple[str, list[Any]]]:
    """Put each value in the place of row `at` and, where rows are sequences, inside that row."""
    for what, value in values.items():
        yield what, replace(X, at, value)
        if kind != "text" and len(X[at]):
            yield f"{what} within", replace(X, at, type(X[at])([value, *X[at][1:]]))


def _number(value: int) -> str:
    return rf"(?<!\d){value}(?!\d)"


def check_lone_surrogate(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Text that UTF-8 cannot encode is accepted, or refused with the row's number."""
    estimator = fitted(estimator_orig, X, y)
    at = len(X) // 2 + 1
    bad = "half an emoji: \ud83d"
    row = bad if row_kind(estimator_orig, X) == "text" else type(X[at])([bad, *X[at][1:]])
    rows = replace(X, at, row)
    what = f"{name} given a lone surrogate in row {at}"
    with rejects(what, naming=_number(at), may_pass=True):
        fresh(estimator_orig).fit(rows, y)
    with rejects(what, naming=_number(at), may_pass=True):
        estimator.predict(rows)


def check_bare_string(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """One string in the place of many is refused: its characters are not rows."""
    text = "x" * len(X)
    with rejects(f"{name}.fit on a bare string", error=_WRONG):
        fresh(estimator_orig).fit(text, y)
    estimator = fitted(estimator_orig, X, y)
    with rejects(f"{name}.predict of a bare string", error=_WRONG):
        estimator.predict(text)


def check_requires_y_none(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``fit`` without ``y`` is a `ValueError` that speaks of ``y``."""
    with rejects(f"{name}.fit with y=None", naming=r"\by\b"):
        fresh(estimator_orig).fit(X, None)


def check_failed_fit_leaves_no_state(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Input that ``fit`` refuses leaves nothing behind in the estimator."""
    for rows, target in ((replace(X, 1, None), y), (X, y[:-1]), (X, None), ([], [])):
        estimator = fresh(estimator_orig)
        before = set(vars(estimator))
        with rejects(f"{name}.fit on bad input", error=_WRONG):
            estimator.fit(rows, target)
        left = set(vars(estimator)) - before
        assert not left, f"{name}.fit fails and leaves {sorted(left)}"


CHECKS = (
    check_estimators_data_not_an_array,
    check_pandas_input,
    check_estimators_empty_data_messages,
    check_inconsistent_length,
    check_estimators_nan_inf,
    check_dtype_object,
    check_lone_surrogate,
    check_bare_string,
    check_requires_y_none,
    check_failed_fit_leaves_no_state,
)
