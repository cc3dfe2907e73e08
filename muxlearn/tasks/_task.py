"""The interface between a network's outputs and what users get to see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from muxlearn._params import Constraint
from muxlearn.nn.losses import weighted_cross_entropy
from muxlearn.rows import take_rows

__all__ = ["Task", "TrainingSet"]

Self = TypeVar("Self", bound="Task")


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows of a training with their targets.

    Attributes
    ----------
    rows : list or ndarray, length n_rows
        Checked rows, in the order of the training.
    true : list or ndarray, length n_rows
        What is true of each, as `Task.score` takes it.
    values : ndarray of shape (n_targets,) or (n_targets, n_outputs)
        What `Task.loss` compares with, one row after the other: of classes their numbers, int64.
    weights : ndarray of float32, shape (n_targets,)
        What a target counts in the loss, 1 on average.
    n_of_row : ndarray of int64, shape (n_rows,)
        Targets of each row.
    strata : ndarray of int64, shape (n_rows,)
        What early stopping takes in equal shares.
    sources : ndarray of int64, shape (n_rows,)
        The row of `fit` that each is a copy of; copies of a row stand together.
    row_weights : ndarray of float64, shape (n_rows,), or None
        What a row counts in the score; None where copies stand for weights.
    """

    rows: Any
    true: Any
    values: NDArray[Any]
    weights: NDArray[np.float32]
    n_of_row: NDArray[np.int64]
    strata: NDArray[np.int64]
    sources: NDArray[np.int64]
    row_weights: NDArray[np.float64] | None

    @classmethod
    def one_each(
        cls,
        rows: Any,
        order: NDArray[np.int64],
        *,
        true: Any,
        values: NDArray[Any],
        weights: NDArray[np.float32],
        row_weights: NDArray[np.float64] | None,
        strata: NDArray[np.int64] | None = None,
    ) -> TrainingSet:
        """Return rows that have one target each.

        Parameters
        ----------
        rows : list or ndarray
            All rows, checked.
        order : ndarray of int64, shape (n_rows,)
            Which of them train, and in which order.
        true, values, weights, row_weights
            Attributes, in this order.
        strata : ndarray of int64, shape (n_rows,), default=None
            None: early stopping takes any rows.
        """
        return cls(
            rows=take_rows(rows, order),
            true=true,
            values=values,
            weights=weights,
            n_of_row=np.ones(len(order), np.int64),
            strata=np.zeros(len(order), np.int64) if strata is None else strata,
            sources=order,
            row_weights=row_weights,
        )


class Task(ABC):
    """Defines the meaning of a network's outputs: answers, labels and their score.

    A task holds what `fit` has learned of targets, such as the classes. It is data: it pickles, and
    a folder keeps it as labels and arrays.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        The labels, sorted; None where rows get none.
    """

    #: The task's name, a key of `TASKS`.
    name: ClassVar[str]

    #: What the entries of a configuration may be.
    constraints: ClassVar[dict[str, Constraint]] = {}

    #: Whether a row gets a list of answers, not one.
    nested: ClassVar[bool] = False

    #: Whether the score is the share of rows that are right.
    score_is_share: ClassVar[bool] = False

    #: What `results` can be asked for, the first by default.
    methods: ClassVar[tuple[str, ...]] = ("predict", "predict_proba")

    #: What an architecture answers: "sequence", "token" or "vector".
    level: ClassVar[str] = "sequence"

    #: What a network's outputs stand for, one of `muxlearn.nn.links.LINKS`. A mixture of fewer rows
    #: than slots is answered by averages of that.
    link: ClassVar[str] = "softmax"

    classes: NDArray | None

    @property
    def score_name(self) -> str:
        """The name of the measure that `score` returns."""
        return "score"

    @property
    def described(self) -> str:
        """The answers that there are, for an error, such as "the classes [0, 1]"."""
        return f"the {self.name} {self._labels('described').tolist()}"

    def _labels(self, wanted: str) -> NDArray:
        """Return the classes, of which a member is made that a task without any must define."""
        if self.classes is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no classes, so it must define `{wanted}`"
            )
        return self.classes

    # Training

    @property
    def n_outputs(self) -> int:
        """The number of outputs of a network: one for each class, if there are classes."""
        return len(self._labels("n_outputs"))

    def first_outputs(self) -> NDArray[np.float64] | None:
        """Return outputs, such as log odds of labels, that a new network's last bias starts from.

        None where it starts from 0.
        """
        return None

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return what training minimises; cross entropy unless a task says otherwise.

        Parameters
        ----------
        outputs : Tensor of shape (n_answers, n_outputs)
            A network's outputs.
        targets : Tensor of shape (n_answers,) or (n_answers, n_outputs)
            Those of `TrainingSet.values`.
        weights : Tensor of float32, shape (n_answers,)

        Returns
        -------
        Tensor of shape ()
        """
        return weighted_cross_entropy(outputs, targets, weights)

    # Prediction

    @abstractmethod
    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        """Turn a network's outputs into answers.

        Parameters
        ----------
        outputs : Tensor of float32, shape (n_answers, n_outputs)
            On the CPU.

        Returns
        -------
        ndarray of float64, shape (n_answers, n_outputs)
            Such as log-probabilities.
        """

    @abstractmethod
    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Merge the answers of several passes.

        Parameters
        ----------
        passes : sequence of ndarray of float64, each of shape (n_targets, n_outputs)

        Returns
        -------
        ndarray of float64, shape (n_targets, n_outputs)
        """

    @abstractmethod
    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> Any:
        """Turn the answers to some rows into what the user gets.

        Parameters
        ----------
        method : str
            One of `methods`.
        rows : list or ndarray, length n_rows
            Checked.
        answers : ndarray of float64, shape (n_targets, n_outputs)
            In the order of the rows.

        Returns
        -------
        ndarray or list, length n_rows
        """

    def example(self, method: str) -> Any:
        """Return a result for one row as data sets keep it, of which only the type counts.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        object
            A label, a number or a list of such.
        """
        classes = self._labels("example")
        # Lists hold labels as Python has them, arrays of one label as numpy does.
        label = classes.tolist()[0] if self.nested else classes[0]
        value = label if method == "predict" else [0.0]
        return [value] if self.nested else value

    # Score

    def check_true(self, rows: Any, y: Any) -> Any:
        """Check what the user says is true of some checked rows."""
        return y

    def score(self, true: Any, predicted: Any, sample_weight: ArrayLike | None = None) -> float:
        """Score predictions: the higher the better.

        Parameters
        ----------
        true : sequence of length n_rows
            As `check_true` returns it.
        predicted : sequence of length n_rows
        sample_weight : array-like of shape (n_rows,), default=None

        Returns
        -------
        float
        """
        raise NotImplementedError

    # Folders

    def to_config(self) -> dict[str, Any]:
        """Return what JSON keeps of this task, beside `classes` and `arrays`."""
        return {"name": self.name}

    def arrays(self) -> dict[str, NDArray]:
        """Return what `fit` has learned beside `classes`."""
        return {}

    @classmethod
    @abstractmethod
    def from_saved(
        cls: type[Self],
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> Self:
        """Return the task that a folder has kept.

        Parameters
        ----------
        config : mapping of str to object
            From `to_config`.
        classes : ndarray of shape (n_classes,) or None
        arrays : mapping of str to ndarray
            From `arrays`.
        """
