"""Multiplex along two axes: rows of a mixture, and neighbouring tokens of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PatchDemultiplexer", "PatchMultiplexer", "Point", "pool_rows", "split_into_patches"]


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
    """Add up the tokens of a patch, then the rows of a mixture, each through a map of its own.

    ``m_k = sum_i R_i sum_j T_j x_i[k P + j]``: the linear multiplexer of DataMUX (section 3.1,
    ``m = sum_i W_i x_i``) along both axes, with ``W_ij = R_i T_j``. Every patch size has maps
    `T` of its own. Rows share one set of maps `R`: a mixture of N rows uses the first N. A single
    row and a patch of one token pass unchanged, so that at ``(1, 1)`` an encoder reads what it
    reads without multiplexing.

    Parameters
    ----------
    width : int
        Size of a vector.
    n_mux : int, default=1
        The largest number of rows in a mixture.
    patch_sizes : iterable of int, default=()
        The patch sizes beside 1.

    Notes
    -----
    A token's map starts as the identity plus a rotation, so that the layers of an encoder that
    was trained on single tokens recognise what they are given, and tell its parts apart.
    """

    def __init__(self, width: int, n_mux: int = 1, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        self.width = width
        self.n_mux = n_mux
        self.tokens = nn.ParameterDict(
            {str(size): _started_maps(size, width) for size in sorted({*patch_sizes} - {1})}
        )
        self.rows = nn.Parameter(_started_maps(n_mux, width)) if n_mux > 1 else None

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """The patch sizes that there are maps for."""
        return (1, *sorted(map(int, self.tokens)))

    def forward(self, x: Tensor, patch_size: int = 1) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_rows, length, width)
            Token vectors, zero at padding.
        patch_size : int, default=1

        Returns
        -------
        Tensor of shape (n_mixtures, ceil(length / patch_size), width)

        Raises
        ------
        ValueError
            If there are no maps for so many rows, or for this patch size.
        """
        n_rows = x.shape[1]
        if patch_size not in self.patch_sizes:
            raise ValueError(f"patch_size={patch_size} is not one of {self.patch_sizes}")
        if n_rows > self.n_mux:
            raise ValueError(f"{n_rows} rows in a mixture exceed n_mux={self.n_mux}")
        if patch_size > 1:
            maps = self.tokens[str(patch_size)]
            side_by_side = split_into_patches(x, patch_size, 2).flatten(3)
            x = side_by_side @ (maps.flatten(0, 1) / math.sqrt(patch_size))
        if n_rows == 1:
            return x[:, 0]
        assert self.rows is not None
        side_by_side = x.transpose(1, 2).flatten(2)  # (n_mixtures, n_patches, n_rows * width)
        return side_by_side @ (self.rows[:n_rows].flatten(0, 1) / math.sqrt(n_rows))

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"width={self.width}, n_mux={self.n_mux}, patch_sizes={self.patch_sizes}"


def _started_maps(n_maps: int, width: int) -> Tensor:
    rotations = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n_maps)]
    return (torch.eye(width) + torch.stack(rotations)) / math.sqrt(2)


class PatchDemultiplexer(nn.Module):
    """Read rows and tokens off the encoder's output by a network that is told which one.

    ``f_i(h) = h + MLP([h; k_i])``: the RSA demultiplexer of MUX-PLMs (section 3.2), with a shortcut
    in place of its LayerNorm, so that it starts by passing the mixture on. A row's key names the
    row of the mixture, a token's key the token of the patch; the two are added. A token is read
    with its own vector beside the mixture's. A row alone in its mixture, and a token alone in its
    position, are passed on unchanged.

    Parameters
    ----------
    width : int
        Size of a vector.
    n_mux : int, default=1
    patch_sizes : iterable of int, default=()
        As in `PatchMultiplexer`.
    """

    def __init__(self, width: int, n_mux: int = 1, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        inner = 2 * width
        self.mixture_in = nn.Linear(width, inner)
        self.own_in = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
        self.row_keys = nn.Parameter(torch.randn(n_mux, inner) / 2)
        self.token_keys = nn.ParameterDict(
            {
                str(size): nn.Parameter(torch.randn(size, inner) / 2)
                for size in sorted({*patch_sizes} - {1})
            }
        )

    def read_rows(self, pooled: Tensor) -> Tensor:
        """Read each row off the mean of its positions.

        Parameters
        ----------
        pooled : Tensor of shape (n_mixtures, n_rows, width)

        Returns
        -------
        Tensor of shape (n_mixtures, n_rows, width)
        """
        n_rows = pooled.shape[1]
        if n_rows == 1:
            return pooled
        return self._read(pooled, self.mixture_in(pooled) + self.row_keys[:n_rows])

    def read_tokens(
        self, hidden: Tensor, own: Tensor, row: Tensor, slot: Tensor, point: Point
    ) -> Tensor:
        """Read tokens off the positions that they stand in.

        Parameters
        ----------
        hidden : Tensor of shape (n_tokens, width)
            The encoder's output at each token's position.
        own : Tensor of shape (n_tokens, width)
            The tokens' vectors.
        row, slot : Tensor of int, shape (n_tokens,)
            Which row of the mixture, and which token of the patch.
        point : Point

        Returns
        -------
        Tensor of shape (n_tokens, width)
        """
        if point.factor == 1:
            return hidden
        x = self.mixture_in(hidden) + self.own_in(own)
        if point.n_mux > 1:
            x = x + F.embedding(row, self.row_keys)
        if point.patch_size > 1:
            x = x + F.embedding(slot, self.token_keys[str(point.patch_size)])
        return self._read(hidden, x)

    def _read(self, hidden: Tensor, x: Tensor) -> Tensor:
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
