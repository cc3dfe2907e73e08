"""The kind of an estimator: an object beside it, for all that differs between estimators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from sklearn.utils import Tags

from muxlearn.architectures import Built, Setting
from muxlearn.estimators._fitting import for_task
from muxlearn.nn.module import MuxModule
from muxlearn.rows import Reader
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["Kind"]


def _read_setting(estimator: Any) -> Setting:
    """Return what the architecture is told, read off the parameters."""
    task_name, names = estimator._kind.task_name, estimator._kind.structure_names
    params = estimator.get_params(deep=False)
    defaults = {name: p.default for name, p in signature(type(estimator)).parameters.items()}
    if estimator.warm_start and hasattr(estimator, "_structure"):
        # A training that goes on keeps what "auto" was, whatever the backbone says today.
        auto = {name for name in names if params[name] == "auto"}
        params |= {name: estimator._structure[name] for name in auto & set(estimator._structure)}
    auto_point = estimator._make_architecture().auto_point(task_name, params)
    return Setting.of(task_name, params, defaults, auto_point)


def _fitted_parts(estimator: Any) -> tuple[Reader, Task]:
    """Return reader and task as `fit` has made them."""
    return estimator._reader, estimator._task


def _objective_of_task(estimator: Any, module: MuxModule, task: Task) -> Objective:
    """Return what a training of the task would minimise."""
    architecture = estimator._architecture_of(module)
    return for_task(architecture.objective(estimator._setting(), module), task)


def _nothing(estimator: Any) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """Kind of an estimator, which has one as `_kind` in place of a second class above it.

    `MuxEstimator` and the modules of functions beside it ask the kind for all that differs between
    estimators, and hand it the estimator.

    Attributes
    ----------
    task_name : {"sequence", "token", "vector", "image"}
        What the module answers.
    structure_names : tuple of str
        The parameters that decide what the module looks like, beside those of the architecture.
    settled : tuple of str
        Names of parameters of training that this estimator fixes as attributes of its class. They
        are saved with the model, and never set by users.
    window_rows : int
        Rows that one window of a prediction holds at least; mixtures are planned inside a window.
    memory_advice : str
        What a user can lower where the memory of a GPU is too small.
    setting : callable
        Returns what the architecture is told.
    objective : callable
        Given the estimator, a module that is only loaded and a task, returns the objective of the
        net around the module.
    parts : callable
        Returns reader and task of a prediction, with the parameters as they are now.
    complete_loaded : callable
        Sets what a loaded estimator takes from its reader.
    """

    task_name: str
    structure_names: tuple[str, ...]
    settled: tuple[str, ...] = ()
    window_rows: int = 8192
    memory_advice: str = "lower `batch_size` (mixtures in a batch)"
    setting: Callable[[Any], Setting] = _read_setting
    objective: Callable[[Any, MuxModule, Task], Objective] = _objective_of_task
    parts: Callable[[Any], tuple[Reader, Task]] = _fitted_parts
    complete_loaded: Callable[[Any], None] = _nothing

    @abstractmethod
    def mark(self, tags: Tags) -> None:
        """Say in an estimator's tags what it reads."""

    @abstractmethod
    def build(self, estimator: Any, rows: Any, extra: Any, n_outputs: int) -> Built:
        """Build reader and module for checked rows, and for more of them without labels."""

    @abstractmethod
    def starts_from_scratch(self, estimator: Any) -> bool:
        """Return whether no part of the network was trained before."""

    @abstractmethod
    def structure(self, estimator: Any) -> dict[str, Any]:
        """Return what decides the module's looks and is no parameter of the architecture."""
