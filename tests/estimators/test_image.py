import copy
import pickle
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import get_model

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.architectures import MIMOConv, Trunk
from muxlearn.persistence import FormatError
from tests.persistence.folders import edit_config

X, Y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 8, 8)
TRAIN, TEST = slice(0, 600), slice(600, 800)

small = partial(
    MuxImageClassifier,
    4,
    architecture=MIMOConv(width=1, initial_width=1),
    batch_size=32,
    max_epochs=4,
    random_state=0,
)


@pytest.fixture(scope="module")
def fitted():
    clf = small(operating_points=(1, 4), max_epochs=8)
    return clf.fit(IMAGES[TRAIN], Y[TRAIN])


# Prediction


def test_digits_are_learned_at_every_operating_point(fitted):
    scores = {k: fitted.score(IMAGES[TEST], Y[TEST], n_mux=k) for k in (1, 2, 4)}
    assert scores[1] > 0.85
    assert scores[2] > 0.5
    assert scores[4] > 0.5


def test_digits_are_learned_from_patches_and_kept(tmp_path):
    patches = MIMOConv(width=1, initial_width=1, patch_size=2)
    clf = small().set_params(n_mux=1, architecture=patches).fit(IMAGES[TRAIN], Y[TRAIN])
    predicted = clf.predict(IMAGES[TEST])
    assert accuracy_score(Y[TEST], predicted) > 0.8
    clf.save(tmp_path / "model")
    kept = MuxImageClassifier.load(tmp_path / "model")
    assert kept.architecture.patch_size == 2
    assert_array_equal(kept.predict(IMAGES[TEST]), predicted)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("n_mux", [None, 1, 3])
def test_every_row_gets_one_prediction_in_order(fitted, n_rows, n_mux):
    proba = fitted.predict_proba(IMAGES[:n_rows], n_mux=n_mux)
    assert proba.shape == (n_rows, 10)
    assert_allclose(proba.sum(1), 1, atol=1e-6)
    assert_array_equal(fitted.classes_[proba.argmax(1)], fitted.predict(IMAGES[:n_rows], n_mux))


def test_alone_a_prediction_has_no_companions(fitted):
    together = fitted.predict_proba(IMAGES[:20], n_mux=1)
    shuffled = fitted.predict_proba(IMAGES[:20][::-1], n_mux=1)[::-1]
    assert_allclose(together, shuffled, atol=1e-5)


def test_groups_never_share_a_mixture(fitted):
    groups = np.repeat([0, 1], 10)
    first = fitted.predict_proba(IMAGES[:20], groups=groups)
    other = IMAGES[:20].copy()
    other[10:] = IMAGES[100:110]
    assert_array_equal(fitted.predict_proba(other, groups=groups)[:10], first[:10])
    assert not np.array_equal(fitted.predict_proba(other)[:10], first[:10])


def test_several_passes_are_averaged_and_better(fitted):
    once = fitted.score(IMAGES[TEST], Y[TEST])
    assert fitted.score(IMAGES[TEST], Y[TEST], n_passes=4) > once


def test_a_stream_gives_the_same_predictions(fitted):
    rows = IMAGES[:30]
    assert_array_equal(list(fitted.predict_iter(iter(rows))), fitted.predict(rows))
    proba = np.stack(list(fitted.predict_iter(iter(rows), method="predict_proba", n_mux=2)))
    assert_allclose(proba, fitted.predict_proba(rows, n_mux=2), atol=1e-6)


def test_a_stream_names_the_row_that_is_bad(fitted):
    rows = [*IMAGES[:3], np.zeros((8, 7))]
    with pytest.raises(ValueError, match=r"shape \(8, 7\).* of shape \(8, 8\)"):
        list(fitted.predict_iter(iter(rows)))


def test_score_and_decision_agree_with_predictions(fitted):
    weights = np.arange(50)
    predicted = fitted.predict(IMAGES[:50])
    expected = accuracy_score(Y[:50], predicted, sample_weight=weights)
    assert fitted.score(IMAGES[:50], Y[:50], sample_weight=weights) == expected
    decision = fitted.decision_function(IMAGES[:50])
    assert_allclose(np.exp(decision), fitted.predict_proba(IMAGES[:50]))


@pytest.mark.parametrize("n_mux", [0, 5])
def test_n_mux_is_at_most_the_capacity(fitted, n_mux):
    with pytest.raises(ValueError, match=r"from 1 to 4|of at least 1 and of at most 4"):
        fitted.predict(IMAGES[:4], n_mux=n_mux)


def test_nothing_is_predicted_before_fit():
    with pytest.raises(NotFittedError):
        small().predict(IMAGES)


def test_other_forms_of_the_same_images_predict_the_same(fitted):
    rows = IMAGES[:8].astype(np.uint8)
    expected = fitted.predict_proba(rows)
    for form in (
        rows[..., None],
        rows[:, None],
        torch.from_numpy(rows),
        [Image.fromarray(image) for image in rows],
        TensorDataset(torch.from_numpy(rows), torch.zeros(8)),
    ):
        assert_array_equal(fitted.predict_proba(form), expected)


def test_flat_images_may_come_as_any_rows():
    clf = small(max_epochs=1).fit(X[:40], Y[:40])
    expected = clf.predict_proba(X[:9])
    for rows in (X[:9].tolist(), list(X[:9]), torch.from_numpy(X[:9])):
        assert_array_equal(clf.predict_proba(rows), expected)
    dataset = TensorDataset(torch.from_numpy(X[:9]), torch.zeros(9))
    assert_array_equal(clf.predict_proba(dataset), expected)
    assert_array_equal(list(clf.predict_iter(X[:9])), clf.predict(X[:9]))
    with pytest.raises(ValueError, match=r"shape \(63,\), but .* of shape \(64,\)"):
        clf.predict(X[:9, 1:].tolist())


def test_the_statistics_are_public(fitted):
    assert fitted.image_shape_ == (1, 8, 8)
    assert_allclose(fitted.mean_, [IMAGES[TRAIN].mean()])
    assert_allclose(fitted.std_, [IMAGES[TRAIN].std()])
    assert not hasattr(fitted, "n_features_in_")


# Architectures


class Small(nn.Module):
    """A classifier that this library has never heard of."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Conv2d(8, 16, 3, stride=2)
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(self.second(self.first(x)).relu().mean((2, 3)))


@pytest.mark.parametrize(
    ("params", "least"),
    [
        ({"architecture": "mlp"}, 0.7),
        pytest.param({"architecture": "cnn", "max_epochs": 8}, 0.3, marks=pytest.mark.slow),
        ({"multiplexer": "hrr"}, 0.5),
        pytest.param({"multiplexer": "mbat"}, 0.5, marks=pytest.mark.slow),
        pytest.param(
            {
                "architecture": Trunk(Small(), bind_after="first", unbind_before="last"),
                "lr": 2e-2,
                "max_epochs": 12,
            },
            0.4,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["mlp", "cnn", "hrr", "mbat", "module"],
)
def test_every_architecture_learns(params, least):
    clf = small(**params).set_params(n_mux=2).fit(IMAGES[TRAIN], Y[TRAIN])
    assert clf.score(IMAGES[TEST], Y[TEST]) > least


def test_a_network_of_torchvision_is_a_trunk(tmp_path):
    name = "shufflenet_v2_x0_5"
    weights = get_model(name, num_classes=10).state_dict()
    clf = small(
        architecture=Trunk(name, weights=weights), image_size=32, max_epochs=1, batch_size=4
    )
    clf.fit(IMAGES[:8], Y[:8])
    started = clf.module_.get_parameter("trunk.stage2.0.branch1.0.weight").detach()
    assert_allclose(started, weights["stage2.0.branch1.0.weight"], atol=0.01)
    clf.save(tmp_path)
    loaded = MuxImageClassifier.load(tmp_path)
    assert loaded.architecture.weights is None
    assert_array_equal(loaded.predict_proba(IMAGES[:5]), clf.predict_proba(IMAGES[:5]))


def test_an_odd_stem_has_no_holographic_binding():
    trunk = nn.Sequential(
        nn.Conv2d(1, 7, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 10)
    )
    clf = small(architecture=Trunk(trunk, bind_after="0", unbind_before="3"), multiplexer="hrr")
    with pytest.raises(ValueError, match=r"multiplexer='hrr'.* even number of channels, not 7"):
        clf.fit(IMAGES[:8], Y[:8])
    assert not hasattr(clf, "classes_")


def test_images_too_small_for_a_trunk_are_refused():
    clf = small(architecture="alexnet", max_epochs=0)
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) .* do not fit `architecture`.*image_size"):
        clf.fit(IMAGES[:8], Y[:8])


def test_one_slot_is_the_plain_network():
    clf = small(max_epochs=0).set_params(n_mux=1).fit(IMAGES[:8], Y[:8])
    assert clf.module_.unbinding is None
    assert sum(p.numel() for p in clf.module_.binding.parameters()) == 0


def test_a_grid_is_searched_over_n_mux():
    search = GridSearchCV(small(max_epochs=1), {"n_mux": [1, 2]}, cv=2)
    search.fit(IMAGES[:60], Y[:60])
    assert search.best_params_["n_mux"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_verbose_shows_skorchs_table(capsys):
    small(max_epochs=1, verbose=2, early_stopping=True).fit(IMAGES[:60], Y[:60])
    assert "valid_acc" in capsys.readouterr().out


# Keeping a model


@pytest.mark.parametrize(
    "duplicate",
    [lambda clf: pickle.loads(pickle.dumps(clf)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_a_copy_predicts_the_same(fitted, duplicate):
    assert_array_equal(
        duplicate(fitted).predict_proba(IMAGES[:9]), fitted.predict_proba(IMAGES[:9])
    )


def test_a_clone_is_not_fitted_and_has_the_parameters(fitted):
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not hasattr(twin, "net_")


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_a_saved_model_predicts_the_same(fitted, tmp_path, n_mux):
    fitted.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "model.safetensors"}
    loaded = MuxImageClassifier.load(tmp_path)
    assert_array_equal(
        loaded.predict_proba(IMAGES[:9], n_mux=n_mux), fitted.predict_proba(IMAGES[:9], n_mux=n_mux)
    )
    assert loaded.get_params() == fitted.get_params()
    assert loaded.history_[:, "train_loss"] == fitted.history_[:, "train_loss"]


def test_a_saved_model_knows_its_columns(tmp_path):
    frame = pd.DataFrame(X[:40], columns=[f"pixel_{i}" for i in range(64)])
    clf = small(max_epochs=1).fit(frame, Y[:40])
    clf.save(tmp_path)
    loaded = MuxImageClassifier.load(tmp_path)
    assert loaded.n_features_in_ == 64
    assert_array_equal(loaded.feature_names_in_, frame.columns)
    clf.set_params(warm_start=True)
    with pytest.raises(ValueError, match="feature names should match"):
        clf.fit(frame[frame.columns[::-1]], Y[:40])
    assert_array_equal(loaded.predict_proba(frame), clf.predict_proba(frame))
    assert_array_equal(list(loaded.predict_iter(frame)), clf.predict(frame))


def test_a_damaged_folder_is_refused(fitted, tmp_path):
    fitted.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(FormatError, match="wrong checksum"):
        MuxImageClassifier.load(tmp_path)


def test_a_folder_of_another_estimator_is_refused(fitted, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(FormatError, match=re.escape("load it with MuxImageClassifier.load")):
        MuxTextClassifier.load(tmp_path)


def test_a_module_cannot_be_saved_as_data(tmp_path):
    clf = small(architecture=Trunk(Small(), bind_after="first", unbind_before="last"), max_epochs=0)
    clf.fit(IMAGES[:8], Y[:8])
    with pytest.raises(TypeError, match=r"`architecture` is an object, .* use joblib\.dump"):
        clf.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    twin = pickle.loads(pickle.dumps(clf))
    assert_array_equal(twin.predict_proba(IMAGES[:5]), clf.predict_proba(IMAGES[:5]))


def test_a_transform_is_not_saved(tmp_path):
    clf = small(augment=lambda image: image.flip(-1), max_epochs=1).fit(IMAGES[:40], Y[:40])
    clf.save(tmp_path)
    assert MuxImageClassifier.load(tmp_path).augment == "none"


def test_loading_checks_how_images_are_varied(tmp_path):
    small(max_epochs=0).fit(IMAGES[:8], Y[:8]).save(tmp_path)
    edit_config(tmp_path, lambda config: config["params"].update(augment="flip"))
    with pytest.raises(FormatError, match="`augment` must be one of 'none', 'crop', 'crop-flip'"):
        MuxImageClassifier.load(tmp_path)


# Other precisions


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.2)])
def test_other_precisions_predict_nearly_the_same(fitted, dtype, tolerance):
    twin = copy.deepcopy(fitted).set_params(dtype=dtype)
    proba = twin.predict_proba(IMAGES[:20], n_mux=1)
    difference = np.abs(proba - fitted.predict_proba(IMAGES[:20], n_mux=1)).max()
    assert 0 < difference < tolerance
