"""Schedules of the authors' trainings, for `Optimizer(schedule=…)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["LinearCycle", "LinearFall"]


@dataclass(frozen=True)
class LinearFall:
    """A rate that falls to 0 from the first step on, as DataMUX's scripts have it."""

    def __call__(self, optimizer: torch.optim.Optimizer, n_steps: int) -> Any:
        """Return the scheduler."""
        return torch.optim.lr_scheduler.LinearLR(
            optimizer, start_factor=1.0, end_factor=0.0, total_iters=max(1, n_steps)
        )


@dataclass(frozen=True)
class LinearCycle:
    """One cycle with straight sides, in which beta1 runs the other way (MIMOFormer).

    Attributes
    ----------
    n_rising : int
        Steps until the peak.
    """

    n_rising: int

    def __call__(self, optimizer: torch.optim.Optimizer, n_steps: int) -> Any:
        """Return the scheduler."""
        n_steps = max(2, n_steps)
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in optimizer.param_groups],
            total_steps=n_steps,
            pct_start=min(1.0, self.n_rising / n_steps),
            anneal_strategy="linear",
        )
