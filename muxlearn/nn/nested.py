"""A multiplexer and a demultiplexer in which a row alone passes unchanged."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.multiplex import Multiplexer

__all__ = ["NestedDemultiplexer", "NestedMultiplexer", "recognisable_maps"]


def recognisable_maps(n_maps: int, width: int) -> Tensor:
    """Draw maps that add a rotation of a vector to the vector itself.

    Layers that were trained on single vectors recognise what such maps write, and tell several of
    them apart.

    Parameters
    ----------
    n_maps, width : int

    Returns
    -------
    Tensor of shape (n_maps, width, width)
        They keep the length of a vector on average.
    """
    rotations = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n_maps)]
    return (torch.eye(width) + torch.stack(rotations)) / math.sqrt(2)


class NestedMultiplexer(Multiplexer):
    """Map each row by a key of its place, ``m = sum_i x_i W_i / sqrt(n)`` for n rows.

    The linear multiplexer of DataMUX (section 3.1). Unlike the others, n rows take the first n
    keys, and a row alone passes unchanged: an encoder reads it as it does without multiplexing.
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, width, learn_keys)
        keys = recognisable_maps(n_mux, width)
        self.keys = nn.Parameter(keys, requires_grad=learn_keys)  # (n_mux, width, width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        n_rows = x.shape[1]
        if n_rows == 1:
            return x[:, 0]
        side_by_side = x.transpose(1, 2).flatten(2)  # (n_mixtures, length, n_rows * width)
        return side_by_side @ (self.keys[:n_rows].flatten(0, 1) / math.sqrt(n_rows))


class NestedDemultiplexer(Demultiplexer):
    """Read the row at each place by a network that is told the place.

    ``f_i(h) = h + MLP([h; k_i])``: the RSA demultiplexer of MUX-PLMs (section 3.2), with a shortcut
    in place of its LayerNorm, so that it starts by passing the mixture on. A row alone in its
    mixture is passed on unchanged.
    """

    by_place = True
    passes_alone = True

    def __init__(self, n_mux: int, hidden_size: int) -> None:
        super().__init__(n_mux, hidden_size)
        self.mixture_in = nn.Linear(hidden_size, self.inner_size)
        self.keys = nn.Parameter(torch.randn(n_mux, self.inner_size) / 2)
        self.out = nn.Linear(self.inner_size, hidden_size)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    @property
    def inner_size(self) -> int:  # noqa: D102
        return 2 * self.hidden_size

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:  # noqa: D102
        n_reads = h.shape[1]
        if n_reads == 1:
            return h
        return h + self.out(F.gelu(self.mixture_in(h) + self.keys[:n_reads, None]))

    def gather(  # noqa: D102
        self,
        h: Tensor,
        prefix: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        extra: Tensor | None = None,
        n_places: int | None = None,
    ) -> Tensor:
        read = h.flatten(0, 1).index_select(0, positions)
        if (n_places or self.n_mux) == 1:
            return read
        x = self.mixture_in(h).flatten(0, 1).index_select(0, positions)
        x = self._add_extra(x + F.embedding(slots, self.keys), extra)
        return read + self.out(F.gelu(x))
