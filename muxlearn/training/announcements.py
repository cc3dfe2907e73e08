"""Callbacks that tell how far a training is, and what it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from skorch.callbacks import Callback

from muxlearn.points import WORDS
from muxlearn.training.processes import n_accumulated, n_processes, updates_per_epoch
from muxlearn.training.progress import progress_bar, say

if TYPE_CHECKING:
    from muxlearn.training.net import MuxNet

__all__ = ["Forecast", "RowProgress"]

#: Seconds that a training takes at least to be announced where nobody asked for its progress.
_LONG = 60.0
#: A forecast needs so many steps and so many seconds, the first step apart, which is slower.
_STEPS, _SECONDS = 4, 2.0


class RowProgress(Callback):
    """A progress bar over the rows of an epoch, with the training loss.

    Parameters
    ----------
    description : str
        What is going on, such as "warm-up".
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def on_epoch_begin(self, net: MuxNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Open the bar."""
        batch_size = min(net.batch_size, len(dataset_train))
        total = int(_n_steps(net, dataset_train) * n_processes() * batch_size * _mean_n_mux(net))
        label = f"{self.description} {len(net.history)}/{net.max_epochs}"
        self.bar_ = progress_bar(total, label, show=True, always=True)

    def on_batch_end(self, net: MuxNet, batch: Any, training: bool, **kwargs: Any) -> None:
        """Move on by the rows of the batch."""
        if training:
            self.bar_.set_postfix(loss=f"{kwargs['loss'].item():.3f}", refresh=False)
            n_rows = next(iter(batch[0].values())).shape[:2].numel()
            self.bar_.update(n_rows * n_processes())

    def on_epoch_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Close the bar."""
        self._close()

    def on_train_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Close the bar of an interrupted epoch."""
        self._close()

    def _close(self) -> None:
        if getattr(self, "bar_", None) is not None:
            self.bar_.close()
            self.bar_ = None


class Forecast(Callback):
    """Says what a training will take, once its first steps are timed.

    A training that nobody asked to see says so only if it takes more than a minute.

    Parameters
    ----------
    description : str
        What is going on, such as "warm-up".
    asked_for : bool
        Whether the user wants to see the progress.
    clock : callable, default=time.monotonic
        Returns seconds.
    """

    def __init__(
        self, description: str, asked_for: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.description = description
        self.asked_for = asked_for
        self.clock = clock

    def on_train_begin(self, net: MuxNet, X: Any = None, **kwargs: Any) -> None:
        """Count what is to come."""
        self.n_epochs_ = max(1, net.max_epochs - len(net.history))
        self.n_steps_ = self.n_epochs_ * _n_steps(net, X)
        self.n_rows_, self.n_done_, self.said_ = len(X), -1, False
        if self.asked_for:
            say(self._plan(net))

    def on_batch_end(self, net: MuxNet, training: bool, **kwargs: Any) -> None:
        """Say how long the rest will take, once."""
        if not training or self.said_:
            return
        now = self.clock()
        self.n_done_ += 1
        if self.n_done_ == 0:
            self.start_ = now
            return
        seconds = now - self.start_
        if self.n_done_ < _STEPS or seconds < _SECONDS:
            return
        self.said_ = True
        total = seconds / self.n_done_ * self.n_steps_
        if self.asked_for:
            say(f"{self.description}: {_spoken(total)} in all")
        elif total >= _LONG:
            say(f"{self._plan(net)}; {_spoken(total)} in all; verbose=1 shows the progress")

    def _plan(self, net: MuxNet) -> str:
        n_mux, n_epochs = _mean_n_mux(net), self.n_epochs_
        rows = f"{self.n_rows_:,} row{'s' * (self.n_rows_ != 1)}"
        epochs = f"{n_epochs} epoch{'s' * (n_epochs != 1)} of {self.n_steps_ // n_epochs:,} steps"
        passes = f", each row {n_mux * n_epochs:.3g} times" if n_mux * n_epochs > 1 else ""
        return f"{self.description}: {rows}, {epochs}{passes}"


def _mean_n_mux(net: MuxNet) -> float:
    """Return how many rows a mixture of the training holds on average."""
    counts = [point.n_mux for point in net.operating_points if point != WORDS]
    return float(np.average(counts, weights=net.shares))


def _n_steps(net: MuxNet, data: Any) -> int:
    """Return how many steps of an epoch each process takes."""
    return updates_per_epoch(len(data), net.batch_size) * n_accumulated()


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"
