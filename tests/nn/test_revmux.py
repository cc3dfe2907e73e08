import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from muxlearn.nn.cut import FrozenEncoder
from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.nn.revmux import (
    Coupling,
    ReversibleMultiplexer,
    RevMuxClassifier,
    RevMuxTrainingOutput,
    info_nce_loss,
)

HIDDEN, CLASSES, LENGTH = 16, 3, 7

every_n = pytest.mark.parametrize("n_mux", [2, 4, 8])


def make_encoder(mux_layer=1):
    config = BertConfig(
        vocab_size=30,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        initializer_range=0.2,
    )
    return FrozenEncoder(PretrainedEncoder(BertModel(config, add_pooling_layer=False)), mux_layer)


def make(n_mux=4, **params):
    return RevMuxClassifier(make_encoder(), n_mux, CLASSES, **params).eval()


def random_rows(n_rows=8):
    ids = torch.randint(30, (n_rows, LENGTH))
    lengths = torch.randint(1, LENGTH + 1, (n_rows, 1))
    lengths[0] = LENGTH
    return ids, (torch.arange(LENGTH) < lengths).long()


# The adapters


def test_a_coupling_is_that_of_the_paper():
    coupling = Coupling(1, 3, 5)
    a, b = torch.randn(2, 2, 1, 4, 3).unbind()

    def mlp(part, x):
        hidden = F.relu(x @ part.weight_in[0] + part.bias_in[0])
        return hidden @ part.weight_out[0] + part.bias_out[0]

    mixed_a = a + mlp(coupling.f, b)
    mixed_b = b + mlp(coupling.g, mixed_a)
    for found, expected in zip(coupling(a, b), (mixed_a, mixed_b), strict=True):
        torch.testing.assert_close(found, expected)


@every_n
def test_the_multiplexer_run_backwards_undoes_itself(n_mux):
    multiplexer = ReversibleMultiplexer(n_mux, HIDDEN).double()
    streams = torch.randn(3, n_mux, 5, HIDDEN // n_mux, dtype=torch.float64)
    mixed = multiplexer(streams)
    assert mixed.shape == (3, 5, HIDDEN)
    assert (mixed - streams.transpose(1, 2).flatten(2)).abs().max() > 0.1
    torch.testing.assert_close(multiplexer.reverse(mixed), streams, atol=1e-12, rtol=0)


@every_n
def test_every_row_reaches_the_whole_mixture(n_mux):
    multiplexer = ReversibleMultiplexer(n_mux, HIDDEN).double()
    streams = torch.randn(1, n_mux, 1, HIDDEN // n_mux, dtype=torch.float64)
    for slot in range(n_mux):
        other = streams.clone()
        other[:, slot] += 1
        change = (multiplexer(other) - multiplexer(streams)).view(n_mux, -1).abs().amax(1)
        assert (change > 1e-6).all()


@every_n
def test_positions_are_mixed_apart_from_each_other(n_mux):
    multiplexer = ReversibleMultiplexer(n_mux, HIDDEN)
    streams = torch.randn(2, n_mux, 5, HIDDEN // n_mux)
    alone = multiplexer(streams[:, :, 2:3])
    torch.testing.assert_close(multiplexer(streams)[:, 2:3], alone)


@every_n
def test_with_no_layers_between_each_slot_gets_its_own_row_back(n_mux, monkeypatch):
    model = make(n_mux).double()
    monkeypatch.setattr(model.encoder, "encode", lambda x, mask: x)
    ids = torch.randint(30, (3 * n_mux, 1))  # of one token, or the mean would come between
    mask = torch.ones_like(ids).bool()
    rows = model.encoder.read(ids, mask).unflatten(0, (3, n_mux))
    in_slots = mask.unflatten(0, (3, n_mux))
    found = model._unfold(model._mix(rows, in_slots), in_slots)
    torch.testing.assert_close(found, model.multiplexer.project(rows)[:, :, 0], atol=1e-12, rtol=0)


# The loss


def test_info_nce_is_the_cross_entropy_of_finding_the_own_row():
    vectors, alone = torch.randn(3, 5), torch.randn(4, 5)
    rows = torch.tensor([2, 0, 2])
    expected = 0.0
    for vector, row in zip(vectors, rows, strict=True):
        scores = torch.stack([torch.cosine_similarity(vector, other, dim=0) for other in alone])
        expected -= (scores / 0.1).log_softmax(0)[row] / 3
    torch.testing.assert_close(info_nce_loss(vectors, alone, rows, 0.1), expected)


@pytest.mark.parametrize("n_places", [1, 2, 4])
def test_training_compares_each_slot_with_the_row_that_stands_there(n_places):
    model = make(4)
    ids, mask = random_rows(2 * n_places)
    output = model(ids, mask, n_places, contrast=True)
    assert isinstance(output, RevMuxTrainingOutput)
    assert output.vectors.shape == (8, HIDDEN)
    expected = [mixture * n_places + slot % n_places for mixture in (0, 1) for slot in range(4)]
    assert output.rows.tolist() == expected
    for row in range(2 * n_places):
        n_tokens = int(mask[row].sum())
        own = ids[row : row + 1, :n_tokens], mask[row : row + 1, :n_tokens].bool()
        hidden = model.encoder.encode(model.encoder.read(*own), own[1])
        torch.testing.assert_close(output.alone[row], hidden[0].mean(0), atol=1e-5, rtol=1e-4)


# The network


@every_n
def test_logits_are_those_of_the_steps_written_out(n_mux):
    model = make(n_mux)
    ids, mask = random_rows(n_mux)
    rows = model.encoder.read(ids, mask.bool())
    streams = torch.stack(list(map(torch.matmul, rows, model.multiplexer.down)))
    streams = streams * mask[..., None]
    hidden = model.encoder.encode(model.multiplexer(streams[None]), mask.any(0)[None])
    expected = []
    for slot in range(n_mux):
        mean = hidden[0][mask[slot].bool()].mean(0)
        own = model.multiplexer.reverse(mean[None, None])[0, slot, 0]
        expected.append(model.head(model.up(own)))
    torch.testing.assert_close(model(ids, mask), torch.stack(expected), atol=1e-5, rtol=1e-4)


def test_one_slot_is_the_encoder_with_a_head():
    model = make(1)
    ids, mask = random_rows(3)
    assert not hasattr(model, "multiplexer")
    hidden = model.encoder.encode(model.encoder.read(ids, mask.bool()), mask.bool())
    means = [row[m.bool()].mean(0) for row, m in zip(hidden, mask, strict=True)]
    torch.testing.assert_close(model(ids, mask), model.head(torch.stack(means)))


@pytest.mark.parametrize("n_places", [1, 2])
def test_fewer_rows_are_repeated_over_the_slots_and_averaged(n_places):
    model = make(4)
    ids, mask = random_rows(2 * n_places)
    slots = torch.arange(4) % n_places
    repeated = [part.view(2, n_places, -1)[:, slots].flatten(0, 1) for part in (ids, mask)]
    by_slot = model(*repeated).softmax(-1).view(2, -1, n_places, CLASSES)
    found = model(ids, mask, n_places).softmax(-1)
    torch.testing.assert_close(found, by_slot.mean(1).flatten(0, 1))


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_padding_does_not_speak(n_mux):
    model = make(n_mux)
    ids, mask = random_rows()
    longer = F.pad(ids, (0, 6), value=9), F.pad(mask, (0, 6))
    torch.testing.assert_close(model(*longer), model(ids, mask), atol=1e-5, rtol=1e-4)
    other = torch.where(mask.bool(), ids, 11)
    torch.testing.assert_close(model(other, mask), model(ids, mask), atol=1e-5, rtol=1e-4)


def test_without_a_mask_every_token_counts():
    model = make()
    ids, mask = random_rows()
    torch.testing.assert_close(model(ids), model(ids, torch.ones_like(mask)))


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_adapters_and_head_get_gradients_and_the_encoder_none(n_mux):
    model = make(n_mux).train()
    model(*random_rows()).logsumexp(-1).sum().backward()
    for name, weights in model.named_parameters():
        got = weights.grad is not None and bool(weights.grad.abs().sum() > 0)
        assert got != name.startswith("encoder."), name


def test_info_nce_alone_reaches_all_adapters():
    model = make(4).train()
    output = model(*random_rows(), contrast=True)
    info_nce_loss(output.vectors, output.alone, output.rows, 0.05).backward()
    parts = {name.partition(".")[0] for name, w in model.named_parameters() if w.grad is not None}
    assert parts == {"multiplexer", "up"}
    assert all(w.grad.abs().sum() > 0 for w in model.multiplexer.parameters())


def test_dropout_is_in_the_new_parts_only():
    model = make(2, dropout=0.5).train()
    ids, mask = random_rows()
    hidden = [model.encoder.read(ids, mask.bool()) for _ in range(2)]
    torch.testing.assert_close(*hidden)
    assert (model(ids, mask) - model(ids, mask)).abs().max() > 1e-4


def test_a_copy_for_inference_has_another_precision_and_its_own_memory():
    model = make()
    ids, mask = random_rows()
    copied = model.for_inference(torch.float64)
    expected = model(ids, mask)
    nn.init.zeros_(model.head.out.weight)
    torch.testing.assert_close(copied(ids, mask).float(), expected, atol=1e-5, rtol=1e-4)
    assert not any(weights.requires_grad for weights in copied.parameters())


@pytest.mark.parametrize("n_mux", [0, 3, 6, 32])
def test_a_number_of_slots_that_is_no_power_of_two_or_too_large_is_refused(n_mux):
    message = f"n_mux={n_mux} must be a power of two that divides hidden_size=16"
    with pytest.raises(ValueError, match=message):
        make(n_mux)


def test_rows_that_fill_no_mixture_are_refused():
    with pytest.raises(ValueError, match="6 rows cannot be divided into mixtures of n_mux=4"):
        make(4)(*random_rows(6))


@every_n
def test_slots_start_with_their_own_stretch_of_the_coordinates(n_mux):
    multiplexer = ReversibleMultiplexer(n_mux, HIDDEN)
    rows = torch.randn(2, n_mux, 5, HIDDEN)
    streams = multiplexer.project(rows)
    for slot, stretch in enumerate(rows.split(HIDDEN // n_mux, dim=-1)):
        torch.testing.assert_close(streams[:, slot], stretch[:, slot])
