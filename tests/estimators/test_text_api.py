import pytest

from muxlearn import MuxTextClassifier
from muxlearn.architectures import MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.testing import check_text_estimator, parametrize_with_text_checks
from muxlearn.testing._common import default_data

COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}


def tiny(n_mux, **params):
    return MuxTextClassifier(
        backbone=Scratch(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300
        ),
        n_mux=n_mux,
        max_epochs=1,
        warm_up=None,
        random_state=0,
        **params,
    )


@parametrize_with_text_checks(
    [tiny(1), tiny(2), tiny(4, architecture=MIMOFormer(head_dim=8, n_features=16))],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_mux", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_scikit_learn_api_on_pairs(n_mux):
    texts, labels = default_data()
    pairs = list(zip(texts, texts[::-1], strict=True))
    expected = {} if n_mux == 1 else INVARIANCE
    results = check_text_estimator(tiny(n_mux), pairs, labels, expected_failed_checks=expected)
    failed = {result["check_name"] for result in results if result["status"] != "passed"}
    assert failed == set(expected)
