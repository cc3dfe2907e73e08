"""A vector for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from muxlearn._params import Boolean, Constraint
from muxlearn.tasks._task import Task

__all__ = ["VectorsTask"]


@dataclass(frozen=True)
class VectorsTask(Task):
    """Embed rows: the answers are vectors.

    Parameters
    ----------
    normalize : bool, default=True
        Whether vectors are brought to length 1.
    """

    normalize: bool = True

    classes: None = field(default=None, init=False)

    name: ClassVar[str] = "vectors"
    methods: ClassVar[tuple[str, ...]] = ("transform",)
    constraints: ClassVar[dict[str, Constraint]] = {"normalize": Boolean()}
    level: ClassVar[str] = "vector"
    link: ClassVar[str] = "identity"

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return self._brought_to_length(outputs.double().numpy())

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return self._brought_to_length(np.mean(passes, axis=0))

    def _brought_to_length(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.normalize:
            return vectors
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)

    def results(self, method: str, rows: Any, answers: NDArray[np.float64]) -> NDArray[np.float32]:
        return answers.astype(np.float32)

    def to_config(self) -> dict[str, Any]:
        return {"name": self.name, "normalize": self.normalize}

    def example(self, method: str) -> list[Any]:
        return [np.float32()]

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> VectorsTask:
        return cls(config.get("normalize", True))
