import pickle
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.callbacks import Callback

from muxlearn import MuxImageClassifier, MuxImageRegressor, MuxTextClassifier
from muxlearn.architectures import MIMOConv, MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.estimators._model_card import model_card
from muxlearn.estimators._points import measure_set_aside
from muxlearn.persistence import FormatError
from muxlearn.points import Point
from muxlearn.prediction import Predictor, _points
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.tasks import ClassesTask
from tests.persistence.folders import edit_config

TEXTS = [f"{noun} and {other}" for noun in ("snow", "sun", "goal") for other in "abcdefghij"]
LABELS = ["weather"] * 20 + ["sport"] * 10
SENTENCES = [text.split() for text in TEXTS]
TAGS = [["NOUN", "CONJ", "NOUN"]] * len(SENTENCES)
ENTITIES = [["B-PER", "O", "B-LOC"]] * len(SENTENCES)
DIGITS, NUMBERS = load_digits(return_X_y=True)
IMAGES = DIGITS.reshape(-1, 8, 8)[:60]

# Made up: the slowest is the best, and of two that are equally fast one is better.
FIGURES = {
    1: {"score": 0.95, "rows_per_second": 100.0},
    2: {"score": 0.93, "rows_per_second": 190.0},
    3: {"score": 0.9, "rows_per_second": 250.0},
    4: {"score": 0.8, "rows_per_second": 250.0},
}


@pytest.fixture(scope="module")
def stopping(tiny_classifier):
    """Make a classifier that sets rows aside; other parameters as given."""
    return partial(
        tiny_classifier, n_mux=4, operating_points=(1, 4), early_stopping=True, warm_up=None
    )


@pytest.fixture(scope="module")
def fitted(stopping):
    return stopping().fit(TEXTS, LABELS)


@pytest.fixture
def measured(fitted):
    """A fitted classifier with the figures above."""
    copy = pickle.loads(pickle.dumps(fitted))
    copy._measured = FIGURES
    return copy


@pytest.fixture(scope="module")
def unmeasured(tiny_classifier):
    return tiny_classifier(n_mux=4, warm_up=None).fit(TEXTS, LABELS)


class Interrupt(Callback):
    def on_batch_end(self, net, training=False, **kwargs):
        raise KeyboardInterrupt


# What is measured


def test_few_rows_are_told_where_a_point_is_chosen(fitted):
    with pytest.warns(UserWarning, match=r"between 0\.\d+ and .* measured on only 3 rows"):
        fitted.fastest_point(0.0)


def test_each_operating_point_has_a_score_and_a_speed(fitted):
    assert list(fitted.measured_points_) == [1, 4]
    for figures in fitted.measured_points_.values():
        assert set(figures) == {"score", "rows_per_second", "n_rows", "low", "high"}
        assert 0 <= figures["low"] <= figures["score"] <= figures["high"] <= 1
        assert figures["n_rows"] == 3
        assert 0 <= figures["score"] <= 1
        assert figures["rows_per_second"] > 0


def test_the_score_is_that_of_the_rows_that_were_set_aside(stopping, monkeypatch):
    asked = []
    own = Predictor.predict_checked

    def watch(self, rows, n_mux):
        asked.append(rows)
        return own(self, rows, n_mux)

    monkeypatch.setattr(Predictor, "predict_checked", watch)
    clf = stopping(max_epochs=3, validation_fraction=0.3).fit(TEXTS, LABELS)
    held_out = asked[0]
    assert len(held_out) == 9
    true = [LABELS[TEXTS.index(text)] for text in held_out]
    for point, figures in clf.measured_points_.items():
        assert figures["score"] == clf.score(held_out, true, n_mux=point)


def test_rows_of_no_weight_do_not_count(stopping):
    weights = np.where(np.array(LABELS) == "sport", 0.0, 1.5)
    clf = stopping(validation_fraction=0.5, max_epochs=10, lr=1e-2)
    clf.fit(TEXTS, LABELS, sample_weight=weights)
    scores = [figures["score"] for figures in clf.measured_points_.values()]
    assert scores == [1, 1]  # there is nothing but weather to be right about


def test_copies_in_the_place_of_a_weight_are_measured_once(stopping):
    clf = stopping(max_epochs=1, validation_fraction=0.3)
    clf.fit(TEXTS, LABELS, sample_weight=[3] * len(TEXTS))
    assert {figures["n_rows"] for figures in clf.measured_points_.values()} == {9}


@pytest.mark.parametrize("scale", [1, 0.5])
def test_rows_count_by_their_weight(fitted, scale):
    clf = pickle.loads(pickle.dumps(fitted))
    numbers = np.arange(len(TEXTS))
    predicted = clf.predict(TEXTS, n_mux=1)
    others = np.where(predicted == "sport", "weather", "sport")
    weights = scale * (1 + numbers % 4)
    labels = np.where(numbers % 3 == 0, others, predicted)
    _, training_set = ClassesTask.learn(TEXTS, labels, weights)
    measure_set_aside(clf, training_set, np.arange(len(training_set.rows)))
    expected = np.average(labels == predicted, weights=weights)
    assert clf.measured_points_[1]["score"] == pytest.approx(expected)


def test_one_row_alone_of_a_regressor_is_not_measured():
    reg = MuxImageRegressor(1, architecture="mlp", max_epochs=1, early_stopping=True)
    with pytest.warns(UserWarning, match="has set one row aside, and R\\^2 takes two"):
        reg.fit(IMAGES[:10], NUMBERS[:10])
    assert not hasattr(reg, "measured_points_")
    assert reg.predict(IMAGES[:3]).shape == (3,)


def test_without_operating_points_those_are_the_capacity_and_its_halves(stopping):
    clf = stopping(n_mux=5, operating_points=None).fit(TEXTS, LABELS)
    assert list(clf.measured_points_) == [1, 2, 5]


def test_points_that_a_network_rounds_to_the_same_are_one(stopping):
    clf = stopping(
        architecture=MIMOFormer(grid=(3, 2)), backbone=None, n_mux=6, operating_points=None
    ).fit(TEXTS, LABELS)
    points = clf.measured_points_
    assert list(points) == sorted({clf.predictor_.resolve_point(n).n_mux for n in (6, 3, 1)})


@pytest.mark.parametrize(("tags", "name"), [(TAGS, "accuracy of tokens"), (ENTITIES, "F1 of")])
def test_a_tagger_has_its_own_score(tiny_tagger, tags, name):
    tagger = tiny_tagger(early_stopping=True, decode="learned", max_epochs=10, lr=2e-2)
    tagger.fit([*SENTENCES, []], [*tags, []])
    assert list(tagger.measured_points_) == [1, 2]
    assert [p["score"] for p in tagger.measured_points_.values()] == [1, 1]
    assert name in str(model_card(tagger, "tagger"))


@pytest.mark.parametrize("form", ["gray", "last", "flat"])
def test_images_are_read_once(form):
    X = {"gray": IMAGES, "last": np.stack([IMAGES] * 3, -1), "flat": IMAGES.reshape(60, 64)}[form]
    clf = MuxImageClassifier(
        2,
        architecture=MIMOConv(width=1, initial_width=1),
        max_epochs=1,
        early_stopping=True,
        random_state=0,
    )
    clf.fit(X, NUMBERS[:60])
    assert list(clf.measured_points_) == [1, 2]


def test_a_point_is_one_point(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    assert list(
        copy.measure_operating_points(TEXTS, LABELS, n_mux=Point(1, 1)).measured_points_
    ) == [1]
    pair = MuxTextClassifier(2, patch_size=2, backbone=fitted.backbone, warm_up=None, max_epochs=0)
    pair.fit(TEXTS, LABELS).measure_operating_points(TEXTS, LABELS, n_mux=Point(2, 2))
    assert list(pair.measured_points_) == [(2, 2)]


def test_measuring_again_replaces_what_was_there(fitted):
    clf = pickle.loads(pickle.dumps(fitted))
    # An iterator is read once for all points.
    assert clf.measure_operating_points(iter(TEXTS), LABELS, n_mux=(4, 2, 1), repeats=1) is clf
    assert list(clf.measured_points_) == [1, 2, 4]
    for point, figures in clf.measured_points_.items():
        assert figures["score"] == clf.score(TEXTS, LABELS, n_mux=point)
        assert figures["low"] < figures["score"] < figures["high"]


def test_own_rows_can_weigh(unmeasured):
    clf = pickle.loads(pickle.dumps(unmeasured))
    weights = np.array(LABELS) == clf.predict(TEXTS, n_mux=2)
    clf.measure_operating_points(TEXTS, LABELS, sample_weight=weights, n_mux=2, repeats=1)
    assert clf.measured_points_[2]["score"] == 1


def test_what_cannot_be_measured_leaves_what_was_there(measured):
    for given, message in [
        ({"n_mux": 5}, "at most 4"),
        ({"n_mux": (1, 5)}, r"a single pair stands in a list, \[\(1, 5\)\]"),
        ({"repeats": 0}, "`repeats`"),
        ({"X": TEXTS[:3]}, "inconsistent numbers of samples"),
        ({"X": []}, "0 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            measured.measure_operating_points(**{"X": TEXTS, "y": LABELS, **given})
    assert measured.measured_points_ == FIGURES


# When they are there


def test_they_are_not_there_without_a_validation_split(unmeasured):
    assert not hasattr(unmeasured, "measured_points_")
    with pytest.raises(AttributeError, match="needs a validation split: fit with early_stopping"):
        _ = unmeasured.measured_points_


def test_they_are_not_there_before_fit(stopping):
    assert not hasattr(stopping(), "measured_points_")
    with pytest.raises(NotFittedError):
        stopping().measure_operating_points(TEXTS, LABELS)


def test_another_fit_without_a_split_forgets_them(measured):
    measured.set_params(early_stopping=False).fit(TEXTS, LABELS)
    assert not hasattr(measured, "measured_points_")


def test_a_fit_that_fails_keeps_them(measured):
    with pytest.raises(ValueError, match="lr"):
        measured.set_params(lr=-1.0).fit(TEXTS, LABELS)
    assert measured.measured_points_ == FIGURES


def test_an_interrupted_training_is_not_measured(stopping):
    with pytest.warns(ConvergenceWarning):
        clf = stopping(callbacks=[Interrupt()]).fit(TEXTS, LABELS)
    assert not hasattr(clf, "measured_points_")
    assert len(clf.predict(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("stage", ["score", "time"])
def test_an_interruption_of_the_measurement_leaves_a_fitted_estimator(stopping, monkeypatch, stage):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    if stage == "score":
        monkeypatch.setattr(ClassesTask, "score", interrupt)
    else:
        monkeypatch.setattr(_points, "paired_seconds", interrupt)
    clf = stopping().fit(TEXTS, LABELS)
    assert not hasattr(clf, "measured_points_")
    assert len(clf.predict(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_training_is_not_lost_to_a_measurement_that_fails(stopping, monkeypatch, error):
    def fail(*args):
        raise error("there is not enough memory")

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict_checked", fail)
        with pytest.warns(UserWarning, match=rf"not be measured .* \({error.__name__}") as caught:
            clf = stopping().fit(TEXTS, LABELS)
    assert {warning.filename for warning in caught} == {__file__}  # at the call of `fit`
    assert not hasattr(clf, "measured_points_")
    assert len(clf.predict(TEXTS)) == len(TEXTS)


# Where they go


def test_they_survive_save_and_load(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = MuxTextClassifier.load(tmp_path / "model")
    assert loaded.measured_points_ == fitted.measured_points_


def test_a_folder_without_them_loads(unmeasured, tmp_path):
    unmeasured.save(tmp_path / "model")
    edit_config(tmp_path / "model", lambda config: config.pop("measured_points"))
    assert not hasattr(MuxTextClassifier.load(tmp_path / "model"), "measured_points_")


@pytest.mark.parametrize("damaged", [[1], {"one": {}}, {"1": {"score": 1.0}}, {"1": 0.9}], ids=str)
def test_damaged_ones_are_no_model(fitted, tmp_path, damaged):
    fitted.save(tmp_path / "model")
    edit_config(tmp_path / "model", lambda config: config.update(measured_points=damaged))
    with pytest.raises(FormatError, match="do not make up a model"):
        MuxTextClassifier.load(tmp_path / "model")


def test_pickles_keep_them_and_clones_do_not(fitted):
    assert pickle.loads(pickle.dumps(fitted)).measured_points_ == fitted.measured_points_
    assert not hasattr(clone(fitted), "measured_points_")


def test_a_card_shows_them(measured):
    text = str(model_card(measured, "model"))
    assert "| `n_mux` | accuracy | rows/s |" in text
    assert "| 4 | 0.800 | 250 |\n| 3 | 0.900 | 250 |" in text
    assert "measured on rows that `fit` has set aside" in text


def test_the_hub_s_index_has_only_scores_that_are_given(measured):
    card = model_card(measured, "me/model", dataset="mine")
    assert not card.data.eval_results
    assert "measured on `mine`" not in str(card)


def test_given_scores_take_their_place_on_a_card(measured):
    assert "0.123" in str(model_card(measured, "model", scores={4: {"accuracy": 0.123}}))
    assert "0.800" not in str(model_card(measured, "model", scores={4: {"accuracy": 0.123}}))
    assert "## Scores" not in str(model_card(measured, "model", scores={}))


# The choice


@pytest.mark.parametrize(
    ("min_score", "chosen"), [(0.95, 1), (0.94, 1), (0.93, 2), (0.9, 3), (0.5, 3), (0, 3), (-1, 3)]
)
def test_the_fastest_that_is_good_enough_is_chosen(measured, min_score, chosen):
    assert measured.fastest_point(min_score) == chosen


def test_a_point_right_at_the_least_score_is_good_enough(measured):
    assert 0.95 - 0.02 != 0.93
    assert measured.fastest_point(0.95 - 0.02 + 1e-12) == 2


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_predictions_are_those_of_the_chosen_point(measured, method):
    predict = getattr(measured, method)
    np.testing.assert_array_equal(
        predict(TEXTS, n_mux=measured.fastest_point(0.93)), predict(TEXTS, n_mux=2)
    )


def test_a_score_is_that_of_the_chosen_point(measured):
    chosen = measured.score(TEXTS, LABELS, n_mux=measured.fastest_point(0.95))
    assert chosen == measured.score(TEXTS, LABELS, n_mux=1)


def test_streams_take_the_chosen_point(measured):
    point = measured.fastest_point(0.93)
    chosen = measured.predict_iter(iter(TEXTS), n_mux=point, method="predict_proba")
    np.testing.assert_array_equal(list(chosen), measured.predict_proba(TEXTS, n_mux=2))


def test_data_sets_take_the_chosen_point(measured, tmp_path):
    pd.DataFrame({"text": TEXTS}).to_parquet(tmp_path / "texts.parquet")
    predict = partial(measured.predict_dataset, tmp_path / "texts.parquet", method="predict_proba")
    predict(tmp_path / "chosen", n_mux=measured.fastest_point(0.93))
    predict(tmp_path / "chosen", n_mux=2)  # the same job: there is nothing left to do
    with pytest.raises(ValueError, match="n_mux"):
        predict(tmp_path / "chosen", n_mux=measured.fastest_point(0.95))


def test_a_tagger_chooses_too(tiny_tagger):
    tagger = tiny_tagger(max_epochs=0, warm_up=None).fit(SENTENCES, TAGS)
    tagger._measured = {1: FIGURES[1], 2: FIGURES[2]}
    for n_mux, min_score in ((1, 0.95), (2, 0.9)):
        point = tagger.fastest_point(min_score)
        chosen = tagger.predict_proba(SENTENCES, n_mux=point)
        for ours, wanted in zip(chosen, tagger.predict_proba(SENTENCES, n_mux=n_mux), strict=True):
            np.testing.assert_array_equal(ours, wanted)
        assert tagger.predict(SENTENCES, n_mux=point)
        wanted = tagger.score(SENTENCES, TAGS, n_mux=n_mux)
        assert tagger.score(SENTENCES, TAGS, n_mux=point) == wanted


@pytest.mark.parametrize(
    ("min_score", "error", "message"),
    [
        ("high", TypeError, r"`min_score` .* a number, got 'high'"),
        (True, TypeError, "`min_score` must be a number, got Tr"),
        (np.nan, ValueError, "`min_score` must be a number, got"),
        (
            0.99,
            ValueError,
            "no operating point scores `min_score` 0.99 or more: the best is n_mux=1 with 0.95",
        ),
    ],
)
def test_what_cannot_be_reached(measured, min_score, error, message):
    with pytest.raises(error, match=message):
        measured.fastest_point(min_score)


@pytest.mark.parametrize(
    ("n_mux", "error", "message"),
    [
        (
            "auto",
            TypeError,
            "'words', a pair .*, got 'auto' .* `fastest_point` returns a point",
        ),
        (5, ValueError, "at most 4, got 5"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_iter"])
def test_what_is_no_point(measured, method, n_mux, error, message):
    with pytest.raises(error, match=message):
        getattr(measured, method)(TEXTS, n_mux=n_mux)


def test_there_is_nothing_to_choose_from_before_measuring(unmeasured):
    with pytest.raises(ValueError, match=re.escape("or call measure_operating_points(X, y)")):
        unmeasured.fastest_point(0.5)


def test_there_is_nothing_to_choose_from_before_fit(stopping):
    with pytest.raises(NotFittedError):
        stopping().fastest_point(0.5)


def test_what_embeds_has_no_choice():
    pretrainer = MuxTextPretrainer(
        2,
        backbone=Scratch(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300
        ),
        objective="retrieval",
        max_epochs=0,
    ).fit(TEXTS)
    assert not hasattr(pretrainer, "measure_operating_points")
    assert not hasattr(pretrainer, "fastest_point")
    with pytest.raises(TypeError, match=r"number of rows .* at most 2, got 'auto'"):
        pretrainer.transform(TEXTS, n_mux="auto")


def through_a_folder(clf, folder):
    clf.save(folder)
    return type(clf).load(folder)


@pytest.mark.parametrize(
    "copied",
    [
        lambda clf, folder: clf,
        lambda clf, folder: pickle.loads(pickle.dumps(clf)),
        through_a_folder,
    ],
    ids=["same", "pickled", "saved"],
)
def test_points_that_are_set_after_fit_are_not_measured(fitted, copied, tmp_path):
    changed = pickle.loads(pickle.dumps(fitted)).set_params(operating_points=(1, 2, 3, 4))
    changed = copied(changed, tmp_path)
    assert changed.operating_points == (1, 2, 3, 4)
    assert changed.trained_points_ == (1, 4)
    changed.measure_operating_points(TEXTS, LABELS, repeats=1)
    assert list(changed.measured_points_) == [1, 4]


@pytest.mark.parametrize(
    "points",
    [None, ((1, 1), (2, 1)), {1: 0.2, 2: 0.8}, {(1, 1): 1, (2, 1): 3, "words": 1}],
    ids=str,
)
def test_the_points_of_the_training_are_saved_as_they_were_given(tiny_classifier, points, tmp_path):
    clf = tiny_classifier(n_mux=2, operating_points=points, max_epochs=0, warm_up=None)
    clf.fit(TEXTS, LABELS).set_params(operating_points=(1,)).save(tmp_path)
    assert MuxTextClassifier.load(tmp_path).trained_points_ == points


def test_a_folder_of_an_earlier_version_was_trained_at_its_parameter(fitted, tmp_path):
    fitted.save(tmp_path)
    edit_config(tmp_path, lambda config: config.pop("trained_points"))
    assert MuxTextClassifier.load(tmp_path).trained_points_ == (1, 4)


@pytest.mark.parametrize("damaged", [3, "x", {}, {"tuple": [0]}, {"pairs": [[[1], 1]]}], ids=str)
def test_damaged_points_of_the_training_are_no_model(fitted, tmp_path, damaged):
    fitted.save(tmp_path)
    edit_config(tmp_path, lambda config: config.update(trained_points=damaged))
    with pytest.raises(FormatError, match="`trained_points`"):
        MuxTextClassifier.load(tmp_path)


def test_a_pickle_of_an_earlier_version_was_trained_at_its_parameter(fitted):
    state = dict(fitted.__getstate__())
    del state["_trained_points"]
    earlier = clone(fitted)
    earlier.__setstate__(state)
    assert earlier.trained_points_ == (1, 4)
