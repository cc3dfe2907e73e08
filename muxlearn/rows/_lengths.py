"""Checks that rows and what belongs to them are as many."""

from __future__ import annotations

from collections.abc import Sequence, Sized

__all__ = ["check_n_rows", "check_same_lengths"]


def check_n_rows(
    n_first: int, n_second: int, names: tuple[str, str] = ("X", "y"), what: str = "rows"
) -> None:
    """Raise unless two arguments have as many rows.

    Parameters
    ----------
    n_first, n_second : int
    names : (str, str), default=("X", "y")
        What to call them in an error.
    what : str, default="rows"
        What the first has.

    Raises
    ------
    ValueError
    """
    if n_first != n_second:
        first = f"`{names[0]}` has {n_first} {what}"
        raise ValueError(
            f"{first} and `{names[1]}` has {n_second}: inconsistent numbers of samples"
        )


def check_same_lengths(a: Sequence[Sized], b: Sequence[Sized], names: tuple[str, str]) -> None:
    """Raise unless two lists have as many sentences, and these as many items.

    Parameters
    ----------
    a, b : sequence of sequences
    names : (str, str)
        What to call them in an error.

    Raises
    ------
    ValueError
        The message says which sentence, and both lengths.
    """
    check_n_rows(len(a), len(b), names, "sentences")
    for number, (row_a, row_b) in enumerate(zip(a, b, strict=True)):
        if len(row_a) != len(row_b):
            raise ValueError(
                f"sentence {number} has length {len(row_a)} in `{names[0]}` and {len(row_b)} in "
                f"`{names[1]}`; one item for each token is needed"
            )
