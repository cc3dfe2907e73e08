"""The schedule of the learning rate over the steps of a training."""

from __future__ import annotations

__all__ = ["LinearSchedule", "TrapezoidSchedule"]

#: Of a trapezoid: the steps over which it rises, and the share of them over which it falls.
_N_RISING, _FALLING = 200, 0.3


class LinearSchedule:
    """A factor that rises from 0 to 1 over a tenth of the steps and falls to 0 over the rest.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.n_rising = max(1, n_steps // 10)

    def __call__(self, step: int) -> float:
        """Return the factor at a step."""
        if step < self.n_rising:
            return (step + 1) / (self.n_rising + 1)
        return max(0.0, (self.n_steps - step) / max(1, self.n_steps - self.n_rising))


class TrapezoidSchedule:
    """A factor that rises from 0 to 1, stays there, and falls to 0 at the end.

    Such a training can be made longer after the fact: up to the fall, its steps do not depend on
    how many there are in all (Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations", 2024).

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.n_falling = max(1, round(_FALLING * n_steps))

    def __call__(self, step: int) -> float:
        """Return the factor at a step."""
        rising = (step + 1) / (_N_RISING + 1)
        falling = (self.n_steps - step) / self.n_falling
        return max(0.0, min(1.0, rising, falling))
