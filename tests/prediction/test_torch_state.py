"""What a caller has set for all of torch has no part in models."""

import numpy as np
import pytest
import torch

from muxlearn import MuxTextClassifier
from muxlearn.export import OnnxMuxClassifier, export_onnx

TEXTS = ["a cat", "old dog", "it", "a bird that sings"] * 4
LABELS = ["x", "y"] * 8


class DefaultType:
    def __enter__(self):
        torch.set_default_dtype(torch.bfloat16)

    def __exit__(self, *_):
        torch.set_default_dtype(torch.float32)


class DefaultDevice:
    def __enter__(self):
        torch.set_default_device("meta")

    def __exit__(self, *_):
        torch.set_default_device(None)


STATES = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default type": DefaultType,
    "default device": DefaultDevice,
}
every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


@pytest.fixture(scope="module")
def fitted(tiny_classifier):
    return tiny_classifier(warm_up=None).fit(TEXTS, LABELS)


@every_state
def test_fits_and_predictions_are_the_same(fitted, tiny_classifier, state):
    expected = fitted.predict_proba(TEXTS)
    with state():
        again = tiny_classifier(warm_up=None).fit(TEXTS, LABELS)
        np.testing.assert_array_equal(again.predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), expected)


@every_state
def test_a_model_is_loaded_and_predicts(fitted, tmp_path, state):
    expected = fitted.predict_proba(TEXTS)
    with state():
        fitted.save(tmp_path / "model")
        loaded = MuxTextClassifier.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)


@pytest.mark.slow
@every_state
def test_a_model_is_exported(fitted, tmp_path, state):
    with state():
        export_onnx(fitted, tmp_path / "graph")
    graph = OnnxMuxClassifier.load(tmp_path / "graph")
    np.testing.assert_allclose(graph.predict_proba(TEXTS), fitted.predict_proba(TEXTS), atol=1e-5)
