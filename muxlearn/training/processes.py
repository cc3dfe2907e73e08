"""The skorch net on several processes: each trains on its share of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from accelerate import Accelerator

    from muxlearn.training.net import MuxNet

__all__ = [
    "agree_on",
    "current_accelerator",
    "n_accumulated",
    "n_processes",
    "sharded_class",
    "updates_per_epoch",
    "use_accelerator",
]

T = TypeVar("T")

_CURRENT: ContextVar[Any] = ContextVar("muxlearn_accelerator", default=None)


@contextmanager
def use_accelerator(accelerator: Accelerator) -> Iterator[None]:
    """Let every `fit` within the block train through an accelerator."""
    token = _CURRENT.set(accelerator)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_accelerator() -> Accelerator | None:
    """Return the accelerator of the block that runs, None outside of one."""
    return _CURRENT.get()


def n_processes() -> int:
    """Return the number of processes that train together, 1 outside of a block."""
    accelerator = current_accelerator()
    return 1 if accelerator is None else accelerator.num_processes


def n_accumulated() -> int:
    """Return the number of batches of each process that one update of the weights takes."""
    accelerator = current_accelerator()
    return 1 if accelerator is None else accelerator.gradient_accumulation_steps


def updates_per_epoch(n_rows: int, batch_size: int) -> int:
    """Return the number of updates of the weights in an epoch; each takes `n_accumulated` steps."""
    return -(-n_rows // (batch_size * n_processes() * n_accumulated()))


def agree_on(value: T) -> T:
    """Return the main process's value, which can be pickled, on all of them."""
    if n_processes() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def sharded_class(net_class: type[MuxNet]) -> type[MuxNet]:
    """Return a class of nets that train through the accelerator which they are given.

    Parameters
    ----------
    net_class : type
        A subclass of `MuxNet`.

    Returns
    -------
    type
        Takes `accelerator` besides.
    """
    import torch
    from skorch import NeuralNet
    from skorch.callbacks import LRScheduler
    from skorch.hf import AccelerateMixin

    from muxlearn.training.data import TrainingBatches

    class Sharded(AccelerateMixin, net_class):  # type: ignore[valid-type,misc]
        criterion_: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if kwargs.pop("callbacks__print_log", 0) is None:
                # The mixin sets its sink, which must be there then; `print` obeys `verbose`.
                kwargs["callbacks__print_log__sink"] = print
            # Kept wrapped until the last callback has run, which may load the best weights.
            super().__init__(*args, unwrap_after_train=False, **kwargs)

        def _initialize_accelerator(self) -> Any:
            # On several CPUs accelerate wraps what has no weights too, which torch refuses.
            criterion, self.criterion_ = self.criterion_, None
            try:
                return super()._initialize_accelerator()
            finally:
                self.criterion_ = criterion

        @property
        def _place(self) -> Any:
            return self.accelerator.device

        @property
        def _bare_module(self) -> Any:
            return self.accelerator.unwrap_model(self.module_)

        def get_iterator(self, dataset: Any, training: bool = False) -> Any:
            # Not the mixin's, which knows PyTorch's data loaders only.
            iterator = net_class.get_iterator(self, dataset, training)
            if isinstance(iterator, TrainingBatches):
                iterator.shard(
                    self.accelerator.process_index,
                    self.accelerator.num_processes,
                    self.accelerator.gradient_accumulation_steps,
                )
            return iterator

        # With accumulated gradients an update takes several batches. The mixin clears gradients
        # before each, and tells callbacks of each, which would clip them or step a schedule.

        @property
        def between_updates(self) -> bool:
            return self.accelerator.sync_gradients

        def _zero_grad_optimizer(self) -> None:
            # The accelerator has counted the batch that comes now.
            if (self.accelerator.step - 1) % self.accelerator.gradient_accumulation_steps == 0:
                for name in self._optimizers:
                    getattr(self, f"{name}_").optimizer.zero_grad()

        def notify(self, method_name: str, **cb_kwargs: Any) -> Any:
            if self.between_updates or not cb_kwargs.get("training"):
                return super().notify(method_name, **cb_kwargs)
            if method_name != "on_grad_computed":
                getattr(self, method_name)(self, **cb_kwargs)
                for _, callback in self.callbacks_:
                    if not isinstance(callback, LRScheduler):
                        getattr(callback, method_name)(self, **cb_kwargs)
            return self

        def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
            if not self.first_step:
                # Other rows, other dropout; the mixtures only depend on `seed`. A training that
                # goes on has the state of its generator from the checkpoint.
                torch.manual_seed(self.seed + self.accelerator.process_index)
            self.accelerator.step = 0
            return super().fit_loop(X, y, epochs=epochs, **kwargs)

        def train_step(self, batch: Any, **fit_params: Any) -> Any:
            return self._mean_loss(super().train_step(batch, **fit_params))

        def validation_step(self, batch: Any, **fit_params: Any) -> Any:
            # The same number everywhere, or one process might stop early and the others wait.
            return self._mean_loss(super().validation_step(batch, **fit_params))

        def evaluation_step(self, batch: Any, training: bool = False) -> Any:
            # Not gathered: every process validates on all rows.
            answers = self.objective.answers(
                NeuralNet.evaluation_step(self, batch, training=training)
            )
            return answers if batch[1] is None else batch[1].answers(answers)

        def _mean_loss(self, step: dict[str, Any]) -> dict[str, Any]:
            loss = self.accelerator.reduce(step["loss"].detach().clone(), "mean")
            return {**step, "loss": loss}

    return Sharded
