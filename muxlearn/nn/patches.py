"""Multiplex along two axes: rows of a mixture, and neighbouring tokens of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.nested import recognisable_maps

__all__ = ["PatchMultiplexer", "PatchReader", "Point", "pool_rows", "split_into_patches"]


class Point(NamedTuple):
    """An operating point: what shares a position of the encoder.

    Attributes
    ----------
    n_mux : int
        Rows in a mixture, N.
    patch_size : int
        Neighbouring tokens of a row in one position, P.
    """

    n_mux: int = 1
    patch_size: int = 1

    @property
    def factor(self) -> int:
        """How many tokens share a position, ``N * P``."""
        return self.n_mux * self.patch_size

    @classmethod
    def of(cls, value: int | Sequence[int]) -> Point:
        """Return the point that an integer N, ``(N, 1)``, or a pair stands for."""
        return cls(value, 1) if isinstance(value, int) else cls(*value)


def split_into_patches(x: Tensor, patch_size: int, dim: int) -> Tensor:
    """Cut an axis into patches; the last one is filled with zeros.

    Parameters
    ----------
    x : Tensor
    patch_size : int
    dim : int
        The axis of the tokens, counted from the front.

    Returns
    -------
    Tensor
        As `x`, with ``(ceil(length / patch_size), patch_size)`` in place of `dim`.
    """
    missing = -x.shape[dim] % patch_size
    if missing:
        x = F.pad(x, (0, 0) * (x.ndim - dim - 1) + (0, missing))
    return x.unflatten(dim, (-1, patch_size))


class PatchMultiplexer(nn.Module):
    """Add up the tokens of a patch, each through a map of its own, then the rows of a mixture.

    ``m_k = sum_i R_i sum_j T_j x_i[k P + j]``: the linear multiplexer of DataMUX (section 3.1,
    ``m = sum_i W_i x_i``) along both axes, with ``W_ij = R_i T_j``. Every patch size has maps `T`
    of its own; `R` is any multiplexer of rows.

    Parameters
    ----------
    rows : Multiplexer
    patch_sizes : iterable of int, default=()
        The patch sizes beside 1.
    """

    def __init__(self, rows: Multiplexer, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        self.rows = rows
        self.tokens = nn.ParameterDict(
            {
                str(size): nn.Parameter(recognisable_maps(size, rows.width))
                for size in sorted({*patch_sizes} - {1})
            }
        )

    @property
    def n_mux(self) -> int:
        """The largest number of rows in a mixture."""
        return self.rows.n_mux

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """The patch sizes that there are maps for."""
        return (1, *sorted(map(int, self.tokens)))

    def forward(self, x: Tensor, mask: Tensor, patch_size: int = 1) -> tuple[Tensor, Tensor]:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_rows, length, width)
            Token vectors, anything at padding.
        mask : Tensor of bool, shape (n_mixtures, n_rows, length)
            False at padding, which adds nothing.
        patch_size : int, default=1

        Returns
        -------
        mixed : Tensor of shape (n_mixtures, ceil(length / patch_size), width)
        mask : Tensor of bool, shape (n_mixtures, n_rows, ceil(length / patch_size))
            Where a row has a token.

        Raises
        ------
        ValueError
            If there are no maps for so many rows, or for this patch size.
        """
        if patch_size not in self.patch_sizes:
            raise ValueError(f"patch_size={patch_size} is not one of {self.patch_sizes}")
        if x.shape[1] > self.n_mux:
            raise ValueError(f"{x.shape[1]} rows in a mixture exceed n_mux={self.n_mux}")
        if patch_size > 1:
            maps = self.tokens[str(patch_size)].flatten(0, 1) / math.sqrt(patch_size)
            x = x * mask[..., None].to(x.dtype)
            x = split_into_patches(x, patch_size, 2).flatten(3) @ maps
            mask = split_into_patches(mask, patch_size, 2).any(3)
        return self.rows.mix(x, mask), mask

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"patch_sizes={self.patch_sizes}"


class PatchReader(nn.Module):
    """Read the tokens of a patch off what the encoder made of it.

    ``g_j(h) = h + MLP([h; k_j; x_j])``: a network that is told which token of the patch is wanted,
    and the token's own vector. A token alone in its position is passed on unchanged.

    Parameters
    ----------
    width : int
        Size of a vector.
    patch_sizes : iterable of int, default=()
        As in `PatchMultiplexer`.
    """

    def __init__(self, width: int, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        inner = 2 * width
        self.patch_in = nn.Linear(width, inner)
        self.own_in = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
        self.keys = nn.ParameterDict(
            {
                str(size): nn.Parameter(torch.randn(size, inner) / 2)
                for size in sorted({*patch_sizes} - {1})
            }
        )

    def forward(self, hidden: Tensor, own: Tensor, slots: Tensor, patch_size: int) -> Tensor:
        """Read.

        Parameters
        ----------
        hidden : Tensor of shape (n_tokens, width)
            What was read for the row at each token's position.
        own : Tensor of shape (n_tokens, width)
            The tokens' vectors.
        slots : Tensor of int, shape (n_tokens,)
            Which token of its patch each is.
        patch_size : int

        Returns
        -------
        Tensor of shape (n_tokens, width)
        """
        if patch_size == 1:
            return hidden
        x = (
            self.patch_in(hidden)
            + self.own_in(own)
            + F.embedding(slots, self.keys[str(patch_size)])
        )
        return hidden + self.out(F.gelu(x))


def pool_rows(hidden: Tensor, mask: Tensor, patch_size: int = 1) -> Tensor:
    """Average the positions of each row, weighted by how many of its tokens stand there.

    Parameters
    ----------
    hidden : Tensor of shape (n_mixtures, n_patches, width)
    mask : Tensor of bool, shape (n_mixtures, n_rows, length)
        False at padding.
    patch_size : int, default=1

    Returns
    -------
    Tensor of shape (n_mixtures, n_rows, width)
    """
    counts = split_into_patches(mask, patch_size, 2).sum(3)  # (n_mixtures, n_rows, n_patches)
    weights = counts / counts.sum(2, keepdim=True).clamp(min=1)
    return weights.to(hidden.dtype) @ hidden
