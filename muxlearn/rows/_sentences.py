"""Sentences as users bring them, lists of tokens: checks, and windows of pieces as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.mixtures import MixturePlan
from muxlearn.rows._labels import as_plain_str, ends_in_nul
from muxlearn.rows._lengths import check_n_rows
from muxlearn.rows._texts import (
    TokenTable,
    check_text,
    is_missing,
    iterate_rows,
    ranges,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "PieceTable",
    "check_sentences",
    "check_tags",
    "cut_windows",
    "iterate_sentences",
    "number_tags",
]

Sentence = list[str]

_TAG_TYPES = (str, Real, np.bool_)
_MAY_BE_NAN = (float, np.floating)


def check_sentences(X: Any, *, name: str = "X", first_row: int = 0) -> list[Sentence]:
    """Turn what holds sentences into lists of tokens.

    Parameters
    ----------
    X : sequence of sequences of str, array, column, frame, table or data set
    name : str, default="X"
        What to call it in an error.
    first_row : int, default=0
        Number of the first sentence, for the parts of a stream.

    Returns
    -------
    list of list of str
        A sentence may be empty.

    Raises
    ------
    TypeError, ValueError
        Something is not a sequence of str; the message says which sentence and token.
    """
    rows = list(iterate_sentences(X, name=name))
    if not rows:
        raise ValueError(f"`{name}` has 0 sentences; at least 1 is needed")
    return [
        _check_tokens(row, f"sentence {number} of `{name}`")
        for number, row in enumerate(rows, first_row)
    ]


def iterate_sentences(X: Any, *, name: str = "X") -> Iterator[Any]:
    """Iterate over what holds sentences; the sentences themselves are not checked.

    Parameters
    ----------
    X : iterable of sequences of str
    name : str, default="X"

    Returns
    -------
    iterator

    Raises
    ------
    TypeError, ValueError
        `X` is one string, a frame of several columns, or holds nothing.
    """
    if isinstance(X, str | bytes):
        raise TypeError(
            f"`{name}` is a single {type(X).__name__}; give a list of lists, one for each sentence"
        )
    return iterate_rows(X, name=name, kind="tokens")


def _check_tokens(row: Any, where: str) -> Sentence:
    row = _as_list(row, where, "tokens")
    # The common case at the speed of `map`: every token is a str that can be encoded.
    if set(map(type, row)) <= {str}:
        try:
            "".join(row).encode()
            return row
        except UnicodeEncodeError:
            pass
    return [check_text(token, f"token {at} of {where}") for at, token in enumerate(row)]


def _as_list(row: Any, where: str, what: str) -> list[Any]:
    if isinstance(row, str | bytes):
        raise TypeError(
            f"{where} is a single {type(row).__name__}; give a list of {what}, e.g. "
            f"{row[:20]!r}.split()"
        )
    if len(getattr(row, "shape", (0,))) != 1:
        raise ValueError(f"{where} is an array of shape {tuple(row.shape)}; give a list of {what}")
    if isinstance(row, Mapping | set | frozenset) or not isinstance(row, Iterable):
        raise TypeError(f"{where} is of type {type(row).__name__}; give a list of {what}")
    return row.tolist() if hasattr(row, "tolist") else list(row)


def check_tags(y: Any, sentences: Sequence[Sentence]) -> list[list[Any]]:
    """Check that there is one tag for each token.

    Parameters
    ----------
    y : sequence of sequences of tags
    sentences : list of list of str

    Returns
    -------
    list of list of tags

    Raises
    ------
    TypeError, ValueError
        The shape of `y` is not that of `X`, or a tag is missing or of another type than those
        that are allowed; the message says where.
    """
    if y is None:
        raise ValueError("`y` is None; a tagger needs one tag for each token of `X`")
    rows = list(iterate_sentences(y, name="y"))
    check_n_rows(len(sentences), len(rows), what="sentences")
    rows = [_as_list(row, f"row {number} of `y`", "tags") for number, row in enumerate(rows)]
    rows = [list(map(as_plain_str, row)) for row in rows]
    for number, (sentence, tags) in enumerate(zip(sentences, rows, strict=True)):
        if len(sentence) != len(tags):
            raise ValueError(
                f"sentence {number} has {len(sentence)} tokens in `X` and {len(tags)} tags in "
                "`y`; every token needs one tag"
            )
    _check_each_tag(rows)
    return rows


def _check_each_tag(rows: list[list[Any]]) -> None:
    # The types of all tags are few; which tag it is matters only for the message.
    odd = [
        kind
        for kind in set(map(type, chain.from_iterable(rows)))
        if not issubclass(kind, _TAG_TYPES) or issubclass(kind, _MAY_BE_NAN)
    ]
    for number, row in enumerate(rows) if odd else ():
        for at, tag in enumerate(row):
            where = f"tag {at} of sentence {number} of `y`"
            if is_missing(tag):
                raise ValueError(f"{where} is missing ({tag!r}); drop the sentence or give a tag")
            if not isinstance(tag, _TAG_TYPES):
                raise TypeError(
                    f"{where} is of type {type(tag).__name__}; a tag is a string, a number or a "
                    "bool, and `y` holds one list of tags for each sentence"
                )


def number_tags(tags: Sequence[Sequence[Any]]) -> tuple[NDArray, NDArray[np.int64]]:
    """Give every tag a number.

    Parameters
    ----------
    tags : list of list of tags
        As `check_tags` returns them.

    Returns
    -------
    classes : ndarray of shape (n_tags,)
        The tags, sorted.
    targets : ndarray of int64, shape (n_tokens,)
        The number of each token's tag, one sentence after the other.

    Raises
    ------
    TypeError, ValueError
        There is no tag at all, they are of different types, or one ends in NUL.
    """
    inventory = set(chain.from_iterable(tags))
    if not inventory:
        raise ValueError("`X` has no token: every sentence is empty")
    if len({isinstance(tag, str) for tag in inventory}) > 1:
        kinds = sorted({type(tag).__name__ for tag in inventory})
        raise TypeError(f"`y` mixes tags of types {', '.join(kinds)}; give tags of one type")
    ordered = sorted(inventory)
    odd = next(filter(ends_in_nul, ordered), None)
    if odd is not None:
        raise ValueError(f"`y` holds the tag {odd!r}; a tag must not end in NUL")
    number = {tag: code for code, tag in enumerate(ordered)}
    targets = np.fromiter((number[tag] for tag in chain.from_iterable(tags)), np.int64)
    return np.array(ordered), targets


class PieceTable(TokenTable):
    """The windows of some sentences; the answers are about words, not about rows.

    Parameters
    ----------
    pieces : ndarray of int32, shape (n_pieces,)
        The pieces of all windows, one window after the other.
    words : ndarray of int64, shape (n_pieces,)
        The number of the word whose tag is read off a piece, -1 where none is.
    lengths : ndarray of int64, shape (n_windows,)
        Pieces of each window, at least one.
    sentences : ndarray of int64, shape (n_windows,)
        The sentence that a window is cut from.
    """

    def __init__(
        self,
        pieces: NDArray[np.int32],
        words: NDArray[np.int64],
        lengths: NDArray[np.int64],
        sentences: NDArray[np.int64],
    ) -> None:
        super().__init__(pieces, lengths)
        self._words = words
        self._sentences = sentences

    def inputs(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        tagged = self._words_at(rows, counted) >= 0
        return {**super().inputs(rows), "tagged": tagged}

    def answers(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        words = self._words_at(rows, counted)
        words = words[words >= 0]
        return words, np.ones(len(words), bool)

    def _words_at(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        positions, mask = self._positions(rows)
        if counted is not None:
            mask &= counted[..., None]
        return np.where(mask, self._words[positions], -1)

    def unmix(self, plan: MixturePlan, log_proba: NDArray[np.float64]) -> NDArray[np.float64]:
        words, _ = self.answers(plan.rows, plan.counted)
        order = np.argsort(words, kind="stable")
        words, log_proba = words[order], log_proba[order]
        firsts = np.flatnonzero(np.diff(words, prepend=-1))
        if len(firsts) == len(words):
            return log_proba
        # A word of several pieces gets the mean of their answers.
        counts = np.diff(firsts, append=len(words))
        return np.logaddexp.reduceat(log_proba, firsts) - np.log(counts)[:, None]

    def row_groups(self, groups: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        return None if groups is None else groups[self._sentences]


def cut_windows(
    tokenizer: Tokenizer, sentences: Sequence[Sentence], max_length: int, *, all_pieces: bool
) -> PieceTable:
    """Cut sentences into windows of at most `max_length` pieces.

    Most sentences are one window. The windows of a longer one overlap by half, and a word is read
    where it stands farthest from the window's ends.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Each word is tokenized by itself, and only once however often it occurs.
    sentences : list of list of str
    max_length : int
        Includes the special tokens, beside which there must be room.
    all_pieces : bool
        Read all pieces of a word, not its first alone.

    Returns
    -------
    PieceTable
        Without windows for empty sentences. Words are numbered through all sentences.

    Raises
    ------
    ValueError
        The special tokens take up all of `max_length`.
    """
    prefix, suffix = special_pieces(tokenizer)
    n_special = len(prefix) + len(suffix)
    capacity = max_length - n_special
    if capacity < 1:
        raise ValueError(
            f"`max_length` is {max_length}, but the tokenizer adds {n_special} special tokens to "
            f"a sentence; raise `max_length` to at least {n_special + 1}"
        )
    all_words = list(chain.from_iterable(sentences))
    vocabulary = {word: code for code, word in enumerate(dict.fromkeys(all_words))}
    codes = np.fromiter(map(vocabulary.__getitem__, all_words), np.int64, len(all_words))
    # No word takes more than half a window, so that there is always room for its neighbours.
    of_word = _pieces_of(tokenizer, list(vocabulary), max(1, capacity // 2))
    n_pieces = of_word.lengths[codes]
    ends = np.cumsum(n_pieces)  # of each word in the pieces of all sentences
    n_words = np.fromiter(map(len, sentences), np.int64, len(sentences))
    spans = _spans(n_words, n_pieces, capacity)

    bounds = np.concatenate([[0], ends])
    starts, stops = bounds[spans[:, 0]], bounds[spans[:, 1]]
    inner = stops - starts
    lengths = inner + n_special
    pieces = np.empty(int(lengths.sum()), np.int32)
    words = np.full(len(pieces), -1, np.int64)
    begins = np.cumsum(lengths) - lengths
    for offset, piece in enumerate(prefix):
        pieces[begins + offset] = piece
    for offset, piece in enumerate(suffix):
        pieces[begins + len(prefix) + inner + offset] = piece
    source = ranges(starts, inner)
    target = ranges(begins + len(prefix), inner)
    flat = of_word.flatten(codes)
    pieces[target] = flat[source]

    word_of_piece = np.repeat(np.arange(len(codes)), n_pieces)
    read = np.ones(len(flat), bool) if all_pieces else np.diff(word_of_piece, prepend=-1) > 0
    word = word_of_piece[source]
    window = np.repeat(np.arange(len(spans)), inner)
    own = (word >= spans[window, 2]) & (word < spans[window, 3])
    words[target] = np.where(own & read[source], word, -1)
    sentence_of_word = np.repeat(np.arange(len(sentences)), n_words)
    return PieceTable(pieces, words, lengths, sentence_of_word[spans[:, 0]])


def special_pieces(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts in front of a text and behind it."""
    encoding = tokenizer.encode("a")
    special = encoding.special_tokens_mask
    n_front = special.index(0) if 0 in special else len(special)
    n_back = special[::-1].index(0) if 0 in special else 0
    return encoding.ids[:n_front], encoding.ids[len(special) - n_back :]


def _pieces_of(tokenizer: Tokenizer, words: list[str], most: int) -> TokenTable:
    space = " " if _reads_space(tokenizer) else ""
    encodings = tokenizer.encode_batch_fast(
        [[space + word] for word in words], is_pretokenized=True, add_special_tokens=False
    )
    # A word that the tokenizer makes nothing of still has a place of its own.
    nothing = [_unknown_piece(tokenizer)]
    return TokenTable.from_rows([encoding.ids[:most] or nothing for encoding in encodings])


def _reads_space(tokenizer: Tokenizer) -> bool:
    """Return whether a space before a word changes its pieces (RoBERTa, ModernBERT)."""
    pieces = tokenizer.encode("a a", add_special_tokens=False).ids
    half = len(pieces) // 2
    return pieces[:half] != pieces[half:]


def _unknown_piece(tokenizer: Tokenizer) -> int:
    for token in ("[UNK]", "<unk>", "[MASK]", "<mask>"):
        if (piece := tokenizer.token_to_id(token)) is not None:
            return piece
    return 0


def _spans(
    n_words: NDArray[np.int64], n_pieces: NDArray[np.int64], capacity: int
) -> NDArray[np.int64]:
    """Return windows as rows (first word, end, first own word, end of those)."""
    word_ends = np.cumsum(n_words)
    bounds = np.concatenate([[0], np.cumsum(n_pieces)])
    spans = []
    for start, stop in zip((word_ends - n_words).tolist(), word_ends.tolist(), strict=True):
        if start == stop:
            continue
        if bounds[stop] - bounds[start] <= capacity:
            spans.append((start, stop, start, stop))
        else:
            spans.extend(_cut(start, stop, bounds, capacity))
    return np.array(spans, np.int64).reshape(-1, 4)


def _cut(
    start: int, stop: int, bounds: NDArray[np.int64], capacity: int
) -> Iterator[tuple[int, int, int, int]]:
    """Cut one long sentence; a word of two windows belongs to the one whose end is farther."""
    cuts = []
    first = start
    while True:
        end = min(stop, int(np.searchsorted(bounds, bounds[first] + capacity, "right")) - 1)
        cuts.append((first, end))
        if end == stop:
            break
        half = bounds[first] + (capacity + 1) // 2
        first = int(np.searchsorted(bounds, half, "left"))
    # The last window reaches back as far as it can.
    cuts[-1] = (int(np.searchsorted(bounds, bounds[stop] - capacity, "left")), stop)
    own = start
    for number, (first, end) in enumerate(cuts):
        own_end = stop
        if number + 1 < len(cuts):
            middle = (bounds[cuts[number + 1][0]] + bounds[end]) / 2
            own_end = int(np.searchsorted(bounds, middle, "left"))
        if own < own_end:  # among long words, a window may have none of its own
            yield first, end, own, own_end
        own = own_end
