"""What the estimators share: parameters, device, seed, training, prediction, fitted state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from muxlearn._groups import check_groups, iterate_groups, stream_windows
from muxlearn._params import (
    Boolean,
    Callbacks,
    Choice,
    Constraint,
    Integer,
    IntegerTuple,
    Number,
    OneOf,
    PathName,
    RandomState,
    check_parameters,
)
from muxlearn.mixtures import plan_mixtures
from muxlearn.nn.module import MuxModule

if TYPE_CHECKING:
    from muxlearn._net import MixtureData, MuxNet
    from muxlearn._tables import RowTable

__all__ = ["MuxEstimator", "Runner", "seeded"]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class MuxEstimator(BaseEstimator):
    """Base class of the estimators; see `MuxTextClassifier` for the parameters."""

    n_mux: int
    backbone: str | os.PathLike | None
    device: str | torch.device
    dtype: str
    classes_: NDArray

    #: Rows that one window of a prediction holds at least; mixtures are planned inside a window.
    _window_rows: ClassVar[int] = 8192
    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_mux": Integer(1),
        "learn_keys": Boolean(),
        "backbone": OneOf(None, PathName()),
        "retrieval_weight": Number(0),
        "operating_points": OneOf(None, IntegerTuple(1)),
        "max_epochs": Integer(0),
        "batch_size": Integer(1),
        "lr": OneOf(Choice("auto"), Number(0, open_low=True)),
        "weight_decay": Number(0),
        "early_stopping": Boolean(),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "n_iter_no_change": Integer(1),
        "warm_start": Boolean(),
        "dtype": Choice("auto", *_DTYPES),
        "compile": Boolean(),
        "callbacks": OneOf(None, Callbacks()),
        "random_state": RandomState(),
        "verbose": OneOf(Boolean(), Integer(0)),
    }

    def _check_parameters(self) -> None:
        check_parameters(self.get_params(deep=False), self._constraints)
        too_many = [k for k in self.operating_points or () if k > self.n_mux]
        if too_many:
            raise ValueError(
                f"`operating_points` holds {too_many[0]}, which is above n_mux={self.n_mux}, the "
                "number of slots; raise `n_mux` or leave it out"
            )
        self._device()
        self._inference_dtype()

    # Device and precision

    def _device(self) -> torch.device:
        if isinstance(self.device, str) and self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if not isinstance(self.device, str | torch.device):
            raise TypeError(
                "`device` has to be 'auto', the name of a torch device or a torch.device, got "
                f"{self.device!r} ({type(self.device).__name__})"
            )
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise ValueError(
                f"`device` {self.device!r} is not a torch device; "
                "use 'auto', 'cpu', 'cuda' or 'cuda:1'"
            ) from error
        try:
            torch.zeros((), device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f"`device` is {str(self.device)!r}, but torch cannot compute on such a device "
                "here; use 'cpu', or 'auto' to take a GPU where there is one"
            ) from error
        return device

    def _inference_dtype(self) -> torch.dtype:
        device = self._device()
        if self.dtype == "auto":
            return torch.bfloat16 if device.type == "cuda" else torch.float32
        if self.dtype == "float16" and device.type == "cpu":
            raise ValueError("`dtype` 'float16' needs a GPU; on a CPU use 'bfloat16' or 'float32'")
        return _DTYPES[self.dtype]

    def _autocast_dtype(self) -> torch.dtype | None:
        """Return the precision of training, None for full; gradients overflow in float16."""
        full = self._inference_dtype() == torch.float32
        return None if full else torch.bfloat16

    # Training

    def _train(
        self,
        module: MuxModule,
        data: MixtureData,
        valid: MixtureData | None,
        *,
        seed: int,
        description: str,
        max_epochs: int,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> MuxNet:
        """Compose a skorch net around `module` and fit it; returns the net."""
        net = self._compose_net(
            module,
            seed=seed,
            max_epochs=max_epochs,
            callbacks=[
                *self._callbacks(len(data), max_epochs, valid is not None, description),
                *callbacks,
            ],
            **options,
        )
        net.initialize()
        if max_epochs == 0:
            return net
        from skorch.helper import predefined_split

        net.train_split = predefined_split(valid) if valid is not None else None
        with _explain_out_of_memory():
            net.partial_fit(data, y=None)
        net.train_split = None  # or a pickle would carry the validation rows
        net.optimizer_.state.clear()  # as large as two more models, and of no use any more
        dict(net.callbacks_)["schedule"].lr_scheduler_ = None  # holds the weights once more
        return net

    def _compose_net(
        self, module: MuxModule, *, seed: int = 0, callbacks: Any = None, **options: Any
    ) -> MuxNet:
        from muxlearn._net import MuxNet

        if self.verbose < 2:
            options["callbacks__print_log"] = None
        return MuxNet(
            module,
            optimizer=torch.optim.AdamW,
            optimizer__betas=(0.9, 0.98),
            optimizer__fused=self._device().type in ("cpu", "cuda"),
            optimizer__weight_decay=self.weight_decay,
            optimizer__param_groups=self._param_groups(),
            lr=self._lr(),
            batch_size=self.batch_size,
            train_split=None,
            callbacks=callbacks,
            verbose=max(0, self.verbose - 1),
            device=str(self._device()),
            operating_points=tuple(self.operating_points or (self.n_mux,)),
            seed=seed,
            autocast=self._autocast_dtype(),
            **options,
        )

    def _lr(self) -> float:
        if self.lr == "auto":
            return 5e-4 if self.backbone is None else 1e-4
        return float(self.lr)

    def _param_groups(self) -> list[tuple[str, dict[str, float]]]:
        """Learning rate and decay by parameter name; the first pattern that fits counts."""
        fresh = {} if self.backbone is None else {"lr": _FRESH_LR_FACTOR * self._lr()}
        groups: list[tuple[str, dict[str, float]]] = []
        if self.backbone is not None:
            groups.append(("encoder.*.bias", {"weight_decay": 0.0}))
            groups.append(("encoder.*[Nn]orm.weight", {"weight_decay": 0.0}))
            groups.append(("encoder.*", {}))
        for pattern in ("*bias", "*norm.weight", "*norm_weight", "*keys", "*embedding.weight"):
            groups.append((pattern, {"weight_decay": 0.0, **fresh}))
        return [*groups, ("*", fresh)]

    def _callbacks(
        self, n_rows: int, max_epochs: int, validated: bool, description: str
    ) -> list[Any]:
        from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler

        from muxlearn._net import LinearSchedule, RowProgress

        n_steps = max(1, max_epochs * -(-n_rows // self.batch_size))
        callbacks: list[Any] = [
            ("gradient_clipping", GradientNormClipping(1.0)),
            (
                "schedule",
                LRScheduler(
                    torch.optim.lr_scheduler.LambdaLR,
                    lr_lambda=LinearSchedule(n_steps),
                    step_every="batch",
                    event_name=None,
                ),
            ),
        ]
        if validated:
            stopping = EarlyStopping(patience=self.n_iter_no_change, load_best=True, sink=_silent)
            callbacks.append(("early_stopping", stopping))
        if self.verbose:
            callbacks.append(("progress", RowProgress(description)))
        return callbacks

    # Prediction

    def _predict_n_mux(self, n_mux: int | None) -> int:
        capacity = self.module_.n_mux
        if n_mux is None:
            return capacity
        constraint = Integer(1, capacity)
        if not constraint.accepts(n_mux):
            error = constraint.complain("n_mux", n_mux)
            raise type(error)(f"{error}; this model was built with {capacity} slots")
        return int(n_mux)

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
        n_mux: int | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: Literal["predict", "predict_proba"] = "predict",
    ) -> Iterator[Any]:
        """Predict a stream of rows of any length in constant memory.

        Parameters
        ----------
        X : iterable
            Rows as in `fit`; read as results are asked for, some thousand rows ahead.

        n_mux, n_passes
            As in `predict`.

        groups : iterable, default=None
            As in `predict`, one for each row.

        method : {"predict", "predict_proba"}, default="predict"
            What to yield.

        Yields
        ------
        One result for each row, in order.
        """
        check_is_fitted(self)
        methods = Choice("predict", "predict_proba")
        if not methods.accepts(method):
            raise methods.complain("method", method)
        n_mux = self._predict_n_mux(n_mux)
        n_passes = self._check_n_passes(n_passes)
        labels = None if groups is None else iterate_groups(groups)
        windows = stream_windows(
            self._iterate_rows(X), labels, self._window_size(n_mux), self._check_rows
        )
        results = self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes)
        finish = self._labels if method == "predict" else self._probabilities
        return (result for log_proba in results for result in finish(log_proba))

    def _iterate_rows(self, X: Any) -> Iterator[Any]:
        """Iterate over rows as the user gives them, not yet checked."""
        raise NotImplementedError

    def _check_rows(self, X: Any, *, first_row: int = 0) -> list[Any]:
        """Check rows and return them as a list."""
        raise NotImplementedError

    def _table(self, tokenizer: Any, rows: list[Any]) -> RowTable:
        """Make checked rows ready to be mixed."""
        raise NotImplementedError

    def _per_row(self, rows: list[Any], log_proba: NDArray[np.float64]) -> Any:
        """Arrange the log-probabilities of a table's targets by the user's rows."""
        return log_proba

    def _labels(self, log_proba: Any) -> Any:
        """Return the labels of some rows, given what `_per_row` returned."""
        raise NotImplementedError

    def _probabilities(self, log_proba: Any) -> Any:
        """Return the probabilities of some rows, given what `_per_row` returned."""
        raise NotImplementedError

    def _log_proba_parts(
        self, X: Iterable[Any], n_mux: int | None, groups: ArrayLike | None, n_passes: int
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Predict all rows of `X`; yield numbers of rows, and what `_per_row` says of them."""
        check_is_fitted(self)
        n_mux = self._predict_n_mux(n_mux)
        n_passes = self._check_n_passes(n_passes)
        rows = self._check_rows(X)
        codes = check_groups(groups, len(rows))
        # Groups one after the other, so that few mixtures are cut short by the end of a window.
        order = np.arange(len(rows)) if codes is None else np.argsort(codes, kind="stable")
        size = self._window_size(n_mux)
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        windows = (
            ([rows[i] for i in part], None if codes is None else codes[part]) for part in parts
        )
        results = self._log_proba_windows(windows, n_mux=n_mux, n_passes=n_passes, total=len(rows))
        return zip(parts, results, strict=True)

    def _log_proba_windows(
        self,
        windows: Iterable[tuple[list[Any], NDArray[np.int64] | None]],
        *,
        n_mux: int,
        n_passes: int,
        total: int | None = None,
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
        """
        from muxlearn._net import progress_bar

        check_parameters(self.get_params(deep=False), self._constraints)  # set since `fit`, maybe
        model = self._runner.model(
            self.module_, self._inference_dtype(), self._device(), self.compile
        )
        with progress_bar(total, "predict", show=bool(self.verbose)) as bar:
            for rows, codes in windows:
                table = self._table(self.tokenizer_, rows)
                log_proba = [
                    self._log_proba_pass(model, table, n_mux, codes, regrouping)
                    for regrouping in range(n_passes)
                ]
                bar.update(len(rows))
                yield self._per_row(rows, np.logaddexp.reduce(log_proba, axis=0) - np.log(n_passes))

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
        plan = plan_mixtures(
            table.lengths,
            n_mux,
            groups=table.row_groups(groups),
            seed=self._plan_seed,
            regrouping=regrouping,
        )
        device = next(model.parameters()).device
        parts = []
        with torch.inference_mode(), _explain_out_of_memory():
            for batch in plan.batches(self.batch_size):
                inputs = table.inputs(batch.rows, batch.counted)
                logits = model(
                    **{
                        name: torch.from_numpy(values).flatten(0, 1).to(device)
                        for name, values in inputs.items()
                    },
                    n_mux=n_mux,
                )
                parts.append(logits.float().cpu())
            log_proba = torch.cat(parts).double().log_softmax(-1).numpy()
        return table.unmix(plan, log_proba)

    # Fitted state

    @property
    def module_(self) -> MuxModule:
        """The fitted torch module."""
        check_is_fitted(self)
        return self.net_.module_

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has come to its end."""
        return hasattr(self, "net_")


#: New parts learn this many times faster than a pre-trained encoder.
_FRESH_LR_FACTOR = 5.0


class Runner:
    """Holds copies of a fitted module that are ready to predict; they never enter a pickle."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._model: MuxModule | None = None

    def model(
        self, module: MuxModule, dtype: torch.dtype, device: torch.device, compile: bool
    ) -> MuxModule:
        """Return `module` folded for inference, in `dtype`, on `device`."""
        # In-place changes of the weights raise their versions: a copy is never out of date.
        versions = sum(weights._version for weights in module.parameters())
        key = (id(module), versions, dtype, str(device), compile)
        if self._model is None or key != self._key:
            model = module.for_inference(dtype).to(device)
            if compile:
                model.compile(dynamic=True)
            self._key, self._model = key, model
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {"_key": None, "_model": None}


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and put its generators back afterwards.

    Parameters
    ----------
    seed : int
    device : torch.device
        The device whose generator is used besides the CPU's.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _explain_out_of_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            "the GPU has not enough memory for a batch; lower `batch_size` (mixtures in a batch), "
            f"`max_length` or, in training, `retrieval_samples`. ({error})"
        ) from error


def _silent(message: str) -> None:
    """Swallow what a callback would print."""
