"""Scores over the number of rows in a mixture, as the papers draw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from muxlearn.benchmark.reproduce._recipe import Recipe
from muxlearn.inspection import scale_n_mux

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_scores", "plot"]


def plot(path: Path, rows: list[dict[str, Any]], recipe: Recipe) -> None:
    """Draw the scores and keep the picture there."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 + 4 * len(_tasks(rows)), 4.2), layout="constrained")
    draw_scores(figure, rows, recipe)
    figure.savefig(path, dpi=150)


def draw_scores(figure: Figure, rows: list[dict[str, Any]], recipe: Recipe) -> None:
    """Draw a line for each family of models, a panel for each task, and the paper's own lines.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        An empty one.
    rows : list of dict
        The table of `recipe`.
    recipe : Recipe
    """
    tasks = _tasks(rows)
    panels = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    families = list(dict.fromkeys(row["family"] for row in rows if row["n_mux"] > 1))
    for axes, task in zip(panels, tasks, strict=True):
        own = [row for row in rows if row["task"] == task]
        for number, family in enumerate(families):
            # From the twin on; rows of one row at a time beside it are no part of a line.
            points = {1: own[0]["score"]}
            for row in own:
                if row["family"] == family and row["n_mux"] > 1:
                    points.setdefault(row["n_mux"], row["score"])
            style = {"color": f"C{number % 10}", "marker": "o" if number < 10 else "s"}
            axes.plot(*zip(*sorted(points.items()), strict=True), label=family, ms=4, **style)
        for family, points in recipe.figure.get(task, {}).items():
            # A gray that shows on light and on dark pages.
            axes.plot(*zip(*sorted(points.items()), strict=True), "--x", c="0.5", label=family)
        scale_n_mux(axes, sorted({row["n_mux"] for row in own}))
        axes.set_title(task)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test score")
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside right upper", frameon=False)


def _tasks(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["task"] for row in rows))
