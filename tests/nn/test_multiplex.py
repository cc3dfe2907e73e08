import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from muxlearn.nn import multiplex
from muxlearn.nn.mimoformer_layers import sinusoidal_positions
from muxlearn.nn.multiplex import (
    MULTIPLEXERS,
    BinaryMultiplexer,
    ContextualMultiplexer,
    FoldedSubspaces,
    HadamardMultiplexer,
    IdentityMultiplexer,
    OrthogonalMultiplexer,
    SubspaceMultiplexer,
    embed_and_multiplex,
    principal_axes,
    slots_to_places,
)

N_MUX, WIDTH = 5, 22  # the width is no multiple of the slots
every_multiplexer = pytest.mark.parametrize("name", MULTIPLEXERS)
every_linear = pytest.mark.parametrize("name", sorted(MULTIPLEXERS.keys() - {"contextual"}))
every_n_places = pytest.mark.parametrize("n_places", range(1, N_MUX + 1))


def make(name, n_mux=N_MUX, width=WIDTH):
    return MULTIPLEXERS[name](n_mux, width)


def repeat_over_slots(x, n_slots, dim=1):
    """Row p of k rows in the slots p, p + k, p + 2k, …"""
    k = x.shape[dim]
    return torch.stack([x.select(dim, slot % k) for slot in range(n_slots)], dim)


def random_tokens(n_mixtures=4, n_places=N_MUX, length=7, vocab_size=30):
    ids = torch.randint(vocab_size, (n_mixtures, n_places, length))
    lengths = torch.randint(1, length + 1, (n_mixtures, n_places, 1))
    return ids, torch.arange(length) < lengths


# Slots and places


@given(st.integers(1, 9), st.data())
def test_a_place_gets_the_sum_of_its_slots(n_slots, data):
    n_places = data.draw(st.integers(1, n_slots))
    values = torch.randn(n_slots, 3)
    places = slots_to_places(values, n_places)
    expected = torch.stack([values[p::n_places].sum(0) for p in range(n_places)])
    torch.testing.assert_close(places, expected)


def test_the_axis_of_the_slots_can_be_chosen():
    values = torch.randn(2, 5, 3)
    places = slots_to_places(values, 2, dim=1)
    torch.testing.assert_close(places[0], slots_to_places(values[0], 2))


# What all multiplexers share


@every_multiplexer
def test_a_mixture_has_the_shape_of_one_row(name):
    assert make(name)(torch.randn(3, N_MUX, 7, WIDTH)).shape == (3, 7, WIDTH)


@every_linear
def test_every_multiplexer_but_the_contextual_is_linear(name):
    mux = make(name)
    x, y = torch.randn(2, 3, N_MUX, 7, WIDTH)
    torch.testing.assert_close(mux(2 * x - 3 * y), 2 * mux(x) - 3 * mux(y), atol=1e-5, rtol=1e-5)


@every_multiplexer
@every_n_places
def test_fewer_rows_count_as_repeated_over_the_slots(name, n_places):
    mux = make(name)
    x = torch.randn(3, n_places, 7, WIDTH)
    torch.testing.assert_close(mux(x), mux(repeat_over_slots(x, N_MUX)), atol=1e-5, rtol=1e-5)


@every_multiplexer
@pytest.mark.parametrize("n_mux", [1, N_MUX])
def test_more_rows_than_slots_are_refused(name, n_mux):
    with pytest.raises(ValueError, match=f"{n_mux + 1} rows do not fit into the {n_mux} slots"):
        make(name, n_mux)(torch.randn(3, n_mux + 1, 7, WIDTH))


@pytest.mark.parametrize("name", sorted(MULTIPLEXERS.keys() - {"identity"}))
def test_a_multiplexer_tells_its_slots_apart(name):
    mux = make(name)
    x = torch.randn(1, N_MUX, 7, WIDTH)
    assert (mux(x) - mux(x.flip(1))).abs().max() > 0.1


@every_multiplexer
def test_a_mixture_is_as_long_as_one_of_its_rows(name):
    mux = make(name, n_mux=4, width=256)
    mixture = mux(torch.randn(50, 4, 10, 256))
    assert mixture.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.1)


@every_multiplexer
def test_keys_that_are_not_learned_have_no_gradient(name):
    mux = MULTIPLEXERS[name](N_MUX, WIDTH, learn_keys=False)
    layers = ("within_rows.", "across_slots.")
    learned = [name for name, p in mux.named_parameters() if p.requires_grad]
    assert all(name.startswith(layers) for name in learned)


@every_multiplexer
def test_the_representation_shows_the_sizes(name):
    assert "n_mux=5, width=22, learn_keys=True" in repr(make(name))


# One by one


def test_identity_passes_one_row_on():
    x = torch.randn(3, 1, 7, WIDTH)
    assert torch.equal(IdentityMultiplexer(1, WIDTH)(x), x[:, 0])


def test_identity_does_not_mark_its_rows():
    mux = IdentityMultiplexer(N_MUX, WIDTH)
    x = torch.randn(3, N_MUX, 7, WIDTH)
    torch.testing.assert_close(mux(x), mux(x.flip(1)))


def test_hadamard_follows_its_formula():
    mux = HadamardMultiplexer(N_MUX, WIDTH)
    x = torch.randn(3, N_MUX, 7, WIDTH)
    expected = sum(mux.keys[i] * x[:, i] for i in range(N_MUX)) / math.sqrt(N_MUX)
    torch.testing.assert_close(mux(x), expected)


def test_orthogonal_follows_its_formula():
    mux = OrthogonalMultiplexer(N_MUX, WIDTH)
    x = torch.randn(3, N_MUX, 7, WIDTH)
    expected = sum(x[:, i] @ mux.keys[i].T for i in range(N_MUX)) / math.sqrt(N_MUX)
    torch.testing.assert_close(mux(x), expected, atol=1e-5, rtol=1e-5)


def test_orthogonal_keys_are_orthogonal():
    keys = OrthogonalMultiplexer(N_MUX, WIDTH).keys
    products = keys @ keys.transpose(1, 2)
    torch.testing.assert_close(products, torch.eye(WIDTH).expand_as(products), atol=1e-5, rtol=0)


def test_binary_keys_are_0_or_the_scale():
    keys = BinaryMultiplexer(N_MUX, WIDTH).keys
    assert set(keys.flatten().tolist()) == {0.0, keys.max().item()}
    assert keys.max().item() == pytest.approx(math.sqrt(N_MUX))


def test_binary_keys_partition_the_dimensions():
    keys = BinaryMultiplexer(N_MUX, WIDTH).keys
    assert ((keys > 0).sum(0) == 1).all()
    assert ((keys > 0).sum(1) >= WIDTH // N_MUX).all()


def written_coordinates(mux, slot):
    x = torch.zeros(1, mux.n_mux, 1, mux.width)
    x[0, slot] = 1.0
    return set(mux(x).squeeze().nonzero().flatten().tolist())


def test_subspace_slots_write_disjoint_coordinates():
    mux = SubspaceMultiplexer(N_MUX, WIDTH)
    written = [written_coordinates(mux, slot) for slot in range(N_MUX)]
    assert [len(w) for w in written] == [WIDTH // N_MUX] * N_MUX
    assert len(set.union(*written)) == N_MUX * (WIDTH // N_MUX)


def table_of_low_rank(vocab_size=200, rank=6):
    return torch.randn(vocab_size, rank) @ torch.randn(rank, WIDTH)


def test_subspaces_that_start_from_embeddings_keep_their_energy():
    mux, table = SubspaceMultiplexer(N_MUX, WIDTH), table_of_low_rank()
    mux.init_from_embeddings(table)
    written = torch.einsum("vd,sdw->svw", table, mux.keys).square().sum((1, 2))
    torch.testing.assert_close(written, (table.square().sum() / N_MUX).expand(N_MUX))


def test_subspaces_that_start_from_embeddings_span_their_principal_components():
    mux, table = SubspaceMultiplexer(2, WIDTH), table_of_low_rank()
    mux.init_from_embeddings(table)  # 11 coordinates a slot hold all of rank 6
    components = torch.linalg.svd(table - table.mean(0), full_matrices=False)[2][:6]
    for key in mux.keys:
        recovered = components @ key @ torch.linalg.pinv(key)
        torch.testing.assert_close(recovered, components, atol=1e-4, rtol=0)


def test_subspaces_start_from_a_table_of_one_token():
    mux, table = SubspaceMultiplexer(N_MUX, WIDTH), torch.randn(1, WIDTH)
    mux.init_from_embeddings(table)
    written = torch.einsum("vd,sdw->svw", table, mux.keys).square().sum((1, 2))
    torch.testing.assert_close(written, (table.square().sum() / N_MUX).expand(N_MUX))


def test_subspaces_start_from_a_table_of_zeros():
    mux = SubspaceMultiplexer(N_MUX, WIDTH)
    mux.init_from_embeddings(torch.zeros(5, WIDTH))
    assert torch.linalg.matrix_rank(mux.keys).tolist() == [mux.block_width] * N_MUX


def test_slots_start_from_different_rotations():
    mux = SubspaceMultiplexer(N_MUX, WIDTH)
    mux.init_from_embeddings(table_of_low_rank())
    assert (mux.keys[0] - mux.keys[1]).abs().max() > 0.1


# The contextual multiplexer


def random_vectors(n_places=N_MUX):
    mask = random_tokens(3, n_places)[1]
    return torch.randn(3, n_places, 7, WIDTH), mask


def literal_layer(layer, x, positions=0.0):
    """A pre-norm layer with one head over (length, width), nothing masked."""
    q, k, v = layer.qkv(layer.attention_norm(x) + positions).chunk(3, -1)
    attended = (q @ k.T / math.sqrt(WIDTH)).softmax(-1) @ v
    x = x + layer.attention_out(attended)
    return x + layer.mlp_out(F.gelu(layer.mlp_in(layer.mlp_norm(x))))


def test_contextual_follows_its_formula():
    mux = ContextualMultiplexer(N_MUX, WIDTH)
    mux.scale.fill_(0.3)
    x, mask = random_vectors()
    positions = sinusoidal_positions(7, WIDTH)
    mixed = mux.mix(x, mask)
    for mixture in range(3):
        marked = [
            mux.keys[i] * literal_layer(mux.within_rows, row[m] / 0.3, positions[m])
            for i, (row, m) in enumerate(zip(x[mixture], mask[mixture], strict=True))
        ]
        for at in range(7):
            present = [g[at] for g in marked if len(g) > at]
            expected = torch.zeros(WIDTH)
            if present:
                seen = literal_layer(mux.across_slots, torch.stack(present))
                expected = seen.sum(0) * 0.3 / math.sqrt(N_MUX)
            torch.testing.assert_close(mixed[mixture, at], expected, atol=1e-5, rtol=1e-5)


def changed_positions(mux, x, mask, slot, at):
    """Where a mixture changes with one vector of one row."""
    other = x.clone()
    other[0, slot, at, 0] += 1.0  # a shift of all would be normalised away
    difference = (mux.mix(x, mask) - mux.mix(other, mask))[0].abs().amax(-1)
    return difference.gt(1e-6).tolist()


def test_a_token_is_seen_from_all_positions_of_its_row():
    mux, mask = make("contextual"), torch.ones(1, N_MUX, 7, dtype=torch.bool)
    mask[0, 2, 5:] = False
    seen = changed_positions(mux, torch.randn(1, N_MUX, 7, WIDTH), mask, slot=2, at=1)
    assert seen == [True] * 5 + [False] * 2


def test_padding_is_seen_from_nowhere():
    mux, mask = make("contextual"), torch.ones(1, N_MUX, 7, dtype=torch.bool)
    mask[0, 2, 5:] = False
    assert not any(changed_positions(mux, torch.randn(1, N_MUX, 7, WIDTH), mask, slot=2, at=6))


def test_slots_see_each_other_at_a_position():
    mux = make("contextual")
    x, mask = torch.randn(1, N_MUX, 1, WIDTH), torch.ones(1, N_MUX, 1, dtype=torch.bool)
    alone = torch.zeros_like(mask)
    alone[0, 2] = True
    rest = mux.mix(x, mask & ~alone)
    assert (mux.mix(x, mask) - mux.mix(x, alone) - rest).abs().max() > 1e-3


def test_a_row_without_tokens_leaves_numbers():
    mux, (x, mask) = make("contextual"), random_vectors()
    mask[0, 1] = False
    mask[1] = False
    mixed = mux.mix(x.requires_grad_(), mask)
    mixed.sum().backward()
    assert mixed.isfinite().all()
    assert x.grad.isfinite().all()
    assert not mixed[1].any()


def test_contextual_sees_the_order_of_tokens():
    mux, x = make("contextual"), torch.randn(1, N_MUX, 7, WIDTH)
    assert (mux(x).flip(1) - mux(x.flip(2))).abs().max() > 1e-3


def test_a_contextual_mixture_begins_near_the_hadamard_one():
    contextual, hadamard = make("contextual", width=128), make("hadamard", width=128)
    table = 0.02 * torch.randn(100, 128)
    contextual.init_from_embeddings(table)
    with torch.no_grad():
        hadamard.keys.copy_(contextual.keys)
    x = table[torch.randint(100, (3, N_MUX, 7))]
    expected = hadamard(x)
    off = (contextual(x) - expected).square().mean() / expected.square().mean()
    assert off < 0.2


@pytest.mark.parametrize(("width", "n_heads"), [(22, 1), (33, 1), (256, 4), (384, 6), (200, 2)])
def test_heads_divide_any_width(width, n_heads):
    mux = ContextualMultiplexer(2, width)
    assert mux.within_rows.num_heads == n_heads
    assert mux(torch.randn(1, 2, 3, width)).shape == (1, 3, width)


# Embedding and multiplexing in one


@every_multiplexer
def test_padding_adds_nothing(name):
    embedding, mux = nn.Embedding(30, WIDTH), make(name)
    ids, mask = random_tokens()
    other = torch.where(mask, ids, (ids + 1) % 30)
    torch.testing.assert_close(
        embed_and_multiplex(embedding, mux, ids, mask),
        embed_and_multiplex(embedding, mux, other, mask),
    )


@every_multiplexer
@pytest.mark.parametrize("n_places", [1, 3, N_MUX])
def test_inference_in_chunks_equals_training(name, n_places, monkeypatch):
    embedding, mux = nn.Embedding(30, WIDTH), make(name)
    ids, mask = random_tokens(n_places=n_places)
    trained = embed_and_multiplex(embedding, mux, ids, mask)
    monkeypatch.setattr(multiplex, "_CHUNK_ELEMENTS", 3 * n_places * 7 * WIDTH)
    with torch.no_grad():
        chunked = embed_and_multiplex(embedding, mux, ids, mask)
    torch.testing.assert_close(chunked, trained, atol=1e-5, rtol=1e-5)


def test_inference_embeds_no_more_than_a_chunk_at_once(monkeypatch):
    embedding, mux = nn.Embedding(30, WIDTH), make("hadamard")
    sizes = []
    embedding.register_forward_hook(lambda module, args, output: sizes.append(output.numel()))
    chunk = 3 * N_MUX * 7 * WIDTH
    monkeypatch.setattr(multiplex, "_CHUNK_ELEMENTS", chunk)
    with torch.no_grad():
        embed_and_multiplex(embedding, mux, *random_tokens())
    assert sizes == [chunk, chunk // 3]


def test_more_rows_than_slots_are_not_looked_up():
    folded = FoldedSubspaces(nn.Embedding(30, WIDTH), SubspaceMultiplexer(N_MUX, WIDTH))
    with pytest.raises(ValueError, match="6 rows do not fit into the 5 slots"):
        folded(*random_tokens(n_places=N_MUX + 1))


@every_n_places
def test_folded_subspaces_equal_embedding_and_multiplexing(n_places):
    embedding, mux = nn.Embedding(30, WIDTH), SubspaceMultiplexer(N_MUX, WIDTH)
    ids, mask = random_tokens(n_places=n_places)
    torch.testing.assert_close(
        FoldedSubspaces(embedding, mux)(ids, mask),
        embed_and_multiplex(embedding, mux, ids, mask),
        atol=1e-5,
        rtol=1e-5,
    )


def test_folded_tables_are_no_larger_than_the_token_table():
    embedding, mux = nn.Embedding(30, WIDTH), SubspaceMultiplexer(N_MUX, WIDTH)
    padding_row = WIDTH // N_MUX
    folded = FoldedSubspaces(embedding, mux)
    assert folded.table.numel() <= embedding.weight.numel() + padding_row


# Blocks


@pytest.mark.parametrize("n_places", [1, 2, 3])
def test_a_row_writes_into_all_blocks_of_its_place(n_places):
    mux = SubspaceMultiplexer(3, 24, n_blocks=6)
    x = torch.randn(2, n_places, 5, 24)
    mixed = mux(x).unflatten(-1, (6, 4))
    for block, key in enumerate(mux.keys):
        torch.testing.assert_close(mixed[:, :, block], x[:, block % n_places] @ key)


@pytest.mark.parametrize("n_places", [1, 2, 3])
def test_looking_up_is_mixing_with_blocks_too(n_places):
    embedding, mux = nn.Embedding(30, 26), SubspaceMultiplexer(3, 26, n_blocks=6)
    ids, mask = random_tokens(n_places=n_places)
    x = embedding(ids) * mask[..., None]
    torch.testing.assert_close(embed_and_multiplex(embedding, mux, ids, mask), mux(x))
    torch.testing.assert_close(FoldedSubspaces(embedding, mux)(ids, mask), mux(x))


def test_blocks_start_from_components_of_their_own_too():
    table = torch.randn(500, 24) * torch.linspace(3, 0.1, 24)
    mux = SubspaceMultiplexer(4, 24, n_blocks=4)
    mux.init_from_embeddings(table)
    assert torch.linalg.matrix_rank(mux.keys.transpose(1, 2).flatten(0, 1)) == 6
    mux.init_from_embeddings(table, own_share=0.5)
    written = mux.keys.transpose(1, 2).flatten(0, 1)
    assert torch.linalg.matrix_rank(written) == 3 + 4 * 3
    assert (written @ principal_axes(table))[:, 15:].abs().max() < 1e-4  # the first 15 alone


@pytest.mark.parametrize("n_blocks", [2, 25])
def test_there_are_as_many_blocks_as_slots_at_least_and_as_dimensions_at_most(n_blocks):
    with pytest.raises(ValueError, match=f"n_blocks={n_blocks} must be between"):
        SubspaceMultiplexer(3, 24, n_blocks=n_blocks)
