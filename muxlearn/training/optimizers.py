"""The optimizer as an object that is searched with the estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch

from muxlearn._params import Constraint

__all__ = ["Optimizer", "OptimizerChoice", "make_optimizer"]

#: Takes an optimizer and the number of steps; returns a scheduler of torch.
Schedule = Callable[[torch.optim.Optimizer, int], Any]

_SCHEDULES = ("linear", "one-cycle", "constant")

#: Optimizers of torch that take a single group of weights, sparse gradients or matrices alone.
_WITHOUT_GROUPS = ("LBFGS", "SparseAdam", "Muon")


class Optimizer:
    """An optimizer of torch with its parameters.

    Parameters
    ----------
    kind : str or type, default="AdamW"
        The name of a class of `torch.optim`, or a subclass of `torch.optim.Optimizer`.

    schedule : {"linear", "one-cycle", "constant"} or callable, default="linear"
        The learning rate over the steps of the training.

        - "linear": rises to `lr` over a tenth of the steps and falls to 0 over the rest. The
          pretrainer's falls at the end only.
        - "one-cycle": `torch.optim.lr_scheduler.OneCycleLR` with `lr` at its peak and momentum in
          the opposite direction, as the authors of MIMONets train.
        - "constant": `lr` at every step.

        A callable takes the optimizer and the number of steps, and returns a scheduler of torch,
        which steps after every update.

    **params
        Parameters of that class, such as `weight_decay` or `momentum`. The learning rate is the
        estimator's `lr`. AdamW has ``weight_decay=0.01`` and ``betas=(0.9, 0.98)`` by default.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.training import Optimizer
    >>> clf = MuxTextClassifier(optimizer=Optimizer(weight_decay=0.1))
    >>> clf.set_params(optimizer__weight_decay=0.0).optimizer
    Optimizer(weight_decay=0.0)
    """

    def __init__(
        self, kind: str | type = "AdamW", *, schedule: str | Schedule = "linear", **params: Any
    ) -> None:
        self.kind = kind
        self.schedule = schedule
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `kind`, `schedule` and the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Ignored; there is nothing deeper.

        Returns
        -------
        dict
        """
        return {"kind": self.kind, "schedule": self.schedule, **self.params}

    def set_params(self, **params: Any) -> Optimizer:
        """Set some parameters; new ones are added.

        Parameters
        ----------
        **params

        Returns
        -------
        Optimizer
            The object itself.
        """
        self.kind = params.pop("kind", self.kind)
        self.schedule = params.pop("schedule", self.schedule)
        self.params = {**self.params, **params}
        return self

    def __repr__(self) -> str:
        shown: dict[str, Any] = {} if self.kind == "AdamW" else {"kind": self.kind}
        shown |= {} if self.schedule == "linear" else {"schedule": self.schedule}
        values = ", ".join(f"{k}={v!r}" for k, v in {**shown, **self.params}.items())
        return f"Optimizer({values})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]

    def net_options(self, device_type: str) -> dict[str, Any]:
        """Return what a skorch net takes.

        Parameters
        ----------
        device_type : str
            "cpu", "cuda" or another.

        Returns
        -------
        dict
            The net's parameters `optimizer` and ``optimizer__…``.

        Raises
        ------
        ValueError
            torch has no such optimizer, the class is of something else, or there is no such
            schedule.
        """
        if not callable(self.schedule) and self.schedule not in _SCHEDULES:
            raise ValueError(
                f"`optimizer` has schedule={self.schedule!r}; give one of "
                f"{', '.join(map(repr, _SCHEDULES))}, or a callable"
            )
        kind: Any = self.kind
        if isinstance(kind, str):
            kind = getattr(torch.optim, kind, None)
            if not _is_optimizer(kind):
                raise ValueError(
                    f"`optimizer` names {self.kind!r}, which torch.optim does not have; give a "
                    "name such as 'AdamW' or 'SGD', or a class"
                )
        if isinstance(kind, type) and not _is_optimizer(kind):
            raise ValueError(
                f"`optimizer` is the class {_name(kind)}, which is not an optimizer; give a "
                "subclass of torch.optim.Optimizer, or a name such as 'AdamW' or 'SGD'"
            )
        if _name(kind) in _WITHOUT_GROUPS:
            raise ValueError(
                f"`optimizer` is {_name(kind)}, which cannot train weights of several kinds in "
                "groups; take another, such as 'AdamW' or 'SGD'"
            )
        _check_names(kind, self.params)
        params = dict(self.params)
        if kind is torch.optim.AdamW:
            fused = device_type in ("cpu", "cuda")
            params = {"betas": (0.9, 0.98), "fused": fused, "weight_decay": 0.01, **params}
        return {
            "optimizer": kind,
            **{f"optimizer__{name}": value for name, value in params.items()},
        }

    def scheduler(self, n_steps: int) -> Callable[..., Any] | None:
        """Return what makes the scheduler of a training.

        Parameters
        ----------
        n_steps : int
            Updates of the whole training.

        Returns
        -------
        callable or None
            Takes an optimizer. None leaves the schedule to the training.
        """
        if self.schedule == "linear":
            return None
        if callable(self.schedule):
            return _Policy(self.schedule, n_steps)
        return _Policy({"one-cycle": _one_cycle, "constant": _constant}[self.schedule], n_steps)


def _is_optimizer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)


def _name(kind: Any) -> str:
    """Name a class of optimizers, or whatever else makes one, such as a partial."""
    return getattr(kind, "__name__", repr(kind))


def _check_names(kind: Any, given: Iterable[str]) -> None:
    """Raise ValueError for a parameter that a class of optimizers does not have."""
    taken = signature(kind).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    own = [name for name in taken if name not in ("params", "lr")]
    unknown = [name for name in given if name not in own]
    if unknown:
        raise ValueError(
            f"`optimizer` has a parameter {unknown[0]!r}, which {_name(kind)} does not take; its "
            f"parameters are {', '.join(own)}"
        )


@dataclass(frozen=True)
class _Policy:
    """A schedule for some number of steps, in the form that skorch takes."""

    make: Schedule
    n_steps: int

    def __call__(self, optimizer: torch.optim.Optimizer, last_epoch: int = -1) -> Any:
        # `last_epoch` says where skorch would go on; we restore the scheduler's own state.
        scheduler = self.make(optimizer, self.n_steps)
        if not hasattr(scheduler, "step"):
            raise TypeError(
                f"`optimizer` has a schedule that returns {scheduler!r}; it must return a "
                "scheduler of torch.optim.lr_scheduler"
            )
        return scheduler


def _one_cycle(optimizer: torch.optim.Optimizer, n_steps: int) -> Any:
    rates = [group["lr"] for group in optimizer.param_groups]
    cycled = {"momentum", "betas"} & set(optimizer.defaults)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=max(2, n_steps), cycle_momentum=bool(cycled)
    )


def _constant(optimizer: torch.optim.Optimizer, n_steps: int) -> Any:
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


class OptimizerChoice(Constraint):
    """The allowed values of the parameter `optimizer`."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is allowed."""
        return value is None or isinstance(value, Optimizer | str) or callable(value)

    def show(self, value: object) -> str:
        """Return how an error shows a value that is not allowed."""
        return f"an instance of {type(value).__name__}"

    def __str__(self) -> str:
        return "None, the name of an optimizer of torch, a class of optimizers or Optimizer(…)"


def make_optimizer(value: Any) -> Optimizer:
    """Return the optimizer that a parameter stands for."""
    if value is None:
        return Optimizer()
    return value if isinstance(value, Optimizer) else Optimizer(value)
