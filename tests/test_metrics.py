import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from muxlearn import MuxTextClassifier
from muxlearn.metrics import retrieval_score

WORDS = ["red", "green", "blue", "white", "black", "grey", "pink", "brown"]


def texts(n_texts, seed=0):
    return [" ".join(words) for words in np.random.default_rng(seed).choice(WORDS, (n_texts, 5))]


def warmed_up(**params):
    """The warm-up alone, of a word-level vocabulary."""
    defaults = {
        "n_mux": 2,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 300,
        "max_length": 12,
        "warm_up_epochs": 10,
        "max_epochs": 0,
        "batch_size": 16,
        "lr": 5e-3,
        "dropout": 0.0,
        "random_state": 0,
    }
    rows = texts(400)
    return MuxTextClassifier(**(defaults | params)).fit(rows, [0] * len(rows))


def test_a_warm_up_teaches_to_recover_nearly_every_token():
    assert retrieval_score(warmed_up(), texts(100, seed=1)) > 0.95


def test_without_a_warm_up_few_tokens_are_recovered():
    clf = warmed_up(multiplexer="hadamard", warm_up=None)
    assert 0 <= retrieval_score(clf, texts(100, seed=1)) < 0.3


def test_without_a_mark_a_mixture_does_not_say_which_token_was_whose():
    clf = warmed_up(multiplexer="identity", demultiplexer="mlp", n_mux=4)
    assert retrieval_score(clf, texts(100, seed=1)) < 0.7


@pytest.mark.parametrize("n_rows", [1, 3])
def test_rows_that_fill_no_mixture_are_scored_too(n_rows):
    clf = warmed_up(warm_up_epochs=1)
    score = retrieval_score(clf, texts(n_rows))
    n_tokens = sum(len(clf.tokenizer_.encode(text).ids) for text in texts(n_rows))
    assert 0 <= score <= 1
    assert score * n_tokens == pytest.approx(round(score * n_tokens))


def test_scoring_leaves_the_predictions_as_they_were():
    clf = warmed_up(warm_up_epochs=1)
    expected = clf.predict_proba(texts(5))
    retrieval_score(clf, texts(20))
    np.testing.assert_array_equal(clf.predict_proba(texts(5)), expected)
    assert not clf.module_.training


def test_an_estimator_that_is_not_fitted_has_no_score():
    with pytest.raises(NotFittedError):
        retrieval_score(MuxTextClassifier(), texts(2))


def test_bad_texts_are_refused_by_their_row():
    with pytest.raises(ValueError, match="row 1 of `X` is missing"):
        retrieval_score(warmed_up(warm_up=None), ["a", None])
