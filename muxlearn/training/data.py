"""Batches of mixtures for a training, and for its validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from muxlearn.mixtures import MixturePlan, training_batches, turns_of
from muxlearn.points import Point
from muxlearn.rows import RowTable

__all__ = ["BatchTargets", "MixtureData", "TrainingBatches", "ValidationBatches"]


class BatchTargets(Tensor):
    """The targets of a batch, of shape (n_targets,) or (n_targets, n_outputs), with their weights.

    A tensor, so that skorch's scoring callbacks take it as what is true.

    Attributes
    ----------
    weights : Tensor of shape (n_targets,)
    kept : Tensor of bool, shape (n_answers,), or None
        Which answers of the module the targets belong to; None stands for all of them.
    """

    weights: Tensor
    kept: Tensor | None

    @classmethod
    def weighted(cls, targets: Tensor, weights: Tensor, kept: Tensor | None = None) -> BatchTargets:
        """Return targets that know their weights."""
        made = targets.as_subclass(cls)
        made.weights, made.kept = weights, kept
        return made

    def parts(self, device: Any = None) -> tuple[Tensor, Tensor]:
        """Return targets and weights as plain tensors on a device."""
        return self.as_subclass(Tensor).to(device), self.weights.to(device)

    def counted(self) -> BatchTargets:
        """Return the targets whose weight is not zero: those of fillers are left out."""
        kept = self.weights > 0
        return BatchTargets.weighted(self.as_subclass(Tensor)[kept], self.weights[kept], kept)

    def answers(self, answers: Tensor) -> Tensor:
        """Return those of a module's answers that these are the targets of."""
        return answers if self.kept is None else answers[self.kept.to(answers.device)]


@dataclass(eq=False)
class MixtureData(Dataset):
    """Rows to form mixtures of, and their targets.

    Parameters
    ----------
    table : RowTable
    targets : ndarray of shape (n_targets,) or (n_targets, n_outputs), default=None
        The class of each row, or of each word of a table of pieces; shares of classes, labels or
        numbers of each row. None: the rows take part in the retrieval task alone.
    weights : ndarray of float32, shape (n_targets,), default=None
        What a target counts in the loss, 1 on average.
    """

    table: RowTable
    targets: NDArray[Any] | None = None
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.table)

    # What skorch's callbacks take for scores without cached predictions.

    @property
    def X(self) -> RowTable:
        """The rows."""
        return self.table

    @property
    def y(self) -> NDArray[Any] | None:
        """The targets, in the order of the rows."""
        return self.targets

    def batch(
        self,
        rows: NDArray[np.int64],
        counted: NDArray[np.bool_] | None = None,
        seed: Sequence[int] | None = None,
        patch_size: int | None = None,
    ) -> tuple[dict[str, Any], BatchTargets]:
        """Collate mixtures into what a skorch step takes.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_mixtures, n_mux)
        counted : ndarray of bool, the same shape, default=None
            False where a row repeats another and shall not count again.
        seed : sequence of int, default=None
            The seed of a step of training, in which rows may come in variants.
        patch_size : int, default=None
            Tokens of a row in a position, of a module that takes several.

        Returns
        -------
        inputs : dict of Tensor, each (n_mixtures, n_mux, ...)
            With `patch_size` as a number, if it is not None.
        targets : BatchTargets of shape (n_answers,)
        """
        inputs = self.inputs(rows, counted, seed, patch_size)
        return inputs, self._targets_of(rows, counted)

    def inputs(
        self,
        rows: NDArray[np.int64],
        counted: NDArray[np.bool_] | None = None,
        seed: Sequence[int] | None = None,
        patch_size: int | None = None,
    ) -> dict[str, Any]:
        """Return the inputs of `batch`, which takes the same arguments."""
        table = self.table.for_patches(patch_size or 1)
        arrays = table.inputs(rows, counted) if seed is None else table.training_inputs(rows, seed)
        inputs: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return inputs if patch_size is None else {**inputs, "patch_size": patch_size}

    def _targets_of(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None
    ) -> BatchTargets:
        if self.targets is None or self.weights is None:
            targets, weights = np.zeros(0, np.int64), np.zeros(0, np.float32)
        else:
            answered, kept = self.table.answers(rows, counted)
            targets, weights = self.targets[answered], self.weights[answered] * kept
        return BatchTargets.weighted(torch.from_numpy(targets), torch.from_numpy(weights))


class TrainingBatches:
    """An iterable that draws new companions each time it is iterated over.

    Batch `i` of epoch `e` depends on `seed`, `e` and `i` alone, wherever the training begins and
    whoever forms it.

    Parameters
    ----------
    data : MixtureData
    points : tuple of Point
        Each batch has one of them.
    batch_size : int
        Mixtures in a batch.
    seed : int
    first_step : int, default=0
        The step of the training to begin at.
    shares : tuple of float, default=None
        Share of the batches of each point; None: all the same.
    n_workers : int, default=0
        Processes that form batches ahead of the training.
    is_open : bool, default=False
        Whether `first_step` is behind the last step of an epoch that is not over, which then
        begins with no step.
    """

    def __init__(
        self,
        data: MixtureData,
        points: tuple[Point, ...],
        batch_size: int,
        seed: int,
        first_step: int = 0,
        shares: tuple[float, ...] | None = None,
        n_workers: int = 0,
        is_open: bool = False,
    ) -> None:
        self.data = data
        self.points = points
        self.batch_size = batch_size
        self.seed = seed
        self.shares = shares
        self.rng = np.random.default_rng(seed)
        self.epoch, self.first_step, self.is_open = 0, first_step, is_open
        self.share, self.n_shares, self.n_parts = 0, 1, 1
        self.loader = None if n_workers == 0 else self._start(n_workers)

    def _start(self, n_workers: int) -> DataLoader[Any]:
        return DataLoader(
            _Formed(self.data),
            sampler=_Orders(self),
            batch_size=None,
            num_workers=n_workers,
            persistent_workers=True,
            # Its own, as the global one belongs to the network.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def shard(self, share: int, n_shares: int, n_parts: int = 1) -> None:
        """Yield one share of batches that are `n_shares` times as large.

        Parameters
        ----------
        share, n_shares : int
        n_parts : int, default=1
            Batches are that many times as large again, and yielded in that many parts.
        """
        self.share, self.n_shares, self.n_parts = share, n_shares, n_parts

    def __iter__(self) -> Iterator[Any]:
        batches: Iterable[Any]
        if self.loader is None:
            batches = map(_Formed(self.data).__getitem__, self.orders())
        else:
            batches = self.loader
        for inputs, targets, weights in batches:
            yield inputs, BatchTargets.weighted(targets, weights)

    def orders(self) -> Iterator[_Order]:
        """Yield what each batch of the next epoch is formed of."""
        batches = self._draw()
        while self.first_step - self.is_open >= len(batches) * self.n_parts:
            self.first_step -= len(batches) * self.n_parts
            batches = self._draw()
        first, self.first_step, self.is_open = self.first_step, 0, False
        n_shares = self.n_shares * self.n_parts
        for number in range(first, len(batches) * self.n_parts):
            rows, patch_size = batches[number // self.n_parts]
            share = self.share + self.n_shares * (number % self.n_parts)
            # No share is larger than another: of few rows some mixtures stand in two of them.
            n_mixtures = -(-len(rows) // n_shares) * n_shares
            own = np.arange(share, n_mixtures, n_shares) % len(rows)
            yield rows[own], (self.seed, self.epoch, number, self.share), patch_size

    def _draw(self) -> list[tuple[NDArray[np.int64], int | None]]:
        """Return the rows and the patch size of each batch of the next epoch."""
        self.epoch += 1
        size = self.batch_size * self.n_shares * self.n_parts
        row_counts = tuple(p.n_mux for p in self.points)
        lengths = self.data.table.lengths
        batches = training_batches(lengths, row_counts, size, self.rng, self.shares)
        if all(point.patch_size == 1 for point in self.points):
            return [(rows, None) for rows in batches]
        # Points with the same number of rows take turns.
        counts = Counter(rows.shape[1] for rows in batches)
        turns = {n: self._patch_sizes(n, counts[n]) for n in dict.fromkeys(row_counts)}
        return [(rows, next(turns[rows.shape[1]])) for rows in batches]

    def _patch_sizes(self, n_mux: int, n_turns: int) -> Iterator[int]:
        sizes = [point.patch_size for point in self.points if point.n_mux == n_mux]
        if self.shares is None:
            return cycle(self.rng.permutation(sizes).tolist())
        pairs = zip(self.points, self.shares, strict=True)
        shares = [share for point, share in pairs if point.n_mux == n_mux]
        own = tuple(share / sum(shares) for share in shares)
        return (sizes[i] for i in turns_of(own, n_turns, self.rng))


#: The rows of a batch, (n_mixtures, n_mux), its seed and its patch size.
_Order = tuple[NDArray[np.int64], tuple[int, ...], int | None]


class _Orders(Sampler[Any]):
    """Hands out an epoch's orders, to the loader's workers."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[_Order]:
        return self.batches.orders()


class _Formed(TorchDataset[Any]):
    """Forms the batch of an order; its parts are plain tensors, which processes exchange."""

    def __init__(self, data: MixtureData) -> None:
        self.data = data

    def __getitem__(self, order: _Order) -> tuple[dict[str, Any], Tensor, Tensor]:
        rows, seed, patch_size = order
        inputs, targets = self.data.batch(rows, seed=seed, patch_size=patch_size)
        return inputs, *targets.parts()


class ValidationBatches:
    """The mixtures of some rows as a prediction forms them, the same each time.

    Parameters
    ----------
    data : MixtureData
    plan : MixturePlan
    batch_size : int
    patch_size : int, default=None
        Tokens of a row in a position, of a module that takes several.
    """

    def __init__(
        self,
        data: MixtureData,
        plan: MixturePlan,
        batch_size: int,
        patch_size: int | None = None,
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.plan = plan
        self.patch_size = patch_size

    def __iter__(self) -> Iterator[Any]:
        for part in self.plan.batches(self.batch_size):
            if self.data.targets is not None:
                inputs, targets = self.data.batch(
                    part.rows, part.counted, patch_size=self.patch_size
                )
                yield inputs, targets.counted()
                continue
            # A prediction also returns the answers of fillers; `unmix` drops them.
            yield self.data.inputs(part.rows, part.counted, patch_size=self.patch_size), None
