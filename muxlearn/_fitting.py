"""How the estimators are trained, and what `fit` leaves behind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from muxlearn._device import DeviceMixin, seeded
from muxlearn._params import (
    Boolean,
    Callbacks,
    Choice,
    Constraint,
    Integer,
    IntegerTuple,
    Number,
    OneOf,
    RandomState,
    check_parameters,
)
from muxlearn._sharded import agree_on, current_accelerator, n_processes, sharded_class
from muxlearn.nn.module import MuxModule
from muxlearn.prediction import Copies
from muxlearn.rows import Reader, RowTable, ranges, split_rows, take_rows
from muxlearn.tasks import Targets, Task

if TYPE_CHECKING:
    from muxlearn._net import MixtureData, MuxNet

__all__ = ["FittingMixin"]


class FittingMixin(DeviceMixin):
    """Training of a module on mixtures of rows, and the fitted state.

    What rows are is the business of the subclasses. A *reader* is what they learn of the rows
    before there is a module: a tokenizer, the statistics of pixels.
    """

    n_mux: int
    classes_: NDArray
    #: Set by `fit`, each of a kind of its own.
    _reader: Any
    _task: Any
    #: Score and speed by `n_mux`, None where they were not measured; see `operating_points_`.
    _measured: dict[int, dict[str, float]] | None = None

    #: The parameters that decide what the module looks like.
    _structure_names: ClassVar[tuple[str, ...]] = ()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **DeviceMixin._constraints,
        "n_mux": Integer(1),
        "learn_keys": Boolean(),
        "operating_points": OneOf(None, IntegerTuple(1)),
        "max_epochs": Integer(0),
        "batch_size": Integer(1),
        "lr": OneOf(Choice("auto"), Number(0, open_low=True)),
        "weight_decay": Number(0),
        "early_stopping": Boolean(),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "n_iter_no_change": Integer(1),
        "warm_start": Boolean(),
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

    # What a subclass says

    def _training_table(self, reader: Reader, rows: Any) -> RowTable:
        """Make checked rows ready for the mixtures of the training."""
        return reader.table(rows)

    def _build(self, rows: Any, extra: Any, n_classes: int) -> tuple[Reader, MuxModule]:
        """Build reader and module for checked rows, and for more of them without labels."""
        raise NotImplementedError

    def _warm_up(self, reader: Reader, module: MuxModule, rows: Any, seed: int) -> tuple[Any, bool]:
        """Train before the task; returns the history and whether it was interrupted."""
        return None, False

    def _complete(self, module: MuxModule, data: MixtureData) -> None:
        """Bring a module that was trained on `data` into its final state."""

    def _net_class(self) -> type[MuxNet]:
        """Return the class of the skorch net."""
        raise NotImplementedError

    def _net_options(self, module: MuxModule) -> dict[str, Any]:
        """Return what the net takes for the training of the task."""
        return {}

    def _lr(self, module: MuxModule) -> float:
        """Return the peak learning rate for a module."""
        raise NotImplementedError

    def _param_groups(self, module: MuxModule) -> list[tuple[str, dict[str, float]]]:
        """Learning rate and decay by parameter name; the first pattern that fits counts."""
        raise NotImplementedError

    # Training

    def _fit(self, targets: Targets, extra: Any, task: Task) -> NDArray[np.int64] | None:
        """Fit to what has been checked.

        Parameters
        ----------
        targets : Targets
            Rows of the task and what the network shall answer to them.
        extra : list or ndarray
            Rows that reader and warm-up learn from.
        task : Task

        Returns
        -------
        ndarray of int64, shape (n_valid,), or None
            Numbers of the rows that were set aside; None if there are none, or if the training was
            interrupted.
        """
        assert task.classes is not None
        rows, classes = targets.rows, task.classes
        if self.early_stopping and len(rows) == 1:
            raise ValueError("`early_stopping` sets rows aside, but `X` has only one")
        seed = agree_on(int(check_random_state(self.random_state).randint(2**31 - 1)))
        continued = self.warm_start and self.__sklearn_is_fitted__()
        with seeded(seed, self._device()):
            interrupted = False
            if continued:
                self._check_continues(classes)
                # A copy, so that a fit which fails leaves the former one as it is.
                reader, module = self._reader, copy.deepcopy(self.module_).train()
                warm_up_history = self._warm_up_history
            else:
                reader, module = self._build(rows, extra, len(classes))
                warm_up_history, interrupted = self._warm_up(reader, module, extra, seed)
            starts = np.cumsum(targets.n_of_row) - targets.n_of_row

            def data(part: NDArray[np.int64]) -> Any:
                from muxlearn._net import MixtureData

                table = self._training_table(reader, take_rows(rows, part))
                own = ranges(starts[part], targets.n_of_row[part])
                return MixtureData(table, targets.values[own], targets.weights[own])

            train, valid = np.arange(len(rows)), None
            if self.early_stopping:
                train, valid = split_rows(targets.strata, self.validation_fraction, seed)
            training_data = data(train)
            net = self._train(
                module,
                training_data,
                None if valid is None else data(valid),
                seed=seed + 1,
                description="training",
                max_epochs=0 if interrupted else self.max_epochs,
                callbacks=self._own_callbacks(),
                **self._net_options(module),
            )
            if net.history:
                self._complete(net.module_, training_data)
        history = net.history
        if continued:
            history = type(history)([*self.history_, *history])
        self._set_fitted(
            reader=reader,
            task=task,
            net=net,
            history=history,
            warm_up_history=warm_up_history,
            plan_seed=seed,
            structure=self._structure if continued else self._structure_params(),
        )
        return None if interrupted or getattr(net, "interrupted_", False) else valid

    def _check_continues(self, classes: NDArray) -> None:
        for name, value in self._structure_params().items():
            if value != self._structure[name]:
                raise ValueError(
                    f"`warm_start` goes on with {name}={self._structure[name]!r}, but `{name}` is "
                    f"{value!r} now; set warm_start=False to begin anew"
                )
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"`warm_start` goes on with the classes {self.classes_.tolist()}, but `y` holds "
                f"{classes.tolist()}; set warm_start=False to begin anew"
            )

    def _train(
        self,
        module: MuxModule,
        data: MixtureData,
        valid: MixtureData | None,
        *,
        seed: int,
        description: str,
        max_epochs: int,
        first_epoch: int = 0,
        schedule: Callable[[int], float] | None = None,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> MuxNet:
        """Compose a skorch net around `module` and fit it; returns the net."""
        if schedule is None:
            from muxlearn._net import LinearSchedule

            n_steps = max_epochs * -(-len(data) // (self.batch_size * n_processes()))
            schedule = LinearSchedule(max(1, n_steps))
        options |= {
            "seed": seed,
            "max_epochs": max_epochs,
            "callbacks": [
                *self._callbacks(schedule, description),
                *callbacks,
                # The last, since no callback behind it would hear of the end of the last epoch.
                *(self._early_stopping() if valid is not None else []),
            ],
        }
        accelerator = current_accelerator() if max_epochs > first_epoch else None
        net = self._compose_net(module, accelerator=accelerator, **options)
        net.initialize()
        if max_epochs <= first_epoch:
            return net
        from skorch.helper import predefined_split

        net.train_split = predefined_split(valid) if valid is not None else None
        with self._explain_out_of_memory():
            net.partial_fit(data, y=None, epochs=max_epochs - first_epoch)
        net.train_split = None  # or a pickle would carry the validation rows
        net.optimizer_.state.clear()  # as large as two more models, and of no use any more
        dict(net.callbacks_)["schedule"].lr_scheduler_ = None  # holds the weights once more
        return net if accelerator is None else self._without_accelerator(net, options)

    def _without_accelerator(self, net: Any, options: dict[str, Any]) -> MuxNet:
        """Return a net of one process around what several have trained."""
        net._unwrap_accelerator()
        plain = self._compose_net(net.module_, **options)
        plain.initialize()
        plain.history, plain.interrupted_ = net.history, net.interrupted_
        return plain

    def _compose_net(
        self,
        module: MuxModule,
        *,
        seed: int = 0,
        callbacks: Any = None,
        accelerator: Any = None,
        **options: Any,
    ) -> MuxNet:
        if self.verbose < 2:
            options["callbacks__print_log"] = None
        net_class, autocast = self._net_class(), self._autocast_dtype()
        if accelerator is None:
            options["device"] = str(self._device())
        else:
            net_class = sharded_class(net_class)
            options["accelerator"] = accelerator
            if accelerator.mixed_precision != "no":
                autocast = None  # its own is around the module
        return net_class(
            module,
            optimizer=torch.optim.AdamW,
            optimizer__betas=(0.9, 0.98),
            optimizer__fused=self._device().type in ("cpu", "cuda"),
            optimizer__weight_decay=self.weight_decay,
            optimizer__param_groups=self._param_groups(module),
            lr=self._lr(module),
            batch_size=self.batch_size,
            train_split=None,
            callbacks=callbacks,
            verbose=max(0, self.verbose - 1),
            operating_points=tuple(self.operating_points or (self.n_mux,)),
            seed=seed,
            autocast=autocast,
            **options,
        )

    def _callbacks(self, schedule: Callable[[int], float], description: str) -> list[Any]:
        from skorch.callbacks import GradientNormClipping, LRScheduler

        from muxlearn._net import RowProgress

        callbacks: list[Any] = [
            ("gradient_clipping", GradientNormClipping(1.0)),
            (
                "schedule",
                LRScheduler(
                    torch.optim.lr_scheduler.LambdaLR,
                    lr_lambda=schedule,
                    step_every="batch",
                    event_name=None,
                ),
            ),
        ]
        if self.verbose:
            callbacks.append(("progress", RowProgress(description)))
        return callbacks

    def _own_callbacks(self) -> list[Any]:
        """Copy the user's callbacks: skorch changes them as it runs, and a parameter stays."""
        try:
            return copy.deepcopy(list(self.callbacks or ()))
        except TypeError:
            # One holds what cannot be copied, such as the open file of a SummaryWriter.
            return [
                (given[0], copy.copy(given[1])) if isinstance(given, tuple) else copy.copy(given)
                for given in self.callbacks or ()
            ]

    def _early_stopping(self) -> list[Any]:
        from skorch.callbacks import EarlyStopping

        stopping = EarlyStopping(patience=self.n_iter_no_change, load_best=True, sink=_silent)
        return [("early_stopping", stopping)]

    # Fitted state

    @property
    def module_(self) -> MuxModule:
        """The fitted torch module."""
        check_is_fitted(self)
        return self.net_.module_

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has come to its end."""
        return hasattr(self, "net_")

    def _set_fitted(
        self,
        *,
        reader: Reader,
        task: Task,
        net: Any,
        history: Any,
        warm_up_history: Any,
        plan_seed: int,
        structure: dict[str, Any],
    ) -> None:
        """Set all that `fit` and `load` leave behind, at once."""
        net.module_.eval()
        if task.classes is not None:
            self.classes_ = task.classes
        self.net_ = net
        self._measured = None
        self.history_ = history
        self.n_iter_ = len(history)
        self._reader = reader
        self._task = task
        self._warm_up_history = warm_up_history
        self._plan_seed = plan_seed
        self._structure = structure
        self._copies = Copies()

    def _structure_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._structure_names}


def _silent(message: str) -> None:
    """Swallow what a callback would print."""
