"""The classifier in scikit-learn's own tools, with real processes."""

from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 6
TOPICS = np.array(["weather", "sport"] * 12)


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return partial(tiny_classifier, warm_up=None, batch_size=4)


def shout(texts):
    return [text.upper() for text in texts]


@pytest.mark.slow
def test_grid_search_over_mux_parameters_in_two_processes(tiny):
    grid = {
        "n_mux": [1, 2],
        "multiplexer": ["subspace", "hadamard"],
        "demultiplexer": ["rsa", "mlp"],
        "lr": [1e-3],
    }
    search = GridSearchCV(tiny(), grid, cv=2, n_jobs=2, error_score="raise").fit(TEXTS, TOPICS)
    assert len(search.cv_results_["params"]) == 8
    assert search.best_estimator_.n_mux == search.best_params_["n_mux"]
    assert len(search.predict(TEXTS)) == len(TEXTS)


@pytest.mark.slow
def test_scores_do_not_depend_on_the_number_of_processes(tiny):
    alone, together = (cross_val_score(tiny(), TEXTS, TOPICS, cv=2, n_jobs=n) for n in (1, 2))
    np.testing.assert_allclose(alone, together)


def test_pipeline_searches_over_the_classifier_behind_a_transformer(tiny):
    pipeline = make_pipeline(FunctionTransformer(shout), tiny())
    grid = {"muxtextclassifier__n_mux": [1, 3]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(TEXTS, TOPICS)
    assert search.predict(["late goal"])[0] in TOPICS


def test_groups_reach_predict_through_a_pipeline(tiny):
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = tiny().set_predict_request(groups=True)
        pipeline = make_pipeline(FunctionTransformer(shout), classifier).fit(TEXTS, TOPICS)
        with pytest.raises(ValueError, match="`groups` needs one label for each"):
            pipeline.predict(TEXTS, groups=[0])


def test_series_and_frame_of_pairs_fit(tiny):
    texts = pd.Series(TEXTS, index=np.arange(len(TEXTS))[::-1])
    assert len(tiny().fit(texts, pd.Series(TOPICS)).predict(texts)) == len(TEXTS)
    pairs = pd.DataFrame({"first": TEXTS, "second": TEXTS[::-1]})
    assert len(tiny().fit(pairs, TOPICS).predict(pairs)) == len(TEXTS)


@pytest.mark.slow
def test_fitted_estimator_travels_to_other_processes(tiny):
    classifier = tiny().fit(TEXTS, TOPICS)
    parts = joblib.Parallel(n_jobs=2)(
        joblib.delayed(classifier.predict_proba)(TEXTS[start::2], n_mux=1) for start in (0, 1)
    )
    np.testing.assert_allclose(
        np.concatenate(parts),
        classifier.predict_proba([*TEXTS[0::2], *TEXTS[1::2]], n_mux=1),
        atol=1e-5,
    )
