"""Plots of multiplexed estimators: scores, slots, companions."""

import copy
import sys

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from muxlearn import MuxImageClassifier, MuxImageRegressor
from muxlearn.inspection import InterferenceDisplay, SlotDisplay, TradeoffDisplay
from muxlearn.inspection._points import OperatingPoint
from muxlearn.mixtures import plan_mixtures

matplotlib.use("Agg")
from matplotlib import pyplot

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 6
TOPICS = np.array(["weather", "sport"] * 12)
SENTENCES = [["Ada", "Lovelace", "was", "in", "Turin", "."], ["It", "rained"]]
TAGS = [["B-PER", "I-PER", "O", "O", "B-LOC", "O"], ["O", "O"]]


@pytest.fixture(scope="module")
def classifier(tiny_classifier):
    return tiny_classifier(n_mux=5, warm_up=None).fit(TEXTS, TOPICS)


@pytest.fixture(scope="module")
def images():
    """Classifier, images, labels."""
    digits, labels = load_digits(return_X_y=True)
    digits, labels = digits.reshape(-1, 8, 8)[:40], labels[:40]
    clf = MuxImageClassifier(4, architecture="mlp", operating_points=(2, 4), max_epochs=1)
    return clf.set_params(random_state=0).fit(digits, labels), digits, labels


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    return tiny_tagger(warm_up=None).fit([*SENTENCES, []] * 4, [*TAGS, []] * 4)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


class Threes:
    """Stands for an estimator whose predictions are known."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return [3] * len(X)

    def score(self, X, y):
        return 0.25


def test_plots_make_axes_or_take_them(images):
    clf, digits, labels = images
    _, axes = pyplot.subplots(3)
    displays = [
        TradeoffDisplay.from_estimator(clf, digits, labels, repeats=1, ax=axes[0]),
        SlotDisplay.from_estimator(clf, digits, labels, ax=axes[1]),
        InterferenceDisplay.from_estimator(clf, digits, ax=axes[2]),
    ]
    for display, ax in zip(displays, axes, strict=True):
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert display.plot().ax_ is not ax


def test_plots_without_matplotlib_name_the_extra(monkeypatch, images):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"SlotDisplay draws .*pip install 'muxlearn\[plot\]'"):
        SlotDisplay.from_estimator(*images)
    with pytest.raises(ImportError, match="TradeoffDisplay"):
        TradeoffDisplay([1], [0.5], [10.0]).plot()


@pytest.mark.parametrize("display", [TradeoffDisplay, SlotDisplay])
def test_plots_are_of_multiplexed_estimators(display):
    with pytest.raises(TypeError, match=r"`estimator` must be a MuxText.* instance of Threes"):
        display.from_estimator(Threes(), [1, 2], [3, 4])


def test_plots_are_of_fitted_estimators():
    with pytest.raises(NotFittedError):
        InterferenceDisplay.from_estimator(MuxImageClassifier(), [[0.0]])


# Score against speed


def test_operating_points_are_scored_as_predict_scores_there(classifier):
    display = TradeoffDisplay.from_estimator(classifier, TEXTS, TOPICS, repeats=1)
    assert display.n_mux.tolist() == [1, 2, 5]
    wanted = [classifier.score(TEXTS, TOPICS, n_mux=n_mux) for n_mux in (1, 2, 5)]
    np.testing.assert_array_equal(display.scores, wanted)
    assert (display.rows_per_second > 0).all()
    assert display.score_name == "accuracy"
    assert [text.get_text() for text in display.ax_.texts] == ["1", "2", "5"]


@pytest.mark.parametrize(("n_mux", "points"), [(None, [2, 4]), (3, [3]), ((4, 1), [1, 4])])
def test_operating_points_are_those_trained_or_asked_for(images, n_mux, points):
    display = TradeoffDisplay.from_estimator(*images, n_mux=n_mux, repeats=1)
    assert display.n_mux.tolist() == points


def test_points_that_are_set_after_fit_are_not_drawn(images):
    clf, digits, labels = images
    changed = copy.copy(clf).set_params(operating_points=(1, 2, 4))
    displays = [
        TradeoffDisplay.from_estimator(changed, digits, labels, repeats=1),
        InterferenceDisplay.from_estimator(changed, digits),
    ]
    assert [display.n_mux.tolist() for display in displays] == [[2, 4], [2, 4]]


def test_any_scorer_judges_at_each_operating_point(images):
    clf, digits, labels = images
    display = TradeoffDisplay.from_estimator(clf, digits, labels, scoring="neg_log_loss", repeats=1)
    wanted = [-log_loss(labels, clf.predict_proba(digits, n_mux=n_mux)) for n_mux in (2, 4)]
    np.testing.assert_allclose(display.scores, wanted)
    assert display.score_name == "neg_log_loss"


def test_others_stand_beside_in_the_legend(images):
    others = {"always 3": Threes()}
    display = TradeoffDisplay.from_estimator(*images, others=others, repeats=1)
    score, rate = display.others["always 3"]
    assert score == 0.25
    assert rate > display.rows_per_second.max()
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["multiplexed, by n_mux", "always 3", "frontier"]
    assert display.ax_.get_xscale() == "log"


def test_another_model_may_not_have_the_name_of_a_point(images):
    with pytest.raises(ValueError, match="`others` holds '2', which is the name of an operating"):
        TradeoffDisplay.from_estimator(*images, others={"2": Threes()}, repeats=1)


def test_an_operating_point_can_be_copied(images):
    point = copy.copy(OperatingPoint(images[0], 2))
    np.testing.assert_array_equal(point.predict(images[1]), images[0].predict(images[1], n_mux=2))


def test_the_frontier_joins_what_no_other_beats():
    others = {"linear": (0.8, 900.0), "narrow": (0.7, 20.0)}
    display = TradeoffDisplay([1, 5], [0.95, 0.9], [10.0, 50.0], others=others).plot()
    (line,) = [line for line in display.ax_.get_lines() if line.get_label() == "frontier"]
    assert line.get_xydata().tolist() == [[10, 0.95], [50, 0.9], [900, 0.8]]


def test_a_search_is_shown_by_what_it_found(classifier):
    search = GridSearchCV(classifier, {"n_mux": [2]}, cv=2).fit(TEXTS, TOPICS)
    assert TradeoffDisplay.from_estimator(search, TEXTS, TOPICS, repeats=1).n_mux.tolist() == [1, 2]


def test_a_tagger_is_judged_by_its_own_score(tagger):
    display = TradeoffDisplay.from_estimator(tagger, SENTENCES, TAGS, repeats=1)
    assert display.score_name == "F1 of entities"
    assert display.scores[-1] == tagger.score(SENTENCES, TAGS)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_mux": 5}, ValueError, "built with 4 slots"),
        ({"n_mux": (2, 2)}, ValueError, "`n_mux` must be"),
        ({"scoring": ["accuracy"]}, TypeError, "`scoring` .* list; a plot shows one score"),
        ({"repeats": 0}, ValueError, "`repeats`"),
        ({"others": [Threes()]}, TypeError, "`others` must be a dict .* instance of list"),
        ({"others": {"x": 3}}, TypeError, "`others` holds 'x', which has no `predict`"),
        ({"others": {3: Threes()}}, TypeError, "names in `others` must be str, got 3"),
    ],
)
def test_what_cannot_be_traded_off_is_refused(images, params, error, message):
    with pytest.raises(error, match=message):
        TradeoffDisplay.from_estimator(*images, **params)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([1, 2], [0.9], [5.0, 9.0]), "an item for each point, got 2, 1, 2 of them"),
        (([1, 2], [0.9, 0.8], [5.0]), "an item for each point, got 2, 2, 1 of them"),
        (([], [], []), "an item for each point, got 0, 0, 0 of them"),
        (([1, 2], [0.9, 0.8], [5.0, 0.0]), r"`rows_per_second` must be above 0, got 0\.0"),
    ],
)
def test_points_without_a_score_and_a_speed_are_refused(args, message):
    with pytest.raises(ValueError, match=message):
        TradeoffDisplay(*args)


# Slots


def test_accuracy_by_slot_is_that_of_the_rows_in_it():
    display = SlotDisplay.from_predictions(
        [1, 2, 3, 4], [[1, 2, 3, 0], [0, 2, 3, 0]], [[0, 0, 1, 1], [0, 1, 0, 0]]
    )
    np.testing.assert_array_equal(display.accuracy, [3 / 5, 2 / 3])
    np.testing.assert_allclose(display.standard_error**2, [6 / 125, 2 / 27])
    assert display.counts.tolist() == [5, 3]
    assert "all slots: 62.5%" in display.ax_.get_legend_handles_labels()[1]


def test_a_last_slot_that_is_never_right_is_shown():
    display = SlotDisplay.from_predictions(["a", "b"], ["a", "a"], [0, 1])
    assert display.accuracy.tolist() == [1, 0]


def test_places_are_those_of_the_plan_that_predict_follows(images):
    clf, digits, _ = images
    labels, places = clf.predictor_.predict_regrouped(digits, 4, 2)
    np.testing.assert_array_equal(labels[0], clf.predict(digits))
    plan = plan_mixtures(np.ones(len(digits)), 4, seed=clf.predictor_.planner.seed, regrouping=1)
    for place in range(4):
        rows = np.sort(plan.rows[:, place])
        np.testing.assert_array_equal(np.flatnonzero(places[1] == place), rows)


@pytest.mark.parametrize("display", [SlotDisplay, InterferenceDisplay])
def test_numbers_are_not_counted(images, display):
    _, digits, labels = images
    reg = MuxImageRegressor(2, architecture="mlp", max_epochs=1).fit(digits, labels)
    arguments = (reg, digits, labels) if display is SlotDisplay else (reg, digits)
    with pytest.raises(TypeError, match="`estimator` must predict one label for each"):
        display.from_estimator(*arguments)


def test_regroupings_are_the_passes_of_predict_in_all_windows(
    classifier, monkeypatch, set_window_rows
):
    set_window_rows(type(classifier), 8)
    monkeypatch.setattr(classifier, "batch_size", 1)
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS * 4)]
    assert len(texts) > classifier.predictor_.window_size(5)
    labels, places = classifier.predictor_.predict_regrouped(texts, 5, 1)
    np.testing.assert_array_equal(labels[0], classifier.predict(texts))
    assert np.bincount(places[0]).tolist() == [20, 19, 19, 19, 19]


def test_rows_count_in_the_slots_that_they_visit(classifier):
    once = SlotDisplay.from_estimator(classifier, TEXTS, TOPICS, n_regroupings=1)
    assert once.counts.tolist() == [5, 5, 5, 5, 4]
    n_right = (once.accuracy * once.counts).sum()
    assert n_right / len(TEXTS) == pytest.approx(classifier.score(TEXTS, TOPICS))
    assert SlotDisplay.from_estimator(classifier, TEXTS, TOPICS).counts.sum() == 5 * len(TEXTS)


def test_a_tagger_counts_tokens_in_the_slot_of_their_sentence(tagger):
    labels, places = tagger.predictor_.predict_regrouped([*SENTENCES, []], 2, 3)
    assert labels.shape == (3, 8)
    assert labels[0].tolist() == [tag for tags in tagger.predict(SENTENCES) for tag in tags]
    for of_tokens in places:
        assert len(set(of_tokens[:6])) == len(set(of_tokens[6:])) == 1
        assert of_tokens[0] != of_tokens[6]
    display = SlotDisplay.from_estimator(tagger, [*SENTENCES, []], [*TAGS, []])
    assert display.counts.sum() == 5 * 8


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([1], [1, 2], [0, 0]), "`y_true` has 1 labels"),
        (([1], [1], [[0, 0]]), "`y_true` has 1 labels"),
        (([1], [1], [-1]), "`slots` must hold whole numbers"),
        (([1], [1], [0.0]), "`slots` must hold whole numbers"),
        (([], [], []), "`slots` must hold whole numbers"),
        (([1], [1], [1]), "slot 0 of 2 never held a row; give more rows"),
    ],
)
def test_slots_that_do_not_fit_are_refused(args, message):
    with pytest.raises(ValueError, match=message):
        SlotDisplay.from_predictions(*args)


@pytest.mark.parametrize(("correct", "counts"), [([3], [2]), ([-1], [2]), ([1, 1], [2])])
def test_no_slot_is_right_more_often_than_asked(correct, counts):
    with pytest.raises(ValueError, match="`correct` must have a number from 0 to `counts`"):
        SlotDisplay(correct, counts)


def test_slots_need_labels_of_the_type_that_is_predicted(images):
    clf, digits, labels = images
    with pytest.raises(ValueError, match="labels of type str, but the model predicts int"):
        SlotDisplay.from_estimator(clf, digits, labels.astype(str))


def test_slots_need_as_many_labels_as_rows(images, tagger):
    clf, digits, labels = images
    with pytest.raises(ValueError, match="`X` has 40 rows and `y` has 39"):
        SlotDisplay.from_estimator(clf, digits, labels[:-1])
    with pytest.raises(ValueError, match="no token"):
        SlotDisplay.from_estimator(tagger, [[]], [[]])


# Companions


def test_changes_are_counted_between_any_two_regroupings():
    display = InterferenceDisplay.from_predictions({2: [[1, 1], [1, 2], [2, 2]], 1: [[1, 1]] * 3})
    assert display.n_mux.tolist() == [1, 2]
    assert display.changed.tolist() == [[0, 0, 0], [0.5, 1, 0.5]]


def test_alone_in_a_mixture_no_prediction_changes(classifier, images):
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS)]
    display = InterferenceDisplay.from_estimator(classifier, texts, n_mux=1)
    assert display.changed.tolist() == [[0] * 10]
    display = InterferenceDisplay.from_estimator(images[0], images[1], n_mux=1)
    assert display.changed.tolist() == [[0] * 10]


def test_in_company_predictions_change(images, tagger):
    clf, digits, _ = images
    display = InterferenceDisplay.from_estimator(clf, digits, n_regroupings=3)
    assert display.n_mux.tolist() == [2, 4]
    assert display.changed.shape == (2, 3)
    assert (display.changed > 0).any()
    low, high = display.ax_.get_ylim()
    assert low == 0
    assert high > display.changed.max()
    assert InterferenceDisplay.from_estimator(tagger, SENTENCES).changed.shape == (2, 10)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({2: [[1, 2]]}, r"at n_mux=2 have shape \(1, 2\)"),
        ({2: [1, 2]}, r"have shape \(2,\)"),
        ({2: [[], []]}, r"have shape \(2, 0\)"),
        ({2: [[1], [1]], 4: [[1]] * 3}, "2 regroupings at n_mux=2 and 3 at n_mux=4"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(predictions, message):
    with pytest.raises(ValueError, match=message):
        InterferenceDisplay.from_predictions(predictions)
