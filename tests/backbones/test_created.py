"""DataMUX's own network with random weights: written, warmed up, kept and trained for a task."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Published
from muxlearn.nn.reference import draw_keys, fresh_datamux, to_state_dict
from muxlearn.nn.reference.datamux import ReferenceSequenceClassifier
from muxlearn.persistence import read_weights

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES["intermediate_size"] = 16
TEXTS = ["a b c", "b", "c a a b d", "e", "a e", "d d d", "b a", "c"]


@pytest.fixture
def tokenizer():
    words = {"<s>": 0, "<pad>": 1, "</s>": 2, **{word: 3 + i for i, word in enumerate("abcde")}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="</s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [(mark, words[mark]) for mark in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=marks
    )
    return tokenizer


# Keys


def test_gaussian_keys_have_their_length():
    keys = draw_keys("gaussian_hadamard", 5, 32, norm=20)
    torch.testing.assert_close(keys.norm(dim=1), torch.full((5,), 20.0))


@pytest.mark.parametrize(
    ("epsilon", "stretches"),
    [
        # As the recorded cases have them for five slots of 32 dimensions.
        (0.0, [(0, 6), (6, 12), (12, 18), (18, 24), (24, 32)]),
        # Half of a sixth goes to each side, and is cut off to whole dimensions.
        (0.5, [(0, 7), (4, 13), (10, 19), (16, 25), (22, 32)]),
        (1.0, [(0, 9), (3, 15), (9, 21), (15, 27), (21, 32)]),
    ],
)
def test_binary_slots_share_dimensions_with_their_neighbours(epsilon, stretches):
    expected = torch.zeros(5, 32)
    for key, (first, last) in zip(expected, stretches, strict=True):
        key[first:last] = 1
    assert torch.equal(draw_keys("binary_hadamard", 5, 32, epsilon=epsilon), expected)


def test_orthogonal_keys_are_matrices():
    keys = draw_keys("random_ortho", 3, 8)
    torch.testing.assert_close(keys @ keys.mT, torch.eye(8).expand(3, 8, 8))


# Weights


@pytest.mark.parametrize("variant", ["gaussian_hadamard", "binary_hadamard", "random_ortho"])
@pytest.mark.parametrize("demultiplexer", ["index", "mlp"])
def test_tensors_go_out_as_they_come_in(variant, demultiplexer):
    config = {**SIZES, "muxing_variant": variant, "demuxing_variant": demultiplexer}
    tensors = to_state_dict(fresh_datamux(config))
    model = ReferenceSequenceClassifier.from_state_dict({**config, **SIZES}, tensors)
    again = to_state_dict(model)
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(again[name], tensor)


def test_weights_are_drawn_as_by_the_authors():
    tensors = to_state_dict(fresh_datamux({**SIZES, "hidden_size": 64, "num_instances": 3}))
    assert tensors["instance_embedding"].norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert tensors["demultiplexer.dense.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    assert tensors["retrieval_head.decoder.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    assert not tensors["demultiplexer.dense.bias"].any()
    assert (tensors["demultiplexer.layer_norm.weight"] == 1).all()


# As a backbone


def test_the_same_seed_writes_the_same_network(tmp_path, tokenizer):
    folders = [tmp_path / name for name in "ab"]
    state = torch.random.get_rng_state()
    for folder in folders:
        Published.create(folder, tokenizer, 2, **SIZES, random_state=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    first, second = map(read_weights, folders)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_table_of_tokens_is_as_small_as_the_tokenizer_allows(tmp_path, tokenizer):
    start = Published.create(tmp_path, tokenizer, 2, vocab_size=400, **SIZES)
    assert 400 in {len(tensor) for tensor in read_weights(tmp_path).values()}
    clf = MuxTextClassifier(n_mux=2, backbone=start, max_epochs=1, max_length=6, batch_size=2)
    assert clf.fit(TEXTS, [0, 1] * 4).predict(TEXTS).shape == (8,)


def test_a_table_smaller_than_the_tokenizer_is_refused(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({str(i): i for i in range(401)}))
    with pytest.raises(ValueError, match="`vocab_size` is 400, but `tokenizer` has 401 tokens"):
        Published.create(tmp_path / "new", tokenizer, 2, vocab_size=400, **SIZES)
    assert not (tmp_path / "new").exists()


def test_a_network_is_warmed_up_kept_and_trained_for_tasks(tmp_path, tokenizer):
    start = Published.create(tmp_path / "start", tokenizer, 2, key_norm=20, **SIZES, random_state=0)
    warming = {"n_mux": 2, "max_length": 6, "batch_size": 2, "random_state": 0, "lr": 1e-3}
    warm = MuxTextClassifier(backbone=start, warm_up=2, max_epochs=0, **warming)
    warm.fit(TEXTS, [0, 1] * 4)
    history = warm.warm_up_history_
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    kept = Published.keep(tmp_path / "warm", warm.module_, warm.tokenizer_)
    tensors, before = read_weights(tmp_path / "warm"), read_weights(tmp_path / "start")
    # The keys of the warm-up survive it, with their length.
    torch.testing.assert_close(tensors["instance_embedding"], before["instance_embedding"])
    trained = "retrieval_head.dense.weight"
    assert not torch.equal(tensors[trained], before[trained])
    architecture = TMUX(learn_keys=False)
    clf = MuxTextClassifier(backbone=kept, architecture=architecture, max_epochs=1, **warming)
    assert set(clf.fit(TEXTS, ["x", "y"] * 4).predict(TEXTS)) <= {"x", "y"}
    sentences = [text.split() for text in TEXTS]
    tagger = MuxTokenTagger(backbone=kept, architecture=architecture, max_epochs=1, **warming)
    tags = tagger.fit(sentences, sentences).predict(sentences)
    assert list(map(len, tags)) == list(map(len, sentences))
    Published.keep(tmp_path / "tagger", tagger.module_, tokenizer)
    loaded = MuxTokenTagger.from_reference(
        tmp_path / "tagger", classes=tagger.classes_, max_length=6
    )
    for a, b in zip(loaded.predict_proba(sentences), tagger.predict_proba(sentences), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_mux": 1}, "`n_mux` must be"),
        ({"multiplexer": "subspace"}, "`multiplexer` must be"),
        ({"key_sharing": 1.5}, "`key_sharing` must be .* at most 1, got 1.5"),
        ({"hidden_size": 10, "num_attention_heads": 4}, "4 attention heads do not divide"),
        ({"n_mux": 400, "hidden_size": 400, "vocab_size": 400}, "`n_mux` is 400, .* for 399 slots"),
        ({"n_mux": 17, "hidden_size": 16}, "`n_mux` is 17, .* for 16 slots at most"),
        ({"vocab_size": 399}, "`vocab_size` must be .* at least 400, got 399"),
    ],
)
def test_what_cannot_be_is_an_error_and_writes_nothing(tmp_path, tokenizer, params, message):
    with pytest.raises(ValueError, match=message):
        Published.create(tmp_path / "new", tokenizer, **{"n_mux": 2, **SIZES, **params})
    assert not (tmp_path / "new").exists()


def test_without_a_seed_weights_differ(tmp_path, tokenizer):
    tables = []
    for name in "ab":
        Published.create(tmp_path / name, tokenizer, 2, vocab_size=400, **SIZES)
        tables.append(read_weights(tmp_path / name)["instance_embedding"])
    assert not torch.equal(*tables)
