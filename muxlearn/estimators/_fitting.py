"""Training of an estimator: check, build, warm up, train, measure."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from muxlearn._warnings import warn
from muxlearn.architectures import Architecture, Built, Setting
from muxlearn.estimators._continuing import (
    check_checkpoint,
    check_continues,
    open_stages,
    seed_of,
)
from muxlearn.estimators._points import measure_set_aside
from muxlearn.mixtures import training_batches
from muxlearn.nn.module import MuxModule
from muxlearn.prediction import Planner
from muxlearn.rows import (
    ImageTable,
    TextReader,
    Transform,
    distinct_rows,
    ranges,
    split_rows,
    take_rows,
)
from muxlearn.tasks import Task, TrainingSet
from muxlearn.training.devices import seeded
from muxlearn.training.optimizers import make_optimizer
from muxlearn.training.processes import agree_on

if TYPE_CHECKING:
    from muxlearn.training.checkpoints import KeepState
    from muxlearn.training.data import MixtureData
    from muxlearn.training.net import MuxNet
    from muxlearn.training.trainer import Trainer

__all__ = ["fit", "make_trainer", "warn_of_interruption"]

#: Epochs of a warm-up, and epochs without improvement before a training ends, where the user
#: leaves them to us.
_WARM_UP_EPOCHS, _PATIENCE = 5, 3
#: Of the epochs of a training, the share that the warm-up of a trained encoder may take as well.
_WARM_UP_SHARE = 0.2

#: The stages of a training that have states.
_WARM_UP, _TRAINING = "warm-up", "training"


def fit(
    estimator: Any,
    training_set: TrainingSet,
    task: Task,
    build: Callable[[Any, int], Built],
    *,
    unlabeled: Any = None,
    checkpoint: str | os.PathLike | None = None,
    transform: Transform | None = None,
    columns: tuple[str, ...] | None = None,
) -> None:
    """Fit to checked rows: build, warm up, train, set the fitted attributes, and measure.

    Parameters
    ----------
    estimator : MuxEstimator
    training_set : TrainingSet
        Rows of the task and what the network shall answer to them.
    task : Task
    build : callable
        Takes these rows and the number of outputs; returns reader and module.
    unlabeled : list or ndarray, default=None
        Rows that the warm-up reads; None stands for those of the task.
    checkpoint : str or path, default=None
        A folder that keeps the state of the training.
    transform : RandomCrops or callable, default=None
        Varies the images of the training.
    columns : tuple of str, default=None
        Names of the columns that pairs of texts came in; None keeps what a `TextReader` knows.
    """
    check_checkpoint(checkpoint)
    seed = agree_on(seed_of(estimator, checkpoint, (_TRAINING, _WARM_UP)))
    train, valid = _set_aside(estimator, training_set, seed)
    continued = estimator.warm_start and estimator.__sklearn_is_fitted__()
    with seeded(seed, estimator._device()):
        built = _former(estimator, task) if continued else _new(build, training_set.rows, task)
        if columns is not None and isinstance(built.reader, TextReader):
            built = built._replace(reader=replace(built.reader, columns=columns))
        stage = open_stages(estimator, checkpoint, seed, built.module, training_set, unlabeled)
        training = _Training(
            estimator=estimator,
            setting=estimator._setting(),
            task=task,
            built=built,
            training_set=training_set,
            transform=transform,
            train=train,
            seed=seed,
            stage=stage,
        )
        before = None if continued else training.warm_up(unlabeled)
        interrupted = before is not None and before.interrupted_
        net = training.run(valid, interrupted=interrupted)
    warm_up_history = None if before is None else before.history
    # Not the net's own: `net_.initialize()` empties that one.
    history = type(net.history)(net.history)
    if continued:
        warm_up_history = estimator._warm_up_history
        history = type(history)([*estimator.history_, *history])
    estimator._set_fitted(
        reader=built.reader,
        task=task,
        net=net,
        history=history,
        warm_up_history=warm_up_history,
        plan_seed=seed,
        structure=estimator._structure_params(),
    )
    interrupted = interrupted or net.interrupted_
    warn_of_interruption(estimator, interrupted)
    if valid is not None and not interrupted:
        measure_set_aside(estimator, training_set, valid)


def _set_aside(
    estimator: Any, training_set: TrainingSet, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the numbers of the rows that train, and of those that early stopping judges by."""
    if not estimator.early_stopping:
        return np.arange(len(training_set.rows)), None
    if len(distinct_rows(training_set.sources)[0]) == 1:
        raise ValueError(
            "`early_stopping` sets rows aside, but `X` has only one; give more rows, or set "
            "early_stopping=False"
        )
    return split_rows(
        training_set.strata, training_set.sources, estimator.validation_fraction, seed
    )


def _new(build: Callable[[Any, int], Built], rows: Any, task: Task) -> Built:
    """Return a new module for a task, and its reader."""
    built = build(rows, task.n_outputs)
    built.module.link = task.link
    if (outputs := task.first_outputs()) is not None:
        built.module.start_from(torch.as_tensor(outputs, dtype=torch.float32))
    return built


def _former(estimator: Any, task: Task) -> Built:
    """Return a copy of what was fitted before, so that a fit which fails leaves it as it is."""
    check_continues(estimator, task)
    module = copy.deepcopy(estimator.module_)
    return Built(estimator._reader, module, estimator._architecture_of(module))


@dataclass(frozen=True, kw_only=True)
class _Training:
    """A warm-up and a training of one module, on the same rows.

    Attributes
    ----------
    estimator : MuxEstimator
    setting : Setting
    task : Task
    built : Built
    training_set : TrainingSet
    transform : RandomCrops, callable or None
        Varies images.
    train : ndarray of int64
        Numbers of the rows that train.
    seed : int
    stage : callable
        Takes the name of a stage; returns what keeps its state, or None.
    """

    estimator: Any
    setting: Setting
    task: Task
    built: Built
    training_set: TrainingSet
    transform: Transform | None
    train: NDArray[np.int64]
    seed: int
    stage: Callable[[str], KeepState | None]

    def warm_up(self, unlabeled: Any) -> MuxNet | None:
        """Train before the task, on its rows or on others; None where there is nothing to do."""
        from muxlearn.training.data import MixtureData

        reader, module, architecture = self.built
        asked_for = self.estimator.warm_up != "auto"
        epochs = _warm_up_epochs(self.estimator)
        warm_up = architecture.warm_up(self.setting, module, self.task, asked_for=asked_for)
        if not epochs:
            warm_up = None
        if unlabeled is not None and (warm_up is None or warm_up.on_task):
            self._warn_of_unread()
        if warm_up is None:
            return None
        rows = self.training_set.rows if unlabeled is None else unlabeled
        return self._trainer.train(
            module,
            warm_up.objective,
            self._data if warm_up.on_task else MixtureData(reader.table(rows)),
            seed=self.seed,
            description="warm-up",
            max_epochs=epochs,
            operating_points=warm_up.operating_points,
            keep=self.stage(_WARM_UP),
        )

    def _warn_of_unread(self) -> None:
        """Warn where `unlabeled` is not read, as neither a warm-up nor a tokenizer does."""
        # Not that of the network: a published one is given its reader.
        if self.estimator._make_architecture().learns_reader(self.setting):
            return
        module, architecture = self.built.module, self.built.architecture
        possible = architecture.warm_up(self.setting, module, self.task, asked_for=True)
        helps = possible is not None and not possible.on_task
        advice = "set `warm_up` to a number of epochs, or " if helps else ""
        warn(
            "`unlabeled` has no effect: the tokenizer is not learned, and no warm-up reads these "
            f"rows; {advice}let a slow model label them and add them to `X`, as the guide does "
            "with texts without labels"
        )

    def run(self, valid: NDArray[np.int64] | None, *, interrupted: bool) -> MuxNet:
        """Train for the task, judged by the rows that are set aside, and complete the module.

        After an interrupted warm-up no epoch is left to train.
        """
        from muxlearn.training.trainer import copy_callbacks

        reader, module, architecture = self.built
        window_rows = self.estimator._kind.window_rows
        planner = Planner(self.seed, in_order=module.in_order, window_rows=window_rows)
        net = self._trainer.train(
            module,
            architecture.objective(self.setting, module, self.task),
            self._data,
            None if valid is None else self._data_of(valid),
            # Another order of the rows than in the warm-up.
            seed=self.seed + 1,
            description="training",
            max_epochs=0 if interrupted else self.estimator.max_epochs,
            keep=None if interrupted else self.stage(_TRAINING),
            callbacks=copy_callbacks(self.estimator.callbacks),
            read=lambda rows: reader.table(reader.check(rows)),
            plan=planner.plan,
        )
        if net.history:
            architecture.complete(self.setting, module, self._batches)
        return net

    @cached_property
    def _trainer(self) -> Trainer:
        classes = self.task.classes
        return make_trainer(
            self.estimator,
            self.setting,
            self.built.architecture,
            self.built.module,
            n_classes=None if classes is None else len(classes),
        )

    @cached_property
    def _data(self) -> MixtureData:
        return self._data_of(self.train)

    def _data_of(self, part: NDArray[np.int64]) -> MixtureData:
        from muxlearn.training.data import MixtureData

        whole = self.training_set
        table = self.built.reader.table(take_rows(whole.rows, part))
        if self.transform is not None:
            assert isinstance(table, ImageTable)
            table.transform = self.transform
        starts = np.cumsum(whole.n_of_row) - whole.n_of_row
        own = ranges(starts[part], whole.n_of_row[part])
        return MixtureData(table, whole.values[own], whole.weights[own])

    def _batches(self, n_mux: int, n_batches: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield inputs of some batches of the training, in mixtures of `n_mux`."""
        table, device = self._data.table, next(self.built.module.parameters()).device
        drawn = training_batches(
            table.lengths, n_mux, int(self.estimator.batch_size), np.random.default_rng(0)
        )
        for rows in islice(drawn, n_batches):
            yield {
                name: torch.from_numpy(values).flatten(0, 1).to(device)
                for name, values in table.inputs(rows).items()
            }


def warn_of_interruption(estimator: Any, interrupted: bool) -> None:
    """Warn where a training ended before its first epoch did, as nothing has been learned then.

    Parameters
    ----------
    estimator : MuxEstimator
        Fitted.
    interrupted : bool
        Whether Ctrl-C has ended the training.
    """
    if interrupted and not estimator.n_iter_:
        warn(
            "`fit` was interrupted before the first epoch of its training had ended: the model has "
            "learned nothing, and its predictions are no better than chance; call `fit` again",
            ConvergenceWarning,
        )


def make_trainer(
    estimator: Any,
    setting: Setting,
    architecture: Architecture,
    module: MuxModule,
    *,
    n_classes: int | None = None,
) -> Trainer:
    """Return what trains a module, or goes on training one.

    Parameters
    ----------
    estimator : MuxEstimator
        Its parameters say how.
    setting : Setting
        The estimator's.
    architecture : Architecture
    module : MuxModule
    n_classes : int, default=None
        None where the module answers with something other than classes.

    Returns
    -------
    Trainer
    """
    from muxlearn.training.trainer import Trainer

    lr = estimator.lr
    if lr == "auto":
        lr = architecture.learning_rate(setting, module)
    stopping = estimator.early_stopping
    return Trainer(
        device=estimator._device(),
        autocast=_autocast_dtype(estimator),
        batch_size=int(estimator.batch_size),
        operating_points=setting.operating_points,
        shares=setting.shares,
        lr=float(lr),
        param_groups=architecture.param_groups(setting, module, float(lr)),
        optimizer=make_optimizer(estimator.optimizer),
        patience=_PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping),
        verbose=estimator.verbose,
        n_classes=n_classes,
        n_workers=estimator.n_workers,
        memory_advice=estimator._kind.memory_advice,
    )


def _warm_up_epochs(estimator: Any) -> int:
    given = estimator.warm_up
    if given != "auto":
        return int(given or 0)
    if not estimator.max_epochs or estimator._kind.starts_from_scratch(estimator):
        return _WARM_UP_EPOCHS
    # A trained encoder is large, and reads well as it is: its warm-up is not to be most of `fit`.
    return min(_WARM_UP_EPOCHS, math.ceil(_WARM_UP_SHARE * estimator.max_epochs))


def _autocast_dtype(estimator: Any) -> torch.dtype | None:
    """Return the precision of training, None for full; gradients overflow in float16."""
    full = estimator._inference_dtype().itemsize >= 4
    return None if full else torch.bfloat16
