"""Multiplexed models: one for all operating points, one for each, the words alone, the cascade."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sklearn.frozen import FrozenEstimator

from muxlearn.benchmark._models import FitTime, fit
from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._estimators import PLAIN, as_given, describe, kind_of
from muxlearn.benchmark.frontier._job import Candidate, Job, Unit
from muxlearn.model_selection import CascadeClassifier
from muxlearn.points import WORDS, Point

__all__ = ["alone_units", "cascade_units", "shared_units"]


def shared_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield one set of weights for all operating points."""
    yield Unit(_shared_name(args), partial(_shared, args.points))


def alone_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield a model of its own for each operating point that runs the encoder on mixtures."""
    for point in args.points:
        if point not in (PLAIN, WORDS):
            yield Unit(f"{describe([point])} alone", partial(_alone, point))


def cascade_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield the cascade over the operating points of the model for all of them."""
    if task.kind != "sentences" and len(args.points) > 1:
        yield Unit(f"cascade of {_shared_name(args)}", _cascade)


def _shared_name(args: Namespace) -> str:
    return f"points {describe(args.points)}"


def _shared_model(job: Job) -> tuple[Any, FitTime]:
    epochs = job.args.shared_epochs or job.args.epochs
    return job.keep(_shared_name(job.args), job.build(job.args.points, max_epochs=epochs))


def _shared(points: Sequence[Point], job: Job) -> Iterator[Candidate]:
    model, taken = _shared_model(job)
    for point in points:
        predict = partial(model.predict, n_mux=as_given(point))
        yield Candidate(describe([point]), kind_of(point), predict, taken)


def _cascade(job: Job) -> Iterator[Candidate]:
    model, of_model = _shared_model(job)
    # The thresholds are learnt from rows that the model has not seen.
    cascade = CascadeClassifier(
        FrozenEstimator(model),
        max_drop=job.args.max_drop,
        random_state=job.seed,
    )
    cascade, taken = fit(cascade, job.task.valid.X, job.task.valid.y)
    both = FitTime(*(a + b for a, b in zip(of_model, taken, strict=True)))
    yield Candidate("cascade", "cascade", cascade.predict, both)


def _alone(point: Point, job: Job) -> Iterator[Candidate]:
    model, taken = job.fit(job.build([point]))
    yield Candidate(f"{describe([point])} alone", kind_of(point), model.predict, taken)
