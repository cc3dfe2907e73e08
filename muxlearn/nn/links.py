"""Links: what turns a network's outputs into means, over the slots of a row and over passes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from muxlearn.nn._slots import mean_over_slots, slots_to_places

__all__ = ["LINKS", "average_answers", "decisions", "means"]

#: "softmax": outputs are logits of classes, and one class is right. "sigmoid": they are logits of
#: labels, and any number of labels is right. "identity": they are numbers.
LINKS = ("softmax", "sigmoid", "identity")


def _check(link: str) -> None:
    if link not in LINKS:
        raise ValueError(f"link={link!r} is not one of {LINKS}")


def means(outputs: Tensor, link: str) -> Tensor:
    """Return what outputs stand for: probabilities, or the numbers themselves.

    Parameters
    ----------
    outputs : Tensor of shape (..., n_outputs)
    link : {"softmax", "sigmoid", "identity"}

    Returns
    -------
    Tensor of float32, shape of `outputs`
    """
    _check(link)
    outputs = outputs.float()
    if link == "identity":
        return outputs
    return outputs.softmax(-1) if link == "softmax" else outputs.sigmoid()


def decisions(outputs: Tensor, link: str) -> Tensor:
    """Return what outputs decide for.

    Parameters
    ----------
    outputs : Tensor of shape (..., n_outputs)
    link : {"softmax", "sigmoid", "identity"}

    Returns
    -------
    Tensor
        The number of the most probable class, of shape (...); whether each label is more probable
        than not, of bool; or the numbers themselves.
    """
    _check(link)
    if link == "identity":
        return outputs
    return outputs.argmax(-1) if link == "softmax" else outputs > 0


def average_answers(outputs: Tensor, n_places: int, link: str = "softmax") -> Tensor:
    """Average the slots of each place of a mixture, as `means` of their outputs.

    Parameters
    ----------
    outputs : Tensor of shape (n_mixtures, n_slots, n_outputs)
    n_places : int
        Rows in a mixture; each stands in every `n_places`-th slot.
    link : {"softmax", "sigmoid", "identity"}, default="softmax"

    Returns
    -------
    Tensor of shape (n_mixtures, n_places, n_outputs)
        Outputs again, of which `means` gives the average: of classes their log-probabilities.
    """
    _check(link)
    n_slots = outputs.shape[1]
    if n_places == n_slots:
        return outputs
    # Half precision is too coarse for logarithms.
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    if link == "identity":
        return mean_over_slots(outputs, n_places, dim=1)
    if link == "softmax":
        return _log_mean(outputs.log_softmax(-1), n_places)
    yes, no = (_log_mean(F.logsigmoid(sign * outputs), n_places) for sign in (1, -1))
    return yes - no


def _log_mean(log_values: Tensor, n_places: int) -> Tensor:
    """Average over the slots of each place what is given, and returned, as logarithms."""
    n_slots = log_values.shape[1]
    padded = F.pad(log_values, (0, 0, 0, -n_slots % n_places), value=-math.inf)
    total = torch.logsumexp(padded.unflatten(1, (-1, n_places)), 1)
    return total - slots_to_places(total.new_ones(n_slots), n_places).log()[:, None]
