"""Figures of a model card, by operating point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from muxlearn._params import Instance, Integer, Number
from muxlearn.points import WORDS, Point, PointLike, as_point, point_from_name, speed_rank

__all__ = [
    "HUB_METRICS",
    "SPEEDS",
    "Figures",
    "Scores",
    "arguments_of",
    "check_scores",
    "checked",
    "measured_figures",
]


@runtime_checkable
class _Tradeoff(Protocol):
    """The measurements of a `muxlearn.inspection.TradeoffDisplay`."""

    n_mux: NDArray[Any]
    scores: NDArray[np.float64]
    rows_per_second: NDArray[np.float64]
    score_name: str


#: What is given as scores: by `n_mux` and name, or as a display has them.
Scores = Mapping[PointLike, Mapping[str, float]] | _Tradeoff

#: What a card shows: by operating point and name.
Figures = dict[Point, dict[str, float]]

#: The names that the hub's pages of metrics have, https://hf.co/metrics, for names of scores.
HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "f1_macro": "f1",
    "f1_micro": "f1",
    "f1_weighted": "f1",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "roc_auc",
    "matthews_corrcoef": "matthews_correlation",
    "entity_f1": "f1",
    "entity_precision": "precision",
    "entity_recall": "recall",
    "token_accuracy": "accuracy",
    "r2": "r_squared",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "R2": "r_squared",
    # As a display calls a tagger's own score.
    "F1 of entities": "f1",
    "accuracy of tokens": "accuracy",
}

#: Names of scores that are speeds.
SPEEDS = ("rows_per_second", "rows_per_s")


def checked(name: str, value: Any, kind: type, description: str) -> Any:
    """Return an argument that is None or of a kind; raise for any other."""
    constraint = Instance((kind,), description)
    if value is not None:
        constraint.check(name, value)
    return value


def check_scores(scores: Scores | None, own: Point) -> Figures:
    """Return scores as plain numbers, those of points that share most first."""
    form = "a mapping of `n_mux` to scores by name, such as {10: {'accuracy': 0.91}}"
    if isinstance(scores, _Tradeoff):
        points = map(_as_given, scores.n_mux)
        figures = zip(points, scores.scores, scores.rows_per_second, strict=True)
        scores = {n: {scores.score_name: score, SPEEDS[0]: speed} for n, score, speed in figures}
    number = Number()
    known: Figures = {}
    for n_mux, row in (checked("scores", scores, Mapping, form) or {}).items():
        point = as_point(n_mux, own.patch_size)
        if point is None or point.n_mux > own.n_mux:
            error = Integer(1, own.n_mux).complain("n_mux", n_mux if point is None else point.n_mux)
            raise type(error)(f"`scores` is {form}: {error}")
        if not isinstance(row, Mapping) or not all(isinstance(column, str) for column in row):
            raise TypeError(f"`scores` must be {form}, got {row!r} for {n_mux}")
        for column, value in row.items():
            number.check(f"scores[{n_mux}][{column!r}]", value)
        known[point] = {column: float(value) for column, value in row.items()}
    return _sorted(known)


def _as_given(label: Any) -> PointLike:
    """Return the point that a display writes as "2x5"."""
    return point_from_name(label) if isinstance(label, str) else label


def _sorted(figures: Figures) -> Figures:
    return {point: figures[point] for point in sorted(figures, key=speed_rank, reverse=True)}


def measured_figures(estimator: Any) -> Figures:
    """Return what the estimator has measured itself."""
    resolve = estimator.predictor_.resolve_point
    name = estimator.predictor_.task.score_name
    return _sorted(
        {
            resolve(point): {name: row["score"], SPEEDS[0]: row["rows_per_second"]}
            for point, row in (estimator._measured or {}).items()
        }
    )


def arguments_of(point: Point) -> dict[str, Any]:
    """Return what `predict` is given for a point."""
    if point == WORDS or point.patch_size == 1:
        return {"n_mux": str(point) if point == WORDS else point.n_mux}
    return {"n_mux": point.n_mux, "patch_size": point.patch_size}
