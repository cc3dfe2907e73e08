"""Reads texts, pairs of texts, and sentences, with a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from muxlearn._params import Boolean, Constraint, Instance, ListOf, OneOf
from muxlearn.persistence import TOKENIZER
from muxlearn.rows._columns import check_pair_columns
from muxlearn.rows._integers import check_rows, holds_integers
from muxlearn.rows._language import LOOKED_AT, other_language
from muxlearn.rows._reader import Reader
from muxlearn.rows._sentences import check_sentences, cut_windows, iterate_sentences
from muxlearn.rows._tables import RowTable
from muxlearn.rows._texts import PairTable, TokenTable, iterate_rows, split_pairs
from muxlearn.rows._tokenizing import tokenize

__all__ = ["SentenceReader", "TextReader", "TokenizerReader"]


@dataclass(frozen=True, eq=False)
class TokenizerReader(Reader):
    """Base class of readers with a tokenizer.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Cuts off what is longer than the network reads.
    english : bool, default=False
        Whether the tokenizer is that of the packaged encoder, which reads no other language.
    """

    tokenizer: Any
    english: bool = field(default=False, kw_only=True)

    @property
    def max_length(self) -> int:
        """Tokens of a row that are read at most."""
        return self.tokenizer.truncation["max_length"]

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return self.tokenizer.get_vocab_size()

    def warning(self, table: RowTable) -> str | None:
        if not self.english or not isinstance(table, TokenTable):
            return None
        first = np.arange(min(len(table), LOOKED_AT))
        return other_language(self.tokenizer, table.flatten(first))

    def to_config(self) -> dict[str, Any]:
        config = {"kind": self.kind}
        return config | {"english": True} if self.english else config

    def files(self) -> dict[str, str]:
        return {TOKENIZER: self.tokenizer.to_str()}


@dataclass(frozen=True, eq=False)
class TextReader(TokenizerReader):
    """Reads texts and pairs of texts.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    pairs : bool, default=None
        Whether rows are pairs. None: they may be either, as long as all of a call are the same.
    apart : bool, default=False
        Whether the texts of a pair are two sequences to the network, not one.
    marks_second : bool, default=False
        Whether the network is told which tokens of one sequence are of the second text.
    columns : tuple of str, default=None
        Names of the two columns that pairs came in, where they came in columns.
    english : bool, default=False
        As in `TokenizerReader`.
    """

    pairs: bool | None = None
    apart: bool = False
    marks_second: bool = False
    columns: tuple[str, ...] | None = None

    kind: ClassVar[str] = "texts"
    constraints: ClassVar[dict[str, Constraint]] = {
        "pairs": OneOf(None, Boolean()),
        "apart": Boolean(),
        "marks_second": Boolean(),
        "columns": OneOf(None, ListOf(Instance((str,), "a text"), 2)),
        "english": Boolean(),
    }
    column_kind: ClassVar[str | None] = "texts"

    def iterate(self, X: Any) -> Iterator[Any]:
        check_pair_columns(X, self.columns)
        return iterate_rows(X)

    def check(self, X: Any, *, first_row: int = 0) -> list[Any]:
        check_pair_columns(X, self.columns)
        rows = check_rows(X, first_row=first_row)
        if holds_integers(rows):
            raise TypeError("`X` holds sequences of integers, but `fit` was given texts")
        paired = isinstance(rows[0], tuple)
        if self.pairs is not None and paired != self.pairs:
            kinds = "single texts", "pairs of texts"
            raise ValueError(f"`X` holds {kinds[paired]}, but `fit` was given {kinds[not paired]}")
        assert isinstance(rows, list)
        return rows

    def table(self, rows: list[Any]) -> RowTable:
        if self.apart:
            return PairTable(tokenize(self.tokenizer, list(split_pairs(rows))))
        return tokenize(self.tokenizer, rows, self.marks_second)

    def to_config(self) -> dict[str, Any]:
        config = {**super().to_config(), "pairs": self.pairs, "apart": self.apart}
        if self.columns is not None:
            config["columns"] = list(self.columns)
        return config | {"marks_second": True} if self.marks_second else config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], files: Mapping[str, str]) -> TextReader:
        if config["apart"] and not config["pairs"]:
            raise ValueError(
                f"`reader.apart` is {config['apart']}, but `reader.pairs` is {config['pairs']}: "
                "single texts are not apart"
            )
        # Unknown to earlier versions.
        marks, english = bool(config.get("marks_second")), bool(config.get("english"))
        columns = None if config.get("columns") is None else tuple(config["columns"])
        return cls(
            _tokenizer(files), config["pairs"], config["apart"], marks, columns, english=english
        )


@dataclass(frozen=True, eq=False)
class SentenceReader(TokenizerReader):
    """Reads sentences, which are lists of tokens; each token has its own answers.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    all_pieces : bool, default=False
        Whether answers are read off all pieces of a token, or its first only.
    english : bool, default=False
        As in `TokenizerReader`.
    """

    all_pieces: bool = False

    kind: ClassVar[str] = "sentences"
    constraints: ClassVar[dict[str, Constraint]] = {
        "all_pieces": Boolean(),
        "english": Boolean(),
    }
    column_kind: ClassVar[str | None] = "tokens"

    def __post_init__(self) -> None:
        self.tokenizer.encode_special_tokens = True  # a token "[SEP]" is data, not a mark of ours

    def iterate(self, X: Any) -> Iterator[Any]:
        return iterate_sentences(X)

    def check(self, X: Any, *, first_row: int = 0) -> list[list[str]]:
        return check_sentences(X, first_row=first_row)

    def table(self, rows: list[list[str]]) -> RowTable:
        return cut_windows(self.tokenizer, rows, self.max_length, all_pieces=self.all_pieces)

    def to_config(self) -> dict[str, Any]:
        return {**super().to_config(), "all_pieces": self.all_pieces}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], files: Mapping[str, str]) -> SentenceReader:
        english = bool(config.get("english"))  # unknown to earlier versions
        return cls(_tokenizer(files), config["all_pieces"], english=english)


def _tokenizer(files: Mapping[str, str]) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(files[TOKENIZER])
    if tokenizer.truncation is None:
        raise ValueError(f"{TOKENIZER} does not say where rows are cut off")
    return tokenizer
