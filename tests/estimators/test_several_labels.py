"""Classifiers of several labels, and of soft ones."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_score
from sklearn.utils.estimator_checks import (
    check_classifiers_multilabel_output_format_decision_function,
    check_classifiers_multilabel_output_format_predict,
    check_classifiers_multilabel_output_format_predict_proba,
    check_classifiers_multilabel_representation_invariance,
)
from torch.utils.data import TensorDataset

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.export import OnnxMuxClassifier, export_onnx
from muxlearn.inspection import InterferenceDisplay
from muxlearn.model_selection import CascadeClassifier

TEXTS = ["sun", "sun and rain", "snow", "sun and snow", "rain and snow", "fog", ""] * 4
SETS = [set(text.split()) & {"sun", "rain", "snow"} for text in TEXTS]
NAMES = ["rain", "snow", "sun"]
MATRIX = np.array([[name in labels for name in NAMES] for labels in SETS]).astype(int)


def tiny(n_mux=2, **params):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return MuxTextClassifier(
        n_mux,
        **{
            "patch_size": 1,
            "backbone": Scratch(**sizes, vocab_size=300),
            "max_epochs": 40,
            "lr": 1e-2,
            "dropout": 0.0,
            "warm_up": None,
            "random_state": 0,
            **params,
        },
    )


@pytest.fixture(scope="module")
def of_matrix():
    return tiny(operating_points=(1, 2, (1, 2), "words"), early_stopping=40).fit(TEXTS, MATRIX)


@pytest.fixture(scope="module")
def of_sets():
    return tiny().fit(TEXTS, SETS)


@pytest.mark.parametrize("point", [1, 2, (1, 2), "words"])
def test_labels_are_learned_at_every_point(of_matrix, point):
    assert of_matrix.score(TEXTS, MATRIX, n_mux=point) > 0.8
    proba = of_matrix.predict_proba(TEXTS, n_mux=point)
    assert proba.shape == MATRIX.shape
    np.testing.assert_array_equal(proba > 0.5, of_matrix.predict(TEXTS, n_mux=point))
    decision = of_matrix.decision_function(TEXTS, n_mux=point)
    np.testing.assert_array_equal(decision > 0, proba > 0.5)


def test_points_are_measured_by_the_accuracy_of_sets(of_matrix):
    assert of_matrix.predictor_.task.score_name == "accuracy of whole sets"
    assert len(of_matrix.measured_points_) == 4
    assert of_matrix.history_[-1]["valid_acc"] > 0.5


def test_a_network_starts_from_how_frequent_labels_are():
    bias = tiny(max_epochs=0).fit(TEXTS, MATRIX).module_._last_layer.bias
    frequencies = (MATRIX.sum(0) + 1) / (len(TEXTS) + 2)
    np.testing.assert_allclose(bias.detach().sigmoid(), frequencies, rtol=1e-5)


def test_several_passes_average_probabilities(of_matrix):
    several = of_matrix.predict_proba(TEXTS, n_passes=4)
    assert ((several > 0) & (several < 1)).all()
    assert of_matrix.predict_proba(TEXTS[:1], n_mux=1, n_passes=2).shape == (1, 3)


def test_sets_come_back_as_sets(of_sets):
    assert of_sets.classes_.tolist() == NAMES
    assert of_sets.predict(TEXTS[:7]) == SETS[:7]
    assert of_sets.score(TEXTS, SETS) == 1
    assert list(of_sets.predict_iter(TEXTS[:3])) == SETS[:3]


def test_a_sparse_matrix_comes_back_sparse():
    clf = tiny().fit(TEXTS, csr_matrix(MATRIX))
    predicted = clf.predict(TEXTS)
    assert issparse(predicted)
    assert clf.score(TEXTS, csr_matrix(MATRIX)) == (predicted.toarray() == MATRIX).all(1).mean()
    groups = np.arange(len(TEXTS)) % 3  # several windows, out of order
    assert clf.predict(TEXTS, groups=groups).shape == MATRIX.shape


def test_the_columns_of_a_frame_are_the_classes():
    clf = tiny(max_epochs=1).fit(TEXTS, pd.DataFrame(MATRIX, columns=NAMES))
    assert clf.classes_.tolist() == NAMES
    assert clf.predict(TEXTS).shape == MATRIX.shape


@pytest.mark.parametrize(
    "check",
    [
        check_classifiers_multilabel_representation_invariance,
        check_classifiers_multilabel_output_format_predict,
        check_classifiers_multilabel_output_format_predict_proba,
        check_classifiers_multilabel_output_format_decision_function,
    ],
)
def test_scikit_learn_api(check):
    check("MuxImageClassifier", MuxImageClassifier(2, architecture="mlp", random_state=0))


def test_weights_are_numbers_of_copies():
    counts = np.arange(len(TEXTS)) % 3
    copies = np.repeat(np.arange(len(TEXTS)), counts)
    weighted = tiny(max_epochs=2).fit(TEXTS, MATRIX, sample_weight=counts.astype(float))
    copied = tiny(max_epochs=2).fit([TEXTS[i] for i in copies], MATRIX[copies])
    np.testing.assert_allclose(
        weighted.predict_proba(TEXTS), copied.predict_proba(TEXTS), atol=1e-6
    )


def test_class_weight_favours_a_label():
    plain, heavy = (
        tiny(max_epochs=2, class_weight=weight).fit(TEXTS, SETS).predict_proba(TEXTS)[:, 0].mean()
        for weight in (None, {"rain": 20.0, "snow": 1.0, "sun": 1.0})
    )
    assert heavy > plain
    tiny(max_epochs=1, class_weight="balanced").fit(TEXTS, SETS)


@pytest.mark.parametrize("y", [MATRIX, SETS, csr_matrix(MATRIX)])
def test_a_folder_gives_a_classifier_back(tmp_path, y):
    clf = tiny(max_epochs=5).fit(TEXTS, y)
    clf.save(tmp_path / "model")
    loaded = MuxTextClassifier.load(tmp_path / "model")
    assert type(loaded.predict(TEXTS)) is type(clf.predict(TEXTS))
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))
    # Of fewer rows than slots, the slots' probabilities are averaged as before.
    np.testing.assert_array_equal(
        loaded.predict_proba(TEXTS, n_mux=1), clf.predict_proba(TEXTS, n_mux=1)
    )


@pytest.mark.slow
def test_an_exported_classifier_predicts_the_same(of_sets, tmp_path):
    export_onnx(of_sets, tmp_path / "model", n_mux=[2, 1])
    exported = OnnxMuxClassifier.load(tmp_path / "model", n_threads=1)
    assert exported.predict(TEXTS) == of_sets.predict(TEXTS)
    for n_mux in (1, 2):
        np.testing.assert_allclose(
            exported.predict_proba(TEXTS, n_mux=n_mux),
            of_sets.predict_proba(TEXTS, n_mux=n_mux),
            atol=1e-4,
        )


def test_a_data_set_is_predicted(of_sets, of_matrix, tmp_path):
    pd.DataFrame({"text": TEXTS}).to_parquet(tmp_path / "texts.parquet")
    pd.DataFrame({"text": TEXTS}, dtype="string")[:0].to_parquet(tmp_path / "none.parquet")
    found = pd.read_parquet(of_sets.predict_dataset(tmp_path / "texts.parquet", tmp_path / "a"))
    assert [set(row) for row in found["prediction"]] == of_sets.predict(TEXTS)
    found = pd.read_parquet(of_matrix.predict_dataset(tmp_path / "texts.parquet", tmp_path / "b"))
    np.testing.assert_array_equal(np.stack(found["prediction"]), of_matrix.predict(TEXTS))
    nothing = of_sets.predict_dataset(tmp_path / "none.parquet", tmp_path / "c")
    assert len(pd.read_parquet(nothing)) == 0
    with pytest.raises(ValueError, match="a prediction is a list here"):
        of_sets.predict_dataset(tmp_path / "texts.parquet", tmp_path / "d", form="csv")
    with pytest.raises(ValueError, match="`method` must be one of 'predict', 'predict_proba', got"):
        of_sets.predict_dataset(
            tmp_path / "texts.parquet", tmp_path / "d", method="decision_function"
        )


def test_a_window_without_a_label_has_the_type_of_the_others(of_sets, tmp_path):
    # Windows of 8,192 rows, of which the first has only rows without a label.
    bare = next(t for t, found in zip(TEXTS, of_sets.predict(TEXTS), strict=True) if not found)
    pd.DataFrame({"text": [bare] * 8192 + ["sun"] * 8}).to_parquet(tmp_path / "texts.parquet")
    for rows_per_part in (8192, 100_000):
        output = tmp_path / str(rows_per_part)
        of_sets.predict_dataset(
            tmp_path / "texts.parquet", output, rows_per_part=rows_per_part, n_mux=1
        )
        found = pd.read_parquet(output)["prediction"]
        assert found.str.len().tolist() == [0] * 8192 + [1] * 8


def test_what_takes_one_label_refuses_several(of_sets):
    with pytest.raises(ValueError, match=r"`y` holds several labels, .* give one label"):
        CascadeClassifier(tiny()).fit(TEXTS, SETS)
    with pytest.raises(TypeError, match="this MuxTextClassifier predicts labels"):
        InterferenceDisplay.from_estimator(of_sets, TEXTS)


def test_a_card_says_that_labels_are_several(of_sets, tmp_path):
    of_sets.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "any number of labels for each text" in card
    assert "gives any number of them to a row" in card


def test_a_continued_training_keeps_to_its_labels():
    clf = tiny(max_epochs=1, warm_start=True).fit(TEXTS, SETS)
    clf.fit(TEXTS, SETS)
    with pytest.raises(ValueError, match="goes on with the labels"):
        clf.fit(TEXTS, MATRIX)
    with pytest.raises(ValueError, match="goes on with the labels"):
        clf.fit(TEXTS, ["sun"] * len(TEXTS))


def test_scorers_and_searches_take_an_indicator():
    clf = tiny(max_epochs=3)
    scores = cross_val_score(clf, TEXTS, MATRIX, scoring="f1_micro", cv=2)
    assert np.isfinite(scores).all()
    search = GridSearchCV(clf, {"lr": [1e-3, 1e-2]}, scoring="f1_macro", cv=2, refit=False)
    assert np.isfinite(search.fit(TEXTS, MATRIX).cv_results_["mean_test_score"]).all()


def test_a_scoring_callback_sees_the_labels():
    from skorch.callbacks import EpochScoring

    scoring = EpochScoring("f1_micro", lower_is_better=False, name="valid_f1")
    clf = tiny(callbacks=[scoring], early_stopping=40).fit(TEXTS, MATRIX)
    assert clf.history_[-1]["valid_f1"] > 0.5


class OneLabel(ClassifierMixin, BaseEstimator):
    """A label of a fitted model, as the guide has it."""

    def __init__(self, model, label):
        self.model = model
        self.label = label

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        proba = self.model.predict_proba(X)[:, self.label]
        return np.column_stack([1 - proba, proba])


def test_each_label_gets_a_threshold_of_its_own(of_matrix):
    thresholds = [
        TunedThresholdClassifierCV(
            FrozenEstimator(OneLabel(of_matrix, j).fit(TEXTS, MATRIX[:, j])),
            scoring="f1",
            cv="prefit",
            refit=False,
        )
        .fit(TEXTS, MATRIX[:, j])
        .best_threshold_
        for j in range(3)
    ]
    predicted = of_matrix.predict_proba(TEXTS) >= thresholds
    assert (predicted == MATRIX).mean() > 0.9


# Soft labels


def test_a_model_learns_what_another_says():
    teacher = tiny().fit(TEXTS, ["sun" if "sun" in text else "none" for text in TEXTS])
    said = teacher.predict_proba(TEXTS)
    pupil = tiny().fit(TEXTS, pd.DataFrame(said, columns=teacher.classes_))
    assert pupil.classes_.tolist() == ["none", "sun"]
    np.testing.assert_allclose(pupil.predict_proba(TEXTS), said, atol=0.1)
    assert pupil.score(TEXTS, teacher.predict(TEXTS)) > 0.9


def test_soft_labels_are_scored_by_the_most_probable_class():
    shares = pd.DataFrame(np.where(MATRIX[:, :1] == 1, [0.9, 0.1], [0.2, 0.8]), columns=[7, 3])
    clf = tiny(n_mux=1).fit(TEXTS, shares)
    assert clf.classes_.tolist() == [3, 7]
    assert clf.score(TEXTS, shares) == clf.score(TEXTS, np.where(MATRIX[:, 0] == 1, 7, 3))
    assert (
        cross_val_score(tiny(max_epochs=1), TEXTS, shares, cv=2, error_score="raise") >= 0
    ).all()
    with pytest.raises(
        ValueError, match="`y` holds labels of type str, but the model predicts int"
    ):
        clf.score(TEXTS, ["a"] * len(TEXTS))


def test_soft_labels_teach_shares_that_no_label_has():
    shares = np.array([[0.3, 0.7] if "sun" in text else [0.8, 0.2] for text in TEXTS])
    clf = tiny(early_stopping=40).fit(TEXTS, shares)
    assert clf.classes_.tolist() == [0, 1]
    np.testing.assert_allclose(clf.predict_proba(TEXTS), shares, atol=0.15)
    assert clf.history_[-1]["valid_acc"] > 0.5


def test_a_dataset_of_images_has_several_labels_too():
    images, labels = torch.rand(20, 8, 8), torch.tensor([[i % 2, i // 2 % 2] for i in range(20)])
    clf = MuxImageClassifier(2, max_epochs=1).fit(TensorDataset(images, labels))
    assert clf.predict(images.numpy()).shape == (20, 2)


def test_images_may_have_several_labels():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (80, 3))
    images = np.zeros((80, 8, 8))
    images[:, :, 1::3] = 5 * labels[:, None, :].repeat(8, 1)[:, :, :3]
    images += rng.normal(0, 0.1, images.shape)
    clf = MuxImageClassifier(
        2, architecture="mlp", mixup=0.5, max_epochs=60, lr=1e-2, random_state=0
    )
    assert clf.fit(images, labels).score(images, labels) > 0.7
