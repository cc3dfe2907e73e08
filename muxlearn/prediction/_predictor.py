"""Predicts rows with a module, a reader, a task and a plan of mixtures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn.rows import Reader
from muxlearn.tasks import Task

__all__ = ["Predictor"]


class Predictor:
    """Rows in, answers out, in order.

    This is all that predicts: `predict` of the estimators, streams and data sets, exported models,
    the engines of `muxlearn.distributed` and the displays of `muxlearn.inspection`. It knows no
    estimator, and pickles.

    Parameters
    ----------
    runner : TorchRunner or OnnxRunner
        Runs a module on mixtures.
    reader : Reader
        Makes tables of rows.
    task : Task
        Says what the module's outputs mean.
    planner : Planner
        Says which rows share a mixture.
    batch_size : int, default=32
        Mixtures in a batch.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
    capacity : int
        Rows in a mixture at most.
    """

    def __init__(
        self,
        runner: Any,
        reader: Reader,
        task: Task,
        planner: Any,
        *,
        batch_size: int = 32,
        verbose: bool = False,
    ) -> None:
        raise NotImplementedError

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        method: str = "predict",
    ) -> Any:
        """Predict rows; `method` is one of the task's."""
        raise NotImplementedError

    def predict_checked(self, rows: Any, n_mux: int | None = None, method: str = "predict") -> Any:
        """Predict rows that the reader has checked."""
        raise NotImplementedError

    def predict_iter(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: str = "predict",
    ) -> Iterator[Any]:
        """Predict a stream of rows in constant memory."""
        raise NotImplementedError

    def predict_dataset(
        self,
        dataset: Any,
        output: str | os.PathLike,
        *,
        column: str | tuple[str, str] | None = None,
        groups: str | None = None,
        keep: Sequence[str] = (),
        n_mux: int | None = None,
        n_passes: int = 1,
        method: str = "predict",
        form: Literal["parquet", "csv"] = "parquet",
        rows_per_part: int = 100_000,
    ) -> Path:
        """Predict a data set into a folder of parts, and go on after a kill."""
        raise NotImplementedError

    def predict_regrouped(
        self, X: Iterable[Any], n_mux: int | None, n_regroupings: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Predict rows in several mixtures; return labels and places in the mixture."""
        raise NotImplementedError

    def score(
        self,
        X: Iterable[Any],
        y: Any,
        sample_weight: ArrayLike | None = None,
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> float:
        """Score predictions as the task does."""
        raise NotImplementedError

    def resolve_point(self, n_mux: int | None) -> int:
        """Return the operating point that is asked for; None stands for the capacity."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Return a digest of all that decides what is predicted."""
        raise NotImplementedError
