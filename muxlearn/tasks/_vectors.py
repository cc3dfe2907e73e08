"""A vector for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from muxlearn.tasks._task import Task

__all__ = ["VectorsTask"]


@dataclass(frozen=True)
class VectorsTask(Task):
    """Embed rows: the answers are vectors of length 1."""

    classes: None = None

    name: ClassVar[str] = "vectors"
    methods: ClassVar[tuple[str, ...]] = ("transform",)

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return outputs.double().numpy()

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        mean = np.mean(passes, axis=0)
        return mean / np.linalg.norm(mean, axis=-1, keepdims=True)

    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        return answers

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> VectorsTask:
        return cls()
