"""One runner for all experiments: fit or take up, judge, keep, and go on after a kill."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from muxlearn.benchmark._models import FitTime, as_file_name, fit, kept_results
from muxlearn.benchmark._report import median_ratio, paired_seconds
from muxlearn.benchmark.reproduce._recipe import Recipe, Request, Source, Split, Variant
from muxlearn.points import as_points

__all__ = ["Job", "run"]

#: Test rows that predictions are timed with, at most.
_TIMED_ROWS = 2_000


def run(recipe: Recipe, options: Any) -> list[dict[str, Any]]:
    """Run what is asked for of an experiment, and return the rows of its table.

    Parameters
    ----------
    recipe : Recipe
    options : argparse.Namespace
        `data`, `texts`, `tasks`, `only`, `seeds`, `state`, `repeats`, `dtype` and `device`.
    """
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for source in _chosen(recipe.sources, options.tasks, "--tasks"):
        for seed in options.seeds:
            job = Job(recipe, source, seed, options)
            for result in job.results():
                results.setdefault((source.name, result["model"]), []).append(result)
    return [_row(*key, results) for key in results]


def _chosen(named: Any, names: list[str] | None, option: str) -> list[Any]:
    if names is None:
        return list(named)
    known = [one.name for one in named]
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
    return [one for one in named if one.name in names]


@dataclass(frozen=True)
class Job:
    """One task and one seed.

    Attributes
    ----------
    recipe : Recipe
    source : Source
    seed : int
    options : argparse.Namespace
    """

    recipe: Recipe
    source: Source
    seed: int
    options: Any

    @property
    def folder(self) -> Path:
        """The folder of its results and models."""
        return Path(self.options.state) / as_file_name(self.source.name) / f"seed-{self.seed}"

    @cached_property
    def request(self) -> Request:
        """The files and the seed."""
        return Request(self.options.data, self.options.texts, self.seed)

    @cached_property
    def split(self) -> Split:
        """The rows, which are read once something is to be fitted."""
        return self.source.read(self.request)

    @cached_property
    def twin(self) -> Variant:
        """The model that the others are compared with."""
        return self.recipe.variants_of(self.source)[0]

    def texts(self) -> list[str]:
        """Return texts without labels."""
        assert self.recipe.texts is not None
        return self.recipe.texts(self.request)

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield the results of the models that are asked for, one for each operating point."""
        variants = self.recipe.variants_of(self.source)
        if self.options.only is not None:
            chosen = [v for v in variants if {v.name, v.family} & set(self.options.only)]
            if not chosen:
                names = sorted({v.family or v.name for v in variants})
                raise SystemExit(f"--only names none of {', '.join(names)}")
            variants = tuple(chosen)
        if self.options.n_mux is not None:
            variants = tuple(v for v in variants if v.n_mux in self.options.n_mux)
        # Variants hold mappings, which have no hash: told apart by their names.
        variants = tuple({v.name: v for v in (self.twin, *variants)}.values())
        for variant in variants:
            record = self.folder / f"{as_file_name(variant.name)}.json"
            yield from kept_results(record, partial(self._judge, variant))

    def fitted(self, variant: Variant) -> tuple[Any, FitTime]:
        """Return a model, from its folder where it is there."""
        folder = self.folder / as_file_name(variant.name)
        folder.mkdir(parents=True, exist_ok=True)
        kept, record = folder / "model", folder / "fit_time.json"
        if record.exists() and kept.exists():
            return type(variant.model).load(kept), FitTime(**json.loads(record.read_text()))
        model = self._make(variant)
        train, can_save = self.split.train, hasattr(model, "save")
        params = {"checkpoint": folder / "state"} if can_save else {}
        model, taken = fit(model, train.X, train.y, **params)
        if can_save:
            model.save(kept)
            record.write_text(json.dumps(taken._asdict()))
        return model, taken

    def _make(self, variant: Variant) -> Any:
        model = clone(variant.model)
        params = model.get_params(deep=False)
        known = {"dtype": self.options.dtype, "device": self.options.device}
        model.set_params(**{name: value for name, value in known.items() if name in params})
        if "random_state" in params:
            model.set_params(random_state=self.seed)
        if "batch_size" in params:
            n_steps = -(-len(self.split.train.y) // params["batch_size"])
            for name, steps in (
                ("max_epochs", variant.steps),
                ("warm_up", variant.warm_up_steps),
            ):
                if steps is not None:
                    model.set_params(**{name: max(1, round(steps / n_steps))})
        if variant.start is not None:
            start = Path(self.options.state) / f"starts/seed-{self.seed}"  # the same for all tasks
            folder = start / as_file_name(variant.name)
            model.set_params(backbone=variant.start.prepare(folder, self.texts, self.seed))
        return model

    def _judge(self, variant: Variant) -> Iterator[dict[str, Any]]:
        model, taken = self.fitted(variant)
        twin = model if variant is self.twin else self.fitted(self.twin)[0]
        for each in (model, twin):
            if "dtype" in each.get_params(deep=False):
                each.set_params(dtype="float32")
        test = self.split.test
        timed = test.X[:_TIMED_ROWS]
        points = variant.points or {"": None}
        twin_at = next(iter((self.twin.points or {"": None}).values()))
        for name, point in points.items():
            predict = _predictor(model, point)
            seconds = paired_seconds(
                {"twin": partial(_predictor(twin, twin_at), timed), "own": partial(predict, timed)},
                self.options.repeats,
            )
            result = {
                "model": " ".join(filter(None, [variant.name, name])),
                "family": variant.family,
                "n_mux": variant.n_mux if point is None else as_points([point])[0].n_mux,
                "paper": variant.paper,
                "score": float(self.recipe.score(test.y, predict(test.X))),
                "fit_s": taken.seconds,
                "fit_cpu_s": taken.cpu_seconds,
                "rows_per_s": len(timed) / statistics.median(seconds["own"]),
                "speed_up": 1.0
                if (variant.name, point) == (self.twin.name, twin_at)
                else median_ratio(seconds["twin"], seconds["own"]),
            }
            print(f"{self.source.name}, seed {self.seed}: {_show(result)}", flush=True)
            yield result


def _predictor(model: Any, point: Any) -> Any:
    return model.predict if point is None else partial(model.predict, n_mux=point)


def _show(result: dict[str, Any]) -> str:
    return f"{result['model']} {result['score']:.4f} after {result['fit_cpu_s']:.0f} s of CPU"


def _row(
    task: str, name: str, results: dict[tuple[str, str], list[dict[str, Any]]]
) -> dict[str, Any]:
    own = results[task, name]
    twin = next(value for (of, _), value in results.items() if of == task)
    scores = [result["score"] for result in own]
    return {
        "task": task,
        "model": name,
        "family": own[0]["family"],
        "n_mux": own[0]["n_mux"],
        "paper": own[0]["paper"],
        "score": float(np.mean(scores)),
        "lowest": min(scores),
        "highest": max(scores),
        "drop": float(np.mean([result["score"] for result in twin]) - np.mean(scores)),
        "fit_cpu_s": statistics.median(result["fit_cpu_s"] for result in own),
        "rows_per_s": statistics.median(result["rows_per_s"] for result in own),
        "speed_up": statistics.median(result["speed_up"] for result in own),
    }
