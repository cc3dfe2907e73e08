"""The retrieval task: to recover the tokens of single rows from a mixture."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.text import MuxTrainingOutput
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["RETRIEVAL_WEIGHT", "RetrievalObjective"]

#: The weight of its loss that "auto" stands for, of a model that has not learned it before.
RETRIEVAL_WEIGHT = 0.1

#: The weight of the loss of the words alone. They learn at every step, and with a weight of 1 they
#: overfit long before the encoder has learned, whose token table they share.
_WORDS_WEIGHT = 0.25


class RetrievalObjective(Objective):
    """The task's loss plus that of recovering sampled tokens (DataMUX, eq. 4), and of the words.

    Parameters
    ----------
    task : Task
    task_weight, retrieval_weight : float
        The two terms' weights. Without a task it is the retrieval warm-up.
    retrieval_samples : int
        Tokens of each mixture that the retrieval task recovers.
    with_words : bool, default=False
        Whether the words alone learn the task as well, at every step: they cost next to nothing.
    """

    scores = ("retrieval_acc",)

    def __init__(
        self,
        task: Task,
        task_weight: float = 1.0,
        retrieval_weight: float = RETRIEVAL_WEIGHT,
        retrieval_samples: int = 32,
        with_words: bool = False,
    ) -> None:
        super().__init__(task)
        self.task_weight = task_weight
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples
        self.with_words = with_words

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module, in training with samples for the retrieval task."""
        asked: dict[str, Any] = {}
        if module.training and self.retrieval_weight > 0:
            asked["retrieval_samples"] = self.retrieval_samples
        if module.training and self.with_words:
            asked["with_words"] = True
        return module(**inputs, n_mux=n_mux, **asked)

    def answers(self, output: Any) -> Tensor:
        """Return the task's answers."""
        return output.logits if isinstance(output, MuxTrainingOutput) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the two losses up."""
        if not isinstance(output, MuxTrainingOutput):
            return super().loss(module, output, targets, weights)
        total, reported = output.logits.new_zeros(()), {}
        if output.retrieval_logits is not None and output.retrieval_targets is not None:
            recovery = retrieval_loss(output.retrieval_logits, output.retrieval_targets)
            hits = output.retrieval_logits.argmax(-1) == output.retrieval_targets
            reported["retrieval_acc"] = hits.float().mean()
            total = total + self.retrieval_weight * recovery
        if self.task_weight:
            answered = self.task.loss(output.logits, targets, weights)
            if output.words is not None:
                of_words = self.task.loss(output.words, targets, weights)
                answered = answered + _WORDS_WEIGHT * of_words
            total = total + self.task_weight * answered
        return total, reported
