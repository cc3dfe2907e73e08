"""Schedules of the learning rate, beside those of torch."""

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from muxlearn.backbones import Scratch
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training import Optimizer
from muxlearn.training.optimizers import make_optimizer
from muxlearn.training.schedules import LinearSchedule, TrapezoidSchedule

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12

#: What the authors of MIMONets train with, step by step: rate and momentum.
RECORDED = Path(__file__).parents[1] / "data" / "onecycle_100.json"


class Rates(Callback):
    """Keeps the learning rate of each step."""

    def initialize(self):
        self.rates_ = []
        return self

    def on_grad_computed(self, net, **kwargs):
        self.rates_.append(net.optimizer_.param_groups[-1]["lr"])


def test_a_linear_schedule_rises_over_a_tenth_and_falls_evenly_over_the_rest():
    schedule = LinearSchedule(20)
    falling = [step / 18 for step in range(18, -1, -1)]
    np.testing.assert_allclose([schedule(step) for step in range(21)], [1 / 3, 2 / 3, *falling])


def test_a_trapezoid_stays_before_it_falls():
    schedule = TrapezoidSchedule(1000)
    factors = [schedule(step) for step in (0, 99, 200, 700, 850, 1000)]
    np.testing.assert_allclose(factors, [1 / 201, 100 / 201, 1, 1, 0.5, 0])


@pytest.mark.parametrize("kind", ["AdamW", torch.optim.AdamW])
def test_adamw_averages_over_fewer_steps_than_torch_s(kind):
    groups = {"betas": (0.9, 0.98), "weight_decay": 0.01}
    made = Optimizer(kind).net_options("cpu")
    assert {name: made[f"optimizer__{name}"] for name in groups} == groups
    given = {"betas": (0.5, 0.9), "weight_decay": 0.1}
    made = Optimizer(**given).net_options("cpu")
    assert {name: made[f"optimizer__{name}"] for name in groups} == given


def test_one_cycle_is_that_of_the_authors():
    recorded = json.loads(RECORDED.read_text())
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recorded["max_lr"])
    made = Optimizer("SGD", schedule="one-cycle").scheduler(recorded["total_steps"])(optimizer)
    seen = []
    for _ in range(recorded["total_steps"]):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["momentum"]))
        optimizer.step()
        if len(seen) < recorded["total_steps"]:
            made.step()
    np.testing.assert_allclose(seen, recorded["lr_momentum_per_step"], atol=1e-9)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5] * 6),
        (lambda optimizer, n: torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, n), None),
    ],
    ids=["constant", "callable"],
)
def test_a_schedule_sets_the_rate_of_each_step(tiny_classifier, schedule, expected):
    rates = Rates()
    clf = tiny_classifier(
        optimizer=Optimizer("SGD", schedule=schedule),
        lr=0.5,
        warm_up=None,
        max_epochs=2,
        callbacks=[("rates", rates)],
    ).fit(TEXTS, LABELS)
    seen = dict(clf.net_.callbacks_)["rates"].rates_
    np.testing.assert_allclose(seen, expected or [0.5 * (1 - step / 6) for step in range(6)])


def test_a_training_that_is_made_longer_goes_on_at_the_rates_of_the_longer_one(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}

    def rates(max_epochs, **options):
        pretrainer = MuxTextPretrainer(
            backbone=Scratch(**sizes),
            n_mux=2,
            objective="retrieval",
            max_length=16,
            batch_size=8,
            max_epochs=max_epochs,
            callbacks=[("rates", Rates())],
            random_state=0,
        ).fit(TEXTS, **options)
        return dict(pretrainer.net_.callbacks_)["rates"].rates_

    n_steps = len(rates(2, checkpoint=tmp_path))  # the rate behind the last one is 0
    assert rates(3, checkpoint=tmp_path) == pytest.approx(rates(3)[n_steps:])


def test_the_only_step_of_a_cycle_has_a_rate_to_learn_with():
    made = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    Optimizer("SGD", schedule="one-cycle").scheduler(1)(made)
    assert made.param_groups[0]["lr"] > 0.05


def test_a_cycle_turns_the_betas_of_adam_as_it_turns_a_momentum():
    made = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    cycle = Optimizer("Adam", schedule="one-cycle").scheduler(10)(made)
    assert made.param_groups[0]["betas"][0] == 0.95
    for _ in range(2):
        made.step()
        cycle.step()
    assert made.param_groups[0]["betas"][0] == pytest.approx(0.85)  # where the rate is highest


def test_a_cycle_needs_no_momentum_and_keeps_the_rate_of_each_group():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.5, 0.1)]
    made = torch.optim.Adagrad(groups)
    Optimizer("Adagrad", schedule="one-cycle").scheduler(10)(made)
    assert [group["max_lr"] for group in made.param_groups] == [0.5, 0.1]


def test_parameters_that_are_not_set_stay():
    optimizer = Optimizer("SGD", momentum=0.9).set_params(nesterov=True)
    assert optimizer == Optimizer("SGD", momentum=0.9, nesterov=True)


def test_all_that_an_optimizer_is_of_can_be_set_and_tells_it_from_others():
    optimizer = Optimizer()
    for name, value in {"kind": "SGD", "schedule": "constant", "momentum": 0.9}.items():
        before = clone(optimizer)
        assert optimizer.set_params(**{name: value}).get_params()[name] == value
        assert optimizer != before
    assert clone(optimizer) == optimizer == Optimizer("SGD", schedule="constant", momentum=0.9)


def test_a_model_with_a_schedule_pickles_and_saves(tiny_classifier, tmp_path):
    optimizer = Optimizer("SGD", schedule="one-cycle", momentum=0.9)
    clf = tiny_classifier(optimizer=optimizer, warm_up=1).fit(TEXTS, LABELS)
    clf.save(tmp_path)
    for again in (pickle.loads(pickle.dumps(clf)), type(clf).load(tmp_path)):
        assert again.optimizer == optimizer
        np.testing.assert_array_equal(again.predict(TEXTS), clf.predict(TEXTS))


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, Optimizer(torch.optim.SGD, momentum=0.9)], ids=["bare", "with"]
)
def test_a_class_of_torch_is_saved_by_its_name(tiny_classifier, optimizer, tmp_path):
    clf = tiny_classifier(optimizer=optimizer, warm_up=None).fit(TEXTS, LABELS)
    clf.save(tmp_path)
    again = make_optimizer(type(clf).load(tmp_path).optimizer)
    assert again == Optimizer("SGD", **make_optimizer(optimizer).params)


class Own(torch.optim.SGD):
    """An optimizer that torch.optim has not."""


def test_without_an_optimizer_of_ones_own_its_parameters_are_not_saved(tiny_classifier, tmp_path):
    clf = tiny_classifier(optimizer=Optimizer(Own, momentum=0.9), warm_up=None).fit(TEXTS, LABELS)
    clf.save(tmp_path)
    assert make_optimizer(type(clf).load(tmp_path).optimizer) == Optimizer()


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, momentum=0.9),
        Optimizer(lambda params, **options: torch.optim.SGD(params, **options), momentum=0.9),
    ],
    ids=["partial", "function"],
)
def test_a_callable_makes_optimizers_too(tiny_classifier, optimizer):
    clf = tiny_classifier(optimizer=optimizer).fit(TEXTS, LABELS)
    assert {group["momentum"] for group in clf.net_.optimizer_.param_groups} == {0.9}


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Optimizer("SGD", momentumx=0.9), "`optimizer` has a parameter 'momentumx', which SGD"),
        (Optimizer("SGD", lr=0.1), "`optimizer` has a parameter 'lr', which SGD does not take"),
        ("Linear", "`optimizer` names 'Linear', which torch.optim does not have"),
        (torch.nn.Linear, "`optimizer` is the class Linear, which is not an optimizer"),
        (Optimizer(dict), "`optimizer` is the class dict, which is not an optimizer"),
        ("SparseAdam", "`optimizer` is SparseAdam, which cannot train weights of several kinds"),
        ("LBFGS", "`optimizer` is LBFGS, which cannot train weights of several kinds"),
    ],
)
def test_what_cannot_train_is_refused(tiny_classifier, optimizer, message):
    with pytest.raises(ValueError, match=message):
        tiny_classifier(optimizer=optimizer).fit(TEXTS, LABELS)


def test_a_schedule_returns_a_scheduler(tiny_classifier):
    optimizer = Optimizer(schedule=lambda optimizer, n: None)
    with pytest.raises(TypeError, match="schedule that returns None; it must return a"):
        tiny_classifier(optimizer=optimizer, warm_up=None).fit(TEXTS, LABELS)


def test_what_is_no_schedule_is_refused(tiny_classifier):
    with pytest.raises(ValueError, match=r"schedule='cosine'; give one of 'linear', 'one-cycle'"):
        tiny_classifier(optimizer=Optimizer(schedule="cosine")).fit(TEXTS, LABELS)
