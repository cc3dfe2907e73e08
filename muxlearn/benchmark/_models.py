"""Fitted models that a benchmark keeps, so that a long table can be taken up again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["FitTime", "fit", "load_or_fit"]


class FitTime(NamedTuple):
    """The time of a `fit`.

    Attributes
    ----------
    seconds : float
        On the clock, which other work on the machine stretches.
    cpu_seconds : float
        Time of all cores together.
    """

    seconds: float
    cpu_seconds: float


def fit(model: Any, X: Any, y: Any) -> tuple[Any, FitTime]:
    """Fit a model and say what it took."""
    start, cpu_start = time.perf_counter(), time.process_time()
    model.fit(X, y)
    return model, FitTime(time.perf_counter() - start, time.process_time() - cpu_start)


def load_or_fit(model: Any, X: Any, y: Any, folder: Path | None) -> tuple[Any, FitTime]:
    """Take a model from its folder, or fit it and keep it there.

    Parameters
    ----------
    model : estimator of this library
        Not fitted.
    X, y : object
        The rows and labels to fit it to.
    folder : Path or None
        None keeps nothing.

    Returns
    -------
    model : estimator
    time : FitTime
        The time of the `fit`, also where the model was loaded.
    """
    record = folder and folder / "fit_time.json"
    if folder is not None and record is not None and record.exists():
        return type(model).load(folder), FitTime(**json.loads(record.read_text()))
    model, taken = fit(model, X, y)
    if folder is not None and record is not None:
        model.save(folder)
        record.write_text(json.dumps(taken._asdict()))
    return model, taken
