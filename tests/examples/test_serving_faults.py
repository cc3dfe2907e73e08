"""The example's real server when too much comes at once, and when processes end."""

import json
import signal
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import psutil
import pytest

from muxlearn.benchmark._load import ask, serving

pytestmark = pytest.mark.slow  # a server starts in ten seconds

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 10
TOKENS = ["secret a", "secret b"] * 20


@pytest.fixture(scope="module")
def classifier(tiny_classifier):
    return tiny_classifier(n_mux=4, max_epochs=5).fit(TEXTS, ["weather", "sport"] * 20)


@pytest.fixture(scope="module")
def expected(classifier):
    return [classifier.predict([text])[0] for text in TEXTS]


@pytest.fixture
def serve(classifier, tmp_path):
    classifier.save(tmp_path / "model")
    (tmp_path / "tokens").write_text(json.dumps({"secret a": "a", "secret b": "b"}))

    @contextmanager
    def serve(*options):
        arguments = [str(tmp_path / "model"), "--tokens", str(tmp_path / "tokens"), *options]
        with serving(arguments, tmp_path / "log") as port:
            own = psutil.Process().children(recursive=True)
            yield port, next(process for process in own if str(port) in process.cmdline())

    return serve


def worker_of(server):
    """Return the process with the model: the largest."""
    return max(server.children(), key=lambda process: process.memory_info().rss)


@contextmanager
def asking(port, texts, tokens):
    """Let clients ask while the block runs; gives their answers when it has ended."""
    answers = []
    bodies = [{"text": text} for text in texts]

    def run():
        answers.extend(ask(port, bodies, len(bodies), tokens=tokens))

    thread = threading.Thread(target=run)
    thread.start()
    yield answers
    thread.join()


def test_of_500_at_once_each_is_answered_or_told_to_come_back_and_memory_is_bounded(serve):
    with serve("--max-waiting", "100") as (port, server):
        processes = [server, *server.children(recursive=True)]

        def resident():
            return sum(process.memory_info().rss for process in processes)

        before = resident()
        bodies = [{"text": f"{number} " + "rain " * 1000} for number in range(500)]
        answers = ask(port, bodies, n_clients=500, tokens=["secret a"] * 500)
        statuses = [answer.status for answer in answers]
        assert len(statuses) == 500
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 100
        assert all("try again" in a.content["detail"] for a in answers if a.status == 503)
        assert resident() - before < 150 * 2**20
        assert ask(port, bodies[:1], 1, tokens=["secret a"])[0].status == 200


def test_a_worker_that_is_killed_loses_no_request(serve, expected):
    with serve() as (port, server):
        worker = worker_of(server)
        worker.send_signal(signal.SIGSTOP)  # it has the requests, and does not answer
        with asking(port, TEXTS, TOKENS) as answers:
            time.sleep(1)
            worker.kill()
        assert [answer.status for answer in answers] == [200] * len(TEXTS)
        assert [answer.content["label"] for answer in answers] == expected
        worker_of(server).kill()  # while nothing is asked
        (answer,) = ask(port, [{"text": TEXTS[0]}], 1, tokens=["secret a"])
        assert (answer.status, answer.content["label"]) == (200, expected[0])


def test_a_model_that_cannot_be_loaded_is_told_of(serve, tmp_path):
    def health(port):
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status

    with serve() as (port, server):
        (tmp_path / "model").rename(tmp_path / "away")
        worker_of(server).kill()
        (answer,) = ask(port, [{"text": TEXTS[0]}], 1, tokens=["secret a"])
        assert (answer.status, health(port)) == (500, 503)
        (tmp_path / "away").rename(tmp_path / "model")
        (answer,) = ask(port, [{"text": TEXTS[0]}], 1, tokens=["secret a"])
        assert (answer.status, health(port)) == (200, 200)


def test_a_model_that_does_not_answer_is_told_of(serve):
    with serve("--timeout", "1") as (port, server):
        worker_of(server).send_signal(signal.SIGSTOP)
        (answer,) = ask(port, [{"text": TEXTS[0]}], 1, tokens=["secret a"])
        assert (answer.status, answer.content["detail"]) == (504, "the model took too long")


def test_a_server_that_is_told_to_end_answers_what_it_has_accepted(serve, expected):
    with serve("--batch-timeout", "2") as (port, server):
        worker = worker_of(server)
        with asking(port, TEXTS, TOKENS) as answers:
            time.sleep(1)
            server.terminate()
            while server.is_running() and server.net_connections("inet"):
                time.sleep(0.05)
        assert [answer.status for answer in answers] == [200] * len(TEXTS)
        assert [answer.content["label"] for answer in answers] == expected
        assert psutil.wait_procs([server, worker], timeout=20)[1] == []


def test_a_server_that_is_killed_leaves_no_worker_behind(serve):
    with serve() as (_, server):
        left = server.children(recursive=True)
        server.kill()
        assert psutil.wait_procs(left, timeout=20)[1] == []
