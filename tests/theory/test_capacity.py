import math

import numpy as np
import pytest
import torch

from muxlearn.theory import (
    CAPACITY_KINDS,
    capacity,
    capacity_estimate,
    measure_retrieval_error,
    retrieval_cosine,
    retrieval_error,
)

every_kind = pytest.mark.parametrize("kind", CAPACITY_KINDS)
WIDTH, VOCAB_SIZE = 64, 200


def sampled_cosines(kind, n_mux, width, noise, n_draws, seed=0):
    """The cosine of a token to what is unbound for it, written out without the package."""
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal((2, n_draws, n_mux, width))
    if kind == "hrr":
        x, k = np.fft.rfft(x), np.fft.rfft(k) / math.sqrt(width)
    mixture = (k * x).sum(1)
    white = rng.standard_normal((n_draws, width)) * math.sqrt(n_mux * noise)
    mixture += np.fft.rfft(white) if kind == "hrr" else white
    unbound = k[:, 0].conj() * mixture
    if kind == "hrr":
        x, unbound = np.fft.irfft(x), np.fft.irfft(unbound)
    of_slot = x[:, 0]
    lengths = np.linalg.norm(of_slot, axis=1) * np.linalg.norm(unbound, axis=1)
    return (of_slot * unbound).sum(1) / lengths


# The cosine


@pytest.mark.parametrize("kind", ["hadamard", "hrr"])
@pytest.mark.parametrize(("n_mux", "noise"), [(1, 0.0), (3, 0.0), (6, 0.5)])
def test_the_cosine_has_its_mean_and_variance(kind, n_mux, noise):
    cosines = sampled_cosines(kind, n_mux, 4096, noise, n_draws=300)
    mean, variance = retrieval_cosine(n_mux, 4096, kind, noise=noise)
    assert cosines.mean() == pytest.approx(mean, abs=0.003)
    assert cosines.var() == pytest.approx(variance, rel=0.25)


def test_orthogonal_keys_have_the_variance_of_a_correlation():
    # Of a bivariate normal sample: (1 - rho²)² / d.
    rho, variance = retrieval_cosine(5, 100, "orthogonal", noise=0.3)
    assert rho**2 == pytest.approx(1 / (5 * 1.3))
    assert variance == pytest.approx((1 - rho**2) ** 2 / 100)


def test_keys_cost_as_much_as_slots():
    free = retrieval_cosine(9, WIDTH, "orthogonal")[0]
    assert retrieval_cosine(8, WIDTH, "hrr")[0] == pytest.approx(free)
    assert retrieval_cosine(7, WIDTH, "hadamard")[0] == pytest.approx(free)


def test_left_over_dimensions_lower_the_noise_of_subspaces():
    # Twelve slots of five dimensions leave four of 64 at zero.
    rho, _ = retrieval_cosine(12, 64, "subspace", noise=0.4)
    assert rho**2 == pytest.approx(1 / (1 + 0.4 * 60 / 64))


# The error


@every_kind
@pytest.mark.parametrize(("n_mux", "noise"), [(4, 0.5), (8, 0.2), (12, 0.0)])
def test_measured_errors_are_as_in_theory(kind, n_mux, noise):
    expected = retrieval_error(n_mux, 128, VOCAB_SIZE, kind, noise=noise)
    measured = measure_retrieval_error(
        n_mux, 128, VOCAB_SIZE, kind, noise=noise, n_mixtures=40, n_draws=20, random_state=0
    )
    assert measured == pytest.approx(expected, rel=0.15, abs=0.005)


@pytest.mark.parametrize(
    ("n_mux", "width", "noise", "kind"),
    [(2, 16, 0.5, "orthogonal"), (2, 16, 0.5, "subspace"), (5, 28, 0.1, "subspace")],
)
def test_few_dimensions_are_exact_where_all_is_normal(n_mux, width, noise, kind):
    n_mixtures, n_draws = 50, 60
    expected = retrieval_error(n_mux, width, 20, kind, noise=noise)
    measured = measure_retrieval_error(
        n_mux,
        width,
        20,
        kind,
        noise=noise,
        n_mixtures=n_mixtures,
        n_draws=n_draws,
        random_state=0,
    )
    deviation = math.sqrt(expected * (1 - expected) / (n_mixtures * n_draws))
    # Slots of a mixture share keys and noise, so that they count as one.
    assert abs(measured - expected) < 4 * deviation


def test_a_token_for_itself_is_retrieved():
    for kind in ("orthogonal", "subspace"):
        assert retrieval_error(1, WIDTH, VOCAB_SIZE, kind) == 0
    assert measure_retrieval_error(1, WIDTH, VOCAB_SIZE, "orthogonal", random_state=0) == 0


def test_subspaces_do_not_interfere():
    assert retrieval_error(16, WIDTH, VOCAB_SIZE, "subspace") == 0
    assert measure_retrieval_error(16, WIDTH, VOCAB_SIZE, "subspace", random_state=0) == 0


def test_two_tokens_are_told_apart_by_the_sign_of_a_normal_variable():
    # Given what is unbound, the cosine of the one other token is about normal with variance 1/d.
    n_mux, width = 200, 4000
    rho = 1 / math.sqrt(n_mux)
    deviation = math.sqrt((1 / width) + (1 - rho**2) ** 2 / width)
    expected = 0.5 * math.erfc(rho / deviation / math.sqrt(2))
    assert retrieval_error(n_mux, width, 2, "orthogonal") == pytest.approx(expected, rel=0.02)


def test_drowned_tokens_are_guessed():
    assert retrieval_error(64, WIDTH, 100, "orthogonal", noise=1e6) == pytest.approx(0.99, abs=2e-3)


@every_kind
def test_errors_grow_with_slots_words_and_noise_and_fall_with_the_width(kind):
    of_slots = [retrieval_error(n, WIDTH, 200, kind, noise=0.3) for n in (1, 2, 4, 8, 16)]
    of_words = [retrieval_error(4, WIDTH, v, kind, noise=0.3) for v in (2, 20, 200, 2000)]
    of_noise = [retrieval_error(4, WIDTH, 200, kind, noise=s) for s in (0.1, 0.5, 1.0, 3.0)]
    of_widths = [retrieval_error(4, d, 200, kind, noise=0.3) for d in (16, 32, 64, 128)]
    assert np.all(np.diff(of_slots) > 0)
    assert np.all(np.diff(of_words) > 0)
    assert np.all(np.diff(of_noise) > 0)
    assert np.all(np.diff(of_widths) < 0)


def test_the_kinds_are_in_order():
    errors = [
        retrieval_error(4, 128, 1000, kind, noise=0.2)
        for kind in ("subspace", "orthogonal", "hrr", "hadamard")
    ]
    assert np.all(np.diff(errors) > 0)


# Capacity


@every_kind
def test_capacity_is_the_last_that_will_do(kind):
    n_mux = capacity(256, 500, kind, max_error=0.05, noise=0.2)
    assert n_mux > 1
    assert retrieval_error(n_mux, 256, 500, kind, noise=0.2) <= 0.05
    assert retrieval_error(n_mux + 1, 256, 500, kind, noise=0.2) > 0.05


def test_capacity_ends_at_the_width_and_at_none():
    assert capacity(32, 2, "subspace") == 8
    assert capacity(16, 2, "orthogonal", max_error=0.49) == 16
    assert capacity(8, 10**6, "hadamard", noise=5.0) == 0


@every_kind
def test_capacity_tends_to_its_estimate(kind):
    shares = [
        capacity(d, 1000, kind, max_error=0.5, noise=0.3)
        / capacity_estimate(d, 1000, kind, noise=0.3)
        for d in (256, 4096)
    ]
    assert 0.8 < shares[1] < 1.6
    # A small error takes more than the estimate leaves room for.
    assert capacity(4096, 1000, kind, max_error=1e-4, noise=0.3) < capacity_estimate(
        4096, 1000, kind, noise=0.3
    )


def test_capacity_is_in_proportion_to_the_width():
    few, many = (capacity(d, 1000, "orthogonal", max_error=0.01) for d in (512, 4096))
    assert many / few == pytest.approx(8, rel=0.1)


def test_subspaces_hold_more_at_any_noise():
    for noise in (0.01, 0.1, 1.0, 10.0, 1000.0):
        of_subspaces = capacity_estimate(4096, 1000, "subspace", noise=noise)
        # The estimate of the others is exact in the width, this one for many dimensions a slot.
        assert of_subspaces > capacity_estimate(4096, 1000, "hrr", noise=noise)
    assert capacity_estimate(4096, 1000, "subspace") == math.inf


# Seeds and errors


def test_the_same_seed_measures_the_same_and_leaves_torchs_alone():
    state = torch.get_rng_state()
    first, second = (
        measure_retrieval_error(8, WIDTH, 50, n_mixtures=8, n_draws=1, random_state=5)
        for _ in range(2)
    )
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: retrieval_error(0, 64, 10), "`n_mux` must be"),
        (lambda: retrieval_error(65, 64, 10), "at most 64 for orthogonal of width 64, got 65"),
        (lambda: retrieval_error(17, 64, 10, "subspace"), "at most 16 for subspace"),
        (lambda: retrieval_error(2, 63, 10, "hrr"), "`width` must be even for hrr, got 63"),
        (lambda: retrieval_error(2, 64, 1), "`vocab_size` must be"),
        (lambda: retrieval_error(2, 64, 10, "hdr"), "did you mean 'hrr'"),
        (lambda: retrieval_cosine(2, 7), "`width` must be"),
        (lambda: retrieval_cosine(2, 64, noise=-0.1), "`noise` must be"),
        (lambda: capacity(64, 10, max_error=1.0), "`max_error` must be"),
        (lambda: capacity_estimate(64, 1), "`vocab_size` must be"),
        (lambda: measure_retrieval_error(2, 64, 10, n_draws=0), "`n_draws` must be"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
