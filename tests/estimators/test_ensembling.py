"""Ensembling as in MUX-PLMs is a choice of the prediction; here it is written out by hand."""

import numpy as np
import pytest
import torch

from muxlearn.mixtures import plan_mixtures

N_MUX = 3
TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefg"]
LABELS = [["x", "y", "z"][i % 3] for i in range(len(TEXTS))]
SENTENCES = [text.split() for text in TEXTS]
TAGS = [[word[0] for word in sentence] for sentence in SENTENCES]
every_multiplexer = pytest.mark.parametrize("multiplexer", ["subspace", "contextual"])


@pytest.fixture(scope="module")
def classifiers(tiny_classifier):
    params = {"n_mux": N_MUX, "max_epochs": 8, "lr": 1e-2}
    return {
        name: tiny_classifier(multiplexer=name, **params).fit(TEXTS, LABELS)
        for name in ("subspace", "contextual")
    }


def module_probabilities(clf, texts):
    """Run the module on whole mixtures: `n_mux` texts, then the next, as they come."""
    tokens = [torch.tensor(clf.tokenizer_.encode(text).ids) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence(list(map(torch.ones_like, tokens)), batch_first=True)
    with torch.no_grad():
        return clf.module_(ids, mask).softmax(-1).numpy()


@every_multiplexer
def test_n_mux_1_is_the_mean_over_a_text_in_every_slot(classifiers, multiplexer):
    clf = classifiers[multiplexer]
    copies = [text for text in TEXTS for _ in range(N_MUX)]
    by_slot = module_probabilities(clf, copies).reshape(len(TEXTS), N_MUX, -1)
    assert np.ptp(by_slot, axis=1).max() > 1e-3  # the slots differ, or there is nothing to average
    np.testing.assert_allclose(clf.predict_proba(TEXTS, n_mux=1), by_slot.mean(1), atol=1e-6)


@every_multiplexer
def test_n_passes_is_the_mean_over_copies_among_others(classifiers, multiplexer):
    clf = classifiers[multiplexer]
    lengths = np.array([len(clf.tokenizer_.encode(text).ids) for text in TEXTS])
    passes = []
    for regrouping in range(4):
        plan = plan_mixtures(
            lengths, N_MUX, seed=clf.predictor_.planner.seed, regrouping=regrouping
        )
        rows = plan.rows.ravel()
        proba = np.full((len(TEXTS), 3), np.nan)
        counted = plan.counted.ravel()
        proba[rows[counted]] = module_probabilities(clf, [TEXTS[i] for i in rows])[counted]
        passes.append(proba)
    assert np.ptp(passes, axis=0).max() > 1e-3
    np.testing.assert_allclose(
        clf.predict_proba(TEXTS, n_passes=4), np.mean(passes, axis=0), atol=1e-6
    )


def test_the_tags_of_a_sentence_are_the_mean_over_every_slot(tiny_tagger):
    tagger = tiny_tagger(n_mux=N_MUX, max_epochs=4, lr=1e-2).fit(SENTENCES, TAGS)
    table = tagger.predictor_.reader.table(SENTENCES[7:8])
    inputs = table.inputs(np.zeros((1, N_MUX), np.int64))
    with torch.no_grad():
        logits = tagger.module_(**{n: torch.tensor(v).flatten(0, 1) for n, v in inputs.items()})
    by_slot = logits.softmax(-1).view(N_MUX, len(SENTENCES[7]), -1)
    got = tagger.predict_proba(SENTENCES[7:8], n_mux=1)[0]
    np.testing.assert_allclose(got, by_slot.mean(0), atol=1e-6)
