"""What all multiplexed modules share."""

import pytest
import torch

from muxlearn.nn.module import MuxModule


@pytest.fixture
def module():
    module = MuxModule()
    module.n_mux = 3
    return module


def test_the_capacity_is_the_default(module):
    assert module._places(6, None) == 3
    assert module._places(6, 2) == 2


@pytest.mark.parametrize("n_mux", [0, 4])
def test_a_number_of_rows_outside_of_the_capacity_is_refused(module, n_mux):
    with pytest.raises(ValueError, match=f"n_mux={n_mux} is outside of 1 to 3, the capacity"):
        module._places(12, n_mux)


def test_rows_that_cannot_be_divided_are_refused(module):
    message = "7 images cannot be divided into mixtures of n_mux=3 images"
    with pytest.raises(ValueError, match=message):
        module._places(7, None, "images")


@pytest.mark.parametrize(
    "use",
    [
        lambda module: module.penultimate_size,
        lambda module: module.without_last_layer(),
        lambda module: module.order_classes(torch.tensor([1, 0])),
    ],
)
def test_a_network_whose_last_layer_cannot_be_told_says_so(module, use):
    with pytest.raises(ValueError, match="a MuxModule has no last layer that can be told: give it"):
        use(module)
