"""Cloning, pickling, and work inside scikit-learn's own tools."""

from __future__ import annotations

import pickle
from copy import deepcopy
from inspect import Parameter, signature
from io import BytesIO
from typing import Any

import joblib
import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_html_repr
from sklearn.utils.metadata_routing import MetadataRequest

from muxlearn.testing._common import METHODS, assert_same, fitted, fresh, outputs


def check_estimator_cloneable(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Clones have the parameters of their original and nothing that was fitted."""
    unfitted = clone(estimator_orig)
    of_fitted = clone(fitted(estimator_orig, X, y))
    extra = set(vars(of_fitted)) - set(vars(unfitted))
    assert not extra, f"clone of a fitted {name} keeps {sorted(extra)}"
    assert of_fitted.get_params().keys() == unfitted.get_params().keys()


def check_estimator_repr(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Text and HTML representations work before and after ``fit``."""
    for estimator in (clone(estimator_orig), fitted(estimator_orig, X, y)):
        assert name in repr(estimator), f"repr of {name} lacks its name: {estimator!r}"
        assert name in estimator_html_repr(estimator), f"the HTML repr of {name} lacks its name"


def check_estimators_pickle(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Pickled or dumped with joblib, a fitted estimator predicts what it did before."""
    estimator = fitted(estimator_orig, X, y)
    expected = outputs(estimator, X)
    assert_same(outputs(pickle.loads(pickle.dumps(estimator)), X), expected, f"{name} unpickled")
    file = BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    assert_same(outputs(joblib.load(file), X), expected, f"{name} loaded with joblib")


def check_estimators_deepcopy(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Deep copies predict the same, and go on to when the original is fitted anew."""
    estimator = fitted(estimator_orig, X, y)
    expected = outputs(estimator, X)
    copy = deepcopy(estimator)
    estimator.fit(X[::2], y[::2])
    assert_same(outputs(copy, X), expected, f"deep copy of {name}")


def check_pipeline_consistency(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """At the end of a pipeline the estimator predicts what it does alone."""
    expected = outputs(fitted(estimator_orig, X, y), X)
    pipeline = make_pipeline(FunctionTransformer(), fresh(estimator_orig)).fit(X, y)
    assert_same(outputs(pipeline, X), expected, f"{name} in a pipeline")


def check_cross_validation(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """`cross_val_score` splits the rows, fits and scores."""
    scores = cross_val_score(fresh(estimator_orig), X, y, cv=2, error_score="raise")
    assert np.isfinite(scores).all(), f"{name} scores {scores} in two folds"


def check_grid_search(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """`GridSearchCV` sets a parameter, refits the best and predicts with it."""
    estimator = fresh(estimator_orig)
    grid = {"random_state": [0, 1]} if "random_state" in estimator.get_params() else {}
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(X, y)
    assert np.isfinite(search.best_score_), f"{name} has the best score {search.best_score_}"
    assert len(search.predict(X)) == len(X), f"{name} loses rows in a grid search"


def check_metadata_routing(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Every extra argument of ``fit``, ``score`` and prediction can be requested and routed."""
    with config_context(enable_metadata_routing=True):
        estimator = fresh(estimator_orig)
        for method in ("fit", "score", *METHODS):
            if hasattr(estimator, method):
                _assert_requestable(estimator, method)
        if "sample_weight" in signature(estimator.fit).parameters:
            estimator.set_fit_request(sample_weight=True)
            pipeline = Pipeline([("estimator", estimator)])
            pipeline.fit(X, y, sample_weight=np.ones(len(X)))
            assert len(pipeline.predict(X)) == len(X)


def _assert_requestable(estimator: Any, method: str) -> None:
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    parameters = signature(getattr(estimator, method)).parameters.values()
    extra = {p.name for p in parameters if p.kind in named} - {"X", "y"}
    name = type(estimator).__name__
    routing = estimator.get_metadata_routing()
    if isinstance(routing, MetadataRequest):
        requests = getattr(routing, method).requests
        assert set(requests) == extra, f"{name}.{method} takes {extra}, its routing has {requests}"
    for key in extra:
        copy = clone(estimator)
        getattr(copy, f"set_{method}_request")(**{key: True})
        consumed = clone(copy).get_metadata_routing().consumes(method, [key])
        assert consumed == {key}, f"{name}.set_{method}_request({key}=True) requests nothing"


CHECKS = (
    check_estimator_cloneable,
    check_estimator_repr,
    check_estimators_pickle,
    check_estimators_deepcopy,
    check_pipeline_consistency,
    check_cross_validation,
    check_grid_search,
    check_metadata_routing,
)
