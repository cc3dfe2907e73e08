"""The interface between what users call a row and the tables of numbers that a network takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from muxlearn._params import Constraint
from muxlearn.rows._tables import RowTable

__all__ = ["Reader"]

Self = TypeVar("Self", bound="Reader")


class Reader(ABC):
    """Reads rows: checks them, and makes tables of numbers of them.

    A reader holds what `fit` has learned of rows, such as a tokenizer or the mean of pixels. It is
    data: it pickles, and a folder keeps it as a configuration and files.
    """

    #: What a configuration calls this reader, a key of `READERS`.
    kind: ClassVar[str]

    #: What the entries of a configuration may be.
    constraints: ClassVar[dict[str, Constraint]] = {}

    #: What a column of rows holds in a data set: "texts", "integers", "tokens"; None: anything.
    column_kind: ClassVar[str | None] = None

    @abstractmethod
    def iterate(self, X: Any) -> Iterator[Any]:
        """Iterate over rows as the user gives them, not yet checked.

        Raises
        ------
        TypeError, ValueError
            `X` holds no rows at all.
        """

    @abstractmethod
    def check(self, X: Any, *, first_row: int = 0) -> Any:
        """Check rows against those of `fit`.

        Parameters
        ----------
        X : sequence
            Rows as the user gives them.
        first_row : int, default=0
            Number of the first row, for the parts of a stream.

        Returns
        -------
        list or ndarray
            At least one row, in the form that `table` takes.

        Raises
        ------
        TypeError, ValueError
            A row is not what `fit` was given; the message says which row.
        """

    @abstractmethod
    def table(self, rows: Any) -> RowTable:
        """Make checked rows ready to be mixed.

        Parameters
        ----------
        rows : list or ndarray
            As `check` returns them.

        Returns
        -------
        RowTable
        """

    def warning(self, table: RowTable) -> str | None:
        """Return what users should be warned of, None if the rows are as expected.

        Parameters
        ----------
        table : RowTable
            As `table` returns it.

        Returns
        -------
        str or None
        """
        return None

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Return what JSON keeps of this reader; `from_config` undoes it."""

    def files(self) -> dict[str, str]:
        """Return the contents of the files that keep the rest, by name."""
        return {}

    @classmethod
    @abstractmethod
    def from_config(cls: type[Self], config: Mapping[str, Any], files: Mapping[str, str]) -> Self:
        """Return the reader that `to_config` and `files` have described."""
