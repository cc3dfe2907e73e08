"""Predicts rows with a module, a reader, a task and a plan of mixtures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, vstack

from muxlearn._params import Choice, Integer
from muxlearn._warnings import warn
from muxlearn.persistence import encode_labels
from muxlearn.points import Point, PointLike
from muxlearn.prediction._ahead import prepare_ahead
from muxlearn.prediction._planner import Planner
from muxlearn.prediction._points import resolve_point
from muxlearn.prediction._runner import Run, Runner
from muxlearn.rows import (
    Reader,
    RowTable,
    check_groups,
    group_windows,
    in_stream_order,
    iterate_groups,
    own_windows,
    stream_windows,
    take_rows,
)
from muxlearn.tasks import Task
from muxlearn.training.progress import progress_bar

__all__ = ["Predictor"]

#: Checked rows, the numbers of their groups or None, and what a caller adds.
Window = tuple[Any, ...]

#: Mixtures of a group whose rows are predicted together in a stream: of one length, about, as they
#: are sorted, and yet no group waits for long until it has that many.
_MIXTURES_TOGETHER = 8


class Predictor:
    """Predicts rows and returns the answers in their order.

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
        Whether to show a progress bar on a terminal.
    """

    def __init__(
        self,
        runner: Runner,
        reader: Reader,
        task: Task,
        planner: Planner,
        *,
        batch_size: int = 32,
        verbose: bool = False,
    ) -> None:
        self.runner = runner
        self.reader = reader
        self.task = task
        self.planner = planner
        self.batch_size = batch_size
        self.verbose = verbose

    def resolve_point(self, n_mux: PointLike | None = None, patch_size: int | None = None) -> Point:
        """Return the operating point that is asked for, by default the model's own.

        Parameters
        ----------
        n_mux : int, (int, int), "words" or None
            Rows in a mixture, or a whole point. None stands for the capacity.
        patch_size : int, default=None
            Tokens of a row in a position; None stands for the model's own.

        Returns
        -------
        Point

        Raises
        ------
        TypeError, ValueError
            The model has no such point.
        """
        return resolve_point(n_mux, self.runner, patch_size)

    def window_size(self, n_mux: int) -> int:
        """Return the number of rows of a window, within which mixtures are planned."""
        return self.planner.window_size(n_mux, self.batch_size)

    def rows_together(self, n_mux: int) -> int:
        """Return the number of rows of a group that a stream predicts together."""
        if n_mux == 1:
            return 1
        return min(self.window_size(n_mux), _MIXTURES_TOGETHER * n_mux)

    def predict(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        method: str = "predict",
        *,
        patch_size: int | None = None,
    ) -> Any:
        """Predict rows.

        Parameters
        ----------
        X : sequence of length n_rows
            Rows as the reader checks them; a single one is enough.
        n_mux, patch_size
            As in `resolve_point`.
        groups : array-like of shape (n_rows,), default=None
            Rows of different groups never share a mixture.
        n_passes : int, default=1
            Number of predictions, each in other mixtures.
        method : str, default="predict"
            One of the task's `methods`.

        Returns
        -------
        ndarray, sparse matrix or list, length n_rows
            In the order of `X`.

        Raises
        ------
        TypeError, ValueError
            An argument or a row is not valid.
        """
        point = self.resolve_point(n_mux, patch_size)
        self.check(method, n_passes)
        return self._predict(self.reader.check(X), point, groups, n_passes, method)

    def predict_checked(self, rows: Any, n_mux: PointLike | None = None) -> Any:
        """Predict rows that the reader has checked.

        Parameters
        ----------
        rows : list or ndarray
            As `Reader.check` returns them.
        n_mux
            As in `predict`.

        Returns
        -------
        ndarray or list, as long as `rows`
        """
        return self._predict(rows, self.resolve_point(n_mux), None, 1, "predict")

    def predict_iter(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: str = "predict",
        *,
        patch_size: int | None = None,
    ) -> Iterator[Any]:
        """Predict a stream of rows of any length in constant memory.

        Parameters
        ----------
        X : iterable
            Read as results are asked for, two windows ahead, with `groups` four.
        n_mux, n_passes, method, patch_size
            As in `predict`.
        groups : iterable, default=None
            One for each row.

        Returns
        -------
        iterator
            One result for each row, in order.
        """
        self.check(method, n_passes)
        point = self.resolve_point(n_mux, patch_size)
        labels = None if groups is None else iterate_groups(groups)
        size, rows = self.window_size(point.n_mux), self.reader.iterate(X)
        windows: Iterable[Window]
        if labels is None or point.n_mux == 1:
            windows = stream_windows(rows, labels, size, self.reader.check)
        else:
            together = self.rows_together(point.n_mux)
            windows = own_windows(rows, labels, size, together, self.reader.check)
        predicted = self.predict_windows(windows, point=point, n_passes=n_passes, method=method)
        return in_stream_order(predicted)

    def predict_windows(
        self,
        windows: Iterable[Window],
        *,
        point: Point,
        n_passes: int = 1,
        method: str = "predict",
        total: int | None = None,
        n_done: int = 0,
    ) -> Iterator[tuple[Window, Any]]:
        """Predict one window of checked rows after the other.

        What is held in memory depends on the size of a window, not on their number.

        Parameters
        ----------
        windows : iterable of tuple
            Each begins with checked rows and the numbers of their groups or None; what follows is
            the caller's.
        point : Point
            From `resolve_point`.
        n_passes : int, default=1
        method : str, default="predict"
        total : int, default=None
            Number of rows, for the progress bar.
        n_done : int, default=0
            How many of them an earlier run has predicted.

        Yields
        ------
        window : tuple
            As it came.
        results : ndarray or list
            Results for its rows, in their order.
        """
        run = self.runner.start(point)
        prepared = prepare_ahead(windows, lambda window: self.reader.table(window[0]))
        with progress_bar(total, "predict", show=self.verbose, n_done=n_done) as bar:
            for number, (window, table) in enumerate(prepared):
                rows, codes = window[:2]
                if not number and (warning := self.reader.warning(table)) is not None:
                    warn(warning)
                passes = [
                    self._answer(run, table, point, codes, regrouping)
                    for regrouping in range(n_passes)
                ]
                # One is as it is: a tagger's arrays are large.
                answers = passes[0] if n_passes == 1 else self.task.merge(passes)
                bar.update(len(rows))
                yield window, self.task.results(method, rows, answers)

    def predict_regrouped(
        self, X: Iterable[Any], n_mux: PointLike | None, n_regroupings: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Predict the same rows in several mixtures, each time among other companions.

        Parameters
        ----------
        X : sequence of length n_rows
        n_mux : int, (int, int), "words" or None
            As in `resolve_point`.
        n_regroupings : int
            The first is that of `predict`, the others those of its `n_passes`.

        Returns
        -------
        labels : ndarray of shape (n_regroupings, n_targets)
            What `predict` would say; of a tagger the tags of one sentence after the other.
        places : ndarray of int64, shape (n_regroupings, n_targets)
            The place in the mixture, from 0, of the row that each label belongs to.
        """
        point = self.resolve_point(n_mux)
        run = self.runner.start(point)
        # The windows of a prediction: mixtures are planned inside one.
        windows = stream_windows(
            self.reader.iterate(X), None, self.window_size(point.n_mux), self.reader.check
        )
        labels, places = [], []
        for rows, _ in windows:
            table = self.reader.table(rows)
            for regrouping in range(n_regroupings):
                answers = self._answer(run, table, point, None, regrouping)
                said = self.task.results("predict", rows, answers)
                said = np.asarray(list(chain.from_iterable(said)) if self.task.nested else said)
                labels.append(said)
                places.append(self._places(table, point.n_mux, regrouping, len(said)))
        return _regroupings(labels, n_regroupings), _regroupings(places, n_regroupings)

    def score(
        self,
        X: Iterable[Any],
        y: Any,
        sample_weight: ArrayLike | None = None,
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        *,
        patch_size: int | None = None,
    ) -> float:
        """Score predictions as the task does.

        Parameters
        ----------
        X, n_mux, groups, n_passes, patch_size
            As in `predict`.
        y : sequence of length n_rows
            The true labels, or the tags of each sentence.
        sample_weight : array-like of shape (n_rows,), default=None

        Returns
        -------
        float
        """
        point = self.resolve_point(n_mux, patch_size)
        self.check("predict", n_passes)
        rows = self.reader.check(X)
        true = self.task.check_true(rows, y)
        predicted = self._predict(rows, point, groups, n_passes, "predict")
        return self.task.score(true, predicted, sample_weight)

    def fingerprint(self) -> str:
        """Return a digest of all that decides what is predicted."""
        classes = self.task.classes
        described = {
            "task": self.task.to_config(),
            "labels": None if classes is None else encode_labels(classes),
            "reader": self.reader.to_config(),
            "files": self.reader.files(),
            "planner": vars(self.planner),
        }
        digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
        digest.update(self.runner.fingerprint().encode())
        for name, array in sorted(self.task.arrays().items()):
            digest.update(name.encode() + array.tobytes())
        return f"{self.task.name} of {self.reader.kind}, sha256 {digest.hexdigest()}"

    def check(self, method: str, n_passes: int) -> None:
        """Raise TypeError or ValueError for a method or a number of passes that is not allowed."""
        methods = Choice(*self.task.methods)
        methods.check("method", method)
        Integer(1).check("n_passes", n_passes)

    def _predict(
        self, rows: Any, point: Point, groups: ArrayLike | None, n_passes: int, method: str
    ) -> Any:
        """Predict checked rows in windows, and bring the results into the order of the rows."""
        codes = check_groups(groups, len(rows))
        parts = group_windows(codes, len(rows), self.window_size(point.n_mux))
        windows = (
            (take_rows(rows, part), None if codes is None else codes[part]) for part in parts
        )
        predicted = self.predict_windows(
            windows, point=point, n_passes=n_passes, method=method, total=len(rows)
        )
        return _in_order(parts, [results for _, results in predicted])

    def _answer(
        self,
        run: Run,
        table: RowTable,
        point: Point,
        groups: NDArray[np.int64] | None,
        regrouping: int,
    ) -> NDArray[np.float64]:
        """Return the answers to a window in one pass, in the order of its targets."""
        if not len(table):
            return np.empty((0, self.task.n_outputs))
        plan = self.planner.plan(table, point.n_mux, groups, regrouping)
        laid_out = table.for_patches(point.patch_size)
        outputs = [
            run(laid_out.inputs(batch.rows, batch.counted))
            for batch in plan.batches(self.batch_size)
        ]
        return table.unmix(plan, self.task.answers(torch.cat(outputs)))

    def _places(
        self, table: RowTable, n_mux: int, regrouping: int, n_targets: int
    ) -> NDArray[np.int64]:
        """Return the place in its mixture at which each target of a table was predicted."""
        places = np.zeros(n_targets, np.int64)
        if not n_targets:
            return places
        plan = self.planner.plan(table, n_mux, None, regrouping)
        for place in range(n_mux):
            targets, kept = table.answers(plan.rows[:, [place]], plan.counted[:, [place]])
            places[targets[kept]] = place
        return places


def _in_order(parts: list[NDArray[np.int64]], results: list[Any]) -> Any:
    """Join the results of windows in the order of the rows."""
    numbers = np.concatenate(parts)
    if isinstance(results[0], list):
        joined = list(chain.from_iterable(results))
        return [joined[i] for i in np.argsort(numbers).tolist()]
    if issparse(results[0]):
        return vstack(results, format="csr")[np.argsort(numbers)]
    values = np.concatenate(results)
    ordered = np.empty_like(values)
    ordered[numbers] = values
    return ordered


def _regroupings(parts: list[NDArray[Any]], n_regroupings: int) -> NDArray[Any]:
    """Join what all windows gave, regrouping by regrouping."""
    return np.stack([np.concatenate(parts[i::n_regroupings]) for i in range(n_regroupings)])
