"""Any number of labels for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit
from sklearn.metrics import accuracy_score
from torch import Tensor

from muxlearn._params import Choice, Constraint
from muxlearn._warnings import warn
from muxlearn.nn.losses import weighted_binary_cross_entropy
from muxlearn.rows import (
    LABEL_FORMS,
    SeveralLabels,
    check_class_weight,
    check_several,
    check_weights,
    mark_labels,
    relative_weights,
    training_order,
)
from muxlearn.tasks._classes import METHODS, mean_probability
from muxlearn.tasks._task import Task, TrainingSet

__all__ = ["LabelsTask"]

_CONTAINERS: dict[str, Any] = {"set": set, "list": list, "tuple": tuple}

#: What labels are taken to be as rare, or as frequent, as at most: counts may be 0.
_SMOOTHING = 1.0


@dataclass(frozen=True, eq=False)
class LabelsTask(Task):
    """Predict which labels rows have: the answers are the log odds of each.

    Parameters
    ----------
    classes : ndarray of shape (n_labels,)
        The labels, in the order of the columns of an indicator.
    form : {"indicator", "sparse", "set", "list", "tuple"}, default="indicator"
        What predictions are, as `y` was: a matrix of 0 and 1, dense or sparse, or the labels of
        each row.
    dtype : str, default="int64"
        Type of the values of a matrix.
    frequencies : ndarray of float64, shape (n_labels,), or None
        How often each label came in training.
    label_weights : ndarray of float64, shape (2, n_labels), or None
        What each label counts in the loss where it is absent, and where it is present.
    """

    classes: NDArray
    form: str = "indicator"
    dtype: str = "int64"
    frequencies: NDArray[np.float64] | None = None
    label_weights: NDArray[np.float64] | None = None

    name: ClassVar[str] = "labels"
    score_is_share: ClassVar[bool] = True
    methods: ClassVar[tuple[str, ...]] = METHODS
    link: ClassVar[str] = "sigmoid"
    constraints: ClassVar[dict[str, Constraint]] = {
        "form": Choice(*LABEL_FORMS),
        "dtype": Choice(
            "bool",
            *(f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64)),
            *("float16", "float32", "float64"),
        ),
    }

    @classmethod
    def learn(
        cls,
        rows: Any,
        y: SeveralLabels,
        sample_weight: ArrayLike | None = None,
        class_weight: dict[Any, float] | str | None = None,
    ) -> tuple[LabelsTask, TrainingSet]:
        """Check weights, and make targets of labels.

        Parameters
        ----------
        rows : list or ndarray, length n_rows
            Checked.
        y : SeveralLabels
            From `check_several`.
        sample_weight : array-like of shape (n_rows,), default=None
        class_weight : dict, "balanced" or None, default=None
            A dict says what a label counts where a row has it; "balanced" lets the rows that have
            a label count as much, together, as those that do not.

        Returns
        -------
        task : LabelsTask
        training_set : TrainingSet

        Raises
        ------
        TypeError, ValueError
            A weight is not valid.
        """
        weights = check_weights(sample_weight, len(rows))
        order, left = training_order(rows, y.indicator.astype(int).tolist(), weights)
        has, of_rows = y.indicator[order], check_weights(left, len(order))
        relative = relative_weights(of_rows)
        classes = y.classes
        if y.form in _CONTAINERS:
            # A label whose rows all have weight 0 is none; a column of a matrix stays.
            kept = np.flatnonzero(has.any(axis=0))
            if not len(kept):
                raise ValueError(
                    "no row of `y` whose weight is above 0 has a label; nothing could be learned"
                )
            classes, has = classes[kept], has[:, kept]
        counts = of_rows @ has
        task = cls(
            classes,
            y.form,
            y.dtype,
            (counts + _SMOOTHING) / (of_rows.sum() + 2 * _SMOOTHING),
            _label_weights(class_weight, classes, counts, of_rows.sum()),
        )
        return task, TrainingSet.one_each(
            rows,
            order,
            true=has,
            values=has.astype(np.float32),
            weights=relative,
            row_weights=left,
        )

    @property
    def score_name(self) -> str:
        return "accuracy of whole sets"

    def first_outputs(self) -> NDArray[np.float64] | None:
        if self.frequencies is None:
            return None
        return np.log(self.frequencies / (1 - self.frequencies))

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        of_labels = None
        if self.label_weights is not None:
            of_labels = torch.as_tensor(self.label_weights, dtype=weights.dtype).to(weights.device)
        return weighted_binary_cross_entropy(outputs, targets, weights, of_labels)

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return outputs.double().numpy()

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        odds = np.asarray(passes)
        return mean_probability(log_expit(odds)) - mean_probability(log_expit(-odds))

    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> Any:
        if method == "decision_function":
            return answers
        if method == "predict_proba":
            return expit(answers)
        if method == "predict_log_proba":
            return log_expit(answers)
        has = answers > 0
        if self.form in _CONTAINERS:
            of_rows = (self.classes[row].tolist() for row in has)
            return [_CONTAINERS[self.form](labels) for labels in of_rows]
        values = has.astype(self.dtype)
        return csr_matrix(values) if self.form == "sparse" else values

    def example(self, method: str) -> list[Any]:
        if method != "predict":
            return [0.0]
        if self.form in _CONTAINERS:
            return self.classes[:1].tolist()
        return np.zeros(1, self.dtype).tolist()

    # Score

    def check_true(self, rows: Any, y: Any) -> NDArray[np.bool_]:
        given = check_several(y, len(rows))
        if not isinstance(given, SeveralLabels):
            raise ValueError(
                "`y` holds one label for each row, but the model predicts several: give an "
                f"indicator of {len(self.classes)} columns, or one set of labels for each row"
            )
        if given.form not in _CONTAINERS:
            if given.indicator.shape[1] != len(self.classes):
                raise ValueError(
                    f"`y` has {given.indicator.shape[1]} columns, but the model was fitted to "
                    f"{len(self.classes)} labels"
                )
            return given.indicator[:, self._columns_in(given.classes.tolist())]
        # Not of `y` itself, which may be an iterator that has been read.
        labels = given.classes.tolist()
        marked = mark_labels([compress(labels, row) for row in given.indicator], self.classes)
        if marked.shape[1] > len(self.classes):
            known = set(self.classes.tolist())
            unknown = next(label for label in labels if label not in known)
            warn(
                f"`y` holds labels that the model was not fitted with and never predicts, such as "
                f"{unknown!r}; their rows count as wrong",
            )
        return marked

    def _columns_in(self, given: list[Any]) -> list[int]:
        """Return where the columns of a matrix have the labels; those of an array have no names."""
        known = self.classes.tolist()
        unnamed = list(range(len(known)))
        if unnamed in (given, known):
            return unnamed
        if odd := [label for label in given if label not in known]:
            raise ValueError(
                f"`y` has a column called {odd[0]!r}, but the labels of the model are {known}"
            )
        return [given.index(label) for label in known]

    def score(self, true: Any, predicted: Any, sample_weight: ArrayLike | None = None) -> float:
        if self.form in _CONTAINERS:
            said = mark_labels(predicted, self.classes)
        else:
            said = (predicted.toarray() if self.form == "sparse" else predicted) > 0
        missing = true.shape[1] - said.shape[1]  # a column of labels that nobody knew
        said = np.pad(said, ((0, 0), (0, missing)))
        right = (said == true).all(axis=1)
        weights = None if sample_weight is None else check_weights(sample_weight, len(true))
        return float(accuracy_score(np.ones(len(right), bool), right, sample_weight=weights))

    # Folders

    def to_config(self) -> dict[str, Any]:
        return {"name": self.name, "form": self.form, "dtype": self.dtype}

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> LabelsTask:
        assert classes is not None
        return cls(classes, config["form"], config["dtype"])


def _label_weights(
    class_weight: dict[Any, float] | str | None,
    classes: NDArray,
    counts: NDArray[np.float64],
    total: float,
) -> NDArray[np.float64] | None:
    """Return what labels count where they are absent, and where they are present."""
    if class_weight is None:
        return None
    if isinstance(class_weight, dict):
        labels = classes.tolist()
        check_class_weight(class_weight, labels)
        present = [float(class_weight.get(label, 1.0)) for label in labels]
        return np.array([np.ones(len(labels)), present])
    both = np.array([total - counts, counts])
    return np.where(both > 0, total / (2 * np.maximum(both, 1e-300)), 1.0)
