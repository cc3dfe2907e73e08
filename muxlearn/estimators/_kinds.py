"""The kind of an estimator: an object beside it, for all that differs between estimators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar

from sklearn.utils import Tags

from muxlearn.architectures import Setting
from muxlearn.nn.module import MuxModule
from muxlearn.rows import Reader
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["Kind"]


class Kind(ABC):
    """Kind of an estimator, which has one as `_kind` in place of a second class above it.

    `MuxEstimator` and the modules of functions beside it ask the kind for all that differs between
    estimators, and hand it the estimator. A kind has no state.
    """

    #: The `level` of its tasks, or "image", as `Setting.task` names it.
    level: ClassVar[str]

    #: The parameters that decide what the module looks like, beside those of the architecture.
    structure_names: ClassVar[tuple[str, ...]]

    #: Names of parameters of training that this estimator fixes as attributes of its class. They
    #: are saved with the model, and never set by users.
    settled: ClassVar[tuple[str, ...]] = ()

    #: Rows that one window of a prediction holds at least; mixtures are planned inside a window.
    window_rows: ClassVar[int] = 8192

    #: What a user can lower where the memory of a GPU is too small.
    memory_advice: ClassVar[str] = "lower `batch_size` (mixtures in a batch)"

    @abstractmethod
    def mark(self, tags: Tags) -> None:
        """Say in an estimator's tags what it reads."""

    @abstractmethod
    def starts_from_scratch(self, estimator: Any) -> bool:
        """Return whether no part of the network was trained before."""

    @abstractmethod
    def structure(self, estimator: Any) -> dict[str, Any]:
        """Return what decides the module's looks and is no parameter of the architecture."""

    def setting(self, estimator: Any) -> Setting:
        """Return what the architecture is told, read off the parameters."""
        params = estimator.get_params(deep=False)
        defaults = {name: p.default for name, p in signature(type(estimator)).parameters.items()}
        built: dict[str, Any] = getattr(estimator, "_structure", {}) if estimator.warm_start else {}
        # A training that goes on keeps what "auto" was, whatever the backbone says today.
        auto = {name for name in self.structure_names if params[name] == "auto"}
        params |= {name: built[name] for name in auto & set(built)}
        auto_point = estimator._make_architecture().auto_point(self.level, params)
        return replace(Setting.of(self.level, params, defaults, auto_point), built=built)

    def objective(self, estimator: Any, module: MuxModule, task: Task) -> Objective:
        """Return what a training of a fitted module would minimise."""
        architecture = estimator._architecture_of(module)
        return architecture.objective(estimator._setting(), module, task)

    def parts(self, estimator: Any) -> tuple[Reader, Task]:
        """Return reader and task of a prediction, with the parameters as they are now."""
        return estimator._reader, estimator._task

    def complete_loaded(self, estimator: Any) -> None:
        """Set what a loaded estimator takes from its reader: nothing, unless a kind says so."""
        return
