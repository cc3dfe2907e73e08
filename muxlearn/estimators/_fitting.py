"""Training of an estimator: check, read, build, warm up, train, measure."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from muxlearn._params import PathName
from muxlearn._warnings import warn
from muxlearn.architectures import Architecture, Built, flatten
from muxlearn.estimators._points import measure_set_aside
from muxlearn.mixtures import training_batches
from muxlearn.nn.module import MuxModule, weights_digest
from muxlearn.rows import Reader, distinct_rows, ranges, split_rows, take_rows
from muxlearn.tasks import Targets, Task
from muxlearn.training.devices import seeded
from muxlearn.training.objectives import Objective
from muxlearn.training.optimizers import make_optimizer
from muxlearn.training.processes import agree_on, n_processes

if TYPE_CHECKING:
    from muxlearn.training.checkpoints import KeepState
    from muxlearn.training.trainer import Trainer

__all__ = ["check_checkpoint", "fit", "for_task", "make_trainer", "seed_of", "warn_of_interruption"]

#: Epochs of a warm-up, and epochs without improvement before a training ends, where the user
#: leaves them to us.
_WARM_UP_EPOCHS, _PATIENCE = 5, 3
#: Of the epochs of a training, the share that the warm-up of a trained encoder may take as well.
_WARM_UP_SHARE = 0.2

#: The stages of a training that have states.
_STAGES = ("training", "warm-up")

_CHECKPOINT = PathName("the name of a folder")

#: Parameters that may change before a training is taken up again; the seed stands for its source.
_FREE = ("callbacks", "compile", "device", "n_workers", "random_state", "verbose")


def fit(
    estimator: Any,
    targets: Targets,
    extra: Any,
    task: Task,
    checkpoint: str | os.PathLike | None = None,
    **table_options: Any,
) -> None:
    """Fit to checked rows: build, warm up, train, set the fitted attributes, and measure.

    Parameters
    ----------
    targets : Targets
        Rows of the task and what the network shall answer to them.
    extra : list or ndarray
        Rows that reader and warm-up learn from.
    task : Task
    checkpoint : str or path, default=None
        A folder that keeps the state of the training.
    **table_options
        Arguments of the reader's `table` in the training, such as how images are varied.
    """
    from muxlearn.training.data import MixtureData
    from muxlearn.training.trainer import copy_callbacks

    check_checkpoint(checkpoint)
    rows, classes = targets.rows, task.classes
    if estimator.early_stopping and len(distinct_rows(targets.sources)[0]) == 1:
        raise ValueError(
            "`early_stopping` sets rows aside, but `X` has only one; give more rows, or set "
            "early_stopping=False"
        )
    seed = agree_on(seed_of(estimator, checkpoint, _STAGES))
    continued = estimator.warm_start and estimator.__sklearn_is_fitted__()
    setting = estimator._setting()
    train, valid = np.arange(len(rows)), None
    if estimator.early_stopping:
        train, valid = split_rows(
            targets.strata, targets.sources, estimator.validation_fraction, seed
        )
    with seeded(seed, estimator._device()):
        if continued:
            _check_continues(estimator, task)
            # A copy, so that a fit which fails leaves the former one as it is.
            module = copy.deepcopy(estimator.module_).train()
            built = Built(estimator._reader, module, estimator._architecture_of(module))
        else:
            built = estimator._kind.build(estimator, rows, extra, task.n_outputs)
            built.module.link = task.link
            if (outputs := task.start()) is not None:
                built.module.start_from(torch.as_tensor(outputs, dtype=torch.float32))
        reader, module, architecture = built
        stage = _stages(estimator, checkpoint, seed, module, targets, extra)
        starts = np.cumsum(targets.n_of_row) - targets.n_of_row

        def data(part: NDArray[np.int64]) -> MixtureData:
            table = reader.table(take_rows(rows, part), **table_options)
            own = ranges(starts[part], targets.n_of_row[part])
            return MixtureData(table, targets.values[own], targets.weights[own])

        trainer = make_trainer(estimator, architecture, module, classes=classes)
        warm_up = None if continued else _chosen_warm_up(estimator, architecture, module)
        warm_up_history, interrupted = None, False
        training_data = None
        if continued:
            warm_up_history = estimator._warm_up_history
        elif warm_up is not None:
            if warm_up.on_task:
                training_data = data(train)
            net = trainer.train(
                module,
                for_task(warm_up.objective, task),
                training_data or MixtureData(reader.table(extra)),
                seed=seed,
                description="warm-up",
                max_epochs=_warm_up_epochs(estimator),
                operating_points=warm_up.operating_points,
                keep=stage("warm-up"),
            )
            warm_up_history = net.history
            interrupted = net.interrupted_
        training_data = training_data or data(train)
        net = trainer.train(
            module,
            for_task(architecture.objective(setting, module), task),
            training_data,
            None if valid is None else data(valid),
            seed=seed + 1,
            description="training",
            max_epochs=0 if interrupted else estimator.max_epochs,
            keep=None if interrupted else stage("training"),
            callbacks=copy_callbacks(estimator.callbacks),
        )
        if net.history:
            architecture.complete(setting, module, _batches_of(estimator, training_data, module))
    history = net.history
    if continued:
        history = type(history)([*estimator.history_, *history])
    estimator._set_fitted(
        reader=reader,
        task=task,
        net=net,
        history=history,
        warm_up_history=warm_up_history,
        plan_seed=seed,
        structure=estimator._structure if continued else estimator._structure_params(),
    )
    interrupted = interrupted or net.interrupted_
    warn_of_interruption(estimator, interrupted)
    if valid is not None and not interrupted:
        measure_set_aside(estimator, targets, valid)


def check_checkpoint(checkpoint: object) -> None:
    """Raise for what is no name of a folder, and where several processes train.

    Parameters
    ----------
    checkpoint : object
    """
    if checkpoint is None:
        return
    if not _CHECKPOINT.accepts(checkpoint):
        raise _CHECKPOINT.complain("checkpoint", checkpoint)
    if n_processes() > 1:
        raise ValueError(
            "`checkpoint` keeps the state of one process; call `fit` outside of train_with, or "
            "set checkpoint=None"
        )


def seed_of(estimator: Any, checkpoint: str | os.PathLike | None, stages: Iterable[str]) -> int:
    """Draw the seed of a training; one that goes on keeps its own where any will do.

    Parameters
    ----------
    estimator : estimator
    checkpoint : str, path or None
        The folder of its states.
    stages : iterable of str
        Those that have states.

    Returns
    -------
    int
    """
    if checkpoint is not None and estimator.random_state is None:
        from muxlearn.training.checkpoints import kept_seed

        if (kept := kept_seed(checkpoint, stages)) is not None:
            return kept
    return int(check_random_state(estimator.random_state).randint(2**31 - 1))


def _stages(
    estimator: Any,
    checkpoint: str | os.PathLike | None,
    seed: int,
    module: MuxModule,
    targets: Targets,
    extra: Any,
) -> Callable[[str], KeepState | None]:
    """Return a function that gives what keeps the state of a stage of the training."""
    if checkpoint is None:
        return lambda stage: None
    from muxlearn.training.checkpoints import fingerprint_of, fingerprint_of_rows, open_stage

    more = {
        "estimator": type(estimator).__name__,
        "seed": seed,
        "rows": fingerprint_of_rows(targets.rows),
        "unlabeled": None if isinstance(extra, Reader) else fingerprint_of_rows(extra),
        "shapes": [f"{n} {tuple(t.shape)}" for n, t in module.state_dict().items()],
    }
    if estimator.warm_start and estimator.__sklearn_is_fitted__():
        more["weights"] = weights_digest(module)
    params = flatten(estimator.get_params(deep=False))
    fingerprint = fingerprint_of(
        {**params, **more}, targets.values, targets.weights, targets.n_of_row, free=_FREE
    )
    return lambda stage: open_stage(checkpoint, fingerprint, stage, seed)


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


def for_task(objective: Objective, task: Task) -> Objective:
    """Return an objective whose loss of the answers is that of a task."""
    objective.task_loss, objective.link = task.loss, task.link
    return objective


def make_trainer(
    estimator: Any, architecture: Architecture, module: MuxModule, **options: Any
) -> Trainer:
    """Return what trains a module, or goes on training one.

    Parameters
    ----------
    estimator : MuxEstimator
        Its parameters say how.
    architecture : Architecture
    module : MuxModule
    **options
        Arguments of `Trainer` that are others than the parameters say.

    Returns
    -------
    Trainer
    """
    from muxlearn.training.trainer import Trainer

    setting = estimator._setting()
    lr = estimator.lr
    if lr == "auto":
        lr = architecture.learning_rate(setting, module)
    stopping = getattr(estimator, "early_stopping", False)
    classes = options.pop("classes", getattr(estimator, "classes_", None))
    return Trainer(
        **{
            "device": estimator._device(),
            "autocast": _autocast_dtype(estimator),
            "batch_size": int(estimator.batch_size),
            "operating_points": setting.operating_points,
            "shares": setting.shares,
            "n_workers": getattr(estimator, "n_workers", 0),
            "lr": float(lr),
            "param_groups": architecture.param_groups(setting, module, float(lr)),
            "optimizer": make_optimizer(estimator.optimizer),
            "patience": _PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping),
            "verbose": estimator.verbose,
            "n_classes": None if classes is None else len(classes),
            "memory_advice": estimator._kind.memory_advice,
            **options,
        }
    )


def _warm_up_epochs(estimator: Any) -> int:
    given = getattr(estimator, "warm_up", None)
    if given != "auto":
        return int(given or 0)
    if not estimator.max_epochs or estimator._kind.starts_from_scratch(estimator):
        return _WARM_UP_EPOCHS
    # A trained encoder is large, and reads well as it is: its warm-up is not to be most of `fit`.
    return min(_WARM_UP_EPOCHS, math.ceil(_WARM_UP_SHARE * estimator.max_epochs))


def _chosen_warm_up(estimator: Any, architecture: Architecture, module: MuxModule) -> Any:
    """Return the training before the task, None where there is none."""
    if _warm_up_epochs(estimator) == 0:
        return None
    asked_for = getattr(estimator, "warm_up", None) != "auto"
    return architecture.warm_up(estimator._setting(), module, asked_for=asked_for)


def _batches_of(estimator: Any, data: Any, module: MuxModule) -> Any:
    """Return a function that gives inputs of some training batches, at some `n_mux`."""

    def batches(n_mux: int, n_batches: int) -> Iterator[dict[str, torch.Tensor]]:
        device, lengths = next(module.parameters()).device, data.table.lengths
        drawn = training_batches(
            lengths, n_mux, int(estimator.batch_size), np.random.default_rng(0)
        )
        for rows in islice(drawn, n_batches):
            inputs = data.table.inputs(rows)
            yield {
                name: torch.from_numpy(values).flatten(0, 1).to(device)
                for name, values in inputs.items()
            }

    return batches


def _check_continues(estimator: Any, task: Task) -> None:
    setting, module = estimator._setting(), estimator.module_
    missing = sorted(set(setting.patch_sizes) - set(module.patch_sizes))
    if missing or (setting.with_words and not module.answers_by_words):
        lacks = f"patches of {missing[0]} tokens" if missing else "answers by the words alone"
        raise ValueError(
            f"`warm_start` goes on with a model that was not built for {lacks}, which "
            "`operating_points` asks for; set warm_start=False to begin anew"
        )
    now = estimator._structure_params()
    for name in {**estimator._structure, **now}:
        value, before = now.get(name), estimator._structure.get(name)
        if value != before:
            raise ValueError(
                f"`warm_start` goes on with {name}={before!r}, but `{name}` is {value!r} now; "
                "set it back, or warm_start=False to begin anew"
            )
    before, now = estimator._task.described, task.described
    if before != now:
        raise ValueError(
            f"`warm_start` goes on with {before}, but `y` holds {now}; set warm_start=False to "
            "begin anew"
        )


def _autocast_dtype(estimator: Any) -> torch.dtype | None:
    """Return the precision of training, None for full; gradients overflow in float16."""
    full = estimator._inference_dtype().itemsize >= 4
    return None if full else torch.bfloat16
