import numpy as np
import pandas as pd
import pytest

N_ROWS, N_PARTS = 240, 4


@pytest.fixture(scope="package")
def model(tiny_classifier):
    texts = [f"{s} {v}" for s in ("the cat", "my old dog", "it") for v in "abcdefgh"]
    return tiny_classifier(warm_up=None, lr=3e-3).fit(texts, ["x", "y"] * 12)


@pytest.fixture(scope="package")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    model.save(folder)
    return folder


@pytest.fixture(scope="package")
def frame():
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "it", "a", "b", "old"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(N_ROWS)]
    tenants = rng.choice(["p", "q", "r"], N_ROWS)
    return pd.DataFrame({"id": range(N_ROWS), "text": texts, "tenant": tenants})


@pytest.fixture(scope="package")
def parts(frame):
    """The frame in the parts that the engines are given."""
    size = N_ROWS // N_PARTS
    return [frame[start : start + size] for start in range(0, N_ROWS, size)]


@pytest.fixture(scope="package")
def expected(model, parts):
    """What `predict` and `predict_proba` say of each part, with and without groups."""

    def by_part(method, groups=None):
        rows = [
            getattr(model, method)(part["text"].tolist(), groups=groups and part[groups].tolist())
            for part in parts
        ]
        return np.concatenate(rows)

    return by_part
