"""The state of a fitted estimator as a notebook shows it, below scikit-learn's diagram."""

from __future__ import annotations

from html import escape
from typing import Any

from muxlearn.points import as_point

__all__ = ["state_as_html"]

_CELL = "padding:2px 12px 2px 0;text-align:left;border:none"


def state_as_html(estimator: Any) -> str:
    """Return the training state and the operating points of an estimator as HTML.

    Parameters
    ----------
    estimator : MuxEstimator

    Returns
    -------
    str
        Empty where it is not fitted.
    """
    if not estimator.__sklearn_is_fitted__():
        return ""
    parts = [f"<p>{escape(_training(estimator))}</p>"]
    if estimator._measured is not None:
        parts.append(_table(estimator._measured))
    elif hasattr(estimator, "measure_operating_points"):
        hint = "Score and speed are not measured; measure_operating_points(X, y) measures them."
        parts.append(f"<p>{hint}</p>")
    return f'<div class="muxlearn-state" style="margin-top:0.5em">{"".join(parts)}</div>'


def _training(estimator: Any) -> str:
    n_epochs = estimator.n_iter_
    state = f"Trained for {n_epochs} epoch{'s' * (n_epochs != 1)}" if n_epochs else "Not trained"
    losses = [epoch["train_loss"] for epoch in estimator.history_ if "train_loss" in epoch]
    if losses:
        state += f", loss {losses[0]:.3f} to {losses[-1]:.3f}"
    warm_up = getattr(estimator, "warm_up_history_", None)
    if warm_up:
        state += f", after a warm-up of {len(warm_up)}"
    classes = getattr(estimator, "classes_", None)
    if classes is not None:
        state += f"; {len(classes)} class{'es' * (len(classes) != 1)}"
    module = estimator.module_
    n_weights = sum(weights.numel() for weights in module.parameters())
    return f"{state}; {module.n_mux} slots; {n_weights / 1e6:.1f} million weights."


def _table(measured: Any) -> str:
    names = ("operating point", "score", "rows per second", "speed-up")
    slowest = min(figures["rows_per_second"] for figures in measured.values())
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in names)
    rows = []
    for point, figures in measured.items():
        score = f"{figures['score']:.3f}"
        if "low" in figures:
            score += f" ({figures['low']:.3f} to {figures['high']:.3f})"
        rate = figures["rows_per_second"]
        cells = (_name(point), score, f"{rate:,.0f}", f"{rate / slowest:.1f}")
        rows.append("".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in cells))
    n_rows = next(iter(measured.values())).get("n_rows")
    caption = "" if n_rows is None else f"<caption>measured on {n_rows:,.0f} rows</caption>"
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _name(label: Any) -> str:
    point = as_point(label)
    if point is None or isinstance(label, str):
        return "the words alone"
    rows = f"{point.n_mux} row{'s' * (point.n_mux != 1)}"
    return rows if point.patch_size == 1 else f"{rows}, {point.patch_size} tokens"
