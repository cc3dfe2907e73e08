"""Parameters of format 1 under the names that they have today."""

import pytest

from muxlearn.persistence._version1 import upgrade

SIZES = {"hidden_size": 8, "tokenizer": "char"}
SCRATCH = {"backbone": "scratch", "backbone__hidden_size": 8, "backbone__tokenizer": "char"}


def renewed(params, estimator="MuxTextClassifier"):
    config = {"estimator": estimator, "params": params, "structure": params, "plan_seed": 7}
    upgraded = upgrade(config)
    assert upgraded["structure"] == upgraded["params"]
    assert (upgraded["estimator"], upgraded["plan_seed"]) == (estimator, 7)
    return upgraded["params"]


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"n_mux": 3, "lr": 0.1}, {"n_mux": 3, "lr": 0.1}),
        ({"demux_layers": 2, "n_features": 9}, {"architecture__demux_layers": 2}),
        ({"weight_decay": 0.01}, {}),
        ({"weight_decay": 0.1}, {"optimizer": "optimizer", "optimizer__weight_decay": 0.1}),
        ({"early_stopping": True, "n_iter_no_change": 3}, {"early_stopping": True}),
        ({"early_stopping": True, "n_iter_no_change": 7}, {"early_stopping": 7}),
        ({"early_stopping": False, "n_iter_no_change": 7}, {"early_stopping": False}),
        ({"decode": "viterbi", "transitions": "legal"}, {"decode": "legal"}),
        ({"decode": None, "transitions": "legal"}, {"decode": None}),
        ({"dtype": "float64"}, {"dtype": "float32"}),
        ({"dtype": "float16"}, {"dtype": "float16"}),
        ({"backbone": "scratch", **SIZES}, SCRATCH),
        ({"backbone": "bert", **SIZES}, {"backbone": "bert"}),
        ({"multiplexer": "hadamard"}, {"multiplexer": "hadamard"}),
    ],
)
def test_parameters_of_a_text_model(params, wanted):
    assert renewed(params) == {"architecture": "tmux", **wanted}


@pytest.mark.parametrize(
    ("backbone", "warm_up", "n_epochs", "wanted"),
    [
        ("scratch", "auto", 5, "auto"),
        ("scratch", "auto", 9, 9),
        ("bert", "auto", 9, "auto"),
        ("bert", None, 9, None),
    ],
)
def test_a_warm_up_has_its_epochs(backbone, warm_up, n_epochs, wanted):
    params = {"backbone": backbone, "warm_up": warm_up, "warm_up_epochs": n_epochs}
    assert renewed(params)["warm_up"] == wanted
    assert "warm_up_epochs" not in renewed(params)


def test_other_text_architectures_have_no_multiplexer_of_their_own():
    given = {"architecture": "mimoformer", "mux_grid": 2, "multiplexer": "subspace", **SIZES}
    wanted = {"architecture": "mimoformer", "architecture__grid": 2, "multiplexer": "auto"}
    assert renewed(given) == {**wanted, **SCRATCH}


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"depth": 10}, {"architecture": "mimoconv", "architecture__depth": 10}),
        ({"architecture": "mlp", "depth": 10}, {"architecture": "mlp"}),
        (
            {"architecture": "resnet18", "weights": "x"},
            {
                "architecture": "trunk",
                "architecture__network": "resnet18",
                "architecture__weights": "x",
            },
        ),
    ],
)
def test_parameters_of_an_image_model(params, wanted):
    found = renewed({"multiplexer": "hrr", **params}, "MuxImageClassifier")
    assert found == {"multiplexer": "hrr", **wanted}


@pytest.mark.parametrize(
    ("objective", "wanted"),
    [
        ("retrieval", {"objective": "retrieval"}),
        ("distillation", {"objective__token_weight": 2.0, "objective__retrieval_weight": 0.0}),
        ("both", {"objective__token_weight": 2.0, "objective__retrieval_weight": 0.3}),
    ],
)
def test_parameters_of_a_pretrainer(objective, wanted):
    params = {"objective": objective, "token_weight": 2.0, "retrieval_weight": 0.3, **SIZES}
    params |= {"checkpoint": None, "checkpoint_minutes": 10}
    expected = {"architecture": "tmux", "objective": "distillation", **wanted, **SCRATCH}
    assert renewed(params, "MuxTextPretrainer") == expected
