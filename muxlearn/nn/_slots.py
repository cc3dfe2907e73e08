"""Slots of a mixture and the rows that stand in them; the axes of a table of vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = [
    "mean_over_slots",
    "place_of_slot",
    "principal_axes",
    "slots_to_places",
    "start_from_components",
]


def place_of_slot(n_slots: int, n_places: int, device: torch.device | None = None) -> Tensor:
    """Say which row of a mixture stands in each slot.

    Parameters
    ----------
    n_slots : int
    n_places : int
        Rows in the mixture. Row `p` stands in the slots ``p, p + n_places, p + 2 * n_places, …``.
    device : torch.device, default=None

    Returns
    -------
    Tensor of int, shape (n_slots,)

    Raises
    ------
    ValueError
        If there are more rows than slots.
    """
    if n_places > n_slots:
        raise ValueError(
            f"{n_places} rows do not fit into the {n_slots} slots of a mixture: mix at most "
            f"{n_slots} rows"
        )
    return torch.arange(n_slots, device=device) % n_places


def slots_to_places(values: Tensor, n_places: int, dim: int = 0) -> Tensor:
    """Add up the slots that one row fills when fewer rows than slots are given.

    With `n_places` rows in a mixture of `n_mux` slots, row `p` stands in the slots
    ``p, p + n_places, p + 2 * n_places, …``.

    Parameters
    ----------
    values : Tensor
        Axis `dim` runs over the slots.
    n_places : int
        Rows in the mixture, at most the number of slots.
    dim : int, default=0
        The axis of the slots.

    Returns
    -------
    Tensor
        As `values`, with `n_places` entries along `dim`.

    Raises
    ------
    ValueError
        If there are more rows than slots.
    """
    n_slots = values.shape[dim]
    if n_places == n_slots:
        return values
    shape = list(values.shape)
    shape[dim] = n_places
    places = place_of_slot(n_slots, n_places, values.device)
    return values.new_zeros(shape).index_add(dim, places, values)


def mean_over_slots(values: Tensor, n_places: int, dim: int = 0) -> Tensor:
    """Average the slots that one row fills when fewer rows than slots are given.

    Parameters
    ----------
    values : Tensor
    n_places : int
    dim : int, default=0
        The axis of the slots.

    Returns
    -------
    Tensor
        As `values`, with `n_places` entries along `dim`.
    """
    n_slots = values.shape[dim]
    if n_places == n_slots:
        return values
    shape = [1] * values.ndim
    shape[dim] = n_places
    counts = slots_to_places(values.new_ones(n_slots), n_places).view(shape)
    return slots_to_places(values, n_places, dim) / counts


def principal_axes(table: Tensor) -> Tensor:
    """Return the directions along which the rows of a table vary, the widest first.

    Parameters
    ----------
    table : Tensor of shape (n_rows, width)

    Returns
    -------
    Tensor of shape (width, width)
        Orthonormal columns. A table of one row varies along none, and gets any.
    """
    spread = torch.cov(table.T, correction=min(1, len(table) - 1))
    _, vectors = torch.linalg.eigh(spread)
    return vectors.flip(1)


@torch.no_grad()
def start_from_components(embedding: nn.Embedding, table: Tensor) -> None:
    """Start a token table from the leading principal components of another.

    Parameters
    ----------
    embedding : nn.Embedding
        The table to fill. Its vectors get length 1 on average, by root mean square.
    table : Tensor of shape (vocab_size, width)
    """
    table = table.float()
    width = min(embedding.embedding_dim, table.shape[1])
    components = table @ principal_axes(table)[:, :width]
    components /= components.square().sum(1).mean().sqrt()
    embedding.weight[:, :width] = components
