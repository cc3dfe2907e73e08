import itertools

import pytest
import torch
from torch import nn

from muxlearn.nn.binding import HRRBinding, MBATBinding
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer


def keyed(keys):
    binding = HRRBinding(*keys.shape)
    binding.keys = nn.Parameter(keys)
    return binding


def isometry_by_loops(conv):
    """The definition, shift by shift."""
    weight = conv.weight.detach()
    if weight.shape[1] < weight.shape[0]:
        weight = weight.transpose(0, 1)
    k, stride = weight.shape[-1], conv.stride[0]
    padded = nn.functional.pad(weight, [k - 1] * 4)
    shifts = [d for d in range(1 - k, k) if d % stride == 0]
    total = 0.0
    for dy, dx in itertools.product(shifts, shifts):
        shifted = padded[:, :, k - 1 + dy : 2 * k - 1 + dy, k - 1 + dx : 2 * k - 1 + dx]
        gram = weight.flatten(1) @ shifted.flatten(1).T
        target = torch.eye(len(gram)) if dy == dx == 0 else torch.zeros(len(gram), len(gram))
        total += (gram - target).square().sum().item() / 2
    return total


# Keys


def test_orthonormal_keys_cost_nothing():
    assert binding_regularizer(keyed(torch.eye(4)[:3])).item() == 0.0


def test_equal_keys_cost_one():
    keys = torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1)
    assert binding_regularizer(keyed(keys)).item() == pytest.approx(1.0)


def test_the_length_of_a_key_costs_its_squared_distance_from_one():
    keys = torch.diag(torch.tensor([3.0, 1.0]))
    assert binding_regularizer(keyed(keys)).item() == pytest.approx(4 / 2)


def test_a_single_key_has_no_pair():
    assert binding_regularizer(keyed(torch.tensor([[0.0, 2.0]]))).item() == pytest.approx(1.0)


def test_matrix_keys_are_not_regularized():
    assert binding_regularizer(MBATBinding(2, 4)).item() == 0.0


def test_the_gradient_makes_keys_orthonormal():
    binding = HRRBinding(3, 8)
    optimizer = torch.optim.SGD(binding.parameters(), lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        binding_regularizer(binding).backward()
        optimizer.step()
    torch.testing.assert_close(binding.keys @ binding.keys.T, torch.eye(3), atol=1e-3, rtol=0)


# Convolutions


@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (3, 3), (5, 2)]
)
@pytest.mark.parametrize("channels", [(3, 5), (5, 3), (4, 4)])
def test_isometry_follows_its_definition(kernel_size, stride, channels):
    conv = nn.Conv2d(*channels, kernel_size, stride)
    expected = isometry_by_loops(conv)
    assert isometry_regularizer([conv]).item() == pytest.approx(expected, rel=1e-5)


def test_isometry_adds_up_over_convolutions():
    convs = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)]
    one_by_one = sum(isometry_regularizer([conv]) for conv in convs)
    assert isometry_regularizer(convs).item() == pytest.approx(one_by_one.item())


def test_a_convolution_that_passes_on_is_an_isometry():
    conv = nn.Conv2d(3, 5, 3)
    nn.init.dirac_(conv.weight)
    assert isometry_regularizer([conv]).item() == 0.0


@pytest.mark.parametrize("channels", [(3, 5), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_of_isometry_is_that_of_its_definition(channels, stride):
    conv = nn.Conv2d(*channels, 3, stride).double()
    isometry_regularizer([conv]).backward()
    direction, step = torch.randn_like(conv.weight), 1e-5
    with torch.no_grad():
        conv.weight += step * direction
        above = isometry_regularizer([conv]).item()
        conv.weight -= 2 * step * direction
        below = isometry_regularizer([conv]).item()
    slope = (conv.weight.grad * direction).sum().item()
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6)
