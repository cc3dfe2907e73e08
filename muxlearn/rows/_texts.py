"""Texts as users bring them: checks, and tokens as numpy arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.rows._columns import iterate_columns
from muxlearn.rows._tables import RowTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "PairTable",
    "Text",
    "TokenTable",
    "check_single_texts",
    "check_text",
    "check_texts",
    "is_missing",
    "iterate_rows",
    "ranges",
    "split_pairs",
    "train_tokenizer",
]

#: Special tokens of our own tokenizer; the first is padding.
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]"]

_ENDLESS = re.compile(r"\S{1000}|\s{1000}")

Text = str | tuple[str, str]


def check_texts(X: Any, *, name: str = "X", first_row: int = 0) -> list[Text]:
    """Turn what holds texts, or pairs of texts, into a list.

    Half of a surrogate pair, which no tokenizer can encode, becomes U+FFFD.

    Parameters
    ----------
    X : sequence of str or of pairs of str, array, column, frame, table or data set
    name : str, default="X"
        What to call it in an error.
    first_row : int, default=0
        Number of the first row, for the parts of a stream.

    Returns
    -------
    list of str or list of (str, str)

    Raises
    ------
    TypeError, ValueError
        Something is not a text; the message says which row.
    """
    rows = list(iterate_rows(X, name=name))
    if not rows:
        read = ", and an iterator can be read once; give a list" if isinstance(X, Iterator) else ""
        raise ValueError(f"`{name}` has 0 rows; at least 1 is needed{read}")
    paired = _is_pair_like(rows[0])
    return [
        _check_row(row, paired, f"row {number} of `{name}`", first_row)
        for number, row in enumerate(rows, first_row)
    ]


def check_single_texts(X: Any) -> list[str]:
    """Turn what holds texts into a list, and refuse pairs.

    Parameters
    ----------
    X : sequence of str, array, column, frame, table or data set

    Returns
    -------
    list of str

    Raises
    ------
    TypeError, ValueError
        Something is not a text.
    """
    rows = check_texts(X)
    if isinstance(rows[0], tuple):
        raise ValueError("`X` holds pairs of texts; give single texts")
    return rows  # type: ignore[return-value]


def iterate_rows(X: Any, *, name: str = "X", kind: str = "texts") -> Iterator[Any]:
    """Iterate over the rows of what holds texts; the rows themselves are not checked.

    Parameters
    ----------
    X : sequence or iterable, array, column, frame, table or data set
    name : str, default="X"
        What to call it in an error.
    kind : {"texts", "tokens"}, default="texts"
        What its rows are, and which column is wanted of several.

    Returns
    -------
    iterator

    Raises
    ------
    TypeError, ValueError
        `X` is one text, or holds no rows.
    """
    if isinstance(X, str | bytes):
        raise TypeError(
            f"`{name}` is a single {type(X).__name__}; give a sequence of texts, "
            f"for one text `[text]`"
        )
    if (rows := iterate_columns(X, name=name, kind=kind)) is not None:
        return rows
    what = "texts" if kind == "texts" else "lists, one for each sentence"
    if getattr(X, "shape", None) == ():
        raise TypeError(f"`{name}` is an array without an axis; give a sequence of {what}")
    if not isinstance(X, Iterable) or isinstance(X, Mapping | set | frozenset):
        splits = list(X) if type(X).__name__ == "DatasetDict" else []
        hint = f"; give one of its splits, {name}[{splits[0]!r}]" if splits else ""
        raise TypeError(
            f"`{name}` must be a sequence of {what}, got an instance of {type(X).__name__}{hint}"
        )
    return iter(X)


def is_missing(value: object) -> bool:
    """Return whether a value stands for no value: None, NaN, NaT or NA.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    missing = ("None", "nan", "NaN", "NaT", "<NA>", "--")  # the last is numpy's `masked`
    return not isinstance(value, str) and str(value) in missing


def _is_pair_like(row: object) -> bool:
    return isinstance(row, tuple | list | np.ndarray) and np.size(np.asarray(row, object)) != 1


def _check_row(row: Any, paired: bool, where: str, first_row: int) -> Text:
    if isinstance(row, str) and not paired:
        return check_text(row, where)
    if isinstance(row, tuple | list) or getattr(row, "ndim", None):
        parts = list(row)
        if len(parts) == 1 and not paired:  # a one-column frame or array
            return check_text(parts[0], where)
        if not paired:
            raise ValueError(
                f"{where} is a pair, but row {first_row} is a single text; "
                "give either texts or pairs"
            )
        if len(parts) != 2:
            words = len(parts) > 2 and all(isinstance(part, str) for part in parts)
            advice = "; join the words of a text, ' '.join(row)" if words else ""
            raise ValueError(f"{where} is of length {len(parts)}; a pair of texts has 2{advice}")
        return check_text(parts[0], where, "first "), check_text(parts[1], where, "second ")
    if isinstance(row, str):
        raise ValueError(
            f"{where} is a single text, but row {first_row} is a pair; give either texts or pairs"
        )
    return check_text(row, where)


def check_text(text: Any, where: str, half: str = "") -> str:
    """Check one text; half of a surrogate pair becomes U+FFFD.

    Parameters
    ----------
    text : object
    where : str
        What to call it in an error.
    half : str, default=""
        "first " or "second " of a pair.

    Returns
    -------
    str

    Raises
    ------
    TypeError, ValueError
        It is not a str, or missing.
    """
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return str(text)
    subject = f"the {half}text of {where}" if half else where
    if is_missing(text):
        raise ValueError(
            f"{subject} is missing ({text!r}); drop the row or give an empty string for it"
        )
    hint = "convert it"
    if isinstance(text, bytes):
        hint = "decode it, e.g. with .decode('utf-8')"
    elif isinstance(text, Mapping):
        hint = "give the column of the texts alone, e.g. dataset['text']"
    raise TypeError(f"{subject} is of type {type(text).__name__}, not str; {hint}")


class TokenTable(RowTable):
    """The tokens of many rows in one flat array.

    Parameters
    ----------
    tokens : ndarray of int32, shape (n_tokens,)
        The token ids of all rows, one row after the other.
    lengths : ndarray of int64, shape (n_rows,)
        Tokens of each row; no row is empty.
    seconds : ndarray of int64, shape (n_rows,), default=None
        Where the second text of each row begins; None where rows are single texts.
    marks_second : bool, default=False
        Whether `inputs` also says which tokens are of the second text.
    """

    def __init__(
        self,
        tokens: NDArray[np.int32],
        lengths: NDArray[np.int64],
        seconds: NDArray[np.int64] | None = None,
        marks_second: bool = False,
    ) -> None:
        self.lengths = lengths
        self.marks_second = marks_second
        self._tokens = tokens
        self._starts = np.cumsum(lengths) - lengths
        self._seconds = seconds
        self._laid_out: dict[int, TokenTable] = {}

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Sequence[int]],
        seconds: NDArray[np.int64] | None = None,
        marks_second: bool = False,
    ) -> TokenTable:
        """Make a table of rows of token ids."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        tokens = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return cls(tokens, lengths, seconds, marks_second)

    def for_patches(self, patch_size: int) -> TokenTable:
        if self._seconds is None or patch_size <= 1:
            return self
        if patch_size not in self._laid_out:
            gaps = np.where(self._seconds < self.lengths, -self._seconds % patch_size, 0)
            table = GappedTable(self._tokens, self.lengths, self._seconds, gaps, self.marks_second)
            self._laid_out[patch_size] = table
        return self._laid_out[patch_size]

    def flatten(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the tokens of some rows, one row after the other."""
        return self._tokens[ranges(self._starts[rows], self.lengths[rows])]

    def gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Stack some rows, padded to the longest.

        Parameters
        ----------
        rows : ndarray of int64, any shape

        Returns
        -------
        ids : ndarray of int64, shape (*rows.shape, length)
            0 at padding.
        mask : ndarray of bool, the same shape
            False at padding.
        """
        positions, mask = self._positions(rows)
        return np.where(mask, self._tokens[positions], 0).astype(np.int64), mask

    def _positions(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the positions of some rows' tokens, 0 at padding, and the mask of tokens."""
        steps = np.arange(self.lengths[rows].max())
        mask = steps < self.lengths[rows][..., None]
        return np.where(mask, self._starts[rows][..., None] + steps, 0), mask

    def inputs(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        ids, mask = self.gather(rows)
        made: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": mask}
        if self.marks_second:
            starts = self.lengths if self._seconds is None else self._seconds
            made["second"] = mask & (np.arange(mask.shape[-1]) >= starts[rows][..., None])
        return made


class GappedTable(TokenTable):
    """The tokens of pairs of texts with padding in between, so that no patch spans two texts.

    Parameters
    ----------
    tokens : ndarray of int32
        Tokens of all rows, one row after the other.
    lengths, seconds : ndarray of int64, shape (n_rows,)
        Number of tokens of each row, and where its second text begins.
    gaps : ndarray of int64, shape (n_rows,)
        Places of padding in front of the second text.
    marks_second : bool, default=False
        Whether `inputs` also says which tokens are of the second text.
    """

    def __init__(
        self,
        tokens: NDArray[np.int32],
        lengths: NDArray[np.int64],
        seconds: NDArray[np.int64],
        gaps: NDArray[np.int64],
        marks_second: bool = False,
    ) -> None:
        super().__init__(tokens, lengths, seconds, marks_second)
        self._gaps = gaps

    def _positions(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        assert self._seconds is not None
        gaps, seconds = self._gaps[rows][..., None], self._seconds[rows][..., None]
        lengths = self.lengths[rows][..., None] + gaps
        steps = np.arange(lengths.max())
        behind = steps >= seconds + gaps
        mask = (steps < lengths) & ((steps < seconds) | behind)
        return np.where(mask, self._starts[rows][..., None] + steps - behind * gaps, 0), mask


class PairTable(RowTable):
    """The tokens of pairs of texts that are read apart, each of its own length.

    Parameters
    ----------
    halves : TokenTable
        The first text of row 0, the second one, the first text of row 1, …
    """

    def __init__(self, halves: TokenTable) -> None:
        self.lengths = halves.lengths.reshape(-1, 2).max(1)
        self._halves = halves

    def inputs(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        # (n_mixtures, n_mux, 2, length)
        return self._halves.inputs(2 * rows[..., None] + np.arange(2))


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``start, start + 1, …`` of each length, one range after the other.

    Parameters
    ----------
    starts, lengths : ndarray of int64, shape (n,)

    Returns
    -------
    ndarray of int64, shape (sum of lengths,)
    """
    shifts = starts - (np.cumsum(lengths) - lengths)
    return np.arange(int(lengths.sum())) + np.repeat(shifts, lengths)


def split_pairs(rows: Iterable[Text]) -> Iterator[str]:
    """Iterate over the texts of rows: of a pair the first one, then the second.

    Parameters
    ----------
    rows : iterable of str or of (str, str)

    Returns
    -------
    iterator of str
    """
    return (part for row in rows for part in ([row] if isinstance(row, str) else row))


def _cut_endless(text: str) -> list[str]:
    """Cut a text with a word or a gap of no sane length: training takes time by its square."""
    if not _ENDLESS.search(text):
        return [text]
    return [text[start : start + 1000] for start in range(0, len(text), 1000)]


def train_tokenizer(rows: Iterable[Text], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer: no text is outside of its vocabulary.

    Parameters
    ----------
    rows : iterable of str or of (str, str)
    vocab_size : int
        At most this many tokens; few texts give fewer.

    Returns
    -------
    tokenizers.Tokenizer
        Puts ``[CLS]`` in front, so that an empty text has a token too, and ``[SEP]`` between the
        texts of a pair.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = byte_level
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    texts = chain.from_iterable(map(_cut_endless, split_pairs(rows)))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A",
        pair="[CLS] $A [SEP] $B",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer
