"""A broken classifier fails the checks that it breaks and no other."""

import threading

import numpy as np
import pytest
import torch
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from muxlearn.testing import check_text_estimator
from tests.testing.letter_bayes import LetterBayes

ORDER = "check_methods_sample_order_invariance"
SUBSET = "check_methods_subset_invariance"
BROKEN = []


def fails(*checks):
    """Note that a class breaks what `checks` check, and nothing else."""

    def note(cls):
        BROKEN.append(pytest.param(cls, set(checks), id=cls.__name__))
        return cls

    return note


class Extra(LetterBayes):
    def __init__(self, alpha=1.0, class_weight=None, random_state=None, extra=None):
        super().__init__(alpha, class_weight, random_state)
        self.extra = extra


@fails("check_init_signature")
class TakesKwargs(LetterBayes):
    def __init__(self, alpha=1.0, class_weight=None, random_state=None, **kwargs):
        super().__init__(alpha, class_weight, random_state)


@fails("check_no_attributes_set_in_init")
class SetsInInit(Extra):
    def __init__(self, alpha=1.0, class_weight=None, random_state=None, extra=None):
        super().__init__(alpha, class_weight, random_state, extra)
        self._ready = False


@fails("check_no_attributes_set_in_init")
class ConvertsInInit(Extra):
    def __init__(self, alpha=1.0, class_weight=None, random_state=None, extra=None):
        super().__init__(alpha, class_weight, random_state, extra)
        self.extra = None if isinstance(extra, list) else extra


@fails("check_parameters_default_constructible")
class MutableDefault(Extra):
    def __init__(self, alpha=1.0, class_weight=None, random_state=None, extra={}):  # noqa: B006
        super().__init__(alpha, class_weight, random_state, extra)


@fails("check_set_params", "check_do_not_raise_errors_in_init_or_set_params")
class ValidatesInSetParams(LetterBayes):
    def set_params(self, **params):
        if params.get("alpha", 1.0) is None:
            raise ValueError("alpha is None")
        return super().set_params(**params)


@fails("check_get_params_invariance")
class ListsMoreParams(LetterBayes):
    def get_params(self, deep=True):
        return {**super().get_params(deep), **({"alpha": 1.5} if deep else {})}


@fails("check_valid_tag_types")
class TaggedAsTable(LetterBayes):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


@fails("check_fit_score_takes_y")
class NamesTarget(LetterBayes):
    def fit(self, X, target, sample_weight=None):
        return super().fit(X, target, sample_weight)


@fails("check_estimators_fit_returns_self")
class ReturnsACopy(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        copy = LetterBayes()
        copy.__dict__.update(self.__dict__)
        return copy


@fails("check_estimators_overwrite_params")
class OverwritesParams(Extra):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.extra = "changed"
        return self


@fails("check_dont_overwrite_parameters")
class SetsPublic(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.n_rows = len(X)
        return self


@fails("check_fit_check_is_fitted", "check_estimators_unfitted")
class AlwaysFitted(LetterBayes):
    def __sklearn_is_fitted__(self):
        return True


@fails("check_fit_idempotent")
class LearnsOn(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.n_fits_ = getattr(self, "n_fits_", 0) + 1
        return self

    def log_proba(self, X):
        log_proba = super().log_proba(X)
        return log_proba[:, ::-1] if self.n_fits_ % 2 == 0 else log_proba


@fails("check_global_random_state")
class SeedsNumpy(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        np.random.seed(0)  # noqa: NPY002
        return super().fit(X, y, sample_weight)


@fails("check_global_random_state")
class DrawsFromTorch(LetterBayes):
    def predict(self, X):
        torch.rand(1)
        return super().predict(X)


@fails("check_fit_reproducible")
class DependsOnGlobalSeed(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        seeded = np.random.get_state()[1][0] == 7_351_024  # noqa: NPY002
        self.log_letters_[0, 0] -= 0.1 * seeded
        return self


@fails("check_non_transformer_estimators_n_iter")
class CountsNothing(LetterBayes):
    n_iter_ = 0


@fails("check_input_not_modified")
class ModifiesX(LetterBayes):
    def check_rows(self, X):
        rows = super().check_rows(X)
        if isinstance(X, list):
            X[0] = rows[0].rstrip("!") + "!"
        return rows


@fails("check_readonly_memmap_input")
class WritesToY(LetterBayes):
    def check_labels(self, y):
        if isinstance(y, np.ndarray):
            y[:1] = y[:1]
        return super().check_labels(y)


@fails("check_fit_1sample")
class NeedsTwoRows(LetterBayes):
    def check_labels(self, y):
        if y is not None and len(y) == 1:
            raise ValueError("bad shape")
        return super().check_labels(y)


@fails("check_dict_unchanged")
class SetsInPredict(LetterBayes):
    def predict(self, X):
        labels = super().predict(X)
        self.last_ = len(X)
        return labels


@fails("check_one_prediction_per_row")
class DropsTheThirdOfThree(LetterBayes):
    def log_proba(self, X):
        log_proba = super().log_proba(X)
        return log_proba[:2] if len(log_proba) == 3 else log_proba


@fails(ORDER, SUBSET)
class DependsOnPosition(LetterBayes):
    def log_proba(self, X):
        log_proba = super().log_proba(X)
        log_proba[0] = log_proba[0] if len(log_proba) == 1 else np.log(1 / log_proba.shape[1])
        return log_proba


@fails(SUBSET)
class DependsOnCompanions(LetterBayes):
    def log_proba(self, X):
        log_proba = super().log_proba(X)
        shares = np.exp(log_proba) + len(log_proba)
        return np.log(shares / shares.sum(axis=1, keepdims=True))


@fails("check_predict_proba", "check_classifiers_one_label")
class DoesNotSumToOne(LetterBayes):
    def predict_proba(self, X):
        return 0.9 * super().predict_proba(X)


@fails(
    "check_predict_is_argmax_of_proba",
    "check_decision_proba_consistency",
    "check_class_weight_classifiers",
)
class ReversedProba(LetterBayes):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


@fails("check_unusual_rows")
class RefusesBlankText(LetterBayes):
    def check_row(self, number, row):
        super().check_row(number, row)
        if not row.strip():
            raise ValueError(f"row {number} is blank")


@fails("check_lone_surrogate")
class EncodesText(LetterBayes):
    def check_row(self, number, row):
        super().check_row(number, row)
        row.encode()


@fails("check_estimator_repr")
class HasNoName(LetterBayes):
    def __repr__(self):
        return "an estimator"


@fails("check_estimators_pickle", "check_estimators_deepcopy")
class HoldsALock(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.lock_ = threading.Lock()
        return self


@fails("check_estimators_deepcopy")
class CopiesAreShared(LetterBayes):
    def __deepcopy__(self, memo):
        return self


@fails("check_estimator_cloneable")
class ClonesKeepTheFit(LetterBayes):
    def __sklearn_clone__(self):
        copy = LetterBayes.__sklearn_clone__(self)
        copy.__dict__.update(self.__dict__)
        return copy


@fails("check_cross_validation", "check_grid_search", "check_score_is_accuracy")
class ScoresNothing(LetterBayes):
    def score(self, X, y, sample_weight=None):
        check_is_fitted(self)
        return float("nan")


@fails("check_metadata_routing")
class HidesWeights(LetterBayes):
    __metadata_request__fit = {"sample_weight": UNUSED}  # noqa: RUF012


@fails("check_estimators_data_not_an_array")
class WantsLists(LetterBayes):
    def check_rows(self, X):
        if isinstance(X, tuple):
            raise TypeError("X is no list")
        return super().check_rows(X)


@fails("check_pandas_input")
class LooksUpByIndex(LetterBayes):
    def check_rows(self, X):
        return super().check_rows(X if isinstance(X, str) else [X[i] for i in range(len(X))])


@fails("check_estimators_empty_data_messages")
class PredictsNothing(LetterBayes):
    def predict(self, X):
        check_is_fitted(self)
        return super().predict(X) if len(X) else self.classes_[:0]


@fails("check_inconsistent_length", "check_failed_fit_leaves_no_state")
class CutsToTheShorter(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        self.check_rows(X)
        self.check_labels(y)
        n_rows = min(len(X), len(y))
        return super().fit(X[:n_rows], y[:n_rows], sample_weight)


@fails("check_estimators_nan_inf", "check_failed_fit_leaves_no_state")
class AcceptsNone(LetterBayes):
    def check_rows(self, X):
        rows = X if isinstance(X, str) else ["" if row is None else row for row in X]
        return super().check_rows(rows)


@fails("check_dtype_object")
class AcceptsNumbers(LetterBayes):
    def check_rows(self, X):
        numbers = int | float
        known = (
            X
            if isinstance(X, str)
            else [str(row) if isinstance(row, numbers) and row == row else row for row in X]
        )
        return super().check_rows(known)


@fails("check_estimators_nan_inf", "check_dtype_object")
class DoesNotNameTheRow(LetterBayes):
    def check_row(self, number, row):
        super().check_row("?", row)


@fails("check_bare_string")
class SplitsAString(LetterBayes):
    def check_rows(self, X):
        return super().check_rows(list(X))


@fails("check_requires_y_none", "check_failed_fit_leaves_no_state")
class InventsLabels(LetterBayes):
    def fit(self, X, y, sample_weight=None):
        return super().fit(X, np.zeros(len(X)) if y is None else y, sample_weight)


@fails("check_failed_fit_leaves_no_state")
class FitsByHalves(LetterBayes):
    def check_labels(self, y):
        self.n_labels_ = 0
        return super().check_labels(y)


@fails("check_sample_weights_list")
class WantsWeightArrays(LetterBayes):
    def check_weights(self, sample_weight, labels):
        if isinstance(sample_weight, list):
            raise TypeError("the weights are a list")
        return super().check_weights(sample_weight, labels)


@fails("check_sample_weights_pandas_series")
class LooksUpWeights(LetterBayes):
    def check_weights(self, sample_weight, labels):
        if sample_weight is not None and np.ndim(sample_weight) == 1:
            sample_weight = [sample_weight[i] for i in range(len(sample_weight))]
        return super().check_weights(sample_weight, labels)


@fails("check_sample_weights_used", "check_sample_weight_equivalence")
class IgnoresWeights(LetterBayes):
    def check_weights(self, sample_weight, labels):
        weights = super().check_weights(sample_weight, labels)
        return super().check_weights(None, labels) if sample_weight is not None else weights


@fails("check_sample_weights_shape")
class RepeatsWeights(LetterBayes):
    def check_weights(self, sample_weight, labels):
        if sample_weight is not None:
            sample_weight = np.resize(np.asarray(sample_weight), len(labels))
        return super().check_weights(sample_weight, labels)


@fails("check_all_zero_sample_weights_error")
class AcceptsZeroWeights(LetterBayes):
    def check_weights(self, sample_weight, labels):
        if sample_weight is not None and not np.any(sample_weight):
            sample_weight = None
        return super().check_weights(sample_weight, labels)


@fails("check_sample_weights_not_overwritten")
class ScalesWeightsInPlace(LetterBayes):
    def check_weights(self, sample_weight, labels):
        weights = super().check_weights(sample_weight, labels)
        if isinstance(sample_weight, np.ndarray):
            sample_weight *= 2
        return weights


@fails("check_classifiers_classes")
class ReturnsStrings(LetterBayes):
    def predict(self, X):
        labels = super().predict(X)
        return labels.astype(str).astype(object) if labels.dtype == np.int8 else labels


@fails("check_classifiers_one_label", "check_fit_1sample")
class NeedsTwoClasses(LetterBayes):
    def check_labels(self, y):
        labels = super().check_labels(y)
        if len(set(labels)) < 2:
            raise ValueError("two needed")
        return labels


@fails("check_classifiers_regression_target")
class AcceptsAnyNumber(LetterBayes):
    def check_labels(self, y):
        labels = y if y is None else np.asarray(y)
        continuous = labels is not None and labels.dtype == float and 0 < labels.flat[0] < 1
        return labels > 0.5 if continuous else super().check_labels(y)


@fails("check_supervised_y_no_nan")
class AcceptsMissingLabels(LetterBayes):
    def check_labels(self, y):
        labels = y if y is None else np.asarray(y)
        if labels is not None and labels.dtype == float:
            labels = np.nan_to_num(labels)
        return super().check_labels(labels)


@fails("check_supervised_y_2d")
class FlattensSilently(LetterBayes):
    def check_labels(self, y):
        return super().check_labels(y if y is None else np.ravel(y))


@fails("check_decision_function", "check_decision_proba_consistency")
class DecidesForTheFirst(LetterBayes):
    def decision_function(self, X):
        return -super().decision_function(X)


@fails("check_decision_function", "check_decision_proba_consistency")
class DecidesInColumns(LetterBayes):
    def decision_function(self, X):
        return self.log_proba(X)


@fails("check_score_is_accuracy")
class ScoresErrors(LetterBayes):
    def score(self, X, y, sample_weight=None):
        return 1 - super().score(X, y, sample_weight)


@fails("check_class_weight_classifiers")
class IgnoresClassWeight(LetterBayes):
    def check_weights(self, sample_weight, labels):
        super().check_weights(sample_weight, labels)
        return _check_sample_weight(sample_weight, np.empty((len(labels), 0)))


@pytest.mark.parametrize(("broken", "expected"), BROKEN)
def test_a_broken_classifier_fails_its_checks_only(broken, expected):
    results = check_text_estimator(broken(), on_fail=None)
    assert {r["check_name"] for r in results if r["status"] != "passed"} == expected
