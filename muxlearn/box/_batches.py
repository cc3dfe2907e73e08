"""Batches of one length, drawn on the device that trains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Batch", "BatchSampler"]

#: Kinds of rows and how often a batch is of each: a sentence, running text, two texts.
_KINDS = ("sentence", "running", "pair")
_SHARES = (0.45, 0.2, 0.35)
#: The lengths that texts are cut to, and those of a pair. A GPU prepares for every new shape of its
#: inputs (kernels that are loaded, plans, blocks of memory), so that there are not many.
_LENGTHS = (*range(3, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 127, 8))
_RUNNING_LENGTHS = (14, 22, 30, 46, 62, 94, 126, 158, 222)
_PAIR_LENGTHS = (4, 6, 9, 12, 16, 20, 28, 40)


class Batch(NamedTuple):
    """Rows of the same layout, so that nothing is padded.

    Attributes
    ----------
    ids : Tensor of int, shape (n_rows, length)
        With the special tokens.
    cut : int
        Where the second text begins; the length, if there is none.
    """

    ids: Tensor
    cut: int


class BatchSampler:
    """Draw sentences, stretches of running text, and pairs of texts.

    All rows of a batch have the same length, and pairs change over at the same token: no padding
    is computed, and no mask. Nothing is drawn but by arithmetic on the device's own arrays.

    Parameters
    ----------
    tokens : ndarray of uint16, shape (n_tokens,)
        All sentences, one after another, in the order of their documents.
    starts : ndarray of int, shape (n_sentences + 1,)
        Where each sentence begins, and the number of tokens.
    device : torch.device
    batch_tokens : int
        Tokens in a batch, about.
    most_rows : int, default=4096
        Rows in a batch, at most.
    first_id, last_id : int, default=101, 102
        The special tokens in front of a row and behind each text: BERT's.
    seed : int, default=0
    """

    def __init__(
        self,
        tokens: NDArray[np.uint16],
        starts: NDArray[np.int64],
        device: torch.device,
        batch_tokens: int,
        *,
        most_rows: int = 4096,
        first_id: int = 101,
        last_id: int = 102,
        seed: int = 0,
    ) -> None:
        lengths = _cut(np.diff(starts), _LENGTHS)
        order = np.argsort(lengths, kind="stable")
        self.bounds = np.searchsorted(lengths[order], np.arange(lengths.max() + 2))
        self.tokens = torch.from_numpy(tokens.astype(np.int32)).to(device)
        self.starts = torch.from_numpy(starts[:-1].astype(np.int64)).to(device)
        self.order = torch.from_numpy(order).to(device)
        self.device, self.batch_tokens, self.most_rows = device, batch_tokens, most_rows
        self.first_id, self.last_id = first_id, last_id
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator(device).manual_seed(seed)
        counts = np.diff(self.bounds)
        #: Sentences of a length are drawn in proportion to the tokens that they have together.
        self.weights = counts * np.arange(len(counts))

    def _length(self, among: tuple[int, ...]) -> int:
        """Draw a length."""
        present = [length for length in among if length < len(self.weights)]
        odds = self.weights[present]
        return int(self.rng.choice(present, p=odds / odds.sum()))

    def draw(self) -> Batch:
        """Draw a batch of a random kind."""
        kind = self.rng.choice(_KINDS, p=_SHARES)
        if kind == "pair":
            return self._pairs()
        if kind == "sentence":
            length = self._length(_LENGTHS)
            texts = self._at(self._sentences(length, self._n_rows(length + 2)), length)
        else:
            longest = len(self.tokens) // 4
            length = int(self.rng.choice([n for n in _RUNNING_LENGTHS if n <= longest]))
            n_rows = self._n_rows(length + 2)
            texts = self._at(self.starts[self._integers(len(self.starts), n_rows)], length)
        return Batch(self._framed(texts), length + 2)

    def _pairs(self) -> Batch:
        """Draw a text and what follows it, another, or the same with some tokens changed."""
        first = self._length(_PAIR_LENGTHS)
        second = first if self.rng.random() < 0.6 else self._length(_PAIR_LENGTHS)
        n_rows = self._n_rows(first + second + 3)
        begins = self._sentences(first, n_rows)
        texts, following = self._at(begins, first), self._at(begins + first, second)
        others = self._at(self._sentences(second, n_rows), second)
        n_rows = min(len(texts), len(others))
        texts, following, others = texts[:n_rows], following[:n_rows], others[:n_rows]
        which = self._uniform(n_rows, 1)
        seconds = torch.where(which < 0.35, following, others)
        if first == second:
            seconds = torch.where(which < 0.6, self._changed(texts, others), seconds)
        last = torch.full((n_rows, 1), self.last_id, device=self.device)
        ids = torch.cat([self._framed(texts), seconds, last], 1)
        return Batch(ids, first + 2)

    def _changed(self, texts: Tensor, others: Tensor) -> Tensor:
        """Exchange some tokens for those of other texts, or the two halves of a text."""
        n_rows, length = texts.shape
        rate = 0.4 * self._uniform(n_rows, 1)
        changed = torch.where(self._uniform(n_rows, length) < rate, others, texts)
        halves = texts.roll(length // 2, 1)
        return torch.where(self._uniform(n_rows, 1) < 0.2, halves, changed)

    def _n_rows(self, length: int) -> int:
        return max(1, min(self.most_rows, self.batch_tokens // length))

    def _sentences(self, length: int, n_rows: int) -> Tensor:
        """Return where sentences of a length begin; fewer than `n_rows`, if there are fewer."""
        first, end = int(self.bounds[length]), int(self.bounds[length + 1])
        if end - first <= n_rows:
            drawn = torch.randperm(end - first, generator=self.generator, device=self.device)
        else:
            drawn = self._integers(end - first, n_rows)
        return self.starts[self.order[first + drawn]]

    def _at(self, begins: Tensor, length: int) -> Tensor:
        begins = begins.clamp(max=len(self.tokens) - length)
        return self.tokens[begins[:, None] + torch.arange(length, device=self.device)].long()

    def _framed(self, texts: Tensor) -> Tensor:
        first = torch.full((len(texts), 1), self.first_id, device=self.device)
        last = torch.full((len(texts), 1), self.last_id, device=self.device)
        return torch.cat([first, texts, last], 1)

    def _integers(self, high: int, n: int) -> Tensor:
        return torch.randint(high, (n,), generator=self.generator, device=self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)


def _cut(lengths: NDArray[np.int64], to: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the largest of some lengths that each is not below; 0 where there is none."""
    known = np.array([0, *to])
    return known[np.searchsorted(known, lengths, side="right") - 1]
