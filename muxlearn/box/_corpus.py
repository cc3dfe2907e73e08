"""A file of tokens: sentences as integers, in the order of their documents, compressed."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corpus", "read_corpus", "write_corpus"]

#: Bit 0 of the flags: the sentence begins a document.
_FIRST = 1
#: A literal of LZMA depends on the byte before it and on which half of a token it is.
_FILTERS = {
    "id": lzma.FILTER_LZMA2,
    "preset": 6,
    "dict_size": 1 << 26,
    "lc": 3,
    "lp": 1,
    "pb": 1,
}


class Corpus(NamedTuple):
    """Sentences one after another.

    Attributes
    ----------
    tokens : ndarray of shape (n_tokens,) of uint16
        The tokens of all sentences, without special ones.
    starts : ndarray of shape (n_sentences + 1,) of int64
        Sentence ``i`` is ``tokens[starts[i] : starts[i + 1]]``.
    first : ndarray of shape (n_sentences,) of bool
        Whether a sentence is the first of its document; the sentences up to the next one follow
        each other in it.
    header : dict
        What `write_corpus` was given to say of the sentences, and ``n_vocabulary``, ``n_tokens``,
        ``n_sentences``, ``n_documents``.
    """

    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    first: NDArray[np.bool_]
    header: dict[str, Any]


def write_corpus(
    path: str | PathLike[str],
    documents: Iterable[Iterable[list[int]]],
    about: Mapping[str, Any] | None = None,
    *,
    max_length: int = 250,
) -> dict[str, Any]:
    """Write documents of sentences of tokens into one compressed file.

    The file is an xz stream of a line of JSON, the vocabulary (the tokens that occur, the most
    frequent one first) and the places of all tokens in it, the lengths of the sentences, and a byte
    of flags for each sentence. All but the flags are uint16, little-endian. Places take less room
    than tokens, since most of them are small.

    Parameters
    ----------
    path : str or path-like
        The file; it is overwritten.
    documents : iterable of iterables of lists of int
        The tokens of each sentence of each document, below 65,536. Sentences and documents without
        tokens are left out.
    about : mapping, default=None
        More for the header, of what JSON can say. It is looked at after the documents, which may
        still count in it.
    max_length : int, default=250
        A longer sentence is cut into several.

    Returns
    -------
    dict
        The header.

    Raises
    ------
    ValueError
        If `max_length` is not from 1 to 65,535.
    OverflowError
        If a token is negative or above 65,535.
    """
    if not 1 <= max_length < 1 << 16:
        raise ValueError(f"`max_length` must be from 1 to 65,535, not {max_length}")
    parts: list[NDArray[np.uint16]] = []
    flags = bytearray()
    for document in documents:
        flag = _FIRST
        for sentence in document:
            for begin in range(0, len(sentence), max_length):
                part = np.asarray(sentence[begin : begin + max_length], np.int64)
                if not ((part >= 0) & (part < 1 << 16)).all():
                    raise OverflowError(f"a token of {part.tolist()} is not from 0 to 65,535")
                parts.append(part.astype("<u2"))
                flags.append(flag)
                flag = 0
    lengths = np.array([len(part) for part in parts], "<u2")
    tokens = np.concatenate([np.empty(0, "<u2"), *parts])
    frequency = np.bincount(tokens, minlength=1)
    vocabulary = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    places = np.zeros(len(frequency), "<u2")
    places[vocabulary] = np.arange(len(vocabulary))
    counts = {
        "n_vocabulary": len(vocabulary),
        "n_tokens": int(lengths.sum(dtype=np.int64)),
        "n_sentences": len(parts),
        "n_documents": flags.count(_FIRST),
    }
    header = {**(about or {}), **counts}
    with lzma.open(path, "wb", filters=[_FILTERS]) as file:
        file.write(json.dumps(header).encode() + b"\n")
        file.write(vocabulary.astype("<u2").tobytes())
        file.write(places[tokens].tobytes())
        file.write(lengths.tobytes())
        file.write(bytes(flags))
    return header


def read_corpus(path: str | PathLike[str]) -> Corpus:
    """Read what `write_corpus` has written.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    Corpus
        The sentences; two bytes a token in memory.

    Raises
    ------
    ValueError
        If the file ends too early or goes on after the flags.
    lzma.LZMAError
        If it is not compressed or damaged.
    """
    with lzma.open(path) as file:
        header = json.loads(file.readline())
        data = file.read()
    sizes = [header["n_vocabulary"], header["n_tokens"], header["n_sentences"]]
    if len(data) != 2 * sum(sizes) + sizes[-1]:
        raise ValueError(f"{path} does not hold what its first line says")
    numbers = np.frombuffer(data, "<u2", sum(sizes))
    vocabulary, places, lengths = np.split(numbers, np.cumsum(sizes)[:2])
    tokens = vocabulary[places]
    flags = np.frombuffer(data, "u1", sizes[-1], 2 * sum(sizes))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Corpus(tokens, starts, (flags & _FIRST) != 0, header)
