import math

import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.multiplex import NestedMultiplexer
from muxlearn.nn.patches import (
    FoldedPatches,
    PatchMultiplexer,
    PatchReader,
    pool_rows,
    sizes_to_fold,
    split_into_patches,
)
from muxlearn.points import Point


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_the_factor_of_a_point_counts_the_tokens_in_a_position():
    assert Point().factor == 1
    assert Point(3, 5).factor == 15


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


def test_both_axes_together_are_one_linear_multiplexer():
    patches, rows = PatchMultiplexer(8, [2, 5]), NestedMultiplexer(3, 8)
    x = torch.randn(4, 3, 7, 8)
    wanted = torch.zeros(4, 4, 8)
    for row in range(3):
        for token in range(7):
            key = patches.maps["2"][token % 2] @ rows.keys[row] / math.sqrt(2 * 3)
            wanted[:, token // 2] += x[:, row, token] @ key
    folded, mask = patches(x, all_tokens(4, 3, 7), 2)
    torch.testing.assert_close(rows.mix(folded, mask), wanted)
    assert mask.shape == (4, 3, 4)
    assert mask.all()


def test_padding_adds_nothing():
    patches = PatchMultiplexer(8, [3])
    x, mask = torch.randn(1, 2, 6, 8), all_tokens(1, 2, 6)
    mask[0, 1, 2:] = False
    folded, present = patches(x, mask, 3)
    changed = torch.where(mask[..., None], x, 100.0)
    torch.testing.assert_close(patches(changed, mask, 3)[0], folded)
    assert present.tolist() == [[[True, True], [True, False]]]


def test_single_tokens_pass_unchanged():
    x, mask = torch.randn(4, 2, 7, 8), all_tokens(4, 2, 7)
    folded, present = PatchMultiplexer(8, [2])(x, mask)
    assert folded is x
    assert present is mask


def test_a_patch_size_without_maps_is_refused():
    with pytest.raises(ValueError, match=r"patch_size=3 is not one of \(1, 2\)"):
        PatchMultiplexer(8, [2])(torch.randn(1, 1, 6, 8), all_tokens(1, 1, 6), 3)


def test_rows_are_pooled_by_how_many_of_their_tokens_a_position_holds():
    hidden = torch.randn(1, 2, 4)
    mask = torch.tensor([[[True] * 4 + [False], [True] * 3 + [False] * 2]])
    pooled = pool_rows(hidden, mask, 3)
    torch.testing.assert_close(pooled[0, 0], (3 * hidden[0, 0] + hidden[0, 1]) / 4)
    torch.testing.assert_close(pooled[0, 1], hidden[0, 0])
    assert pool_rows(hidden, torch.zeros_like(mask), 3).eq(0).all()


def test_each_token_of_a_patch_is_read_differently_and_one_alone_passes():
    reader = PatchReader(8, 8, [3])
    hidden, own, slots = torch.randn(1, 8).expand(3, 8), torch.zeros(3, 8), torch.arange(3)
    assert torch.pdist(reader(hidden, own, slots, 3)).min() > 1e-3
    assert torch.equal(reader(hidden, own, slots, 1), hidden)


def test_a_new_reader_adds_a_little_to_what_is_there():
    reader = PatchReader(8, 4, [3])
    hidden, own = torch.randn(3, 8), torch.randn(3, 4)
    inner = reader.patch_in(hidden) + reader.keys["3"] + reader.own_in(own)
    added = reader(hidden, own, torch.arange(3), 3) - hidden
    torch.testing.assert_close(added, reader.out(F.gelu(inner)))
    assert 0 < added.norm() < 0.2 * hidden.norm()


def test_a_token_is_told_by_its_own_vector():
    reader = PatchReader(8, 8, [2])
    hidden, zero = torch.randn(3, 8), torch.zeros(3, dtype=torch.long)
    one = reader(hidden, torch.zeros(3, 8), zero, 2)
    other = reader(hidden, torch.ones(3, 8), zero, 2)
    assert (one - other).abs().min() > 0


def test_without_a_vector_of_its_own_a_token_is_read_by_its_place_alone():
    reader = PatchReader(8, 0, [2])
    hidden, slots = torch.randn(1, 8).expand(2, 8), torch.arange(2)
    read = reader(hidden, None, slots, 2)
    assert (read[0] - read[1]).abs().min() > 0


@pytest.mark.parametrize("size", [2, 3])
def test_folded_tables_say_what_the_maps_say(size):
    embedding, patches = torch.nn.Embedding(20, 8), PatchMultiplexer(8, [2, 3])
    ids = torch.randint(20, (4, 2, 7))
    mask = torch.arange(7) < torch.tensor([7, 3]).view(1, 2, 1).expand(4, 2, 1)
    tables = FoldedPatches(embedding, patches, [2, 3])
    for given, wanted in zip(
        tables(ids, mask, size), patches(embedding(ids), mask, size), strict=True
    ):
        torch.testing.assert_close(given, wanted)
    assert not tables.state_dict()
    assert not any(table.requires_grad for table in tables.buffers())


@pytest.mark.parametrize(
    ("patch_sizes", "table_size", "folded"),
    [
        ((4, 8, 2), 2**23, [4, 2]),
        ((1, 3, 2), 2**10, [2, 3]),
        ((4,), 2**24, [4]),
        ((4,), 2**24 + 1, []),
    ],
)
def test_tables_are_folded_while_there_is_room(patch_sizes, table_size, folded):
    assert sizes_to_fold(patch_sizes, table_size) == folded
