"""Labels, scores and class weights: what only classifiers promise."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from unittest import SkipTest

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score

from muxlearn.testing._common import (
    assert_same,
    fitted,
    fresh,
    need,
    object_array,
    outputs,
    rejects,
    replace,
)


def check_classifiers_classes(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``classes_`` is sorted, and labels come back with the type and dtype they were given."""
    codes = np.unique(y, return_inverse=True)[1]
    for labels in _relabelled(codes):
        estimator = fitted(estimator_orig, X, labels)
        expected, predicted = np.unique(labels), estimator.predict(X)
        what = f"{name} fitted on labels of dtype {np.asarray(labels).dtype}"
        assert_same(estimator.classes_, expected, f"{what}: classes_")
        assert isinstance(predicted, np.ndarray), f"{what}: predict returns {type(predicted)}"
        for kind, array in (("classes_", estimator.classes_), ("predict", predicted)):
            assert array.dtype == expected.dtype, f"{what}: {kind} is of dtype {array.dtype}"
        types = {type(label) for label in predicted} - {type(label) for label in expected}
        assert not types, f"{what}: predict returns labels of type {types}"
        assert predicted.shape == (len(X),), f"{what}: predict has shape {predicted.shape}"
        assert np.isin(predicted, expected).all(), f"{what}: predict returns other labels"


def _relabelled(codes: np.ndarray) -> Iterator[Any]:
    """Yield the codes 0, 1, ... as labels of every common type, classes out of order."""
    names = [f"{'zyxwv'[code % 5]}{code}" for code in codes]
    yield names
    yield np.array(names)
    yield object_array(names)
    yield codes == 0
    yield (codes * 17 - 5).astype(np.int64)
    yield codes.astype(np.int8)
    yield codes.astype(float) + 1


def check_classifiers_one_label(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """With a single class in ``y`` that class is always predicted, with probability 1."""
    label = np.asarray(y)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimator = fitted(estimator_orig, X, [label] * len(X))
    assert_same(estimator.predict(X), [label] * len(X), f"{name} fitted on one class")
    if hasattr(estimator, "predict_proba"):
        assert_same(estimator.predict_proba(X), np.ones((len(X), 1)), f"{name} fitted on one class")


def check_classifiers_regression_target(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Continuous targets are a `ValueError` that says so."""
    target = np.linspace(0.1, 0.9, len(X))
    with rejects(f"{name}.fit with a continuous y", naming="continuous|unknown label type"):
        fresh(estimator_orig).fit(X, target)


def check_supervised_y_no_nan(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """NaN or None among the labels is refused."""
    numbers = (np.arange(len(X)) % 2).astype(float)
    with rejects(f"{name}.fit with NaN in y"):
        fresh(estimator_orig).fit(X, np.array(replace(numbers, 1, np.nan)))
    for what, value in (("None", None), ("NaN", np.nan)):
        labels = object_array(replace(np.asarray(y).astype(str), 1, value))
        with rejects(f"{name}.fit with {what} among string labels", error=(ValueError, TypeError)):
            fresh(estimator_orig).fit(X, labels)


def check_supervised_y_2d(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """One column of labels is flattened with a `DataConversionWarning`; two are refused."""
    labels = np.asarray(y)
    expected = outputs(fitted(estimator_orig, X, labels), X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = fitted(estimator_orig, X, labels[:, np.newaxis])
    told = [w for w in caught if issubclass(w.category, DataConversionWarning)]
    assert told, f"{name}.fit takes a column vector y without a DataConversionWarning"
    assert_same(outputs(estimator, X), expected, f"{name} fitted on a column of labels")
    with rejects(f"{name}.fit with two columns of labels"):
        fresh(estimator_orig).fit(X, np.column_stack([labels, labels]))


def check_decision_function(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``decision_function`` is 1-D for two classes, by its sign, else argmaxed to ``predict``."""
    need(estimator_orig, "decision_function")
    for n_classes in (2, 3):
        labels = np.arange(len(X)) % n_classes
        estimator = fitted(estimator_orig, X, labels)
        decision = estimator.decision_function(X)
        shape = (len(X),) if n_classes == 2 else (len(X), n_classes)
        what = f"{name}.decision_function with {n_classes} classes"
        assert np.shape(decision) == shape, f"{what} has shape {np.shape(decision)}, not {shape}"
        chosen = (decision > 0).astype(int) if n_classes == 2 else decision.argmax(axis=1)
        assert_same(estimator.predict(X), estimator.classes_[chosen], f"{what} and predict differ")


def check_decision_proba_consistency(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """With two classes, rows rank alike by ``decision_function`` and by probability."""
    need(estimator_orig, "decision_function", "predict_proba")
    estimator = fitted(estimator_orig, X, np.arange(len(X)) % 2)
    proba = estimator.predict_proba(X)[:, 1]
    by_decision = proba[np.argsort(estimator.decision_function(X), kind="stable")]
    falls = np.diff(by_decision).min()
    assert falls >= -1e-6, f"{name}: a higher decision has a probability lower by {-falls}"


def check_score_is_accuracy(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``score`` is the accuracy of ``predict``, weighted if weights are given."""
    estimator = fitted(estimator_orig, X, y)
    weights = np.arange(len(X)) + 1.0
    predicted = estimator.predict(X)
    assert_same(estimator.score(X, y), accuracy_score(y, predicted), f"{name}.score")
    assert_same(
        estimator.score(X, y, sample_weight=weights),
        accuracy_score(y, predicted, sample_weight=weights),
        f"{name}.score with weights",
    )


def check_class_weight_classifiers(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``class_weight`` may be "balanced" or a dict by label, and shifts the probabilities."""
    if "class_weight" not in estimator_orig.get_params():
        raise SkipTest(f"{name} has no class_weight")
    label = np.unique(y)[0]
    weights = {label: 10.0, **dict.fromkeys(np.unique(y)[1:], 1.0)}
    given = deepcopy(weights)
    mean = {
        key: fitted(fresh(estimator_orig).set_params(class_weight=value), X, y)
        .predict_proba(X)[:, 0]
        .mean()
        for key, value in {"none": None, "dict": given, "balanced": "balanced"}.items()
    }
    assert given == weights, f"{name}.fit modifies class_weight"
    assert mean["dict"] > mean["none"], f"{name}: ten times the weight does not favour {label!r}"
    with rejects(f"{name}.fit with class_weight='no such option'"):
        fresh(estimator_orig).set_params(class_weight="no such option").fit(X, y)


CHECKS = (
    check_classifiers_classes,
    check_classifiers_one_label,
    check_classifiers_regression_target,
    check_supervised_y_no_nan,
    check_supervised_y_2d,
    check_decision_function,
    check_decision_proba_consistency,
    check_score_is_accuracy,
    check_class_weight_classifiers,
)
