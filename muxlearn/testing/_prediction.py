"""Checks of ``predict``, ``predict_proba`` and ``decision_function``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier

from muxlearn.testing._common import (
    METHODS,
    assert_same,
    fitted,
    need,
    outputs,
    row_kind,
    take,
)

_UNUSUAL_TEXTS = {
    "an empty string": "",
    "whitespace": " \t\n\r\u2003 ",
    "emoji": "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "control characters": "\x00\x07\x1b[0m\u200b\ufeff\x7f",
    "a long text": "a text without end " * 5_000,
    "a long word": "x" * 20_000,
}


def check_dict_unchanged(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Predicting neither sets nor replaces an attribute of the estimator."""
    estimator = fitted(estimator_orig, X, y)
    before = dict(vars(estimator))
    for method in METHODS:
        if hasattr(estimator, method):
            getattr(estimator, method)(X)
            after = vars(estimator)
            either = before.keys() | after.keys()
            changed = [key for key in either if before.get(key, estimator) is not after.get(key)]
            assert not changed, f"{name}.{method} changes {changed}"


def check_one_prediction_per_row(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Every row gets a prediction, however many rows there are, and a tagger's every token."""
    estimator = fitted(estimator_orig, X, y)
    for n_rows in (1, 2, 3, len(X) - 1, len(X)):
        for method, output in outputs(estimator, X[:n_rows]).items():
            what = f"{name}.{method} of {n_rows} rows"
            assert len(output) == n_rows, f"{what} returns {len(output)}"
            if row_kind(estimator, X) == "tokens":
                lengths = [len(row) for row in output]
                assert lengths == [len(row) for row in X[:n_rows]], f"{what} has {lengths} tokens"


def check_methods_sample_order_invariance(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Predictions for a row do not depend on where it stands."""
    estimator = fitted(estimator_orig, X, y)
    order = np.random.RandomState(0).permutation(len(X))
    shuffled = outputs(estimator, take(X, order))
    expected = {method: take(output, order) for method, output in outputs(estimator, X).items()}
    assert_same(shuffled, expected, f"{name} depends on the order of the rows")


def check_methods_subset_invariance(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Predictions for a row do not depend on the rows that come with it."""
    estimator = fitted(estimator_orig, X, y)
    for method, whole in outputs(estimator, X).items():
        alone = [getattr(estimator, method)([row])[0] for row in X]
        assert_same(alone, whole, f"{name}.{method} depends on the other rows")


def check_predict_proba(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Probabilities are not negative, sum to 1, and have a column for each of ``classes_``."""
    need(estimator_orig, "predict_proba")
    estimator = fitted(estimator_orig, X, y)
    for labels, proba in _blocks(estimator, X):
        assert proba.shape == (len(labels), len(estimator.classes_)), (
            f"{name}.predict_proba has shape {proba.shape} for {len(labels)} labels of "
            f"{len(estimator.classes_)} classes"
        )
        assert np.all(proba >= 0), f"{name}.predict_proba has negative entries"
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


def check_predict_is_argmax_of_proba(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``predict`` is the class with the highest probability."""
    need(estimator_orig, "predict_proba")
    estimator = fitted(estimator_orig, X, y)
    for labels, proba in _blocks(estimator, X):
        likeliest = [estimator.classes_[i] for i in proba.argmax(axis=1)]
        assert_same(labels, likeliest, f"{name}.predict is not the argmax of predict_proba")


def _blocks(estimator: Any, X: Any) -> list[tuple[Any, np.ndarray]]:
    """Pair labels with 2-D probabilities: one block of all rows, or one a row of a tagger."""
    labels, proba = estimator.predict(X), estimator.predict_proba(X)
    if is_classifier(estimator):
        return [(labels, np.asarray(proba))]
    return [(row, np.asarray(p)) for row, p in zip(labels, proba, strict=True) if len(row)]


def check_unusual_rows(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Empty, blank, very long and otherwise odd strings can be learned from and predicted."""
    kind = row_kind(estimator_orig, X)
    odd_rows: list[Any] = list(_UNUSUAL_TEXTS.values())
    odd_y: list[Any] = take(y, [0] * len(odd_rows))
    if kind == "pair":
        odd_rows = [(text, text) for text in odd_rows]
    if kind == "tokens":
        tag = next(tag for tags in y for tag in tags)
        odd_rows = [[], *([text] for text in odd_rows)]
        odd_y = [[tag] * len(row) for row in odd_rows]
    estimator = fitted(estimator_orig, [*X, *odd_rows], [*y, *odd_y])
    for method, output in outputs(estimator, odd_rows).items():
        assert len(output) == len(odd_rows), f"{name}.{method} loses unusual rows"
    for what, row in zip(_UNUSUAL_TEXTS, odd_rows[-len(_UNUSUAL_TEXTS) :], strict=True):
        assert len(estimator.predict([row])) == 1, f"{name} does not predict {what}"


CHECKS = (
    check_dict_unchanged,
    check_one_prediction_per_row,
    check_methods_sample_order_invariance,
    check_methods_subset_invariance,
    check_predict_proba,
    check_predict_is_argmax_of_proba,
    check_unusual_rows,
)
