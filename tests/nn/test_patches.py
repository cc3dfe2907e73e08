import math

import pytest
import torch

from muxlearn.nn.patches import (
    PatchDemultiplexer,
    PatchMultiplexer,
    Point,
    pool_rows,
    split_into_patches,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("value", "point"), [(3, (3, 1)), ((2, 5), (2, 5)), ([1, 4], (1, 4)), (Point(7, 2), (7, 2))]
)
def test_a_point_is_an_integer_or_a_pair(value, point):
    assert Point.of(value) == point
    assert Point.of(value).factor == point[0] * point[1]


@pytest.mark.parametrize(("length", "size"), [(6, 3), (7, 3), (2, 5), (4, 1)])
def test_patches_hold_the_tokens_in_order_and_zeros_at_the_end(length, size):
    x = torch.randn(2, 3, length, 4)
    patches = split_into_patches(x, size, 2)
    assert patches.shape == (2, 3, math.ceil(length / size), size, 4)
    flat = patches.flatten(2, 3)
    torch.testing.assert_close(flat[:, :, :length], x)
    assert flat[:, :, length:].eq(0).all()


def test_multiplexing_is_the_sum_of_the_documented_maps():
    multiplexer = PatchMultiplexer(8, n_mux=3, patch_sizes=[2, 5])
    x = torch.randn(4, 3, 7, 8)
    wanted = torch.zeros(4, 4, 8)
    for row in range(3):
        for token in range(7):
            of_token = x[:, row, token] @ multiplexer.tokens["2"][token % 2] / math.sqrt(2)
            wanted[:, token // 2] += of_token @ multiplexer.rows[row] / math.sqrt(3)
    torch.testing.assert_close(multiplexer(x, 2), wanted)


def test_a_single_row_of_single_tokens_passes_unchanged():
    x = torch.randn(4, 1, 7, 8)
    assert torch.equal(PatchMultiplexer(8, n_mux=3, patch_sizes=[2])(x), x[:, 0])


@pytest.mark.parametrize(
    ("n_rows", "size", "message"),
    [(1, 3, r"patch_size=3 is not one of \(1, 2\)"), (4, 1, "4 rows in a mixture exceed n_mux=3")],
)
def test_what_has_no_maps_is_refused(n_rows, size, message):
    with pytest.raises(ValueError, match=message):
        PatchMultiplexer(8, n_mux=3, patch_sizes=[2])(torch.randn(1, n_rows, 6, 8), size)


def test_rows_are_pooled_by_how_many_of_their_tokens_a_position_holds():
    hidden = torch.randn(1, 2, 4)
    mask = torch.tensor([[[True] * 4 + [False], [True] * 3 + [False] * 2]])
    pooled = pool_rows(hidden, mask, 3)
    torch.testing.assert_close(pooled[0, 0], (3 * hidden[0, 0] + hidden[0, 1]) / 4)
    torch.testing.assert_close(pooled[0, 1], hidden[0, 0])


def test_slots_are_read_differently_and_what_is_alone_passes():
    demultiplexer = PatchDemultiplexer(8, n_mux=2, patch_sizes=[3])
    hidden, own = torch.randn(1, 8).expand(6, 8), torch.zeros(6, 8)
    row, slot = torch.arange(6) // 3, torch.arange(6) % 3
    read = demultiplexer.read_tokens(hidden, own, row, slot, Point(2, 3))
    assert torch.pdist(read).min() > 1e-3
    alone = demultiplexer.read_tokens(hidden, own, row * 0, slot * 0, Point(1, 1))
    assert torch.equal(alone, hidden)
    pooled = torch.randn(5, 1, 8)
    assert torch.equal(demultiplexer.read_rows(pooled), pooled)


def test_a_token_is_told_by_its_own_vector():
    demultiplexer = PatchDemultiplexer(8, patch_sizes=[2])
    hidden, zero = torch.randn(3, 8), torch.zeros(3, dtype=torch.long)
    point = Point(1, 2)
    one = demultiplexer.read_tokens(hidden, torch.zeros(3, 8), zero, zero, point)
    other = demultiplexer.read_tokens(hidden, torch.ones(3, 8), zero, zero, point)
    assert (one - other).abs().min() > 0
