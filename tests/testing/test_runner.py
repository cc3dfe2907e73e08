"""How the checks are chosen, run and reported, and how outputs are compared."""

import sys
import warnings
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import EstimatorCheckFailedWarning, SkipTestWarning

from muxlearn.testing import (
    check_text_estimator,
    parametrize_with_text_checks,
    text_estimator_checks,
)
from muxlearn.testing._common import (
    assert_same,
    default_data,
    need,
    need_pandas,
    object_array,
    rejects,
)

FAILING = "check_dont_overwrite_parameters"
PASSING = "check_init_signature"
SKIPPED = "check_predict_proba"


class Unfinished(ClassifierMixin, BaseEstimator):
    """Passes some checks, fails most, and has no probabilities."""

    def fit(self, X, y):
        self.label = y[0]
        return self


def by_name(results):
    return {result["check_name"]: result for result in results}


def names(checks):
    return {check.func.__name__ for _, check in checks}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_results_say_what_happened_to_each_check():
    expected = {FAILING: "it is unfinished", PASSING: "it is a surprise"}
    results = by_name(
        check_text_estimator(Unfinished(), expected_failed_checks=expected, on_fail=None)
    )
    assert results[FAILING]["status"] == "xfail"
    assert results[FAILING]["expected_to_fail_reason"] == "it is unfinished"
    assert "label" in str(results[FAILING]["exception"])
    assert results[PASSING]["status"] == "passed"
    assert results[PASSING]["exception"] is None
    assert results[SKIPPED]["status"] == "skipped"
    assert results["check_estimators_pickle"]["status"] == "passed"
    assert results["check_dict_unchanged"]["expected_to_fail"] is False


def test_a_failure_is_raised_by_default():
    with pytest.raises(AssertionError, match="two_d_array"):
        check_text_estimator(Unfinished())


def test_a_failure_may_be_a_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_text_estimator(Unfinished(), on_fail="warn")
    told = {(warning.category, str(warning.message).split()[0]) for warning in caught}
    assert (SkipTestWarning, SKIPPED) in told
    failed = [w for w in caught if w.category is EstimatorCheckFailedWarning]
    assert any(FAILING in str(warning.message) for warning in failed)


def test_pytest_cases_expect_the_failures_strictly():
    class Other(Unfinished):
        pass

    mark = parametrize_with_text_checks(
        [Unfinished(), Other()],
        expected_failed_checks=lambda e: {FAILING: "known"} if type(e) is Other else {},
    )
    arguments, cases = mark.args
    assert arguments == ("estimator", "check")
    (marked,) = [case for case in cases if case.marks]
    assert type(marked.values[0]) is Other
    assert marked.values[1].func.__name__ == FAILING
    assert marked.marks[0].kwargs == {"reason": "known", "strict": True}
    assert [mark.kwargs["ids"](value) for value in marked.values] == ["Other()", FAILING]


@pytest.mark.parametrize("run", [check_text_estimator, parametrize_with_text_checks])
def test_an_expected_failure_must_be_a_check(run):
    estimator = Unfinished() if run is check_text_estimator else [Unfinished()]
    with pytest.raises(ValueError, match="did you mean 'check_fit_idempotent'"):
        run(estimator, expected_failed_checks={"check_fit_idempotence": "a misspelling"})


def test_only_checks_that_apply_are_yielded():
    class Weighted(Unfinished):
        def fit(self, X, y, sample_weight=None):
            return super().fit(X, y)

    tagger = type("Tagger", (BaseEstimator,), {"fit": Unfinished.fit})
    general = names(text_estimator_checks(Unfinished())) - {"check_classifiers_classes"}
    assert "check_sample_weights_list" in names(text_estimator_checks(Weighted())) - general
    of_tagger = names(text_estimator_checks(tagger(), [["a"]] * 8, [["A"]] * 8))
    assert "check_inconsistent_row_length" in of_tagger - general
    assert not of_tagger & {"check_classifiers_classes", "check_sample_weights_list"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Unfinished,), TypeError, "not the class"),
        ((Unfinished(), ["a"] * 8), ValueError, "both X and y"),
        ((Unfinished(), ["a"] * 8, [0] * 7), ValueError, "got 8 and 7"),
        ((BaseEstimator(),), ValueError, "X and y of its own"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        check_text_estimator(*arguments)


def test_on_fail_is_checked():
    with pytest.raises(ValueError, match="'stop'"):
        check_text_estimator(Unfinished(), on_fail="stop")


def test_checks_do_not_share_their_data():
    (_, first), (_, second), *_ = text_estimator_checks(Unfinished())
    first.keywords["X"].clear()
    assert second.keywords["X"] == default_data()[0]


def test_the_data_has_two_classes_and_no_row_twice():
    texts, labels = default_data()
    assert len(set(texts)) == len(texts) == len(labels)
    assert sorted(set(labels)) == ["animal", "weather"]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["a", ["b", 1]], ("a", ["b", 1])),
        ([np.array([[0.1, 0.9]]), np.zeros((0, 2))], [[[0.1, 0.9 + 1e-9]], []]),
        ({"p": np.array(["a"])}, {"p": ["a"]}),
        (float("nan"), np.float64("nan")),
    ],
)
def test_outputs_are_the_same(left, right):
    assert_same(left, right, "here")


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (["a", ["b", "c"]], ["a", ["b", "d"]], r"at \[1\]\[1\]: 'c', not 'd'"),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0]], r"at \[1\]: 2 items, not 1"),
        (np.array([0.1]), np.array([0.2]), r"at \[0\]: 0.1, not 0.2"),
        (np.array([1]), np.array([True]), "1, not True"),
        (np.array([1]), np.array(["1"]), "1, not '1'"),
        ({"p": [1]}, {"p": [2]}, r"here in p: at \[0\]"),
        ({"p": [1]}, {"q": [1]}, "p"),
    ],
)
def test_outputs_differ(left, right, message):
    with pytest.raises(AssertionError, match=message):
        assert_same(left, right, "here")


def test_object_arrays_are_never_stacked():
    assert object_array([("a", "b"), ("c", "d")]).shape == (2,)


def test_a_missing_method_skips_the_check():
    with pytest.raises(SkipTest, match="Unfinished has no predict_proba"):
        need(Unfinished(), "fit", "predict_proba")


def test_a_missing_library_skips_the_check(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SkipTest, match="pandas"):
        need_pandas()


def test_an_error_must_be_of_its_kind_and_say_what_it_is_about():
    with rejects("a wrong row", naming="row 3"):
        raise ValueError("Row 3 is wrong")
    with rejects("nothing", may_pass=True):
        pass
    with pytest.raises(AssertionError, match="raises no error"), rejects("nothing"):
        pass
    with pytest.raises(AssertionError, match="raises KeyError"), rejects("a wrong row"):
        raise KeyError(3)
    with (
        pytest.raises(AssertionError, match="should match 'row 3'"),
        rejects("a wrong row", naming="row 3"),
    ):
        raise ValueError("row 4 is wrong")
