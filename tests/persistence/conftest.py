"""Fixtures of what is shared: a hub, and untrained models."""

import threading

import numpy as np
import pytest
from huggingface_hub import constants

from muxlearn import MuxImageClassifier
from tests.persistence.hub_server import LABELS, TEXTS, Hub


@pytest.fixture(scope="module")
def server():
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    # What the library makes of the environment variables when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def hub(server, cache, monkeypatch):
    server.clear()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return server


@pytest.fixture(scope="module")
def untrained(tiny_classifier):
    def fit(**params):
        return tiny_classifier(**{"max_epochs": 0, "warm_up": None} | params).fit(TEXTS, LABELS)

    return fit


@pytest.fixture(scope="module")
def fitted(untrained):
    return untrained()


@pytest.fixture(scope="module")
def other(untrained):
    return untrained(random_state=1)


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    sentences = [text.split() for text in TEXTS]
    tags = [["O"] * len(tokens) for tokens in sentences[1:]]
    return tiny_tagger(max_epochs=0, warm_up=None).fit(sentences, [["B", "I", "O"], *tags])


@pytest.fixture(scope="module")
def images():
    clf = MuxImageClassifier(2, architecture="mlp", max_epochs=0, random_state=0)
    return clf.fit(np.eye(64).reshape(64, 8, 8)[:12], [0, 1] * 6)
