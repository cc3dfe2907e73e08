"""Classifiers whose answers stand in the rows, so that tests decide what each stage says."""

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

#: Log odds, of the second class, that three stages give to a row: the last one is right more often.
SPREAD = (1.6, 1.3, 1.0)


class Column(ClassifierMixin, BaseEstimator):
    """Reads its log odds from a column, and notes how many rows it was asked for."""

    def __init__(self, column=0, asked=None):
        self.column = column
        self.asked = asked

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.n_fitted_ = len(y)
        self.weight_ = None if sample_weight is None else np.sum(sample_weight)
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        rows = np.asarray(X, float)
        second = expit(rows[:, self.column])
        if self.asked is not None:
            self.asked.append(len(rows))
        return np.column_stack([1 - second, second])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def draw(n_rows, seed=0):
    """Return rows of three columns of log odds, and labels that they are right about mostly."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n_rows)
    # Most rows are easy: all stages then are sure, and right.
    sign = 2 * labels[:, None] - 1
    ease = rng.gamma(2.0, 1.2, (n_rows, 1))
    rows = sign * ease + rng.normal(size=(n_rows, 3)) * SPREAD
    return rows, np.array(["no", "yes"])[labels]
