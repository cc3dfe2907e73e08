"""Sequences of tags: what `decode` makes of the probabilities of a tagger."""

import copy

import numpy as np
import pytest
import torch

from muxlearn.rows._tags import n_illegal_steps


def shapes(sentences):
    return [len(row) for row in sentences]


def flat(rows):
    return [item for row in rows for item in row]


@pytest.fixture(scope="module")
def tiny(tiny_tagger):
    return tiny_tagger


def let_babble(tagger, sentences):
    """Turn an untrained tagger up, and take from each tag what it has for every word."""
    head = tagger.module_.head[1]
    with torch.no_grad():
        head.weight.mul_(30)
        log_proba = np.log(np.concatenate(tagger.predict_proba(sentences)))
        head.bias.sub_(torch.from_numpy(log_proba.mean(0)).float())
    return tagger


@pytest.fixture(scope="module")
def babbler(tiny):
    rng = np.random.default_rng(0)
    sentences = [[f"w{i}" for i in rng.integers(90, size=n)] for n in rng.integers(1, 9, size=99)]
    known = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    tags = [(known * 2)[: len(row)] for row in sentences]
    return let_babble(tiny(max_epochs=0, warm_up=None).fit(sentences, tags), sentences), sentences


def decoding(tagger, decode="legal"):
    return copy.deepcopy(tagger).set_params(decode=decode)


@pytest.mark.parametrize("decode", ["legal", "learned"])
def test_viterbi_never_takes_an_illegal_step(babbler, decode):
    tagger, sentences = babbler
    assert n_illegal_steps(tagger.predict(sentences), "IOB2") > 20
    predicted = decoding(tagger, decode=decode).predict(sentences)
    assert shapes(predicted) == shapes(sentences)
    assert n_illegal_steps(predicted, "IOB2") == 0


def test_viterbi_keeps_what_is_legal_already(babbler):
    tagger, sentences = babbler
    pairs = zip(tagger.predict(sentences), decoding(tagger).predict(sentences), strict=True)
    kept = [one == other for one, other in pairs if n_illegal_steps([one], "IOB2") == 0]
    assert all(kept)
    assert len(kept) > 5


def test_viterbi_takes_the_most_probable_of_the_legal_sequences(babbler):
    tagger, sentences = babbler
    tags = tagger.classes_.tolist()
    pairs = [row[:2] for row in sentences if len(row) > 1]
    predicted = decoding(tagger).predict(pairs)
    for proba, chosen in zip(tagger.predict_proba(pairs), predicted, strict=True):
        best = max(
            (proba[0, i] * proba[1, j], [a, b])
            for i, a in enumerate(tags)
            for j, b in enumerate(tags)
            if n_illegal_steps([[a, b]], "IOB2") == 0
        )
        assert chosen == best[1]


def test_viterbi_equals_the_most_probable_tags_where_all_steps_are_legal(tiny):
    sentences = [
        [subject, *verb.split(), place]
        for subject in ("Ada", "Bo", "Cy")
        for verb in ("lives in", "saw", "has left")
        for place in ("Rome", "Oslo", "San Juan")
    ]
    tags = [["N", *["V"] * (len(row) - 2), "P"] for row in sentences]
    tagger = tiny().fit(sentences, tags)
    assert tagger.scheme_ is None
    assert decoding(tagger).predict(sentences) == tagger.predict(sentences)


def test_learned_transitions_weigh_what_followed_what(tiny):
    """The tags alternate whatever the words are, and the net has learned nothing."""
    rng = np.random.default_rng(0)
    sentences = [[f"w{i}" for i in rng.integers(9, size=8)] for _ in range(30)]
    tags = [["odd", "even"] * 4] * 30
    tagger = tiny(max_epochs=0, warm_up=None).fit(sentences, tags)
    assert decoding(tagger, decode="learned").predict(sentences) == tags
    assert decoding(tagger).predict(sentences) != tags


def test_learned_transitions_say_nothing_where_tags_do_not_depend_on_each_other(tiny):
    """Or a frequent tag would count twice: as the net's answer and as what follows often."""
    rng = np.random.default_rng(0)
    sentences = [[f"w{i}" for i in rng.integers(90, size=8)] for _ in range(300)]
    tags = [rng.choice(["often", "rare"], size=8, p=[0.9, 0.1]).tolist() for _ in sentences]
    tagger = let_babble(tiny(max_epochs=0, warm_up=None).fit(sentences, tags), sentences)
    expected = flat(tagger.predict(sentences))
    learned = flat(decoding(tagger, decode="learned").predict(sentences))
    assert 0.1 < np.mean(np.array(expected) == "rare") < 0.9
    assert np.mean(np.array(learned) == expected) > 0.95


def test_decoding_has_no_part_in_the_probabilities(babbler):
    tagger, sentences = babbler
    expected = np.concatenate(tagger.predict_proba(sentences))
    for decode in ("legal", "learned"):
        proba = decoding(tagger, decode=decode).predict_proba(sentences)
        np.testing.assert_array_equal(np.concatenate(proba), expected)


def test_viterbi_forbids_nothing_to_tags_in_iob1(tiny):
    sentences = [["a", "b", "c", "d"]] * 20
    tags = [["I-PER", "B-PER", "O", "I-LOC"]] * 10 + [["I-LOC", "B-LOC", "I-LOC", "O"]] * 10
    words = [[c] for c in "abcdefghijklmnop"]
    tagger = let_babble(tiny(max_epochs=0, warm_up=None).fit(sentences, tags), words)
    predicted = tagger.predict(words)
    assert {tag[0] for (tag,) in predicted} >= {"I"}
    assert decoding(tagger).predict(words) == predicted
