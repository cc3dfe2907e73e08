"""The plot: score over speed, the frontier as a line, beaten models hollow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muxlearn.benchmark.frontier._dominance import Place, frontier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

__all__ = ["draw_frontier", "save_plot"]

#: Label, marker and colour of each kind of model.
_STYLES = {
    "linear": ("linear", "s", "tab:gray"),
    "plain": ("plain networks", "D", "tab:blue"),
    "words": ("words alone", "*", "tab:olive"),
    "rows": ("rows share a position", "o", "tab:red"),
    "tokens": ("tokens share a position", "^", "tab:green"),
    "both": ("rows and tokens", "v", "tab:purple"),
    "cascade": ("cascade", "P", "tab:orange"),
}

#: Where a label may stand: steps from its point, in points, the near ones first.
_PLACES = sorted(
    product(range(-90, 91, 10), range(-60, 61, 6)), key=lambda step: step[0] ** 2 + step[1] ** 2
)
_FAR = 9


def save_plot(rows: Sequence[Mapping[str, Any]], title: str, score: str, path: Path) -> None:
    """Draw a table into a file.

    Parameters
    ----------
    rows : sequence of dict
        From `make_table`.
    title : str
    score : str
        The name of the measure.
    path : Path
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel="rows per second, from strings", ylabel=score)
    draw_frontier(rows, axes)
    figure.savefig(path, dpi=150)


def draw_frontier(rows: Sequence[Mapping[str, Any]], axes: Axes) -> None:
    """Draw a table.

    Parameters
    ----------
    rows : sequence of dict
        From `make_table`.
    axes : matplotlib.axes.Axes
    """
    axes.set_xscale("log")
    for kind, (_, marker, colour) in _STYLES.items():
        for row in (row for row in rows if row["kind"] == kind):
            score = row["score"]
            axes.errorbar(
                row["rows_per_s"],
                score,
                [[score - row["lowest"]], [row["highest"] - score]],
                marker=marker,
                markersize=8,
                color=colour,
                markerfacecolor="white" if row["beaten_by"] else colour,
                elinewidth=0.8,
                linestyle="none",
            )
    places = {row["model"]: Place(row["score"], row["rows_per_s"]) for row in rows}
    line = [places[name] for name in frontier(places)]
    axes.plot(
        [place.rate for place in line],
        [place.score for place in line],
        color="gray",
        lw=1,
        zorder=0,
        label="frontier",
    )
    axes.margins(x=0.15, y=0.15)
    axes.grid(alpha=0.25)
    _explain(axes, {row["kind"] for row in rows})
    _label(rows, axes)


def _explain(axes: Axes, kinds: set[str]) -> None:
    """Explain the marks below the axes, where no point may stand."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, label=label)
        for kind, (label, marker, colour) in _STYLES.items()
        if kind in kinds
    ]
    marks.append(Line2D([], [], color="gray", lw=1, label="frontier; hollow: beaten"))
    axes.legend(
        handles=marks,
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=3,  # four are wider than the axes where all kinds are drawn
    )


def _label(rows: Sequence[Mapping[str, Any]], axes: Axes) -> None:
    """Name each point where no other name or point stands; those of the frontier choose first."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # where everything stands is only known then
    scale = figure.dpi / 72
    taken = _drawn(rows, axes, scale)
    order = sorted(range(len(rows)), key=lambda i: rows[i]["beaten_by"] is not None)
    for i in order:
        note = axes.annotate(
            rows[i]["model"],
            (rows[i]["rows_per_s"], rows[i]["score"]),
            (0, 0),
            textcoords="offset points",
            fontsize=7,
            ha="center",
            va="center",
            color=_STYLES[rows[i]["kind"]][2],
        )
        box = note.get_window_extent()
        step = _free_place(box, axes.bbox, taken, scale)
        note.set_position(step)
        taken.append(box.translated(*(scale * s for s in step)))
        gap = max(abs(step[0]) - box.width / scale / 2, abs(step[1]) - box.height / scale / 2)
        if gap > _FAR:
            axes.annotate(
                "",
                (rows[i]["rows_per_s"], rows[i]["score"]),
                step,
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "gray"},
            )


def _drawn(rows: Sequence[Mapping[str, Any]], axes: Axes, scale: float) -> list[Bbox]:
    """Return boxes around points with their spread, and along the frontier."""
    from matplotlib.transforms import Bbox

    transform, half = axes.transData.transform, np.array([5.0, 5.0]) * scale
    boxes = []
    for row in rows:
        low, middle, high = (
            transform((row["rows_per_s"], row[name])) for name in ("lowest", "score", "highest")
        )
        boxes.append(Bbox([middle - half, middle + half]))
        boxes.append(Bbox([low - half * (0.2, 0), high + half * (0.2, 0)]))
    places = {row["model"]: Place(row["score"], row["rows_per_s"]) for row in rows}
    line = [transform((places[name].rate, places[name].score)) for name in frontier(places)]
    for start, end in pairwise(line):
        steps = np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / (4 * scale)))
        boxes += [Bbox([step - scale, step + scale]) for step in steps]
    return boxes


def _free_place(
    box: Bbox, inside: Bbox, taken: Sequence[Bbox], scale: float
) -> tuple[float, float]:
    """Return the nearest step that brings a box to where nothing stands."""

    def cost(step: tuple[int, int]) -> float:
        moved = box.translated(step[0] * scale, step[1] * scale)
        if not (inside.x0 < moved.x0 and moved.x1 < inside.x1):
            return float("inf")
        if not (inside.y0 < moved.y0 and moved.y1 < inside.y1):
            return float("inf")
        return sum(moved.overlaps(other) for other in taken)

    return next((step for step in _PLACES if cost(step) == 0), min(_PLACES, key=cost))
