"""What a parameter may be, declared beside the class and checked in `fit`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

__all__ = [
    "Boolean",
    "Choice",
    "Constraint",
    "Instance",
    "Integer",
    "IntegerTuple",
    "Number",
    "OneOf",
    "PathName",
    "check_parameters",
    "unknown_name",
]


class Constraint(Protocol):
    """Says what is allowed and whether a value is."""

    def accepts(self, value: object) -> bool:
        """Whether the value is allowed."""
        ...

    def complain(self, name: str, value: object) -> Exception:
        """The error for a value that is not allowed."""
        ...


@dataclass(frozen=True)
class Number:
    """A real number within bounds that are included unless `open_low` or `open_high`."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    kind = Real
    article = "a number"

    def accepts(self, value: object) -> bool:  # noqa: D102
        return self._is_kind(value) and self._is_within(value)

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        error = ValueError if self._is_kind(value) else TypeError
        return error(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.open_low else 'of at least'} {self.low}")
        if self.high is not None:
            bounds.append(f"{'below' if self.open_high else 'of at most'} {self.high}")
        return " ".join([self.article, " and ".join(bounds)]).strip()

    def _is_kind(self, value: object) -> bool:
        return isinstance(value, self.kind) and not isinstance(value, bool)

    def _is_within(self, value: Any) -> bool:
        # Written so that NaN is outside.
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return bool(above and below)


class Integer(Number):
    """A whole number within bounds; neither a bool nor a float."""

    kind = Integral
    article = "a whole number"


@dataclass(frozen=True)
class IntegerTuple:
    """A non-empty tuple or list of different whole numbers of at least `low`."""

    low: int = 1

    def accepts(self, value: object) -> bool:  # noqa: D102
        return (
            isinstance(value, tuple | list)
            and len(value) > 0
            and all(Integer(self.low).accepts(item) for item in value)
            and len(set(value)) == len(value)
        )

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        error = ValueError if isinstance(value, tuple | list) else TypeError
        return error(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        return f"a tuple of different whole numbers of at least {self.low}, such as (1, 2, 5)"


@dataclass(frozen=True)
class Boolean:
    """True or False."""

    def accepts(self, value: object) -> bool:  # noqa: D102
        return isinstance(value, bool)

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        return TypeError(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class PathName:
    """A folder or a name on the hub."""

    def accepts(self, value: object) -> bool:  # noqa: D102
        return isinstance(value, str | os.PathLike) and str(value) != ""

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        return TypeError(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        return "a folder or the name of a model on the hub"


@dataclass(frozen=True)
class Instance:
    """An instance of one of some classes."""

    classes: tuple[type, ...]
    description: str

    def accepts(self, value: object) -> bool:  # noqa: D102
        return isinstance(value, self.classes)

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        return TypeError(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        return self.description


class Choice:
    """One of some strings, or None where that is among them."""

    def __init__(self, *options: str | None) -> None:
        self.options = options

    def accepts(self, value: object) -> bool:  # noqa: D102
        return isinstance(value, str | None) and value in self.options

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        if isinstance(value, str):
            return unknown_name(f"`{name}`", value, self.options)
        return TypeError(f"`{name}` has to be {self}, got {_show(value)}")

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.options))


class OneOf:
    """Whatever one of several constraints accepts."""

    def __init__(self, *constraints: Constraint | None) -> None:
        self.constraints = constraints

    def accepts(self, value: object) -> bool:  # noqa: D102
        return any(
            value is None if constraint is None else constraint.accepts(value)
            for constraint in self.constraints
        )

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        allowed = " or ".join(str(constraint) for constraint in self.constraints)
        problems = [c.complain(name, value) for c in self.constraints if c is not None]
        error = ValueError if any(isinstance(p, ValueError) for p in problems) else TypeError
        if isinstance(value, str):
            options = [o for c in self.constraints if isinstance(c, Choice) for o in c.options]
            allowed += _suggestion(value, options)
        return error(f"`{name}` has to be {allowed}, got {_show(value)}")


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
        if not constraint.accepts(params[name]):
            raise constraint.complain(name, params[name])


def unknown_name(what: str, given: str, allowed: Iterable[str | None]) -> ValueError:
    """Build the error for a name that is not among some; it suggests the nearest.

    Parameters
    ----------
    what : str
        What the name stands for, the subject of the message.
    given : str
    allowed : iterable of str or None

    Returns
    -------
    ValueError
    """
    allowed = list(allowed)
    names = ", ".join(map(repr, allowed))
    return ValueError(f"{what} has to be one of {names}, got {given!r}{_suggestion(given, allowed)}")


def _suggestion(given: str, allowed: Iterable[str | None]) -> str:
    known = [name for name in allowed if name is not None]
    nearest = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.5)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _show(value: object) -> str:
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({type(value).__name__})"
