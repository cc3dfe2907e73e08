"""The base of all engines: a saved model that predicts the rows of a frame."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muxlearn._params import Choice
from muxlearn.persistence import CONFIG, FormatError, read_file
from muxlearn.points import PointLike
from muxlearn.prediction import (
    Predictor,
    arrow_column,
    choose_columns,
    label_of,
    load_predictor,
    result_name,
    result_type,
    rows_of,
)
from muxlearn.rows import check_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FolderPredictor", "check_dataset", "open_folder", "require"]

# The tasks of an engine may be threads of one process, which would load the model each, and then
# fight for its cores.
_lock = threading.RLock()


def check_dataset(dataset: Any, needed: Sequence[str], described: str) -> None:
    """Raise TypeError for what an engine does not read.

    Parameters
    ----------
    dataset : object
    needed : sequence of str
        Attributes that its data sets have.
    described : str
        What they are called.
    """
    if not all(hasattr(dataset, name) for name in needed):
        raise TypeError(
            f"`dataset` must be {described}, got an instance of {type(dataset).__name__}"
        )


def require(module: str, extra: str) -> Any:
    """Import an engine.

    Parameters
    ----------
    module : str
    extra : str
        What of this library installs it.

    Returns
    -------
    module

    Raises
    ------
    ModuleNotFoundError
        The engine is not installed; the message says how to.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"predict_{extra} needs {error.name}; install muxlearn[{extra}]", name=error.name
        ) from error


@dataclass(frozen=True)
class FolderPredictor:
    """Adds the predictions of a saved model to frames; travels to workers without the model.

    Parameters
    ----------
    folder : str
    digest : str
        Digest of the model's configuration, which has the checksums of its other files.
    columns : tuple of str
        One for rows, two for pairs.
    groups : str or None
    n_mux : int, Point or "words"
    n_passes : int
    method : {"predict", "predict_proba", "transform"}
    """

    folder: str
    digest: str
    columns: tuple[str, ...]
    groups: str | None
    n_mux: PointLike
    n_passes: int
    method: str

    def load(self) -> Predictor:
        """Return the model, loaded once in a process."""
        with _lock:
            return _load(self.folder, self.digest)

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict the rows of a frame in one plan, as `predict` does.

        Parameters
        ----------
        frame : pandas.DataFrame

        Returns
        -------
        pandas.DataFrame
            With one column more.
        """
        import pandas as pd

        for name in (*self.columns, *([] if self.groups is None else [self.groups])):
            if name not in frame.columns:
                raise ValueError(
                    f"a part of `dataset` has no column {name!r}, but "
                    f"{', '.join(map(repr, frame.columns))}; give parts of the same columns"
                )
        with _lock:
            results = self._predict(frame) if len(frame) else self._nothing()
        # As objects, lists of one length are no array of two axes.
        column = pd.Series(results, index=frame.index)
        return frame.assign(**{result_name(self.method): column})

    def _predict(self, frame: pd.DataFrame) -> Any:
        values = {name: frame[name].tolist() for name in self.columns}
        results = self.load().predict(
            rows_of(values, self.columns),
            n_mux=self.n_mux,
            groups=None if self.groups is None else frame[self.groups].tolist(),
            n_passes=self.n_passes,
            method=self.method,
        )
        return results if getattr(results, "ndim", 0) == 1 else arrow_column(results).to_pylist()

    def _nothing(self) -> Any:
        """Return the results of no row, in their type."""
        task = self.load().task
        if isinstance(task.example(self.method), list):
            return []
        return task.results(self.method, [], np.empty((0, task.n_outputs)))

    def result_type(self) -> Any:
        """Return the Arrow type of the results."""
        predictor = self.load()
        return result_type(predictor.task.example(self.method))


def open_folder(
    folder: str | os.PathLike,
    schema: Any,
    *,
    column: str | Sequence[str] | None,
    groups: str | None,
    n_mux: PointLike | None,
    n_passes: int,
    method: str,
) -> FolderPredictor:
    """Check all that can be checked before the workers start.

    Parameters
    ----------
    folder : str or path
    schema : pyarrow.Schema
        The schema of the data.
    column, groups, n_mux, n_passes, method
        As in `predict_dask`.

    Returns
    -------
    FolderPredictor

    Raises
    ------
    FileNotFoundError
        There is no such model here.
    TypeError, ValueError
        A parameter or a column is invalid.
    """
    methods = Choice("predict", "predict_proba", "transform")
    methods.check("method", method)
    path = Path(folder).resolve()
    if read_file(path, CONFIG) is None:
        raise FileNotFoundError(f"there is no saved model in {str(path)!r}")
    digest = _digest(path)
    with _lock:
        predictor = _load(str(path), digest)
    point = predictor.resolve_point(n_mux)
    predictor.check(method, n_passes)
    columns = choose_columns(schema, column, predictor.reader.column_kind)
    if groups is not None:
        check_column(schema, groups, "groups")
    if (result := result_name(method)) in schema.names:
        raise ValueError(f"`dataset` has a column {result!r} already; rename it or drop it")
    return FolderPredictor(
        str(path),
        digest,
        tuple(columns),
        groups,
        label_of(point, predictor.runner),
        n_passes,
        method,
    )


def _digest(folder: Path) -> str:
    return hashlib.sha256(read_file(folder, CONFIG) or b"").hexdigest()


@lru_cache(maxsize=1)
def _load(folder: str, digest: str) -> Predictor:
    path = Path(folder)
    where = f"the worker {os.getpid()} on {platform.node()!r}"
    config = read_file(path, CONFIG)
    if config is None:
        raise FileNotFoundError(
            f"{where} has no model in {folder!r}; put the folder where all machines see it under "
            "that path, or copy it to each of them"
        )
    if _digest(path) != digest:
        raise FormatError(
            f"{where} has another model in {folder!r} than the one that the job was started with; "
            "give each version a folder of its own"
        )
    return load_predictor(path)
