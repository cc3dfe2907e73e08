import math

import pytest
import torch

from muxlearn.nn.multiplex import MULTIPLEXERS, IdentityMultiplexer
from muxlearn.nn.nested import NestedMultiplexer
from muxlearn.nn.patches import (
    PatchMultiplexer,
    PatchReader,
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


def all_tokens(*shape):
    return torch.ones(shape, dtype=torch.bool)


def test_multiplexing_is_the_sum_of_the_documented_maps():
    rows = NestedMultiplexer(3, 8)
    multiplexer = PatchMultiplexer(rows, patch_sizes=[2, 5])
    x = torch.randn(4, 3, 7, 8)
    wanted = torch.zeros(4, 4, 8)
    for row in range(3):
        for token in range(7):
            of_token = x[:, row, token] @ multiplexer.tokens["2"][token % 2] / math.sqrt(2)
            wanted[:, token // 2] += of_token @ rows.keys[row] / math.sqrt(3)
    mixed, mask = multiplexer(x, all_tokens(4, 3, 7), 2)
    torch.testing.assert_close(mixed, wanted)
    assert mask.shape == (4, 3, 4)
    assert mask.all()


@pytest.mark.parametrize("name", MULTIPLEXERS)
def test_rows_are_mixed_by_any_multiplexer_once_their_tokens_are(name):
    rows = MULTIPLEXERS[name](3, 16)
    multiplexer = PatchMultiplexer(rows, patch_sizes=[2])
    x, mask = torch.randn(4, 3, 6, 16), torch.arange(6) < torch.randint(1, 7, (4, 3, 1))
    alone = PatchMultiplexer(IdentityMultiplexer(1, 16), patch_sizes=[2])
    alone.tokens.load_state_dict(multiplexer.tokens.state_dict())
    folded, present = alone(x.flatten(0, 1)[:, None], mask.flatten(0, 1)[:, None], 2)
    wanted = rows.mix(folded.view(4, 3, 3, 16), present.view(4, 3, 3))
    torch.testing.assert_close(multiplexer(x, mask, 2)[0], wanted)


def test_padding_adds_nothing():
    multiplexer = PatchMultiplexer(NestedMultiplexer(2, 8), patch_sizes=[3])
    x, mask = torch.randn(1, 2, 6, 8), all_tokens(1, 2, 6)
    mask[0, 1, 2:] = False
    mixed, present = multiplexer(x, mask, 3)
    changed = torch.where(mask[..., None], x, 100.0)
    torch.testing.assert_close(multiplexer(changed, mask, 3)[0], mixed)
    assert present.tolist() == [[[True, True], [True, False]]]


def test_a_single_row_of_single_tokens_passes_unchanged():
    x = torch.randn(4, 1, 7, 8)
    mixed, _ = PatchMultiplexer(NestedMultiplexer(3, 8), [2])(x, all_tokens(4, 1, 7))
    assert torch.equal(mixed, x[:, 0])


@pytest.mark.parametrize(
    ("n_rows", "size", "message"),
    [(1, 3, r"patch_size=3 is not one of \(1, 2\)"), (4, 1, "4 rows in a mixture exceed n_mux=3")],
)
def test_what_has_no_maps_is_refused(n_rows, size, message):
    multiplexer = PatchMultiplexer(NestedMultiplexer(3, 8), patch_sizes=[2])
    with pytest.raises(ValueError, match=message):
        multiplexer(torch.randn(1, n_rows, 6, 8), all_tokens(1, n_rows, 6), size)


def test_rows_are_pooled_by_how_many_of_their_tokens_a_position_holds():
    hidden = torch.randn(1, 2, 4)
    mask = torch.tensor([[[True] * 4 + [False], [True] * 3 + [False] * 2]])
    pooled = pool_rows(hidden, mask, 3)
    torch.testing.assert_close(pooled[0, 0], (3 * hidden[0, 0] + hidden[0, 1]) / 4)
    torch.testing.assert_close(pooled[0, 1], hidden[0, 0])


def test_each_token_of_a_patch_is_read_differently_and_one_alone_passes():
    reader = PatchReader(8, patch_sizes=[3])
    hidden, own, slots = torch.randn(1, 8).expand(3, 8), torch.zeros(3, 8), torch.arange(3)
    assert torch.pdist(reader(hidden, own, slots, 3)).min() > 1e-3
    assert torch.equal(reader(hidden, own, slots, 1), hidden)


def test_a_token_is_told_by_its_own_vector():
    reader = PatchReader(8, patch_sizes=[2])
    hidden, zero = torch.randn(3, 8), torch.zeros(3, dtype=torch.long)
    one = reader(hidden, torch.zeros(3, 8), zero, 2)
    other = reader(hidden, torch.ones(3, 8), zero, 2)
    assert (one - other).abs().min() > 0
