"""Embedders as graphs of ONNX beside torch."""

import pickle

import numpy as np
import pytest

from muxlearn import MuxTextEmbedder
from muxlearn.export import OnnxMuxClassifier, OnnxMuxEmbedder, export_onnx
from muxlearn.persistence import FormatError
from tests.estimators.test_embedding import TEXTS

pytestmark = pytest.mark.slow  # torch's exporter takes seconds a graph

POINTS = [(3, 1), (1, 5), (3, 5), "words"]


@pytest.fixture(scope="module")
def embedder(encoder_folder):
    embedder = MuxTextEmbedder(3, patch_size=1, backbone=encoder_folder, max_length=16, align=True)
    return embedder.fit(TEXTS)


@pytest.fixture(scope="module")
def exported_to(embedder, tmp_path_factory):
    target = tmp_path_factory.mktemp("onnx") / "embedder"
    export_onnx(embedder, target, n_mux=POINTS)
    return target


@pytest.mark.parametrize("n_mux", POINTS)
def test_vectors_are_torchs(embedder, exported_to, n_mux):
    exported = OnnxMuxEmbedder.load(exported_to, n_threads=1)
    vectors = exported.transform(TEXTS, n_mux=n_mux)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, embedder.transform(TEXTS, n_mux=n_mux), atol=1e-4)


def test_groups_and_streams_follow_the_same_plan(embedder, exported_to):
    exported = pickle.loads(pickle.dumps(OnnxMuxEmbedder.load(exported_to, n_threads=1)))
    groups = ["a", "b", "a", "b", "a"]
    wanted = embedder.transform(TEXTS, groups=groups)
    np.testing.assert_allclose(exported.transform(TEXTS, groups=groups), wanted, atol=1e-4)
    streamed = list(exported.transform_iter(iter(TEXTS)))
    np.testing.assert_allclose(streamed, embedder.transform(TEXTS), atol=1e-4)


def test_only_what_embeds_is_there(exported_to):
    exported = OnnxMuxEmbedder.load(exported_to, n_threads=1)
    for name in ("predict", "predict_iter", "score", "classes_"):
        assert not hasattr(exported, name)
    with pytest.raises(FormatError, match="holds a MuxTextEmbedder"):
        OnnxMuxClassifier.load(exported_to)
