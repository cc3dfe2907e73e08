"""Operating points: how many rows, and how many tokens of a row, share a position of the encoder.

Users name a point by a number of rows, by a pair ``(n_mux, patch_size)``, or as ``"words"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from muxlearn._params import Integer

__all__ = [
    "WORDS",
    "OperatingPoints",
    "Point",
    "PointLike",
    "as_point",
    "as_points",
    "name_of",
    "point_from_name",
    "repr_of",
]


class Point(NamedTuple):
    """An operating point: what shares a position of the encoder.

    Attributes
    ----------
    n_mux : int
        Rows in a mixture, N.
    patch_size : int
        Neighbouring tokens of a row in one position, P. 0: the encoder does not run, and the row's
        own words alone answer.
    """

    n_mux: int = 1
    patch_size: int = 1

    @property
    def factor(self) -> int:
        """The number of tokens that share a position, ``N * P``; 0 of the words alone."""
        return self.n_mux * self.patch_size

    def __str__(self) -> str:
        return str(name_of(self))


#: The words alone.
WORDS = Point(1, 0)

_WORDS_NAME = "words"

#: A number of rows, a pair of rows and tokens, or "words".
PointLike = int | tuple[int, int] | str


def as_point(value: Any, patch_size: int = 1) -> Point | None:
    """Return the point that a value names, or None if it names none.

    Parameters
    ----------
    value : object
        A number of rows, a pair ``(n_mux, patch_size)``, or "words".
    patch_size : int, default=1
        That of a number of rows.

    Returns
    -------
    Point or None
    """
    if isinstance(value, str):
        return WORDS if value == _WORDS_NAME else None
    if Integer(1).accepts(value):
        return Point(int(value), patch_size)
    if isinstance(value, Point) and value == WORDS:
        return value
    paired = isinstance(value, tuple | list) and len(value) == 2
    if paired and all(Integer(1).accepts(item) for item in value):
        return Point(*map(int, value))
    return None


def name_of(point: Point) -> str:
    """Return the name of a point in tables, files and errors: "5", "2x5" or "words".

    Parameters
    ----------
    point : Point

    Returns
    -------
    str
    """
    if point == WORDS:
        return _WORDS_NAME
    if point.patch_size == 1:
        return str(point.n_mux)
    return f"{point.n_mux}x{point.patch_size}"


def repr_of(point: Point) -> str:
    """Return what a user writes for a point: ``5``, ``(2, 5)`` or ``'words'``.

    Parameters
    ----------
    point : Point

    Returns
    -------
    str
    """
    if point == WORDS:
        return repr(_WORDS_NAME)
    return repr(point.n_mux if point.patch_size == 1 else tuple(point))


def point_from_name(name: str) -> Point:
    """Return the point that `name_of` has named so.

    Parameters
    ----------
    name : str

    Returns
    -------
    Point
    """
    if name == _WORDS_NAME:
        return WORDS
    return Point(*map(int, name.split("x")))


@dataclass(frozen=True)
class OperatingPoints:
    """A non-empty tuple or list of different operating points."""

    def accepts(self, value: object) -> bool:  # noqa: D102
        if not isinstance(value, tuple | list) or not value:
            return False
        points = [as_point(item) for item in value]
        return None not in points and len(set(points)) == len(points)

    def complain(self, name: str, value: object) -> Exception:  # noqa: D102
        error = ValueError if isinstance(value, tuple | list) else TypeError
        return error(f"`{name}` must be {self}, got {value!r}")

    def __str__(self) -> str:
        return (
            "a tuple of different operating points, each a number of rows, a pair (n_mux, "
            "patch_size), or 'words', such as (1, 2, 5) or ((1, 1), (1, 5), 'words')"
        )


def as_points(values: Iterable[Any]) -> tuple[Point, ...]:
    """Return checked points; a number of rows N stands for ``(N, 1)``.

    Parameters
    ----------
    values : iterable of int, pair of int or "words"

    Returns
    -------
    tuple of Point
    """
    return tuple(point for value in values if (point := as_point(value)) is not None)
