"""Checkpoints from which a long training continues."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback
from skorch.history import History
from torch import nn

from muxlearn.persistence import open_file, replace_files
from muxlearn.training.net import MuxNet

__all__ = ["KeepState", "fingerprint_of", "read_state", "take_up"]

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
        The state from `read_state`, from which the training continues.
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

    def restore_history(self, net: MuxNet) -> None:
        """Give a net that had nothing left to learn the history of its training."""
        if self.state is not None and not net.history:
            net.history = History(json.loads(self.state["history"]))

    def on_batch_end(self, net: MuxNet, training: bool = False, **kwargs: Any) -> None:
        """Save when it is time."""
        self.step_ += training
        if time.monotonic() - self.saved_ > 60 * self.minutes:
            self._save(net)

    def on_train_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Save the last state."""
        self._save(net)

    def _save(self, net: MuxNet) -> None:
        epochs = [{**epoch, "batches": []} for epoch in net.history if "train_loss" in epoch]
        state = {
            "fingerprint": self.fingerprint,
            "step": self.step_,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps(epochs, default=float),
            "rng_state": torch.get_rng_state(),
        }
        with replace_files(self.folder) as staged:
            torch.save(state, staged / _CHECKPOINT)
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
    if folder is None or (file := open_file(folder, _CHECKPOINT)) is None:
        return None
    with file:
        state = torch.load(file, map_location="cpu", weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise ValueError(
            f"`checkpoint` {str(folder)!r} is of a training with other texts or parameters; give "
            "another folder, or delete it to begin anew"
        )
    return state


def take_up(
    module: nn.Module, folder: str | os.PathLike | None, minutes: float, fingerprint: str
) -> tuple[int, list[tuple[str, KeepState]]]:
    """Bring a module into the last state of its training, and keep the states to come.

    Parameters
    ----------
    module : nn.Module
    folder : str or path or None
        Where states are kept; None keeps none.
    minutes : float
        Between two states.
    fingerprint : str
        From `fingerprint_of`.

    Returns
    -------
    first_step : int
        The step that comes next.
    callbacks : list of (str, KeepState)
        One, or none without a folder.

    Raises
    ------
    ValueError
        The folder holds the state of another training.
    """
    if folder is None:
        return 0, []
    state = read_state(folder, fingerprint)
    if state is not None:
        module.load_state_dict(state["module"])
    callback = KeepState(folder, minutes, fingerprint, state)
    return 0 if state is None else state["step"], [("checkpoint", callback)]


def fingerprint_of(
    params: Mapping[str, Any], lengths: NDArray[np.int64], *, free: Collection[str] = ()
) -> str:
    """Return a digest of a training's parameters and rows.

    Parameters
    ----------
    params : mapping of str to object
    lengths : ndarray of int64, shape (n_rows,)
        Tokens of each row.
    free : collection of str, default=()
        Parameters that may change before the training is taken up again.

    Returns
    -------
    str
    """
    kept = {name: str(value) for name, value in params.items() if name not in free}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(lengths).tobytes())
    return digest.hexdigest()[:16]
