"""The example's real server on loopback: concurrent requests, tenants kept apart."""

import numpy as np
import pytest

from muxlearn.benchmark._load import ask, serving

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 6
LABELS = ["weather", "sport"] * 12


@pytest.fixture(scope="module")
def classifier(tiny_classifier):
    return tiny_classifier(n_mux=4, max_epochs=5).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def port(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    classifier.save(folder / "model")
    # Long enough for all requests of a test to meet.
    options = [str(folder / "model"), "--batch-timeout", "0.2", "--max-batch-size", "32"]
    with serving(options, folder / "log") as port:
        yield port


def probabilities(answers):
    assert [answer.status for answer in answers] == [200] * len(answers)
    return [answer.content["probability"] for answer in answers]


def test_each_concurrent_request_gets_its_own_answer(port, classifier):
    answers = ask(port, [{"text": text} for text in TEXTS], n_clients=len(TEXTS))
    assert len(answers) == len(TEXTS)
    assert {answer.content["label"] for answer in answers} <= set(classifier.classes_)


def test_a_tenant_alone_gets_what_predict_says_of_it_alone(port, classifier):
    bodies = [{"text": text, "tenant": str(i)} for i, text in enumerate(TEXTS)]
    answers = ask(port, bodies, n_clients=len(TEXTS))
    alone = [classifier.predict_proba([text])[0] for text in TEXTS]
    np.testing.assert_allclose(probabilities(answers), [row.max() for row in alone], atol=1e-5)
    expected = [classifier.predict([text])[0] for text in TEXTS]
    assert [answer.content["label"] for answer in answers] == expected


def test_those_of_one_tenant_share_mixtures(port, classifier):
    answers = ask(port, [{"text": text} for text in TEXTS], n_clients=len(TEXTS))
    alone = [classifier.predict_proba([text])[0].max() for text in TEXTS]
    assert np.abs(np.array(probabilities(answers)) - alone).max() > 1e-4


def test_a_bad_request_is_refused_and_spoils_no_other(port, classifier):
    bodies = [{"text": 3, "tenant": "a"}, {"text": TEXTS[0], "tenant": "b"}, {"tenant": "c"}]
    answers = ask(port, bodies, n_clients=3)
    assert [answer.status for answer in answers] == [422, 200, 422]
    assert answers[1].content["label"] == classifier.predict([TEXTS[0]])[0]
