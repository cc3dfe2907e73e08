"""A right classifier of strings, from which broken ones are made."""

from string import ascii_lowercase

import numpy as np
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted


def count_letters(rows):
    return np.array([[row.count(letter) for letter in ascii_lowercase] for row in rows], float)


class LetterBayes(ClassifierMixin, BaseEstimator):
    """A right classifier of strings: naive Bayes on letter counts."""

    def __init__(self, alpha=1.0, class_weight=None, random_state=None):
        self.alpha = alpha
        self.class_weight = class_weight
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def fit(self, X, y, sample_weight=None):
        rows = self.check_rows(X)
        labels = self.check_labels(y)
        if len(rows) != len(labels):
            raise ValueError(f"X has {len(rows)} rows, y has {len(labels)}")
        weights = self.check_weights(sample_weight, labels)
        self.classes_ = np.unique(labels)
        members = (self.classes_[:, None] == labels) * weights
        counts = members @ count_letters(rows) + self.alpha
        self.log_prior_ = np.log(members.sum(axis=1) / members.sum())
        self.log_letters_ = np.log(counts / counts.sum(axis=1, keepdims=True))
        return self

    def check_rows(self, X):
        if isinstance(X, str):
            raise TypeError("X is one string")
        rows = list(X)
        if not rows:
            raise ValueError("X has no rows")
        for number, row in enumerate(rows):
            self.check_row(number, row)
        return rows

    def check_row(self, number, row):
        if not isinstance(row, str):
            raise TypeError(f"row {number} is {row!r}, not a string")

    def check_labels(self, y):
        if y is None:
            raise ValueError("y is None")
        labels = column_or_1d(y, warn=True)
        if any(label is None or label != label for label in labels):
            raise ValueError("y has a missing label")
        check_classification_targets(labels)
        return labels

    def check_weights(self, sample_weight, labels):
        weights = _check_sample_weight(sample_weight, np.empty((len(labels), 0)))
        if not weights.any():
            raise ValueError("the weights are all zero")
        return weights * compute_sample_weight(self.class_weight, labels)

    def log_proba(self, X):
        check_is_fitted(self)
        joint = count_letters(self.check_rows(X)) @ self.log_letters_.T + self.log_prior_
        return log_softmax(joint, axis=1)

    def predict(self, X):
        log_proba = self.log_proba(X)
        return self.classes_[log_proba.argmax(axis=1)]

    def predict_proba(self, X):
        return np.exp(self.log_proba(X))

    def decision_function(self, X):
        log_proba = self.log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba
