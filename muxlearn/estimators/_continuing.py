"""Trainings that go on: from a checkpoint, or from what an earlier `fit` has learned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sklearn.utils import check_random_state

from muxlearn._params import PathName
from muxlearn.architectures import flatten
from muxlearn.nn.module import MuxModule, weights_digest
from muxlearn.tasks import Task, TrainingSet
from muxlearn.training.processes import n_processes

if TYPE_CHECKING:
    from muxlearn.training.checkpoints import KeepState

__all__ = ["check_checkpoint", "check_continues", "open_stages", "seed_of"]

_CHECKPOINT = PathName("the name of a folder")

#: Parameters that may change before a training is taken up again; the seed stands for its source.
_FREE = ("callbacks", "compile", "device", "n_workers", "random_state", "verbose")


def check_checkpoint(checkpoint: object) -> None:
    """Raise for what is no name of a folder, and where several processes train.

    Parameters
    ----------
    checkpoint : object
    """
    if checkpoint is None:
        return
    _CHECKPOINT.check("checkpoint", checkpoint)
    if Path(cast(str, checkpoint)).is_file():
        raise ValueError(f"`checkpoint` {str(checkpoint)!r} is a file; give the name of a folder")
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


def open_stages(
    estimator: Any,
    checkpoint: str | os.PathLike | None,
    seed: int,
    module: MuxModule,
    training_set: TrainingSet,
    unlabeled: Any,
) -> Callable[[str], KeepState | None]:
    """Return a function that gives what keeps the state of a stage of the training.

    Parameters
    ----------
    estimator : MuxEstimator
    checkpoint : str, path or None
        The folder of the states; None keeps none.
    seed : int
    module : MuxModule
        Before the training.
    training_set : TrainingSet
    unlabeled : list, ndarray or None
        Rows that the training reads beside those of the task.

    Returns
    -------
    callable
        Takes the name of a stage; returns what keeps its state, or None.

    Raises
    ------
    ValueError
        By the function, where the folder holds the state of another training.
    """
    if checkpoint is None:
        return lambda stage: None
    from muxlearn.training.checkpoints import fingerprint_of, fingerprint_of_rows, open_stage

    more = {
        "estimator": type(estimator).__name__,
        "seed": seed,
        "rows": fingerprint_of_rows(training_set.rows),
        "unlabeled": None if unlabeled is None else fingerprint_of_rows(unlabeled),
        "shapes": [f"{n} {tuple(t.shape)}" for n, t in module.state_dict().items()],
    }
    if estimator.warm_start and estimator.__sklearn_is_fitted__():
        more["weights"] = weights_digest(module)
    params = flatten(estimator.get_params(deep=False))
    fingerprint = fingerprint_of(
        {**params, **more},
        training_set.values,
        training_set.weights,
        training_set.n_of_row,
        free=_FREE,
    )
    return lambda stage: open_stage(checkpoint, fingerprint, stage, seed)


def check_continues(estimator: Any, task: Task) -> None:
    """Raise where a fitted estimator was built or trained for something else.

    Parameters
    ----------
    estimator : MuxEstimator
        Fitted.
    task : Task
        What is to be trained now.

    Raises
    ------
    ValueError
    """
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
