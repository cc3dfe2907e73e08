"""The documents that every reader of a package yields."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["Documents", "collect_strings"]

#: Each document is a list of paragraphs.
Documents = Iterator[list[str]]


def collect_strings(value: Any, names: Collection[str], *, inside: bool = False) -> Iterator[str]:
    """Yield the strings that JSON keeps under some names, at any depth.

    Parameters
    ----------
    value : object
        What JSON was read to.
    names : collection of str
        The names of interest.
    inside : bool, default=False
        Whether `value` itself stands under such a name.

    Yields
    ------
    str
        The strings, in the order of the file.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            yield from collect_strings(part, names, inside=name in names)
    elif isinstance(value, list):
        for part in value:
            yield from collect_strings(part, names, inside=inside)
    elif inside and isinstance(value, str):
        yield value
