"""Plots of the benchmarks page, from the files that ``--json`` wrote."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

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
    """Accuracy against speed-up, with the spread of the seeds."""
    table = {row["model"]: row for row in rows_of("accuracy")}
    rows = [row for model, row in table.items() if re.fullmatch(r"n_mux=\d+", model)]
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    speed_ups = [row["speed_up"] for row in rows]
    means = np.array([row["accuracy"] for row in rows])
    spread = [
        means - [row["lowest"] for row in rows],
        [row["highest"] for row in rows] - means,
    ]
    axes.errorbar(
        speed_ups, means, spread, marker="o", capsize=4, label="mean, lowest and highest seed"
    )
    tfidf = table["TF-IDF"]["accuracy"]
    axes.axhline(tfidf, color="gray", lw=1, ls=":", label="TF-IDF, logistic regression")
    axes.set_xscale("log")
    for row in rows:
        place = row["speed_up"], row["accuracy"]
        axes.annotate(_name(row["model"]), place, textcoords="offset points", xytext=(5, 6))
    axes.set_xticks([1, 2, 5], [1, 2, 5])
    axes.minorticks_off()
    axes.margins(x=0.15)
    axes.set(
        xlabel="predict, times the plain model",
        ylabel="test accuracy, topics of BBC News",
        ylim=(0.94, 1),
    )
    axes.legend(frameon=False)


def draw_curve():
    """Accuracy against the time that the training took, for two budgets."""
    curves = {}
    for name in ("accuracy-1", "accuracy"):
        for row in rows_of(name):
            if row["model"].startswith("n_mux="):
                curves.setdefault(row["model"], []).append((row["fit_cpu_s"], row["accuracy"]))
    _, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for model, points in curves.items():
        style = ":" if "scratch" in model else "-"
        axes.semilogx(*zip(*points, strict=True), style, marker="o", label=_name(model))
    axes.set_xticks([60, 100, 200], [60, 100, 200])
    axes.minorticks_off()
    axes.set(xlabel="training, seconds of a core", ylabel="test accuracy, topics of BBC News")
    axes.legend(frameon=False)


def _name(model):
    return model.replace("n_mux=", "N = ")
