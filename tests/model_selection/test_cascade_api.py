"""The cascade in scikit-learn's own tools."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import is_classifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from muxlearn.model_selection import CascadeClassifier
from tests.model_selection.columns import Column, draw

# The rows of the checks are few, which the cascade says.
pytestmark = pytest.mark.filterwarnings("ignore:thresholds are learned from")

X, Y = draw(600)


def cascade(**params):
    params = {"rows_per_second": [2, 1], "random_state": 0, "max_drop": 0.02, **params}
    return CascadeClassifier(Column(2), stages=[("first", Column(0)), "estimator"], **params)


def of_arrays():
    stages = [("blunt", LogisticRegression(C=1e-2)), "estimator"]
    return CascadeClassifier(
        LogisticRegression(), stages=stages, rows_per_second=[2, 1], random_state=0
    )


SET_ASIDE = (
    "copies of a row may be set aside and trained on, a row with a weight is one or the other"
)


@parametrize_with_checks(
    [of_arrays()],
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": SET_ASIDE,
        "check_sample_weight_equivalence_on_sparse_data": SET_ASIDE,
    },
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


def test_tags_are_those_of_the_classifiers():
    assert is_classifier(cascade())
    assert sklearn.utils.get_tags(of_arrays()).input_tags.sparse
    assert not sklearn.utils.get_tags(cascade()).input_tags.sparse


def test_features_of_an_earlier_fit_are_forgotten():
    clf = of_arrays().fit(pd.DataFrame(X, columns=list("abc")), Y)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(clf.fit(X, Y), "feature_names_in_")
    assert clf.n_features_in_ == 3
    clf.set_params(estimator=Column(2)).fit(X, Y)  # which counts no features
    assert not hasattr(clf, "n_features_in_")


def test_searched_and_scored_like_any_classifier():
    assert cross_val_score(cascade(), X, Y, cv=3, error_score="raise").min() > 0.7
    grid = {"max_drop": [0.0, 0.2], "estimator__column": [1, 2], "first__column": [0]}
    search = GridSearchCV(cascade(), grid, cv=2, error_score="raise").fit(X, Y)
    assert search.best_params_["estimator__column"] == 2
    assert len(search.predict(X)) == len(X)


def test_weights_of_a_score_that_are_no_numbers_are_refused():
    weights = pd.DataFrame({"a": [[1, None]] * len(X)})
    with pytest.raises(ValueError, match="`sample_weight` must be one number for each row"):
        cascade().fit(X, Y).score(X, Y, sample_weight=weights)


def test_labels_of_a_score_that_have_no_order_are_refused():
    labels = np.array([frozenset(), 1] * (len(X) // 2), object)
    with pytest.raises(TypeError, match="row 1 of `y` is 1, but others are sets of labels"):
        cascade().fit(X, Y).score(X, labels)


def test_max_drop_is_searched_without_fitting_again():
    frozen = [FrozenEstimator(Column(i).fit(X, Y)) for i in range(2)]
    clf = CascadeClassifier(frozen[1], stages=[("first", frozen[0]), "estimator"])
    search = GridSearchCV(clf, {"max_drop": [0.0, 0.05]}, cv=2, error_score="raise").fit(X, Y)
    assert search.best_estimator_.estimator_ is frozen[1]


def test_inside_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), of_arrays()).fit(X, Y)
    assert pipeline.score(X, Y) > 0.8
    assert pipeline[-1].n_features_in_ == 3


def test_frames_keep_the_names_of_their_columns():
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(len(X))[::-1])
    clf = of_arrays().fit(frame, pd.Series(Y))
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    assert len(clf.predict(frame)) == len(X)


def test_a_classifier_without_weights_is_fitted_without_them():
    clf = CascadeClassifier(
        Column(2), stages=[("near", KNeighborsClassifier()), "estimator"], random_state=0
    )
    with pytest.warns(UserWarning, match="the `fit` of 'near', a KNeighborsClassifier, takes no"):
        clf.fit(X, Y, sample_weight=np.full(len(X), 2.0))
    assert clf.estimator_.weight_ == 2 * 480


# Routing


def test_weights_are_routed_to_those_that_request_them():
    weights = np.full(len(X), 2.0)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = CascadeClassifier(
            Column(2).set_fit_request(sample_weight=True),
            stages=[("first", Column(0).set_fit_request(sample_weight=False)), "estimator"],
            random_state=0,
        )
        clf.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(clf).fit(X, Y, sample_weight=weights)
        first, last = (stage.classifier for stage in pipeline[-1].stages_)
        assert (first.weight_, last.weight_) == (None, 960)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cascade().fit(X, Y, sample_weight=weights)


def test_frozen_classifiers_are_routed_nothing_to_their_fit():
    frozen = FrozenEstimator(Column(2).fit(X, Y))
    with sklearn.config_context(enable_metadata_routing=True):
        clf = cascade().set_params(estimator=frozen).fit(X, Y)
    assert clf.estimator_ is frozen
