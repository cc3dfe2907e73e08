"""Which models another one beats, and which are the frontier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress
from typing import NamedTuple

from muxlearn.metrics import unbeaten

__all__ = ["Place", "beaten_by", "best_as_fast", "frontier"]


class Place(NamedTuple):
    """The place of a model in the plot.

    Attributes
    ----------
    score, rate : float
        The higher the better.
    """

    score: float
    rate: float

    def beats(self, other: Place) -> bool:
        """Return whether this is no worse in both, and better in one."""
        return self != other and self.score >= other.score and self.rate >= other.rate


def beaten_by(places: Mapping[str, Place]) -> dict[str, str | None]:
    """Say of each model which other one beats it.

    Parameters
    ----------
    places : mapping of str to Place
        By the name of the model.

    Returns
    -------
    dict of str to str or None
        For each model the one that beats it: among several the one with the best score, and among
        equals the fastest. None for a model on the frontier.
    """
    beaten: dict[str, str | None] = {}
    for name, place in places.items():
        winners = [other for other in places if places[other].beats(place)]
        beaten[name] = max(winners, key=lambda other: places[other], default=None)
    return beaten


def frontier(places: Mapping[str, Place]) -> list[str]:
    """Return the models that no other one beats, the slowest first.

    Parameters
    ----------
    places : mapping of str to Place

    Returns
    -------
    list of str
    """
    mask = unbeaten([p.score for p in places.values()], [p.rate for p in places.values()])
    return sorted(compress(places, mask), key=lambda name: places[name].rate)


def best_as_fast(places: Mapping[str, Place], name: str, among: Iterable[str]) -> str | None:
    """Return the most accurate of some models that are no slower than another one.

    Parameters
    ----------
    places : mapping of str to Place
    name : str
        The model that they are compared with, which is not compared with itself.
    among : iterable of str

    Returns
    -------
    str or None
        None if all are slower.
    """
    fast = [other for other in among if other != name and places[other].rate >= places[name].rate]
    return max(fast, key=lambda other: places[other], default=None)
