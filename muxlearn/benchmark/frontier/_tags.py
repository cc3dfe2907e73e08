"""Neighbours for tagged sentences that see a token, and those next to it."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression

from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._job import Candidate, Job, Unit
from muxlearn.benchmark.frontier._linear import choose_penalty

__all__ = ["MostFrequentTag", "WindowTagger", "tag_units", "window_features"]

Sentences = Sequence[Sequence[str]]

#: Neighbours on either side.
_REACH = 2
_N_FEATURES = 2**18


class MostFrequentTag(BaseEstimator):
    """Give each token the tag it had most often, and an unknown one the most frequent of all."""

    def fit(self, X: Sentences, y: Sentences) -> MostFrequentTag:
        """Count tags."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for token, tag in zip(chain.from_iterable(X), chain.from_iterable(y), strict=True):
            counts[token][tag] += 1
        self.tag_of_ = {token: tags.most_common(1)[0][0] for token, tags in counts.items()}
        self.default_ = Counter(chain.from_iterable(y)).most_common(1)[0][0]
        return self

    def predict(self, X: Sentences) -> list[list[str]]:
        """Look tags up."""
        return [[self.tag_of_.get(token, self.default_) for token in row] for row in X]


class WindowTagger:
    """Logistic regression on the words and shapes of a token and its neighbours.

    Parameters
    ----------
    task : Task
        Gives the sentences to choose the penalty by, and the measure.
    grid : sequence of float
        The values of ``C``.
    """

    def __init__(self, task: Task, grid: Sequence[float]) -> None:
        self.task = task
        self.grid = grid
        self.hasher = FeatureHasher(_N_FEATURES, input_type="string")

    def fit(self, X: Sentences, y: Sentences) -> WindowTagger:
        """Fit once for each value, and keep the best."""
        table = self._table(X)
        # Columns of which nothing is known cost as much as the others.
        self.known_ = np.unique(table.indices)
        valid = self.task.valid
        self.model_ = choose_penalty(
            *(table[:, self.known_], list(chain.from_iterable(y)), self.grid),
            lambda model: self.task.score(self._predict(model, valid.X), valid),
        )
        return self

    def predict(self, X: Sentences) -> list[list[str]]:
        """Return a tag for each token."""
        return self._predict(self.model_, X)

    def _predict(self, model: LogisticRegression, X: Sentences) -> list[list[str]]:
        tags = iter(model.predict(self._table(X)[:, self.known_]).tolist())
        return [[next(tags) for _ in sentence] for sentence in X]

    def _table(self, X: Sentences) -> sparse.csr_matrix:
        return self.hasher.transform(chain.from_iterable(map(window_features, X)))


def window_features(sentence: Sequence[str]) -> Iterator[list[str]]:
    """Yield the features of each token: itself, its parts and shape, and its neighbours.

    Parameters
    ----------
    sentence : sequence of str

    Yields
    ------
    list of str
    """
    words = [word.lower() for word in sentence]
    shapes = [_shape(word) for word in sentence]
    for i, word in enumerate(words):
        features = ["bias", f"prefix={word[:3]}", f"suffix={word[-3:]}", f"end={word[-2:]}"]
        for step in range(-_REACH, _REACH + 1):
            j = i + step
            inside = 0 <= j < len(words)
            features.append(f"{step}={words[j] if inside else ''}")
            features.append(f"{step}:{shapes[j] if inside else ''}")
        yield features


def _shape(word: str) -> str:
    """Return capitals as X, other letters as x, digits as 9, each run of them once."""
    kinds = [
        "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word
    ]
    return "".join(c for i, c in enumerate(kinds) if i == 0 or c != kinds[i - 1])


def tag_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield the neighbours of a task of sentences that are no networks."""
    if task.kind == "sentences":
        yield Unit("most frequent tag", _most_frequent)
        yield Unit("window, linear", _window)


def _most_frequent(job: Job) -> Iterator[Candidate]:
    model, taken = job.fit(MostFrequentTag())
    yield Candidate("most frequent tag", "linear", model.predict, taken)


def _window(job: Job) -> Iterator[Candidate]:
    model: Any = WindowTagger(job.task, job.args.penalties)
    model, taken = job.fit(model)
    yield Candidate("window, linear", "linear", model.predict, taken)
