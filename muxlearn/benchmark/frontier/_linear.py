"""Linear neighbours for texts and pairs: TF-IDF, static token vectors, and both together."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import Normalizer, StandardScaler
from tokenizers import Tokenizer

from muxlearn.benchmark._models import FitTime
from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._job import Candidate, Job, Unit

__all__ = [
    "FEATURES",
    "ChosenPenalty",
    "PairFeatures",
    "StaticVectors",
    "choose_penalty",
    "fit_linear",
    "linear_units",
]

#: Smooth inverse frequency: a token of frequency p counts a / (a + p).
_SIF = 1e-3

#: A word may be a single letter or sign: "i" and "!" say something.
_WORD = r"\w+|[^\w\s]"
_MAX_ITER = 300


class StaticVectors(TransformerMixin, BaseEstimator):
    """The mean of the vectors that a token table has for the tokens of a text.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    table : ndarray of shape (vocab_size, width)
    weighted : bool, default=False
        Weight tokens by smooth inverse frequency, and take away the direction that all texts
        share (Arora et al., "A simple but tough-to-beat baseline for sentence embeddings", ICLR
        2017).
    """

    def __init__(
        self, tokenizer: Tokenizer, table: NDArray[np.float32], weighted: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self.table = table
        self.weighted = weighted

    def fit(self, X: Sequence[str], y: Any = None) -> StaticVectors:
        """Count tokens."""
        self.tokenizer_ = Tokenizer.from_str(self.tokenizer.to_str())
        self.tokenizer_.no_truncation()
        self.tokenizer_.no_padding()
        self.table_, self.common_ = self.table, None
        if self.weighted:
            counts = np.asarray(self._tokens(X).sum(0)).ravel()
            weights = _SIF / (_SIF + counts / max(1.0, counts.sum()))
            self.table_ = self.table * weights[:, None].astype(np.float32)
            vectors = self._mean(X)
            _, directions = np.linalg.eigh(vectors.T @ vectors)
            self.common_ = directions[:, -1]
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of shape (n_texts, width)."""
        vectors = self._mean(X)
        if self.common_ is not None:
            vectors = vectors - (vectors @ self.common_)[:, None] * self.common_
        return vectors

    def _mean(self, X: Sequence[str]) -> NDArray[np.float32]:
        tokens = self._tokens(X)
        lengths = np.maximum(tokens.indptr[1:] - tokens.indptr[:-1], 1)
        return (tokens @ self.table_) / lengths[:, None].astype(np.float32)

    def _tokens(self, X: Sequence[str]) -> sparse.csr_matrix:
        """Return tokens, one entry for each occurrence: (n_texts, vocab_size)."""
        encoded = self.tokenizer_.encode_batch_fast(list(X), add_special_tokens=False)
        ids = [encoding.ids for encoding in encoded]
        starts = np.cumsum([0, *map(len, ids)])
        columns = np.fromiter((i for row in ids for i in row), np.int32, starts[-1])
        ones = np.ones(len(columns), np.float32)
        return sparse.csr_matrix((ones, columns, starts), (len(ids), len(self.table)))


class PairFeatures(TransformerMixin, BaseEstimator):
    """Features of pairs: those of both texts, their distance and their product.

    Parameters
    ----------
    features : transformer of texts
    """

    def __init__(self, features: Any) -> None:
        self.features = features

    def fit(self, X: Sequence[tuple[str, str]], y: Any = None) -> PairFeatures:
        """Learn from the texts of all pairs."""
        self.features_ = clone(self.features).fit([text for pair in X for text in pair])
        return self

    def transform(self, X: Sequence[tuple[str, str]]) -> Any:
        """Return an array or a sparse matrix, four times as wide as that of the texts."""
        first, second = (self.features_.transform([pair[side] for pair in X]) for side in (0, 1))
        if sparse.issparse(first):
            product = first.multiply(second)
            return sparse.hstack([first, second, abs(first - second), product], format="csr")
        return np.hstack([first, second, np.abs(first - second), first * second])


def choose_penalty(
    table: Any, y: Sequence[Any], grid: Sequence[float], score: Callable[[Any], float]
) -> LogisticRegression:
    """Fit logistic regression for each value of its penalty, and return the best.

    Parameters
    ----------
    table : array or sparse matrix of shape (n_rows, n_features)
    y : sequence of length n_rows
    grid : sequence of float
        The values of ``C``.
    score : callable
        Takes a fitted model; the higher the better.

    Returns
    -------
    LogisticRegression
    """
    model = LogisticRegression(max_iter=_MAX_ITER, warm_start=True)
    best, chosen = -float("inf"), model
    for C in sorted(grid):  # each starts from the one before, which is nearer than zero
        found = score(model.set_params(C=C).fit(table, y))
        if found > best:
            best, chosen = found, copy.deepcopy(model)
    return chosen


class ChosenPenalty:
    """Logistic regression on features, its penalty chosen on rows that it does not learn from.

    Parameters
    ----------
    features : transformer
    task : Task
        Gives the rows to choose by, and the measure.
    grid : sequence of float
        The values of ``C``.
    """

    def __init__(self, features: Any, task: Task, grid: Sequence[float]) -> None:
        self.features = features
        self.task = task
        self.grid = grid

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> ChosenPenalty:
        """Fit once for each value, and keep the best."""
        self.features.fit(X)
        table, valid = self.features.transform(X), self.features.transform(self.task.valid.X)
        self.model_ = choose_penalty(
            *(table, y, self.grid),
            lambda model: self.task.score(model.predict(valid), self.task.valid),
        )
        return self

    @property
    def pipeline(self) -> Pipeline:
        """Features and model as one fitted classifier."""
        return make_pipeline(self.features, self.model_)


def linear_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield the linear neighbours of a task of texts or pairs."""
    if task.kind == "sentences":
        return
    for name in FEATURES:
        yield Unit(name, partial(_candidate, name))


def _candidate(name: str, job: Job) -> Iterator[Candidate]:
    model, taken = fit_linear(job, name)
    yield Candidate(name, "linear", model.predict, taken)


def fit_linear(job: Job, name: str) -> tuple[Pipeline, FitTime]:
    """Fit a linear neighbour, once in a run.

    Parameters
    ----------
    job : Job
    name : str
        A key of `FEATURES`.

    Returns
    -------
    sklearn.pipeline.Pipeline, FitTime
    """
    if name not in job.linear:
        features = FEATURES[name](job.start)
        if job.task.kind == "pairs":
            features = PairFeatures(features)
        model, taken = job.fit(ChosenPenalty(features, job.task, job.args.penalties))
        job.linear[name] = model.pipeline, taken
    return job.linear[name]


def _tfidf(start: Any, n_words: int = 1) -> Any:
    return TfidfVectorizer(ngram_range=(1, n_words), sublinear_tf=True, token_pattern=_WORD)


def _static(start: Any, weighted: bool = False) -> Any:
    """Return standardised vectors, each brought to length 1."""
    table = start.module_.encoder.embedding.weight.detach().float().cpu().numpy()
    vectors = StaticVectors(start.tokenizer_, table, weighted)
    return make_pipeline(vectors, StandardScaler(), Normalizer())


def _both(start: Any) -> Any:
    # Not by inverse frequency: of few texts it hides the very words that tell classes apart.
    return make_union(_tfidf(start, 2), _static(start))


#: What makes the features of texts from a plain model that is not trained, by the name of the row.
FEATURES: dict[str, Callable[[Any], Any]] = {
    "TF-IDF": _tfidf,
    "TF-IDF, two words": partial(_tfidf, n_words=2),
    "static vectors": _static,
    "static vectors, SIF": partial(_static, weighted=True),
    "TF-IDF + static": _both,
}
