"""Losses of multiplexed networks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["contrastive_logits", "cosine_loss", "retrieval_loss", "weighted_cross_entropy"]


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of the rows, each counted `weights` times.

    Parameters
    ----------
    logits : Tensor of shape (n_rows, n_classes)
    targets : Tensor of int, shape (n_rows,)
    weights : Tensor of shape (n_rows,)
        Weights around 1; the sum is divided by the number of rows of weight above 0, not by the
        sum of the weights, so that a heavy row stays heavy in a batch of heavy rows.

    Returns
    -------
    Tensor of shape ()
    """
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    return (losses * weights).sum() / (weights > 0).sum().clamp(min=1)


def retrieval_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of recovering the tokens of single rows from a mixture (DataMUX, eq. 3).

    Parameters
    ----------
    logits : Tensor of shape (..., vocab_size)
    targets : Tensor of int, shape (...)

    Returns
    -------
    Tensor of shape ()
    """
    return F.cross_entropy(logits.float().flatten(0, -2), targets.flatten())


def cosine_loss(vectors: Tensor, targets: Tensor) -> Tensor:
    """Mean of one minus the cosine between each vector and its target.

    Parameters
    ----------
    vectors, targets : Tensor of shape (..., size)

    Returns
    -------
    Tensor of shape ()
    """
    return 1 - F.cosine_similarity(vectors.float(), targets.float(), dim=-1).mean()


def contrastive_logits(vectors: Tensor, targets: Tensor, temperature: float = 0.05) -> Tensor:
    """Similarities of every vector to the targets of all rows (InfoNCE, van den Oord et al. 2018).

    Parameters
    ----------
    vectors, targets : Tensor of shape (n_rows, size)
    temperature : float, default=0.05
        Divides the cosines.

    Returns
    -------
    Tensor of shape (n_rows, n_rows)
        Row `i` is to choose column `i`.
    """
    vectors = F.normalize(vectors.float(), dim=-1)
    return vectors @ F.normalize(targets.float(), dim=-1).T / temperature
