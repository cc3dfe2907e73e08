"""Log-probabilities and decisions of classifiers and taggers, and the method that they lack."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from muxlearn import MuxImageClassifier, MuxTextEmbedder
from muxlearn.pretraining import MuxTextPretrainer

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 3
LABELS = ["weather", "sport", "snow", "sport"] * 3
SENTENCES = [["Ada", "lives", "in", "Turin"], [], ["Bo", "ran"]] * 4
TAGS = [["N", "V", "P", "N"], [], ["N", "V"]] * 4


@pytest.mark.parametrize("point", [{"n_mux": 2}, {"n_mux": 1}, {"n_passes": 2}, {"groups": LABELS}])
def test_a_classifier_says_the_logarithms_of_its_probabilities(tiny_classifier, point):
    clf = tiny_classifier().fit(TEXTS, LABELS)
    expected = np.log(clf.predict_proba(TEXTS, **point))
    np.testing.assert_allclose(clf.predict_log_proba(TEXTS, **point), expected, rtol=1e-6)
    streamed = list(clf.predict_iter(TEXTS, method="predict_log_proba"))
    np.testing.assert_allclose(streamed, clf.predict_log_proba(TEXTS), rtol=1e-6)


def test_of_images_too():
    X, y = load_digits(return_X_y=True)
    clf = MuxImageClassifier(2, architecture="mlp", max_epochs=1, random_state=0)
    clf.fit(X[:40], y[:40])
    log_proba = clf.predict_log_proba(X[:9])
    np.testing.assert_allclose(log_proba, np.log(clf.predict_proba(X[:9])), rtol=1e-6)


def test_a_small_probability_is_not_infinite(tiny_classifier):
    clf = tiny_classifier().fit(TEXTS, LABELS)
    with np.errstate(divide="raise"):
        clf.module_.head.out.bias.data[0] = -2000
        assert clf.predict_proba(TEXTS)[:, 0].max() == 0
        assert np.isfinite(clf.predict_log_proba(TEXTS)).all()


def test_a_tagger_decides_by_log_probabilities(tiny_tagger):
    tagger = tiny_tagger().fit(SENTENCES, TAGS)
    decisions, proba = tagger.decision_function(SENTENCES), tagger.predict_proba(SENTENCES)
    assert list(map(len, decisions)) == list(map(len, SENTENCES))
    for decision, of_sentence in zip(decisions, proba, strict=True):
        np.testing.assert_allclose(decision, np.log(of_sentence), rtol=1e-6)
    for said, decision in zip(tagger.predict_log_proba(SENTENCES), decisions, strict=True):
        np.testing.assert_array_equal(said, decision)
    best = [tagger.classes_[d.argmax(1)].tolist() for d in decisions]
    assert tagger.predict(SENTENCES) == best


def test_of_two_tags_a_decision_is_the_log_odds_of_the_second(tiny_tagger):
    two = [["N" if tag == "N" else "O" for tag in tags] for tags in TAGS]
    tagger = tiny_tagger().fit(SENTENCES, two)
    decisions = tagger.decision_function(SENTENCES)
    assert [d.shape for d in decisions] == [(len(row),) for row in SENTENCES]
    assert [p.shape for p in tagger.predict_log_proba(SENTENCES)] == [
        (len(r), 2) for r in SENTENCES
    ]
    signs = [tagger.classes_[(d > 0).astype(int)].tolist() for d in decisions]
    assert tagger.predict(SENTENCES) == signs


@pytest.mark.parametrize(
    ("estimator", "advice"),
    [
        (MuxImageClassifier(), "warm_start=True"),
        (MuxTextPretrainer(), "call fit with all rows"),
        (MuxTextEmbedder(), "call fit with all rows"),
    ],
)
def test_there_is_no_partial_fit_and_the_error_says_what_to_do(estimator, advice):
    assert not hasattr(estimator, "partial_fit")
    with pytest.raises(AttributeError, match=f"has no partial_fit.*{advice}"):
        estimator.partial_fit(TEXTS, LABELS)
