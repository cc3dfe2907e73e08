"""Models that commit 1f0b5df saved load and predict the same; see saved_1f0b5df/make_models.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.export import OnnxMuxClassifier, OnnxMuxTagger
from muxlearn.persistence import FormatError
from muxlearn.prediction import load_predictor
from muxlearn.pretraining import MuxTextPretrainer

SAVED = Path(__file__).parent / "saved_1f0b5df"
MODELS = sorted(file.parent.name for file in SAVED.glob("*/answers.json"))
EXPORTED = [name for name in MODELS if name.startswith("onnx")]
ESTIMATORS = {
    estimator.__name__: estimator
    for estimator in (
        *(MuxTextClassifier, MuxTokenTagger, MuxImageClassifier, MuxTextPretrainer),
        *(OnnxMuxClassifier, OnnxMuxTagger),
    )
}
TOLERANCE = 1e-5


def load(name, folder=None):
    """Load a model, with what it is to answer."""
    folder = folder or SAVED / name
    answers = json.loads((SAVED / name / "answers.json").read_text())
    # The folder notes the name of its backbone alone, which need not be in the working directory.
    moved = {"backbone": SAVED / "bert"} if name == "revmux" else {}
    return ESTIMATORS[answers["estimator"]].load(folder, **moved), answers


def check_answers(model, answers):
    for case in answers["cases"]:
        options = case["options"]
        if "vectors" in case:
            vectors = model.transform(answers["X"], **options)
            np.testing.assert_allclose(vectors, case["vectors"], atol=TOLERANCE)
            continue
        given = model.predict_proba(answers["X"], **options)
        assert len(given) == len(case["proba"])
        for row, expected in zip(given, case["proba"], strict=True):
            # A sentence of no words has no rows.
            expected = np.reshape(expected, row.shape)
            np.testing.assert_allclose(row, expected, atol=TOLERANCE)
        labels = model.predict(answers["X"], **options)
        assert [np.asarray(row).tolist() for row in labels] == case["labels"]


def test_there_is_a_model_of_each_kind():
    kinds = {
        json.loads((SAVED / name / "answers.json").read_text())["estimator"] for name in MODELS
    }
    assert kinds == set(ESTIMATORS)
    assert len(MODELS) == 24


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_predicts_what_it_predicted(name):
    check_answers(*load(name))


@pytest.mark.parametrize("name", sorted({*MODELS} - {*EXPORTED}))
def test_a_saved_model_is_saved_again(name, tmp_path):
    model, answers = load(name)
    model.save(tmp_path / "again")
    again, _ = load(name, tmp_path / "again")
    check_answers(again, answers)


def test_measured_operating_points_come_back():
    clf, _ = load("text_subspace_rsa")
    measured = json.loads((SAVED / "text_subspace_rsa" / "config.json").read_text())
    expected = {int(n): point for n, point in measured["measured_points"].items()}
    assert clf.measured_points_ == expected
    assert set(expected) == {1, 2, 4}


def test_a_backbone_is_found_by_the_name_in_the_folder(monkeypatch):
    monkeypatch.chdir(SAVED)
    answers = json.loads((SAVED / "revmux" / "answers.json").read_text())
    check_answers(MuxTextClassifier.load("revmux"), answers)


def test_a_saved_encoder_is_the_start_of_a_classifier():
    texts = ["rain and wind", "a goal", "snow", "a penalty"] * 4
    clf = MuxTextClassifier(
        n_mux=2, backbone=SAVED / "pretrainer", max_length=16, max_epochs=1, random_state=0
    )
    assert clf.fit(texts, [0, 1, 0, 1] * 4).predict_proba(texts).shape == (16, 2)


@pytest.mark.parametrize("name", sorted({*MODELS} - {*EXPORTED}))
def test_a_predictor_needs_no_estimator(name):
    answers = json.loads((SAVED / name / "answers.json").read_text())
    moved = {"backbone": SAVED / "bert"} if name == "revmux" else {}
    predictor = load_predictor(SAVED / name, device="cpu", **moved)
    for case in answers["cases"]:
        method = "transform" if "vectors" in case else "predict_proba"
        given = predictor.predict(answers["X"], method=method, **case["options"])
        wanted = case["vectors"] if "vectors" in case else case["proba"]
        for row, expected in zip(given, wanted, strict=True):
            np.testing.assert_allclose(row, np.reshape(expected, row.shape), atol=TOLERANCE)


def test_a_predictor_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FormatError):
        load_predictor(tmp_path)
