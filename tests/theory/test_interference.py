import itertools

import numpy as np
import pytest

from muxlearn.theory import (
    Interference,
    draw_flat_vectors,
    flat_score_interference,
    score_interference,
    simulate_scores,
    simulate_values,
    value_interference,
)

GRIDS = [(2, 2), (1, 4), (4, 1), (3, 2), (4, 4)]
every_grid = pytest.mark.parametrize("grid", GRIDS)


def random_vectors(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def all_scores(queries, keys, slot):
    """The superposed score for every choice of the signs."""
    (m, n), head_dim = slot, queries.shape[1]
    n_keys = len(queries) + len(keys) - 1
    scores = []
    for signs in itertools.product([-1, 1], repeat=n_keys * head_dim):
        signs = np.reshape(signs, (n_keys, head_dim))
        column, row = signs[: len(queries)], np.empty_like(keys)
        row[np.arange(len(keys)) != n] = signs[len(queries) :]
        row[n] = column[m]
        scores.append((column * queries).sum(0) @ (row * keys).sum(0))
    return np.array(scores)


# Scores


@pytest.mark.parametrize("slot", [(0, 0), (1, 0), (1, 2)])
def test_moments_of_a_score_are_exact(slot):
    queries, keys = random_vectors(2, 3), random_vectors(3, 3, seed=1)
    scores = all_scores(queries, keys, slot)
    expected = score_interference(queries, keys, slot)
    assert scores.mean() == pytest.approx(expected.signal)
    assert scores.var() == pytest.approx(expected.variance)


@pytest.mark.parametrize("grid", [(2, 2), (1, 3), (2, 1)])
def test_the_worst_signs_reach_the_largest_term(grid):
    queries, keys = abs(random_vectors(grid[0], 1)), abs(random_vectors(grid[1], 1, seed=1))
    expected = score_interference(queries, keys)
    off = all_scores(queries, keys, (0, 0)) - expected.signal
    assert abs(off).max() == pytest.approx(expected.largest)
    assert np.ptp(off) ** 2 <= expected.ranges * (1 + 1e-12)


@every_grid
@pytest.mark.parametrize("slot_at_end", [False, True])
def test_simulated_scores_have_the_moments(grid, slot_at_end):
    queries, keys = random_vectors(grid[0], 48), random_vectors(grid[1], 48, seed=1)
    slot = (grid[0] - 1, grid[1] - 1) if slot_at_end else (0, 0)
    scores = simulate_scores(queries, keys, slot, n_draws=8000, random_state=0)
    expected = score_interference(queries, keys, slot)
    deviation = np.sqrt(expected.variance)
    assert abs(scores.mean() - expected.signal) < 4 * deviation / np.sqrt(8000)
    assert scores.std() == pytest.approx(deviation, rel=0.05)


@every_grid
@pytest.mark.parametrize("head_dim", [8, 64])
def test_simulated_scores_stay_inside_the_bound(grid, head_dim):
    queries, keys = draw_flat_vectors(head_dim, grid, 0.5, random_state=0)
    expected = score_interference(queries, keys)
    scores = simulate_scores(queries, keys, n_draws=8000, random_state=1)
    thresholds = np.sqrt(expected.variance) * np.array([0.5, 1, 1.5, 2, 2.5, 3, 4])
    bound = expected.tail(thresholds)
    shares = (abs(scores - expected.signal) >= thresholds[:, None]).mean(1)
    assert np.all(shares <= bound)
    assert bound[-1] < 0.5  # it does say something


@every_grid
def test_flat_vectors_have_the_closed_form(grid):
    queries, keys = draw_flat_vectors(40, grid, 0.3, random_state=0)
    measured, closed = score_interference(queries, keys), flat_score_interference(40, grid, 0.3)
    for name in ("signal", "variance", "largest", "ranges"):
        assert getattr(measured, name) == pytest.approx(getattr(closed, name))


def test_flat_vectors_are_unit_vectors_at_the_cosine():
    queries, keys = draw_flat_vectors(50, (2, 3), 0.6, random_state=0)
    assert (queries.shape, keys.shape) == ((2, 50), (3, 50))
    np.testing.assert_allclose(np.abs(queries) ** 2, 1 / 50)
    assert queries[0] @ keys[0] == pytest.approx(0.6, abs=1 / 50)


def test_a_single_sequence_has_no_interference():
    queries, keys = random_vectors(1, 7), random_vectors(1, 7, seed=1)
    expected = score_interference(queries, keys)
    assert expected.variance == expected.largest == 0
    assert expected.tail(1e-9) == 0
    scores = simulate_scores(queries, keys, n_draws=5, random_state=0)
    np.testing.assert_allclose(scores, expected.signal)


def test_interference_grows_with_the_grid_and_falls_with_the_dimension():
    of_grids = [flat_score_interference(64, grid).variance for grid in [(1, 1), (1, 2), (2, 2)]]
    of_dims = [flat_score_interference(dim, (2, 2)).tail(0.5) for dim in (16, 64, 256, 1024)]
    assert np.all(np.diff(of_grids) > 0)
    assert np.all(np.diff(of_dims) < 0)


# Values


def all_values(values, read_out, slot):
    results = []
    for signs in itertools.product([-1, 1], repeat=values.size):
        signs = np.reshape(signs, values.shape)
        results.append(signs[slot] * (signs * values).sum((0, 1)) @ read_out)
    return np.array(results)


@pytest.mark.parametrize("slot", [(0, 0), (1, 1)])
def test_moments_of_a_value_are_exact(slot):
    values, read_out = random_vectors(2, 2, 3), random_vectors(3, seed=1)
    results = all_values(values, read_out, slot)
    expected = value_interference(values, read_out, slot)
    assert results.mean() == pytest.approx(expected.signal)
    assert results.var() == pytest.approx(expected.variance)


@every_grid
def test_simulated_values_stay_inside_the_bound(grid):
    values, read_out = random_vectors(*grid, 16), random_vectors(16, seed=1)
    expected = value_interference(values, read_out)
    deviation = np.sqrt(expected.variance)
    results = simulate_values(values, read_out, n_draws=8000, random_state=0)
    assert results.std() == pytest.approx(deviation, rel=0.05)
    thresholds = deviation * np.array([1, 2, 3])
    shares = (abs(results - expected.signal) >= thresholds[:, None]).mean(1)
    assert np.all(shares <= expected.tail(thresholds))


def test_hoeffding_of_values_is_that_of_signs():
    expected = value_interference(random_vectors(2, 3, 9), random_vectors(9, seed=1))
    assert expected.ranges == pytest.approx(4 * expected.variance)
    far = 3 * np.sqrt(expected.variance)
    assert expected.tail(far) <= 2 * np.exp(-4.5) * (1 + 1e-12)


def test_a_single_value_is_read_exactly():
    values, read_out = random_vectors(1, 1, 5), random_vectors(5, seed=1)
    results = simulate_values(values, read_out, n_draws=4, random_state=0)
    np.testing.assert_allclose(results, value_interference(values, read_out).signal)


# The tail


def test_each_of_the_bounds_is_the_least_somewhere():
    # Chebyshev near, Bernstein for small variance, Hoeffding for terms that are spread out.
    assert Interference(0, 1.0, 100.0, 4e6).tail(2.0) == pytest.approx(1 / 4)
    assert Interference(0, 1.0, 0.1, 4e6).tail(5.0) == pytest.approx(
        2 * np.exp(-25 / (2 + 2 * 0.1 * 5 / 3))
    )
    assert Interference(0, 1.0, 1e6, 4.0).tail(5.0) == pytest.approx(2 * np.exp(-25 / 2))


def test_a_tail_is_a_probability_that_falls():
    tail = flat_score_interference(32, (4, 4)).tail(np.linspace(0.01, 9, 50))
    assert tail[0] == 1
    assert np.all(np.diff(tail) <= 0)
    assert tail.shape == (50,)


# Errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: flat_score_interference(8, (2, 2)).tail([1, 0]), ValueError, "above 0, got 0.0"),
        (lambda: flat_score_interference(8, (2, 0)), ValueError, r"`grid\[1\]` must be"),
        (lambda: flat_score_interference(8, 4), TypeError, "a pair of whole numbers"),
        (lambda: flat_score_interference(8, (2, 2), 1.5), ValueError, "`cosine` must be"),
        (lambda: score_interference(np.ones((2, 3)), np.ones((2, 4))), ValueError, "head_dim"),
        (
            lambda: score_interference(np.ones((2, 3)), np.ones((2, 3)), (2, 0)),
            ValueError,
            r"grid of 2 x 2, got \(2, 0\)",
        ),
        (lambda: value_interference(np.ones((2, 2, 3)), np.ones(4)), ValueError, r"\(head_dim,\)"),
        (
            lambda: simulate_scores(np.ones((2, 3)), np.ones((2, 3)), n_draws=0),
            ValueError,
            "`n_draws` must be",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
