"""Fitted models and results that a benchmark keeps, so that a long table can be taken up again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator
from torch import nn

from muxlearn.points import PointLike
from muxlearn.training.checkpoints import fingerprint_of, fingerprint_of_rows

__all__ = [
    "AtPoint",
    "FitTime",
    "as_file_name",
    "check_options",
    "first_layers",
    "fit",
    "kept_results",
    "layers_of",
    "load_or_fit",
]


#: Parameters that do not change what a `fit` makes.
_FREE = ("device", "n_workers", "verbose")


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


def fit(model: Any, X: Any, y: Any, **params: Any) -> tuple[Any, FitTime]:
    """Fit a model and say what it took; parameters are those of its `fit`."""
    start, cpu_start = time.perf_counter(), time.process_time()
    model.fit(X, y, **params)
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

    Raises
    ------
    ValueError
        The folder keeps a model of other parameters or rows.
    """
    if folder is None:
        return fit(model, X, y)
    asked = _asked(model, X, y)
    record = folder / "fit_time.json"
    if record.exists():
        kept = json.loads(record.read_text())
        if kept.pop("asked", None) != asked:
            raise ValueError(
                f"{str(folder)!r} keeps a model that was fitted with other options or to other "
                "rows; give another folder"
            )
        return type(model).load(folder), FitTime(**kept)
    model, taken = fit(model, X, y)
    model.save(folder)
    record.write_text(json.dumps({**taken._asdict(), "asked": asked}))
    return model, taken


def _asked(model: Any, X: Any, y: Any) -> str:
    """Return a digest of what a model is fitted with, and to."""
    rows = {"rows": fingerprint_of_rows(X), "labels": fingerprint_of_rows(y)}
    return fingerprint_of({**model.get_params(deep=True), **rows}, free=_FREE)


def check_options(folder: Path, options: Mapping[str, str], flag: str) -> None:
    """Check that a folder of results is of the same options, and note them in a new one.

    Parameters
    ----------
    folder : Path
        It is made where it is missing.
    options : mapping of str to str
    flag : str
        The option that names the folder, for the error.

    Raises
    ------
    ValueError
        They are others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "options.json"
    if record.exists():
        kept = json.loads(record.read_text(encoding="utf-8"))
        if others := [name for name in options if kept.get(name) != options[name]]:
            raise ValueError(
                f"{flag} {str(folder)!r} holds results of other options ("
                + ", ".join(f"{name}: {kept.get(name)}, now {options[name]}" for name in others)
                + "); give another folder"
            )
    record.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")


def kept_results(
    record: Path, make: Callable[[], Iterable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Take results from their file, or make them and keep them there.

    Parameters
    ----------
    record : Path
    make : callable
        Returns what JSON can hold.

    Returns
    -------
    list of dict
    """
    if not record.exists():
        part = record.with_suffix(".part")
        part.write_text(json.dumps(list(make()), indent=1) + "\n", encoding="utf-8")
        part.replace(record)  # a run that is killed leaves no half of a record
    return json.loads(record.read_text(encoding="utf-8"))


def as_file_name(name: str) -> str:
    """Return a name without what a file's name may not hold."""
    return re.sub(r"[^\w.=+]+", "-", name).strip("-")


class AtPoint(BaseEstimator):
    """An estimator that answers at one of its operating points.

    Parameters
    ----------
    model : estimator of this library, or a fitted one in a FrozenEstimator
    point : int, pair of int or "words"
    """

    def __init__(self, model: Any, point: PointLike) -> None:
        self.model = model
        self.point = point

    def fit(self, X: Any, y: Any = None) -> AtPoint:
        """Fit the model for all its points."""
        self.model.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        """Predict at the point."""
        return self.model.predict(X, n_mux=self.point)

    def transform(self, X: Any) -> Any:
        """Embed at the point."""
        return self.model.transform(X, n_mux=self.point)

    def score(self, X: Any, y: Any) -> float:
        """Return the score at the point."""
        return self.model.score(X, y, n_mux=self.point)


def layers_of(encoder: Any) -> nn.ModuleList:
    """Return the layers, which are the longest list of modules that an encoder has."""
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len)


def first_layers(model: Any, n_layers: int, X: Any, y: Any) -> Any:
    """Return a model that starts from the first layers of its encoder, ready to be fitted.

    The last layers are the ones to drop before fine-tuning (Sajjad et al., "On the effect of
    dropping layers of pre-trained Transformer models", 2023). This works for every encoder;
    ``backbone=Packaged(num_hidden_layers=…)`` says the same of the packaged one alone.

    Parameters
    ----------
    model : MuxTextClassifier or MuxTokenTagger
        Not fitted.
    n_layers : int
    X, y : object
        Rows and labels that it will be fitted to.

    Returns
    -------
    estimator
    """
    asked = {name: getattr(model, name) for name in ("max_epochs", "warm_up")}
    model.set_params(max_epochs=0, warm_up=None, warm_start=True).fit(X, y)
    encoder = model.module_.encoder
    del layers_of(encoder)[n_layers:]
    if hasattr(encoder, "model"):
        encoder.model.config.num_hidden_layers = n_layers
    return model.set_params(**asked)
