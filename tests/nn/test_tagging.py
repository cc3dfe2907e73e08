from itertools import product

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from muxlearn.nn import demultiplex
from muxlearn.nn.demultiplex import (
    DEMULTIPLEXERS,
    IdentityDemultiplexer,
    IndexDemultiplexer,
    MLPDemultiplexer,
    RSADemultiplexer,
)
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import MULTIPLEXERS, ContextualMultiplexer, IdentityMultiplexer
from muxlearn.nn.tagging import LexicalPath, MuxTokenClassifier

N_MUX, HIDDEN, VOCAB, TAGS, LENGTH = 5, 20, 30, 3, 7

every_pair = pytest.mark.parametrize(("mux", "demux"), list(product(MULTIPLEXERS, DEMULTIPLEXERS)))
every_demux = pytest.mark.parametrize("demux", DEMULTIPLEXERS)
with_and_without_path = pytest.mark.parametrize("lexical_size", [0, 6])


def make_encoder(kind="compact", n_prefix=0):
    if kind == "compact":
        return CompactEncoder(VOCAB, HIDDEN, 2, 2, 32, max_length=16, n_prefix=n_prefix)
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16 + n_prefix,
    )
    return PretrainedEncoder(BertModel(config, add_pooling_layer=False))


def make(mux="subspace", demux="rsa", encoder="compact", lexical_size=6):
    cls = DEMULTIPLEXERS[demux]
    model = MuxTokenClassifier(
        make_encoder(encoder, N_MUX if cls.uses_prefix else 0),
        MULTIPLEXERS[mux](N_MUX, HIDDEN),
        cls(N_MUX, HIDDEN),
        TAGS,
        lexical_size=lexical_size,
    ).eval()
    for name, p in model.named_parameters():
        if "norm_" in name:  # the slots of "mlp" start with the same ones
            torch.nn.init.normal_(p)
    return model


def random_rows(n_rows=2 * N_MUX):
    """Ids, mask, and the tokens that want a tag: some of each row's own."""
    ids = torch.randint(VOCAB, (n_rows, LENGTH))
    lengths = torch.randint(1, LENGTH + 1, (n_rows, 1))
    lengths[0] = LENGTH
    mask = (torch.arange(LENGTH) < lengths).long()
    tagged = mask.bool() & (torch.rand(n_rows, LENGTH) < 0.6)
    return ids, mask, tagged


def repeat_over_slots(rows, n_places):
    """Mixtures of `n_places` rows with row p in the slots p, p + n_places, …"""
    mixtures = rows.view(-1, n_places, rows.shape[1])
    return mixtures[:, torch.arange(N_MUX) % n_places].flatten(0, 1)


def literal_encode(model, ids, mask):
    """One mixture: ids and mask of shape (n_mux, length)."""
    x = model.encoder.embedding(ids) * mask[..., None]
    present = mask.any(0)
    mixed = model.multiplexer.mix(x[None], mask[None].bool())
    if not model.demultiplexer.uses_prefix:
        return model.encoder(mixed, present[None])[0], None
    tokens = torch.full((N_MUX, N_MUX), N_MUX)  # the filler everywhere …
    tokens.fill_diagonal_(0).add_(torch.diag(torch.arange(N_MUX)))  # … but at the own slot
    prefix = model.prefix_embedding(tokens)
    mixed = torch.cat([model.multiplexer(prefix[None]), mixed], 1)
    if not isinstance(model.multiplexer, ContextualMultiplexer):
        mixed = model.multiplexer(torch.cat([prefix, x], 1)[None])
    present = F.pad(present, (N_MUX, 0), value=True)
    hidden = model.encoder(mixed, present[None])[0]
    return hidden[N_MUX:], hidden[:N_MUX]


def literal_path(path, ids, mask):
    """The path of one row, token by token."""
    vectors = path.embedding(ids) * mask[:, None]
    out = torch.zeros(len(ids), path.mix.out_channels)
    for at in range(len(ids)):
        out[at] = path.mix.bias
        for offset in range(-path.radius, path.radius + 1):
            if 0 <= at + offset < len(ids):
                out[at] += path.mix.weight[:, :, offset + path.radius] @ vectors[at + offset]
    return F.gelu(out)


def literal_vector(demux, slot, h, prefix, extra):
    """Demultiplex one vector for one slot: by the formulas of ours, and any other alone."""
    added = 0 if extra is None else demux.extra_in.weight @ extra
    if isinstance(demux, RSADemultiplexer):
        x = demux.mixture_in(h) + demux.key_in(demux.keys[slot]) + added
        return demux.norm(demux.out(F.gelu(x)))
    if isinstance(demux, IndexDemultiplexer):
        return demux.norm(F.gelu(demux.dense(torch.cat([prefix[slot], h])) + added))
    if isinstance(demux, MLPDemultiplexer):
        x = F.gelu(demux.weight[slot] @ h + demux.bias[slot] + added)
        return F.layer_norm(x, (HIDDEN,), demux.norm_weight[slot], demux.norm_bias[slot])
    prefix = None if prefix is None else prefix[None]
    if extra is None:
        return demux(h.expand(1, N_MUX, 1, -1), prefix)[0, slot, 0]
    slots, positions = torch.tensor([slot]), torch.tensor([0])
    return demux.gather(h[None, None], prefix, slots, positions, extra[None])[0]


def literal_logits(model, ids, mask, tagged):
    """The logits of one full mixture, slot by slot and token by token."""
    hidden, prefix = literal_encode(model, ids, mask)
    logits = []
    for slot in range(N_MUX):
        path = model.lexical and literal_path(model.lexical, ids[slot], mask[slot])
        for at in tagged[slot].nonzero().flatten():
            extra = None if path is None else path[at]
            vector = literal_vector(model.demultiplexer, slot, hidden[at], prefix, extra)
            logits.append(model.head[1](vector))
    return torch.stack(logits)


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


# Prediction


@every_pair
@with_and_without_path
def test_a_token_is_read_at_its_position_for_its_slot(mux, demux, lexical_size):
    model = make(mux, demux, lexical_size=lexical_size)
    rows = random_rows(N_MUX)
    close(model(*rows), literal_logits(model, *rows))


@every_pair
@with_and_without_path
@pytest.mark.parametrize("n_places", [1, 3])
def test_fewer_rows_average_the_probabilities_of_their_slots(mux, demux, lexical_size, n_places):
    model = make(mux, demux, lexical_size=lexical_size)
    ids, mask, tagged = random_rows(n_places)
    everywhere = [repeat_over_slots(x, n_places) for x in (ids, mask, mask.bool())]
    proba = torch.zeros(N_MUX, LENGTH, TAGS)
    proba[everywhere[2]] = literal_logits(model, *everywhere).softmax(-1)
    expected = [proba[place::n_places].mean(0)[tagged[place]] for place in range(n_places)]
    log_proba = model(ids, mask, tagged, n_mux=n_places)
    close(log_proba.exp(), torch.cat(expected))


@every_demux
@pytest.mark.parametrize("n_places", [2, N_MUX])
def test_logits_are_in_the_order_of_the_rows(demux, n_places):
    model = make(demux=demux)
    rows = random_rows(4 * n_places)
    mixtures = zip(*(x.split(n_places) for x in rows), strict=True)
    alone = [model(*mixture, n_mux=n_places) for mixture in mixtures]
    close(model(*rows, n_mux=n_places), torch.cat(alone))


@every_pair
@pytest.mark.parametrize("encoder", ["compact", "pretrained"])
def test_padding_further_changes_no_logits(mux, demux, encoder):
    model = make(mux, demux, encoder)
    ids, mask, tagged = random_rows()
    padded_ids = torch.cat([ids, torch.randint(VOCAB, (len(ids), 4))], 1)
    padded = model(padded_ids, F.pad(mask, (0, 4)), F.pad(tagged, (0, 4)))
    close(padded, model(ids, mask, tagged))


@every_demux
def test_what_stands_in_padding_changes_no_logits(demux):
    model = make(demux=demux)
    ids, mask, tagged = random_rows()
    other = torch.where(mask.bool(), ids, (ids + 1) % VOCAB)
    close(model(other, mask, tagged), model(ids, mask, tagged))


@every_demux
@pytest.mark.parametrize("n_places", [3, N_MUX])
def test_only_tokens_that_want_a_tag_reach_the_head(demux, n_places):
    model = make(demux=demux)
    ids, mask, tagged = random_rows(2 * n_places)
    seen = []
    model.head.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    logits = model(ids, mask, tagged, n_mux=n_places)
    assert len(logits) == tagged.sum()
    # Each token once for each slot of its row.
    n_slots = torch.bincount(torch.arange(N_MUX) % n_places, minlength=n_places)
    of_rows = n_slots.repeat(2)
    assert sum(seen) == (tagged.sum(1) * of_rows).sum()
    seen.clear()
    assert len(model(ids, mask, n_mux=n_places)) == mask.sum()
    assert sum(seen) == (mask.sum(1) * of_rows).sum()


@every_demux
@pytest.mark.parametrize("n_places", [3, N_MUX])
def test_nothing_wanted_is_nothing_read(demux, n_places):
    ids, mask, tagged = random_rows(n_places)
    logits = make(demux=demux)(ids, mask, torch.zeros_like(tagged), n_mux=n_places)
    assert logits.shape == (0, TAGS)


@every_demux
def test_a_row_without_tokens_harms_no_other(demux):
    ids, mask, tagged = random_rows()
    mask[1] = tagged[1] = 0
    logits = make(demux=demux)(ids, mask, tagged)
    assert len(logits) == tagged.sum()
    assert logits.isfinite().all()


def test_one_slot_needs_neither_multiplexer_nor_demultiplexer_nor_path():
    encoder = make_encoder()
    model = MuxTokenClassifier(
        encoder,
        IdentityMultiplexer(1, HIDDEN),
        IdentityDemultiplexer(1, HIDDEN),
        TAGS,
        lexical_size=6,
    ).eval()
    assert model.lexical is None
    ids, mask, tagged = random_rows(4)
    hidden = encoder(encoder.embedding(ids) * mask[..., None], mask.bool())
    close(model(ids, mask, tagged), model.head(hidden)[tagged])


@pytest.mark.parametrize("n_mux", [0, N_MUX + 1])
def test_n_mux_must_be_within_the_capacity(n_mux):
    with pytest.raises(ValueError, match=f"n_mux={n_mux} is outside of 1 to 5, the capacity"):
        make()(*random_rows(), n_mux=n_mux)


# For inference


@every_pair
@with_and_without_path
@pytest.mark.parametrize("n_places", [3, N_MUX])
def test_a_model_for_inference_predicts_the_same(mux, demux, lexical_size, n_places):
    model = make(mux, demux, lexical_size=lexical_size)
    rows = random_rows(2 * n_places)
    with torch.inference_mode():
        logits = model.for_inference()(*rows, n_mux=n_places)
    close(logits, model(*rows, n_mux=n_places))


@every_demux
def test_a_pretrained_model_for_inference_predicts_the_same(demux):
    model, rows = make(demux=demux, encoder="pretrained"), random_rows()
    close(model.for_inference()(*rows), model(*rows))


@every_pair
@pytest.mark.parametrize("n_places", [3, N_MUX])
def test_a_model_for_inference_computes_in_the_type_asked_for(mux, demux, n_places):
    model, rows = make(mux, demux), random_rows(2 * n_places)
    logits = model.for_inference(torch.bfloat16)(*rows, n_mux=n_places)
    close(logits.float().softmax(-1), model(*rows, n_mux=n_places).softmax(-1), 0.05)


def test_long_mixtures_are_read_in_parts_at_inference(monkeypatch):
    monkeypatch.setattr(demultiplex, "_CHUNK", 4)
    model, rows = make(), random_rows()
    seen = []
    model.demultiplexer.norm.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    with torch.inference_mode():
        logits = model(*rows)
    assert max(seen) == 4
    assert sum(seen) == rows[2].sum()
    close(logits, model(*rows))


# Training


@every_pair
@with_and_without_path
def test_a_training_pass_reaches_every_parameter(mux, demux, lexical_size):
    model = make(mux, demux, lexical_size=lexical_size).train()
    out = model(*random_rows(4 * N_MUX), retrieval_samples=20)
    (out.logits.square().sum() + retrieval_loss(*out[1:3])).backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


@every_demux
def test_a_training_pass_with_fewer_rows_reaches_every_parameter(demux):
    model = make(demux=demux).train()
    out = model(*random_rows(12), n_mux=3, retrieval_samples=20)
    (out.logits.exp().square().sum() + retrieval_loss(*out[1:3])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_training_pass_predicts_what_a_prediction_does():
    model, rows = make(), random_rows()
    close(model(*rows, retrieval_samples=10).logits, model(*rows))


@pytest.mark.parametrize("n_places", [1, 2, N_MUX])
def test_a_slot_retrieves_tokens_of_its_own_row_never_padding(n_places):
    ids, mask, tagged = random_rows(2 * n_places)
    # Row r holds the token r only; padding holds another.
    ids = torch.where(mask.bool(), torch.arange(2 * n_places)[:, None], VOCAB - 1)
    out = make()(ids, mask, tagged, n_mux=n_places, retrieval_samples=10 * N_MUX)
    assert out.retrieval_logits.shape == (2, N_MUX, 10, VOCAB)
    row_of_slot = torch.arange(N_MUX) % n_places + torch.tensor([[0], [n_places]])
    assert (out.retrieval_targets == row_of_slot[:, :, None]).all()


def test_the_path_has_no_part_in_retrieval():
    """Or the mixture would need to carry no token any more."""
    model = make().train()
    out = model(*random_rows(), retrieval_samples=20)
    retrieval_loss(*out[1:3]).backward()
    assert all(p.grad is None for p in model.lexical.parameters())


# The path past the mixture


@pytest.mark.parametrize(("lexical_size", "differs"), [(0, False), (6, True)])
def test_the_path_tells_rows_apart_where_the_mixture_does_not(lexical_size, differs):
    model = make("identity", lexical_size=lexical_size)  # a mixture is the sum of its rows
    ids = torch.randint(VOCAB, (N_MUX, LENGTH))
    swapped = ids[[1, 0, *range(2, N_MUX)]]
    moved = (model(swapped) - model(ids))[:LENGTH].abs().max()
    assert (moved > 1e-3) == differs


def test_the_path_looks_two_tokens_far():
    path = LexicalPath(torch.nn.Embedding(VOCAB, HIDDEN), 6)
    ids = torch.randint(VOCAB - 1, (1, 9))
    changed = ids.clone()
    changed[0, 4] += 1
    mask = torch.ones_like(ids)
    moved = (path(ids, mask) - path(changed, mask)).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == [2, 3, 4, 5, 6]


def test_the_path_does_not_see_padding():
    path = LexicalPath(torch.nn.Embedding(VOCAB, HIDDEN), 6)
    ids = torch.randint(VOCAB, (1, 9))
    mask = (torch.arange(9) < 5).long()[None]
    close(path(ids, mask)[:, :5], path(ids[:, :5], mask[:, :5]))


@pytest.mark.parametrize("size", [6, HIDDEN, HIDDEN + 4])
def test_the_path_starts_from_the_leading_components_of_the_token_table(size):
    table = torch.nn.Embedding(VOCAB, HIDDEN)
    with torch.no_grad():  # most of what tells tokens apart lies in two dimensions
        table.weight[:, 2:] *= 0.01
    path = LexicalPath(table, size)
    centred = table.weight - table.weight.mean(0)
    narrow = path.embedding.weight[:, : min(size, HIDDEN)]
    expected = torch.cdist(centred, centred)
    actual = torch.cdist(narrow, narrow)
    close(actual / actual.max(), expected / expected.max(), 0.01)
    assert path.embedding.weight.shape == (VOCAB, size)


# Demultiplexer.gather


def random_reads(n=40):
    h, prefix = torch.randn(3, LENGTH, HIDDEN), torch.randn(3, N_MUX, HIDDEN)
    mixtures, slots, steps = (torch.randint(0, end, (n,)) for end in (3, N_MUX, LENGTH))
    return h, prefix, mixtures, slots, steps


def random_demultiplexer(demux):
    layer = DEMULTIPLEXERS[demux](N_MUX, HIDDEN)
    layer.add_input(4)
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return layer


in_parts_or_not = pytest.mark.parametrize("chunk", [1024, 40, 7])
with_gradients_or_not = pytest.mark.parametrize("training", [False, True])


@every_demux
@in_parts_or_not
@with_gradients_or_not
def test_gathering_equals_demultiplexing_all(demux, chunk, training, monkeypatch):
    monkeypatch.setattr(demultiplex, "_CHUNK", chunk)
    layer = random_demultiplexer(demux)
    h, prefix, mixtures, slots, steps = random_reads()
    everywhere = layer(h[:, None].expand(-1, N_MUX, -1, -1), prefix)
    with torch.set_grad_enabled(training):
        read = layer.gather(h, prefix, slots, mixtures * LENGTH + steps)
    close(read, everywhere[mixtures, slots, steps])


@every_demux
@in_parts_or_not
@with_gradients_or_not
def test_gathering_adds_the_extra_input(demux, chunk, training, monkeypatch):
    monkeypatch.setattr(demultiplex, "_CHUNK", chunk)
    layer = random_demultiplexer(demux)
    h, prefix, mixtures, slots, steps = random_reads()
    extra = torch.randn(40, 4)
    expected = [
        literal_vector(layer, slot, h[mixture, step], prefix[mixture], row)
        for mixture, slot, step, row in zip(mixtures, slots, steps, extra, strict=True)
    ]
    with torch.set_grad_enabled(training):
        read = layer.gather(h, prefix, slots, mixtures * LENGTH + steps, extra)
    close(read, torch.stack(expected))


@every_demux
def test_gathering_reads_each_token_with_its_extra_input(demux):
    layer = random_demultiplexer(demux)
    h, prefix, mixtures, slots, steps = random_reads()
    alone, with_zeros, with_more = (
        layer.gather(h, prefix, slots, mixtures * LENGTH + steps, extra)
        for extra in (None, torch.zeros(40, 4), torch.randn(40, 4))
    )
    close(with_zeros, alone)
    assert ((with_more - alone).abs().amax(1) > 1e-3).all()


def test_gathering_for_one_slot_passes_the_mixture_on():
    h, positions = torch.randn(3, LENGTH, HIDDEN), torch.tensor([8, 0, 8])
    slots = torch.zeros(3, dtype=torch.long)
    read = IdentityDemultiplexer(1, HIDDEN).gather(h, None, slots, positions)
    assert torch.equal(read, torch.stack([h[1, 1], h[0, 0], h[1, 1]]))


@every_pair
@with_gradients_or_not
def test_no_rows_get_no_logits(mux, demux, training):
    model, ids = make(mux, demux), torch.zeros(0, LENGTH, dtype=torch.long)
    with torch.set_grad_enabled(training):
        assert model(ids, ids).shape == (0, TAGS)
        assert model.for_inference()(ids, ids).shape == (0, TAGS)
