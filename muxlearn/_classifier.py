"""What classifiers share, whatever their rows are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from muxlearn._estimator import MuxEstimator
from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn.rows import check_labels, check_weights, row_weights, take_rows, training_order

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
        part = self._fit(
            arranged,
            arranged if extra is rows else extra,
            classes=classes,
            targets=targets,
            weights=row_weights(weights, self.class_weight, classes, targets),
            n_targets=np.ones(len(order), np.int64),
            strata=targets,
        )
        if part is not None:
            self._measure_set_aside(arranged, classes[targets], weights, part)

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> NDArray:
        """Predict the labels of rows.

        Parameters
        ----------
        X : sequence of length n_samples
            Rows as in `fit`; a single one is enough.

        n_mux : int or "auto", default=None
            Rows in a mixture, from 1 to the model's capacity, which None stands for. With
            fewer, a row fills several slots whose answers are averaged: slower and more
            accurate. "auto" takes the fastest of `operating_points_` that scores `min_score` or
            more.

        groups : array-like of shape (n_samples,), default=None
            Rows of different groups (tenants, say) never share a mixture.

        n_passes : int, default=1
            How often to predict, among other companions each time; probabilities are averaged.

        min_score : float, default=None
            The least score that ``n_mux="auto"`` may choose, in what `score` measures; needed with
            it, and an error without. Scores were measured in one pass and without groups.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels, in the order of `X`.
        """
        return self._labels(self._log_proba(X, n_mux, groups, n_passes, min_score))

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X, n_mux, groups, n_passes, min_score
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return np.exp(self._log_proba(X, n_mux, groups, n_passes, min_score))

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> NDArray[np.float64]:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        X, n_mux, groups, n_passes, min_score
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        log_proba = self._log_proba(X, n_mux, groups, n_passes, min_score)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def score(
        self,
        X: Iterable[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> float:
        """Return the accuracy of `predict`.

        Parameters
        ----------
        X, n_mux, groups, n_passes, min_score
            As in `predict`.

        y : array-like of shape (n_samples,)
            The true labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        float
        """
        predicted = self.predict(
            X, n_mux=n_mux, groups=groups, n_passes=n_passes, min_score=min_score
        )
        return self._score_labels(y, predicted, sample_weight)

    @property
    def _score_name(self) -> str:
        return "accuracy"

    def _score_labels(
        self, true: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None
    ) -> float:
        return float(accuracy_score(true, predicted, sample_weight=weights))

    def _predict_checked(self, rows: Any, n_mux: int) -> NDArray:
        return self._labels(self._in_order(self._checked_parts(rows, n_mux)))

    def _labels(self, log_proba: NDArray[np.float64]) -> NDArray:
        return self.classes_[log_proba.argmax(1)]

    def _probabilities(self, log_proba: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(log_proba)

    def _log_proba(
        self,
        X: Iterable[Any],
        n_mux: int | str | None,
        groups: ArrayLike | None,
        n_passes: int,
        min_score: float | None,
    ) -> NDArray[np.float64]:
        return self._in_order(self._log_proba_parts(X, n_mux, groups, n_passes, min_score))

    def _in_order(
        self, parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float64]]]
    ) -> NDArray[np.float64]:
        """Join the log-probabilities of windows in the order of the rows."""
        parts = list(parts)
        out = np.empty((sum(len(rows) for rows, _ in parts), len(self.classes_)))
        for rows, log_proba in parts:
            out[rows] = log_proba
        return out
