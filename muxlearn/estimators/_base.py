"""The base class of the estimators."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import (
    Boolean,
    Callbacks,
    Choice,
    Constraint,
    Integer,
    Number,
    OneOf,
    RandomState,
    check_parameters,
)
from muxlearn._warnings import warn
from muxlearn.architectures import (
    Architecture,
    Setting,
    as_object,
    check_registered,
    make_architecture,
    unflatten,
)
from muxlearn.estimators import _saving, _sharing
from muxlearn.estimators._display import state_as_html
from muxlearn.estimators._fitting import make_trainer
from muxlearn.estimators._kinds import Kind
from muxlearn.nn.module import MuxModule
from muxlearn.points import WORDS, OperatingPoints, Point, PointsLike, as_point
from muxlearn.prediction import Copies, Measured, Planner, Predictor, TorchRunner
from muxlearn.rows import Reader
from muxlearn.tasks import Task
from muxlearn.training.devices import available, choose_device, choose_dtype
from muxlearn.training.optimizers import OptimizerChoice, make_optimizer

__all__ = ["MuxEstimator"]

#: The parameters that a prediction reads.
_OF_PREDICTION = {
    *("batch_size", "compile", "decode", "dtype", "label_pieces", "n_mux", "normalize", "verbose"),
}


class MuxEstimator(BaseEstimator):
    """Base class of the estimators; see `MuxTextClassifier` for the parameters.

    An estimator has a reader, an architecture and a task, which `fit` makes or is given, and hands
    out a Predictor of them as `predictor_`. What needs no override stands in modules of functions:
    training in `_fitting`, folders in `_saving`, the hub in `_sharing`, measurements in `_points`,
    streams in `_predicting`.

    Notes
    -----
    A subclass writes `fit` and the methods of prediction, and overrides nothing that is private
    here: what differs is asked of its `_kind` (see `Kind`), such as reader and module for checked
    rows.
    """

    architecture: Any
    device: str | torch.device
    dtype: str
    n_mux: Any
    operating_points: Any
    classes_: NDArray
    #: The reader and the task, which `fit` sets.
    _reader: Any
    _task: Any
    #: Score and speed by `n_mux`, None where they were not measured; see `measured_points_`.
    _measured: Measured | None = None

    #: What differs between the estimators.
    _kind: ClassVar[Kind]

    #: Defaults for estimators that lack these parameters.
    early_stopping: bool | int = False
    n_workers: int = 0
    warm_start: bool = False
    warm_up: int | str | None = None

    _constraints: ClassVar[dict[str, Constraint]] = {
        "dtype": Choice("auto", "float32", "bfloat16", "float16"),
        "n_mux": Integer(1),
        "operating_points": OneOf(None, OperatingPoints(rows_only=True)),
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

    save = _saving.save
    load: Any = classmethod(_saving.load)
    save_pretrained = _sharing.save_pretrained
    from_pretrained: Any = classmethod(_sharing.from_pretrained)
    push_to_hub = _sharing.push_to_hub

    # Where it computes

    def _device(self) -> torch.device:
        return choose_device(self.device)

    def _inference_dtype(self) -> torch.dtype:
        return choose_dtype(self.dtype, self._device())

    def _settle_device(self) -> None:
        """Fall back to "auto" where the saved device or dtype is not available, and warn."""
        device, dtype = available(self.device, self.dtype)
        if device != self.device:
            warn(
                f"this estimator was saved with device={str(self.device)!r}, on which torch "
                "cannot compute here; it now uses device='auto'",
            )
            self.device = device
        if dtype != self.dtype:
            warn(
                "this estimator was saved with dtype='float16', which needs a GPU; it now "
                "uses dtype='auto'",
            )
            self.dtype = dtype

    # Parameters

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        self._kind.mark(tags)
        return tags

    def set_params(self, **params: Any) -> Any:
        """Set parameters, including those of nested objects such as ``architecture__grid``.

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
                params[name] = as_object(name, given, image=self._kind.level == "image")
        return super().set_params(**params)

    def _check_parameters(self) -> None:
        check_parameters(self.get_params(deep=False), self._constraints)
        _check_callbacks(self.get_params(deep=False).get("callbacks"))
        setting = self._setting()
        _check_points(setting)
        device = self._device()
        self._inference_dtype()
        make_optimizer(self.optimizer).net_options(device.type)
        self._make_architecture().check(setting)

    def _make_architecture(self) -> Architecture:
        """Return the architecture that the parameter stands for."""
        return self._as_architecture(self.architecture)

    def _as_architecture(self, value: Any) -> Architecture:
        return make_architecture(value, image=self._kind.level == "image")

    def _architecture_of(self, module: MuxModule) -> Architecture:
        """Return the architecture that a module is of."""
        return self._make_architecture().for_module(module)

    def _setting(self) -> Setting:
        """Return what the architecture is told."""
        return self._kind.setting(self)

    def _idle_net(self, module: MuxModule, task: Task) -> Any:
        """Return a net around a module that is trained already."""
        architecture, classes = self._architecture_of(module), task.classes
        n_classes = None if classes is None else len(classes)
        trainer = make_trainer(self, self._setting(), architecture, module, n_classes=n_classes)
        return trainer.compose(module, self._kind.objective(self, module, task), max_epochs=0)

    # Fitted state

    @property
    def module_(self) -> MuxModule:
        """The fitted torch module."""
        check_is_fitted(self)
        return self.net_.module_

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` has finished."""
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
        self._trained_points = self.operating_points
        self.history_ = history
        # An interruption leaves an epoch whose loss was never summed up.
        self.n_iter_ = sum("train_loss" in epoch for epoch in history)
        self._reader = reader
        self._warm_up_history = warm_up_history
        self._plan_seed = plan_seed
        self._structure = structure
        self._copies = Copies()
        self._connect_net()

    def _set_trained_elsewhere(self, reader: Reader, task: Task, module: MuxModule) -> None:
        """Set the fitted state of a module that was trained before, and not here."""
        module.link = task.link
        net = self._idle_net(module, task)
        self._set_fitted(
            reader=reader,
            task=task,
            net=net,
            history=net.history,
            warm_up_history=None,
            plan_seed=0,
            structure=self._structure_params(),
        )

    def _connect_net(self) -> None:
        """Let the net read rows as users hold them, and mix them as a prediction does."""
        reader = self._reader  # not the estimator, which would live as long as its net
        self.net_.plan = self._planner().plan
        self.net_.read = lambda rows: reader.table(reader.check(rows))

    def _structure_params(self) -> dict[str, Any]:
        """Return all that decides what the module looks like, nested parameters by their path."""
        architecture = self._make_architecture()
        settled = architecture.settle(self._setting()).params
        params = {name: settled[name] for name in self._kind.structure_names}
        nested = {f"architecture__{n}": value for n, value in architecture.structure().items()}
        return {**params, "architecture": architecture.name, **nested, **self._kind.structure(self)}

    def _module_config(self) -> dict[str, Any]:
        """Return what rebuilding the module needs of `config.json`."""
        # By the structure, as the parameter may have been set since.
        check_registered(self._structure["architecture"])
        built = {n: v for n, v in self._structure.items() if n.partition("__")[0] == "architecture"}
        architecture = self._as_architecture(unflatten(built)["architecture"])
        return architecture.for_module(self.module_).config(self.module_)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" in state:
            # A pickle of an earlier version does not say what it was trained at.
            self.__dict__.setdefault("_trained_points", self.operating_points)
            self._settle_device()
            self._connect_net()

    @property
    def operating_point_(self) -> Point:
        """The `n_mux` and `patch_size` that a prediction has where it is given none."""
        return self.predictor_.resolve_point()

    @property
    def trained_points_(self) -> PointsLike | None:
        """The `operating_points` of `fit`, whatever has been set since."""
        check_is_fitted(self)
        return self._trained_points

    # What is shown

    def __dir__(self) -> list[str]:
        """Return the public names, without those of metadata routing where that is off."""
        routed = get_config()["enable_metadata_routing"]
        return [
            name
            for name in super().__dir__()
            if name.startswith("__") or not name.startswith("_")
            if routed or not (name.startswith("set_") and name.endswith("_request"))
        ]

    @property
    def _repr_html_(self) -> Any:
        diagram = super()._repr_html_  # no attribute where diagrams are switched off

        def shown() -> str:
            try:
                return diagram() + state_as_html(self)
            except (TypeError, ValueError):  # of a parameter that is not valid any more
                return f"<pre>{escape(repr(self))}</pre>"

        return shown

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        shown = {"text/plain": repr(self)}
        if get_config()["display"] == "diagram":
            shown["text/html"] = self._repr_html_()
        return shown

    @property
    def partial_fit(self) -> Any:
        """Raise AttributeError, as scikit-learn's tools expect of what has no such method.

        The error says why there is none, and what to do in its place.
        """
        name = type(self).__name__
        if "warm_start" not in self._get_param_names():
            raise AttributeError(f"a {name} has no partial_fit; call fit with all rows")
        raise AttributeError(
            f"a {name} has no partial_fit: its learning rate follows a schedule over all rows, "
            "and what learns from the latest rows alone forgets the earlier ones. Set "
            "warm_start=True and call fit with new and earlier rows together, which goes on with "
            "the weights of the last fit"
        )

    # Prediction

    @property
    def predictor_(self) -> Predictor:
        """The predictor of the fitted state and of the parameters as they are now."""
        check_is_fitted(self)
        return self._make_predictor(*self._kind.parts(self))

    def _make_predictor(
        self, reader: Reader, task: Task, *, penultimate: bool = False
    ) -> Predictor:
        """Return a predictor of a task, by outputs of the module or what its last layer reads."""
        # Parameters may have changed since `fit`; check those that a prediction reads.
        of_prediction = {n: c for n, c in self._constraints.items() if n in _OF_PREDICTION}
        check_parameters(self.get_params(deep=False), of_prediction)
        runner = TorchRunner(
            self.module_,
            dtype=self._inference_dtype(),
            device=self._device(),
            compile=self.compile,
            memory_advice=self._kind.memory_advice,
            copies=self._copies,
            penultimate=penultimate,
            by_words=as_point(self.n_mux) == WORDS,
        )
        return Predictor(
            runner,
            reader,
            task,
            self._planner(),
            batch_size=int(self.batch_size),  # a small integer of numpy's would overflow
            verbose=bool(self.verbose),
        )

    def _planner(self) -> Planner:
        """Return what plans the mixtures of a prediction."""
        return Planner(
            self._plan_seed, in_order=self.module_.in_order, window_rows=self._kind.window_rows
        )


def _check_callbacks(given: Sequence[Any] | None) -> None:
    """Raise for callbacks of skorch that read a batch as rows, which the net is not given."""
    if not given:
        return
    from skorch.callbacks import BatchScoring, InputShapeSetter

    advice = {
        BatchScoring: "take skorch.callbacks.EpochScoring",
        InputShapeSetter: "leave it out, as `fit` builds the network for the shape of the rows",
    }
    for item in given:
        callback = item[1] if isinstance(item, tuple) else item
        given_kind = callback if isinstance(callback, type) else type(callback)
        for kind, instead in advice.items():
            if issubclass(given_kind, kind):
                raise ValueError(
                    f"`callbacks` holds {given_kind.__name__}, which reads rows, but a batch of "
                    f"the training holds mixtures of them; {instead}"
                )


def _check_points(setting: Setting) -> None:
    """Check the operating points against capacity and patch size."""
    points, patch_size = setting.operating_points, setting.patch_size
    too_many = [point for point in points if point.n_mux > setting.n_mux]
    if too_many:
        raise ValueError(
            f"`operating_points` holds {too_many[0]}, which is above n_mux={setting.n_mux}, "
            "the number of slots; raise `n_mux` or leave it out"
        )
    sizes = sorted({point.patch_size for point in points} - {WORDS.patch_size})
    if not sizes:
        raise ValueError(
            "`operating_points` holds the words alone; add a point that runs the encoder, such "
            f"as ({setting.n_mux}, {patch_size})"
        )
    if patch_size not in sizes:
        raise ValueError(
            f"`patch_size` is {patch_size}, but no point of `operating_points` has it; set "
            f"patch_size={sizes[-1]}, with which `predict` then starts, or add a point"
        )
