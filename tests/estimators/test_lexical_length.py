"""What the lexical path reads of a text beyond what its encoder reads."""

import numpy as np
import pytest

from muxlearn import MuxTextClassifier
from muxlearn.export import OnnxMuxClassifier, export_onnx
from muxlearn.metrics import retrieval_score

OPENING = "the same old beginning of a letter to my dear friend"
WORDS = {"weather": "snow", "sport": "goal"}


@pytest.fixture(scope="module")
def letters():
    y = [["weather", "sport"][row % 2] for row in range(64)]
    return [f"{OPENING} {'and ' * (row % 5)}{WORDS[label]}" for row, label in enumerate(y)], y


@pytest.fixture(scope="module")
def clf(tiny_classifier, letters):
    return tiny_classifier(
        n_mux=2, max_length=6, max_epochs=8, lr=5e-3, architecture__lexical_length=40
    ).fit(*letters)


def test_a_word_behind_what_the_encoder_reads_decides(clf, letters):
    assert clf.score(*letters) == 1


def test_without_it_such_a_word_is_not_read(tiny_classifier, letters):
    clf = tiny_classifier(
        n_mux=2, max_length=6, max_epochs=8, architecture__lexical_length=None
    ).fit(*letters)
    one, other = (clf.predict_proba([f"{OPENING} {word}"] * 2) for word in WORDS.values())
    np.testing.assert_array_equal(one, other)


def test_its_end_is_an_end(clf):
    proba = [clf.predict_proba([f"{'goal ' * 50} {end}"] * 2) for end in WORDS.values()]
    np.testing.assert_array_equal(*proba)


def test_the_parameter_counts_at_fit(clf, letters):
    before = clf.predict_proba(letters[0])
    try:
        clf.set_params(architecture__lexical_length=None)
        np.testing.assert_array_equal(clf.predict_proba(letters[0]), before)
    finally:
        clf.set_params(architecture__lexical_length=40)


def test_a_longer_encoder_is_not_cut(tiny_classifier, letters):
    clf = tiny_classifier(n_mux=2, max_length=30, architecture__lexical_length=8).fit(*letters)
    assert clf.tokenizer_.truncation["max_length"] == 30


def test_both_texts_of_a_pair_reach_the_encoder(tiny_classifier, letters):
    X, y = letters
    clf = tiny_classifier(n_mux=2, max_length=8).fit([(text, text) for text in X], y)
    assert clf.tokenizer_.truncation["max_length"] == 8


def test_a_model_of_single_texts_that_reads_on_refuses_pairs(clf, letters):
    with pytest.raises(ValueError, match="`X` holds pairs of texts, but `fit` was given single"):
        clf.predict([(text, text) for text in letters[0]])


def test_the_plain_network_has_no_such_path(tiny_classifier, letters):
    clf = tiny_classifier(n_mux=1, max_length=6).fit(*letters)
    assert clf.module_.lexical_mean is None
    assert clf.tokenizer_.truncation["max_length"] == 6


def test_sequences_of_integers_are_read_on_as_well(tiny_classifier):
    X, y = np.tile([[1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 1, 3]], (32, 1)), ["two", "three"] * 32
    clf = tiny_classifier(n_mux=2, max_length=4, max_epochs=8, lr=5e-3).fit(X, y)
    assert clf.score(X, y) == 1


def test_what_the_mixture_does_not_hold_is_not_to_be_recovered(tiny_classifier, letters):
    X, y = letters
    clf = tiny_classifier(n_mux=2, max_length=6, warm_up=1).fit(X, y)
    cut = tiny_classifier(
        n_mux=2, max_length=6, max_epochs=0, architecture__lexical_length=None
    ).fit(X, y)
    cut.module_.load_state_dict(clf.module_.state_dict())
    assert retrieval_score(clf, X, n_mux=1) == retrieval_score(cut, X, n_mux=1)


def test_a_saved_model_reads_as_far(clf, letters, tmp_path):
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(letters[0]), clf.predict_proba(letters[0]))


@pytest.mark.slow
def test_a_graph_reads_as_far(clf, letters, tmp_path):
    export_onnx(clf, tmp_path)
    exported = OnnxMuxClassifier.load(tmp_path)
    np.testing.assert_allclose(
        exported.predict_proba(letters[0]), clf.predict_proba(letters[0]), atol=1e-4
    )


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "all"])
def test_a_wrong_length_is_an_error(tiny_classifier, letters, wrong):
    with pytest.raises((TypeError, ValueError), match="`lexical_length` must be None or a whole"):
        tiny_classifier(architecture__lexical_length=wrong).fit(*letters)
