"""Rows without labels that nothing reads are named in a warning."""

import pytest

from muxlearn import MuxTextClassifier
from muxlearn.architectures import MIMOFormer
from muxlearn.backbones import Packaged

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 4
LABELS = ["weather", "sport"] * 8
MORE = ["snow and rain"] * 16
MIMOFORMER = MIMOFormer(head_dim=8, n_features=8)


@pytest.fixture
def tiny(tiny_classifier):
    return lambda **params: tiny_classifier(max_epochs=0, **params)


def test_the_packaged_encoder_reads_none():
    clf = MuxTextClassifier(backbone=Packaged(num_hidden_layers=1), max_epochs=0, n_mux=2)
    with pytest.warns(UserWarning, match="`unlabeled` has no effect.*set `warm_up` to a number"):
        clf.fit(TEXTS, LABELS, unlabeled=MORE)


@pytest.mark.parametrize(
    "params",
    [{"n_mux": 1}, {"architecture": MIMOFORMER, "warm_up": 1}],
    ids=["a row alone", "a warm-up on the task"],
)
def test_a_warm_up_that_reads_none_is_no_advice(tiny, params):
    clf = tiny(backbone__tokenizer="byte", **params)
    with pytest.warns(UserWarning, match="warm-up reads these rows; let a slow model label them"):
        clf.fit(TEXTS, LABELS, unlabeled=MORE)


def test_a_tagger_without_a_warm_up_reads_none(tiny_tagger, bert):
    sentences = [text.split() for text in TEXTS]
    tagger = tiny_tagger(backbone=bert, warm_up=None, max_epochs=0)
    with pytest.warns(UserWarning, match="`unlabeled` has no effect"):
        tagger.fit(sentences, sentences, unlabeled=sentences)


@pytest.mark.parametrize(
    "params",
    [
        {"backbone__tokenizer": "byte"},
        {"backbone__tokenizer": "word", "warm_up": None},
        {"architecture": MIMOFORMER, "warm_up": None},
    ],
    ids=["warm-up", "tokenizer", "tokenizer of mimoformer"],
)
def test_rows_that_are_read_need_no_warning(tiny, params):
    tiny(**params).fit(TEXTS, LABELS, unlabeled=MORE)  # a warning is an error here
