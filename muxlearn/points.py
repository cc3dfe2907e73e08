"""Operating points: how many rows, and how many tokens of a row, share a position of the encoder.

Users name a point by a number of rows, by a pair ``(n_mux, patch_size)``, or as ``"words"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from muxlearn._params import Constraint, Integer, Number

__all__ = [
    "WORDS",
    "OperatingPoints",
    "Point",
    "PointLike",
    "PointsLike",
    "as_point",
    "as_points",
    "choose_own_point",
    "point_from_name",
    "shares_of",
    "speed_rank",
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
        """Return the name in tables, files and errors: "5", "2x5" or "words"."""
        if self == WORDS:
            return _WORDS_NAME
        return str(self.n_mux) if self.patch_size == 1 else f"{self.n_mux}x{self.patch_size}"

    def __repr__(self) -> str:
        """Return what a user writes: a pair, or "words"."""
        return repr(_WORDS_NAME if self == WORDS else tuple(self))


#: The words alone.
WORDS = Point(1, 0)

_WORDS_NAME = "words"

#: What a share of the steps may be.
_IS_SHARE = Number(0, open_low=True)

#: A number of rows, a pair of rows and tokens, or "words".
PointLike = int | tuple[int, int] | str

#: What `operating_points` is: points, or a mapping from them to their shares of the steps.
PointsLike = Sequence[PointLike] | Mapping[Any, float]


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


def speed_rank(point: Point) -> tuple[bool, int, int]:
    """Sort points as they get faster: by what shares a position, the words alone last.

    Of two with the same factor, that of fewer rows has shorter sequences.

    Parameters
    ----------
    point : Point

    Returns
    -------
    tuple
    """
    return point == WORDS, point.factor, -point.n_mux


def point_from_name(name: str) -> Point:
    """Return the point that `str` has named so.

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


def as_points(values: Iterable[Any]) -> tuple[Point, ...]:
    """Return the points that values name, and leave out what names none.

    A number of rows N stands for ``(N, 1)``.

    Parameters
    ----------
    values : iterable of int, pair of int or "words"

    Returns
    -------
    tuple of Point
    """
    return tuple(point for value in values if (point := as_point(value)) is not None)


def choose_own_point(
    n_mux: int | str, patch_size: int | str, points: tuple[Point, ...], auto: Point
) -> Point:
    """Return the capacity and the own patch size of a model; both may be "auto".

    Parameters
    ----------
    n_mux, patch_size : int or "auto"
        As the user gives them. One of them alone leaves the other at 1.
    points : tuple of Point
        The operating points that the user gives, if any: "auto" then serves all of them.
    auto : Point
        What both stand for where nothing is given.

    Returns
    -------
    Point
    """
    running = [point for point in points if point != WORDS]
    if n_mux == patch_size == "auto" and not running:
        return auto
    if n_mux == "auto":
        n_mux = max((point.n_mux for point in running), default=1)
    if patch_size == "auto":
        of_capacity = [point for point in running if point.n_mux == n_mux]
        patch_size = max((point.patch_size for point in of_capacity or running), default=1)
    return Point(int(n_mux), int(patch_size))


def shares_of(values: Any) -> tuple[float, ...] | None:
    """Return the share of the training's steps of each point, None where all have the same.

    Parameters
    ----------
    values : tuple, list, dict or None
        Points, or a dict from points to shares, whose sum may be any.

    Returns
    -------
    tuple of float or None
        In the order of the points but for the words alone, with a sum of 1.
    """
    if not isinstance(values, Mapping):
        return None
    given = [share for value, share in values.items() if as_point(value) != WORDS]
    return tuple(share / sum(given) for share in given)


@dataclass(frozen=True)
class OperatingPoints(Constraint):
    """Different operating points, with or without their shares of the training.

    Parameters
    ----------
    rows_only : bool, default=False
        Whether a point is a number of rows and nothing else.
    """

    rows_only: bool = False

    def accepts(self, value: object) -> bool:  # noqa: D102
        if not isinstance(value, tuple | list | dict) or not value:
            return False
        if isinstance(value, dict) and not all(map(_IS_SHARE.accepts, value.values())):
            return False
        points = [as_point(item) for item in value]
        if self.rows_only and not all(map(Integer(1).accepts, value)):
            return False
        return None not in points and len(set(points)) == len(points)

    def is_of_type(self, value: object) -> bool:  # noqa: D102
        return isinstance(value, tuple | list | dict)

    def show(self, value: object) -> str:  # noqa: D102
        return repr(value)

    def __str__(self) -> str:
        if self.rows_only:
            return (
                "a tuple of different whole numbers of at least 1, such as (1, 2, 5), or a dict "
                "from them to their shares of the steps, such as {1: 0.2, 4: 0.8}"
            )
        return (
            "a tuple of different operating points, each a number of rows, a pair (n_mux, "
            "patch_size), or 'words', such as (1, 2, 5) or ((1, 1), (1, 5), 'words'); or a dict "
            "from them to their shares of the steps, such as {(1, 1): 0.2, (1, 5): 0.8}"
        )
