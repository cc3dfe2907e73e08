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


def tiny(n_mux, **params):
    network = MIMOConv(width=1, initial_width=1)
    return Exact(n_mux, **{"architecture": network, "max_epochs": 6, "random_state": 0, **params})


@parametrize_with_checks(
    [tiny(1), tiny(2), tiny(1, architecture="mlp", lr=1e-2)],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)
