import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from muxlearn.theory import (
    SelfAttention,
    bundle,
    construction_error,
    cross_talk,
    draw_keys,
    multiplex_attention,
    share_attention,
    unbind,
)

N_MUX, WIDTH, LENGTH = 3, 8, 5


@pytest.fixture
def layer():
    return SelfAttention.draw(WIDTH, 2, random_state=0)


def sequences(*shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((*shape, WIDTH)))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


# The layer


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_of_torch_is_taken_over(bias):
    module = nn.MultiheadAttention(WIDTH, 2, bias=bias, batch_first=True).double()
    if bias:
        nn.init.normal_(module.in_proj_bias)
        nn.init.normal_(module.out_proj.bias)
    x = sequences(4, LENGTH)
    close(SelfAttention.from_module(module)(x), module(x, x, x, need_weights=False)[0])


def test_a_copy_does_not_follow_the_module():
    module = nn.MultiheadAttention(WIDTH, 2)
    copy = SelfAttention.from_module(module)
    before = copy.query.clone()
    nn.init.zeros_(module.in_proj_weight)
    assert torch.equal(copy.query, before)


@pytest.mark.parametrize("options", [{"kdim": 4}, {"add_bias_kv": True}, {"add_zero_attn": True}])
def test_other_layers_of_torch_are_refused(options):
    with pytest.raises(ValueError, match="must be a self-attention layer"):
        SelfAttention.from_module(nn.MultiheadAttention(WIDTH, 2, **options))


def test_masked_tokens_are_not_seen(layer):
    x = sequences(LENGTH)
    mask = torch.arange(LENGTH) < 3
    close(layer(x, mask)[:3], layer(x[:3]))


# The construction


def test_orthogonal_keys_make_the_layer_exact(layer):
    keys = draw_keys(N_MUX, WIDTH, N_MUX * WIDTH, random_state=0)
    x = sequences(4, N_MUX, LENGTH)
    close(unbind(multiplex_attention(layer, keys)(bundle(x, keys)), keys), layer(x))


def test_a_whole_stack_of_layers_is_exact(layer):
    keys = draw_keys(N_MUX, WIDTH, 40, random_state=0)
    second = SelfAttention.draw(WIDTH, 4, random_state=7)
    x = sequences(N_MUX, LENGTH)
    y = bundle(x, keys)
    for each in (layer, second):
        y = y + multiplex_attention(each, keys)(y)
    expected = x + layer(x)
    close(unbind(y, keys), expected + second(expected))


@pytest.mark.parametrize("kind", ["rotation", "sign", "gaussian"])
def test_independent_keys_and_their_duals_make_the_layer_exact(layer, kind):
    error = construction_error(layer, N_MUX, [40], kind=kind, readers="dual", random_state=0)
    assert error < 1e-10


def test_each_sequence_keeps_its_own_mask(layer):
    keys = draw_keys(N_MUX, WIDTH, 40, random_state=0)
    x = sequences(N_MUX, LENGTH)
    masks = torch.arange(LENGTH) < torch.tensor([[2], [5], [3]])  # (n_mux, length)
    of_heads = masks.repeat_interleave(layer.n_heads, 0)[:, None]
    mixed = multiplex_attention(layer, keys)(bundle(x, keys), of_heads)
    close(unbind(mixed, keys), layer(x, masks[:, None, None]))


def test_there_is_a_head_for_each_head_of_each_slot(layer):
    mixed = multiplex_attention(layer, draw_keys(N_MUX, WIDTH, 40, random_state=0))
    assert (mixed.n_heads, mixed.width) == (N_MUX * layer.n_heads, 40)
    assert mixed.scale == layer.scale


@pytest.mark.parametrize("kind", ["rotation", "sign", "gaussian"])
def test_the_error_of_random_keys_falls_as_the_root_of_the_dimensions(layer, kind):
    widths = [512, 2048, 8192]
    errors = construction_error(layer, N_MUX, widths, kind=kind, n_draws=6, random_state=0)
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    talk = [cross_talk(N_MUX, WIDTH, width, kind) for width in widths[1:]]
    assert np.all((errors[1:] > talk) & (errors[1:] < 3 * np.array(talk)))


def test_a_shared_softmax_is_exact_for_equal_sequences(layer):
    keys = draw_keys(N_MUX, WIDTH, 40, random_state=0)
    x = sequences(1, LENGTH).expand(N_MUX, -1, -1)
    close(unbind(share_attention(layer, keys)(bundle(x, keys)), keys), layer(x))


def test_a_shared_softmax_is_exact_without_scores(layer):
    blind = dataclasses.replace(layer, query=0 * layer.query, query_bias=0 * layer.query_bias)
    error = construction_error(blind, N_MUX, [40], kind="orthogonal", heads="shared")
    assert error < 1e-12


def test_more_dimensions_do_not_help_a_shared_softmax(layer):
    few, many = construction_error(
        layer, N_MUX, [24, 2400], kind="orthogonal", heads="shared", n_draws=20, random_state=0
    )
    assert few > 0.2
    assert many == pytest.approx(few, rel=0.2)


def test_the_same_seed_draws_the_same(layer):
    first, second = (construction_error(layer, 2, [32], random_state=3) for _ in range(2))
    assert first == second


# Errors


def test_heads_share_the_width_out():
    with pytest.raises(ValueError, match="multiple of `n_heads`, got width 8 and 3 heads"):
        SelfAttention.draw(8, 3)


def test_what_does_not_fit_the_layer_is_refused(layer):
    with pytest.raises(ValueError, match=r"of shape \(..., length, 8\), got \(5, 7\)"):
        layer(torch.zeros(5, 7))
    for construct in (multiplex_attention, share_attention):
        with pytest.raises(ValueError, match="as wide as the layer, 8, got width 7"):
            construct(layer, torch.zeros(3, 20, 7))
        with pytest.raises(ValueError, match="shaped as the keys"):
            construct(layer, torch.zeros(3, 20, 8), torch.zeros(2, 20, 8))
