"""The cascade with stages whose answers the tests decide."""

import pickle
import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from muxlearn import MuxTextClassifier
from muxlearn.model_selection import CascadeClassifier, _streams
from muxlearn.model_selection._fitting import set_aside
from tests.model_selection.columns import Column, draw

X, Y = draw(1500)
NEW, TRUE = draw(4000, seed=1)
RATES = [1000.0, 300.0, 100.0]


def stages():
    return [("first", Column(0)), ("second", Column(1)), "estimator"]


def cascade(**params):
    params = {"max_drop": 0.01, "rows_per_second": RATES, "random_state": 0, **params}
    return CascadeClassifier(Column(2), stages=stages(), **params)


@pytest.fixture(scope="module")
def fitted():
    return cascade().fit(X, Y)


# Learning


def test_it_is_as_good_as_its_last_stage_and_faster(fitted):
    assert fitted.score(NEW, TRUE) >= fitted.estimator_.score(NEW, TRUE) - 0.01
    assert fitted.cascade_report_["rows_per_second"] > 1.5 * RATES[-1]


def test_attributes_after_fit(fitted):
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert [(s.name, s.classifier.column, s.n_mux) for s in fitted.stages_] == [
        ("first", 0, None),
        ("second", 1, None),
        ("estimator", 2, None),
    ]
    assert fitted.stages_[-1].classifier is fitted.estimator_
    assert fitted.thresholds_.shape == (2,)
    assert fitted.temperatures_.shape == (3,)
    assert (fitted.temperatures_ > 0).all()


def test_reports(fitted):
    report = fitted.stage_report_
    assert list(report) == ["first", "second", "estimator"]
    assert [figures["rows_per_second"] for figures in report.values()] == RATES
    assert report["first"]["reached"] == 1
    assert sum(figures["stopped"] for figures in report.values()) == pytest.approx(1)
    whole = fitted.cascade_report_
    assert whole["n_rows"] == 300
    assert whole["last_score"] == report["estimator"]["score"]
    assert whole["last_rows_per_second"] == RATES[-1]
    assert whole["score"] == pytest.approx(whole["last_score"] - whole["drop"])
    assert whole["drop"] + 0.5 * whole["drop_standard_error"] <= 0.01


def test_classifiers_are_fitted_to_the_other_rows(fitted):
    assert [stage.classifier.n_fitted_ for stage in fitted.stages_] == [1200] * 3


def test_given_speeds_and_a_seed_decide_everything():
    first, second = (cascade(validation_fraction=0.4).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(first.thresholds_, second.thresholds_)
    assert first.cascade_report_ == second.cascade_report_


def test_speeds_are_measured_where_none_are_given():
    clf = cascade(rows_per_second=None).fit(X, Y)
    rates = [figures["rows_per_second"] for figures in clf.stage_report_.values()]
    assert min(rates) > 0
    assert rates != RATES
    assert clf.cascade_report_["rows_per_second"] > 0


def test_speeds_that_are_none_are_refused_before_anything_is_fitted():
    class Unfit(Column):
        def fit(self, X, y):
            raise AssertionError

    several = MuxTextClassifier(operating_points=(1, 2))
    several.fit = None
    for estimator, given in (Unfit(1), [("first", Unfit(0)), "estimator"]), (several, None):
        clf = CascadeClassifier(estimator, stages=given, rows_per_second="abc")
        with pytest.raises(TypeError, match="`rows_per_second` must be None or a list"):
            clf.fit(X, Y)


def test_a_wanted_speed_gives_the_best_score_at_it():
    slow, fast = (cascade(min_rows_per_second=rate, max_drop=None).fit(X, Y) for rate in (150, 700))
    assert fast.cascade_report_["rows_per_second"] >= 700 * (1 - 1e-6)
    assert fast.score(NEW, TRUE) < slow.score(NEW, TRUE)


def test_max_drop_trades_score_for_speed():
    rates = [
        cascade(max_drop=drop).fit(X, Y).cascade_report_["rows_per_second"]
        for drop in (0.0, 0.02, 0.2)
    ]
    assert rates == sorted(rates)
    assert rates[0] < rates[2]


def test_each_class_is_set_aside_in_its_share_and_left_to_the_classifiers():
    labels = np.array(["a"] * 500 + ["b"] * 99 + ["c"])
    clf = CascadeClassifier(Column(), stages=[("x", Column(1)), "estimator"], random_state=0)
    train, aside = clf._split(np.unique(labels, return_inverse=True)[1], np.ones(600), 0)
    assert len(aside) == 120
    assert np.count_nonzero(labels[aside] == "b") == 20
    assert sorted([*train, *aside]) == list(range(600))
    assert 599 in train


@pytest.mark.parametrize(("fraction", "n_aside"), [(0.9, 8), (0.26, 3), (0.01, 1)])
def test_the_only_row_of_a_class_is_never_set_aside(fraction, n_aside):
    aside = set_aside(np.array([0] * 9 + [1]), np.ones(10), fraction, seed=0)
    assert len(aside) == n_aside
    assert 9 not in aside


def test_rows_of_weight_0_are_not_set_aside_and_weights_reach_fit():
    weights = np.where(np.arange(len(Y)) < 1000, 2.0, 0.0)
    clf = cascade().fit(X, Y, sample_weight=weights)
    assert clf.cascade_report_["n_rows"] == 200
    assert clf.estimator_.n_fitted_ == 1300
    assert clf.estimator_.weight_ == 1600


def frozen_cascade():
    frozen = [FrozenEstimator(Column(i).fit(X, Y)) for i in range(3)]
    given = [("first", frozen[0]), ("second", frozen[1]), "estimator"]
    return CascadeClassifier(frozen[2], stages=given, max_drop=0.01, rows_per_second=RATES)


def test_scores_of_stages_are_weighted():
    weights = np.where(np.arange(len(NEW)) % 2, 5.0, 1.0)
    clf = frozen_cascade().fit(NEW, TRUE, sample_weight=weights)
    for stage in clf.stages_:
        right = stage.classifier.predict(NEW) == TRUE
        expected = np.average(right, weights=weights)
        assert clf.stage_report_[stage.name]["score"] == pytest.approx(expected, abs=1e-12)
        assert right.mean() != pytest.approx(expected, abs=1e-4)
    assert sum(report["stopped"] for report in clf.stage_report_.values()) == pytest.approx(1)
    expected = np.average(clf.predict(X) == Y, weights=weights[: len(X)])
    assert clf.score(X, Y, sample_weight=weights[: len(X)]) == pytest.approx(expected)


def test_weights_are_copies_to_the_temperatures():
    weights = np.where(TRUE[:500] == "yes", 3, 1)
    copies = np.repeat(np.arange(500), weights)
    weighted = frozen_cascade().fit(NEW[:500], TRUE[:500], sample_weight=weights)
    copied = frozen_cascade().fit(NEW[copies], TRUE[copies])
    np.testing.assert_allclose(weighted.temperatures_, copied.temperatures_, rtol=1e-3)


def test_few_rows_make_a_warning_that_says_what_one_is_worth():
    with pytest.warns(UserWarning, match=r"learned from 40 rows, and each .* by 0.025;"):
        cascade().fit(X[:200], Y[:200])


# Frozen classifiers


def test_frozen_classifiers_learn_thresholds_from_all_rows():
    clf = frozen_cascade()
    assert clf.fit(NEW, TRUE).cascade_report_["n_rows"] == len(NEW)
    assert clf.estimator_ is clf.estimator
    assert clf.score(X, Y) >= clf.estimator_.score(X, Y) - 0.01


def test_frozen_classifiers_learn_nothing_from_rows_of_weight_0():
    weights = np.where(np.arange(len(NEW)) < 1000, 2.0, 0.0)
    some = frozen_cascade().fit(NEW, TRUE, sample_weight=weights)
    assert some.cascade_report_["n_rows"] == 1000


def test_beside_a_frozen_classifier_others_are_fitted():
    frozen = FrozenEstimator(Column(2).fit(NEW, TRUE))
    clf = CascadeClassifier(frozen, stages=[("first", Column()), "estimator"], random_state=0)
    clf.fit(X, Y)
    assert clf.stages_[0].classifier.n_fitted_ == 1200
    assert clf.estimator_ is frozen


def test_what_is_frozen_must_be_fitted():
    clf = CascadeClassifier(FrozenEstimator(Column(2)), stages=[("first", Column()), "estimator"])
    with pytest.raises(NotFittedError):
        clf.fit(X, Y)


# Prediction


def test_a_row_has_the_answer_of_the_stage_it_stops_at(fitted):
    proba = fitted.predict_proba(NEW)
    expected = np.empty_like(proba)
    left = np.ones(len(NEW), bool)
    for stage, temperature, threshold in zip(
        fitted.stages_, fitted.temperatures_, [*fitted.thresholds_, 0], strict=True
    ):
        own = stage.classifier.predict_proba(NEW) ** (1 / temperature)
        own /= own.sum(axis=1, keepdims=True)
        stops = left & (own.max(axis=1) >= threshold)
        expected[stops] = own[stops]
        left &= ~stops
    np.testing.assert_allclose(proba, expected, atol=1e-6)
    assert (fitted.predict(NEW) == fitted.classes_[proba.argmax(axis=1)]).all()


def test_a_stage_is_asked_for_the_rows_that_reach_it_alone():
    clf = cascade().fit(X, Y)
    asked = [[], [], []]
    for stage, rows in zip(clf.stages_, asked, strict=True):
        stage.classifier.asked = rows
    clf.thresholds_ = np.array([0.9, 0.95])
    clf.predict(NEW)
    sizes = [rows[0] for rows in asked]
    assert sizes[0] == len(NEW) > sizes[1] > sizes[2] > 0
    clf.thresholds_ = np.array([np.inf, 0.0])  # the first is left out, all rows stop at the second
    for rows in asked:
        rows.clear()
    clf.predict(NEW)
    assert asked == [[], [len(NEW)], []]


def test_probabilities_of_all_stages_are_calibrated():
    overconfident = X * [6, 4, 1]
    clf = cascade(max_drop=0.05).fit(overconfident, Y)
    assert clf.temperatures_[0] > 2
    plain = clf.stages_[0].classifier.predict_proba(NEW * [6, 4, 1])
    assert log_loss(TRUE, clf.predict_proba(NEW * [6, 4, 1])) < log_loss(TRUE, plain)


@pytest.mark.parametrize("as_given", [np.asarray, np.ndarray.tolist])
def test_rows_come_back_in_order_in_any_form(fitted, as_given):
    expected = fitted.predict_proba(NEW[:50])
    np.testing.assert_allclose(fitted.predict_proba(as_given(NEW[:50])), expected)
    assert fitted.predict(NEW[:1]).shape == (1,)


def test_more_than_two_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1200)
    rows = np.eye(4)[labels] + 0.6 * rng.normal(size=(1200, 4))
    clf = CascadeClassifier(
        LogisticRegression(),
        stages=[("weak", LogisticRegression(C=1e-3)), "estimator"],
        max_drop=0.02,
        rows_per_second=[10, 1],
        random_state=0,
    ).fit(rows, labels)
    assert clf.predict_proba(rows).shape == (1200, 4)
    assert clf.cascade_report_["rows_per_second"] > 1.2


def test_streams_are_read_in_windows(fitted, monkeypatch):
    monkeypatch.setattr(_streams, "WINDOW_ROWS", 64)
    read = []

    def rows():
        for row in NEW:
            read.append(row)
            yield row

    stream = fitted.predict_iter(rows())
    first = next(stream)
    assert len(read) == 64
    assert [first, *stream] == fitted.predict(NEW).tolist()
    proba = np.stack(list(fitted.predict_iter(iter(NEW), method="predict_proba")))
    np.testing.assert_allclose(proba, fitted.predict_proba(NEW))


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame, csr_array, csr_matrix, list])
def test_a_stream_has_the_rows_of_what_holds_them(monkeypatch, container):
    monkeypatch.setattr(_streams, "WINDOW_ROWS", 64)
    in_columns = container in (pd.DataFrame, pl.DataFrame)

    def held(rows):
        return container(dict(zip("abc", rows.T, strict=True))) if in_columns else container(rows)

    def model(*columns):
        # By name, which a row of a frame on its own has lost.
        chosen = make_column_transformer(("passthrough", list(columns)))
        return make_pipeline(*[chosen] * in_columns, LogisticRegression())

    clf = CascadeClassifier(
        model("a", "c"), stages=[("a", model("a")), "estimator"], rows_per_second=[10, 1]
    ).fit(held(X), Y)
    new = held(NEW[:100])
    assert list(clf.predict_iter(new)) == clf.predict(new).tolist()
    groups = ["one"] * 100
    with pytest.raises(ValueError, match="no stage of this cascade takes it"):
        next(clf.predict_iter(new, groups=groups))


def test_a_data_set_goes_on_with_a_cascade_that_was_pickled(tmp_path):
    texts = ["rain again", "a late goal", "sun at last", "a close race"] * 200
    words = make_pipeline(TfidfVectorizer(), LogisticRegression())
    clf = CascadeClassifier(
        clone(words), stages=[("tfidf", words), "estimator"], max_drop=0.1, rows_per_second=[10, 1]
    ).fit(texts, ["weather", "sport"] * 400)
    pd.DataFrame({"text": texts}).to_parquet(tmp_path / "texts.parquet")
    job = tmp_path / "texts.parquet", tmp_path / "out"
    output = clf.predict_dataset(*job, column="text")
    for part in output.glob("*.parquet"):
        part.unlink()
    joblib.dump(clf, tmp_path / "clf.joblib")
    code = (
        "import joblib, sys; joblib.load(sys.argv[1]).predict_dataset(*sys.argv[2:], column='text')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "clf.joblib", *job], check=True)
    assert pd.read_parquet(output)["prediction"].tolist() == clf.predict(texts).tolist()


def test_a_pickle_predicts_the_same(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(NEW), fitted.predict_proba(NEW))
    assert loaded.stage_report_ == fitted.stage_report_


def test_unfitted_it_says_so():
    for method in ("predict", "predict_proba", "predict_iter"):
        with pytest.raises(NotFittedError):
            getattr(cascade(), method)(X)


# Parameters


def test_parameters_of_stages_are_those_of_the_cascade():
    clf = cascade()
    params = clf.get_params()
    assert params["first__column"] == 0
    assert params["estimator__column"] == 2
    assert "first__column" not in clf.get_params(deep=False)
    clf.set_params(first__column=1, second=Column(7), max_drop=0.2)
    assert [entry[1].column for entry in clf.stages[:2]] == [1, 7]
    assert clf.max_drop == 0.2
    copy = clone(clf)
    assert copy.get_params()["second__column"] == 7
    assert copy.stages is not clf.stages


def test_stages_are_set_before_their_parameters():
    clf = cascade().set_params(third__column=7, stages=[("third", Column()), "estimator"])
    assert clf.get_params()["third__column"] == 7


def test_replacing_a_stage_leaves_the_list_that_was_given():
    given = stages()
    clf = CascadeClassifier(Column(2), stages=given)
    clf.set_params(first=Column(9))
    assert given[0][1].column == 0
    with pytest.raises(ValueError, match="Invalid parameter 'third'"):
        clf.set_params(third=Column())


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"max_drop": -0.1}, ValueError, "`max_drop` must be None or a number of at least 0"),
        (
            {"max_drop": 1},
            ValueError,
            "`max_drop` must be None or a number of at least 0 and below 1",
        ),
        ({"max_drop": "small"}, TypeError, "`max_drop` must be None or a number"),
        ({"max_drop": None}, ValueError, "`max_drop` and `min_rows_per_second` are both None"),
        ({"min_rows_per_second": 0}, ValueError, "`min_rows_per_second` must be"),
        ({"validation_fraction": 1}, ValueError, "`validation_fraction` must be"),
        ({"rows_per_second": [1, 2]}, ValueError, "got 2 numbers for the 3 stages"),
        ({"rows_per_second": [1, 2, 0]}, ValueError, "numbers above 0"),
        ({"rows_per_second": 7}, TypeError, "`rows_per_second` must be None or a list"),
        ({"random_state": "x"}, TypeError, "`random_state` must be"),
    ],
)
def test_invalid_parameters(params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        cascade(**params).fit(X, Y)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("tfidf", TypeError, "`stages` must be a list or None, got 'tfidf' (str)"),
        ([], ValueError, "a cascade needs two stages or more, but `stages` has []"),
        (["estimator"], ValueError, "a cascade needs two stages or more"),
        ([("a", Column()), ("b", Column())], ValueError, "no stage of `stages` uses `estimator`"),
        ([("a", Column()), ("a", Column()), "estimator"], ValueError, "has 'a' twice"),
        (["estimator", "estimator"], ValueError, "has 'estimator' twice"),
        (["words", "estimator"], ValueError, "`estimator`, a Column, has none"),
        ([10, "estimator"], ValueError, "`stages[0]` is 10, an operating point, but `estimator`"),
        (["fast", "estimator"], ValueError, "`stages[0]` is 'fast'; each stage must be"),
        ([0, "estimator"], ValueError, "`stages[0]` is 0; each stage must be"),
        ([2.5, "estimator"], TypeError, "`stages[0]` is 2.5; each stage must be"),
        ([("a", SVC()), "estimator"], TypeError, "the stage 'a' of `stages` is a SVC, which has"),
        ([("a", Column), "estimator"], TypeError, "is the class Column; give an instance"),
        ([("max_drop", Column()), "estimator"], ValueError, "called 'max_drop', which is"),
        ([("estimator", Column()), "estimator"], ValueError, "called 'estimator', which is"),
        ([("a__b", Column()), "estimator"], ValueError, "called 'a__b', which is"),
        ([("words", Column()), "estimator"], ValueError, "called 'words', which is"),
    ],
)
def test_invalid_stages(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        CascadeClassifier(Column(2), stages=given).fit(X, Y)


def test_an_estimator_without_points_needs_stages():
    with pytest.raises(ValueError, match="`stages` is None, which stands for the operating points"):
        CascadeClassifier(Column(2)).fit(X, Y)
    pipeline = make_pipeline(MuxTextClassifier(operating_points=(1, 2)))
    pipeline.fit = None  # never called
    with pytest.raises(ValueError, match="but a Pipeline has none; list the stages"):
        CascadeClassifier(pipeline).fit(X, Y)
    with pytest.raises(TypeError, match="`estimator` is a SVC, which has no predict_proba"):
        CascadeClassifier(SVC()).fit(X, Y)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.where(Y == "yes", "ja", "nein"), "['ja', 'nein']"),
        (np.where(np.arange(len(Y)) == 0, "zero", Y), "['no', 'yes', 'zero']"),
    ],
)
def test_stages_of_different_classes(labels, classes):
    other = FrozenEstimator(Column().fit(X, labels))
    clf = CascadeClassifier(Column(2), stages=[("other", other), "estimator"])
    message = re.escape(f"the stage 'other' has the classes {classes} and")
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y)


def test_labels_that_frozen_stages_do_not_know():
    frozen = [FrozenEstimator(Column(i).fit(X, Y)) for i in range(2)]
    clf = CascadeClassifier(frozen[1], stages=[("first", frozen[0]), "estimator"])
    with pytest.raises(
        ValueError, match=r"`y` has the label 'maybe', .* they know \['no', 'yes'\]"
    ):
        clf.fit(X, np.where(np.arange(len(Y)) == 3, "maybe", Y))


def test_no_row_can_be_set_aside():
    with pytest.raises(ValueError, match=r"no row can be set aside .* n_samples=2"):
        cascade().fit(X[:2], ["no", "yes"])


def test_nan_probabilities_name_the_stage(fitted):
    broken = X * [1, np.nan, 1]
    expected = "the stage 'second' predicts NaN or infinite probabilities for 300 of 300 rows"
    with pytest.raises(ValueError, match=expected):
        cascade().fit(broken, Y)
    with pytest.raises(ValueError, match="the stage 'first' predicts NaN"):
        fitted.predict(np.full((3, 3), np.nan))


def test_a_speed_out_of_reach_leaves_nothing_half_fitted():
    clf = cascade(min_rows_per_second=900)
    with pytest.raises(ValueError, match=r"and `max_drop` is 0\.01; within that drop"):
        clf.fit(X, Y)
    assert not hasattr(clf, "estimator_")


def test_groups_without_a_stage_that_mixes_rows(fitted):
    with pytest.raises(ValueError, match="`groups` was given, but no stage of this cascade"):
        fitted.predict(NEW, groups=np.zeros(len(NEW)))
