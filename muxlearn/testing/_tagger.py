"""One label for each token: what only estimators on lists of tokens promise."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from muxlearn.testing._common import fitted, fresh, rejects, replace


def check_inconsistent_row_length(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Tokens and tags of different number are a `ValueError` that names the row."""
    at = len(X) // 2
    longer = replace(y, at, [*y[at], y[at][0] if len(y[at]) else "O"])
    with rejects(f"{name}.fit with a tag too many", naming=rf"(?<!\d){at}(?!\d)"):
        fresh(estimator_orig).fit(X, longer)


def check_bare_string_row(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Strings in the place of lists of tokens are refused, with the row's number."""
    at = len(X) // 2
    rows = replace(X, at, "x" * len(X[at]))
    error, number = (TypeError, ValueError), rf"(?<!\d){at}(?!\d)"
    with rejects(f"{name}.fit with a string as row {at}", error=error, naming=number):
        fresh(estimator_orig).fit(rows, y)
    estimator = fitted(estimator_orig, X, y)
    with rejects(f"{name}.predict with a string as row {at}", error=error, naming=number):
        estimator.predict(rows)


def check_tags_are_known(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``classes_`` is the sorted inventory of tags, and ``predict`` returns lists of them."""
    estimator = fitted(estimator_orig, X, y)
    inventory = sorted({tag for tags in y for tag in tags})
    assert list(estimator.classes_) == inventory, f"{name}.classes_ is {estimator.classes_}"
    predicted = estimator.predict(X)
    assert isinstance(predicted, list), f"{name}.predict returns {type(predicted)}"
    for row, tags in enumerate(predicted):
        assert isinstance(tags, list), f"{name}.predict returns {type(tags)} for row {row}"
        assert set(tags) <= set(inventory), f"{name}.predict returns other tags for row {row}"


CHECKS = (
    check_inconsistent_row_length,
    check_bare_string_row,
    check_tags_are_known,
)
