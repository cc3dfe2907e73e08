"""How a long training is taken up again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.history import History

from muxlearn.training.net import MuxNet

__all__ = ["KeepState", "read_state"]

_CHECKPOINT = "checkpoint.pt"


class KeepState(Callback):
    """Keep the state of a training on disk, every few minutes and at its end.

    Parameters
    ----------
    folder : str or path
    minutes : float
    fingerprint : str
        Says which training this is.
    state : dict or None
        What `read_state` has found: the training goes on from there.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        minutes: float,
        fingerprint: str,
        state: dict[str, Any] | None,
    ) -> None:
        self.folder = folder
        self.minutes = minutes
        self.fingerprint = fingerprint
        self.state = state

    def on_train_begin(self, net: MuxNet, **kwargs: Any) -> None:
        """Restore the optimizer, and start the clock."""
        self.step_ = net.first_step or 0
        if self.state is not None:
            net.optimizer_.load_state_dict(self.state["optimizer"])
            net.history = History(json.loads(self.state["history"]))
            torch.set_rng_state(self.state["rng_state"])
            self.state = None
        self.saved_ = time.monotonic()

    def on_batch_end(self, net: MuxNet, training: bool = False, **kwargs: Any) -> None:
        """Save when it is time."""
        self.step_ += training
        if time.monotonic() - self.saved_ > 60 * self.minutes:
            self._save(net)

    def on_train_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Save the last state."""
        self._save(net)

    def _save(self, net: MuxNet) -> None:
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        epochs = [{**epoch, "batches": []} for epoch in net.history if "train_loss" in epoch]
        state = {
            "fingerprint": self.fingerprint,
            "step": self.step_,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps(epochs, default=float),
            "rng_state": torch.get_rng_state(),
        }
        part = folder / f".{_CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(folder / _CHECKPOINT)
        self.saved_ = time.monotonic()


def read_state(folder: str | os.PathLike | None, fingerprint: str) -> dict[str, Any] | None:
    """Read what `KeepState` wrote, None where there is nothing.

    Parameters
    ----------
    folder : str or path or None
    fingerprint : str

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        The checkpoint is of another training.
    """
    if folder is None or not (file := Path(folder) / _CHECKPOINT).exists():
        return None
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise ValueError(
            f"`checkpoint` {str(folder)!r} is of a training with other texts or parameters; give "
            "another folder, or delete it to begin anew"
        )
    return state
