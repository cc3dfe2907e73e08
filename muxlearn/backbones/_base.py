"""The interface between an architecture and the place where its encoder comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.text import MuxTextModule
from muxlearn.points import Point

__all__ = ["Backbone", "Corpus", "Encoder", "Start", "Vectors", "cutting"]

Encoder = CompactEncoder | PretrainedEncoder


@dataclass(frozen=True)
class Corpus:
    """The rows that a reader learns from.

    Parameters
    ----------
    rows : sequence
        Checked rows of the task.
    unlabeled : sequence, default=None
        Checked rows without labels.
    as_texts : callable, default=iter
        Turns rows into the texts that a tokenizer is trained on.
    """

    rows: Any
    unlabeled: Any = None
    as_texts: Callable[[Iterable[Any]], Iterable[Any]] = iter

    @property
    def parts(self) -> list[Any]:
        """All rows, in one part or two."""
        return [self.rows] if self.unlabeled is None else [self.rows, self.unlabeled]

    @property
    def holds_pairs(self) -> bool:
        """Whether the rows are pairs of texts."""
        return isinstance(self.rows[0], tuple)


@dataclass(frozen=True)
class Vectors:
    """The points and the size of the vectors that an encoder gives before any task.

    Attributes
    ----------
    patch_sizes : tuple of int
        Neighbouring tokens of a row that may share a position.
    words : bool
        Whether the words alone can answer.
    size : int or None
        Size of the vectors that a head of its own makes of the encoder's. None: there is none, and
        the mean of a row's hidden vectors is its vector.
    """

    patch_sizes: tuple[int, ...] = (1,)
    words: bool = False
    size: int | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """An encoder with its reader, and whatever else comes with it.

    Attributes
    ----------
    encoder : CompactEncoder or PretrainedEncoder
    reader : tokenizers.Tokenizer or IntegerReader
        Turns rows into numbers; cuts off what is too long.
    n_blocks : int or None
        Blocks that rows share in the multiplexer that comes along; None without such.
    load_into : callable or None
        Starts a module's multiplexer, demultiplexer and heads from weights that come along, and
        marks it as warmed up; None where there is nothing that fits.
    vectors : Vectors
        How rows are embedded with these weights.
    """

    encoder: Encoder
    reader: Any
    n_blocks: int | None = None
    load_into: Callable[[MuxTextModule], None] | None = None
    vectors: Vectors = Vectors()


def cutting(tokenizer: Any, max_length: int) -> Any:
    """Let a tokenizer cut off what is longer than `max_length`; returns it."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


class Backbone(Protocol):
    """The source of an encoder; `make_backbone` makes one of the parameter `backbone`."""

    @property
    def label(self) -> str:
        """The name that error messages use."""
        ...

    @property
    def from_scratch(self) -> bool:
        """Whether the encoder starts at random."""
        ...

    @property
    def packaged(self) -> bool:
        """Whether the encoder comes with this library."""
        ...

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the multiplexer and the demultiplexer that come with the encoder.

        Parameters
        ----------
        n_mux : int
            Rows in a mixture that they are wanted for.

        Returns
        -------
        (str, str) or None
            None if there are none for so many rows.
        """
        ...

    def auto_point(self, factor: int) -> Point | None:
        """Return the best operating point that the encoder was warmed up for.

        Parameters
        ----------
        factor : int
            Tokens that may share a position, at most. As many of them as possible are of one row.

        Returns
        -------
        Point or None
            None if the encoder was never warmed up. A checkpoint that fixes the number of rows
            answers with that.
        """
        ...

    def start(
        self,
        corpus: Corpus,
        *,
        n_mux: int,
        multiplexer: str,
        demultiplexer: str,
        n_prefix: int,
        max_length: int,
        dropout: float,
    ) -> Start:
        """Build or load the encoder and its reader.

        Parameters
        ----------
        corpus : Corpus
            What a reader is learned from where the encoder brings none.
        n_mux : int
        multiplexer, demultiplexer : str
            What is to be built around the encoder.
        n_prefix : int
            Positions that the demultiplexer takes beside `max_length`.
        max_length : int
        dropout : float

        Returns
        -------
        Start

        Raises
        ------
        OSError
            It cannot be loaded.
        ValueError
            It is no encoder that can read mixtures, or its files contradict each other.
        """
        ...
