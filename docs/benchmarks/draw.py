"""Plots of the benchmarks page, from the files that ``--json`` wrote."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

from muxlearn.benchmark.frontier import draw_frontier
from muxlearn.benchmark.reproduce import RECIPES, draw_scores

# The directive runs this file in its folder, and gives it no `__file__`.
RESULTS = Path("results")


def rows_of(name):
    """Return the rows of a table."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]


def draw_speed():
    """Speed-up against the number of rows in a pass, beside the line that nothing exceeds."""
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for name, label, mark in (
        ("speed", "forward pass", "o"),
        ("speed-strings", "from strings to labels", "s"),
    ):
        rows = rows_of(name)
        points = [row["n_mux"] for row in rows]
        axes.loglog(points, [row["speed_up"] for row in rows], marker=mark, label=label)
    axes.loglog(points, points, color="gray", lw=1, ls=":", label="N")
    axes.set_xticks(points, points)
    axes.set_yticks(points, points)
    axes.minorticks_off()
    axes.set(xlabel="texts in a pass", ylabel="times the plain model")
    axes.legend(frameon=False)


def draw_gpu():
    """Speed-up against the factor, for the two encoders, rows beside tokens."""
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    best = {}
    for row in rows_of("gpu-text"):
        n_mux, patch_size = map(int, row["point"].split(","))
        kind = "rows" if patch_size == 1 else "tokens" if n_mux == 1 else "both"
        key = row["model"], kind, n_mux * patch_size
        best[key] = max(best.get(key, 0.0), row["speed_up"])
    factors = sorted({factor for *_, factor in best})
    marks = {"rows": "o", "tokens": "^", "both": "v"}
    for number, model in enumerate(dict.fromkeys(model for model, *_ in best)):
        for kind, mark in marks.items():
            line = sorted((f, best[m, k, f]) for m, k, f in best if (m, k) == (model, kind))
            if line:
                style = {
                    "marker": mark,
                    "color": f"C{number}",
                    "ls": "-" if kind == "rows" else "--",
                }
                axes.loglog(*zip(*line, strict=True), label=f"{model}, {kind}", **style)
    axes.loglog(factors, factors, color="gray", lw=1, ls=":", label="the factor")
    axes.set_xticks(factors, factors)
    axes.set_yticks(factors, factors)
    axes.minorticks_off()
    axes.set(xlabel="factor, n_mux x patch_size", ylabel="times (1, 1)")
    axes.legend(frameon=False)


def draw_frontier_of_films():
    """Draw the frontier of sentences about films."""
    _draw_frontier("frontier-films", "accuracy, film sentences")


def draw_frontier_of_sst2():
    """Draw the frontier of SST-2, learned from few labels."""
    _draw_frontier("frontier-sst2", "accuracy, SST-2")


def draw_frontier_of_sst2_unlabeled():
    """Draw the same where texts without labels are at hand."""
    _draw_frontier("frontier-sst2-unlabeled", "accuracy, SST-2")


def _draw_frontier(name, label):
    """Accuracy against rows per second, beaten models hollow."""
    _, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    axes.set(xlabel="rows per second, from strings", ylabel=label)
    draw_frontier(rows_of(name), axes)


def draw_vision_study():
    """Accuracy against the number of images in a mixture, for each mode of the vision study."""
    figure = plt.figure(figsize=(9, 4.2), layout="constrained")
    draw_scores(figure, rows_of("reproduce-datamux-vision"), RECIPES["datamux-vision"]("small"))


def draw_engines():
    """Rows per second of one process and of engines with two workers."""
    rows = rows_of("scale-bulk")
    _, axes = plt.subplots(figsize=(6.5, 2.5), layout="constrained")
    axes.barh([row["engine"] for row in rows][::-1], [row["rows_per_s"] for row in rows][::-1])
    axes.set(xlabel="rows per second, from strings to labels")
