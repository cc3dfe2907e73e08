"""Classifier, tagger and embedder whose positions hold several tokens of a row."""

from itertools import product

import pytest
import torch

from muxlearn.nn.demultiplex import DEMULTIPLEXERS, IdentityDemultiplexer, NestedDemultiplexer
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import MULTIPLEXERS, IdentityMultiplexer, NestedMultiplexer
from muxlearn.nn.patches import sizes_to_fold
from muxlearn.nn.tagging import MuxTokenClassifier
from muxlearn.nn.text import MuxSequenceClassifier

WIDTH, VOCAB, CLASSES, LENGTH = 20, 30, 3, 8
KINDS = [MuxSequenceClassifier, MuxTokenClassifier, MuxSequenceEmbedder]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make(kind, n_mux=1, patch_sizes=(3,), mux=None, demux=None, **options):
    prefix = demux is not None and DEMULTIPLEXERS[demux].uses_prefix
    encoder = CompactEncoder(VOCAB, WIDTH, 2, 2, 32, 16, n_prefix=n_mux if prefix else 0)
    multiplexer = MULTIPLEXERS[mux] if mux else IdentityMultiplexer
    demultiplexer = DEMULTIPLEXERS[demux] if demux else IdentityDemultiplexer
    parts = encoder, multiplexer(n_mux, WIDTH), demultiplexer(n_mux, WIDTH)
    if kind is MuxTokenClassifier:
        options = {"lexical_size": 4, **options}
    else:
        options = {"lexical_path": True, **options}
    return kind(*parts, CLASSES, patch_sizes=patch_sizes, **options).eval()


def random_rows(n_rows):
    ids = torch.randint(VOCAB, (n_rows, LENGTH))
    return ids, torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (n_rows, 1))


@every_kind
@pytest.mark.parametrize(("mux", "demux"), list(product(MULTIPLEXERS, DEMULTIPLEXERS)))
def test_single_tokens_are_read_as_by_a_model_without_patches(kind, mux, demux):
    patched = make(kind, 2, (3, 1), mux, demux)
    plain = make(kind, 2, (1,), mux, demux)
    plain.load_state_dict(patched.state_dict(), strict=False)
    ids, mask = random_rows(6)
    torch.testing.assert_close(patched(ids, mask, patch_size=1), plain(ids, mask))


@every_kind
@pytest.mark.parametrize("patch_size", [2, 3, 5])
def test_without_companions_no_answer_depends_on_another_row(kind, patch_size):
    model = make(kind, patch_sizes=(patch_size,))
    ids, mask = random_rows(6)
    together = model(ids, mask)
    alone = torch.cat([model(ids[[row]], mask[[row]]) for row in range(6)])
    torch.testing.assert_close(together, alone)


@every_kind
@pytest.mark.parametrize("patch_size", [2, 3])
def test_padding_does_not_speak_even_between_two_texts(kind, patch_size):
    model = make(kind, 2, (patch_size,), "subspace", "rsa")
    ids, mask = random_rows(6)
    mask[:, 2:4] = False
    changed = torch.where(mask, ids, (ids + 7) % VOCAB)
    torch.testing.assert_close(model(changed, mask), model(ids, mask))


@every_kind
def test_a_row_is_not_a_bag_of_its_patches(kind):
    model = make(kind)
    ids, mask = torch.randint(VOCAB, (1, 6)), torch.ones(1, 6, dtype=torch.bool)
    swapped = ids[:, [1, 0, 2, 3, 4, 5]]
    assert (model(ids, mask) - model(swapped, mask)).abs().max() > 1e-4


def test_the_encoder_runs_on_fewer_positions():
    model, seen = make(MuxSequenceClassifier, patch_sizes=(3,)), []
    model.encoder.layers[0].register_forward_hook(lambda m, args, out: seen.append(out.shape[1]))
    model(*random_rows(4))
    assert seen == [3]  # of eight tokens


def test_each_token_of_a_patch_gets_its_own_tag():
    model = make(MuxTokenClassifier, 2, (4,), "hadamard", "rsa", lexical_size=0)
    ids, mask = random_rows(4)[0], torch.ones(4, LENGTH, dtype=torch.bool)
    logits = model(ids, mask).view(4, 2, 4, CLASSES)
    for patch in logits.flatten(0, 1):
        assert torch.pdist(patch).min() > 1e-4
    wanted = torch.zeros(4, LENGTH, dtype=torch.bool)
    wanted[1, 6] = wanted[3, 0] = True
    torch.testing.assert_close(
        model(ids, mask, wanted), logits.view(4, LENGTH, CLASSES)[[1, 3], [6, 0]]
    )


@every_kind
@pytest.mark.parametrize("mux", ["subspace", "hadamard"])
def test_a_copy_for_inference_answers_the_same(kind, mux):
    model = make(kind, 2, (3, 1), mux, "rsa")
    ids, mask = random_rows(6)
    for patch_size in (1, 3):
        wanted = model(ids, mask, patch_size=patch_size)
        found = model.for_inference()(ids, mask, patch_size=patch_size)
        torch.testing.assert_close(found, wanted)


@every_kind
def test_an_unknown_patch_size_is_refused(kind):
    with pytest.raises(ValueError, match=r"patch_size=4 is not one of \(3,\)"):
        make(kind)(*random_rows(2), patch_size=4)


@pytest.mark.slow
def test_the_tokens_of_a_patch_can_be_recovered():
    model = make(MuxSequenceClassifier, patch_sizes=(2,)).train()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(150):
        ids, mask = random_rows(16)
        output = model(ids, mask, retrieval_samples=8)
        loss = retrieval_loss(output.retrieval_logits, output.retrieval_targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ids, mask = random_rows(64)
    recovered = model.eval().retrieve(ids, mask)
    assert recovered.shape == ids.shape
    assert (recovered == ids)[mask].float().mean() > 0.5  # 1 in 30 by chance


def test_samples_for_retrieval_are_tokens_and_not_the_padding_between_texts():
    model = make(MuxSequenceClassifier, patch_sizes=(2,))
    ids = torch.randint(1, VOCAB, (8, LENGTH))
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, 3] = False
    ids[~mask] = 0
    output = model(ids, mask, retrieval_samples=30)
    assert output.retrieval_targets.ne(0).all()


def test_nested_rows_and_patches_compose():
    encoder = CompactEncoder(VOCAB, WIDTH, 2, 2, 32, 16, norm_first=False)
    parts = NestedMultiplexer(3, WIDTH), NestedDemultiplexer(3, WIDTH)
    model = MuxSequenceClassifier(encoder, *parts, CLASSES, patch_sizes=(2, 1)).eval()
    ids, mask = random_rows(6)
    for n_mux, patch_size in product((1, 2, 3), (1, 2)):
        logits = model(ids, mask, n_mux=n_mux, patch_size=patch_size)
        assert logits.shape == (6, CLASSES)
    alone = model(ids[:1], mask[:1], n_mux=1, patch_size=2)
    torch.testing.assert_close(model(ids, mask, n_mux=1, patch_size=2)[:1], alone)


def test_the_models_own_patch_size_is_folded_first():
    assert sizes_to_fold((5, 1, 2, 10), 2**23) == [5, 2]
    assert sizes_to_fold((1, 2, 5), 2**23) == [2, 5]
    assert sizes_to_fold((5, 1), 2**28) == []


def test_the_tables_of_all_patch_sizes_share_the_memory():
    assert sizes_to_fold((5, 4, 2), 2**23) == [5, 2]
