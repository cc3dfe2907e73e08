"""Terms that keep keys apart and convolutions near isometries."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.binding import Binding, HRRBinding

__all__ = ["binding_regularizer", "isometry_regularizer"]


def binding_regularizer(binding: Binding) -> Tensor:
    """Measure how far the keys of position-wise HRR are from orthonormal.

    The mean squared cosine between the keys of two slots, plus the mean squared distance of a
    key's length from 1 (MIMONets: Menet et al., NeurIPS 2023).

    Parameters
    ----------
    binding : Binding

    Returns
    -------
    Tensor of shape ()
        0 for the bindings that have no such keys.
    """
    if not isinstance(binding, HRRBinding):
        return torch.zeros(())
    lengths = binding.keys.norm(dim=1)
    unit = binding.keys / lengths[:, None]
    cosines = torch.triu(unit @ unit.T, diagonal=1)
    n_pairs = max(1, binding.n_mux * (binding.n_mux - 1) // 2)
    return cosines.square().sum() / n_pairs + (lengths - 1).square().mean()


def isometry_regularizer(layers: Iterable[nn.Conv2d | nn.Linear]) -> Tensor:
    """Measure how far convolutions and linear layers are from keeping lengths and angles.

    Half the squared distance between the products of all pairs of filters, at all shifts that
    the stride allows, and those of an isometry: 1 for a filter with itself unshifted, else 0
    (ISONet: Qi et al., 2020; MIMONets: Menet et al., NeurIPS 2023). With more filters than input
    channels those of the adjoint are taken.

    Parameters
    ----------
    layers : iterable of nn.Conv2d and nn.Linear
        Convolutions with square kernels and strides, not grouped. A linear layer is one of a
        single position.

    Returns
    -------
    Tensor of shape ()
        The sum over the layers, of double precision. Its first derivative is right, its
        second is not.
    """
    total = torch.zeros((), dtype=torch.float64)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            total = total + _isometry_error(layer.weight[:, :, None, None], 1)
        else:
            total = total + _isometry_error(layer.weight, layer.stride[0])
    return total


def _isometry_error(weight: Tensor, stride: int) -> Tensor:
    if weight.shape[1] < weight.shape[0]:
        weight = weight.transpose(0, 1)
    shifts = (weight.shape[-1] - 1) // stride  # to either side
    # The term is symmetric in the two factors: the gradient by one of them, twice, is the whole
    # gradient at less than half the cost.
    gram = F.conv2d(weight, weight.detach(), stride=stride, padding=shifts * stride)
    target = torch.zeros_like(gram)
    target[:, :, shifts, shifts].fill_diagonal_(1.0)
    error = (gram - target).square().sum(dtype=torch.float64) / 2
    return 2 * error - error.detach()
