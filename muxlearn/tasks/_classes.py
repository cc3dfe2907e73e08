"""One label for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from torch import Tensor

from muxlearn._warnings import warn
from muxlearn.rows import (
    SoftLabels,
    check_labels,
    check_several,
    check_weights,
    row_weights,
    training_order,
)
from muxlearn.tasks._task import Task, TrainingSet

__all__ = ["METHODS", "ClassesTask", "log_probabilities", "mean_probability", "values_of"]

#: What answers that are log-probabilities can be asked for.
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def log_probabilities(outputs: Tensor) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities that logits stand for."""
    return outputs.double().log_softmax(-1).numpy()


def mean_probability(passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the logarithm of the mean of probabilities that are given as logarithms."""
    return np.logaddexp.reduce(passes, axis=0) - np.log(len(passes))


def values_of(method: str, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a method of `METHODS` other than `predict` says of log-probabilities.

    The decisions of two classes are the log odds of the second.
    """
    if method == "predict_proba":
        return np.exp(answers)
    if method == "decision_function" and answers.shape[1] == 2:
        return answers[:, 1] - answers[:, 0]
    return answers


def _check_labels_unread(rows: Any, labels: NDArray) -> None:
    """Refuse pairs of a text and its label: a frame of both reads as a frame of pairs."""
    if len(rows) < 2 or not isinstance(rows[0], tuple):
        return
    for side, at in enumerate(("first", "second")):
        if all(row[side] == label for row, label in zip(rows, labels, strict=True)):
            raise ValueError(
                f"the {at} text of each pair in `X` holds the labels of `y`; give the texts alone, "
                "one column of a frame"
            )


@dataclass(frozen=True, eq=False)
class ClassesTask(Task):
    """Classify rows: the answers are log-probabilities, the label is the most probable class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    """

    classes: NDArray

    name: ClassVar[str] = "classes"
    score_is_share: ClassVar[bool] = True
    methods: ClassVar[tuple[str, ...]] = METHODS

    @classmethod
    def learn(
        cls,
        rows: Any,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
        class_weight: dict[Any, float] | str | None = None,
    ) -> tuple[ClassesTask, TrainingSet]:
        """Check labels and weights, and make targets of them.

        Parameters
        ----------
        rows : list or ndarray, length n_rows
            Checked.
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), default=None
        class_weight : dict, "balanced" or None, default=None

        Returns
        -------
        task : ClassesTask
        training_set : TrainingSet

        Raises
        ------
        TypeError, ValueError
            A label or a weight is not valid.
        """
        labels, codes = check_labels(y, len(rows))
        _check_labels_unread(rows, labels[codes])
        order, weights = training_order(rows, codes, check_weights(sample_weight, len(rows)))
        # A label whose rows all have weight 0 is no class.
        classes, codes = check_labels(labels[codes[order]], len(order))
        if len(classes) == 1:
            warn(
                f"`y` holds one class alone, {classes.tolist()[0]!r}, which every row will get; a "
                "classifier needs at least two",
            )
        return cls(classes), TrainingSet.one_each(
            rows,
            order,
            true=classes[codes],
            values=codes,
            weights=row_weights(weights, class_weight, classes, codes),
            row_weights=weights,
            strata=codes,
        )

    @property
    def score_name(self) -> str:
        return "accuracy"

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return log_probabilities(outputs)

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return mean_probability(passes)

    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> NDArray:
        if method == "predict":
            return self.classes[answers.argmax(1)]
        return values_of(method, answers)

    def check_true(self, rows: Any, y: Any) -> NDArray:
        given = check_several(y, len(rows))
        if isinstance(given, SoftLabels):
            labels, codes = given.classes, given.shares.argmax(axis=1)
        else:
            labels, codes = check_labels(y, len(rows))
        kinds = [isinstance(found.tolist()[0], str) for found in (labels, self.classes)]
        if kinds[0] != kinds[1]:
            one, other = (type(found.tolist()[0]).__name__ for found in (labels, self.classes))
            raise ValueError(f"`y` holds labels of type {one}, but the model predicts {other}")
        return labels[codes]

    def score(self, true: Any, predicted: Any, sample_weight: ArrayLike | None = None) -> float:
        weights = None if sample_weight is None else check_weights(sample_weight, len(true))
        return float(accuracy_score(true, predicted, sample_weight=weights))

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> ClassesTask:
        assert classes is not None
        return cls(classes)
