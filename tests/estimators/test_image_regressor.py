import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from muxlearn import MuxImageRegressor
from muxlearn.architectures import MIMOConv

COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}


class Exact(MuxImageRegressor):
    """Predicts in double precision.

    Products of a single image and of many round differently.
    """

    def _inference_dtype(self):
        return torch.float64


class Hasty(Exact):
    """Is trained too shortly to learn much, as a check that is no test of skill needs."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


@parametrize_with_checks(
    [Hasty(n, architecture="mlp", max_epochs=2, random_state=0) for n in (1, 2)],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([Exact(1, architecture="mlp", max_epochs=20, lr=1e-2, random_state=0)])
def test_scikit_learn_api_with_its_tests_of_skill(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    images = load_digits().images[:240]
    left, right = images[:, :, :4].mean((1, 2)), images[:, :, 4:].mean((1, 2))
    return images, np.column_stack([left, 100 * right])


@pytest.fixture(scope="module")
def trained(digits):
    images, ink = digits
    network = MIMOConv(width=1, initial_width=1)
    return MuxImageRegressor(2, architecture=network, max_epochs=15, random_state=0).fit(
        images[:200], ink[:200]
    )


@pytest.mark.parametrize("n_mux", [1, 2])
def test_several_numbers_of_an_image_are_learned(trained, digits, n_mux):
    images, ink = digits
    assert trained.predict(images[200:], n_mux=n_mux).shape == (40, 2)
    assert trained.score(images[200:], ink[200:], n_mux=n_mux) > 0.6


def test_a_folder_gives_a_regressor_back(trained, digits, tmp_path):
    images, _ = digits
    trained.save(tmp_path / "model")
    loaded = MuxImageRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(images), trained.predict(images))


@pytest.mark.slow
def test_blends_of_images_blend_their_numbers(digits):
    images, ink = digits
    reg = MuxImageRegressor(1, architecture="mlp", mixup=1.0, max_epochs=30, random_state=0)
    assert reg.fit(images, ink).score(images, ink) > 0.6


def test_a_data_set_holds_the_numbers(digits):
    images, ink = digits
    pairs = [
        (image.astype(np.float32), float(left))
        for image, (left, _) in zip(images, ink, strict=True)
    ]
    reg = MuxImageRegressor(1, architecture="mlp", max_epochs=1, random_state=0)
    of_pairs = reg.fit(_Pairs(pairs)).predict(images[:3])
    of_arrays = reg.fit(images.astype(np.float32), ink[:, 0]).predict(images[:3])
    np.testing.assert_allclose(of_pairs, of_arrays, rtol=1e-4)
    assert reg.score(_Pairs(pairs)) == pytest.approx(reg.score(images, ink[:, 0]), abs=1e-4)
    with pytest.raises(ValueError, match="one number for each image"):
        reg.fit(images)


class _Pairs(torch.utils.data.Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]
