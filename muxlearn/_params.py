"""Constraints of parameters, declared beside the class and checked in `fit`."""

from __future__ import annotations

import difflib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

__all__ = [
    "Boolean",
    "Callbacks",
    "Choice",
    "Constraint",
    "Instance",
    "Integer",
    "IntegerTuple",
    "ListOf",
    "Number",
    "OneOf",
    "ParameterObject",
    "PathName",
    "RandomState",
    "check_parameters",
]


class Constraint(ABC):
    """The values that a parameter may have, which `str` describes."""

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """Return whether the value is allowed."""

    def is_of_type(self, value: object) -> bool:
        """Return whether a value that is not allowed is of an allowed type."""
        return False

    def show(self, value: object) -> str:
        """Return how an error shows a value that is not allowed."""
        text = repr(value)
        if len(text) > 80:
            text = text[:77] + "..."
        return f"{text} ({type(value).__name__})"

    def complain(self, name: str, value: object) -> Exception:
        """Return the error for a value that is not allowed."""
        error = ValueError if self.is_of_type(value) else TypeError
        return error(f"`{name}` must be {self}, got {self.show(value)}")

    def check(self, name: str, value: object) -> None:
        """Raise TypeError or ValueError for a value that is not allowed."""
        if not self.accepts(value):
            raise self.complain(name, value)


@dataclass(frozen=True)
class Number(Constraint):
    """A finite number within bounds that are included unless `open_low` or `open_high`."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    kind = Real
    article = "a number"

    def accepts(self, value: object) -> bool:
        return self.is_of_type(value) and self._is_within(value)

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, self.kind) and not isinstance(value, bool)

    def __str__(self) -> str:
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.open_low else 'of at least'} {self.low}")
        if self.high is not None:
            bounds.append(f"{'below' if self.open_high else 'of at most'} {self.high}")
        return " ".join([self.article, " and ".join(bounds)]).strip()

    def _is_within(self, value: Any) -> bool:
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return bool(above and below and -math.inf < value < math.inf)  # NaN is not


class Integer(Number):
    """A whole number within bounds; neither a bool nor a float."""

    kind = Integral
    article = "a whole number"


@dataclass(frozen=True)
class IntegerTuple(Constraint):
    """A non-empty tuple or list of different whole numbers of at least `low`."""

    low: int = 1

    def accepts(self, value: object) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) > 0
            and all(Integer(self.low).accepts(item) for item in value)
            and len(set(value)) == len(value)
        )

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, tuple | list)

    def __str__(self) -> str:
        return f"a tuple of different whole numbers of at least {self.low}, such as (1, 2, 5)"


@dataclass(frozen=True)
class ListOf(Constraint):
    """A list or tuple, each item of which another constraint accepts."""

    item: Constraint
    length: int | None = None

    def accepts(self, value: object) -> bool:
        return (
            isinstance(value, list | tuple)
            and self.length in (None, len(value))
            and all(map(self.item.accepts, value))
        )

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, list | tuple)

    def __str__(self) -> str:
        length = "" if self.length is None else f" of length {self.length}"
        return f"a list{length}, each item {self.item}"


@dataclass(frozen=True)
class Boolean(Constraint):
    """True or False."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class PathName(Constraint):
    """A folder or a name on the hub, or what the description says."""

    description: str = "a folder or the name of a model on the hub"

    def accepts(self, value: object) -> bool:
        return isinstance(value, str | os.PathLike) and str(value) != ""

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, str)

    def __str__(self) -> str:
        return self.description


@dataclass(frozen=True)
class Instance(Constraint):
    """An instance of one of some classes."""

    classes: tuple[type, ...]
    description: str

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.classes)

    def __str__(self) -> str:
        return self.description


class RandomState(Constraint):
    """The values that `sklearn.utils.check_random_state` takes."""

    _seed = Integer(0, 2**32 - 1)

    def accepts(self, value: object) -> bool:
        is_generator = value is np.random or isinstance(value, np.random.RandomState)
        return value is None or is_generator or self._seed.accepts(value)

    def is_of_type(self, value: object) -> bool:
        return self._seed.is_of_type(value)

    def __str__(self) -> str:
        return f"None, {self._seed} or a numpy.random.RandomState"


@dataclass(frozen=True)
class Callbacks(Constraint):
    """A list of skorch callbacks, each alone or with a name."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, list | tuple) and all(map(self._is_callback, value))

    def __str__(self) -> str:
        return "a list of skorch callbacks, or of pairs of a name and a callback"

    @staticmethod
    def _is_callback(item: object) -> bool:
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            item = item[1]
        return hasattr(item, "on_epoch_end")


class Choice(Constraint):
    """One of some strings, or None where that is among them."""

    def __init__(self, *options: str | None) -> None:
        self.options = options

    def accepts(self, value: object) -> bool:
        return isinstance(value, str | None) and value in self.options

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, str)

    def show(self, value: object) -> str:
        if isinstance(value, str):
            return f"{value!r}{_suggestion(value, self.options)}"
        return super().show(value)

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.options))
        return names if len(self.options) == 1 else f"one of {names}"


class OneOf(Constraint):
    """Accepts what one of several constraints accepts."""

    def __init__(self, *constraints: Constraint | None) -> None:
        self.constraints = constraints

    def accepts(self, value: object) -> bool:
        return any(
            value is None if constraint is None else constraint.accepts(value)
            for constraint in self.constraints
        )

    def is_of_type(self, value: object) -> bool:
        return any(c.is_of_type(value) for c in self.constraints if c is not None)

    def show(self, value: object) -> str:
        options = [o for c in self.constraints if isinstance(c, Choice) for o in c.options]
        hint = _suggestion(value, options) if isinstance(value, str) else ""
        return f"{super().show(value)}{hint}"

    def __str__(self) -> str:
        return " or ".join(map(str, self.constraints))


def check_parameters(params: Mapping[str, object], constraints: Mapping[str, Constraint]) -> None:
    """Raise for the first parameter that its constraint does not accept.

    Parameters
    ----------
    params : mapping of str to object
        As `get_params(deep=False)` gives them.
    constraints : mapping of str to Constraint

    Raises
    ------
    TypeError
        The value is of the wrong type.
    ValueError
        The type is right and the value isn't.
    """
    for name, constraint in constraints.items():
        constraint.check(name, params[name])


class ParameterObject(BaseEstimator):
    """Base class of what is given as a parameter, and has parameters of its own.

    As scikit-learn's kernels are: stored as given, cloned and searched with the estimator, and
    equal to another one of the same parameters.
    """

    #: What the parameters may be.
    constraints: ClassVar[dict[str, Constraint]] = {}

    def check_parameters(self) -> None:
        """Raise for an invalid parameter."""
        check_parameters(self.get_params(deep=False), self.constraints)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def _suggestion(given: str, allowed: Iterable[str | None]) -> str:
    known = {name.lower(): name for name in allowed if name is not None}
    nearest = difflib.get_close_matches(given.lower(), known, n=1)
    return f" (did you mean {known[nearest[0]]!r}?)" if nearest else ""
