"""Multiplexed models: one for all operating points, one for each, the words alone, the cascade."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import Any

from sklearn.frozen import FrozenEstimator

from muxlearn.backbones import Packaged
from muxlearn.benchmark._models import FitTime, fit
from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._estimators import as_given, describe, kind_of
from muxlearn.benchmark.frontier._job import Candidate, Job, Unit
from muxlearn.benchmark.frontier._linear import fit_linear
from muxlearn.model_selection import CascadeClassifier
from muxlearn.points import WORDS, Point, speed_rank

__all__ = ["alone_units", "cascade_units", "shared_units"]

#: Linear neighbours that a cascade may begin with.
_FIRST = "static vectors", "TF-IDF"


def shared_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield one set of weights for all operating points, of each number of layers."""
    for n_layers in args.layers:
        yield Unit(_shared_name(args, n_layers), partial(_shared, n_layers))


def alone_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield a model of its own for each operating point of ``--alone``."""
    for point in args.alone:
        for n_layers in args.layers:
            name = _at_depth(f"{describe([point])} alone", n_layers)
            yield Unit(name, partial(_alone, point, n_layers, name))


def cascade_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield cascades: over the points of the model for all of them, and after a linear model."""
    if task.kind == "sentences":
        return
    for n_layers in args.layers:
        shared = _shared_name(args, n_layers)
        if len(args.points) > 1:
            yield Unit(f"cascade of {shared}", partial(_cascade, n_layers, None))
        if any(map(_is_alone, args.points)):
            for first in _FIRST:
                yield Unit(f"cascade after {first} of {shared}", partial(_cascade, n_layers, first))


def _is_alone(point: Point) -> bool:
    """Return whether the encoder reads one row at a time there."""
    return point.n_mux == 1 and point != WORDS


def _shared_name(args: Namespace, n_layers: int | None) -> str:
    return _at_depth(f"points {describe(args.points)}", n_layers)


def _at_depth(name: str, n_layers: int | None) -> str:
    if n_layers is None:
        return name
    return f"{name}, {n_layers} layer{'s' if n_layers > 1 else ''}"


def _backbone(n_layers: int | None) -> dict[str, Packaged]:
    return {} if n_layers is None else {"backbone": Packaged(num_hidden_layers=n_layers)}


def _shared_model(job: Job, n_layers: int | None) -> tuple[Any, FitTime]:
    # As many steps at each point as a model of its own has were too many on films.
    n_points = sum(point != WORDS for point in job.args.points)
    epochs = job.args.shared_epochs or math.ceil(job.args.epochs * n_points * 2 / 3)
    model = job.build(job.args.points, max_epochs=epochs, **_backbone(n_layers))
    return job.keep(_shared_name(job.args, n_layers), model)


def _shared(n_layers: int | None, job: Job) -> Iterator[Candidate]:
    model, taken = _shared_model(job, n_layers)
    for point in job.args.points:
        predict, predict_proba = (
            partial(method, n_mux=as_given(point))
            for method in (model.predict, model.predict_proba)
        )
        name = _at_depth(describe([point]), n_layers)
        yield Candidate(name, kind_of(point), predict, taken, predict_proba)


def _cascade(n_layers: int | None, first: str | None, job: Job) -> Iterator[Candidate]:
    """Yield a cascade over all points, or of a linear model and points without companions."""
    model, of_model = _shared_model(job, n_layers)
    stages, times, name = None, [of_model], "cascade"
    if first is not None:
        linear, of_linear = fit_linear(job, first)
        points = sorted(filter(_is_alone, job.args.points), key=speed_rank, reverse=True)
        stages = [(first, FrozenEstimator(linear)), *map(as_given, points)]
        times, name = [*times, of_linear], f"cascade after {first}"
    cascade: Any = CascadeClassifier(
        FrozenEstimator(model), stages=stages, max_drop=job.args.max_drop, random_state=job.seed
    )
    # The thresholds are learned from rows that no stage has seen.
    cascade, taken = fit(cascade, job.task.valid.X, job.task.valid.y)
    whole = FitTime(*map(sum, zip(*times, taken, strict=True)))
    yield Candidate(_at_depth(name, n_layers), "cascade", cascade.predict, whole)


def _alone(point: Point, n_layers: int | None, name: str, job: Job) -> Iterator[Candidate]:
    model, taken = job.train(job.build([point], **_backbone(n_layers)))
    yield Candidate(name, kind_of(point), model.predict, taken)
