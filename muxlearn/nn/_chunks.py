"""Chunks, which keep the memory of a prediction flat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_chunks"]


def in_chunks(
    run: Callable[..., Tensor], size: int, *tensors: Tensor | None, cost: int = 1
) -> Tensor:
    """Apply a function to some entries at a time, or to all of them where gradients are on.

    A backward pass keeps what the function computes for all entries anyway. A graph is exported
    with gradients on, since it would have as many chunks as the example that it is traced with.

    Parameters
    ----------
    run : callable
        Maps entries of `tensors` to a tensor with an entry, or as many, for each of them.
    size : int
        What the entries of a chunk may cost together. A chunk has one entry at least.
    *tensors : Tensor or None
        Tensors of as many entries as the first, which must not be None.
    cost : int, default=1
        What an entry costs.

    Returns
    -------
    Tensor
    """
    first = tensors[0]
    assert first is not None
    # The cost may be the size of an axis that a graph leaves open: look at it last.
    if torch.is_grad_enabled() or len(first) * cost <= size:
        return run(*tensors)
    step = max(1, size // cost)
    parts = [
        run(*(None if t is None else t[start : start + step] for t in tensors))
        for start in range(0, len(first), step)
    ]
    return torch.cat(parts)
