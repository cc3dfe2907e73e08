import pickle
import re
import time

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV

from muxlearn.model_selection import fastest_within, throughput_score

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 6
TOPICS = np.array(["weather", "sport"] * 12)
N_MUX = [1, 2, 5, 10]


def results(splits, speeds, params=None):
    """What a search over `n_mux` leaves behind, given scores (n_candidates, n_splits)."""
    splits = np.array(splits)
    return {
        "params": params or [{"n_mux": n_mux} for n_mux in N_MUX[: len(splits)]],
        **{f"split{i}_test_score": splits[:, i] for i in range(splits.shape[1])},
        **{f"split{i}_test_rows_per_second": np.array(speeds) for i in range(splits.shape[1])},
        "mean_test_score": splits.mean(1),
        "mean_test_rows_per_second": np.array(speeds),
    }


# The choice


@pytest.mark.parametrize(("drop", "chosen"), [(0, 1), (0.02, 1), (0.03, 2), (0.2, 3), (1, 3)])
def test_the_fastest_within_the_drop_of_the_best_is_chosen(drop, chosen):
    found = results([[0.94], [0.95], [0.92], [0.80]], [10.0, 20.0, 40.0, 80.0])
    assert fastest_within(drop)(found) == chosen


def test_a_candidate_right_at_the_drop_is_good_enough():
    assert 0.95 - 0.02 != 0.93
    assert fastest_within(0.02)(results([[0.95], [0.93]], [10.0, 20.0])) == 1


def test_the_drop_can_be_from_the_candidate_without_multiplexing():
    found = results([[0.90], [0.95], [0.88]], [10.0, 20.0, 40.0])
    assert fastest_within(0.02, of="best")(found) == 1
    assert fastest_within(0.02, of="n_mux=1")(found) == 2


def test_of_several_candidates_without_multiplexing_the_best_is_the_reference():
    params = [{"clf__n_mux": 1, "clf__lr": 1}, {"clf__n_mux": 1, "clf__lr": 2}, {"clf__n_mux": 2}]
    found = results([[0.90], [0.80], [0.85]], [10.0, 11.0, 20.0], params)
    assert fastest_within(0.02, of="n_mux=1")(found) == 0
    assert fastest_within(0.06, of="n_mux=1")(found) == 2


def test_one_standard_error_comes_on_top_of_the_drop():
    # The best scores 0.9 with a standard deviation of 0.02 over 4 splits: a standard error of 0.01.
    best = 0.9 + 0.02 * np.sqrt(0.75) * np.array([-1, -1, 1, 1])
    found = results([np.full(4, 0.889), best, np.full(4, 0.891)], [30.0, 10.0, 20.0])
    assert fastest_within(0)(found) == 1
    assert fastest_within(0, standard_error=True)(found) == 2
    assert fastest_within(0.002, standard_error=True)(found) == 0


@pytest.mark.parametrize(("scores", "chosen"), [([0.91, 0.905], 1), ([0.905, 0.91], 2)])
def test_of_equally_fast_candidates_the_better_one_is_chosen(scores, chosen):
    found = results([[0.90], *[[score] for score in scores]], [10.0, 20.0, 20.0])
    assert fastest_within(0.1)(found) == chosen


def test_candidates_whose_fit_failed_are_passed_over():
    found = results([[0.90], [np.nan], [0.89], [0.90]], [10.0, np.nan, 20.0, np.nan])
    assert fastest_within(0.02)(found) == 2


def test_the_reference_has_a_speed_as_well():
    found = results([[0.99], [0.90], [0.89]], [np.nan, 10.0, 20.0])
    assert fastest_within(0.02)(found) == 2


def test_metrics_go_by_the_names_that_the_search_gave_them():
    found = {"params": [{}, {}], "mean_test_f1": [0.9, 0.9], "mean_test_fast": [1.0, 2.0]}
    assert fastest_within(metric="f1", speed="fast")(found) == 1


def test_it_can_be_pickled_and_cloned():
    refit = fastest_within(0.1, of="n_mux=1")
    found = results([[0.90], [0.85]], [10.0, 20.0])
    assert pickle.loads(pickle.dumps(refit))(found) == 1
    search = GridSearchCV(DummyClassifier(), {}, refit=refit)
    assert clone(search).refit == refit != fastest_within(0.2, of="n_mux=1")


# Errors


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"drop": -0.1}, ValueError, "`drop` must be a number of at least 0, got -0.1"),
        ({"drop": "0.1"}, TypeError, "`drop`"),
        ({"of": "n_mux=2"}, ValueError, r"`of`.*did you mean 'n_mux=1'"),
        ({"metric": None}, TypeError, "`metric` must be the name of a metric"),
        ({"standard_error": 1}, TypeError, "`standard_error` must be True or False"),
    ],
)
def test_parameters_are_checked(params, error, message):
    with pytest.raises(error, match=message):
        fastest_within(**params)


def test_a_search_with_a_single_metric_is_told_what_its_scoring_has_to_be():
    search = GridSearchCV(
        DummyClassifier(), {"constant": [0, 1]}, cv=2, scoring="accuracy", refit=fastest_within()
    )
    wanted = "scoring={'score': 'accuracy', 'rows_per_second': throughput_score}"
    message = r"measured \['score'\], but not 'rows_per_second'.*" + re.escape(wanted)
    with pytest.raises(ValueError, match=message):
        search.fit(np.zeros((4, 1)), [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("found", "params", "message"),
    [
        (results([[np.nan], [0.9]], [1.0, np.nan]), {}, "all 2 candidates lack"),
        (results([[0.9]], [1.0], [{"n_mux": 2}]), {"of": "n_mux=1"}, "no candidate .* has n_mux=1"),
        (results([[np.nan], [0.9]], [1.0, 2.0]), {"of": "n_mux=1"}, "each such candidate lacks"),
        (results([[0.9]], [1.0]), {"standard_error": True}, "two splits or more.* has 1"),
    ],
)
def test_what_a_search_lacks_is_named(found, params, message):
    with pytest.raises(ValueError, match=message):
        fastest_within(**params)(found)


# Throughput


class Slow(ClassifierMixin, BaseEstimator):
    """Takes a set time for each call, and long for the first two."""

    def __init__(self):
        self.n_calls = 0

    def predict(self, X):
        self.n_calls += 1
        time.sleep(0.1 if self.n_calls < 3 else 0.01)
        return np.zeros(len(X))


def test_throughput_counts_rows_in_the_median_of_the_calls_after_the_first():
    model = Slow()
    # A sleep is never too short; a busy machine may make it longer.
    assert 200 < throughput_score(model, np.zeros((20, 3)), repeats=3) <= 2000
    assert model.n_calls == 4


def test_throughput_needs_a_repeat():
    with pytest.raises(ValueError, match="`repeats` must be a whole number of at least 1"):
        throughput_score(Slow(), TEXTS, repeats=0)


# A search


def test_a_search_refits_the_fastest_candidate_that_is_good_enough(tiny_classifier):
    search = GridSearchCV(
        tiny_classifier(warm_up=None),
        {"n_mux": [1, 2]},
        cv=2,
        scoring={"score": "accuracy", "rows_per_second": throughput_score},
        refit=fastest_within(1.0),
        error_score="raise",
    ).fit(TEXTS, TOPICS)
    speeds = search.cv_results_["mean_test_rows_per_second"]
    assert (speeds > 0).all()
    assert search.best_index_ == np.argmax(speeds)
    assert search.best_estimator_.n_mux == [1, 2][search.best_index_]
    assert len(search.predict(TEXTS)) == len(TEXTS)
    assert search.score(TEXTS, TOPICS) == search.best_estimator_.score(TEXTS, TOPICS)
