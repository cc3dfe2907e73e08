"""Training objectives: they run a module and compute the loss of its answers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from muxlearn.nn.links import decisions, means
from muxlearn.tasks import Task

__all__ = ["Objective"]


class Objective:
    """The task's loss; architectures with additional losses derive their own objective.

    Parameters
    ----------
    task : Task
        Says what the loss of answers is, and what they stand for.
    """

    #: Names of what `loss` reports for each batch beside the loss; the higher the better.
    scores: ClassVar[tuple[str, ...]] = ()

    #: Names of what `loss` reports where lower is better.
    losses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, task: Task) -> None:
        self.task = task

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module in training or validation.

        Parameters
        ----------
        module : torch.nn.Module
            May be wrapped for several processes.
        inputs : dict of str to Tensor, each of shape (n_mixtures * n_mux, ...)
            With a number `patch_size` where a module takes several.
        n_mux : int

        Returns
        -------
        output : object
            What `loss` and `answers` take.
        """
        return module(**inputs, n_mux=n_mux)

    def answers(self, output: Any) -> Tensor:
        """Return the task's answers in an output, of shape (n_answers, n_outputs)."""
        return output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss of a training batch, and what to report beside it.

        Parameters
        ----------
        module : torch.nn.Module
            Without what training may have wrapped it in.
        output : object
            From `run`.
        targets, weights : Tensor of shape (n_answers,)

        Returns
        -------
        loss : Tensor
        reported : dict of str to float or Tensor
            Values of some of `scores` and `losses`.
        """
        return self.task.loss(self.answers(output), targets, weights), {}

    def probabilities(self, answers: Tensor) -> Tensor:
        """Return the probabilities, or numbers, that the skorch net itself predicts."""
        return means(answers, self.task.link)

    def hits(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Return which answers decide for what is true, each label of it: bool, (n_answers,)."""
        decided = decisions(answers, self.task.link)
        if self.task.link == "sigmoid":
            return (decided == (targets > 0.5)).all(-1)
        # Of classes that are true in part, the one that is so most.
        return decided == (targets.argmax(-1) if targets.ndim > 1 else targets)
