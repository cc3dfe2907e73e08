from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.demultiplex import (
    DEMULTIPLEXERS,
    IdentityDemultiplexer,
    IndexDemultiplexer,
    MLPDemultiplexer,
    RSADemultiplexer,
)
from muxlearn.nn.multiplex import SubspaceMultiplexer

N_MUX, HIDDEN = 4, 32
every_demultiplexer = pytest.mark.parametrize("name", DEMULTIPLEXERS)


def random_mixture(n_mixtures=3, n_positions=6):
    h = torch.randn(n_mixtures, N_MUX, n_positions, HIDDEN)
    return h, torch.randn(n_mixtures, N_MUX, HIDDEN)


@every_demultiplexer
def test_every_slot_and_position_gets_a_vector(name):
    h, prefix = random_mixture()
    assert DEMULTIPLEXERS[name](N_MUX, HIDDEN)(h, prefix).shape == h.shape


@every_demultiplexer
def test_a_demultiplexer_tells_its_slots_apart(name):
    h, prefix = random_mixture()
    same = h[:, :1].expand(-1, N_MUX, -1, -1)
    out = DEMULTIPLEXERS[name](N_MUX, HIDDEN)(same, prefix)
    assert (out[:, 0] - out[:, 1]).abs().max() > 0.1


@every_demultiplexer
def test_positions_do_not_speak_to_each_other(name):
    demux = DEMULTIPLEXERS[name](N_MUX, HIDDEN)
    h, prefix = random_mixture()
    torch.testing.assert_close(demux(h, prefix)[:, :, 2:3], demux(h[:, :, 2:3], prefix))


def test_identity_passes_the_mixture_on():
    h, _ = random_mixture()
    assert IdentityDemultiplexer(1, HIDDEN)(h) is h


@every_demultiplexer
def test_a_demultiplexer_reads_a_prefix_if_it_says_so(name):
    demux, (h, prefix) = DEMULTIPLEXERS[name](N_MUX, HIDDEN), random_mixture()
    assert torch.equal(demux(h, prefix), demux(h, prefix + 1)) != demux.uses_prefix


@every_demultiplexer
def test_a_demultiplexer_asks_for_the_prefix_that_it_reads(name):
    demux, (h, _) = DEMULTIPLEXERS[name](N_MUX, HIDDEN), random_mixture()
    with pytest.raises(ValueError, match="prefix is None") if demux.uses_prefix else nullcontext():
        demux(h)


@every_demultiplexer
def test_vectors_that_there_is_no_room_for_are_refused(name):
    demux, slots = DEMULTIPLEXERS[name](N_MUX, HIDDEN), torch.zeros(2, dtype=torch.long)
    h, prefix = random_mixture()
    with pytest.raises(ValueError, match=r"no room for it: call add_input\(7\) first"):
        demux.gather(h[:, 0], prefix, slots, slots, torch.randn(2, 7))


def test_index_embeddings_follow_their_formula():
    demux = IndexDemultiplexer(N_MUX, HIDDEN)
    h, prefix = random_mixture()
    key = prefix[:, :, None].expand_as(h)
    expected = demux.norm(F.gelu(demux.dense(torch.cat([key, h], -1))))
    torch.testing.assert_close(demux(h, prefix), expected, atol=1e-5, rtol=1e-5)


def test_mlp_is_a_layer_of_its_own_for_each_slot():
    demux = MLPDemultiplexer(N_MUX, HIDDEN)
    for p in demux.parameters():
        torch.nn.init.normal_(p)
    h, _ = random_mixture()
    for i, out in enumerate(demux(h).unbind(1)):
        y = F.gelu(F.linear(h[:, i], demux.weight[i], demux.bias[i]))
        expected = F.layer_norm(y, (HIDDEN,), demux.norm_weight[i], demux.norm_bias[i])
        torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)


def test_mlp_is_normalised_as_its_checkpoint_was():
    h, _ = random_mixture()
    demux = MLPDemultiplexer(N_MUX, HIDDEN, layer_norm_eps=1.0)
    for i, out in enumerate(demux(h).unbind(1)):
        y = F.gelu(F.linear(h[:, i], demux.weight[i], demux.bias[i]))
        torch.testing.assert_close(out, F.layer_norm(y, (HIDDEN,), eps=1.0), atol=1e-5, rtol=1e-5)


def test_rsa_is_a_network_of_the_mixture_beside_the_key():
    demux = RSADemultiplexer(N_MUX, HIDDEN)
    h, _ = random_mixture()
    weight = torch.cat([demux.mixture_in.weight, demux.key_in.weight], 1)
    keys = demux.keys[:, None].expand_as(h)
    inner = F.linear(torch.cat([h, keys], -1), weight, demux.mixture_in.bias)
    torch.testing.assert_close(demux(h), demux.norm(demux.out(F.gelu(inner))), atol=1e-5, rtol=0)


def random_layers(demux):
    for layer in demux.hidden:
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.3)


def test_rsa_with_more_layers_adds_what_each_makes_of_the_last():
    demux = RSADemultiplexer(N_MUX, HIDDEN, n_layers=3)
    random_layers(demux)
    h, _ = random_mixture()
    z = demux.out(F.gelu(demux.mixture_in(h) + demux.key_in(demux.keys)[:, None]))
    for layer in demux.hidden:
        z = z + F.gelu(layer(z))
    assert len(demux.hidden) == 2
    torch.testing.assert_close(demux(h), demux.norm(z), atol=1e-5, rtol=0)


def test_more_layers_of_rsa_start_as_one():
    deep, flat = RSADemultiplexer(N_MUX, HIDDEN, n_layers=3), RSADemultiplexer(N_MUX, HIDDEN)
    deep.load_state_dict(flat.state_dict(), strict=False)
    h, _ = random_mixture()
    assert torch.equal(deep(h), flat(h))
    deep(h).sum().backward()
    assert all(parameter.grad.any() for parameter in deep.hidden[0].parameters())


def test_gathered_vectors_pass_all_layers_of_rsa():
    demux = RSADemultiplexer(N_MUX, HIDDEN, n_layers=3)
    random_layers(demux)
    h = torch.randn(3, 6, HIDDEN)
    slots, positions = torch.tensor([0, 3, 3]), torch.tensor([0, 7, 17])
    expected = demux(h[:, None].expand(-1, N_MUX, -1, -1))[[0, 1, 2], slots, [0, 1, 5]]
    torch.testing.assert_close(demux.gather(h, None, slots, positions), expected)


def test_an_rsa_slot_starts_with_its_share_of_the_units_open():
    demux = RSADemultiplexer(N_MUX, HIDDEN)
    gates = demux.key_in(demux.keys)
    share = 2 * HIDDEN // N_MUX
    expected = torch.full((N_MUX, 2 * HIDDEN), -demux.closed)
    for slot in range(N_MUX):
        expected[slot, slot * share : (slot + 1) * share] = 0.0
    torch.testing.assert_close(gates, expected, atol=1e-4, rtol=0)


def test_rsa_reads_back_what_subspaces_wrote():
    mux, demux = SubspaceMultiplexer(N_MUX, HIDDEN), RSADemultiplexer(N_MUX, HIDDEN)
    # In the span of a slot's frame, so that nothing is lost in multiplexing.
    low = 0.5 * torch.randn(3, N_MUX, 6, HIDDEN // N_MUX)
    x = torch.einsum("bslw,sdw->bsld", low, mux.keys)
    demux.init_from_subspaces(mux)
    h = mux(x)[:, None].expand(-1, N_MUX, -1, -1)
    torch.testing.assert_close(demux(h), demux.norm(x), atol=0.01, rtol=0)


# Rows that are read from all of their blocks at once


def by_place(n_mux=N_MUX, n_blocks=8):
    return RSADemultiplexer(n_mux, HIDDEN, n_blocks=n_blocks)


@pytest.mark.parametrize("n_places", [1, 2, 3, 4])
def test_a_row_in_several_blocks_is_read_once(n_places):
    demux = by_place()
    assert demux.n_reads(n_places) == n_places
    assert demux(torch.randn(2, n_places, 5, HIDDEN)).shape == (2, n_places, 5, HIDDEN)


@pytest.mark.parametrize("n_places", [1, 3, 4])
def test_what_opens_a_unit_for_one_block_opens_it_for_the_row(n_places):
    demux = by_place()
    of_blocks = demux.key_in(demux.keys)
    of_rows = demux._of_slots(None, n_places)
    for place, row in enumerate(of_rows):
        torch.testing.assert_close(row, of_blocks[place::n_places].amax(0))


def test_gathering_reads_what_forward_reads_with_blocks_too():
    demux, h = by_place(), torch.randn(2, 5, HIDDEN)
    full = demux(h[:, None].expand(-1, 3, -1, -1))
    places, steps = torch.tensor([0, 2, 1]), torch.tensor([4, 0, 3])
    mixtures = torch.tensor([1, 0, 1])
    read = demux.gather(h, None, places, mixtures * 5 + steps, n_places=3)
    torch.testing.assert_close(read, full[mixtures, places, steps])
