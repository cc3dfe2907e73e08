"""What the estimators share: training, saving and, here, prediction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from muxlearn._operating_points import OperatingPointsMixin
from muxlearn._params import Choice, Integer, check_parameters
from muxlearn.mixtures import MixturePlan, plan_mixtures
from muxlearn.prediction import prepare_ahead
from muxlearn.rows import (
    RowTable,
    check_groups,
    group_windows,
    iterate_groups,
    stream_windows,
    take_rows,
)

__all__ = ["MuxEstimator"]


class MuxEstimator(OperatingPointsMixin):
    """Base class of the estimators; see `MuxTextClassifier` for the parameters."""

    #: Rows that one window of a prediction holds at least; mixtures are planned inside a window.
    _window_rows: ClassVar[int] = 8192

    @staticmethod
    def _check_n_passes(n_passes: int) -> int:
        if not Integer(1).accepts(n_passes):
            raise Integer(1).complain("n_passes", n_passes)
        return n_passes

    def _window_size(self, n_mux: int) -> int:
        return max(self._window_rows, 8 * self.batch_size * n_mux)

    def predict_iter(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: Literal["predict", "predict_proba"] = "predict",
        min_score: float | None = None,
    ) -> Iterator[Any]:
        """Predict a stream of rows of any length in constant memory.

        Parameters
        ----------
        X : iterable
            Rows as in `fit`; read as results are asked for, two windows of some thousand rows
            ahead. Mixtures are planned inside a window.

        n_mux, n_passes, min_score
            As in `predict`.

        groups : iterable, default=None
            As in `predict`, one for each row. What shares a window with whom depends on the order
            of the stream, so that other groups' rows may change a group's companions, which are
            still its own.

        method : {"predict", "predict_proba"}, default="predict"
            What to yield.

        Yields
        ------
        One result for each row, in order.
        """
        self._check_labels_rows("predict_iter")
        check_is_fitted(self)
        methods = Choice("predict", "predict_proba")
        if not methods.accepts(method):
            raise methods.complain("method", method)
        n_mux = self._predict_n_mux(n_mux, min_score)
        n_passes = self._check_n_passes(n_passes)
        labels = None if groups is None else iterate_groups(groups)
        windows = stream_windows(
            self._iterate_rows(X), labels, self._window_size(n_mux), self._check_rows
        )
        results = self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes)
        finish = self._labels if method == "predict" else self._probabilities
        return (result for log_proba in results for result in finish(log_proba))

    def predict_dataset(
        self,
        dataset: Any,
        output: str | os.PathLike,
        *,
        column: str | tuple[str, str] | None = None,
        groups: str | None = None,
        keep: Sequence[str] = (),
        n_mux: int | Literal["auto"] | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
        method: Literal["predict", "predict_proba"] = "predict",
        form: Literal["parquet", "csv"] = "parquet",
        rows_per_part: int = 100_000,
    ) -> Path:
        """Predict a data set larger than the memory into a folder, and go on after a kill.

        Parameters
        ----------
        dataset : datasets.Dataset, path, or list of paths
            A `datasets.Dataset`, which stays on the disk; or Parquet files, or CSV files with a
            line of names, as one file, a folder or a list. All columns of a CSV file are read as
            text.

        output : str or path
            The folder of the results, made if it is not there: ``part-000000.parquet`` and so on,
            in the order of the rows, in the columns `keep` and "prediction" or "probabilities".
            ``pandas.read_parquet(output)`` reads it back.

        column : str or (str, str), default=None
            The column of the rows, two for pairs of texts. None takes the only one there is, or
            "text".

        groups : str, default=None
            The column of the groups; rows of different groups never share a mixture.

        keep : sequence of str, default=()
            Columns that go on to the output, such as the key of a row.

        n_mux, n_passes, min_score
            As in `predict`. Operating points that are measured anew may choose another `n_mux`,
            with which the parts in `output` were not made.

        method : {"predict", "predict_proba"}, default="predict"
            What to write. Probabilities are lists in the order of `classes_`, of a tagger a list of
            such for each sentence.

        form : {"parquet", "csv"}, default="parquet"
            What to write it as. CSV has no lists, and takes labels of classifiers alone.

        rows_per_part : int, default=100000
            Rows of a part, raised to a multiple of a window's, inside of which mixtures are
            planned. A kill loses the work of one part at most.

        Returns
        -------
        Path
            `output`.

        Raises
        ------
        TypeError, ValueError
            A parameter, a column or a row is not what it has to be; the files differ in their
            columns; or the parts in `output` were made of other data, by another model or with
            other arguments.
        FileExistsError
            `output` holds other files.
        OSError
            The disk is full, for example. As after a kill, the same call goes on from the last
            whole part, and gives what it would have given at once.

        Examples
        --------
        >>> clf.predict_dataset("texts.parquet", "labels", keep=["id"])  # doctest: +SKIP
        >>> pandas.read_parquet("labels")  # doctest: +SKIP
        """
        from muxlearn.prediction import predict_dataset

        self._check_labels_rows("predict_dataset")
        return predict_dataset(
            self,
            dataset,
            output,
            column=column,
            groups=groups,
            keep=keep,
            n_mux=self._predict_n_mux(n_mux, min_score),
            n_passes=n_passes,
            method=method,
            form=form,
            rows_per_part=rows_per_part,
        )

    def _column_kind(self) -> str | None:
        """Say what a column of rows holds: "texts", "integers", "tokens"; None for anything."""
        return None

    def _iterate_rows(self, X: Any) -> Iterator[Any]:
        """Iterate over rows as the user gives them, not yet checked."""
        raise NotImplementedError

    def _check_rows(self, X: Any, *, first_row: int = 0) -> Any:
        """Check rows and return them as a list or an array."""
        raise NotImplementedError

    def _per_row(self, rows: Any, log_proba: NDArray[np.float64]) -> Any:
        """Arrange the log-probabilities of a table's targets by the user's rows."""
        return log_proba

    def _labels(self, log_proba: Any) -> Any:
        """Return the labels of some rows, given what `_per_row` returned."""
        raise NotImplementedError

    def _probabilities(self, log_proba: Any) -> Any:
        """Return the probabilities of some rows, given what `_per_row` returned."""
        raise NotImplementedError

    def _log_proba_parts(
        self,
        X: Iterable[Any],
        n_mux: int | str | None,
        groups: ArrayLike | None,
        n_passes: int,
        min_score: float | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Predict all rows of `X`; yield numbers of rows, and what `_per_row` says of them."""
        check_is_fitted(self)
        n_mux = self._predict_n_mux(n_mux, min_score)
        n_passes = self._check_n_passes(n_passes)
        return self._checked_parts(self._check_rows(X), n_mux, groups, n_passes)

    def _checked_parts(
        self, rows: Any, n_mux: int, groups: ArrayLike | None = None, n_passes: int = 1
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Predict checked rows, as `_log_proba_parts` does."""
        codes = check_groups(groups, len(rows))
        parts = group_windows(codes, len(rows), self._window_size(n_mux))
        windows = (
            (take_rows(rows, part), None if codes is None else codes[part]) for part in parts
        )
        results = self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes, total=len(rows))
        return zip(parts, results, strict=True)

    def _log_proba_windows(
        self,
        windows: Iterable[tuple[Any, NDArray[np.int64] | None]],
        *,
        n_mux: int,
        n_passes: int,
        total: int | None = None,
        n_done: int = 0,
    ) -> Iterator[Any]:
        """Yield the log-probabilities of one window after the other, arranged by `_per_row`.

        Parameters
        ----------
        windows : iterable of (rows, group codes or None)
            What is held in memory depends on the size of a window, not on their number.
        n_mux : int
        n_passes : int
        total : int, default=None
            Number of rows, for the progress bar.
        n_done : int, default=0
            How many of them an earlier run has predicted.
        """
        from muxlearn._net import progress_bar

        check_parameters(self.get_params(deep=False), self._constraints)  # set since `fit`, maybe
        model = self._inference_model()
        prepared = prepare_ahead(windows, lambda window: self._table(self._reader, window[0]))
        with progress_bar(total, "predict", show=bool(self.verbose), n_done=n_done) as bar:
            for (rows, codes), table in prepared:
                log_proba = [
                    self._log_proba_pass(model, table, n_mux, codes, regrouping)
                    for regrouping in range(n_passes)
                ]
                bar.update(len(rows))
                if n_passes == 1:  # as it is: a tagger's arrays are large
                    yield self._per_row(rows, log_proba[0])
                else:
                    yield self._per_row(rows, self._merge_passes(log_proba))

    def _inference_model(self) -> nn.Module:
        """Return the module as it predicts."""
        return self._runner.model(
            self.module_, self._inference_dtype(), self._device(), self.compile
        )

    def _plan(
        self, table: RowTable, n_mux: int, groups: NDArray[np.int64] | None, regrouping: int
    ) -> MixturePlan:
        """Decide which rows of a table share mixtures in one pass of a prediction."""
        return plan_mixtures(
            table.lengths,
            n_mux,
            groups=table.row_groups(groups),
            seed=self._plan_seed,
            regrouping=regrouping,
        )

    def _log_proba_pass(
        self,
        model: nn.Module,
        table: RowTable,
        n_mux: int,
        groups: NDArray[np.int64] | None,
        regrouping: int,
    ) -> NDArray[np.float64]:
        if not len(table):
            return np.empty((0, len(self.classes_)))
        plan = self._plan(table, n_mux, groups, regrouping)
        weights = next(model.parameters(), None)
        parts = []
        with torch.inference_mode(), self._explain_out_of_memory():
            for batch in plan.batches(self.batch_size):
                inputs = table.inputs(batch.rows, batch.counted)
                logits = model(
                    **{
                        name: _like(torch.from_numpy(values).flatten(0, 1), weights)
                        for name, values in inputs.items()
                    },
                    n_mux=n_mux,
                )
                parts.append(logits.float().cpu())
            answers = self._answers(torch.cat(parts))
        return table.unmix(plan, answers)

    def _answers(self, outputs: Tensor) -> NDArray[np.float64]:
        """Return what the module's outputs say: log-probabilities."""
        return outputs.double().log_softmax(-1).numpy()

    def _merge_passes(self, answers: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the answer of several passes together: here, the mean of the probabilities."""
        return np.logaddexp.reduce(answers, axis=0) - np.log(len(answers))


def _like(values: Tensor, weights: Tensor | None) -> Tensor:
    """Bring inputs to the weights' device and, where they are not whole numbers, precision."""
    if weights is None:  # those of an exported model are not torch's
        return values
    dtype = weights.dtype if values.is_floating_point() else values.dtype
    return values.to(weights.device, dtype)
