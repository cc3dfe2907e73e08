"""The tasks of the Long Range Arena, generated, fetched or read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.benchmark.reproduce._recipe import Part, Request, Split
from muxlearn.datasets import (
    fetch_lra_image,
    fetch_lra_retrieval,
    fetch_lra_text,
    make_listops,
    make_pathfinder,
)

__all__ = ["Read", "listops", "papers", "pathfinder", "pictures", "reviews"]

Read = Callable[[Request], Split]


def listops(n_train: int, n_test: int, min_length: int, max_length: int) -> Read:
    """Return a maker of ListOps, whose symbols are numbers."""

    def read(request: Request) -> Split:
        n_rows = n_train + n_test
        texts, y = make_listops(n_rows, min_length, max_length, random_state=request.seed)
        symbols = sorted({symbol for text in texts for symbol in text.split()})
        numbers = {symbol: number for number, symbol in enumerate(symbols)}
        return _cut([[numbers[symbol] for symbol in text.split()] for text in texts], y, n_train)

    return read


def pathfinder(n_train: int, n_test: int, size: int = 32, path_length: int = 14) -> Read:
    """Return a maker of Pathfinder's pictures, as sequences of pixels."""

    def read(request: Request) -> Split:
        n_rows = n_train + n_test
        X, y = make_pathfinder(n_rows, size, path_length=path_length, random_state=request.seed)
        return _cut(X.reshape(n_rows, -1), y, n_train)

    return read


def pictures(request: Request) -> Split:
    """Read CIFAR-10 in grey, as sequences of pixels."""
    where = () if request.data is None else (request.data,)
    train, test = (_shuffled(*fetch_lra_image(*where, split=s), request) for s in ("train", "test"))
    # A grey value above all that are seen in training would be unknown.
    return Split(train, Part(np.minimum(test.X, train.X.max()), test.y))


def reviews(request: Request) -> Split:
    """Read IMDb's reviews, as texts whose tokens are bytes."""
    where = () if request.data is None else (request.data,)
    parts = (_shuffled(*fetch_lra_text(*where, split=s), request) for s in ("train", "test"))
    return Split(*parts)


def papers(request: Request) -> Split:
    """Read pairs of papers; one may cite the other."""
    folder = request.folder()
    parts = (_shuffled(*fetch_lra_retrieval(folder, split=s), request) for s in ("train", "test"))
    return Split(*parts)


def _cut(X: Any, y: NDArray[np.int64], n_train: int) -> Split:
    return Split(Part(X[:n_train], y[:n_train]), Part(X[n_train:], y[n_train:]))


def _shuffled(X: Any, y: NDArray[np.int64], request: Request) -> Part:
    """Change the order: what is fetched may be sorted by label."""
    rows = np.random.default_rng(request.seed).permutation(len(y))
    return Part(X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows], y[rows])
