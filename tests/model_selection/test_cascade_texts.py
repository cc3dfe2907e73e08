"""The cascade over the operating points of one multiplexed model."""

import copy
import pickle

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.model_selection import CascadeClassifier, _streams
from muxlearn.model_selection._stages import find_mixing, find_stages, read_stages
from muxlearn.testing import parametrize_with_text_checks

pytestmark = pytest.mark.filterwarnings("ignore:thresholds are learned from")

TEXTS = [f"{noun} {other}" for noun in ("snow", "sun", "goal", "corner") for other in "abcdefghij"]
TOPICS = np.array(["weather"] * 20 + ["sport"] * 20)


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    """Make a cascade over a tiny model; parameters of the model as given."""

    def make(stages=None, *, cascade=None, **params):
        params = {"n_mux": 4, "operating_points": (1, 2, 4), "warm_up": None, **params}
        cascade = {"max_drop": 0.1, "random_state": 0, **(cascade or {})}
        return CascadeClassifier(tiny_classifier(**params), stages=stages, **cascade)

    return make


@pytest.fixture(scope="module")
def fitted(tiny):
    return tiny(max_epochs=8, lr=1e-2).fit(TEXTS, TOPICS)


def watch(clf, monkeypatch):
    """Note the rows and the arguments of each call of the model."""
    asked = []
    own = type(clf.estimator_).predict_proba

    def noted(self, X, n_mux=None, groups=None, *args, **kwargs):
        asked.append((n_mux, list(X), groups))
        return own(self, X, n_mux, groups, *args, **kwargs)

    monkeypatch.setattr(type(clf.estimator_), "predict_proba", noted)
    return asked


def test_a_stage_may_read_other_columns(tiny):
    frame = pd.DataFrame({"text": TEXTS, "length": [len(text) for text in TEXTS]})
    other = ColumnTransformer(
        [("text", TfidfVectorizer(), "text"), ("length", StandardScaler(), ["length"])]
    )
    first = make_pipeline(other, LogisticRegression())
    clf = tiny([("other", first), "estimator"], cascade={"rows_per_second": [2, 1]})
    predicted = clf.fit(frame, TOPICS).predict(frame)
    assert list(clf.predict_iter(frame)) == predicted.tolist()
    assert clf.stages_[0].classifier[0].n_features_in_ == 2


def test_points_that_are_set_after_fit_are_no_stages(fitted, tmp_path):
    model = copy.deepcopy(fitted.estimator_).set_params(operating_points=(1, 3))
    model.save(tmp_path)
    for same in (model, MuxTextClassifier.load(tmp_path)):
        assert [stage.name for stage in find_stages(same)] == [4, 2, 1]


def test_labels_of_another_type_are_told(fitted):
    with pytest.raises(ValueError, match="labels of type int, but the model predicts str"):
        fitted.score(TEXTS, np.arange(40) % 2)


# Stages


def test_the_stages_are_the_points_of_the_model_from_the_fastest(fitted):
    assert [stage.n_mux for stage in fitted.stages_] == [4, 2, 1]
    assert list(fitted.stage_report_) == [4, 2, 1]
    assert all(stage.classifier is fitted.estimator_ for stage in fitted.stages_)
    assert fitted.score(TEXTS, TOPICS) > 0.8


def test_pairs_and_the_words_alone_are_stages(tiny):
    clf = tiny(
        n_mux=2,
        operating_points=((1, 1), (1, 2), (2, 2), "words"),
    ).fit(TEXTS, TOPICS)
    assert list(clf.stage_report_) == ["words", (2, 2), (1, 2), (1, 1)]
    for point in clf.stage_report_:
        assert clf.estimator_.predict_proba(TEXTS[:3], n_mux=point).shape == (3, 2)
    assert len(clf.predict(TEXTS)) == len(TEXTS)
    chosen = tiny(
        ["words", (2, 2), [1, 1]],
        n_mux=2,
        operating_points=((1, 1), (2, 2), "words"),
    ).fit(TEXTS, TOPICS)
    assert list(chosen.stage_report_) == ["words", (2, 2), (1, 1)]


def test_another_classifier_may_come_first(tiny):
    tfidf = make_pipeline(TfidfVectorizer(analyzer="char"), LogisticRegression())
    clf = tiny([("tfidf", tfidf), 4, 1]).fit(TEXTS, TOPICS)
    assert [(stage.name, stage.n_mux) for stage in clf.stages_] == [
        ("tfidf", None),
        (4, 4),
        (1, 1),
    ]
    assert clf.get_params()["tfidf__logisticregression__C"] == 1
    assert set(clf.predict(TEXTS)) <= set(TOPICS)


def test_a_fitted_model_learns_thresholds_alone(tiny, fitted):
    frozen = FrozenEstimator(fitted.estimator_)
    clf = CascadeClassifier(frozen, max_drop=0.1).fit(TEXTS, TOPICS)
    assert clf.estimator_ is frozen
    assert list(clf.stage_report_) == [4, 2, 1]
    assert clf.cascade_report_["n_rows"] == len(TEXTS)
    some = CascadeClassifier(frozen, stages=[3, 1], max_drop=0.1).fit(TEXTS, TOPICS)
    assert list(some.stage_report_) == [3, 1]


def test_a_model_at_the_end_of_a_pipeline(tiny):
    model = tiny().estimator
    pipeline = make_pipeline(FunctionTransformer(np.asarray), model)
    clf = CascadeClassifier(pipeline, stages=[4, 1], random_state=0).fit(TEXTS, TOPICS)
    assert clf.predict_proba(TEXTS, groups=[0, 1] * 20).shape == (40, 2)


def test_what_fit_is_given_beside_goes_to_the_model(tiny):
    model = tiny(warm_up=1)
    assert model.fit(TEXTS, TOPICS, unlabeled=["more rain"] * 8).estimator_.warm_up_history_
    with pytest.raises(TypeError, match="no_such_argument"):
        model.fit(TEXTS, TOPICS, no_such_argument=1)


def test_a_fitted_search_is_a_stage(tiny):
    search = GridSearchCV(tiny().estimator, {"n_mux": [4]}, cv=2).fit(TEXTS, TOPICS)
    clf = CascadeClassifier(FrozenEstimator(search), max_drop=0.1).fit(TEXTS, TOPICS)
    assert list(clf.stage_report_) == [4, 2, 1]
    assert clf.predict_proba(TEXTS, groups=[0, 1] * 20).shape == (40, 2)


def test_a_search_that_is_not_fitted_may_be_asked_for_points(tiny):
    search = GridSearchCV(tiny().estimator, {"lr": [1e-3]}, cv=2)
    clf = CascadeClassifier(search, stages=[4, 1], max_drop=0.1).fit(TEXTS, TOPICS)
    assert list(clf.stage_report_) == [4, 1]


def test_images():
    images, digits = load_digits(return_X_y=True)
    images, digits = images[:200].reshape(-1, 8, 8), digits[:200]
    model = MuxImageClassifier(2, architecture="mlp", operating_points=(1, 2), max_epochs=5)
    clf = CascadeClassifier(model, max_drop=0.1, random_state=0).fit(images, digits)
    assert list(clf.stage_report_) == [2, 1]
    clf.thresholds_ = np.array([0.9])
    assert clf.predict_proba(images).shape == (200, 10)
    np.testing.assert_array_equal(list(clf.predict_iter(iter(images))), clf.predict(images))


def test_points_that_cannot_be(tiny, tiny_tagger, fitted):
    with pytest.raises(ValueError, match=r"`stages\[0\]` is 9, an operating point of more rows"):
        tiny([9, 1]).fit(TEXTS, TOPICS)
    for unknown in ((1, 3), "words"):
        cascade = tiny([unknown, 1])
        cascade.estimator.fit = None  # never called
        with pytest.raises(ValueError, match=r"`stages\[0\]` is .*, which `estimator` is not tra"):
            cascade.fit(TEXTS, TOPICS)
    with pytest.raises(
        ValueError, match=r"`stages` holds .* which `estimator` cannot predict at: `patch_size`"
    ):
        CascadeClassifier(FrozenEstimator(fitted.estimator_), stages=[(1, 3), 1]).fit(TEXTS, TOPICS)
    for one in tiny(n_mux=1, operating_points=None), CascadeClassifier(MuxTextClassifier()):
        one.estimator.fit = None
        with pytest.raises(ValueError, match="has a single operating point"):
            one.fit(TEXTS, TOPICS)
    frozen = FrozenEstimator(fitted.estimator_)
    with pytest.raises(ValueError, match="`stages` has 4 twice"):
        CascadeClassifier(frozen, stages=[4, (4, 1), 1]).fit(TEXTS, TOPICS)
    with pytest.raises(ValueError, match=r"got 2 numbers for the 3 stages \[4, 2, 1\]"):
        CascadeClassifier(frozen, rows_per_second=[2, 1]).fit(TEXTS, TOPICS)
    single = tiny(n_mux=1, operating_points=None, max_epochs=0).estimator.fit(TEXTS, TOPICS)
    with pytest.raises(ValueError, match="has a single operating point"):
        CascadeClassifier(FrozenEstimator(single)).fit(TEXTS, TOPICS)
    with pytest.raises(TypeError, match="`estimator` is a MuxTokenTagger, which is not a class"):
        CascadeClassifier(tiny_tagger()).fit(TEXTS, TOPICS)


@pytest.mark.parametrize(
    ("params", "patch_size", "known"),
    [
        ({}, 2, True),  # `fit` chooses the points
        ({"n_mux": 2, "patch_size": 3}, 3, True),
        ({"n_mux": 2, "patch_size": 3}, 2, False),
        ({"operating_points": ((1, 1), (1, 2))}, 2, True),
        ({"operating_points": ((1, 1), (1, 2))}, 3, False),
    ],
)
def test_patch_sizes_that_a_fit_will_not_give_are_refused_before_it(params, patch_size, known):
    given = [(1, patch_size), (1, 1)], MuxTextClassifier(**params), ()
    if known:
        assert [stage.n_mux for stage in read_stages(*given)] == given[0]
        return
    with pytest.raises(ValueError, match="which `estimator` is not trained at"):
        read_stages(*given)


# Prediction


def test_a_stage_mixes_only_the_rows_that_reach_it(fitted, monkeypatch):
    clf = pickle.loads(pickle.dumps(fitted))
    first = clf.estimator_.predict_proba(TEXTS, n_mux=4) ** (1 / clf.temperatures_[0])
    sure = (first / first.sum(axis=1, keepdims=True)).max(axis=1)
    clf.thresholds_ = np.array([np.median(sure), np.inf])
    asked = watch(clf, monkeypatch)
    clf.predict(TEXTS)
    left = [text for text, stops in zip(TEXTS, sure >= np.median(sure), strict=True) if not stops]
    assert [(n_mux, rows) for n_mux, rows, _ in asked] == [(4, TEXTS), (1, left)]


def test_groups_never_share_a_mixture_at_any_stage(fitted, monkeypatch):
    clf = pickle.loads(pickle.dumps(fitted))
    groups = np.arange(len(TEXTS)) % 3
    sure = clf.estimator_.predict_proba(TEXTS, n_mux=4, groups=groups).max(axis=1)
    # Some rows stop at the first stage, none at the second.
    clf.temperatures_, clf.thresholds_ = np.ones(3), np.array([np.median(sure), 2.0])
    asked = watch(clf, monkeypatch)
    together = clf.predict_proba(TEXTS, groups=groups)
    of = dict(zip(TEXTS, groups, strict=True))
    assert [len(rows) for _, rows, _ in asked] == [40, 20, 20]
    for _, rows, codes in asked:
        assert [of[text] for text in rows] == codes.tolist()
    # Rows of other groups change nothing.
    for group in range(3):
        own = [text for text in TEXTS if of[text] == group]
        alone = clf.predict_proba(own, groups=[group] * len(own))
        np.testing.assert_allclose(together[groups == group], alone, atol=1e-5)


#: Classifiers that hold models, and take no `groups`.
HIDING = {
    "calibrated": lambda model: CalibratedClassifierCV(model, cv=2),
    "voting": lambda model: VotingClassifier([("model", model)], voting="soft"),
    "features": lambda model: make_pipeline(model, LogisticRegression()),
}


@pytest.fixture(scope="module")
def hiding(tiny_classifier, fitted):
    """Make a cascade with a first stage that hides a model of some `n_mux`."""

    def make(hide, n_mux):
        model = tiny_classifier(n_mux=n_mux, max_epochs=0, warm_up=None)
        stages = [("hiding", HIDING[hide](model)), 1]
        frozen = FrozenEstimator(fitted.estimator_)
        clf = CascadeClassifier(
            frozen, stages=stages, max_drop=0.5, rows_per_second=[9, 1], random_state=0
        ).fit(TEXTS, TOPICS)
        clf.thresholds_ = np.array([0.9])
        return clf

    return make


@pytest.mark.parametrize("hide", HIDING)
def test_a_stage_that_would_mix_groups_unseen_is_refused(hiding, hide, tmp_path):
    clf, groups, table = hiding(hide, 2), [0, 1] * 20, tmp_path / "texts.parquet"
    pd.DataFrame({"text": TEXTS, "group": groups}).to_parquet(table)
    message = r"the stage 'hiding' is .* holds a MuxTextClassifier that would mix rows"
    for predict in (
        lambda: clf.predict_proba(TEXTS, groups=groups),
        lambda: clf.score(TEXTS, TOPICS, groups=groups),
        lambda: clf.predict_iter(TEXTS, groups=groups),
        lambda: clf.predict_dataset(table, tmp_path / "labels", column="text", groups="group"),
    ):
        with pytest.raises(ValueError, match=message):
            predict()
    clf.thresholds_ = np.array([np.inf])  # it does not run
    assert len(clf.predict(TEXTS, groups=groups)) == len(TEXTS)


@pytest.mark.parametrize(
    "hold", [lambda model: [model], lambda model: {"a": model}, lambda model: np.array([model])]
)
def test_a_model_is_found_wherever_a_classifier_keeps_it(fitted, hold):
    holder = LogisticRegression()
    holder.held = hold(fitted.estimator_)
    holder.itself = holder
    assert find_mixing(holder) is fitted.estimator_


@pytest.mark.parametrize("hide", HIDING)
def test_a_stage_that_mixes_no_rows_may_hide_its_model(hiding, hide):
    assert len(hiding(hide, 1).predict(TEXTS, groups=[0, 1] * 20)) == len(TEXTS)


def test_groups_are_routed(tiny, monkeypatch):
    with sklearn.config_context(enable_metadata_routing=True):
        clf = tiny()
        with pytest.raises(UnsetMetadataPassedError, match="groups"):
            clf.fit(TEXTS, TOPICS).predict(TEXTS, groups=[0] * len(TEXTS))
        clf.estimator.set_predict_proba_request(groups=True)
        pipeline = make_pipeline(clf.set_predict_request(groups=True)).fit(TEXTS, TOPICS)
        with pytest.raises(ValueError, match="`groups` needs one label for each"):
            pipeline.predict(TEXTS, groups=[0])
        with pytest.raises(UnsetMetadataPassedError, match="groups"):
            tiny().fit(TEXTS, TOPICS).predict_iter(TEXTS, groups=[0] * len(TEXTS))
        asked = watch(pipeline[-1], monkeypatch)
        list(pipeline[-1].predict_iter(TEXTS, groups=[0] * len(TEXTS)))
        assert all(codes is not None for _, _, codes in asked)
        assert len(pipeline.predict(TEXTS, groups=[0] * len(TEXTS))) == len(TEXTS)


def test_streams_and_errors_in_them(fitted, monkeypatch):
    monkeypatch.setattr(_streams, "WINDOW_ROWS", 16)
    labels = list(fitted.predict_iter(iter(TEXTS), groups=iter([0] * len(TEXTS))))
    assert len(labels) == len(TEXTS)
    with pytest.raises(ValueError, match="row 20 of `X` is missing"):
        list(fitted.predict_iter([*TEXTS[:20], None]))
    with pytest.raises(ValueError, match="ends after 3 labels"):
        list(fitted.predict_iter(TEXTS, groups=[0] * 3))
    with pytest.raises(ValueError, match="`method` must be one of"):
        fitted.predict_iter(TEXTS, method="decision_function")


def test_rows_of_others_in_a_stream_change_nothing(fitted, monkeypatch):
    monkeypatch.setattr(_streams, "WINDOW_ROWS", 8)
    cascade = pickle.loads(pickle.dumps(fitted))
    cascade.thresholds_ = np.array([0.97, 0.97])  # rows stop at each stage
    cascade.temperatures_ = np.ones(3)  # those of so small a model make all of them sure
    own = np.resize(TEXTS, 60).tolist()
    alone = list(cascade.predict_iter(own, groups=["own"] * 60, method="predict_proba"))
    # No window begins where it did, and eight of one's own are never two windows apart.
    places = np.arange(80) % 4 != 3
    others, mine = iter(TEXTS), iter(own)
    texts = [next(mine if is_own else others) for is_own in places]
    names = np.where(places, "own", "other").tolist()
    beside = list(cascade.predict_iter(iter(texts), groups=iter(names), method="predict_proba"))
    np.testing.assert_allclose(np.array(beside)[places], alone, atol=1e-5)


def test_data_sets(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(_streams, "WINDOW_ROWS", 16)
    file = tmp_path / "texts.parquet"
    tenants = ["a", "b"] * 20
    pd.DataFrame({"text": TEXTS, "id": range(40), "tenant": tenants}).to_parquet(file)
    output = fitted.predict_dataset(
        file, tmp_path / "labels", keep=["id"], groups="tenant", rows_per_part=16
    )
    table = pq.read_table(output).to_pydict()
    assert table["id"] == list(range(40))
    assert table["prediction"] == list(fitted.predict_iter(TEXTS, groups=tenants))
    proba = fitted.predict_dataset(file, tmp_path / "proba", method="predict_proba")
    assert len(pq.read_table(proba)["probabilities"][0]) == 2
    table = fitted.predict_dataset(file, tmp_path / "csv", groups="tenant", form="csv")
    assert [part.suffix for part in table.iterdir()].count(".csv") == 1
    # Another threshold is another job.
    other = pickle.loads(pickle.dumps(fitted))
    other.thresholds_ = np.array([0.5, 0.75])
    with pytest.raises(ValueError, match="holds the parts of another job"):
        other.predict_dataset(file, output, keep=["id"], groups="tenant", rows_per_part=16)
    with pytest.raises(ValueError, match="`column` 'no' is not a column"):
        fitted.predict_dataset(file, tmp_path / "other", column="no")


def test_a_pickle_predicts_the_same(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS), atol=1e-6)


# scikit-learn's tools


def test_parameters_of_the_model_are_searched(tiny):
    grid = {"max_drop": [0.1], "estimator__n_mux": [2, 4]}
    search = GridSearchCV(tiny(operating_points=None), grid, cv=2, error_score="raise")
    search.fit(TEXTS, TOPICS)
    assert search.best_estimator_.stages_[0].n_mux == search.best_params_["estimator__n_mux"]


COMPANIONS = "a prediction depends on the rows that share its mixture"


def checked():
    """A cascade with its requests, for one of the checks routes metadata."""
    backbone = Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MuxTextClassifier(
            2, backbone=backbone, max_length=16, max_epochs=1, batch_size=8, warm_up=None
        ).set_fit_request(sample_weight=True)
    return CascadeClassifier(model, rows_per_second=[2, 1], validation_fraction=0.3)


@parametrize_with_text_checks(
    [checked()],
    expected_failed_checks={
        "check_methods_sample_order_invariance": COMPANIONS,
        "check_methods_subset_invariance": COMPANIONS,
        "check_sample_weight_equivalence": "a copy of a row may be set aside and another not",
    },
)
def test_scikit_learn_api(estimator, check):
    check(estimator)
