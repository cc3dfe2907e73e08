"""Start a backbone as one narrow network for each slot."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["separate_slots", "slots_of_units"]


def slots_of_units(n_units: int, n_mux: int) -> Tensor:
    """Share units out to the slots, in order and as evenly as can be.

    Parameters
    ----------
    n_units : int
        At least `n_mux`, or some slots get none.
    n_mux : int

    Returns
    -------
    Tensor of int64, shape (n_units,)
        The slot of each unit, ascending.
    """
    return torch.arange(n_units) * n_mux // n_units


@torch.no_grad()
def separate_slots(weight: Tensor, slot_of_output: Tensor, slot_of_input: Tensor) -> None:
    """Cut a fresh layer's connections between units of different slots.

    Multiplexed networks end up as subnetworks, each for a slot, that share little (Havasi et al.,
    "Training independent subnetworks for robust prediction", ICLR 2021). One whose inputs stand in
    channels of their own can begin there and need not find it first. What training adds between
    the slots is left to it: the connections start at 0 and are not fixed.

    Parameters
    ----------
    weight : Tensor of shape (n_outputs, n_inputs, ...)
        Weight of a linear layer or a convolution, modified in place. The rest is scaled up, so that
        an output varies as much as before.
    slot_of_output : Tensor of int, shape (n_outputs,)
    slot_of_input : Tensor of int, shape (n_inputs,)
    """
    same = (slot_of_output[:, None] == slot_of_input).to(weight)
    kept = same.mean().clamp(min=1 / same.numel())
    weight.mul_((same / math.sqrt(kept.item())).view(*same.shape, *(1,) * (weight.ndim - 2)))
