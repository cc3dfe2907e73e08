"""The skorch net: batches of mixtures in, losses out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, PassthroughScoring
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset

from muxlearn.mixtures import MixturePlan, plan_mixtures
from muxlearn.points import WORDS, Point
from muxlearn.rows import RowTable
from muxlearn.training.data import (
    MixtureData,
    TrainingBatches,
    ValidationBatches,
)
from muxlearn.training.objectives import Objective

__all__ = ["MuxNet"]


class MuxNet(ClassifierMixin, NeuralNet):
    """Trains a multiplexed module on mixtures.

    What skorch does to rows it does here to mixtures of rows: scoring callbacks see each row of
    the validation once, and none of the fillers.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    operating_points : tuple of Point
        Each training step takes one of them.
    shares : tuple of float, default=None
        Share of the steps of each point but the words alone; None: all the same.
    seed : int
        Decides who is mixed with whom.
    autocast : torch.dtype or None
        Precision of the products in training.
    first_step : int, default=0
        The step at which an interrupted training continues.
    is_open : bool, default=False
        Whether the interrupted epoch has taken all its steps, but not ended its validation.
    n_workers : int, default=0
        Processes that form batches of the training.
    n_classes : int, default=None
        None where the module answers with something other than classes.
    **kwargs
        For `skorch.NeuralNet`.

    Attributes
    ----------
    read : callable or None
        Turns rows as users hold them into a `RowTable`; callbacks may predict during training.
    plan : callable or None
        Plans the mixtures of a table, at some `n_mux`, as the estimator's `predict` does.
    interrupted_ : bool
        Whether Ctrl-C has ended the training.
    """

    read: Callable[[Any], RowTable] | None = None
    plan: Callable[[RowTable, int], MixturePlan] | None = None
    interrupted_ = False

    def __init__(
        self,
        *args: Any,
        objective: Objective,
        operating_points: tuple[Point, ...] = (Point(),),
        shares: tuple[float, ...] | None = None,
        seed: int = 0,
        autocast: torch.dtype | None = None,
        first_step: int = 0,
        is_open: bool = False,
        n_workers: int = 0,
        n_classes: int | None = None,
        criterion: Any = nn.Identity,
        predict_nonlinearity: Any = None,
        **kwargs: Any,
    ) -> None:
        self.objective = objective
        self.operating_points = operating_points
        self.shares = shares
        self.seed = seed
        self.autocast = autocast
        self.first_step = first_step
        self.is_open = is_open
        self.n_workers = n_workers
        self.n_classes = n_classes
        super().__init__(
            *args,
            criterion=criterion,
            predict_nonlinearity=predict_nonlinearity or objective.probabilities,
            **kwargs,
        )

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        accuracy = [] if self.n_classes is None else ["valid_acc"]
        names = [*accuracy, *self.objective.scores]
        scores = [
            (name, PassthroughScoring(name, lower_is_better=False, on_train=name != "valid_acc"))
            for name in names
        ]
        losses = [(name, PassthroughScoring(name, on_train=True)) for name in self.objective.losses]
        return [*super()._default_callbacks, *scores, *losses]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # The same object as `module_`, which skorch keeps in a form that changes devices.
        state["module"] = None
        # Those belong to the estimator, which gives them back.
        state.pop("read", None)
        state.pop("plan", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.module = self.module_

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train; remembers an interruption in `interrupted_`."""
        self.interrupted_ = False
        try:
            return super().fit_loop(X, y, epochs=epochs, **kwargs)
        except KeyboardInterrupt:
            # skorch's EarlyStopping ends a training in the same way as Ctrl-C does.
            self.interrupted_ = not any(
                isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
                for _, callback in self.callbacks_
            )
            raise

    @property
    def _place(self) -> Any:
        """Return the device of the module."""
        return self.device

    @property
    def _bare_module(self) -> nn.Module:
        """Return the module without what training may have wrapped it in."""
        return self.module_

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield what is not frozen, with names."""
        named = super().get_all_learnable_params()
        return ((name, weights) for name, weights in named if weights.requires_grad)

    # Rows

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Return rows as a data set that mixtures can be formed from."""
        if isinstance(X, Dataset):
            return X
        if not isinstance(X, RowTable):
            if y is not None:
                raise TypeError(
                    "`net_` trains on mixtures that `fit` of the estimator has prepared, not on "
                    "rows; call that, which goes on with the weights if warm_start=True"
                )
            if self.read is None:
                raise ValueError(
                    "this net has lost what reads rows, as a pickled net does; predict with the "
                    "estimator"
                )
            X = self.read(X)
        return MixtureData(X)

    def get_iterator(self, dataset: MixtureData, training: bool = False) -> Any:
        """Form mixtures: new ones each epoch in training, fixed ones in validation."""
        points, size = self._trained_points, self.batch_size
        if not training:
            module = cast(Any, self._bare_module)
            patch_size: int | None = module.patch_sizes[0]
            n_mux = int(module.n_mux)
            if dataset.targets is not None or self.plan is None:
                point = max(points, key=lambda point: (point.factor, point.n_mux))
                n_mux, patch_size = point.n_mux, point.patch_size
            if self.plan is None:
                plan = plan_mixtures(dataset.table.lengths, n_mux)
            else:
                plan = self.plan(dataset.table, n_mux)
            if module.patch_sizes == (1,):
                patch_size = None
            return ValidationBatches(dataset, plan, size, patch_size)
        more = self.first_step, self.shares, self.n_workers, self.is_open
        return TrainingBatches(dataset, points, size, self.seed, *more)

    # Steps

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Any:
        """Run the module on mixtures; each tensor is of shape (n_mixtures, n_mux, ...)."""
        inputs = {
            name: values.flatten(0, 1).to(self._place) if isinstance(values, Tensor) else values
            for name, values in x.items()
        }
        with self._precision():
            return self.objective.run(self.module_, inputs, next(iter(x.values())).shape[1])

    @property
    def between_updates(self) -> bool:
        """Whether no gradient is waiting for an update of the weights."""
        return True

    @property
    def _trained_points(self) -> tuple[Point, ...]:
        """Return the points that steps take; the words alone learn beside each of them."""
        return tuple(point for point in self.operating_points if point != WORDS)

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        if self.autocast is None:
            yield
            return
        device_type = torch.device(self._place).type
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.autocast(device_type, self.autocast))
            if device_type == "cpu" and self.module_.training:
                # The backward pass of torch's fused attention in bfloat16 takes longer on a CPU
                # than the rest of a step.
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return what is minimised, and keep what the objective reports."""
        targets, weights = y_true.parts(self._place)
        if not training:
            if self.n_classes is not None:
                hits = self.objective.hits(y_pred, targets)[weights > 0]
                self.history.record_batch("valid_acc", hits.float().mean().item())
            return self.objective.task.loss(y_pred, targets, weights)
        loss, reported = self.objective.loss(self._bare_module, y_pred, targets, weights)
        for name, value in reported.items():
            self.history.record_batch(name, float(value))
        return loss

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step; callbacks see the answers to the task, whatever else there is."""
        step = super().train_step_single(batch, **fit_params)
        return {**step, "y_pred": self.objective.answers(step["y_pred"])}

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Return the loss and the answers of a batch, without those of fillers."""
        inputs, targets = batch
        self._set_training(False)
        with torch.no_grad():
            answers = targets.answers(self.objective.answers(self.infer(inputs, **fit_params)))
            loss = self.get_loss(answers, targets, X=inputs, training=False)
        return {"loss": loss, "y_pred": answers}

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Let a validation batch count by its targets; skorch counts mixtures, full or not."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        if not training:
            self.history.record_batch("valid_batch_size", len(batch[1]))

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return the answers of a batch, without those of fillers."""
        answers = self.objective.answers(super().evaluation_step(batch, training=training))
        return answers if batch[1] is None else batch[1].answers(answers)

    # Prediction

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if self.n_classes is None:
            tags.estimator_type = "regressor"  # or a scorer would ask for classes
        return tags

    @property
    def classes_(self) -> NDArray[np.int64]:
        """The numbers of the classes, which scorers of scikit-learn ask for."""
        if self.n_classes is None:
            raise AttributeError("this net predicts no classes")
        return np.arange(self.n_classes)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probabilities of the classes, or the numbers that the module answers.

        Parameters
        ----------
        X : sequence, RowTable or MixtureData
            Rows as the estimator's `predict` takes them.

        Returns
        -------
        ndarray of shape (n_targets, n_classes)
            In the order of the rows; of a `MixtureData` in that of the mixtures, which is also
            that of the targets that scoring callbacks gather.
        """
        dataset = self.get_dataset(X)
        answers = super().predict_proba(dataset)
        if dataset is X:
            return answers
        plan = self.get_iterator(dataset).plan
        if self.objective.task.link != "softmax":
            return dataset.table.unmix(plan, answers)
        with np.errstate(divide="ignore"):
            return np.exp(dataset.table.unmix(plan, np.log(answers.astype(np.float64))))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return what the module decides for, in the order of `predict_proba`.

        These are the numbers of the classes, or 0 and 1 where a row may have several labels, or
        numbers as the module answers them.
        """
        answers = self.predict_proba(X)
        if self.objective.task.link == "identity":
            return answers
        if self.objective.task.link == "sigmoid":
            return (answers > 0.5).astype(np.int64)
        return answers.argmax(-1)
