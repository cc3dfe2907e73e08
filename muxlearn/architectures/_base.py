"""The interface between an estimator and its network.

An architecture is to an estimator what a kernel is to a Gaussian process: an object that only
stores its parameters, is cloned and searched with the estimator (``architecture__grid``), and
answers all that depends on which network is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from muxlearn._params import ParameterObject
from muxlearn.backbones import Backbone, make_backbone
from muxlearn.nn.module import MuxModule
from muxlearn.points import WORDS, Point, as_points, choose_own_point, shares_of
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = [
    "AUTO_FACTOR",
    "ESTIMATORS",
    "NO_DECAY",
    "Architecture",
    "Built",
    "ParamGroups",
    "Setting",
    "WarmUp",
]

#: Factor by which the encoder runs less often where the user leaves that to us.
AUTO_FACTOR = 10

_PLAIN = Point()

#: Patterns of the names of weights that do not decay.
NO_DECAY = (
    *("*bias", "*[Nn]orm.weight", "*norm_weight", "*keys", "*embedding.weight"),
    "*position_table",
)

#: The estimator of a task, for errors.
ESTIMATORS = {
    "sequence": "MuxTextClassifier",
    "token": "MuxTokenTagger",
    "vector": "MuxTextPretrainer",
    "image": "MuxImageClassifier",
}

#: Learning rate and decay by parameter name; the first pattern that fits counts.
ParamGroups = list[tuple[str, dict[str, float]]]


@dataclass(frozen=True)
class Setting:
    """The estimator's settings that its architecture reads, beside its own parameters.

    Attributes
    ----------
    task : str
        The `level` of the task, "sequence": an answer for each row; "token": one for each of its
        tokens; "vector": a vector for each row; or "image": an answer for each image.
    n_mux, patch_size : int
        Rows in a mixture, and tokens of a row in a position.
    operating_points : tuple of Point
        What the model is trained for; never empty.
    defaults : dict of str to object
        The estimator's defaults, against which a parameter that does not apply is recognised.
    params : dict of str to object
        The estimator's own parameters, including those that the architecture reads; numbers in
        place of an `n_mux` or `patch_size` of "auto".
    point_is_auto : bool
        Whether the user left the operating point to the architecture.
    built : dict of str to object
        The parameters of the module that a training goes on with; empty where there is none.
    """

    task: str
    n_mux: int
    patch_size: int
    operating_points: tuple[Point, ...]
    params: Mapping[str, Any]
    defaults: Mapping[str, Any]
    point_is_auto: bool = False
    built: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        task: str,
        params: Mapping[str, Any],
        defaults: Mapping[str, Any],
        auto: Point = _PLAIN,
    ) -> Setting:
        """Read the settings off an estimator's parameters; `auto` is what "auto" stands for."""
        points = as_points(params["operating_points"] or ())
        own = choose_own_point(params["n_mux"], params.get("patch_size", 1), points, auto)
        settled = {name: value for name, value in own._asdict().items() if name in params}
        is_auto = params["n_mux"] == params.get("patch_size") == "auto" and not {*points} - {WORDS}
        return cls(task, *own, points or (own,), {**params, **settled}, defaults, is_auto)

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Share of the training's steps of each point but the words alone, None for equal ones."""
        return shares_of(self.params["operating_points"])

    @property
    def row_counts(self) -> tuple[int, ...]:
        """Rows in a mixture at each operating point."""
        return tuple(point.n_mux for point in self.operating_points)

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Tokens in a position: the estimator's own choice, then 1 and the others."""
        others = {1, *(point.patch_size for point in self.operating_points)}
        return (self.patch_size, *sorted(others - {self.patch_size, WORDS.patch_size}))

    @property
    def with_words(self) -> bool:
        """Whether the words alone are an operating point."""
        return WORDS in self.operating_points


class Built(NamedTuple):
    """A reader, the module that takes what it reads, and the architecture that trains them.

    The architecture differs from the estimator's if a `backbone` includes its own network.
    """

    reader: Any
    module: MuxModule
    architecture: Architecture


@dataclass(frozen=True, eq=False)
class WarmUp:
    """A training before that of the task.

    Attributes
    ----------
    objective : Objective
    on_task : bool
        Whether it learns from the task's rows and targets, or from rows without targets.
    operating_points : tuple of Point or None
        None stands for those of the task.
    """

    objective: Objective
    on_task: bool = False
    operating_points: tuple[Point, ...] | None = None


class Architecture(ParameterObject):
    """Base class of the architectures."""

    #: The string that stands for the defaults.
    name: ClassVar[str]

    #: The parameters that decide what the module looks like.
    structural: ClassVar[tuple[str, ...]] = ()

    #: The tasks that it serves, as `Setting.task` names them.
    tasks: ClassVar[tuple[str, ...]] = ("sequence", "token", "vector")

    #: The estimator's parameters that have no effect on it: one that is set is an error.
    unused: ClassVar[tuple[str, ...]] = ()

    #: Whether tokens of a row may share a position, and the words alone may answer.
    mixes_tokens: ClassVar[bool] = False

    #: The estimator's parameters that may name another place where a model is loaded, as the folder
    #: does not hold what they name.
    movable: ClassVar[tuple[str, ...]] = ()

    def structure(self) -> dict[str, Any]:
        """Return the parameters that decide what the module looks like."""
        return {name: getattr(self, name) for name in self.structural}

    def check(self, setting: Setting) -> None:
        """Raise where the parameters do not fit each other, or those of the estimator.

        A parameter of the estimator that has no effect here is an error. The base class checks
        `constraints`, `tasks`, `unused` and `mixes_tokens`.

        Raises
        ------
        TypeError, ValueError
        """
        self.check_parameters()
        if setting.task not in self.tasks:
            served = " or a ".join(ESTIMATORS[task] for task in self.tasks)
            raise ValueError(
                f"architecture={self.name!r} is for a {served}, not for a "
                f"{ESTIMATORS[setting.task]}; take architecture='tmux'"
            )
        for name in self.unused:
            value, default = setting.params.get(name), setting.defaults.get(name)
            if value not in (default, None, 0):  # None and 0 ask for nothing
                raise ValueError(
                    f"`{name}` is {value!r}, but architecture={self.name!r} has no use for it; "
                    f"leave it at {default!r}, or take architecture='tmux'"
                )
        points = setting.operating_points
        if self.mixes_tokens or {setting.patch_size, *(p.patch_size for p in points)} == {1}:
            return
        odd = next((str(point) for point in points if point.patch_size != 1), None)
        given = f"`operating_points` holds {odd}"
        if setting.patch_size != 1:
            given = f"`patch_size` is {setting.patch_size}"
        raise ValueError(
            f"{given}, but architecture={self.name!r} gives every token a position of its own; "
            "leave it out, or take architecture='tmux'"
        )

    def auto_point(self, task: str, params: Mapping[str, Any]) -> Point:
        """Return the operating point that an estimator has where the user gives none.

        Parameters
        ----------
        task : str
        params : mapping of str to object
            The estimator's parameters.

        Returns
        -------
        Point
        """
        return Point(AUTO_FACTOR)

    def settle(self, setting: Setting) -> Setting:
        """Return the settings with what "auto" stands for where that decides on the module."""
        return setting

    # The module

    def build(self, setting: Setting, data: Any, n_outputs: int) -> Built:
        """Build reader and module.

        Parameters
        ----------
        setting : Setting
        data : Corpus or ImageReader
            What a reader is learned from, or has been.
        n_outputs : int
            Classes, tags, or the size of vectors.
        """
        raise NotImplementedError

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return what `rebuild` needs to know of a module, in a form that JSON keeps."""
        return {}

    def for_module(self, module: MuxModule) -> Architecture:
        """Return the architecture that a module is of, which `build` may have chosen."""
        return self

    def backbone(self, given: Any) -> Backbone:
        """Return the backbone that the estimator's parameter stands for."""
        return make_backbone(given)

    def learns_reader(self, setting: Setting) -> bool:
        """Return whether `build` learns a reader from all rows, also from those without labels."""
        return True

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a module as it was saved; its weights come later.

        Parameters
        ----------
        setting : Setting
        config : mapping of str to object
            Holds what `config` has returned.
        n_outputs : int
        """
        raise NotImplementedError

    # Training

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the peak learning rate that ``lr="auto"`` stands for."""
        raise NotImplementedError

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Return learning rate and decay by parameter name, as patterns."""
        raise NotImplementedError

    def warm_up(
        self, setting: Setting, module: MuxModule, task: Task, *, asked_for: bool
    ) -> WarmUp | None:
        """Return the training before that of the task, None where there is none to do.

        Parameters
        ----------
        setting : Setting
        module : MuxModule
        task : Task
            What is trained after it.
        asked_for : bool
            Whether the user has said so, or it is left to the architecture.
        """
        return None

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return what the training of the task minimises."""
        return Objective(task)

    def complete(self, setting: Setting, module: MuxModule, batches: Any) -> None:
        """Bring a trained module into its final state.

        Parameters
        ----------
        setting : Setting
        module : MuxModule
        batches : callable
            Takes rows in a mixture; returns an iterable of inputs of training batches.
        """
