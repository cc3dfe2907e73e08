"""Vectors from classifiers: what the last layer of a network reads."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch.nn.functional import linear

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.architectures import CNN, MLP, MIMOConv, MIMOFormer, RevMUX, Trunk
from muxlearn.backbones import Scratch

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser", ""] * 3
LABELS = ["weather", "sport", "weather", "sport", "none"] * 3


class TinyTrunk(torch.nn.Sequential):
    """Reads its images at the layer before which they are unbound."""

    def __init__(self):
        stem, body = torch.nn.Conv2d(1, 8, 3), torch.nn.Conv2d(8, 6, 3)
        pool = [torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        super().__init__(stem, torch.nn.ReLU(), body, *pool, torch.nn.Linear(6, 10))


PLACES = {"bind_after": "0", "unbind_before": "6"}
POINTS = [{}, {"n_mux": 1}, {"n_mux": 2}, {"n_passes": 2}, {"groups": LABELS}]


@pytest.fixture(scope="module")
def clf(tiny_classifier):
    return tiny_classifier(n_mux=3).fit(TEXTS, LABELS)


@pytest.mark.parametrize("point", POINTS)
def test_each_row_gets_a_vector(clf, point):
    vectors = clf.transform(TEXTS, **point)
    assert vectors.shape == (len(TEXTS), 16)
    assert vectors.dtype == np.float32


def logits(clf, vectors):
    layer = clf.module_._last_layer
    return linear(torch.from_numpy(vectors), layer.weight, layer.bias).detach().numpy()


def test_the_last_layer_makes_the_answers_of_them(clf):
    decisions = logits(clf, clf.transform(TEXTS))
    log_proba = torch.tensor(decisions).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_proba, clf.predict_log_proba(TEXTS), atol=1e-5)


def test_slots_of_a_row_are_averaged(clf):
    vectors = clf.transform(TEXTS[:1], n_mux=1)
    module = clf.module_.for_inference().without_last_layer()
    table = clf.predictor_.reader.table(TEXTS[:1]).inputs(np.zeros((1, 3), int))
    inputs = {name: torch.from_numpy(values).flatten(0, 1) for name, values in table.items()}
    np.testing.assert_allclose(vectors[0], module(**inputs).mean(0).numpy(), atol=1e-5)


def test_patches_and_words_are_points(tiny_classifier):
    points = ((1, 1), (1, 2), "words")
    clf = tiny_classifier(n_mux=1, patch_size=2, operating_points=points).fit(TEXTS, LABELS)
    for n_mux in points:
        decisions = torch.tensor(logits(clf, clf.transform(TEXTS, n_mux=n_mux)))
        expected = clf.predict_log_proba(TEXTS, n_mux=n_mux)
        np.testing.assert_allclose(decisions.log_softmax(-1).numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(clf.transform(TEXTS), clf.transform(TEXTS, patch_size=2))


def make_mimoformer(bert):
    grid = MIMOFormer(grid=(1, 2))
    small = Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300)
    return MuxTextClassifier(2, architecture=grid, backbone=small, max_epochs=1, max_length=16)


def make_revmux(bert):
    network = RevMUX(mux_layer=0)
    return MuxTextClassifier(2, architecture=network, backbone=bert, max_epochs=1, max_length=16)


@pytest.mark.parametrize("make", [make_mimoformer, make_revmux])
def test_other_networks_have_vectors_too(make, bert):
    clf = make(bert).set_params(random_state=0).fit(TEXTS, LABELS)
    vectors = clf.transform(TEXTS)
    assert vectors.shape == (len(TEXTS), len(clf.get_feature_names_out()))
    log_proba = torch.tensor(logits(clf, vectors)).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_proba, clf.predict_log_proba(TEXTS), atol=1e-5)


def test_published_models_have_vectors_too(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"))
    vectors = clf.transform(TEXTS)
    log_proba = torch.tensor(logits(clf, vectors)).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_proba, clf.predict_log_proba(TEXTS), atol=1e-5)


DIGITS, NUMBERS = load_digits(return_X_y=True)
DIGITS, NUMBERS = DIGITS[:40], NUMBERS[:40]


def make_image_classifier(architecture, n_mux=2):
    return MuxImageClassifier(n_mux, architecture=architecture, max_epochs=1, random_state=0)


every_image_network = pytest.mark.parametrize(
    "architecture", [MIMOConv(width=1, initial_width=1), MLP(), CNN(), Trunk(TinyTrunk(), **PLACES)]
)


@every_image_network
@pytest.mark.parametrize("n_mux", [1, 2])
def test_image_networks_have_vectors_too(architecture, n_mux):
    clf = make_image_classifier(architecture).fit(DIGITS, NUMBERS)
    vectors = clf.transform(DIGITS, n_mux=n_mux)
    assert vectors.shape == (len(DIGITS), len(clf.get_feature_names_out()))
    assert vectors.dtype == np.float32
    log_proba = torch.tensor(logits(clf, vectors)).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_proba, clf.predict_log_proba(DIGITS, n_mux=n_mux), atol=1e-5)


def test_images_go_through_a_pipeline_to_another_model():
    pipeline = make_pipeline(make_image_classifier(MLP(), n_mux=1), LogisticRegression())
    pipeline.set_output(transform="pandas").fit(DIGITS, NUMBERS)
    assert pipeline[:-1].transform(DIGITS).columns[0] == "muximageclassifier0"
    assert len(pipeline.predict(DIGITS)) == len(DIGITS)


def test_the_model_itself_stays_as_it_is(clf):
    before = clf.predict_proba(TEXTS)
    clf.transform(TEXTS)
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), before)
    assert clf.module_.link == "softmax"


def test_it_stands_in_a_pipeline_before_another_model(clf):
    pipeline = make_pipeline(clone(clf), LogisticRegression()).fit(TEXTS, LABELS)
    assert len(pipeline.predict(TEXTS)) == len(TEXTS)
    names = pipeline[:-1].get_feature_names_out()
    assert names[0] == "muxtextclassifier0"


def test_frames_have_columns(clf):
    frame = clone(clf).set_output(transform="pandas").fit_transform(pd.Series(TEXTS), LABELS)
    assert frame.shape == (len(TEXTS), 16)
    assert frame.columns[0] == "muxtextclassifier0"


def test_it_must_be_fitted(tiny_classifier):
    with pytest.raises(NotFittedError):
        tiny_classifier().transform(TEXTS)
    with pytest.raises(NotFittedError):
        make_image_classifier("mlp").transform(DIGITS)


def test_groups_are_routed_to_the_vectors(tiny_classifier):
    groups = np.arange(len(TEXTS)) // 5
    with sklearn.config_context(enable_metadata_routing=True):
        first = tiny_classifier(n_mux=3).set_transform_request(groups=True)
        pipeline = make_pipeline(first, LogisticRegression()).fit(TEXTS, LABELS, groups=groups)
    alone = tiny_classifier(n_mux=3).fit(TEXTS, LABELS)
    vectors = alone.fit_transform(TEXTS, LABELS, groups=groups, sample_weight=None)
    np.testing.assert_array_equal(vectors, alone.transform(TEXTS, groups=groups))
    expected = LogisticRegression().fit(vectors, LABELS)
    np.testing.assert_allclose(pipeline[-1].coef_, expected.coef_, atol=1e-6)
