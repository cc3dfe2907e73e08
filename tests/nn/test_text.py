from itertools import product

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from muxlearn.nn.demultiplex import DEMULTIPLEXERS, IdentityDemultiplexer, RSADemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.heads import ClassificationHead
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import MULTIPLEXERS, ContextualMultiplexer, IdentityMultiplexer
from muxlearn.nn.text import MuxSequenceClassifier

N_MUX, HIDDEN, VOCAB, CLASSES, LENGTH = 5, 20, 30, 3, 7

every_pair = pytest.mark.parametrize(("mux", "demux"), list(product(MULTIPLEXERS, DEMULTIPLEXERS)))
every_demux = pytest.mark.parametrize("demux", DEMULTIPLEXERS)
both_encoders = pytest.mark.parametrize("encoder", ["compact", "pretrained"])


def make_encoder(kind, n_prefix=0):
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


def make(mux="subspace", demux="rsa", encoder="compact"):
    cls = DEMULTIPLEXERS[demux]
    return MuxSequenceClassifier(
        make_encoder(encoder, N_MUX if cls.uses_prefix else 0),
        MULTIPLEXERS[mux](N_MUX, HIDDEN),
        cls(N_MUX, HIDDEN),
        CLASSES,
    ).eval()


def make_lexical(**options):
    parts = MULTIPLEXERS["subspace"](N_MUX, HIDDEN), DEMULTIPLEXERS["rsa"](N_MUX, HIDDEN)
    encoder = make_encoder("compact")
    return MuxSequenceClassifier(encoder, *parts, CLASSES, lexical_path=True, **options).eval()


def random_rows(n_rows=2 * N_MUX, shortest=1):
    ids = torch.randint(VOCAB, (n_rows, LENGTH))
    lengths = torch.randint(shortest, LENGTH + 1, (n_rows, 1))
    lengths[0] = LENGTH
    return ids, (torch.arange(LENGTH) < lengths).long()


def repeat_over_slots(rows, n_places):
    """Mixtures of `n_places` rows with row p in the slots p, p + n_places, …"""
    mixtures = rows.view(-1, n_places, rows.shape[1])
    return mixtures[:, torch.arange(N_MUX) % n_places].flatten(0, 1)


def literal_logits(model, ids, mask):
    """One mixture, written out slot by slot: ids and mask of shape (n_mux, length)."""
    x = model.encoder.embedding(ids) * mask[..., None]
    present = mask.any(0)
    mixed = model.multiplexer.mix(x[None], mask[None].bool())
    if model.demultiplexer.uses_prefix:
        tokens = torch.full((N_MUX, N_MUX), N_MUX)  # the filler everywhere …
        tokens.fill_diagonal_(0).add_(torch.diag(torch.arange(N_MUX)))  # … but at the own slot
        prefix = model.prefix_embedding(tokens)
        mixed = torch.cat([model.multiplexer(prefix[None]), mixed], 1)
        if not isinstance(model.multiplexer, ContextualMultiplexer):
            mixed = model.multiplexer(torch.cat([prefix, x], 1)[None])
        present = F.pad(present, (N_MUX, 0), value=True)
    hidden = model.encoder(mixed, present[None])[0]
    prefix = hidden[None, :N_MUX] if model.demultiplexer.uses_prefix else None
    pooled = [hidden[-LENGTH:][m.bool()].mean(0) for m in mask]
    return model.head(model.demultiplexer(torch.stack(pooled)[None, :, None], prefix)[0, :, 0])


def token_accuracy(model, ids, mask):
    return (model.retrieve(ids, mask) == ids)[mask.bool()].float().mean().item()


def n_values(model):
    return sum(v.numel() for v in model.state_dict().values())


# Prediction


@every_pair
@both_encoders
def test_every_row_gets_its_logits(mux, demux, encoder):
    assert make(mux, demux, encoder)(*random_rows()).shape == (2 * N_MUX, CLASSES)


@every_pair
def test_a_slot_reads_the_mean_over_the_tokens_of_its_row(mux, demux):
    model = make(mux, demux)
    ids, mask = random_rows(N_MUX)
    torch.testing.assert_close(
        model(ids, mask), literal_logits(model, ids, mask), atol=1e-5, rtol=1e-5
    )


@every_demux
def test_mixtures_do_not_speak_to_each_other(demux):
    model = make(demux=demux)
    ids, mask = random_rows()
    logits = model(ids, mask)
    alone = torch.cat(
        [model(ids[rows], mask[rows]) for rows in torch.arange(len(ids)).split(N_MUX)]
    )
    torch.testing.assert_close(logits, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_places", [1, 2, 3, N_MUX])
def test_logits_are_in_the_order_of_the_rows(n_places):
    model = make()
    ids, mask = random_rows(4 * n_places)
    order = torch.randperm(4)
    moved = [x.view(4, n_places, LENGTH)[order].flatten(0, 1) for x in (ids, mask)]
    expected = model(ids, mask, n_mux=n_places).view(4, n_places, -1)[order].flatten(0, 1)
    torch.testing.assert_close(model(*moved, n_mux=n_places), expected, atol=1e-5, rtol=0)


def test_a_row_moves_its_own_slot_most():
    """Slots are told apart from the first day: subspaces, read back by RSA."""
    model = make()
    ids, mask = random_rows(16 * N_MUX, shortest=LENGTH)
    ids, mask = ids.view(16, N_MUX, LENGTH), mask.view(16, N_MUX, LENGTH).bool()
    before = model._read_rows(*model.encode(ids, mask), mask)
    for slot in range(N_MUX):
        other = ids.clone()
        other[:, slot] = (ids[:, slot] + 1 + torch.randint(VOCAB - 1, (16, LENGTH))) % VOCAB
        moved = model._read_rows(*model.encode(other, mask), mask) - before
        assert moved.norm(dim=-1).mean(0).argmax().item() == slot


@every_pair
@both_encoders
def test_padding_further_changes_no_logits(mux, demux, encoder):
    model = make(mux, demux, encoder)
    ids, mask = random_rows()
    padded_ids = torch.cat([ids, torch.randint(VOCAB, (len(ids), 4))], 1)
    padded_mask = F.pad(mask, (0, 4))
    torch.testing.assert_close(
        model(padded_ids, padded_mask), model(ids, mask), atol=1e-5, rtol=1e-5
    )


def test_the_words_of_pairs_are_those_of_the_first_text_and_those_of_the_second():
    model = make_lexical(pairs=True, words=True)
    ids, mask = random_rows(shortest=LENGTH)
    cut = torch.arange(LENGTH) >= 3
    answered = model(ids, mask, n_mux=1, patch_size=0, second=cut.expand(len(ids), -1))
    table = model.encoder.embedding.weight
    texts = (model.lexical_mean(part, part >= 0, table) for part in (ids[:, :3], ids[:, 3:]))
    torch.testing.assert_close(answered, model.head(model.pair_comparison(*texts)))


def test_the_words_of_pairs_need_to_know_the_second_text():
    model = make_lexical(pairs=True, words=True)
    with pytest.raises(ValueError, match="compares the texts of pairs needs `second`"):
        model(*random_rows(), n_mux=1, patch_size=0)


def test_padding_says_nothing_in_pairs():
    model = make_lexical(pairs=True)
    ids, mask = random_rows()
    second = mask.bool() & (torch.arange(LENGTH) >= 3)
    longer = torch.cat([ids, torch.randint(VOCAB, (len(ids), 4))], 1)
    padded = model(longer, F.pad(mask, (0, 4)), second=F.pad(second, (0, 4)))
    torch.testing.assert_close(padded, model(ids, mask, second=second), atol=1e-5, rtol=1e-5)


@every_pair
def test_what_stands_in_padding_changes_no_logits(mux, demux):
    model = make(mux, demux)
    ids, mask = random_rows()
    other = torch.where(mask.bool(), ids, (ids + 1) % VOCAB)
    torch.testing.assert_close(model(other, mask), model(ids, mask), atol=1e-5, rtol=1e-5)


def test_without_a_mask_every_position_is_read():
    model = make()
    ids, _ = random_rows()
    torch.testing.assert_close(model(ids), model(ids, torch.ones_like(ids)))


@every_demux
def test_a_row_without_tokens_harms_no_other(demux):
    model = make(demux=demux)
    ids, mask = random_rows()
    mask[1] = 0
    assert model(ids, mask).isfinite().all()


@every_demux
def test_a_mixture_without_tokens_has_finite_logits(demux):
    ids, mask = random_rows()
    mask[:N_MUX] = 0
    assert make(demux=demux)(ids, mask).isfinite().all()


def test_one_slot_needs_neither_multiplexer_nor_demultiplexer():
    encoder = make_encoder("compact")
    model = MuxSequenceClassifier(
        encoder, IdentityMultiplexer(1, HIDDEN), IdentityDemultiplexer(1, HIDDEN), CLASSES
    ).eval()
    ids, mask = random_rows(4)
    hidden = encoder(encoder.embedding(ids) * mask[..., None], mask.bool())
    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(model(ids, mask), model.head(pooled), atol=1e-5, rtol=1e-5)


# Fewer rows than slots


@every_pair
@pytest.mark.parametrize("n_places", [1, 3])
def test_fewer_rows_average_the_probabilities_of_their_slots(mux, demux, n_places):
    model = make(mux, demux)
    ids, mask = random_rows(3 * n_places)
    repeated = model(repeat_over_slots(ids, n_places), repeat_over_slots(mask, n_places))
    proba = repeated.softmax(-1).view(3, N_MUX, CLASSES)
    expected = torch.stack([proba[:, p::n_places].mean(1) for p in range(n_places)], 1)
    log_proba = model(ids, mask, n_mux=n_places)
    torch.testing.assert_close(log_proba.exp(), expected.flatten(0, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_mux", [0, N_MUX + 1])
def test_n_mux_must_be_within_the_capacity(n_mux):
    with pytest.raises(ValueError, match=f"n_mux={n_mux} is outside of 1 to 5, the capacity"):
        make()(*random_rows(), n_mux=n_mux)


def test_rows_have_to_fill_their_mixtures():
    with pytest.raises(ValueError, match="7 rows cannot be divided into mixtures of n_mux=3"):
        make()(*random_rows(7), n_mux=3)


# For inference


@every_pair
@pytest.mark.parametrize("n_places", [3, N_MUX])
def test_a_model_for_inference_predicts_the_same(mux, demux, n_places):
    model = make(mux, demux)
    ids, mask = random_rows(2 * n_places)
    fast = model.for_inference()
    with torch.inference_mode():
        logits = fast(ids, mask, n_mux=n_places)
    torch.testing.assert_close(logits, model(ids, mask, n_mux=n_places), atol=1e-5, rtol=1e-5)


def test_a_pretrained_model_for_inference_predicts_the_same():
    model = make(encoder="pretrained")
    rows = random_rows()
    torch.testing.assert_close(model.for_inference()(*rows), model(*rows), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [make, make_lexical])
def test_a_model_for_inference_may_be_prepared_again(make):
    model, rows = make(), random_rows()
    twice = model.for_inference().for_inference()
    torch.testing.assert_close(twice(*rows), model(*rows), atol=1e-5, rtol=1e-5)


@every_pair
def test_a_model_for_inference_computes_in_the_type_asked_for(mux, demux):
    model, rows = make(mux, demux), random_rows()
    logits = model.for_inference(torch.bfloat16)(*rows)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(*rows), atol=0.1, rtol=0.1)


def test_preparing_for_inference_leaves_the_model_as_it_is():
    model, rows = make().train(), random_rows()
    fast = model.for_inference()
    assert not fast.training
    assert not fast(*rows).requires_grad
    assert model.training
    assert model.retrieval is not None
    assert model.folded is None
    assert all(p.requires_grad for p in model.parameters())
    assert model(*rows).requires_grad


def test_a_model_for_inference_shares_no_memory():
    model, rows = make(), random_rows()
    fast = model.for_inference()
    before = fast(*rows)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert torch.equal(fast(*rows), before)


def test_a_model_for_inference_is_smaller():
    model = make()
    assert n_values(model.for_inference()) < n_values(model)


def test_a_model_for_inference_has_nothing_to_retrieve_with():
    with pytest.raises(RuntimeError, match="no retrieval head"):
        make().for_inference().retrieve(*random_rows())


# Training


@every_pair
def test_a_training_pass_reaches_every_parameter(mux, demux):
    model = make(mux, demux).train()
    out = model(*random_rows(4 * N_MUX), retrieval_samples=20)
    (out.logits.square().sum() + retrieval_loss(*out[1:3])).backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


@every_demux
def test_a_training_pass_reaches_every_parameter_of_a_pretrained_encoder(demux):
    model = make("hadamard", demux, "pretrained").train()
    out = model(*random_rows(4 * N_MUX), retrieval_samples=20)
    (out.logits.square().sum() + retrieval_loss(*out[1:3])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_training_pass_predicts_what_a_prediction_does():
    model, rows = make(), random_rows()
    torch.testing.assert_close(model(*rows, retrieval_samples=10).logits, model(*rows))


@pytest.mark.parametrize(("n_samples", "n_each"), [(1, 1), (N_MUX, 1), (4 * N_MUX, 4)])
def test_retrieval_samples_are_shared_out_over_the_slots(n_samples, n_each):
    out = make()(*random_rows(), retrieval_samples=n_samples)
    assert out.retrieval_logits.shape == (2, N_MUX, n_each, VOCAB)
    assert out.retrieval_targets.shape == (2, N_MUX, n_each)


@pytest.mark.parametrize("n_places", [1, 2, N_MUX])
def test_a_slot_retrieves_tokens_of_its_own_row_never_padding(n_places):
    ids, mask = random_rows(2 * n_places)
    # Row r holds the token r only; padding holds another.
    ids = torch.where(mask.bool(), torch.arange(2 * n_places)[:, None], VOCAB - 1)
    out = make()(ids, mask, n_mux=n_places, retrieval_samples=10 * N_MUX)
    row_of_slot = torch.arange(N_MUX) % n_places + torch.tensor([[0], [n_places]])
    assert (out.retrieval_targets == row_of_slot[:, :, None]).all()


@every_demux
def test_sampled_retrieval_reads_where_its_target_stands(demux):
    """The logits of a sampled token are those of the full retrieval at that position."""
    model = make(demux=demux)
    ids = torch.stack([torch.randperm(VOCAB)[:LENGTH] for _ in range(N_MUX)])
    mask = torch.ones_like(ids)
    out = model(ids, mask, retrieval_samples=4 * N_MUX)
    targets = out.retrieval_targets[0]  # (n_mux, n_each)
    positions = (ids[:, None] == targets[..., None]).long().argmax(-1)
    expected = model.retrieve(ids, mask).gather(1, positions)
    assert torch.equal(out.retrieval_logits[0].argmax(-1), expected)


def test_an_untrained_model_of_subspaces_retrieves_better_than_chance():
    assert token_accuracy(make(), *random_rows(20 * N_MUX)) > 3 / VOCAB


def test_training_learns_to_retrieve():
    model = make(mux="hadamard").train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rows = random_rows(4 * N_MUX)
    before = token_accuracy(model.eval(), *rows)
    for _ in range(60):
        loss = retrieval_loss(*model(*rows, retrieval_samples=8 * N_MUX)[1:3])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert token_accuracy(model, *rows) > before + 0.3


def test_fewer_rows_retrieve_by_the_mean_probability_of_their_slots():
    model = make("hadamard")
    with torch.no_grad():  # where slots are unsure, both means choose the same token
        model.retrieval.dense.weight.mul_(10)
    ids, mask = random_rows(2 * 8, shortest=LENGTH)
    repeated = (repeat_over_slots(x, 2).view(8, N_MUX, LENGTH) for x in (ids, mask.bool()))
    hidden, _ = model.encode(*repeated)
    read = model.demultiplexer(hidden[:, None].expand(-1, N_MUX, -1, -1))
    logits = model.retrieval(read, model.encoder.embedding.weight)
    by_proba, by_logits = (
        torch.stack([x[:, place::2].mean(1) for place in (0, 1)], 1).argmax(-1).flatten(0, 1)
        for x in (logits.softmax(-1), logits)
    )
    assert not torch.equal(by_proba, by_logits)
    assert torch.equal(model.retrieve(ids, mask, n_mux=2), by_proba)


def test_retrieving_gives_a_token_for_every_position():
    ids, mask = random_rows()
    assert make().retrieve(ids, mask).shape == ids.shape


def test_the_words_alone_learn_from_all_tokens_of_a_row():
    model = make_lexical(words=True, max_length=3)
    rows = random_rows(shortest=LENGTH)
    in_training = model(*rows, with_words=True).words
    torch.testing.assert_close(in_training, model(*rows, patch_size=0))


# How it starts


def test_a_contextual_multiplexer_knows_the_scale_of_the_tokens():
    model = make("contextual")
    expected = model.encoder.embedding.weight.square().mean().sqrt()
    torch.testing.assert_close(model.multiplexer.scale, expected)


@pytest.mark.parametrize(("n_blocks", "rank"), [(None, 4), (N_MUX, 8)])
def test_blocks_that_are_read_together_start_with_components_of_their_own(n_blocks, rank):
    mux, demux = MULTIPLEXERS["subspace"](N_MUX, HIDDEN), RSADemultiplexer(N_MUX, HIDDEN, n_blocks)
    MuxSequenceClassifier(make_encoder("compact"), mux, demux, CLASSES)
    # Of the four dimensions of a block, one in the second case is seen by no other block.
    assert torch.linalg.matrix_rank(mux.keys.transpose(0, 1).flatten(1), rtol=1e-4) == rank


# The head


def test_the_head_keeps_all_axes_but_the_last():
    assert ClassificationHead(HIDDEN, CLASSES)(torch.randn(2, 5, HIDDEN)).shape == (2, 5, CLASSES)


@every_pair
@pytest.mark.parametrize("training", [False, True])
def test_no_rows_get_no_logits(mux, demux, training):
    model, ids = make(mux, demux), torch.zeros(0, LENGTH, dtype=torch.long)
    with torch.set_grad_enabled(training):
        assert model(ids, ids).shape == (0, CLASSES)
        assert model.for_inference()(ids, ids).shape == (0, CLASSES)
