"""How the estimators are trained, and what `fit` leaves behind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from inspect import signature
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

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
from muxlearn.architectures import Architecture, Built, ParamGroups, Setting
from muxlearn.estimators import as_object
from muxlearn.mixtures import training_batches
from muxlearn.nn.module import MuxModule
from muxlearn.prediction import Copies
from muxlearn.rows import Reader, RowTable, ranges, split_rows, take_rows
from muxlearn.tasks import Targets, Task
from muxlearn.training.devices import DeviceMixin, seeded
from muxlearn.training.optimizers import OptimizerChoice, make_optimizer
from muxlearn.training.processes import agree_on

if TYPE_CHECKING:
    from muxlearn.training.trainer import Trainer

__all__ = ["FittingMixin"]

#: Epochs of a warm-up, and epochs without improvement before a training ends, where the user
#: leaves them to us.
_WARM_UP_EPOCHS, _PATIENCE = 5, 3


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

    #: What the module answers: "sequence", "token", "vector" or "image".
    _task_name: ClassVar[str]

    #: The parameters that decide what the module looks like, beside those of the architecture.
    _structure_names: ClassVar[tuple[str, ...]] = ()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **DeviceMixin._constraints,
        "n_mux": Integer(1),
        "operating_points": OneOf(None, IntegerTuple(1)),
        "max_epochs": Integer(0),
        "batch_size": Integer(1),
        "lr": OneOf(Choice("auto"), Number(0, open_low=True)),
        "optimizer": OptimizerChoice(),
        "early_stopping": OneOf(Boolean(), Integer(1)),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "warm_start": Boolean(),
        "compile": Boolean(),
        "callbacks": OneOf(None, Callbacks()),
        "random_state": RandomState(),
        "verbose": OneOf(Boolean(), Integer(0)),
    }

    def set_params(self, **params: Any) -> Any:
        """Set parameters; what is set of an object's, such as ``architecture__grid``, is nested.

        Parameters
        ----------
        **params
            A string whose parameters are set becomes the object that it stands for.

        Returns
        -------
        estimator
            The estimator itself.
        """
        for name in {key.partition("__")[0] for key in params if "__" in key}:
            if name in self._get_param_names():
                given = params.get(name, getattr(self, name))
                params[name] = as_object(name, given, image=self._task_name == "image")
        return super().set_params(**params)

    def _check_parameters(self) -> None:
        check_parameters(self.get_params(deep=False), self._constraints)
        too_many = [k for k in self.operating_points or () if k > self.n_mux]
        if too_many:
            raise ValueError(
                f"`operating_points` holds {too_many[0]}, which is above n_mux={self.n_mux}, the "
                "number of slots; raise `n_mux` or leave it out"
            )
        device = self._device()
        self._inference_dtype()
        make_optimizer(self.optimizer).net_options(device.type)
        self._make_architecture().check(self._setting())

    # What a subclass says

    def _training_table(self, reader: Reader, rows: Any) -> RowTable:
        """Make checked rows ready for the mixtures of the training."""
        return reader.table(rows)

    def _make_architecture(self) -> Architecture:
        """Return the architecture that the parameter stands for."""
        raise NotImplementedError

    def _build(self, rows: Any, extra: Any, n_classes: int) -> Built:
        """Build reader and module for checked rows, and for more of them without labels."""
        raise NotImplementedError

    def _architecture_of(self, module: MuxModule) -> Architecture:
        """Return the architecture that a module is of."""
        return self._make_architecture().for_module(module)

    # Training

    def _setting(self, **structure: Any) -> Setting:
        """Return what the architecture is told; `structure` takes the place of parameters."""
        params = self.get_params(deep=False) | structure
        n_mux = int(params["n_mux"])
        return Setting(
            task=self._task_name,
            n_mux=n_mux,
            operating_points=tuple(map(int, params["operating_points"] or (n_mux,))),
            params=params,
            defaults={name: p.default for name, p in signature(type(self)).parameters.items()},
        )

    def _trainer(self, architecture: Architecture, module: MuxModule, **options: Any) -> Trainer:
        """Return what trains a module, or goes on training one."""
        from muxlearn.training.trainer import Trainer

        setting = self._setting()
        lr = self.lr
        if lr == "auto":
            lr = architecture.learning_rate(setting, module)
        stopping = getattr(self, "early_stopping", False)
        classes = options.pop("classes", getattr(self, "classes_", None))
        return Trainer(
            **{
                "device": self._device(),
                "autocast": self._autocast_dtype(),
                "batch_size": self.batch_size,
                "operating_points": setting.operating_points,
                "lr": float(lr),
                "param_groups": self._param_groups(architecture, module, float(lr)),
                "optimizer": make_optimizer(self.optimizer),
                "patience": _PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping),
                "verbose": self.verbose,
                "n_classes": None if classes is None else len(classes),
                "memory_advice": self._memory_advice,
                **options,
            }
        )

    def _param_groups(
        self, architecture: Architecture, module: MuxModule, lr: float
    ) -> ParamGroups:
        """Return learning rate and decay by parameter name; the first pattern that fits counts."""
        return architecture.param_groups(self._setting(), module, lr)

    def _fit(self, targets: Targets, extra: Any, task: Task) -> NDArray[np.int64] | None:
        """Fit to what has been checked: build, warm up, train, and set what that leaves behind.

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
        from muxlearn.training.data import MixtureData
        from muxlearn.training.trainer import copy_callbacks

        assert task.classes is not None
        rows, classes = targets.rows, task.classes
        if self.early_stopping and len(rows) == 1:
            raise ValueError("`early_stopping` sets rows aside, but `X` has only one")
        seed = agree_on(int(check_random_state(self.random_state).randint(2**31 - 1)))
        continued = self.warm_start and self.__sklearn_is_fitted__()
        setting = self._setting()
        train, valid = np.arange(len(rows)), None
        if self.early_stopping:
            train, valid = split_rows(targets.strata, self.validation_fraction, seed)
        with seeded(seed, self._device()):
            if continued:
                self._check_continues(classes)
                # A copy, so that a fit which fails leaves the former one as it is.
                module = copy.deepcopy(self.module_).train()
                built = Built(self._reader, module, self._architecture_of(module))
            else:
                built = self._build(rows, extra, len(classes))
            reader, module, architecture = built
            starts = np.cumsum(targets.n_of_row) - targets.n_of_row

            def data(part: NDArray[np.int64]) -> MixtureData:
                table = self._training_table(reader, take_rows(rows, part))
                own = ranges(starts[part], targets.n_of_row[part])
                return MixtureData(table, targets.values[own], targets.weights[own])

            trainer = self._trainer(architecture, module, classes=classes)
            warm_up = None if continued else self._chosen_warm_up(architecture, module)
            warm_up_history, interrupted = None, False
            training_data = None
            if continued:
                warm_up_history = self._warm_up_history
            elif warm_up is not None:
                if warm_up.on_task:
                    training_data = data(train)
                net = trainer.train(
                    module,
                    warm_up.objective,
                    training_data or MixtureData(reader.table(extra)),
                    seed=seed,
                    description="warm-up",
                    max_epochs=self._warm_up_epochs(),
                    operating_points=warm_up.operating_points,
                )
                warm_up_history, interrupted = net.history, net.interrupted_
            training_data = training_data or data(train)
            net = trainer.train(
                module,
                architecture.objective(setting, module),
                training_data,
                None if valid is None else data(valid),
                seed=seed + 1,
                description="training",
                max_epochs=0 if interrupted else self.max_epochs,
                callbacks=copy_callbacks(self.callbacks),
            )
            if net.history:
                architecture.complete(setting, module, self._batches_of(training_data, module))
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

    def _idle_net(self, module: MuxModule, classes: NDArray | None) -> Any:
        """Return a net around a module that is trained already."""
        architecture = self._architecture_of(module)
        trainer = self._trainer(architecture, module, classes=classes)
        objective = architecture.objective(self._setting(), module)
        return trainer.compose(module, objective, max_epochs=0)

    def _warm_up_epochs(self) -> int:
        given = getattr(self, "warm_up", None)
        return _WARM_UP_EPOCHS if given == "auto" else int(given or 0)

    def _chosen_warm_up(self, architecture: Architecture, module: MuxModule) -> Any:
        """Return the training before the task, None where there is none."""
        if self._warm_up_epochs() == 0:
            return None
        asked_for = getattr(self, "warm_up", None) != "auto"
        return architecture.warm_up(self._setting(), module, asked_for=asked_for)

    def _batches_of(self, data: Any, module: MuxModule) -> Any:
        """Return a function that gives inputs of some training batches, at some `n_mux`."""

        def batches(n_mux: int, n_batches: int) -> Iterator[dict[str, torch.Tensor]]:
            device, lengths = next(module.parameters()).device, data.table.lengths
            drawn = training_batches(lengths, n_mux, self.batch_size, np.random.default_rng(0))
            for rows in islice(drawn, n_batches):
                inputs = data.table.inputs(rows)
                yield {
                    name: torch.from_numpy(values).flatten(0, 1).to(device)
                    for name, values in inputs.items()
                }

        return batches

    def _check_continues(self, classes: NDArray) -> None:
        now = self._structure_params()
        for name in {**self._structure, **now}:
            value, before = now.get(name), self._structure.get(name)
            if value != before:
                raise ValueError(
                    f"`warm_start` goes on with {name}={before!r}, but `{name}` is "
                    f"{value!r} now; set warm_start=False to begin anew"
                )
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"`warm_start` goes on with the classes {self.classes_.tolist()}, but `y` holds "
                f"{classes.tolist()}; set warm_start=False to begin anew"
            )

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
        self._task = task
        self.net_ = net
        self._measured = None
        self.history_ = history
        self.n_iter_ = len(history)
        self._reader = reader
        self._warm_up_history = warm_up_history
        self._plan_seed = plan_seed
        self._structure = structure
        self._copies = Copies()
        self._connect_net()

    def _connect_net(self) -> None:
        """Let the net read rows as users hold them, and mix them as a prediction does."""
        self.net_.plan = lambda table, n_mux: self.predictor_.planner.plan(table, n_mux)
        self.net_.read = lambda rows: self._reader.table(self._reader.check(rows))

    def _structure_params(self) -> dict[str, Any]:
        """Return all that decides what the module looks like, nested parameters by their path."""
        params = {name: getattr(self, name) for name in self._structure_names}
        architecture = self._make_architecture()
        nested = {f"architecture__{n}": value for n, value in architecture.structure().items()}
        return {**params, "architecture": architecture.name, **nested}
