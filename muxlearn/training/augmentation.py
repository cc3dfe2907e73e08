"""More texts, made of those at hand: a slow model labels them, and a fast one learns from both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from muxlearn._params import Constraint, Integer, RandomState, check_parameters
from muxlearn.rows import check_single_texts

__all__ = ["augment_texts"]

_WORD = re.compile(r"[^\W\d_]{3,}")

#: Smallest and largest share of a text's words that its part has.
_PART = 0.3, 0.8

#: Of the words of a text, those that are left out; of the others, those that become another one.
_LEFT_OUT, _REPLACED = 0.1, 1 / 3

#: Words near a word that it may become, itself among them.
_N_NEAR = 9

#: A word of fewer texts is a name or a slip, and stays.
_FEWEST_TEXTS = 3

_CONSTRAINTS: dict[str, Constraint] = {"n_each": Integer(1), "random_state": RandomState()}

_Words = list[str]


def augment_texts(
    X: Sequence[str],
    embedder: Any = None,
    *,
    n_each: int = 4,
    random_state: int | np.random.RandomState | None = None,
) -> list[str]:
    """Make more texts of those at hand, without labels, for a fast model to learn from.

    A text is made in one of two ways, in turn:

    - A part of a text (from .3 to .8 of its words, as they follow each other) and a part of
      one drawn at random, in either order.
    - A text with some words (.3) replaced by near ones, and some (.1) left out. A word becomes one
      of the 8 words of `X` whose vectors are nearest to its own, or stays.

    Neither keeps the label for certain. Let a slower model that has learned from the labels predict
    probabilities for the new texts, and let the fast one learn these (soft labels).

    Parameters
    ----------
    X : sequence of str, length n_samples
        Single texts, in any form that the estimators take.
    embedder : transformer, default=None
        What gives a word a vector, such as ``MuxTextEmbedder(n_mux="words")``. A clone of it is
        fitted to the words. None makes all texts in the first way.
    n_each : int, default=4
        Number of texts to make of each.
    random_state : int, RandomState instance or None, default=None
        Give an int for the same texts in every call.

    Returns
    -------
    list of str, length n_each * n_samples
        One of each text, then another one of each, and so on. Words have one space between them.

    Raises
    ------
    TypeError, ValueError
        A parameter is not allowed, or a row is not a text.

    References
    ----------
    R. Tang et al., Distilling task-specific knowledge from BERT into simple neural networks
    (arXiv:1903.12136), which makes texts of parts and of other words for a small model to learn
    from a large one.

    Examples
    --------
    >>> from muxlearn.training import augment_texts
    >>> augment_texts(["a slow and sad film", "great fun for all"], n_each=1, random_state=0)
    ['slow and sad slow and sad', 'for all a slow and sad']
    """
    check_parameters({"n_each": n_each, "random_state": random_state}, _CONSTRAINTS)
    if embedder is not None and not hasattr(embedder, "fit_transform"):
        raise TypeError(
            '`embedder` must be a transformer such as MuxTextEmbedder(n_mux="words") or None, got '
            f"{embedder!r} ({type(embedder).__name__})"
        )
    words = [text.split() for text in check_single_texts(X)]
    random = check_random_state(random_state)
    ways = [_recombining(words, random)]
    if embedder is not None:
        ways.append(_replacing(words, embedder, random))
    return [" ".join(make(own)) for make in islice(cycle(ways), n_each) for own in words]


def _recombining(
    words: Sequence[_Words], random: np.random.RandomState
) -> Callable[[_Words], _Words]:
    def part(own: _Words) -> _Words:
        size = min(len(own), max(1, round(len(own) * random.uniform(*_PART))))
        start = random.randint(len(own) - size + 1)
        return own[start : start + size]

    def recombine(own: _Words) -> _Words:
        first, second = part(own), part(words[random.randint(len(words))])
        return first + second if random.rand() < 0.5 else second + first

    return recombine


def _replacing(
    words: Sequence[_Words], embedder: Any, random: np.random.RandomState
) -> Callable[[_Words], _Words]:
    near = _near_words(words, embedder)

    def replace(match: re.Match[str]) -> str:
        choices = near.get(match[0].lower())
        if choices is None or random.rand() >= _REPLACED:
            return match[0]
        return choices[random.randint(len(choices))]

    def replace_some(own: _Words) -> _Words:
        kept = [word for word in own if random.rand() >= _LEFT_OUT]
        return [_WORD.sub(replace, word) for word in kept or own]

    return replace_some


def _near_words(words: Sequence[_Words], embedder: Any) -> dict[str, _Words]:
    """Return what each word of enough texts may become."""
    n_texts = Counter(
        word for own in words for word in {w.lower() for w in _WORD.findall(" ".join(own))}
    )
    known = sorted(word for word, n in n_texts.items() if n >= _FEWEST_TEXTS)
    if not known:
        return {}
    vectors = clone(embedder).fit_transform(known)
    search = NearestNeighbors(n_neighbors=min(_N_NEAR, len(known)), metric="cosine").fit(vectors)
    near = search.kneighbors(vectors, return_distance=False)
    return {word: [known[i] for i in numbers] for word, numbers in zip(known, near, strict=True)}
