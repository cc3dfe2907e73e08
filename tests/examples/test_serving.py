"""The example's real server on loopback: concurrent requests, tenants kept apart."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from muxlearn.benchmark._load import ask, example_server, serving

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 6
LABELS = ["weather", "sport"] * 12
TOKENS = {f"secret {number}": f"tenant {number}" for number in range(len(TEXTS))}
ONE = ["secret 0"] * len(TEXTS)


@pytest.fixture(scope="module")
def classifier(tiny_classifier):
    return tiny_classifier(n_mux=4, max_epochs=5).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def options(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    classifier.save(folder / "model")
    (folder / "tokens").write_text(json.dumps(TOKENS))
    # Long enough for all requests of a test to meet.
    gathering = ["--batch-timeout", "0.2", "--max-batch-size", "32"]
    hurried = ["--client-timeout", "1", "--max-body", "1000"]
    return [str(folder / "model"), "--tokens", str(folder / "tokens"), *gathering, *hurried]


@pytest.fixture(scope="module")
def port(options, tmp_path_factory):
    with serving(options, tmp_path_factory.mktemp("log") / "log") as port:
        yield port


def probabilities(answers):
    assert [answer.status for answer in answers] == [200] * len(answers)
    return [answer.content["probability"] for answer in answers]


def test_each_concurrent_request_gets_its_own_answer(port, classifier):
    answers = ask(port, [{"text": text} for text in TEXTS], len(TEXTS), tokens=ONE)
    assert len(answers) == len(TEXTS)
    assert {answer.content["label"] for answer in answers} <= set(classifier.classes_)


def test_a_tenant_alone_gets_what_predict_says_of_it_alone(port, classifier):
    answers = ask(port, [{"text": text} for text in TEXTS], len(TEXTS), tokens=list(TOKENS))
    alone = [classifier.predict_proba([text])[0] for text in TEXTS]
    np.testing.assert_allclose(probabilities(answers), [row.max() for row in alone], atol=1e-5)
    expected = [classifier.predict([text])[0] for text in TEXTS]
    assert [answer.content["label"] for answer in answers] == expected


def test_a_server_answers_at_the_point_it_is_told(options, tmp_path, classifier):
    with serving([*options, "--n-mux", "1"], tmp_path / "log") as port:
        answers = ask(port, [{"text": text} for text in TEXTS], len(TEXTS), tokens=ONE)
    expected = classifier.predict_proba(TEXTS, n_mux=1).max(1)
    np.testing.assert_allclose(probabilities(answers), expected, atol=1e-5)


def test_those_of_one_tenant_share_mixtures(port, classifier):
    answers = ask(port, [{"text": text} for text in TEXTS], len(TEXTS), tokens=ONE)
    alone = [classifier.predict_proba([text])[0].max() for text in TEXTS]
    assert np.abs(np.array(probabilities(answers)) - alone).max() > 1e-4


def test_a_tenant_is_who_the_token_belongs_to(port):
    bodies = [{"text": "rain"}, {"text": "rain", "tenant": "tenant 1"}]
    said = {
        token: [answer.status for answer in ask(port, bodies, 1, tokens=[token] * 2)]
        for token in ("secret 0", "tenant 0", "")
    }
    assert said == {"secret 0": [200, 422], "tenant 0": [401, 401], "": [401, 401]}
    assert [answer.status for answer in ask(port, bodies[:1], 1)] == [401]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"text": "rain"', 400, "not JSON"),
        (b"[" * 900, 400, "not JSON"),
        (b"[]", 422, 'must be {"text": "..."}'),
        (b'{"text": 3}', 422, 'must be {"text": "..."}'),
        (b'{"tenant": "a"}', 422, 'must be {"text": "..."}'),
        (b'{"text": "rain", "more": 1}', 422, "'more'"),
        (b" " * 1001, 413, "larger than 1000 bytes"),
        (b'{"text": "\\ud800\\u0000\\u202e"}', 200, None),
    ],
)
def test_a_bad_request_is_refused_and_spoils_no_other(port, classifier, body, status, told):
    bodies = [body, {"text": TEXTS[0]}]
    bad, good = ask(port, bodies, 2, tokens=["secret 0", "secret 1"])
    assert (bad.status, good.status) == (status, 200)
    assert told is None or told in bad.content["detail"]
    assert good.content["label"] == classifier.predict([TEXTS[0]])[0]


HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer secret 0\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 408),
        (HEAD, 408),
        (HEAD + b"Content-Length: 100\r\n\r\n{", 408),
        (HEAD + b"Content-Length: 100000000000000\r\n\r\n{", 413),
        (HEAD + b"Content-Length: many\r\n\r\n{", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n", 413),
        (HEAD + b"X: " + b"x" * 100_000, 400),
        (b"GET /predict HTTP/1.1\r\nHost: here\r\n\r\n", 405),
        (b"no HTTP at all\r\n\r\n", 400),
    ],
)
def test_who_sends_half_a_request_or_too_much_is_told(port, sent, status):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(sent)
        assert int(client.recv(100).split()[1]) == status


def test_a_model_of_several_labels_is_refused_at_the_start(tiny_classifier, tmp_path):
    tiny_classifier(max_epochs=1).fit(TEXTS, [{label} for label in LABELS]).save(tmp_path)
    server = [sys.executable, str(example_server()), str(tmp_path)]
    ended = subprocess.run(server, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0
    assert "predicts several labels for a text; this server gives one" in ended.stderr
