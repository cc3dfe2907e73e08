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
from muxlearn.benchmark.frontier._linear import fit_linear
from muxlearn.model_selection import CascadeClassifier
from muxlearn.points import WORDS, Point, speed_rank

__all__ = ["alone_units", "cascade_units", "shared_units"]

#: Linear neighbours that a cascade may begin with.
_FIRST = "static vectors", "TF-IDF"


def shared_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield one set of weights for all operating points."""
    yield Unit(_shared_name(args), partial(_shared, args.points))


def alone_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield a model of its own for each operating point that runs the encoder on mixtures."""
    for point in args.points:
        if point not in (PLAIN, WORDS):
            yield Unit(f"{describe([point])} alone", partial(_alone, point))


def cascade_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield cascades: over the points of the model for all of them, and after a linear model."""
    if task.kind == "sentences":
        return
    if len(args.points) > 1:
        yield Unit(f"cascade of {_shared_name(args)}", partial(_cascade, None))
    if any(map(_is_alone, args.points)):
        for first in _FIRST:
            yield Unit(f"cascade after {first} of {_shared_name(args)}", partial(_cascade, first))


def _is_alone(point: Point) -> bool:
    """Return whether the encoder reads one row at a time there."""
    return point.n_mux == 1 and point != WORDS


def _shared_name(args: Namespace) -> str:
    return f"points {describe(args.points)}"


def _shared_model(job: Job) -> tuple[Any, FitTime]:
    # As many steps at each point as a model for that point alone.
    n_points = sum(point != WORDS for point in job.args.points)
    epochs = job.args.shared_epochs or job.args.epochs * n_points
    return job.keep(_shared_name(job.args), job.build(job.args.points, max_epochs=epochs))


def _shared(points: Sequence[Point], job: Job) -> Iterator[Candidate]:
    model, taken = _shared_model(job)
    for point in points:
        predict = partial(model.predict, n_mux=as_given(point))
        yield Candidate(describe([point]), kind_of(point), predict, taken)


def _cascade(first: str | None, job: Job) -> Iterator[Candidate]:
    """Yield a cascade over all points, or of a linear model and points without companions."""
    model, of_model = _shared_model(job)
    stages, times, name = None, [of_model], "cascade"
    if first is not None:
        linear, of_linear = fit_linear(job, first)
        points = sorted(filter(_is_alone, job.args.points), key=speed_rank, reverse=True)
        stages = [(first, FrozenEstimator(linear)), *map(as_given, points)]
        times, name = [*times, of_linear], f"cascade after {first}"
    cascade: Any = CascadeClassifier(
        FrozenEstimator(model), stages=stages, max_drop=job.args.max_drop, random_state=job.seed
    )
    # The thresholds are learnt from rows that no stage has seen.
    cascade, taken = fit(cascade, job.task.valid.X, job.task.valid.y)
    whole = FitTime(*map(sum, zip(*times, taken, strict=True)))
    yield Candidate(name, "cascade", cascade.predict, whole)


def _alone(point: Point, job: Job) -> Iterator[Candidate]:
    model, taken = job.fit(job.build([point]))
    yield Candidate(f"{describe([point])} alone", kind_of(point), model.predict, taken)
