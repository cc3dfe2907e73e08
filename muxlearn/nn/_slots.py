"""Slots of a mixture and the rows that stand in them; the axes of a table of vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "log_mean_over_slots",
    "mean_over_slots",
    "principal_axes",
    "slots_to_places",
    "start_from_components",
]


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
    """
    n_slots = values.shape[dim]
    if n_places == n_slots:
        return values
    shape = list(values.shape)
    shape[dim] = n_places
    place_of_slot = torch.arange(n_slots, device=values.device) % n_places
    return values.new_zeros(shape).index_add(dim, place_of_slot, values)


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


def log_mean_over_slots(logits: Tensor, n_places: int) -> Tensor:
    """Average the probabilities of the slots that one row fills.

    Parameters
    ----------
    logits : Tensor of shape (n_mixtures, n_slots, n_classes)
    n_places : int
        Rows in the mixture.

    Returns
    -------
    Tensor of shape (n_mixtures, n_places, n_classes)
        Logarithms of the means; `logits` themselves where each slot has a row of its own.
    """
    n_slots = logits.shape[1]
    if n_places == n_slots:
        return logits
    log_proba = logits.float().log_softmax(-1)
    spare = -n_slots % n_places
    log_proba = F.pad(log_proba, (0, 0, 0, spare), value=-math.inf)
    total = log_proba.unflatten(1, (-1, n_places)).logsumexp(1)  # (n_mixtures, n_places, classes)
    return total - slots_to_places(total.new_ones(n_slots), n_places).log()[:, None]


def principal_axes(table: Tensor) -> Tensor:
    """Return the directions along which the rows of a table vary, the widest first.

    Parameters
    ----------
    table : Tensor of shape (n_rows, width)

    Returns
    -------
    Tensor of shape (width, width)
        Orthonormal columns.
    """
    _, vectors = torch.linalg.eigh(torch.cov(table.T))
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
