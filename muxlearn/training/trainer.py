"""Composes a skorch net around a module, and fits it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler
from skorch.helper import predefined_split

from muxlearn.mixtures import MixturePlan
from muxlearn.nn.module import MuxModule
from muxlearn.points import Point
from muxlearn.rows import RowTable
from muxlearn.training.announcements import Forecast, RowProgress
from muxlearn.training.checkpoints import KeepState
from muxlearn.training.data import MixtureData
from muxlearn.training.devices import explain_out_of_memory
from muxlearn.training.net import MuxNet
from muxlearn.training.objectives import Objective
from muxlearn.training.optimizers import Optimizer
from muxlearn.training.processes import (
    current_accelerator,
    n_accumulated,
    sharded_class,
    updates_per_epoch,
)
from muxlearn.training.schedules import LinearSchedule

__all__ = ["Trainer", "copy_callbacks"]


@dataclass(frozen=True)
class Trainer:
    """Trains modules of any kind.

    Attributes
    ----------
    device : torch.device
    autocast : torch.dtype or None
        Precision of the products, None for full.
    batch_size : int
        Mixtures in a batch.
    operating_points : tuple of Point
    shares : tuple of float or None
        Share of the steps of each point but the words alone.
    lr : float
        Peak learning rate.
    param_groups : list of (str, dict)
        Learning rate and decay by parameter name.
    optimizer : Optimizer
    patience : int
        Epochs without improvement before a training with validation rows ends.
    verbose : int
    n_classes : int or None
    n_workers : int
        Processes that form batches.
    memory_advice : str
        What can be lowered where the memory of a GPU is too small.
    """

    device: torch.device
    autocast: torch.dtype | None
    batch_size: int
    operating_points: tuple[Point, ...]
    shares: tuple[float, ...] | None
    lr: float
    param_groups: list[tuple[str, dict[str, float]]]
    optimizer: Optimizer
    patience: int
    verbose: int
    n_classes: int | None
    n_workers: int
    memory_advice: str

    def compose(
        self,
        module: MuxModule,
        objective: Objective,
        *,
        accelerator: Any = None,
        callbacks: Any = None,
        operating_points: tuple[Point, ...] | None = None,
        **options: Any,
    ) -> MuxNet:
        """Return an initialised net around a module.

        Parameters
        ----------
        module : MuxModule
        objective : Objective
        accelerator : accelerate.Accelerator, default=None
        callbacks : list, default=None
        operating_points : tuple of Point, default=None
            In the place of the trainer's.
        **options
            For `MuxNet`.

        Returns
        -------
        MuxNet
        """
        if self.verbose < 2:
            options["callbacks__print_log"] = None
        net_class, autocast = MuxNet, self.autocast
        if accelerator is None:
            options["device"] = str(self.device)
        else:
            net_class = sharded_class(net_class)
            options["accelerator"] = accelerator
            if accelerator.mixed_precision != "no":
                autocast = None  # its own is around the module
        net = net_class(
            module,
            objective=objective,
            **self.optimizer.net_options(self.device.type),
            optimizer__param_groups=self.param_groups,
            lr=self.lr,
            batch_size=self.batch_size,
            train_split=None,
            callbacks=callbacks,
            verbose=max(0, self.verbose - 1),
            operating_points=operating_points or self.operating_points,
            shares=None if operating_points else self.shares,
            n_workers=self.n_workers,
            autocast=autocast,
            n_classes=self.n_classes,
            **options,
        )
        net.initialize()
        return net

    def train(
        self,
        module: MuxModule,
        objective: Objective,
        data: MixtureData,
        valid: MixtureData | None = None,
        *,
        seed: int,
        description: str,
        max_epochs: int,
        keep: KeepState | None = None,
        schedule: Callable[[int], Callable[[int], float]] = LinearSchedule,
        callbacks: Sequence[Any] = (),
        read: Callable[[Any], RowTable] | None = None,
        plan: Callable[[RowTable, int], MixturePlan] | None = None,
        **options: Any,
    ) -> MuxNet:
        """Fit a net; an interruption (Ctrl-C) ends it early, and is kept as `interrupted_`.

        Parameters
        ----------
        module : MuxModule
        objective : Objective
        data, valid : MixtureData
            Rows of the training, and those on which it is stopped early.
        seed : int
        description : str
            The text of the progress bar.
        max_epochs : int
        keep : KeepState, default=None
            Keeps the state of the training, and has the one from which it continues.
        schedule : callable, default=LinearSchedule
            Takes the number of updates, and returns the factor of the learning rate at each of
            them, where the optimizer has the default schedule.
        callbacks : sequence of skorch callbacks
            The user's.
        read, plan : callable, default=None
            Read and mix the rows that a callback predicts; see `MuxNet`.
        **options
            Options of `compose`.

        Returns
        -------
        MuxNet
        """
        n_updates = updates_per_epoch(len(data), self.batch_size)
        scheduler = self._scheduler(max(1, max_epochs * n_updates), schedule)
        first_step = 0 if keep is None else keep.first_step
        n_steps = n_updates * n_accumulated()
        # An epoch that was interrupted in its validation has no step left, but is not over.
        is_open = keep is not None and bool(keep.begun) and first_step % n_steps == 0
        n_epochs = max_epochs - first_step // n_steps + is_open
        if keep is not None and keep.stopped:
            n_epochs = 0
        elif n_epochs < 0:
            raise ValueError(
                f"`checkpoint` is of a training that has ended {max_epochs - n_epochs} epochs, but "
                f"`max_epochs` is {max_epochs}; raise it, or give another folder"
            )
        options |= {
            "seed": seed,
            "max_epochs": max_epochs,
            "first_step": first_step,
            "is_open": is_open,
            "callbacks": [
                # The first: it counts a step before another callback can interrupt the training.
                *([] if keep is None else [("keep_state", keep)]),
                *self._own_callbacks(scheduler, description, callbacks),
                *callbacks,
                # The last, since no callback behind it would hear of the end of the last epoch.
                *(self._early_stopping() if valid is not None else []),
            ],
        }
        accelerator = current_accelerator() if n_epochs > 0 else None
        net = self.compose(module, objective, accelerator=accelerator, **options)
        net.read, net.plan = read, plan
        if keep is not None:
            keep.restore(net)
        if n_epochs <= 0:
            if keep is not None:
                _strip(net)
            return net
        net.train_split = predefined_split(valid) if valid is not None else None
        with explain_out_of_memory(self.memory_advice):
            net.partial_fit(data, y=None, epochs=n_epochs)
        _check_finite(net)
        if keep is not None and not net.interrupted_:
            keep.finish(net, stopped=len(net.history) < max_epochs)
        _strip(net)
        return net if accelerator is None else self._without_accelerator(net, objective, options)

    def _without_accelerator(self, net: Any, objective: Objective, options: Any) -> MuxNet:
        """Return a net of one process around what several have trained."""
        net._unwrap_accelerator()
        plain = self.compose(net.module_, objective, **options)
        plain.history, plain.interrupted_ = net.history, net.interrupted_
        return plain

    def _scheduler(
        self, n_steps: int, schedule: Callable[[int], Callable[[int], float]]
    ) -> LRScheduler:
        """Return what sets the learning rate at each step: the optimizer's own way, if it has."""
        options: dict[str, Any] = {"step_every": "batch", "event_name": None}
        own = self.optimizer.scheduler(n_steps)
        if own is not None:
            return LRScheduler(own, **options)
        factor = schedule(n_steps)
        return LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=factor, **options)

    def _own_callbacks(
        self, scheduler: LRScheduler, description: str, given: Sequence[Any]
    ) -> list[Any]:
        """Return the callbacks that every training has, unless the user's take their place."""
        values = [item[1] if isinstance(item, tuple) else item for item in given]
        # skorch makes callbacks of classes.
        kinds = [value if isinstance(value, type) else type(value) for value in values]
        callbacks: list[Any] = []
        if not any(issubclass(kind, GradientNormClipping) for kind in kinds):
            callbacks.append(("gradient_clipping", GradientNormClipping(1.0)))
        if not any(issubclass(kind, LRScheduler) for kind in kinds):
            callbacks.append(("schedule", scheduler))
        accelerator = current_accelerator()
        if accelerator is None or accelerator.is_main_process:
            callbacks.append(("forecast", Forecast(description, asked_for=bool(self.verbose))))
            if self.verbose:
                callbacks.append(("progress", RowProgress(description)))
        return callbacks

    def _early_stopping(self) -> list[Any]:
        stopping = EarlyStopping(patience=self.patience, load_best=True, sink=_silent)
        return [("early_stopping", stopping)]


def _check_finite(net: MuxNet) -> None:
    """Raise ValueError where a training has left weights that are no numbers."""
    if not all(weights.isfinite().all() for weights in net.module_.parameters()):
        raise ValueError(
            "the training has diverged, and its weights are NaN or infinite; lower `lr`, or look "
            "for rows whose numbers are very large"
        )


def _strip(net: MuxNet) -> None:
    """Drop what a training leaves behind, and what a pickle would carry for nothing."""
    net.train_split = None  # holds the validation rows
    net.optimizer_.state.clear()  # as large as two more models
    for _, callback in net.callbacks_:
        if isinstance(callback, LRScheduler):
            callback.lr_scheduler_ = None  # holds the weights once more
        elif isinstance(callback, KeepState):
            callback.state = None


def copy_callbacks(given: Sequence[Any] | None) -> list[Callback]:
    """Copy a user's callbacks: skorch changes them as it runs, and a parameter stays.

    Parameters
    ----------
    given : sequence of skorch callbacks, or of pairs of a name and a callback, or None

    Returns
    -------
    list
    """
    try:
        return copy.deepcopy(list(given or ()))
    except TypeError:
        # One holds what cannot be copied, such as the open file of a SummaryWriter.
        return [
            (item[0], copy.copy(item[1])) if isinstance(item, tuple) else copy.copy(item)
            for item in given or ()
        ]


def _silent(message: str) -> None:
    """Swallow what a callback would print."""
