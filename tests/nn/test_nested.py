import math

import pytest
import torch

from muxlearn.nn.demultiplex import NestedDemultiplexer
from muxlearn.nn.multiplex import NestedMultiplexer, recognisable_maps


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_maps_keep_the_length_of_a_vector_and_part_of_its_direction():
    x = torch.randn(200, 64)
    for key in recognisable_maps(3, 64):
        y = x @ key
        assert (y.norm(dim=1) / x.norm(dim=1)).mean() == pytest.approx(1, abs=0.1)
        assert torch.cosine_similarity(x, y).mean() == pytest.approx(1 / math.sqrt(2), abs=0.1)


@pytest.mark.parametrize("n_rows", [2, 3])
def test_rows_take_the_first_keys(n_rows):
    multiplexer = NestedMultiplexer(3, 8)
    x = torch.randn(4, n_rows, 7, 8)
    wanted = sum(x[:, i] @ multiplexer.keys[i] for i in range(n_rows)) / math.sqrt(n_rows)
    torch.testing.assert_close(multiplexer(x), wanted)


def test_a_row_alone_passes_unchanged():
    x = torch.randn(4, 1, 7, 8)
    assert torch.equal(NestedMultiplexer(3, 8)(x), x[:, 0])
    demultiplexer = NestedDemultiplexer(3, 8)
    assert torch.equal(demultiplexer(x), x)
    positions = torch.tensor([5, 0])
    read = demultiplexer.gather(x[:, 0], None, positions * 0, positions, n_places=1)
    assert torch.equal(read, x[:, 0].flatten(0, 1)[positions])


def test_a_single_place_has_no_key_to_learn():
    assert NestedMultiplexer(2, 8).keys.requires_grad
    assert not NestedMultiplexer(1, 8).keys.requires_grad


def test_places_are_read_differently():
    demultiplexer = NestedDemultiplexer(3, 8)
    h = torch.randn(1, 1, 1, 8).expand(1, 3, 1, 8)
    assert torch.pdist(demultiplexer(h)[0, :, 0]).min() > 1e-3


def test_gathering_reads_what_forward_does():
    demultiplexer = NestedDemultiplexer(3, 8)
    h = torch.randn(2, 5, 8)
    every = demultiplexer(h[:, None].expand(-1, 3, -1, -1))  # (mixtures, rows, length, width)
    slots, positions = torch.tensor([2, 0, 1]), torch.tensor([7, 3, 9])
    read = demultiplexer.gather(h, None, slots, positions)
    wanted = torch.stack([every[p // 5, s, p % 5] for s, p in zip(slots, positions, strict=True)])
    torch.testing.assert_close(read, wanted)


def test_what_belongs_to_a_row_can_be_added():
    demultiplexer = NestedDemultiplexer(3, 8)
    demultiplexer.add_input(4)
    h, slots, positions = torch.randn(2, 5, 8), torch.tensor([2, 0]), torch.tensor([7, 3])
    reads = [
        demultiplexer.gather(h, None, slots, positions, torch.full((2, 4), v)) for v in (0.0, 1.0)
    ]
    assert (reads[0] - reads[1]).abs().min() > 0
