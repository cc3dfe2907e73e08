"""Published checkpoints as estimators: saved, mixed, labelled and trained on."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.backbones import Published
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import FormatError
from tests.estimators.published_checkpoints import (
    SENTENCES,
    TEXTS,
    VARIANTS,
    estimator_of,
    probabilities,
    rows_of,
)

# A fitted estimator


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_saved_and_loaded(folder_of, variant, tmp_path):
    estimator, rows = estimator_of(variant), rows_of(variant)
    loaded = estimator.from_reference(folder_of(variant))
    expected = probabilities(loaded, rows)
    assert np.ptp(expected, axis=0).max() > 1e-3
    loaded.save(tmp_path / "saved")
    again = estimator.load(tmp_path / "saved")
    np.testing.assert_array_equal(probabilities(again, rows), expected)
    assert again.get_params() == loaded.get_params()
    assert again.module_.setting == loaded.module_.setting


@pytest.mark.parametrize("variant", ["rsa-token", "electra", "electra-token"])
def test_a_network_is_kept_in_its_authors_layout(folder_of, variant, tmp_path):
    estimator, rows = estimator_of(variant), rows_of(variant)
    loaded = estimator.from_reference(folder_of(variant))
    Published.keep(tmp_path, loaded.module_, loaded.tokenizer_)
    again = estimator.from_reference(tmp_path)
    np.testing.assert_array_equal(probabilities(again, rows), probabilities(loaded, rows))


@pytest.mark.parametrize("variant", ["mlp", "rsa-token"])
def test_a_pickle_predicts_the_same(folder_of, variant):
    estimator, rows = estimator_of(variant), rows_of(variant)
    loaded = estimator.from_reference(folder_of(variant))
    again = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(probabilities(again, rows), probabilities(loaded, rows))


def test_a_model_without_a_tensor_is_not_loaded_again(folder_of, tmp_path):
    MuxTextClassifier.from_reference(folder_of("rsa")).save(tmp_path / "saved")
    loaded = MuxTextClassifier.load(tmp_path / "saved")
    # A tensor that two parts share is saved once.
    names = {name for name, _ in loaded.module_.named_parameters()}
    assert names < set(loaded.module_.state_dict())
    loaded.module_.model.head.out.register_buffer("surprise", torch.zeros(1))
    loaded.save(tmp_path / "other")
    with pytest.raises(FormatError, match=r"missing or too many: model\.head\.out\.surprise"):
        MuxTextClassifier.load(tmp_path / "other")


def test_the_parameters_describe_the_model(folder_of):
    params = MuxTextClassifier.from_reference(folder_of("mlp"), batch_size=5).get_params()
    described = {
        "n_mux": 3,
        "multiplexer": "hadamard",
        "demultiplexer": "mlp",
        "architecture__learn_keys": False,
        "backbone__hidden_size": 8,
        "backbone__num_hidden_layers": 1,
        "backbone__num_attention_heads": 2,
        "backbone__intermediate_size": 12,
        "backbone__vocab_size": 50265,
        "max_length": 38,
        "dropout": 0.0,
        "batch_size": 5,
    }
    assert described == {name: params[name] for name in described}


def test_keys_of_zeros_and_one_number_are_binary(folder_of, checkpoints):
    _, tensors = checkpoints("rsa")
    tensors["instance_embedding"] = torch.eye(3).repeat_interleave(3, 1)[:, :8]
    clf = MuxTextClassifier.from_reference(folder_of("rsa", tensors=tensors))
    assert clf.multiplexer == "binary"


def test_score_counts_right_labels(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"))
    assert clf.score(TEXTS, clf.predict(TEXTS)) == 1


def test_safetensors_are_preferred(folder_of, checkpoints):
    folder = folder_of("mlp")
    expected = MuxTextClassifier.from_reference(folder).predict_proba(TEXTS)
    save_file(checkpoints("mlp")[1], folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    got = MuxTextClassifier.from_reference(folder).predict_proba(TEXTS)
    np.testing.assert_array_equal(got, expected)


# Mixtures


def test_rows_share_mixtures_in_their_order(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    proba = clf.predict_proba(TEXTS)
    # Two whole mixtures, each as if it were alone, and one that is filled up.
    for rows in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(clf.predict_proba(TEXTS[rows]), proba[rows], atol=1e-6)
    assert np.abs(clf.predict_proba(TEXTS[1:4]) - proba[1:4]).max() > 1e-4


def test_displays_see_rows_where_they_stand(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    labels, places = clf.predictor_.predict_regrouped(TEXTS[:6], 3, 1)
    assert places.tolist() == [[0, 1, 2, 0, 1, 2]]
    assert labels[0].tolist() == clf.predict(TEXTS[:6]).tolist()


def test_windows_hold_whole_mixtures(folder_of, set_window_rows):
    clf = MuxTextClassifier.from_reference(folder_of("index"), batch_size=1)
    set_window_rows(MuxTextClassifier, 25)
    rows = TEXTS * 10
    expected = clf.predict_proba(rows[:27] + rows[27:])
    set_window_rows(MuxTextClassifier, 1000)
    np.testing.assert_allclose(clf.predict_proba(rows), expected, atol=1e-6)
    streamed = list(clf.predict_iter(iter(rows), method="predict_proba"))
    np.testing.assert_allclose(streamed, expected, atol=1e-6)


def test_groups_do_not_see_each_other(folder_of):
    tagger = MuxTokenTagger.from_reference(folder_of("rsa-token"))
    groups = [0, 1, 0, 1, 0, 1, 0, 1]
    got = tagger.predict_proba(SENTENCES, groups=groups)
    alone = tagger.predict_proba(SENTENCES[::2])
    for g, a in zip(got[::2], alone, strict=True):
        np.testing.assert_allclose(g, a, atol=1e-6)


def test_several_passes_change_companions(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    once, often = clf.predict_proba(TEXTS), clf.predict_proba(TEXTS, n_passes=4)
    assert np.abs(once - often).max() > 1e-4
    np.testing.assert_allclose(often.sum(1), 1)


@pytest.mark.parametrize("variant", ["index", "contextual-token"])
def test_a_row_in_every_slot_gets_the_mean_of_the_slots(folder_of, variant):
    loaded = estimator_of(variant).from_reference(folder_of(variant))
    row = rows_of(variant)[2]
    copies = loaded.predict_proba([row] * 3)
    got = loaded.predict_proba([row], n_mux=1)[0]
    np.testing.assert_allclose(got, np.mean(copies, axis=0), atol=1e-6)


def test_a_row_fills_what_slots_are_left(folder_of):
    tagger = MuxTokenTagger.from_reference(folder_of("prefix-token"))
    first, second = SENTENCES[:2]
    slots = tagger.predict_proba([first, second, first])
    got = tagger.predict_proba([first, second], n_mux=2)
    np.testing.assert_allclose(got[0], (slots[0] + slots[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(got[1], slots[1], atol=1e-6)


# Labels


def test_labels_come_from_the_configuration_sorted(folder_of):
    plain = MuxTextClassifier.from_reference(folder_of("mlp"))
    names = {"0": "neutral", "1": "bad", "2": "good", "3": "awful"}
    named = MuxTextClassifier.from_reference(folder_of("mlp", id2label=names))
    assert plain.classes_.tolist() == [0, 1, 2, 3]
    assert named.classes_.tolist() == ["awful", "bad", "good", "neutral"]
    expected = plain.predict_proba(TEXTS)[:, [3, 1, 2, 0]]
    np.testing.assert_allclose(named.predict_proba(TEXTS), expected, atol=1e-9)
    assert named.predict(TEXTS).tolist() == [names[str(i)] for i in plain.predict(TEXTS)]


def test_names_that_say_nothing_are_numbers(folder_of):
    names = {str(i): f"LABEL_{i}" for i in range(4)}
    clf = MuxTextClassifier.from_reference(folder_of("rsa", id2label=names))
    assert clf.classes_.tolist() == [0, 1, 2, 3]


def test_given_classes_take_the_place_of_the_configurations(folder_of):
    folder = folder_of("rsa", id2label={"0": "x", "1": "y"})
    plain = MuxTextClassifier.from_reference(folder, classes=range(4)).predict_proba(TEXTS)
    clf = MuxTextClassifier.from_reference(folder, classes=["d", "b", "c", "a"])
    assert clf.classes_.tolist() == ["a", "b", "c", "d"]
    expected = plain[:, [3, 1, 2, 0]]
    np.testing.assert_allclose(clf.predict_proba(TEXTS), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (["a", "b"], ValueError, "`classes` has 2 labels, but the tensors show 4 classes"),
        (["a", "b", "a", "c"], ValueError, "`classes` holds a label twice"),
        (["a", "b", 1, "c"], TypeError, "`classes` must be strings, or numbers"),
        (["a", "b", None, "c"], TypeError, "`classes` must be strings, or numbers"),
    ],
)
def test_classes_that_are_none(folder_of, classes, error, message):
    with pytest.raises(error, match=message):
        MuxTextClassifier.from_reference(folder_of("rsa"), classes=classes)


def test_labels_of_another_number_are_refused(folder_of):
    folder = folder_of("rsa", id2label={"0": "x", "1": "y"})
    with pytest.raises(ValueError, match=r"id2label .* has 2 labels, .* 4 classes; give `classes`"):
        MuxTextClassifier.from_reference(folder)


def test_tags_that_mark_entities_have_a_scheme(folder_of):
    names = {"0": "O", "1": "B-PER", "2": "I-PER", "3": "B-LOC"}
    folder = folder_of("rsa-token", id2label=names)
    tagger = MuxTokenTagger.from_reference(folder, decode="legal")
    assert tagger.scheme_ == "IOB2"
    before = {"I-PER": {"B-PER", "I-PER"}}
    for tags in tagger.predict([list("abcde") * 4] * 3):
        assert tags[0] != "I-PER"
        assert all(a in before.get(b, {a}) for a, b in pairwise(tags))
    with pytest.raises(ValueError, match="`decode` is 'learned'"):
        MuxTokenTagger.from_reference(folder, decode="learned")


# Training


@pytest.mark.parametrize("variant", ["mlp", "index-token", "rsa", "contextual-token"])
def test_training_goes_on(folder_of, variant):
    estimator, rows = estimator_of(variant), rows_of(variant)
    params = {"warm_start": True, "max_epochs": 2, "batch_size": 2, "random_state": 0}
    loaded = estimator.from_reference(folder_of(variant), **params)
    before = {k: v.clone() for k, v in loaded.module_.state_dict().items()}
    y = [0, 1, 2, 3] * 2
    if estimator is MuxTokenTagger:
        y = [[label] * len(row) for label, row in zip(y, rows, strict=True)]
    loaded.fit(rows, y)
    after = loaded.module_.state_dict()
    moved = {
        name.split(".")[1] for name, old in before.items() if not torch.equal(after[name], old)
    }
    assert moved == {"backbone", "demultiplexer", "head", "retrieval_demultiplexer"} | (
        # Keys stay; MUX-BERT's contextual multiplexer has layers of its own.
        {"multiplexer"} if variant.startswith("contextual") else set()
    ) | {"retrieval_head"}
    torch.testing.assert_close(after["model.multiplexer.keys"], before["model.multiplexer.keys"])
    assert loaded.net_.lr == 5e-5
    assert len(loaded.history_) == 2
    assert np.isfinite(loaded.history_[:, "train_loss"]).all()


def test_training_lowers_the_loss(folder_of):
    params = {"max_epochs": 10, "batch_size": 4, "lr": 0.03, "random_state": 0}
    clf = MuxTextClassifier.from_reference(
        folder_of("rsa"), warm_start=True, max_length=6, **params
    ).set_params(architecture__retrieval_weight=0)
    losses = clf.fit(TEXTS, [0, 0, 0, 0, 0, 1, 2, 3]).history_[:, "train_loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_other_classes_need_a_model_of_their_own(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), warm_start=True)
    with pytest.raises(ValueError, match=r"goes on with the classes \[0, 1, 2, 3\]"):
        clf.fit(TEXTS, ["x", "y"] * 4)


def test_a_fit_begins_anew_with_a_model_of_our_own(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), max_epochs=0, warm_up=None)
    with pytest.raises(NotFittedError):
        clone(clf).predict(TEXTS)
    for estimator in (clone(clf), clf):
        assert estimator.fit(TEXTS, ["x", "y"] * 4).predict(TEXTS).shape == (8,)
        assert isinstance(estimator.module_, MuxTextModule)
        assert estimator.module_.encoder.hidden_size == 8
        assert estimator.module_.n_mux == 3
