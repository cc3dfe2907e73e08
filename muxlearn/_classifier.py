"""What classifiers share, whatever their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from muxlearn._estimator import MuxEstimator
from muxlearn._labels import check_labels, check_weights, row_weights, training_order
from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn._tables import take_rows

__all__ = ["MuxClassifierMixin"]


class MuxClassifierMixin(ClassifierMixin, MuxEstimator):
    """The predictions of an estimator with one label for each row."""

    class_weight: dict[Any, float] | str | None

    _constraints: ClassVar[dict[str, Constraint]] = {
        "class_weight": OneOf(
            None, Choice("balanced"), Instance((dict,), "a dict from label to weight")
        ),
    }

    def _fit_labels(
        self, rows: Any, extra: Any, y: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> None:
        """Fit to checked rows, and to labels and weights that are not checked yet."""
        labels, targets = check_labels(y, len(rows))
        order, weights = training_order(rows, targets, check_weights(sample_weight, len(rows)))
        # A label whose rows all weigh nothing is none.
        classes, targets = check_labels(labels[targets[order]], len(order))
        arranged = take_rows(rows, order)
        self._fit(
            arranged,
            arranged if extra is rows else extra,
            classes=classes,
            targets=targets,
            weights=row_weights(weights, self.class_weight, classes, targets),
            n_targets=np.ones(len(order), np.int64),
            strata=targets,
        )

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray:
        """Predict the labels of rows.

        Parameters
        ----------
        X : sequence of length n_samples
            Rows as in `fit`; a single one is enough.

        n_mux : int, default=None
            Rows in a mixture, from 1 to the model's capacity, which None stands for. With
            fewer, a row fills several slots whose answers are averaged: slower and more
            accurate.

        groups : array-like of shape (n_samples,), default=None
            Rows of different groups (tenants, say) never share a mixture.

        n_passes : int, default=1
            How often to predict, among other companions each time; probabilities are averaged.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels, in the order of `X`.
        """
        return self._labels(self._log_proba(X, n_mux, groups, n_passes))

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return np.exp(self._log_proba(X, n_mux, groups, n_passes))

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray[np.float64]:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        log_proba = self._log_proba(X, n_mux, groups, n_passes)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def score(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> float:
        """Return the accuracy of `predict`.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        y : array-like of shape (n_samples,)
            The true labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        float
        """
        predicted = self.predict(X, n_mux=n_mux, groups=groups, n_passes=n_passes)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _labels(self, log_proba: NDArray[np.float64]) -> NDArray:
        return self.classes_[log_proba.argmax(1)]

    def _probabilities(self, log_proba: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(log_proba)

    def _log_proba(
        self, X: Iterable[Any], n_mux: int | None, groups: ArrayLike | None, n_passes: int
    ) -> NDArray[np.float64]:
        parts = list(self._log_proba_parts(X, n_mux, groups, n_passes))
        out = np.empty((sum(len(rows) for rows, _ in parts), len(self.classes_)))
        for rows, log_proba in parts:
            out[rows] = log_proba
        return out
