"""Code of the guide that runs: vectors of texts, scikit-learn's meta-estimators, a slow teacher."""

import functools

import numpy as np
import pandas as pd
import pytest

from muxlearn import MuxTextClassifier, MuxTextEmbedder
from muxlearn.backbones import Scratch
from muxlearn.benchmark._news import bbc_news
from muxlearn.datasets import load_labelled
from tests.docs.test_documented_code import ROOT, code_blocks

SMALL = Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=1000)


@pytest.fixture(scope="module")
def headlines():
    documents, topics = bbc_news()
    names = np.unique(topics)[:2]
    chosen = [i for name in names for i in np.flatnonzero(np.array(topics) == name)[:40]]
    return [documents[i].partition("\n")[0] for i in chosen], np.array(topics)[chosen]


@pytest.fixture
def namespace(headlines, tmp_path, monkeypatch):
    X, topics = headlines
    y = (topics == topics[0]).astype(int)
    pd.DataFrame({"text": X, "id": range(len(X))}).to_parquet(tmp_path / "texts.parquet")
    monkeypatch.chdir(tmp_path)
    partly = np.where(np.arange(len(y)) % 2, y, -1)
    small = {"n_mux": 2, "patch_size": 1, "backbone": SMALL, "max_epochs": 3, "warm_up": None}
    stored = []
    return {
        **{"X_more": X[1::2], "frame": pd.DataFrame({"text": X, "label": topics})},
        **{"X": X[::2], "y": topics[::2], "X_other": X[1::2], "y_other": topics[1::2]},
        **{"X_new": X[:3], "new_texts": X[:3], "texts": X, "labels": topics, "lines": iter(X)},
        **{"X_all": X, "y_or_minus_one": partly, "store": stored.append, "stored": stored},
        "MuxTextClassifier": functools.partial(MuxTextClassifier, **small),
        "MuxTextEmbedder": MuxTextEmbedder,
    }


def run(page, namespace):
    for code in code_blocks(ROOT / "docs" / "guide" / f"{page}.rst"):
        exec(compile(code, page, "exec"), namespace)
    return namespace


@pytest.mark.slow
def test_vectors_of_texts(namespace):
    done = run("embedding", namespace)
    n_texts = len(done["texts"])
    assert done["vectors"].shape == (n_texts, len(done["embedder"].get_feature_names_out()))
    for pipeline in (done["model"], done["static"]):
        assert pipeline.score(done["texts"], done["labels"]) > 0.9
    assert len(done["groups"]) == len(done["stored"]) == n_texts
    assert len(pd.read_parquet("vectors")) == n_texts
    assert done["clf"].transform(done["new_texts"]).shape == (3, 16)


@pytest.mark.slow
def test_calibration_stacking_and_self_training(namespace):
    done = run("stacking", namespace)
    assert done["proba"].shape == (3, 2)
    assert done["stack"].score(done["X"], done["y"]) > 0.7
    assert set(done["bagging"].predict(done["table"])) <= set(done["y"])
    assert set(done["model"].predict(done["numbers"])) <= {0, 1}
    assert done["model"].n_iter_ >= 1


@pytest.mark.slow
def test_a_slow_model_labels_texts_for_a_fast_one(namespace):
    done = run("for_me", namespace)
    assert done["fast"].classes_.tolist() == sorted(set(done["y"]))
    assert len(done["known"]) + len(done["shares"]) == len(done["X"]) + len(done["X_more"])
    assert len(done["X_made"]) == 4 * len(done["X"])
    assert done["known"].idxmax(axis=1).tolist() == done["y"].tolist()
    assert set(done["fast"].predict(done["X_new"])) <= set(done["y"])
    texts, labels = load_labelled("train.tsv", return_X_y=True)
    assert list(texts) == [" ".join(text.split()) for text in done["frame"]["text"]]
    assert list(labels) == done["frame"]["label"].astype(str).tolist()
