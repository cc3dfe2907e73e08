"""A right tagger passes every check, and a broken one fails those it breaks and no other."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from muxlearn.testing import check_text_estimator, parametrize_with_text_checks

SENTENCES = [s.split() for s in ("the cat sat", "a dog", "the dog ran", "it sat", "we") * 2]
TAGS = [[{"cat": "N", "dog": "N"}.get(token, "O") for token in s] for s in SENTENCES]


class NounTagger(BaseEstimator):
    """A right tagger: remembers the tag each token had last."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags

    def check_rows(self, X):
        rows = list(X)
        if isinstance(X, str) or not rows:
            raise ValueError("X is not a sequence of sentences")
        for number, row in enumerate(rows):
            if not isinstance(row, list | tuple) or not all(isinstance(t, str) for t in row):
                raise ValueError(f"row {number} is not a list of tokens: {row!r}")
        return rows

    def fit(self, X, y):
        rows = self.check_rows(X)
        if y is None or len(y) != len(rows):
            raise ValueError(f"X has {len(rows)} rows, y has {len(y or [])}")
        y = list(y)
        for number, (tokens, tags) in enumerate(zip(rows, y, strict=True)):
            if len(tokens) != len(tags):
                raise ValueError(f"row {number}: {len(tokens)} tokens, {len(tags)} tags")
        self.classes_ = np.unique(np.concatenate(y))
        pairs = zip(rows, y, strict=True)
        self.tags_ = {k: v for row, tags in pairs for k, v in zip(row, tags, strict=True)}
        return self

    def predict(self, X):
        check_is_fitted(self)
        return [[self.tags_.get(token, "O") for token in row] for row in self.check_rows(X)]

    def predict_proba(self, X):
        return [(self.classes_ == np.array(tags)[:, None]) * 1.0 for tags in self.predict(X)]

    def score(self, X, y):
        pairs = zip(self.predict(X), y, strict=True)
        return float(np.mean([a == b for row, tags in pairs for a, b in zip(row, tags)]))  # noqa: B905


@parametrize_with_text_checks([NounTagger()], data=(SENTENCES, TAGS))
def test_a_right_tagger_passes(estimator, check):
    check(estimator)


class DropsTags(NounTagger):
    def predict(self, X):
        return [tags[:2] for tags in super().predict(X)]


class IgnoresExtraTags(NounTagger):
    def fit(self, X, y):
        rows = self.check_rows(X)
        if y is not None and len(y) == len(rows):
            y = [tags[: len(row)] for row, tags in zip(rows, y, strict=True)]
        return super().fit(X, y)


class SplitsStrings(NounTagger):
    def check_rows(self, X):
        rows = X if isinstance(X, str) else [[*r] if isinstance(r, str) else r for r in X]
        return super().check_rows(rows)


class ReturnsArrays(NounTagger):
    def predict(self, X):
        return [np.array(tags) for tags in super().predict(X)]


class AcceptsOddTokens(NounTagger):
    def check_rows(self, X):
        rows = [[*map(str, r)] if isinstance(r, list) else r for r in X]
        return super().check_rows(X if isinstance(X, str) else rows)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (DropsTags, {"check_one_prediction_per_row"}),
        (IgnoresExtraTags, {"check_inconsistent_row_length"}),
        (SplitsStrings, {"check_bare_string_row"}),
        (ReturnsArrays, {"check_tags_are_known"}),
        (AcceptsOddTokens, {"check_estimators_nan_inf", "check_dtype_object"}),
    ],
)
def test_a_broken_tagger_fails_its_checks_only(broken, expected):
    results = check_text_estimator(broken(), SENTENCES, TAGS, on_fail=None)
    assert {r["check_name"] for r in results if r["status"] != "passed"} == expected
