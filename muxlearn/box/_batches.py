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
#: A sentence that begins a batch has so many tokens, one of a pair at most so many.
_SHORTEST, _LONGEST, _LONGEST_OF_PAIR = 3, 126, 62
_LONGEST_RUNNING = 222


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
        lengths = np.diff(starts)
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
        weights = counts * np.arange(len(counts))
        self.sentence_odds = self._odds(weights, _LONGEST)
        self.pair_odds = self._odds(weights, _LONGEST_OF_PAIR)

    @staticmethod
    def _odds(weights: NDArray, longest: int) -> NDArray[np.float64]:
        lengths = np.arange(len(weights))
        odds = np.where((lengths >= _SHORTEST) & (lengths <= longest), weights, 0).astype(float)
        return odds / odds.sum()

    def draw(self) -> Batch:
        """Draw a batch of a random kind."""
        kind = self.rng.choice(_KINDS, p=_SHARES)
        if kind == "pair":
            return self._pairs()
        if kind == "sentence":
            length = int(self.rng.choice(len(self.sentence_odds), p=self.sentence_odds))
            texts = self._at(self._sentences(length, self._n_rows(length + 2)), length)
        else:
            longest = min(_LONGEST_RUNNING, len(self.tokens) // 4)
            length = int(np.exp(self.rng.uniform(np.log(12), np.log(longest))))
            n_rows = self._n_rows(length + 2)
            texts = self._at(self.starts[self._integers(len(self.starts), n_rows)], length)
        return Batch(self._framed(texts), length + 2)

    def _pairs(self) -> Batch:
        """Draw a text and what follows it, another, or the same with some tokens changed."""
        first, second = self.rng.choice(len(self.pair_odds), 2, p=self.pair_odds)
        if self.rng.random() < 0.6:
            second = first
        n_rows = self._n_rows(first + second + 3)
        begins = self._sentences(int(first), n_rows)
        texts, following = self._at(begins, int(first)), self._at(begins + first, int(second))
        others = self._at(self._sentences(int(second), n_rows), int(second))
        n_rows = min(len(texts), len(others))
        texts, following, others = texts[:n_rows], following[:n_rows], others[:n_rows]
        which = self._uniform(n_rows, 1)
        seconds = torch.where(which < 0.35, following, others)
        if first == second:
            seconds = torch.where(which < 0.6, self._changed(texts, others), seconds)
        last = torch.full((n_rows, 1), self.last_id, device=self.device)
        ids = torch.cat([self._framed(texts), seconds, last], 1)
        return Batch(ids, int(first) + 2)

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
