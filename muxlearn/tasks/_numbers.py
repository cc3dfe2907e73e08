"""Numbers for each row: a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from torch import Tensor

from muxlearn._params import Boolean, Choice, Constraint
from muxlearn.nn.losses import REGRESSION_LOSSES, weighted_regression_loss
from muxlearn.rows import (
    check_numbers,
    check_weights,
    location_and_scale,
    relative_weights,
    training_order,
)
from muxlearn.tasks._task import Task, TrainingSet

__all__ = ["NumbersTask"]


@dataclass(frozen=True, eq=False)
class NumbersTask(Task):
    """Predict numbers: the answers are standardised, the results in the units of `y`.

    Parameters
    ----------
    mean, scale : ndarray of float64, shape (n_targets,)
        Mean and standard deviation of the training targets.
    flat : bool, default=True
        Whether a row gets one number, not an array of one or more.
    loss_name : {"squared_error", "absolute_error", "huber"}, default="squared_error"
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    flat: bool = True
    loss_name: str = "squared_error"

    classes: None = field(default=None, init=False)

    name: ClassVar[str] = "numbers"
    methods: ClassVar[tuple[str, ...]] = ("predict",)
    link: ClassVar[str] = "identity"
    constraints: ClassVar[dict[str, Constraint]] = {
        "loss": Choice(*REGRESSION_LOSSES),
        "flat": Boolean(),
    }

    @classmethod
    def learn(
        cls,
        rows: Any,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
        loss: str = "squared_error",
        former: NumbersTask | None = None,
    ) -> tuple[NumbersTask, TrainingSet]:
        """Check targets and weights, and standardise the targets.

        Parameters
        ----------
        rows : list or ndarray, length n_rows
            Checked.
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
        sample_weight : array-like of shape (n_rows,), default=None
        loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        former : NumbersTask, default=None
            The task of a training that goes on, whose scale is kept.

        Returns
        -------
        task : NumbersTask
        training_set : TrainingSet

        Raises
        ------
        TypeError, ValueError
            A target or a weight is not valid.
        """
        given = check_numbers(y, len(rows), None if former is None else former.n_outputs)
        weights = check_weights(sample_weight, len(rows))
        order, left = training_order(rows, given.reshape(len(given), -1).tolist(), weights)
        true, of_rows = given[order], check_weights(left, len(order))
        relative = relative_weights(of_rows)
        numbers = true.reshape(len(true), -1)
        if former is None:
            mean, scale = location_and_scale(numbers, of_rows)
        else:
            mean, scale = former.mean, former.scale
        task = cls(mean, scale, given.ndim == 1, loss)
        return task, TrainingSet.one_each(
            rows,
            order,
            true=true,
            values=((numbers - mean) / scale).astype(np.float32),
            weights=relative,
            row_weights=left,
        )

    @classmethod
    def without_training(cls) -> NumbersTask:
        """Return the task of a model whose training targets are unknown: one number, as it is."""
        return cls(np.zeros(1), np.ones(1))

    @property
    def score_name(self) -> str:
        return "R2"

    @property
    def described(self) -> str:
        return f"{self.n_outputs} numbers for each row"

    @property
    def n_outputs(self) -> int:
        return len(self.mean)

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return weighted_regression_loss(outputs, targets, weights, self.loss_name)

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return outputs.double().numpy()

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.mean(passes, axis=0)

    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        numbers = answers * self.scale + self.mean
        return numbers[:, 0] if self.flat else numbers

    def example(self, method: str) -> Any:
        return 0.0 if self.flat else [0.0]

    def check_true(self, rows: Any, y: Any) -> NDArray[np.float64]:
        return check_numbers(y, len(rows), self.n_outputs)

    def score(self, true: Any, predicted: Any, sample_weight: ArrayLike | None = None) -> float:
        weights = None if sample_weight is None else check_weights(sample_weight, len(true))
        return float(r2_score(true, predicted, sample_weight=weights))

    def to_config(self) -> dict[str, Any]:
        return {"name": self.name, "loss": self.loss_name, "flat": self.flat}

    def arrays(self) -> dict[str, NDArray]:
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> NumbersTask:
        mean, scale = arrays["mean"], arrays["scale"]
        flat = config["flat"]
        if mean.ndim != 1 or mean.shape != scale.shape or (flat and len(mean) != 1):
            raise ValueError(f"`mean` and `scale` are of shapes {mean.shape} and {scale.shape}")
        return cls(mean, scale, flat, config["loss"])
