import numpy as np
import pytest

from muxlearn.theory import (
    draw_flat_vectors,
    kernel_interference,
    kernel_tail,
    relu_feature_moments,
    simulate_kernel,
)

CASES = [(64, (2, 2), 64, 0.5), (64, (1, 3), 64, 1.0), (64, (4, 1), 32, 0.0)]


@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.4, 1.0])
def test_moments_of_the_features_are_those_of_normal_variables(cosine):
    # By Gauss-Hermite quadrature, cut at the kinks: the mean over a fine grid of angles.
    angle = np.arccos(cosine)
    direction = (np.arange(200_000) + 0.5) / 200_000 * 2 * np.pi
    product = np.maximum(np.cos(direction), 0) * np.maximum(np.cos(direction - angle), 0)
    # A normal vector of the plane: its squared length has mean 2, the square of that mean 8.
    mean, variance = relu_feature_moments(cosine, 1)
    assert mean == pytest.approx(2 * product.mean(), abs=1e-8)
    assert variance == pytest.approx(8 * (product**2).mean() - mean**2, abs=1e-8)


def test_moments_scale_with_norms_and_features():
    mean, variance = relu_feature_moments(0.3, 1)
    scaled = relu_feature_moments(0.3, 50, query_norm=2.0, key_norm=3.0)
    assert scaled == pytest.approx((6 * mean, 36 * variance / 50))


def test_a_features_variance_falls_with_the_angle():
    # The bound of `kernel_tail` rests on it.
    variances = [relu_feature_moments(cosine, 1)[1] for cosine in np.linspace(-1, 1, 101)]
    assert np.all(np.diff(variances) > 0)


@pytest.mark.parametrize(("head_dim", "grid", "n_features", "cosine"), CASES)
def test_a_simulated_kernel_has_the_moments(head_dim, grid, n_features, cosine):
    queries, keys = draw_flat_vectors(head_dim, grid, cosine, random_state=0)
    kernels = simulate_kernel(queries, keys, n_features=n_features, n_draws=1500, random_state=1)
    mean, variance = kernel_interference(head_dim, grid, n_features, cosine)
    assert kernels.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 1500) + 1 / head_dim)
    assert kernels.var() == pytest.approx(variance, rel=0.15)


def test_a_single_sequence_has_the_noise_of_the_features_alone():
    assert kernel_interference(16, (1, 1), 100, 0.4) == pytest.approx(
        relu_feature_moments(0.4, 100)
    )


def test_many_features_leave_the_share_of_the_keys():
    # A derivative by differences, of the kernel by the product, at cosine 0 and one row.
    _, variance = kernel_interference(64, (1, 2), 10**12, 0.0)
    step = 1e-5
    length = np.sqrt(2)
    by_product = (
        relu_feature_moments(step / length, 1, 1, length)[0]
        - relu_feature_moments(-step / length, 1, 1, length)[0]
    ) / (2 * step)
    by_length = (
        relu_feature_moments(0, 1, 1, np.sqrt(2 + step))[0]
        - relu_feature_moments(0, 1, 1, np.sqrt(2 - step))[0]
    ) / (2 * step)
    assert variance == pytest.approx((by_product**2 + 4 * by_length**2) / 64, rel=1e-5)


def test_interference_falls_with_dimensions_and_with_features():
    of_dims = [kernel_interference(dim, (2, 2), 256)[1] for dim in (16, 64, 256)]
    of_features = [kernel_interference(64, (2, 2), n)[1] for n in (16, 64, 256)]
    of_grids = [kernel_interference(64, grid, 256)[1] for grid in [(1, 1), (1, 2), (2, 2)]]
    assert np.all(np.diff(of_dims) < 0)
    assert np.all(np.diff(of_features) < 0)
    assert np.all(np.diff(of_grids) > 0)


@pytest.mark.parametrize(("head_dim", "grid", "n_features", "cosine"), CASES)
def test_a_simulated_kernel_stays_inside_the_bound(head_dim, grid, n_features, cosine):
    queries, keys = draw_flat_vectors(head_dim, grid, cosine, random_state=0)
    kernels = simulate_kernel(queries, keys, n_features=n_features, n_draws=1500, random_state=1)
    mean, variance = kernel_interference(head_dim, grid, n_features, cosine)
    thresholds = np.sqrt(variance) * np.linspace(0.5, 15, 30)
    bound = kernel_tail(thresholds, head_dim, grid, n_features, cosine)
    shares = (abs(kernels - mean) >= thresholds[:, None]).mean(1)
    assert np.all(shares <= bound)
    assert bound[-1] < 0.2  # it does say something


def test_the_bound_of_a_kernel_falls():
    thresholds = np.linspace(0.05, 2, 20)
    bound = kernel_tail(thresholds, 256, (2, 2), 1024)
    assert bound.shape == (20,)
    assert np.all(np.diff(bound) <= 0)
    assert np.all(kernel_tail(thresholds, 1024, (2, 2), 1024) <= bound)
    assert np.all(kernel_tail(thresholds, 256, (2, 2), 4096) <= bound)
    assert np.all(kernel_tail(thresholds, 256, (2, 3), 1024) >= bound)


def test_without_superposition_the_bound_is_chebyshevs():
    _, variance = relu_feature_moments(1.0, 500)
    bound = kernel_tail(0.5, 10**9, (1, 1), 500, 1.0)
    # All but the smallest of the table's allowances is left to the features.
    assert variance / 0.25 < bound < 1.2 * variance / 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relu_feature_moments(1.1, 8), "`cosine` must be"),
        (lambda: relu_feature_moments(0.5, 0), "`n_features` must be"),
        (lambda: relu_feature_moments(0.5, 8, query_norm=-1), "`query_norm` must be"),
        (lambda: kernel_interference(0, (2, 2), 8), "`head_dim` must be"),
        (lambda: kernel_tail(-1, 8, (2, 2), 8), "`threshold` must be above 0"),
        (lambda: kernel_tail(1, 8, (2, 2), 0), "`n_features` must be"),
        (
            lambda: simulate_kernel(np.ones((1, 2)), np.ones((1, 2)), n_features=0),
            "`n_features` must be",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
