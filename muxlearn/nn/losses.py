"""Losses of multiplexed networks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "REGRESSION_LOSSES",
    "contrastive_logits",
    "cosine_loss",
    "retrieval_loss",
    "weighted_binary_cross_entropy",
    "weighted_cross_entropy",
    "weighted_regression_loss",
]

#: Losses of numbers by name; "huber" is squared up to an error of 1 and absolute beyond.
REGRESSION_LOSSES: dict[str, Callable[..., Tensor]] = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
}


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of the rows, each counted `weights` times.

    Parameters
    ----------
    logits : Tensor of shape (n_rows, n_classes)
    targets : Tensor of int, shape (n_rows,), or of float, shape (n_rows, n_classes)
        The class of each row, or the share that each class has in it.
    weights : Tensor of shape (n_rows,)
        Weights around 1; the sum is divided by the number of rows of weight above 0, not by the
        sum of the weights, so that a heavy row stays heavy in a batch of heavy rows.

    Returns
    -------
    Tensor of shape ()
    """
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    return _weighted_mean(losses, weights)


def weighted_binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    label_weights: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of all labels of a row, added up, each row counted `weights` times.

    Parameters
    ----------
    logits : Tensor of shape (n_rows, n_labels)
    targets : Tensor of float, shape (n_rows, n_labels)
        1 for each label that a row has, 0 for the others.
    weights : Tensor of shape (n_rows,)
        As in `weighted_cross_entropy`.
    label_weights : Tensor of shape (2, n_labels), default=None
        What each label counts where it is absent, and where it is present.

    Returns
    -------
    Tensor of shape ()
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    if label_weights is not None:
        absent, present = label_weights
        losses = losses * (absent + targets * (present - absent))
    return _weighted_mean(losses.sum(-1), weights)


def weighted_regression_loss(
    outputs: Tensor, targets: Tensor, weights: Tensor, loss: str = "squared_error"
) -> Tensor:
    """Mean over the targets of a row, each row counted `weights` times.

    Parameters
    ----------
    outputs, targets : Tensor of shape (n_rows, n_targets)
    weights : Tensor of shape (n_rows,)
        As in `weighted_cross_entropy`.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"

    Returns
    -------
    Tensor of shape ()
    """
    losses = REGRESSION_LOSSES[loss](outputs.float(), targets, reduction="none")
    return _weighted_mean(losses.mean(-1), weights)


def _weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
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
    """Similarities of every vector to every target (InfoNCE, van den Oord et al. 2018).

    Parameters
    ----------
    vectors : Tensor of shape (n_vectors, size)
    targets : Tensor of shape (n_targets, size)
    temperature : float, default=0.05
        Divides the cosines.

    Returns
    -------
    Tensor of shape (n_vectors, n_targets)
    """
    vectors = F.normalize(vectors.float(), dim=-1)
    return vectors @ F.normalize(targets.float(), dim=-1).T / temperature
