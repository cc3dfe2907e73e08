import pytest
import torch

from muxlearn.nn.subnetworks import separate_slots, slots_of_units


@pytest.mark.parametrize(("n_units", "n_mux"), [(8, 4), (7, 3), (16, 5), (4, 4), (5, 1)])
def test_units_are_shared_out_in_order_and_evenly(n_units, n_mux):
    slots = slots_of_units(n_units, n_mux)
    counts = torch.bincount(slots, minlength=n_mux)
    assert (slots.diff() >= 0).all()
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3, 3)])
def test_only_connections_within_a_slot_are_left(shape):
    weight = torch.randn(shape)
    before = weight.clone()
    separate_slots(weight, slots_of_units(6, 3), slots_of_units(9, 3))
    for output in range(6):
        for given in range(9):
            if output // 2 == given // 3:
                torch.testing.assert_close(weight[output, given], before[output, given] * 3**0.5)
            else:
                assert not weight[output, given].any()


def test_an_output_varies_as_much_as_before():
    weight = torch.randn(400, 600)
    x = torch.randn(600, 500)
    before = (weight @ x).std()
    separate_slots(weight, slots_of_units(400, 5), slots_of_units(600, 5))
    torch.testing.assert_close((weight @ x).std(), before, rtol=0.05, atol=0)
