from itertools import combinations

import pytest
from matplotlib.figure import Figure

from muxlearn.benchmark.frontier._plot import draw_frontier


def row(model, kind, score, rate, beaten_by=None):
    spread = {"lowest": score - 0.01, "highest": score + 0.01}
    return {
        "model": model,
        "kind": kind,
        "score": score,
        "rows_per_s": rate,
        "beaten_by": beaten_by,
        **spread,
    }


@pytest.fixture
def axes():
    rows = [
        row("plain", "plain", 0.9, 100.0),
        row("(1, 5)", "tokens", 0.88, 450.0),
        row("(5, 1)", "rows", 0.86, 440.0, "(1, 5)"),
        row("plain 1x384", "plain", 0.861, 430.0, "(1, 5)"),
        row("plain 3x384, int8", "plain", 0.859, 435.0, "(1, 5)"),
        row("TF-IDF", "linear", 0.8, 40_000.0),
    ]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    draw_frontier(rows, axes)
    figure.draw_without_rendering()
    return axes


def test_the_line_joins_what_nobody_beats(axes):
    (line,) = (line for line in axes.lines if line.get_label() == "frontier")
    assert list(line.get_xdata()) == [100.0, 450.0, 40_000.0]
    assert axes.get_xscale() == "log"


def test_beaten_models_are_hollow(axes):
    points = [line for line in axes.lines if line.get_marker() in "sDo^"]
    hollow = [p.get_xdata()[0] for p in points if p.get_markerfacecolor() == "white"]
    assert sorted(hollow) == [430.0, 435.0, 440.0]


def test_no_label_stands_on_another(axes):
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_the_legend_of_all_kinds_is_no_wider_than_the_axes():
    kinds = ["linear", "plain", "words", "rows", "tokens", "both", "cascade"]
    rows = [row(kind, kind, 0.8 + 0.01 * i, 10.0 ** (i + 1)) for i, kind in enumerate(kinds)]
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    draw_frontier(rows, axes)
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().width < axes.bbox.width
