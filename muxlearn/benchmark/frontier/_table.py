"""The table: scores and speeds over all seeds, and who beats whom."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from muxlearn.benchmark.frontier._dominance import Place, beaten_by, best_as_fast
from muxlearn.benchmark.frontier._job import REFERENCE

__all__ = ["make_table"]

Results = Sequence[Mapping[str, Any]]

#: What is compared with the words alone, and with a plain network that is as fast.
_OURS = ("rows", "tokens", "both", "cascade")


def make_table(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Join the results of all seeds.

    Parameters
    ----------
    results : iterable of dict
        As `Job.run` returns them, of all seeds together.

    Returns
    -------
    list of dict
        One for each model, the slowest first.

    Notes
    -----
    Each model took turns with the plain one. Its speed is that of the plain model, by the median
    over the whole run, times the median of its ratios: a slow hour decides nothing.
    """
    by_model: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        by_model[result["model"]].append(result)
    every_turn = [
        seconds
        for of_model in by_model.values()
        for result in of_model
        for seconds in result["reference_seconds_per_row"]
    ]
    if not every_turn:
        return []
    base = 1 / statistics.median(every_turn)
    rows = [_row(name, of_model, base, name == REFERENCE) for name, of_model in by_model.items()]
    rows.sort(key=lambda row: row["rows_per_s"])
    places = {row["model"]: Place(row["score"], row["rows_per_s"]) for row in rows}
    kinds = {row["model"]: row["kind"] for row in rows}
    winners = beaten_by(places)
    for row in rows:
        name = row["model"]
        row["over_words"] = row["over_plain"] = None
        if row["kind"] in _OURS:
            words = [other for other in kinds if kinds[other] == "words"]
            plain = [other for other in kinds if kinds[other] == "plain"]
            row["over_words"] = _gap(
                places, name, max(words, key=lambda other: places[other], default=None)
            )
            row["over_plain"] = _gap(places, name, best_as_fast(places, name, plain))
        row["beaten_by"] = winners[name]
    return rows


def _row(name: str, results: Results, base: float, is_reference: bool) -> dict[str, Any]:
    scores = [result["score"] for result in results]
    ratios = [
        plain / own
        for result in results
        for plain, own in zip(
            result["reference_seconds_per_row"], result["seconds_per_row"], strict=True
        )
    ]
    ratio = 1.0 if is_reference else statistics.median(ratios)
    return {
        "model": name,
        "kind": results[0]["kind"],
        "score": statistics.mean(scores),
        "lowest": min(scores),
        "highest": max(scores),
        "n_seeds": len(scores),
        "rows_per_s": ratio * base,
        "ratio": ratio,
        "fit_cpu_s": statistics.median(result["fit_cpu_s"] for result in results),
    }


def _gap(places: Mapping[str, Place], name: str, other: str | None) -> float | None:
    """Return the points between two models, None without the other one."""
    return None if other is None else 100 * (places[name].score - places[other].score)
