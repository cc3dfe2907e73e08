"""The retrieval task: to recover the tokens of single rows from a mixture."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.text import MuxTrainingOutput
from muxlearn.training.objectives import Objective

__all__ = ["RETRIEVAL_WEIGHT", "RetrievalObjective"]

#: The weight of its loss that "auto" stands for, of a model that has not learned it before.
RETRIEVAL_WEIGHT = 0.1


class RetrievalObjective(Objective):
    """The task's loss plus that of recovering sampled tokens (DataMUX, eq. 4).

    Parameters
    ----------
    task_weight, retrieval_weight : float
        The two terms' weights. Without a task it is the retrieval warm-up.
    retrieval_samples : int
        Tokens of each mixture that the retrieval task recovers.
    """

    scores = ("retrieval_acc",)

    def __init__(
        self,
        task_weight: float = 1.0,
        retrieval_weight: float = RETRIEVAL_WEIGHT,
        retrieval_samples: int = 32,
    ) -> None:
        super().__init__()
        self.task_weight = task_weight
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module, in training with samples for the retrieval task."""
        asked = module.training and self.retrieval_weight > 0
        samples = self.retrieval_samples if asked else 0
        return module(**inputs, n_mux=n_mux, retrieval_samples=samples)

    def answers(self, output: Any) -> Tensor:
        """Return the task's answers."""
        return output.logits if isinstance(output, MuxTrainingOutput) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the two losses up."""
        if not isinstance(output, MuxTrainingOutput):
            return super().loss(module, output, targets, weights)
        recovery = retrieval_loss(output.retrieval_logits, output.retrieval_targets)
        hits = output.retrieval_logits.argmax(-1) == output.retrieval_targets
        reported = {"retrieval_acc": hits.float().mean()}
        if not self.task_weight:
            return recovery, reported
        task = self.task_loss(output.logits, targets, weights)
        return self.task_weight * task + self.retrieval_weight * recovery, reported
