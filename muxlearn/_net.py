"""The skorch net: batches of mixtures in, losses out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, PassthroughScoring
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset

from muxlearn.mixtures import plan_mixtures, training_batches
from muxlearn.nn.losses import weighted_cross_entropy
from muxlearn.rows import RowTable

__all__ = [
    "LinearSchedule",
    "MixtureData",
    "MuxNet",
    "RowProgress",
    "TrainingBatches",
    "progress_bar",
]


@dataclass(eq=False)
class MixtureData(Dataset):
    """Rows to form mixtures of, and what the module shall answer.

    Parameters
    ----------
    table : RowTable
    targets : ndarray of int64, shape (n_targets,), default=None
        The class of each row, or of each word of a table of pieces. None: the rows take part in
        the retrieval task alone.
    weights : ndarray of float32, shape (n_targets,), default=None
        What a target counts in the loss, 1 on average.
    """

    table: RowTable
    targets: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.table)

    def batch(
        self,
        rows: NDArray[np.int64],
        counted: NDArray[np.bool_] | None = None,
        training: bool = False,
    ) -> Any:
        """Collate mixtures into what a skorch step takes.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_mixtures, n_mux)
        counted : ndarray of bool, the same shape, default=None
            False where a row repeats another and shall not count again.
        training : bool, default=False
            Whether rows may come in variants.

        Returns
        -------
        inputs : dict of Tensor, each (n_mixtures, n_mux, ...)
        (targets, weights) : tuple of Tensor, each (n_answers,)
        """
        if self.targets is None or self.weights is None:
            counted = np.zeros(rows.shape, bool)
            targets, weights = np.zeros(0, np.int64), np.zeros(0, np.float32)
        else:
            answered, kept = self.table.answers(rows, counted)
            targets, weights = self.targets[answered], self.weights[answered] * kept
        if training:
            inputs = self.table.training_inputs(rows, counted)
        else:
            inputs = self.table.inputs(rows, counted)
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        return tensors, (torch.from_numpy(targets), torch.from_numpy(weights))


class TrainingBatches:
    """An iterable that draws new companions each time it is iterated over."""

    def __init__(
        self, data: MixtureData, points: tuple[int, ...], batch_size: int, seed: int
    ) -> None:
        self.data = data
        self.points = points
        self.batch_size = batch_size
        self.rng = np.random.default_rng(seed)
        self.share, self.n_shares = 0, 1

    def shard(self, share: int, n_shares: int) -> None:
        """Yield one share of batches that are `n_shares` times as large."""
        self.share, self.n_shares = share, n_shares

    def __iter__(self) -> Iterator[Any]:
        for rows in self._draw():
            # No share is larger than another: of few rows some mixtures stand in two of them.
            n_mixtures = -(-len(rows) // self.n_shares) * self.n_shares
            own = np.arange(self.share, n_mixtures, self.n_shares) % len(rows)
            yield self.data.batch(rows[own], training=True)

    def _draw(self) -> list[NDArray[np.int64]]:
        """Return the rows of each batch of the next epoch."""
        size = self.batch_size * self.n_shares
        return training_batches(self.data.table.lengths, self.points, size, self.rng)


class _ValidationBatches:
    """The mixtures of the validation rows, the same every epoch."""

    def __init__(self, data: MixtureData, n_mux: int, batch_size: int) -> None:
        self.data = data
        self.batch_size = batch_size
        self.plan = plan_mixtures(data.table.lengths, n_mux)

    def __iter__(self) -> Iterator[Any]:
        for part in self.plan.batches(self.batch_size):
            yield self.data.batch(part.rows, part.counted)


class MuxNet(NeuralNet):
    """Trains a multiplexed module on mixtures; the loss is the task's cross entropy.

    Parameters
    ----------
    operating_points : tuple of int
        Rows in a mixture; each training step takes one of them.
    seed : int
        Decides who is mixed with whom.
    autocast : torch.dtype or None
        Precision of the products in training.
    **kwargs
        For `skorch.NeuralNet`.
    """

    def __init__(
        self,
        *args: Any,
        operating_points: tuple[int, ...] = (1,),
        seed: int = 0,
        autocast: torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        self.operating_points = operating_points
        self.seed = seed
        self.autocast = autocast
        super().__init__(*args, criterion=nn.Identity, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        accuracy = PassthroughScoring("valid_acc", lower_is_better=False)
        return [*super()._default_callbacks, ("valid_acc", accuracy)]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # The same object as `module_`, which skorch keeps in a form that changes devices.
        state["module"] = None
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
            self.interrupted_ = True
            raise

    @property
    def _place(self) -> Any:
        """Return the device of the module."""
        return self.device

    @property
    def _bare_module(self) -> nn.Module:
        """Return the module without what training may have wrapped it in."""
        return self.module_

    def get_iterator(self, dataset: MixtureData, training: bool = False) -> Any:
        """Form mixtures: new ones each epoch in training, fixed ones in validation."""
        if training:
            return TrainingBatches(dataset, self.operating_points, self.batch_size, self.seed)
        return _ValidationBatches(dataset, max(self.operating_points), self.batch_size)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Any:
        """Run the module on mixtures; each input is of shape (n_mixtures, n_mux, ...)."""
        inputs = {name: values.flatten(0, 1).to(self._place) for name, values in x.items()}
        with self._precision():
            return self._run(inputs, next(iter(x.values())).shape[1])

    def _run(self, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run the module; each input is of shape (n_mixtures * n_mux, ...)."""
        return self.module_(**inputs, n_mux=n_mux)

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
                # than all else in a step.
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the cross entropy, and keep the accuracy of a validation batch."""
        targets, weights = (values.to(self._place) for values in y_true)
        if not training:
            hits = (y_pred.argmax(-1) == targets)[weights > 0]
            self.history.record_batch("valid_acc", hits.float().mean().item())
        return weighted_cross_entropy(y_pred, targets, weights)


class LinearSchedule:
    """A factor that rises from 0 to 1 over a tenth of the steps and falls to 0 over the rest.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.n_rising = max(1, n_steps // 10)

    def __call__(self, step: int) -> float:
        if step < self.n_rising:
            return (step + 1) / (self.n_rising + 1)
        return max(0.0, (self.n_steps - step) / max(1, self.n_steps - self.n_rising))


def progress_bar(total: int | None, description: str, *, show: bool, n_done: int = 0) -> Any:
    """Return a tqdm bar that counts rows; silent where nobody watches.

    Parameters
    ----------
    total : int or None
    description : str
    show : bool
        Show a bar on a terminal or in a notebook.
    n_done : int, default=0
        Rows to begin with, which do not count as speed.

    Returns
    -------
    tqdm.tqdm
    """
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        total=total,
        initial=n_done,
        desc=description,
        unit="row",
        unit_scale=True,
        disable=not (show and watched),
        leave=False,
    )


class RowProgress(Callback):
    """A progress bar over the rows of an epoch, with the training loss.

    Parameters
    ----------
    description : str
        What is going on, such as "warm-up".
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def on_epoch_begin(self, net: MuxNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Open the bar."""
        n_batches = -(-len(dataset_train) // net.batch_size)
        mean_point = sum(net.operating_points) / len(net.operating_points)
        batch_size = min(net.batch_size, len(dataset_train))
        label = f"{self.description} {len(net.history)}/{net.max_epochs}"
        self.bar_ = progress_bar(int(n_batches * batch_size * mean_point), label, show=True)

    def on_batch_end(self, net: MuxNet, batch: Any, training: bool, **kwargs: Any) -> None:
        """Move on by the rows of the batch."""
        if training:
            self.bar_.update(next(iter(batch[0].values())).shape[:2].numel())
            self.bar_.set_postfix(loss=f"{kwargs['loss'].item():.3f}", refresh=False)

    def on_epoch_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Close the bar."""
        self._close()

    def on_train_end(self, net: MuxNet, **kwargs: Any) -> None:
        """Close the bar of an interrupted epoch."""
        self._close()

    def _close(self) -> None:
        if getattr(self, "bar_", None) is not None:
            self.bar_.close()
            self.bar_ = None
