import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from muxlearn import MuxImageClassifier
from muxlearn.architectures import MIMOConv

COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}


class Exact(MuxImageClassifier):
    """Predicts in double precision.

    Convolutions of a single image and of many round differently.
    """

    def _inference_dtype(self):
        return torch.float64


class Hasty(Exact):
    """Is trained too shortly to learn much, as a check that is no test of skill needs."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


def tiny(kind, n_mux, **params):
    network = MIMOConv(width=1, initial_width=1)
    return kind(n_mux, **{"architecture": network, "random_state": 0, **params})


@parametrize_with_checks(
    [
        tiny(Hasty, 1, max_epochs=1),
        tiny(Hasty, 2, max_epochs=1),
        tiny(Hasty, 1, max_epochs=1, architecture="mlp"),
    ],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [tiny(Exact, 2, max_epochs=6)], expected_failed_checks=lambda estimator: INVARIANCE
)
def test_scikit_learn_api_with_its_tests_of_skill(estimator, check):
    check(estimator)
