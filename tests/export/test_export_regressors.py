"""Regressors as ONNX graphs beside torch."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from muxlearn import MuxImageRegressor, MuxTextRegressor
from muxlearn.architectures import TMUX
from muxlearn.export import OnnxMuxClassifier, OnnxMuxRegressor, export_onnx
from muxlearn.persistence import FormatError
from tests.conftest import make_tiny

pytestmark = pytest.mark.slow  # torch's exporter takes seconds a graph

TEXTS = ["rain and wind", "a goal", "snow", "a late equaliser in the second half", "", "fog"] * 3
TARGETS = np.array([[len(text), -3.0 * text.count("a")] for text in TEXTS])


@pytest.fixture(scope="module")
def regressor():
    return make_tiny(MuxTextRegressor, TMUX(), n_mux=3, operating_points=(3, 1)).fit(TEXTS, TARGETS)


@pytest.fixture(scope="module")
def folder(regressor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "model"
    export_onnx(regressor, folder)
    return folder


@pytest.mark.parametrize("n_mux", [None, 1, 3])
def test_an_exported_regressor_predicts_the_same(regressor, folder, n_mux):
    exported = pickle.loads(pickle.dumps(OnnxMuxRegressor.load(folder, n_threads=1)))
    np.testing.assert_allclose(
        exported.predict(TEXTS, n_mux=n_mux), regressor.predict(TEXTS, n_mux=n_mux), rtol=1e-3
    )
    assert exported.score(TEXTS, TARGETS) == pytest.approx(regressor.score(TEXTS, TARGETS))
    assert next(exported.predict_iter(TEXTS)).shape == (2,)


def test_an_exported_regressor_has_no_classes(folder):
    exported = OnnxMuxRegressor.load(folder, n_threads=1)
    assert not hasattr(exported, "classes_")
    assert not hasattr(exported, "predict_proba")
    assert exported.__sklearn_tags__().estimator_type == "regressor"


def test_an_exported_regressor_is_no_classifier(folder):
    with pytest.raises(FormatError, match="holds a MuxTextRegressor"):
        OnnxMuxClassifier.load(folder)


def test_an_exported_regressor_of_images_predicts_the_same(tmp_path):
    images = load_digits().images[:20]
    ink = images.mean((1, 2))
    reg = MuxImageRegressor(2, architecture="mlp", max_epochs=1, random_state=0).fit(images, ink)
    export_onnx(reg, tmp_path / "model")
    exported = OnnxMuxRegressor.load(tmp_path / "model", n_threads=1)
    np.testing.assert_allclose(exported.predict(images), reg.predict(images), rtol=1e-3)
