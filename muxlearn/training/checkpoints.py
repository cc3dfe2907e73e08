"""Checkpoints from which a long training continues."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.history import History
from torch.optim.lr_scheduler import LambdaLR

from muxlearn.persistence import open_file, replace_files
from muxlearn.training.net import MuxNet

__all__ = ["KeepState", "fingerprint_of", "fingerprint_of_rows", "kept_seed", "open_stage"]

#: Between two states of a training.
_MINUTES = 10

#: Of a state; another one is of another training.
_FORMAT = 2

#: What every state holds.
_ENTRIES = frozenset(
    ("fingerprint", "seed", "step", "stopped", "module", "optimizer", "callbacks", "history")
)

#: What early stopping knows between two epochs.
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


class KeepState(Callback):
    """Keep the state of a training on disk, every few minutes and at its end.

    A state holds all that the next step depends on: weights, optimizer, schedule, early stopping,
    random numbers and the history of the epoch that is under way.

    Parameters
    ----------
    folder : str or path
    minutes : float
    fingerprint : str
        Says which training this is.
    state : dict or None
        The state that was found, from which the training continues.
    stage : str
        The name of the file.
    seed : int
        Kept for `kept_seed`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        minutes: float,
        fingerprint: str,
        state: dict[str, Any] | None,
        stage: str,
        seed: int,
    ) -> None:
        self.folder = folder
        self.minutes = minutes
        self.fingerprint = fingerprint
        self.state = state
        self.stage = stage
        self.seed = seed
        epochs = [] if state is None else json.loads(state["history"])
        unfinished = epochs.pop()["batches"] if epochs and "train_loss" not in epochs[-1] else []
        self.epochs = epochs
        #: Steps of the epoch that was under way; those of its validation are taken again.
        self.begun = [batch for batch in unfinished if "train_loss" in batch]

    @property
    def first_step(self) -> int:
        """The step that comes next."""
        return 0 if self.state is None else self.state["step"]

    @property
    def stopped(self) -> bool:
        """Whether the training ended before its last epoch, and not by an interruption."""
        return self.state is not None and self.state["stopped"]

    def restore(self, net: MuxNet) -> None:
        """Bring a net into the state that was found, but for what its training sets up itself.

        Parameters
        ----------
        net : MuxNet
            Initialised.
        """
        if self.state is None:
            return
        net.module_.load_state_dict(self.state["module"])
        net.history = History(self.epochs)
        # Before the first epoch again, for a scheduler takes a step when it is set up.
        net.optimizer_.load_state_dict(self.state["optimizer"])
        torch.set_rng_state(self.state["rng_state"])
        if "cuda_rng_state" in self.state and (device := _gpu_of(net)) is not None:
            torch.cuda.set_rng_state(self.state["cuda_rng_state"], device)

    def on_train_begin(self, net: MuxNet, **kwargs: Any) -> None:
        """Start the clock."""
        self.step_ = self.first_step
        self.saved_ = time.monotonic()

    def on_epoch_begin(self, net: MuxNet, **kwargs: Any) -> None:
        """Restore the optimizer and other callbacks, which have set up theirs by now."""
        if self.state is None:
            return
        state, self.state = self.state, None
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history[-1]["batches"].extend(self.begun)
        callbacks = dict(net.callbacks_)
        for name, kept in state["callbacks"].items():
            callback = callbacks.get(name)
            if isinstance(callback, LRScheduler):
                _restore_schedule(callback.lr_scheduler_, kept)
            elif isinstance(callback, EarlyStopping):
                vars(callback).update(kept)

    # A state is saved before a step, when every callback is done with the last one.

    def on_batch_begin(self, net: MuxNet, training: bool = False, **kwargs: Any) -> None:
        """Save when it is time."""
        if training and net.between_updates and time.monotonic() - self.saved_ > 60 * self.minutes:
            self._save(net)

    def on_batch_end(self, net: MuxNet, training: bool = False, **kwargs: Any) -> None:
        """Count the step."""
        self.step_ += training

    def on_train_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Save the last state of an interrupted training."""
        if net.interrupted_ and net.between_updates:
            self._save(net)

    def finish(self, net: MuxNet, *, stopped: bool) -> None:
        """Keep the outcome of a training that was not interrupted.

        Parameters
        ----------
        net : MuxNet
            Trained.
        stopped : bool
            Whether it ended before its last epoch.
        """
        self._save(net, stopped=stopped)

    def _save(self, net: MuxNet, *, stopped: bool = False) -> None:
        epochs = [dict(epoch) for epoch in net.history]
        for epoch in epochs:
            if "train_loss" in epoch:  # a finished epoch, whose batches are summed up
                epoch["batches"] = []
        state = {
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "step": self.step_,
            "stopped": stopped,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "callbacks": _states_of_callbacks(net),
            "history": json.dumps(epochs, default=float),
            "rng_state": torch.get_rng_state(),
        }
        if (device := _gpu_of(net)) is not None:
            state["cuda_rng_state"] = torch.cuda.get_rng_state(device)
        with replace_files(self.folder) as staged:
            _write_state(staged / f"{self.stage}.pt", state)
        self.saved_ = time.monotonic()


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training.

    Parameters
    ----------
    path : Path
    state : mapping of str to object

    Raises
    ------
    OSError
        The disk is full, or cannot be written.
    """
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        # torch says that a position is not the expected one, whatever the disk has said.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _gpu_of(net: MuxNet) -> torch.device | None:
    device = next(net.module_.parameters()).device
    return device if device.type == "cuda" else None


def _states_of_callbacks(net: MuxNet) -> dict[str, dict[str, Any]]:
    states: dict[str, dict[str, Any]] = {}
    for name, callback in net.callbacks_:
        if isinstance(callback, LRScheduler):
            kept = callback.lr_scheduler_.state_dict()
            if "lr_lambdas" in kept:
                # Those of the new training count, which may be longer; and what a callable object
                # holds may be no data.
                kept["lr_lambdas"] = [None] * len(kept["lr_lambdas"])
            states[name] = kept
        elif isinstance(callback, EarlyStopping):
            kept = {key: vars(callback)[key] for key in _STOPPING}
            states[name] = {**kept, "dynamic_threshold_": float(kept["dynamic_threshold_"])}
    return states


def _restore_schedule(scheduler: Any, kept: dict[str, Any]) -> None:
    scheduler.load_state_dict(kept)
    if isinstance(scheduler, LambdaLR):
        groups = scheduler.optimizer.param_groups
        for group, base, factor in zip(
            groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(scheduler.last_epoch)


def open_stage(folder: str | os.PathLike, fingerprint: str, stage: str, seed: int) -> KeepState:
    """Return what keeps the states of a stage of a training, with the state that is there.

    Parameters
    ----------
    folder : str or path
    fingerprint : str
        Says which training this is.
    stage : str
    seed : int
        Kept for `kept_seed`.

    Returns
    -------
    KeepState

    Raises
    ------
    ValueError
        The folder holds the state of another training.
    """
    state = _read(folder, stage)
    if state is not None and state["fingerprint"] != fingerprint:
        raise ValueError(
            f"`checkpoint` {str(folder)!r} is of a training with other rows or parameters; give "
            "another folder, or delete this one to begin anew"
        )
    return KeepState(folder, _MINUTES, fingerprint, state, stage, seed)


def kept_seed(folder: str | os.PathLike, stages: Iterable[str]) -> int | None:
    """Return the seed of the training whose states a folder keeps, None where there is none.

    Parameters
    ----------
    folder : str or path
    stages : iterable of str

    Returns
    -------
    int or None
    """
    states = (_read(folder, stage) for stage in stages)
    return next((state["seed"] for state in states if state is not None), None)


def _read(folder: str | os.PathLike, stage: str) -> dict[str, Any] | None:
    file = open_file(folder, f"{stage}.pt")
    if file is None:
        return None
    try:
        with file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises errors of several kinds
        raise _unreadable(folder, stage) from error
    if not isinstance(state, dict) or not _ENTRIES.issubset(state):
        raise _unreadable(folder, stage)
    return state


def _unreadable(folder: str | os.PathLike, stage: str) -> ValueError:
    return ValueError(
        f"`checkpoint` {str(folder)!r} holds a file {stage}.pt that is no whole state of a "
        "training; give another folder, or delete this one to begin anew"
    )


def fingerprint_of(
    params: Mapping[str, Any], *arrays: NDArray[Any], free: Collection[str] = ()
) -> str:
    """Return a digest of a training's parameters and data.

    Parameters
    ----------
    params : mapping of str to object
    *arrays : ndarray
        The data.
    free : collection of str, default=()
        Parameters that may change before the training is taken up again.

    Returns
    -------
    str
    """
    kept = {name: _shown(value) for name, value in params.items() if name not in free}
    digest = hashlib.sha256(json.dumps([_FORMAT, kept], sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def fingerprint_of_rows(rows: Any) -> str:
    """Return a digest of checked rows.

    Parameters
    ----------
    rows : list or ndarray

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        for row in rows:  # not all at once: they may be on a disk
            digest.update(np.ascontiguousarray(row).data)
    else:
        for row in rows:
            # The `repr` of a long array leaves out its middle.
            arrays = isinstance(row, np.ndarray)
            digest.update(repr(row.tolist() if arrays else row).encode())
    return digest.hexdigest()


def _shown(value: object) -> str:
    # The place of an object in memory is another one in the next process.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
