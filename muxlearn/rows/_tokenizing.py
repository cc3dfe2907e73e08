"""Tokens of texts, made in parts that bound the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from muxlearn.rows._texts import Text, TokenTable, split_pairs

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["tokenize"]

#: Characters that a tokenizer is given at once, where rows are not longer themselves. It keeps what
#: truncation cuts off until all of them are done, which takes 30 bytes for a character.
_AT_ONCE = 2**21
#: Characters for each token that is kept; a text of more is cut off before it is tokenized.
_FAR = 64


def tokenize(tokenizer: Tokenizer, rows: Sequence[Text], marks_second: bool = False) -> TokenTable:
    """Tokenize rows; the tokenizer's own truncation applies.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    rows : list of str or of (str, str)
    marks_second : bool, default=False
        Whether the table says which tokens are of the second text of a pair.

    Returns
    -------
    TokenTable
    """
    paired = bool(rows) and isinstance(rows[0], tuple)
    ids: list[list[int]] = []
    seconds: list[int] = []
    for part in _parts(rows):
        encodings = _encode_pairs(tokenizer, part) if paired else _encode(tokenizer, part)
        # Without special tokens, a tokenizer makes nothing of an empty text.
        ids.extend(encoding.ids or [0] for encoding in encodings)
        if paired:
            seconds.extend(map(_second_begins, encodings))
    return TokenTable.from_rows(ids, np.array(seconds, np.int64) if paired else None, marks_second)


def _parts(rows: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """Divide rows into parts of about as many characters."""
    start, n_characters = 0, 0
    for number, row in enumerate(rows):
        size = len(row) if isinstance(row, str) else sum(map(len, row))
        if n_characters and n_characters + size > _AT_ONCE:
            yield rows[start:number]
            start, n_characters = number, 0
        n_characters += size
    yield rows[start:]


def _encode(tokenizer: Tokenizer, texts: Sequence[Text]) -> list[Encoding]:
    cut = [_without_end(tokenizer, text) for text in texts]
    encodings = tokenizer.encode_batch_fast(cut)
    for number, (text, left) in enumerate(zip(texts, cut, strict=True)):
        if len(left) < len(text) and not encodings[number].overflowing:
            encodings[number] = tokenizer.encode(text)
    return encodings


def _without_end(tokenizer: Tokenizer, text: Text) -> Text:
    """Return a text without an end that is most likely far behind what truncation leaves of it.

    It is cut at a space, where no tokenizer looks across.
    """
    if tokenizer.truncation is None or not isinstance(text, str):
        return text
    most = _FAR * tokenizer.truncation["max_length"]
    end = text.rfind(" ", 0, most) if len(text) > most else -1
    return text if end < 1 else text[:end]


def _encode_pairs(tokenizer: Tokenizer, pairs: Sequence[Text]) -> list[Encoding]:
    halves = _shorten(tokenizer, list(split_pairs(pairs)))
    return tokenizer.encode_batch_fast(list(zip(halves[::2], halves[1::2], strict=True)))


def _second_begins(encoding: Encoding) -> int:
    """Return where the second text of a pair begins; behind the end where nothing is left of it."""
    texts = encoding.sequence_ids
    return texts.index(1) if 1 in texts else max(1, len(texts))


def _shorten(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """Cut texts to the tokens that truncation could leave of them.

    The tokenizer keeps what it cuts off of a pair in every combination of the parts of one half
    and the parts of the other: two long halves would take memory by the square of their length.
    """
    if tokenizer.truncation is None:
        return texts
    n_characters = 4 * tokenizer.truncation["max_length"]
    long_texts = [number for number, text in enumerate(texts) if len(text) > n_characters]
    cut = [_without_end(tokenizer, texts[i]) for i in long_texts]
    encodings = tokenizer.encode_batch(cut, add_special_tokens=False)
    texts = list(texts)
    for number, left, encoding in zip(long_texts, cut, encodings, strict=True):
        if not encoding.overflowing and len(left) < len(texts[number]):
            encoding = tokenizer.encode(texts[number], add_special_tokens=False)
        if encoding.overflowing:
            texts[number] = texts[number][: encoding.offsets[-1][1]]
    return texts
