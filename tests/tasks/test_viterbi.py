from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from muxlearn.tasks import _viterbi
from muxlearn.tasks._viterbi import StepScores, transition_scores, viterbi_many

# Quarters add up exactly, so that equal scores are equal.
some_scores = st.one_of(st.just(-np.inf), st.integers(-40, 20).map(lambda n: n / 4))


def viterbi(log_proba, *steps):
    """Decode one sentence."""
    return viterbi_many(log_proba, [len(log_proba)], *steps)


@st.composite
def problems(draw, max_sentences):
    """Scores of tags and of steps for ragged sentences; minus infinity is among them."""
    n_tags = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=max_sentences))
    shapes = [(sum(lengths), n_tags), (n_tags, n_tags), (n_tags,), (n_tags,)]
    log_proba, *steps = (draw(arrays(np.float64, s, elements=some_scores)) for s in shapes)
    return log_proba, np.array(lengths, dtype=np.int64), StepScores(*steps)


def parts_of(path, log_proba, steps):
    """All scores that a path adds up."""
    return [
        *(steps.start[path[:1]]),
        *(log_proba[np.arange(len(path)), path]),
        *(steps.transitions[path[:-1], path[1:]]),
        *(steps.end[path[-1:]]),
    ]


def value_of(path, log_proba, steps):
    """Fewer bans first, then the higher score."""
    parts = np.array(parts_of(np.array(path, dtype=int), log_proba, steps))
    return -np.isneginf(parts).sum(), parts[np.isfinite(parts)].sum()


def random_problem(n_sentences, n_tags, low, high, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(low, high, n_sentences)
    shapes = [(lengths.sum(), n_tags), (n_tags, n_tags), (n_tags,), (n_tags,)]
    log_proba, *steps = (rng.normal(size=shape) for shape in shapes)
    return log_proba, lengths, StepScores(*steps)


@given(problems(max_sentences=1))
def test_no_path_is_better(problem):
    log_proba, _, steps = problem
    paths = product(range(log_proba.shape[1]), repeat=len(log_proba))
    best = max(value_of(path, log_proba, steps) for path in paths)
    assert value_of(viterbi(log_proba, *steps), log_proba, steps) == best


@given(problems(max_sentences=6), st.integers(1, 4))
def test_sentences_are_decoded_together_as_each_is_alone(problem, chunk):
    log_proba, lengths, steps = problem
    parts = np.split(log_proba, np.cumsum(lengths))[:-1]
    alone = [viterbi(part, *steps) for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_viterbi, "_CHUNK", chunk)
        together = viterbi_many(log_proba, lengths, *steps)
    for part, one, other in zip(parts, alone, np.split(together, np.cumsum(lengths)), strict=False):
        assert value_of(one, part, steps) == value_of(other, part, steps)


def test_without_steps_each_token_gets_its_best_tag():
    log_proba, lengths, _ = random_problem(300, 5, 0, 20)
    tags = viterbi_many(log_proba, lengths, *StepScores.zeros(5))
    np.testing.assert_array_equal(tags, log_proba.argmax(axis=1))


def test_many_sentences_of_all_lengths_follow_the_bans():
    log_proba, lengths, steps = random_problem(3000, 6, 0, 30)
    steps.transitions[np.random.default_rng(1).random((6, 6)) < 0.4] = -np.inf
    np.fill_diagonal(steps.transitions, 0)
    tags = viterbi_many(log_proba, lengths, *steps)
    within = np.ones(len(tags), dtype=bool)
    within[(np.cumsum(lengths) - lengths)[lengths > 0]] = False
    second = np.flatnonzero(within)
    assert np.isfinite(steps.transitions[tags[second - 1], tags[second]]).all()


def test_where_all_is_forbidden_the_fewest_bans_are_broken():
    banned = np.full((2, 2), -np.inf)
    log_proba = np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    np.testing.assert_array_equal(viterbi(log_proba, banned, [0, 0], [0, 0]), [0, 1, 0])
    banned[1, 1] = 0
    np.testing.assert_array_equal(viterbi(log_proba, banned, [0, 0], [0, 0]), [1, 1, 1])


def test_a_forbidden_sentence_changes_no_other():
    log_proba, lengths, steps = random_problem(20, 3, 1, 9)
    expected = viterbi_many(log_proba, lengths, *steps)
    log_proba[: lengths[0]] = -np.inf
    tags = viterbi_many(log_proba, lengths, *steps)
    np.testing.assert_array_equal(tags[lengths[0] :], expected[lengths[0] :])


def test_empty_sentences_have_no_tags():
    steps = StepScores.zeros(2)
    assert viterbi(np.empty((0, 2)), *steps).shape == (0,)
    assert viterbi_many(np.empty((0, 2)), [], *steps).shape == (0,)
    assert viterbi_many(np.empty((0, 2)), [0, 0], *steps).shape == (0,)
    np.testing.assert_array_equal(viterbi_many([[0, 1.0]], [0, 1, 0], *steps), [1])


def test_lengths_have_to_cover_all_tokens():
    with pytest.raises(ValueError, match="adds up to 3 tokens, but `log_proba` has 4"):
        viterbi_many(np.zeros((4, 2)), [1, 2], *StepScores.zeros(2))


def test_a_long_sentence_keeps_its_bans():
    log_proba = np.log(np.full((20_000, 3), 1e-300))
    log_proba[::2, 0] = 0
    steps = np.array([[-np.inf, 0, -1], [0, 0, -1], [-1, -1, -1]])
    tags = viterbi(log_proba, steps, np.zeros(3), np.zeros(3))
    np.testing.assert_array_equal(tags, np.tile([0, 1], 10_000))


# Learned steps


def test_learned_steps_are_log_frequencies_of_counts_one_higher():
    scores = transition_scores([["a", "b", "b"], [], ["a"]], ["a", "b", "c"], np.ones(3))
    np.testing.assert_allclose(np.exp(scores.start), [3 / 5, 1 / 5, 1 / 5])
    np.testing.assert_allclose(
        np.exp(scores.transitions), [np.divide([1, 2, 1], 6), np.divide([1, 2, 1], 6), [1 / 4] * 3]
    )
    np.testing.assert_allclose(np.exp(scores.end), [2 / 6, 2 / 6, 1 / 4])


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=5), st.data())
def test_what_follows_a_tag_has_frequencies_that_add_up_to_one(rows, data):
    weights = data.draw(arrays(np.float64, len(rows), elements=st.floats(0, 9)))
    scores = transition_scores(rows, list("abc"), weights)
    np.testing.assert_allclose(np.exp(scores.transitions).sum(1) + np.exp(scores.end), 1)
    np.testing.assert_allclose(np.exp(scores.start).sum(), 1)


def test_learned_steps_decide_where_the_tokens_do_not():
    steps = transition_scores([["a", "b"]] * 20, ["a", "b"], np.ones(20))
    np.testing.assert_array_equal(viterbi(np.zeros((4, 2)), *steps), [0, 1, 0, 1])
