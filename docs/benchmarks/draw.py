"""Plots of the benchmarks page, from the files that ``--json`` wrote."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

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


def draw_accuracy():
    """Accuracy against speed-up."""
    rows = [row for row in rows_of("accuracy") if row["model"].startswith("n_mux=")]
    rows = [row for row in rows if "nothing" not in row["model"]]
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    axes.semilogx([row["speed_up"] for row in rows], [row["accuracy"] for row in rows], marker="o")
    for row in rows:
        place = row["speed_up"], row["accuracy"]
        axes.annotate(_name(row["model"]), place, textcoords="offset points", xytext=(5, 6))
    axes.set_xticks([1, 2, 5], [1, 2, 5])
    axes.minorticks_off()
    axes.margins(x=0.15, y=0.2)
    axes.set(xlabel="predict, times the plain model", ylabel="test accuracy, topics of BBC News")


def draw_curve():
    """Accuracy against the time that the training took, for two budgets."""
    curves = {}
    for name in ("accuracy-1", "accuracy"):
        for row in rows_of(name):
            if row["model"].startswith("n_mux="):
                curves.setdefault(row["model"], []).append((row["fit_cpu_s"], row["accuracy"]))
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for model, points in curves.items():
        style = ":" if "nothing" in model else "-"
        axes.semilogx(*zip(*points, strict=True), style, marker="o", label=_name(model))
    axes.set_xticks([60, 100, 200], [60, 100, 200])
    axes.minorticks_off()
    axes.set(xlabel="training, seconds of a core", ylabel="test accuracy, topics of BBC News")
    axes.legend(frameon=False)


def _name(model):
    return model.replace("n_mux=", "N = ")
