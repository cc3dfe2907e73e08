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
        text, place = row["model"].replace("n_mux=", "N = "), (row["speed_up"], row["accuracy"])
        axes.annotate(text, place, textcoords="offset points", xytext=(5, 6))
    axes.set_xticks([1, 2, 5], [1, 2, 5])
    axes.minorticks_off()
    axes.margins(x=0.15, y=0.2)
    axes.set(xlabel="predict, times the plain model", ylabel="test accuracy, topics of BBC News")
