"""The tasks of the experiments: public ones, files of a folder, and made-up rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.benchmark.image import read_mnist
from muxlearn.benchmark.reproduce._recipe import Part, Request, Source, Split
from muxlearn.benchmark.retrieval import read_lines
from muxlearn.datasets import (
    fetch_cifar,
    fetch_conll2003,
    fetch_glue,
    fetch_wikitext,
    load_conll,
    load_labelled,
    load_pairs,
)

__all__ = [
    "cifar",
    "conll",
    "file_task",
    "glue",
    "made_up_images",
    "made_up_sentences",
    "made_up_texts",
    "mnist",
    "sick",
    "sst2",
    "texts_of_file",
    "wikitext",
]


#: Words of made-up texts.
_WORDS = (
    *("the", "a", "old", "new", "cold", "warm", "rain", "wind", "snow", "town", "river", "garden"),
    *("market", "winter", "summer", "teacher", "of", "in", "and", "with", "was", "under", "after"),
)


def glue(task: str) -> Source:
    """Return a task of GLUE; its development set is the test."""

    def read(request: Request) -> Split:
        where = () if request.data is None else (request.data,)
        parts = (
            fetch_glue(task, *where, split=s, return_X_y=True) for s in ("train", "validation")
        )
        return Split(*(Part(*part) for part in parts))

    return Source(task, read)


def file_task(name: str, load: Callable[..., Any], n_train: int, n_test: int | None) -> Source:
    """Return a task of two files, NAME-train and NAME-test; the rows to learn from are drawn."""
    ending = "txt.gz" if load is load_conll else "tsv.gz"

    def read(request: Request) -> Split:
        train, test = (
            Part(*load(request.folder() / f"{name}-{role}.{ending}", return_X_y=True))
            for role in ("train", "test")
        )
        drawn = np.random.default_rng(request.seed).permutation(len(train.y))[:n_train]
        chosen = Part([train.X[i] for i in drawn], [train.y[i] for i in drawn])
        return Split(chosen, Part(test.X[:n_test], test.y[:n_test]))

    return Source(name, read)


def sick(n_train: int) -> Source:
    """Return the pairs of SICK."""
    return file_task("sick", load_pairs, n_train, None)


def sst2(n_train: int) -> Source:
    """Return the sentences and phrases of SST-2."""
    return file_task("sst2", load_labelled, n_train, None)


def conll(request: Request) -> Split:
    """Read CoNLL-2003 from the hub or a copy of its folder."""
    where = () if request.data is None else (request.data,)
    parts = (fetch_conll2003(*where, split=s, return_X_y=True) for s in ("train", "test"))
    return Split(*(Part(*part) for part in parts))


def wikitext(request: Request) -> list[str]:
    """Return the paragraphs of WikiText-103, or the lines of ``--texts``."""
    if request.texts is not None:
        return texts_of_file(request)
    return fetch_wikitext().data


def texts_of_file(request: Request, n_texts: int | None = None) -> list[str]:
    """Return some lines of ``--texts``, drawn by the seed.

    Raises
    ------
    SystemExit
        There is no such file.
    """
    if request.texts is None:
        raise SystemExit("this scale warms networks up on texts of yours: give --texts FILE")
    lines = read_lines(request.texts)
    order = np.random.default_rng(request.seed).permutation(len(lines))[:n_texts]
    return [lines[row] for row in order]


def mnist(n_train: int | None, crop: int = 0) -> Callable[[Request], Split]:
    """Return a reader of MNIST without a rim of some pixels."""

    def read(request: Request) -> Split:
        data = read_mnist(request.folder(), n_train)
        inner = slice(crop, -crop or None)
        return Split(
            Part(data.X_train[:, inner, inner], data.y_train),
            Part(data.X_test[:, inner, inner], data.y_test),
        )

    return read


def cifar(name: str) -> Source:
    """Return CIFAR-10 or CIFAR-100."""

    def read(request: Request) -> Split:
        parts = (
            fetch_cifar(name, split=split, data_home=request.data, return_X_y=True)
            for split in ("train", "test")
        )
        return Split(*(Part(*part) for part in parts))

    return Source(name, read)


def _draw_texts(n_texts: int, lengths: tuple[int, int], seed: int) -> list[str]:
    """Draw texts of a few English words."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(map(str, rng.choice(_WORDS, rng.integers(lengths[0], lengths[1] + 1))))
        for _ in range(n_texts)
    ]


def made_up_texts(pairs: bool = False) -> Callable[[Request], Split]:
    """Return a reader of texts, or of pairs of them, with three labels of no meaning."""

    def read(request: Request) -> Split:
        texts = _draw_texts(96, (2, 6), request.seed)
        rows = list(zip(texts[::2], texts[1::2], strict=True)) if pairs else texts[:48]
        labels = [("left", "right", "none")[len(str(row)) % 3] for row in rows]
        return Split(Part(rows[:36], labels[:36]), Part(rows[36:], labels[36:]))

    return read


def made_up_sentences(request: Request) -> Split:
    """Return sentences in which long words are entities."""
    rows = [text.split() for text in _draw_texts(48, (3, 6), request.seed)]
    tags = [["B-LONG" if len(word) > 4 else "O" for word in row] for row in rows]
    return Split(Part(rows[:36], tags[:36]), Part(rows[36:], tags[36:]))


def made_up_images(request: Request) -> Split:
    """Return bright squares on one half or the other."""
    rng = np.random.default_rng(request.seed)
    labels: NDArray[np.int64] = rng.integers(0, 2, 96)
    images = rng.integers(0, 30, (96, 20, 20)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6:14, 10 * label + 1 : 10 * label + 9] += 200
    return Split(Part(images[:64], labels[:64]), Part(images[64:], labels[64:]))
