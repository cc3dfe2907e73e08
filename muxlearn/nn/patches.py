"""Multiplex along two axes: rows of a mixture, and neighbouring tokens of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.multiplex import recognisable_maps

__all__ = [
    "FoldedPatches",
    "PatchMultiplexer",
    "PatchReader",
    "pool_rows",
    "sizes_to_fold",
    "split_into_patches",
]

#: Elements of the tables that patches of tokens are looked up in, for prediction, at most.
_MOST_FOLDED = 2**26


def sizes_to_fold(patch_sizes: tuple[int, ...], table_size: int) -> list[int]:
    """Choose the patch sizes that get tables of their own.

    Parameters
    ----------
    patch_sizes : tuple of int
        The model's own size comes first and is folded first; the others follow, smallest first.
    table_size : int
        Elements of the token table.

    Returns
    -------
    list of int
    """
    own, *others = patch_sizes
    chosen: list[int] = []
    for size in (own, *sorted(others)):
        if size > 1 and (sum(chosen) + size) * table_size <= _MOST_FOLDED:
            chosen.append(size)
    return chosen


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
    """Add up the neighbouring tokens of a row, each through a map of its own.

    ``x'_i[k] = sum_j T_j x_i[k P + j] / sqrt(P)``: the linear multiplexer of DataMUX (section 3.1,
    ``m = sum_i W_i x_i``), with tokens of one row in place of rows. Any multiplexer of rows `R` may
    follow, and ``W_ij = R_i T_j`` then is one linear multiplexer along both axes. Every patch size
    has maps of its own.

    Parameters
    ----------
    width : int
        Size of a vector.
    patch_sizes : iterable of int, default=()
        The patch sizes beside 1, which leaves vectors as they are.
    """

    def __init__(self, width: int, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        self.width = width
        self.maps = nn.ParameterDict(
            {
                str(size): nn.Parameter(recognisable_maps(size, width))
                for size in sorted({*patch_sizes} - {1})
            }
        )

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """The patch sizes that there are maps for."""
        return (1, *sorted(map(int, self.maps)))

    def forward(self, x: Tensor, mask: Tensor, patch_size: int = 1) -> tuple[Tensor, Tensor]:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_rows, length, width)
            Token vectors, any finite numbers at padding.
        mask : Tensor of bool, shape (n_mixtures, n_rows, length)
            False at padding, which adds nothing.
        patch_size : int, default=1

        Returns
        -------
        x : Tensor of shape (n_mixtures, n_rows, ceil(length / patch_size), width)
        mask : Tensor of bool, shape (n_mixtures, n_rows, ceil(length / patch_size))
            Where a row has a token.

        Raises
        ------
        ValueError
            If there are no maps for this patch size.
        """
        if patch_size not in self.patch_sizes:
            raise ValueError(f"patch_size={patch_size} is not one of {self.patch_sizes}")
        if patch_size == 1:
            return x, mask
        maps = self.maps[str(patch_size)].flatten(0, 1) / math.sqrt(patch_size)
        x = x * mask[..., None].to(x.dtype)
        x = split_into_patches(x, patch_size, 2).flatten(3) @ maps
        return x, split_into_patches(mask, patch_size, 2).any(3)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"width={self.width}, patch_sizes={self.patch_sizes}"


class FoldedPatches(nn.Module):
    """Token tables that a `PatchMultiplexer` has mapped beforehand, for prediction.

    A token vector then is looked up for its place in the patch, and nothing is multiplied. Each
    place takes a table of its own.

    Parameters
    ----------
    embedding : torch.nn.Embedding
        The encoder's token table.
    patches : PatchMultiplexer
    sizes : iterable of int
        The patch sizes to fold.
    """

    def __init__(
        self, embedding: nn.Embedding, patches: PatchMultiplexer, sizes: Iterable[int]
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        with torch.no_grad():
            for size in self.sizes:
                maps = patches.maps[str(size)] / math.sqrt(size)  # (size, width, width)
                table = (embedding.weight @ maps).flatten(0, 1)
                self.register_buffer(f"table_{size}", table, persistent=False)

    def forward(self, ids: Tensor, mask: Tensor, patch_size: int) -> tuple[Tensor, Tensor]:
        """Look up.

        Parameters
        ----------
        ids : Tensor of int, shape (n_mixtures, n_rows, length)
        mask : Tensor of bool, shape (n_mixtures, n_rows, length)
            False at padding.
        patch_size : int
            One of the folded sizes.

        Returns
        -------
        x, mask
            Those of `PatchMultiplexer.forward`.
        """
        table = getattr(self, f"table_{patch_size}")
        n_tokens = len(table) // patch_size
        ids = split_into_patches(ids, patch_size, 2)
        mask = split_into_patches(mask, patch_size, 2)
        rows = ids + n_tokens * torch.arange(patch_size, device=ids.device)
        x = F.embedding_bag(
            rows.flatten(0, 2),
            table,
            mode="sum",
            per_sample_weights=mask.flatten(0, 2).to(table.dtype),
        )
        return x.unflatten(0, rows.shape[:3]), mask.any(3)


class PatchReader(nn.Module):
    """Read the tokens of a patch off what the encoder made of it.

    ``g_j(h) = h + MLP([h; k_j; x_j])``: a network that is told which token of the patch is wanted
    and the token's own vector, where it has one. A token alone in its position passes unchanged.

    Parameters
    ----------
    width : int
        Size of a vector.
    own_size : int
        Size of a token's own vector; 0 for none.
    patch_sizes : iterable of int, default=()
        The patch sizes beside 1, which leaves vectors as they are.
    """

    def __init__(self, width: int, own_size: int, patch_sizes: Iterable[int] = ()) -> None:
        super().__init__()
        inner = 2 * width
        self.patch_in = nn.Linear(width, inner)
        self.own_in = nn.Linear(own_size, inner, bias=False) if own_size else None
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

    def forward(self, hidden: Tensor, own: Tensor | None, slots: Tensor, patch_size: int) -> Tensor:
        """Read.

        Parameters
        ----------
        hidden : Tensor of shape (n_tokens, width)
            What was read for the row at each token's position.
        own : Tensor of shape (n_tokens, own_size) or None
            The tokens' own vectors.
        slots : Tensor of int, shape (n_tokens,)
            Which token of its patch each is.
        patch_size : int

        Returns
        -------
        Tensor of shape (n_tokens, width)
        """
        if patch_size == 1:
            return hidden
        x = self.patch_in(hidden) + F.embedding(slots, self.keys[str(patch_size)])
        if self.own_in is not None and own is not None:
            x = x + self.own_in(own)
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
