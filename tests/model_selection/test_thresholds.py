"""Temperatures and thresholds, learned from what stages say."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from muxlearn.model_selection import _thresholds
from muxlearn.model_selection._thresholds import (
    Aim,
    Answers,
    learn_temperature,
    learn_thresholds,
    temper,
)

RATES = [1000.0, 300.0, 100.0]


def draw(n_rows, n_stages=3, seed=0):
    """What stages say of rows of unequal difficulty; later ones are right more often."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(1.6, 1.6, n_rows)
    noise = np.linspace(1.3, 0.7, n_stages)[:, None]
    z = ease + noise * rng.normal(size=(n_stages, n_rows))
    return Answers(1 / (1 + np.exp(-np.abs(z))), z > 0, np.ones(n_rows))


def stops_at(answers, thresholds):
    stops = answers.confidence[:-1] >= thresholds[:, None]
    return np.where(stops.any(0), stops.argmax(0), len(thresholds))


def drop_of(answers, thresholds):
    stage = stops_at(answers, thresholds)
    worse = answers.correct[-1] - answers.correct[stage, np.arange(len(stage))] * 1.0
    return np.average(worse, weights=answers.weights)


def seconds_of(answers, thresholds, rates):
    seconds = np.where(np.isfinite([*thresholds, 0]), 1 / np.array(rates), 0).cumsum()
    return np.average(seconds[stops_at(answers, thresholds)], weights=answers.weights)


# Temperatures


def test_overconfidence_is_found_and_undone():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    targets = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    proba = softmax(3 * logits, axis=1)
    found = learn_temperature(proba, targets, np.ones(4000))
    assert found == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(temper(proba, 3), softmax(logits, axis=1), atol=1e-3)


def test_calibrated_probabilities_and_a_single_class_stay_as_they_are():
    proba = np.tile([[0.8, 0.2]], (10, 1))
    targets = np.array([0] * 8 + [1] * 2)
    assert learn_temperature(proba, targets, np.ones(10)) == 1
    assert learn_temperature(np.ones((5, 1)), np.zeros(5, int), np.ones(5)) == 1
    assert temper(proba, 1) is proba


def test_weights_count_in_a_temperature():
    proba = np.tile([[0.8, 0.2]], (2, 1))
    found = learn_temperature(proba, np.array([0, 1]), np.array([80.0, 20.0]))
    assert found == 1
    assert learn_temperature(proba, np.array([0, 1]), np.array([60.0, 40.0])) > 1


def test_a_probability_of_0_is_no_infinite_loss():
    proba = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    temperature = learn_temperature(proba, np.array([0, 1, 1]), np.ones(3))
    assert np.isfinite(temperature)
    assert np.isfinite(temper(proba, temperature)).all()


# The search


def test_tables_hold_what_each_combination_does():
    drawn = draw(80)
    # Many rows are as sure as a threshold says, and so stop.
    answers = Answers(drawn.confidence.round(1), drawn.correct, np.linspace(1, 3, 80))
    search = _thresholds._Search(answers, 1 / np.array(RATES), Aim(0.0, None), 0)
    tables = search._tables
    for choice in itertools.product(*(range(n + 1) for n in search._left_out)):
        thresholds = search._values(np.array(choice))
        assert tables.drop[choice] == pytest.approx(drop_of(answers, thresholds))
        assert tables.seconds[choice] == pytest.approx(seconds_of(answers, thresholds, RATES))


def test_no_combination_within_the_drop_is_faster():
    answers = draw(300)
    search = _thresholds._Search(answers, 1 / np.array(RATES), Aim(0.01, None), 0)
    chosen = search._values(search._choose(search._tables, 0.0))
    assert drop_of(answers, chosen) <= 0.01 + 1e-9
    within = search._tables.drop <= 0.01 + 1e-9
    assert seconds_of(answers, chosen, RATES) == pytest.approx(search._tables.seconds[within].min())


def test_the_reported_speed_is_that_of_weighted_rows():
    answers = replace(draw(300), weights=np.linspace(1, 3, 300))
    learned = learn_thresholds(answers, RATES, Aim(None, 300), 0)
    expected = 1 / seconds_of(answers, learned.thresholds, RATES)
    assert learned.rows_per_second == pytest.approx(expected)


@pytest.mark.parametrize(("n_rows", "n_levels"), [(50, 5), (5000, 100)])
def test_thresholds_are_ten_rows_apart_and_a_hundred_at_most(n_rows, n_levels):
    search = _thresholds._Search(draw(n_rows, 2), np.ones(2), Aim(0.01, None), 0)
    assert [len(levels) for levels in search._levels] == [n_levels]


def test_weights_are_copies_to_the_tables():
    plain = draw(60)
    twice = np.repeat(np.arange(60), 2)
    copies = Answers(plain.confidence[:, twice], plain.correct[:, twice], np.ones(120))
    weighted = Answers(plain.confidence, plain.correct, np.full(60, 2.0))
    np.testing.assert_allclose(weighted.scores(), copies.scores())
    levels = _thresholds._Search(weighted, 1 / np.array(RATES), Aim(0.0, None), 0)
    once = _thresholds._Search(plain, 1 / np.array(RATES), Aim(0.0, None), 0)
    for ours, theirs in zip(levels._tables, once._tables, strict=True):
        np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("n_rows", [250, 1000])
def test_the_drop_on_new_rows_is_kept_on_average(n_rows):
    new = draw(100_000, seed=99)
    drops, speeds = [], []
    for seed in range(20):
        learned = learn_thresholds(draw(n_rows, seed=seed), RATES, Aim(0.01, None), seed)
        drops.append(drop_of(new, learned.thresholds))
        speeds.append(1 / seconds_of(new, learned.thresholds, RATES))
    assert np.mean(drops) <= 0.01
    assert np.mean(speeds) > 1.3 * RATES[-1]


def test_the_reported_drop_is_that_of_new_rows():
    new = draw(100_000, seed=99)
    learned = [learn_thresholds(draw(2000, seed=s), RATES, Aim(0.02, None), s) for s in range(10)]
    errors = [found.drop - drop_of(new, found.thresholds) for found in learned]
    assert abs(np.mean(errors)) < 3 * np.mean([found.standard_error for found in learned]) / 10**0.5


def test_a_stage_that_only_costs_is_left_out():
    answers = draw(1000, 2)
    useless = Answers(
        np.stack([answers.confidence[0], np.full(1000, 0.5), answers.confidence[1]]),
        np.stack([answers.correct[0], np.zeros(1000, bool), answers.correct[1]]),
        answers.weights,
    )
    learned = learn_thresholds(useless, RATES, Aim(0.03, None), 0)
    assert np.isfinite(learned.thresholds[0])
    assert learned.thresholds[1] == np.inf


def test_a_first_stage_that_is_as_good_answers_all_rows():
    answers = draw(500, 2)
    same = Answers(answers.confidence[[0, 0]], answers.correct[[0, 0]], answers.weights)
    learned = learn_thresholds(same, [10.0, 1.0], Aim(0.0, None), 0)
    assert learned.thresholds.tolist() == [0]
    assert learned.drop == 0
    assert learned.rows_per_second == pytest.approx(10)


def test_where_no_drop_is_safe_the_last_stage_answers_all_rows():
    # The fast stage is sure of everything, and wrong in half of the rows.
    wrong = Answers(
        np.full((2, 100), 0.9),
        np.stack([np.arange(100) % 2 == 0, np.ones(100, bool)]),
        np.ones(100),
    )
    learned = learn_thresholds(wrong, [10.0, 1.0], Aim(0.0, None), 0)
    assert learned.thresholds.tolist() == [np.inf]
    assert (learned.drop, learned.standard_error, learned.rows_per_second) == (0, 0, 1)


@pytest.mark.parametrize("n_rows", [1, 2, 9])
def test_few_rows_are_enough_to_run(n_rows):
    learned = learn_thresholds(draw(n_rows), RATES, Aim(0.005, None), 0)
    assert learned.thresholds.shape == (2,)
    assert np.isfinite(learned.drop)


def test_beaten_stages_are_left_out_whatever_their_number():
    answers = draw(400, 3)
    # A dozen slower copies of the first stage, which thresholds could not be searched for.
    copies = [0, *[0] * 12, 1, 2]
    many = Answers(answers.confidence[copies], answers.correct[copies], answers.weights)
    rates = [RATES[0], *np.linspace(900, 400, 12), *RATES[1:]]
    learned = learn_thresholds(many, rates, Aim(0.03, None), 0)
    few = learn_thresholds(answers, RATES, Aim(0.03, None), 0)
    assert learned.thresholds[1:13].tolist() == [np.inf] * 12
    np.testing.assert_array_equal(learned.thresholds[[0, 13]], few.thresholds)
    assert learned.drop == few.drop


def test_unbeaten_stages_keep_the_order_in_which_they_run():
    scores, rates = np.array([0.8, 0.7, 0.8, 0.9]), np.array([10.0, 20.0, 10.0, 1.0])
    assert _thresholds._unbeaten(scores, rates).tolist() == [0, 1, 3]


def test_a_last_stage_that_beats_all_others_answers_alone():
    answers = draw(200, 2)
    aim = Aim(0.0, None)
    assert learn_thresholds(answers, [1.0, 2.0], aim, 0).thresholds.tolist() == [np.inf]
    assert learn_thresholds(answers, [1.0, 2.0], Aim(None, 1.5), 0).rows_per_second == 2
    with pytest.raises(ValueError, match="no thresholds are faster than 2 rows per second"):
        learn_thresholds(answers, [1.0, 2.0], Aim(None, 3.0), 0)


@pytest.mark.parametrize("n_stages", [2, 4, 6, 9])
def test_many_stages_are_searched_together_in_little_memory(n_stages):
    answers = draw(500, n_stages)
    rates = np.geomspace(1000, 10, n_stages)
    search = _thresholds._Search(answers, 1 / rates, Aim(0.01, None), 0)
    assert search._tables.drop.size <= _thresholds._MOST_COMBINATIONS
    assert len(learn_thresholds(answers, rates, Aim(0.01, None), 0).thresholds) == n_stages - 1


def one_wrong(n_stages=2):
    """Answers to 100 rows: one of the first stage is wrong, all others are right."""
    correct = np.ones((n_stages, 100), bool)
    correct[0, 50] = False
    confidence = np.tile(np.linspace(0.6, 0.9, 100), (n_stages, 1))
    return Answers(confidence, correct, np.ones(100))


def test_the_drop_is_that_of_thresholds_which_other_rows_have_chosen():
    answers = one_wrong()
    learned = _thresholds._Search(answers, 1 / np.array([10.0, 1.0]), Aim(0.0, None), 0).learn(0.0)
    assert drop_of(answers, learned.thresholds) == 0
    # The rows beside its own fifth know nothing of the wrong one.
    assert learned.drop == pytest.approx(0.01)
    assert learned.standard_error == pytest.approx((0.01 * 0.99 / 100) ** 0.5)


def test_half_a_standard_error_must_fit_under_the_drop_as_well():
    # One row in a hundred is a drop of 0.01 with a standard error of 0.01.
    tight, wide = (
        learn_thresholds(one_wrong(), [10.0, 1.0], Aim(most, None), 0) for most in (0.01, 0.02)
    )
    assert tight.thresholds.tolist() == [np.inf]
    assert wide.thresholds.tolist() == [0]


def test_where_no_caution_helps_the_first_stage_is_left_out():
    learned = learn_thresholds(one_wrong(3), RATES, Aim(0.0, None), 0)
    assert learned.thresholds.tolist() == [np.inf, 0]
    assert learned.rows_per_second == pytest.approx(RATES[1])


@pytest.mark.parametrize(("rate", "threshold"), [(1.04, np.inf), (1.06, 0.0)])
def test_a_stage_that_is_hardly_faster_is_not_worth_it(rate, threshold):
    answers = one_wrong()
    right = Answers(answers.confidence, np.ones((2, 100), bool), answers.weights)
    learned = learn_thresholds(right, [rate, 1.0], Aim(0.0, None), 0)
    assert learned.thresholds.tolist() == [threshold]


# A wanted speed


def test_a_wanted_speed_is_reached_with_the_best_score():
    answers = draw(1000)
    slow, fast = (learn_thresholds(answers, RATES, Aim(None, rate), 0) for rate in (150, 600))
    assert slow.rows_per_second >= 150 * (1 - 1e-6)
    assert fast.rows_per_second >= 600 * (1 - 1e-6)
    assert slow.drop < fast.drop


def test_the_speed_of_the_fastest_stage_can_be_asked_for():
    learned = learn_thresholds(draw(100), RATES, Aim(None, RATES[0]), 0)
    assert learned.rows_per_second == pytest.approx(RATES[0])


def test_a_speed_above_the_fastest_stage_is_out_of_reach():
    with pytest.raises(
        ValueError, match=r"`min_rows_per_second` is 2000, .* faster than 1000 rows"
    ):
        learn_thresholds(draw(100), RATES, Aim(None, 2000), 0)


def test_a_speed_that_drops_too_much_says_what_is_possible():
    answers = draw(1000)
    expected = (
        r"at `min_rows_per_second` 900 the score drops by 0\.\d+ or more, and `max_drop` is 0.01; "
        r"within that drop \d+(\.\d+)? rows per second are possible: lower"
    )
    with pytest.raises(ValueError, match=expected):
        learn_thresholds(answers, RATES, Aim(0.01, 900), 0)
    assert learn_thresholds(answers, RATES, Aim(None, 900), 0).rows_per_second >= 900 * (1 - 1e-6)
