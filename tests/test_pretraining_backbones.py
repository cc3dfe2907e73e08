"""Warm-ups of encoders that have learned to read already."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, BertConfig

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.backbones import Packaged, Scratch
from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.pretraining import MuxTextPretrainer

SUBJECTS = ["the cat", "my old dog", "it"]
VERBS, ENDS = ("runs", "sits", "eats", "sees"), ("here", "there", "now", "soon")
TEXTS = [f"{subject} {verb} {end}" for subject in SUBJECTS for verb in VERBS for end in ENDS]
LABELS = [index % 3 for index in range(len(TEXTS))]
SHORT = {"max_length": 16, "max_epochs": 2, "batch_size": 8, "random_state": 0}
OF_TASK = {"max_length": 16, "max_epochs": 1, "random_state": 0}


def pretrainer_of(folder, **params):
    return MuxTextPretrainer(**{**SHORT, "n_mux": 4, "backbone": folder, **params})


@pytest.fixture(scope="module")
def warmed(bert):
    return pretrainer_of(bert, teacher=bert, operating_points=(2, 4)).fit(TEXTS)


@pytest.fixture(scope="module")
def wide(tmp_path_factory, write_backbone):
    """A teacher that is wider than the encoder."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=300, **sizes, max_position_embeddings=40)
    return write_backbone(tmp_path_factory.mktemp("wide"), config)


@pytest.fixture(scope="module")
def boxed():
    """The packaged encoder, trained further for two texts in a mixture."""
    return pretrainer_of(None, n_mux=2, objective="retrieval").fit(TEXTS)


# An encoder of transformers


def test_it_starts_from_the_encoder_s_weights(bert):
    encoder = pretrainer_of(bert, teacher=bert, max_epochs=0).fit(TEXTS).module_.encoder
    assert isinstance(encoder, PretrainedEncoder)
    theirs = AutoModel.from_pretrained(bert).state_dict()
    for name, tensor in encoder.model.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name])


def test_it_comes_nearer_to_what_it_says_of_texts_alone(bert):
    history = pretrainer_of(bert, teacher=bert, n_mux=2, max_epochs=30, lr=3e-3).fit(TEXTS).history_
    for name in ("cosine", "mixed_cosine", "token_cosine"):
        assert history[-1, name] > history[0, name] + 0.1


@pytest.mark.parametrize("scratch", [False, True])
def test_a_teacher_of_another_width_gives_the_width_of_the_vectors(bert, wide, scratch):
    backbone = Scratch(hidden_size=8, num_attention_heads=2) if scratch else bert
    pretrainer = pretrainer_of(backbone, teacher=wide, max_epochs=1).fit(TEXTS)
    assert pretrainer.transform(TEXTS[:3]).shape == (3, 24)
    assert 0 < abs(pretrainer.score(TEXTS)) <= 1


def test_a_new_encoder_with_a_teacher_has_positions_for_its_prefix(bert):
    backbone = Scratch(hidden_size=8, num_attention_heads=2)
    params = {"n_mux": 2, "demultiplexer": "index", "max_epochs": 0}
    encoder = pretrainer_of(backbone, teacher=bert, **params).fit(TEXTS).module_.encoder
    assert encoder.position_embedding.num_embeddings == 16 + 2


def test_without_a_teacher_it_recovers_tokens(bert):
    params = {"n_mux": 2, "objective": "retrieval", "max_epochs": 30, "lr": 3e-3}
    pretrainer = pretrainer_of(bert, **params).fit(TEXTS)
    assert pretrainer.history_[-1, "retrieval_acc"] > pretrainer.history_[0, "retrieval_acc"] + 0.1
    assert pretrainer.transform(TEXTS[:3]).shape == (3, 16)


def test_what_has_been_trained_learns_slower_than_what_is_new(warmed):
    rates = {
        id(parameter): group["initial_lr"]
        for group in warmed.net_.optimizer_.param_groups
        for parameter in group["params"]
    }
    for name, parameter in warmed.module_.named_parameters():
        assert rates[id(parameter)] == (2e-4 if name.startswith("encoder.") else 1e-3), name


def test_a_saved_one_embeds_alike(warmed, tmp_path):
    warmed.save(tmp_path)
    loaded = MuxTextPretrainer.load(tmp_path)
    np.testing.assert_array_equal(loaded.transform(TEXTS), warmed.transform(TEXTS))


def test_a_training_goes_on_where_it_was(bert, tmp_path):
    params = {"teacher": bert, "lr": 1e-3}
    first = pretrainer_of(bert, max_epochs=1, **params).fit(TEXTS, checkpoint=tmp_path)
    longer = pretrainer_of(bert, max_epochs=3, **params).fit(TEXTS, checkpoint=tmp_path)
    assert longer.n_iter_ == 3
    # No two epochs take the same time: this one was read, and not trained again.
    assert longer.history_[0, "dur"] == first.history_[0, "dur"]


# What starts from it


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_a_classifier_starts_from_it(warmed, n_mux):
    clf = MuxTextClassifier(n_mux=n_mux, backbone=warmed, max_length=16, max_epochs=0)
    module = clf.fit(TEXTS, LABELS).module_
    assert module.warmed_up
    assert module.multiplexer.n_blocks == 4
    state, start = module.state_dict(), warmed.module_.state_dict()
    parts = ("encoder.", "multiplexer.", "demultiplexer.", "lexical_mean.")
    same = [name for name in state if name.startswith(parts)]
    assert {name.partition(".")[0] + "." for name in same} == set(parts)
    for name in same:
        torch.testing.assert_close(state[name], start[name])


def test_for_more_texts_the_encoder_alone_starts_from_it(warmed):
    clf = MuxTextClassifier(n_mux=5, backbone=warmed, max_length=16, max_epochs=0, warm_up=None)
    with pytest.warns(UserWarning, match="mixtures of up to 4 rows, but `n_mux` is 5"):
        module = clf.fit(TEXTS, LABELS).module_
    assert not module.warmed_up
    theirs = warmed.module_.encoder.state_dict()
    for name, tensor in module.encoder.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name])


def test_its_dropout_is_the_classifier_s(warmed):
    clf = MuxTextClassifier(backbone=warmed, max_length=16, max_epochs=0, dropout=0.3)
    assert clf.fit(TEXTS, LABELS).module_.encoder.model.config.hidden_dropout_prob == 0.3


def test_a_tagger_starts_from_it(warmed):
    sentences = [text.split() for text in TEXTS]
    tags = [["x" if len(token) > 1 else "y" for token in sentence] for sentence in sentences]
    tagger = MuxTokenTagger(n_mux=2, backbone=warmed, max_length=16, max_epochs=1)
    assert tagger.fit(sentences, tags).module_.warmed_up
    assert list(map(len, tagger.predict(sentences))) == list(map(len, sentences))


def test_its_folder_is_as_good_as_the_object(warmed, tmp_path):
    warmed.save(tmp_path)
    of_folder = MuxTextClassifier(n_mux=2, backbone=tmp_path, **OF_TASK).fit(TEXTS, LABELS)
    of_object = MuxTextClassifier(n_mux=2, backbone=warmed, **OF_TASK).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(of_folder.predict_proba(TEXTS), of_object.predict_proba(TEXTS))


def test_what_started_from_it_is_saved_without_it(warmed, tmp_path):
    clf = MuxTextClassifier(n_mux=3, backbone=warmed, **OF_TASK).fit(TEXTS, LABELS)
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.module_.warmed_up
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


# The packaged encoder, trained further


@pytest.mark.slow
def test_the_packaged_encoder_keeps_its_multiplexer(boxed):
    assert boxed._structure["multiplexer"] == boxed._structure["demultiplexer"] == "nested"
    assert boxed.module_.warmed_up


def test_it_starts_from_the_packaged_weights():
    of_pretrainer = pretrainer_of(None, n_mux=2, objective="retrieval", max_epochs=0).fit(TEXTS)
    clf = MuxTextClassifier(n_mux=2, backbone=Packaged(), max_length=16, max_epochs=0)
    theirs = clf.fit(TEXTS, LABELS).module_.state_dict()
    for name, tensor in of_pretrainer.module_.state_dict().items():
        if not name.startswith(("head.", "token_head.", "retrieval.")):
            torch.testing.assert_close(tensor, theirs[name])


@pytest.mark.slow
@pytest.mark.parametrize("n_mux", [1, 2])
def test_what_starts_from_it_mixes_as_many_rows_or_fewer(boxed, n_mux, tmp_path):
    boxed.save(tmp_path)
    params = {**OF_TASK, "max_epochs": 0, "warm_up": None}
    clf = MuxTextClassifier(n_mux=n_mux, backbone=tmp_path, **params).fit(TEXTS, LABELS)
    assert clf.module_.warmed_up


# What is refused


def test_a_teacher_with_other_tokens_is_refused(bert):
    with pytest.raises(ValueError, match="has another vocabulary than the packaged encoder; take"):
        pretrainer_of(None, teacher=bert).fit(TEXTS)


def test_sizes_that_the_packaged_encoder_has_itself_are_refused():
    with pytest.raises(ValueError, match="`backbone` is None, which has no parameters of its own"):
        pretrainer_of(None, objective="retrieval").set_params(backbone__hidden_size=64)


def test_an_object_is_refused(warmed):
    with pytest.raises(TypeError, match="`backbone` must be"):
        pretrainer_of(warmed, objective="retrieval").fit(TEXTS)


def test_a_published_multiplexed_model_is_refused(tmp_path):
    save_file({"instance_embedding": torch.zeros(2, 8)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(BertConfig().to_dict()))
    with pytest.raises(ValueError, match="is a published multiplexed model, which is warmed up"):
        pretrainer_of(tmp_path, objective="retrieval").fit(TEXTS)


def test_longer_texts_than_it_has_positions_for_are_refused(bert):
    with pytest.raises(ValueError, match=r"`max_length` 41 takes 41 positions, but .* has 40"):
        pretrainer_of(bert, objective="retrieval", max_length=41).fit(TEXTS)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        pretrainer_of(tmp_path / "nothing", objective="retrieval").fit(TEXTS)
