"""The work of one seed: what to fit, what is kept of it, and how it is timed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from muxlearn.benchmark._models import FitTime, as_file_name, fit, kept_results, load_or_fit
from muxlearn.benchmark._report import paired_seconds
from muxlearn.benchmark.frontier._data import Part, Task
from muxlearn.benchmark.frontier._estimators import PLAIN, build
from muxlearn.points import WORDS, Point

__all__ = ["REFERENCE", "Candidate", "Job", "Unit"]

Predict = Callable[[Sequence[Any]], Any]

#: The name of the plain model.
REFERENCE = "plain"


class Candidate(NamedTuple):
    """A fitted model, as a row of the table.

    Attributes
    ----------
    name : str
    kind : str
        What it is drawn as: "linear", "plain", "words", "rows", "tokens", "both" or "cascade".
    predict : callable
        Takes rows, returns answers.
    taken : FitTime
        Time of the fit, which the points of one model share.
    predict_proba : callable or None
        The same as `predict` for probabilities, of networks that classify.
    """

    name: str
    kind: str
    predict: Predict
    taken: FitTime
    predict_proba: Predict | None = None


class Unit(NamedTuple):
    """Candidates that are fitted and kept at once.

    Attributes
    ----------
    name : str
    make : callable
        Takes a job, and yields the candidates.
    """

    name: str
    make: Callable[[Job], Iterable[Candidate]]


class Job:
    """One seed of a run.

    Parameters
    ----------
    args : Namespace
        The options of the command.
    task : Task
    seed : int
    folder : Path
        Keeps results and models.
    """

    def __init__(self, args: Namespace, task: Task, seed: int, folder: Path) -> None:
        self.args, self.task, self.seed, self.folder = args, task, seed, folder
        #: Fitted linear models, which cascades begin with, and their times.
        self.linear: dict[str, tuple[Any, FitTime]] = {}

    # Models

    def build(self, points: Sequence[Point], **params: Any) -> Any:
        """Build a text classifier or a tagger for some operating points.

        Where the words alone are one of those of the run, every model learns them beside its own:
        the plain ones get the lexical path that the others have.
        """
        if WORDS in self.args.points:
            points = list(dict.fromkeys([*points, WORDS]))
        return build(self.args, self.task.kind, points, random_state=self.seed, **params)

    def fit(self, model: Any) -> tuple[Any, FitTime]:
        """Fit a model of any library, to labels."""
        y: Any = self.lesson.y
        if self.task.unlabeled:
            y = y.idxmax(axis=1).to_numpy()
        return fit(model, self.lesson.X, y)

    def train(self, model: Any) -> tuple[Any, FitTime]:
        """Fit a network, in --dtype; it then predicts as users find it."""
        return _predicts_in_auto(*fit(model, self.lesson.X, self.lesson.y))

    def keep(self, name: str, model: Any) -> tuple[Any, FitTime]:
        """Train a network, or take it from the folder, as more than one unit may need it."""
        return self._kept(name, model, self.lesson)

    def _kept(self, name: str, model: Any, part: Part) -> tuple[Any, FitTime]:
        folder = self.place("models") / as_file_name(name)
        return _predicts_in_auto(*load_or_fit(model, part.X, part.y, folder))

    def place(self, name: str) -> Path:
        """Return a folder in that of the job."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def start(self) -> Any:
        """The plain model as it is before any training, which changes nothing of its speed."""
        model = self.build([PLAIN], max_epochs=0, warm_up=None, dtype="auto")
        return model.fit(self.task.train.X, self.task.train.y)

    @cached_property
    def reference(self) -> tuple[Any, FitTime]:
        """The plain model, which learns from rows with labels alone."""
        return self._kept(REFERENCE, self.build([PLAIN]), self.task.train)

    @cached_property
    def lesson(self) -> Part:
        """The rows and targets that all others learn from.

        If there are rows without labels, the targets are a frame of probabilities, one column for
        each class: those that the plain model gives to such rows, and 1 for the label of others.
        """
        train, more = self.task.train, self.task.unlabeled
        if not more:
            return train
        import pandas as pd

        plain, _ = self.reference
        known = np.asarray(train.y)[:, None] == plain.classes_
        shares = np.vstack([known, plain.predict_proba(more)])
        return Part([*train.X, *more], pd.DataFrame(shares, columns=plain.classes_))

    # Results

    def run(self, unit: Unit) -> list[dict[str, Any]]:
        """Return the results of a unit, from the folder where it is finished."""
        record = self.place("results") / f"{as_file_name(unit.name)}.json"
        return kept_results(record, lambda: map(self._judge, unit.make(self)))

    def _judge(self, candidate: Candidate) -> dict[str, Any]:
        score = self.task.score(candidate.predict(self.task.test.X))
        # The same rows for both: among more rows there are more of one length, and less padding.
        rows = self._timed_rows()
        runs = {
            "reference": partial(self.start.predict, rows),
            "own": partial(candidate.predict, rows),
        }
        seconds = paired_seconds(runs, self.args.repeats)
        taken = candidate.taken
        print(
            f"seed {self.seed}, {candidate.name}: {score:.4f} after {taken.seconds:.0f} s, "
            f"{taken.cpu_seconds:.0f} s of CPU",
            flush=True,
        )
        return {
            "model": candidate.name,
            "kind": candidate.kind,
            "score": score,
            "fit_s": taken.seconds,
            "fit_cpu_s": taken.cpu_seconds,
            "seconds_per_row": [s / len(rows) for s in seconds["own"]],
            "reference_seconds_per_row": [s / len(rows) for s in seconds["reference"]],
        }

    def _timed_rows(self) -> list[Any]:
        """Return rows of the test in random order, again and again where there are too few."""
        order = np.random.default_rng(0).permutation(len(self.task.test.X))
        return list(self.task.test.take(np.resize(order, self.args.timed_rows)).X)


def _predicts_in_auto(model: Any, taken: FitTime) -> tuple[Any, FitTime]:
    """Return a model that was trained in --dtype and predicts as users find it."""
    return model.set_params(dtype="auto"), taken
