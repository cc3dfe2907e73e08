"""Tokens other than word pieces, and sequences of integers, in the text classifier."""

import json
import pickle
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from tokenizers import Tokenizer, models, pre_tokenizers

from muxlearn import MuxTextClassifier
from muxlearn.architectures import TMUX, MIMOFormer
from muxlearn.metrics import retrieval_score
from muxlearn.rows._integers import IntegerReader, check_rows, holds_integers
from muxlearn.rows._tokenizers import copy_tokenizer, fingerprint, make_tokenizer

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
CORPUS = ["a cat, a dog", "Häuser: 2 cats!"]
INTEGERS = np.random.default_rng(0).integers(0, 9, (24, 6))
every_architecture = pytest.mark.parametrize(
    "architecture", [TMUX(), MIMOFormer(head_dim=8, n_features=16)], ids=["tmux", "mimoformer"]
)


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return partial(tiny_classifier, warm_up=None)


def tokens_of(kind, text, vocab_size=300):
    return make_tokenizer(kind, CORPUS, vocab_size).encode(text).tokens


def given_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "cat": 1, "dog": 2, "[MAX": 3}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_padding(length=50)
    return tokenizer


# What tokens are


@pytest.mark.parametrize("text", ["ab", "a b\n", "ä€🦉", " ", "[SEP] [PAD]", "\x00\x7f"])
def test_bytes_are_those_of_utf_8(text):
    tokenizer = make_tokenizer("byte", CORPUS, 300)
    ids = tokenizer.encode(text).ids
    assert len(ids) == len(text.encode())
    assert min(ids) >= 3  # after the special tokens
    assert tokenizer.decode(ids) == text


def test_bytes_do_not_depend_on_the_texts():
    one, other = make_tokenizer("byte", CORPUS, 300), make_tokenizer("byte", TEXTS, 8000)
    assert one.to_str() == other.to_str()
    assert one.get_vocab_size() == 259


def test_characters_that_training_has_not_seen_are_unknown():
    assert tokens_of("char", "cat\nz") == ["c", "a", "t", "[UNK]", "[UNK]"]


def test_a_composed_character_is_one():
    assert tokens_of("char", "a\u0308 a") == ["ä", " ", "a"]
    assert tokens_of("word", "Ha\u0308user") == ["Häuser"]


def test_words_end_at_whitespace_and_punctuation():
    assert tokens_of("word", "a\tdog,cats!2") == ["a", "dog", ",", "cats", "!", "2"]
    assert tokens_of("word", "A horse : cat") == ["[UNK]", "[UNK]", ":", "cat"]


@pytest.mark.parametrize("kind", ["char", "word"])
def test_the_names_of_special_tokens_are_text_like_any(kind):
    special = {"[PAD]", "[CLS]", "[SEP]"}
    assert not special & set(tokens_of(kind, "[PAD] [CLS] [SEP]"))


@pytest.mark.parametrize(("kind", "known"), [("char", "aa c"), ("word", "a")])
def test_the_most_frequent_are_known_within_vocab_size(kind, known):
    small = make_tokenizer(kind, CORPUS, 7)
    assert small.get_vocab_size() == 7
    assert "[UNK]" not in small.encode(known).tokens
    assert small.encode("ä!").tokens[0] == "[UNK]"


@pytest.mark.parametrize("kind", ["byte", "char", "word"])
def test_a_pair_has_a_separator_between(kind):
    tokens = make_tokenizer(kind, [("a", "b")], 300).encode("a", "b").tokens
    assert tokens == ["a", "[SEP]", "b"]


def test_a_tokenizer_is_taken_as_it_is_and_not_changed():
    tokenizer = given_tokenizer()
    before = tokenizer.to_str()
    copied = make_tokenizer(tokenizer, CORPUS, 300)
    copied.enable_truncation(2)
    assert copied.encode("[MAX cat dog").ids == [3, 1]
    assert tokenizer.to_str() == before


def test_tokenizers_that_encode_alike_have_one_fingerprint():
    one, other = given_tokenizer(), given_tokenizer()
    other.no_padding()
    assert fingerprint(one) == fingerprint(other) != fingerprint(make_tokenizer("byte", [], 300))
    assert [fingerprint(name) for name in (None, "byte")] == [None, "byte"]


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({}, "empty vocabulary; train it"),
        ({"a": 0, "b": 5}, "its 2 tokens up to 5; give one without gaps"),
    ],
)
def test_a_vocabulary_that_cannot_be_embedded_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        copy_tokenizer(Tokenizer(models.WordLevel(vocabulary, "a")))


# In the classifier


@every_architecture
@pytest.mark.parametrize("kind", ["byte", "char", "word", "object"])
def test_every_kind_is_saved_with_the_model(tiny, architecture, kind, tmp_path):
    tokenizer = given_tokenizer() if kind == "object" else kind
    clf = tiny(architecture=architecture, backbone__tokenizer=tokenizer).fit(TEXTS, LABELS)
    expected = clf.predict_proba([*TEXTS, "", "überhaupt"])
    clf.save(tmp_path)
    for other in (MuxTextClassifier.load(tmp_path), pickle.loads(pickle.dumps(clf))):
        np.testing.assert_allclose(other.predict_proba([*TEXTS, "", "überhaupt"]), expected)
        assert fingerprint(other.backbone.tokenizer) == fingerprint(tokenizer)
        assert other.tokenizer_.to_str() == clf.tokenizer_.to_str()
        other.set_params(warm_start=True).fit(TEXTS, LABELS)


def test_a_tokenizer_object_is_saved_once(tiny, tmp_path):
    tiny(max_epochs=0, backbone__tokenizer=given_tokenizer()).fit(TEXTS, LABELS).save(tmp_path)
    params = json.loads((tmp_path / "config.json").read_text())["params"]
    assert "backbone__tokenizer" not in params


def test_max_length_bytes_are_read(tiny):
    clf = tiny(max_epochs=0, architecture__lexical_length=None, backbone__tokenizer="byte").fit(
        TEXTS, LABELS
    )
    table = clf.predictor_.reader.table(["x" * 99, "ab", ""])
    assert table.lengths.tolist() == [16, 2, 1]


def test_pairs_have_tokens_of_every_kind(tiny):
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    clf = tiny(backbone__tokenizer="char").fit(pairs, LABELS)
    assert clf.predict_proba(pairs).shape == (24, 2)


def test_words_of_unlabeled_texts_are_known(tiny):
    clf = tiny(max_epochs=0, backbone__tokenizer="word").fit(TEXTS, LABELS, unlabeled=["zyzzyva"])
    assert clf.tokenizer_.encode("zyzzyva").tokens == ["zyzzyva"]


def test_another_tokenizer_is_not_gone_on_with(tiny):
    clf = tiny(max_epochs=0, warm_start=True, backbone__tokenizer="byte").fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="goes on with backbone__tokenizer='byte', but"):
        clf.set_params(backbone__tokenizer="char").fit(TEXTS, LABELS)


def test_clones_share_no_tokenizer(tiny):
    clf = tiny(backbone__tokenizer=given_tokenizer())
    other = clone(clf)
    assert other.backbone.tokenizer is not clf.backbone.tokenizer
    assert other.backbone.tokenizer.to_str() == clf.backbone.tokenizer.to_str()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"backbone__tokenizer": "bytes"}, ValueError, "did you mean 'byte'"),
        ({"backbone__tokenizer": 3}, (TypeError, ValueError), "or a tokenizers.Tokenizer, got 3"),
    ],
)
def test_a_bad_tokenizer_is_named(tiny, params, error, message):
    with pytest.raises(error, match=message):
        tiny(**params).fit(TEXTS, LABELS)


# Sequences of integers


@pytest.mark.parametrize(
    "container",
    [
        np.array,
        lambda rows: np.array(rows, np.uint8),
        torch.tensor,
        list,
        iter,
        pd.Series,
        lambda rows: [tuple(row) for row in rows],
        lambda rows: [np.array(row) for row in rows],
        lambda rows: [torch.tensor(row) for row in rows],
        lambda rows: [*rows[:-1], [rows[-1][0], *rows[-1][1:]]],
    ],
)
def test_integers_come_in_many_containers(container):
    rows = check_rows(container([[3, 0, 7], [1, 2, 4]]))
    assert holds_integers(rows)
    table = IntegerReader(8, 5).table(rows)
    assert table.flatten(np.arange(2)).tolist() == [3, 0, 7, 1, 2, 4]


def test_integers_beyond_max_length_are_cut_off():
    for rows in (np.arange(10).reshape(2, 5), [np.arange(5), np.arange(5, 7)]):
        table = IntegerReader(10, 3).table(check_rows(rows))
        assert table.gather(np.array([0, 1]))[0][:, :2].tolist() == [[0, 1], [5, 6]]
        assert table.lengths.max() == 3


@pytest.mark.parametrize("X", [TEXTS, np.array(TEXTS), [("a", "b")], pd.DataFrame({"a": ["1"]})])
def test_texts_are_not_integers(X):
    assert not holds_integers(check_rows(X))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([[1, 2], []], ValueError, "row 1 of `X` is empty; a sequence needs one integer"),
        ([[1, 2], [3, 0.5]], ValueError, "row 1 of `X` holds 0.5; sequences are of integers"),
        ([[1, 2], [3, None]], ValueError, "row 1 of `X` holds None"),
        ([[1, 2], [True, 1]], ValueError, "row 1 of `X` holds True"),
        ([[1, 2], [3, [4]]], ValueError, r"row 1 of `X` holds \[4\]"),
        ([[1, 2], "a b"], TypeError, "row 1 of `X` is of type str, but row 0 is a sequence"),
        ([[1, 2], np.array([0.5])], ValueError, "row 1 of `X` is of float64"),
        ([[0.5, 2.0]], ValueError, "row 0 of `X` holds 0.5"),
        ([[0], [3, -1]], ValueError, "row 1 of `X` holds -1; integers of sequences are 0 or more"),
        (np.array([[0, 1], [0, -1]]), ValueError, "row 1 of `X` holds -1"),
        (np.array([[0, 2**31]]), ValueError, "row 0 of `X` holds 2147483648"),
        (np.zeros((2, 3)), TypeError, r"array of float64; give texts.* \.astype\(int\)"),
        (np.zeros((0, 3), int), ValueError, "`X` has 0 rows"),
        (np.zeros((2, 0), int), ValueError, "row 0 of `X` is empty"),
        ([[], []], ValueError, "row 0 of `X` is empty"),
        (np.arange(3), TypeError, "row 0 of `X` is of type int64, not str"),
        (pd.DataFrame({"a": [1, 2]}), TypeError, "row 0 of `X` is of type int, not str"),
    ],
    ids=str,
)
def test_what_is_no_sequence_of_integers_is_refused_by_its_row(X, error, message):
    with pytest.raises(error, match=message):
        check_rows(X)


@every_architecture
def test_integers_are_tokens_as_they_are(tiny, architecture, tmp_path):
    clf = tiny(architecture=architecture, warm_up="auto").fit(INTEGERS, LABELS)
    assert clf.tokenizer_.get_vocab_size() == 9
    expected = clf.predict_proba(INTEGERS)
    ragged = [row.tolist() for row in INTEGERS]
    np.testing.assert_allclose(clf.predict_proba(ragged), expected, atol=1e-6)
    clf.save(tmp_path)
    assert not (tmp_path / "tokenizer.json").exists()
    loaded = MuxTextClassifier.load(tmp_path)
    np.testing.assert_allclose(loaded.predict_proba(INTEGERS), expected)
    assert list(loaded.predict_iter(iter(ragged))) == clf.predict(ragged).tolist()


@pytest.mark.parametrize("kind", [list, np.array])
def test_an_integer_that_fit_has_not_seen_is_refused_by_its_row(tiny, kind):
    clf = tiny(max_epochs=0).fit(INTEGERS, LABELS)
    rows = [[0, 1], [2, 3], [4, 9]]
    message = "row 2 of `X` holds 9, but integers go up to 8, the greatest that `fit` has seen"
    with pytest.raises(ValueError, match=message):
        clf.predict(kind(rows))
    with pytest.raises(ValueError, match="row 9002 of `X` holds 9"):
        clf.predictor_.reader.check(rows, first_row=9000)


def test_unlabeled_integers_are_seen_too(tiny):
    clf = tiny(max_epochs=0).fit(INTEGERS, LABELS, unlabeled=[[11]])
    assert clf.predict([[11]]).shape == (1,)
    with pytest.raises(TypeError, match="`X` and `unlabeled` must be of one kind"):
        clf.fit(INTEGERS, LABELS, unlabeled=TEXTS)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (INTEGERS, TEXTS, "`X` holds texts, but `fit` was given sequences of integers"),
        (TEXTS, INTEGERS, "`X` holds sequences of integers, but `fit` was given texts"),
    ],
)
def test_integers_and_texts_are_not_mixed_up(tiny, first, second, message):
    clf = tiny(max_epochs=0, warm_start=True).fit(first, LABELS)
    for method in (clf.predict, lambda X: clf.fit(X, LABELS)):
        with pytest.raises(TypeError, match=re.escape(message)):
            method(second)


@pytest.mark.parametrize("params", [{"backbone__tokenizer": "word"}, {"backbone": "a/b"}])
def test_integers_need_no_tokenizer(tiny, params):
    message = "reads texts, but `X` holds sequences of integers; set backbone='scratch'"
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(INTEGERS, LABELS)


def test_the_warm_up_recovers_integers(tiny):
    clf = tiny(warm_up=2, max_epochs=0).fit(INTEGERS, LABELS)
    assert 0 <= retrieval_score(clf, INTEGERS) <= 1
