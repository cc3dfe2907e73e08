"""Runs the stages of a fitted cascade."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from muxlearn.model_selection._stages import Stage, find_mixing, predictor_of, takes, unwrap
from muxlearn.model_selection._thresholds import temper

__all__ = ["Cascade", "answer"]


def answer(stage: Stage, X: Any, groups: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the probabilities that a stage predicts, and check them.

    Parameters
    ----------
    stage : Stage
        Fitted.
    X : sequence of length n_rows
    groups : array-like of shape (n_rows,), default=None
        Given to the stage unless None.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)

    Raises
    ------
    ValueError
        These are no probabilities.
    """
    asked = {"n_mux": stage.n_mux, "groups": groups}
    asked = {name: value for name, value in asked.items() if value is not None}
    proba = np.asarray(unwrap(stage.classifier).predict_proba(X, **asked), np.float64)
    broken = np.flatnonzero(~np.isfinite(proba).all(axis=1))
    if len(broken):
        raise ValueError(
            f"the stage {stage.name!r} predicts NaN or infinite probabilities for {len(broken)} of "
            f"{len(proba)} rows; see what its predict_proba returns for them, or leave it out of "
            "`stages`"
        )
    return proba


@dataclass(frozen=True)
class Cascade:
    """Stages in their order, and what decides where a row stops.

    Attributes
    ----------
    stages : sequence of Stage
        Fitted.
    thresholds : ndarray of shape (n_stages - 1,)
        At infinity, a stage is left out.
    temperatures : ndarray of shape (n_stages,)
    classes : ndarray of shape (n_classes,)
    """

    stages: Sequence[Stage]
    thresholds: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    classes: NDArray

    def predict_proba(
        self,
        X: Any,
        groups: NDArray[np.int64] | None = None,
        grouped: Sequence[bool] | None = None,
    ) -> NDArray[np.float64]:
        """Predict the probabilities of the stage that each row stops at.

        Parameters
        ----------
        X : sequence of length n_rows
        groups : ndarray of int64, shape (n_rows,), default=None
        grouped : sequence of bool, length n_stages, default=None
            The stages that are given the groups, from `grouped_stages`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        n_rows = _num_samples(X)
        proba = np.empty((n_rows, len(self.classes)))
        left = np.arange(n_rows)
        for number in self._running():
            rows = X if len(left) == n_rows else _safe_indexing(X, left)
            of_rows = groups[left] if groups is not None and grouped and grouped[number] else None
            answered = answer(self.stages[number], rows, of_rows)
            answered = temper(answered, self.temperatures[number])
            stops = answered.max(axis=1) >= self._threshold(number)
            proba[left[stops]] = answered[stops]
            left = left[~stops]
            if not len(left):
                break
        return proba

    def grouped_stages(self, requested: Sequence[bool] | None = None) -> list[bool]:
        """Return which stages are given groups, where a prediction has groups.

        Parameters
        ----------
        requested : sequence of bool, length n_stages, default=None
            What the stages request by metadata routing; None stands for those that take groups.

        Returns
        -------
        list of bool

        Raises
        ------
        ValueError
            No stage takes groups, or one that does not would mix rows of different groups.
        """
        taking = [takes(stage.classifier, "groups") for stage in self.stages]
        for number in self._running():
            name, classifier = self.stages[number].name, self.stages[number].classifier
            mixing = None if taking[number] else find_mixing(classifier)
            if mixing is not None:
                raise ValueError(
                    f"`groups` was given, but the stage {name!r} is a "
                    f"{type(unwrap(classifier)).__name__}, which does not take it, and holds a "
                    f"{type(mixing).__name__} that would mix rows of different groups; fit the "
                    "latter with n_mux=1, or make it a stage of its own"
                )
        if requested is not None:
            return list(requested)
        if not any(taking):
            raise ValueError(
                "`groups` was given, but no stage of this cascade takes it, and none that runs "
                "mixes rows; leave it out"
            )
        return taking

    def shares(
        self, confidence: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the shares of rows that reach a stage, and that stop at it.

        Parameters
        ----------
        confidence : ndarray of shape (n_stages, n_rows)
        weights : ndarray of shape (n_rows,)

        Returns
        -------
        reached, stopped : ndarray of shape (n_stages,)
        """
        reached, stopped = np.zeros((2, len(self.stages)))
        left = weights
        for number in self._running():
            stops = confidence[number] >= self._threshold(number)
            reached[number] = left.sum()
            stopped[number] = left[stops].sum()
            left = np.where(stops, 0, left)
        return reached / weights.sum(), stopped / weights.sum()

    def fingerprint(self) -> str:
        """Return a digest of all that decides what is predicted."""
        digest = hashlib.sha256()
        for stage in self.stages:
            own = predictor_of(stage.classifier)
            digest.update(repr((stage.name, stage.n_mux)).encode())
            digest.update(str(stage.digest if own is None else own.fingerprint()).encode())
        for array in (self.thresholds, self.temperatures):
            digest.update(array.tobytes())
        return f"cascade of {len(self.stages)} stages, sha256 {digest.hexdigest()}"

    def _running(self) -> list[int]:
        """Return the numbers of the stages that are not left out."""
        return [*np.flatnonzero(np.isfinite(self.thresholds)).tolist(), len(self.stages) - 1]

    def _threshold(self, number: int) -> float:
        return self.thresholds[number] if number < len(self.thresholds) else 0.0
