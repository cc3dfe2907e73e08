from sklearn.utils.estimator_checks import parametrize_with_checks

from muxlearn import MuxImageClassifier

COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}


def tiny(n_mux, **params):
    return MuxImageClassifier(
        n_mux,
        width=1,
        initial_width=1,
        max_epochs=6,
        random_state=0,
        # Of one image and of many, convolutions round differently in single precision.
        dtype="float64",
        **params,
    )


@parametrize_with_checks(
    [tiny(1), tiny(2), tiny(1, architecture="mlp", lr=1e-2)],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)
