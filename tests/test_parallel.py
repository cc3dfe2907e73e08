"""Training through accelerate: two real processes on the gloo backend beside one."""

import json
import os
import pickle
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from skorch.callbacks import Callback

from muxlearn import MuxImageClassifier
from muxlearn.architectures import MIMOConv, flatten
from muxlearn.backbones import Scratch
from muxlearn.parallel import train_with
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training import checkpoints
from muxlearn.training.processes import use_accelerator
from tests.training.interruptions import StopAfter

ROOT = Path(__file__).parents[1]

TEXTS = [f"{a} {b} {c}" for a in ("rain", "goal") for b in ("and", "of") for c in ("snow", "hill")]
LABELS = [text.split()[0] for text in TEXTS]

# Without dropout and sampled tokens there is nothing random in a step.
EXACT = {"warm_up": None, "architecture__retrieval_weight": 0.0, "dropout": 0.0, "max_epochs": 5}
EARLY = {"early_stopping": 1, "validation_fraction": 0.25}

SCRIPT = """
import json, sys
from accelerate import Accelerator
from muxlearn import MuxTextClassifier
from muxlearn.architectures import unflatten
from muxlearn.parallel import train_with

job = json.load(open(sys.argv[1]))
accelerator = Accelerator(cpu=True)
results = []
with train_with(accelerator):
    for params in job["params"]:
        clf = MuxTextClassifier(**unflatten(params)).fit(job["X"], job["y"])
        loss = [epoch["train_loss"] for epoch in clf.history_]
        points = getattr(clf, "measured_points_", None)
        proba = clf.predict_proba(job["X"]).tolist()
        results.append({"loss": loss, "proba": proba, "points": points})
with open(f"{sys.argv[1]}.{accelerator.process_index}", "w") as file:
    json.dump(results, file)
accelerator.end_training()
"""


@pytest.fixture(autouse=True)
def _no_accelerator_left():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, tiny_classifier):
    """Fit an exact model and one with all that is random, on two processes; by process, by job."""
    folder = tmp_path_factory.mktemp("two_processes")
    script, job = folder / "script.py", folder / "job.json"
    script.write_text(SCRIPT)
    # No seed: they must agree on one.
    random = {"random_state": None, "max_epochs": 3, **EARLY}
    models = [tiny_classifier(batch_size=2, **EXACT), tiny_classifier(batch_size=2, **random)]
    params = [flatten(model.get_params(deep=False)) for model in models]
    job.write_text(json.dumps({"X": TEXTS * 3, "y": LABELS * 3, "params": params}))
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *command, str(script), str(job)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(Path(f"{job}.{rank}").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_learn_as_one_with_the_doubled_batch(two_processes, tiny_classifier):
    one = tiny_classifier(batch_size=4, **EXACT).fit(TEXTS * 3, LABELS * 3)
    exact = two_processes[0][0]
    losses = [epoch["train_loss"] for epoch in one.history_]
    np.testing.assert_allclose(exact["loss"], losses, rtol=1e-4)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(exact["proba"], one.predict_proba(TEXTS * 3), atol=1e-4)


@pytest.mark.slow
def test_every_process_ends_with_the_same_model(two_processes):
    first, second = two_processes
    for ours, theirs in zip(first, second, strict=True):
        assert ours["loss"] == theirs["loss"]
        np.testing.assert_allclose(ours["proba"], theirs["proba"], atol=1e-6)


@pytest.mark.slow
def test_every_process_has_the_speeds_of_one(two_processes):
    first, second = (results[1]["points"] for results in two_processes)
    assert first is not None
    assert first == second


def test_the_fitted_estimator_keeps_no_accelerator(tiny_classifier):
    with train_with(Accelerator(cpu=True)):
        clf = tiny_classifier().fit(TEXTS, LABELS)
    assert type(clf.net_).__name__ == "MuxNet"
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


def test_mixed_precision_learns_nearly_the_same(tiny_classifier):
    plain = tiny_classifier(**EXACT).fit(TEXTS, LABELS)
    with train_with(Accelerator(cpu=True, mixed_precision="bf16")):
        mixed = tiny_classifier(**EXACT).fit(TEXTS, LABELS)
    ours, theirs = ([epoch["train_loss"] for epoch in clf.history_] for clf in (plain, mixed))
    assert ours != theirs
    np.testing.assert_allclose(ours, theirs, rtol=0.02)


def test_the_regularisers_of_mimoconv_are_not_lost():
    X, y = np.random.default_rng(0).random((8, 8, 8)), [0, 1] * 4
    clf = MuxImageClassifier(
        architecture=MIMOConv(width=1), n_mux=2, multiplexer="hrr", max_epochs=1, random_state=0
    )
    plain = clf.fit(X, y).history_[-1]["train_loss"]
    with train_with(Accelerator(cpu=True)):
        assert clf.fit(X, y).history_[-1]["train_loss"] == pytest.approx(plain, rel=1e-4)


def test_the_example_trains_and_saves(tmp_path, monkeypatch, capsys):
    script = ROOT / "examples" / "train_on_several_gpus.py"
    options = ["--cpu", "--epochs", "2", "--save", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    runpy.run_path(str(script), run_name="__main__")
    assert "1 processes, accuracy" in capsys.readouterr().out
    assert MuxImageClassifier.load(tmp_path / "model").n_mux == 2


def test_what_is_no_accelerator_is_called_so():
    wanted = r"accelerate\.Accelerator, got an instance of str"
    with pytest.raises(TypeError, match=wanted), train_with("cuda"):
        pass


def test_half_precision_with_scaled_gradients_is_refused(monkeypatch):
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(accelerator.state, "_mixed_precision", "fp16")
    wanted = "mixed_precision='fp16'; take 'bf16'"
    with pytest.raises(ValueError, match=wanted), train_with(accelerator):
        pass


def test_a_pretrainer_is_refused_on_several_processes():
    refused = pytest.raises(ValueError, match="trains on one process; call `fit` outside")
    with use_accelerator(SimpleNamespace(num_processes=2)), refused:
        MuxTextPretrainer(objective="retrieval").fit(TEXTS)


def test_accumulated_gradients_learn_as_one_larger_batch(tiny_classifier):
    params = {**EXACT, "max_epochs": 3}
    whole = tiny_classifier(batch_size=6, **params).fit(TEXTS * 3, LABELS * 3)
    with train_with(Accelerator(cpu=True, gradient_accumulation_steps=3)):
        parts = tiny_classifier(batch_size=2, **params).fit(TEXTS * 3, LABELS * 3)
    assert len(parts.history_[0]["batches"]) == 3 * len(whole.history_[0]["batches"])
    losses = ([epoch["train_loss"] for epoch in clf.history_] for clf in (whole, parts))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(parts.predict_proba(TEXTS), whole.predict_proba(TEXTS), atol=1e-4)


def test_the_rate_of_a_pretrainer_falls_at_the_end_of_accumulated_gradients_too():
    class Rates(Callback):
        def on_batch_end(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    rates = []
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}
    params = {"n_mux": 2, "objective": "retrieval", "backbone": Scratch(**sizes), "max_length": 16}
    with train_with(Accelerator(cpu=True, gradient_accumulation_steps=2)):
        MuxTextPretrainer(
            **params, batch_size=2, max_epochs=5, callbacks=[Rates()], random_state=0
        ).fit(TEXTS)
    assert max(rates) > 3 * rates[-1]
    assert np.argmax(rates) > len(rates) / 2


def test_a_state_is_kept_between_updates_only(tiny_classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_MINUTES", 0)
    params = {**EXACT, "max_epochs": 2, "batch_size": 2}
    with train_with(Accelerator(cpu=True, gradient_accumulation_steps=2)):
        whole = tiny_classifier(**params).fit(TEXTS, LABELS)
        stop = StopAfter(n_steps=9)
        stopped = tiny_classifier(**params, callbacks=[stop])
        stopped.fit(TEXTS, LABELS, checkpoint=tmp_path)
        resumed = tiny_classifier(**params).fit(TEXTS, LABELS, checkpoint=tmp_path)
    np.testing.assert_allclose(resumed.predict_proba(TEXTS), whole.predict_proba(TEXTS), atol=1e-6)


def test_a_training_that_goes_on_drops_what_an_uninterrupted_one_does(
    tiny_classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoints, "_MINUTES", 0)
    params = {**EXACT, "max_epochs": 3, "batch_size": 2, "dropout": 0.3}
    with train_with(Accelerator(cpu=True)):
        whole = tiny_classifier(**params).fit(TEXTS, LABELS)
        stopped = tiny_classifier(**params, callbacks=[StopAfter(n_steps=6)])
        stopped.fit(TEXTS, LABELS, checkpoint=tmp_path)
        resumed = tiny_classifier(**params).fit(TEXTS, LABELS, checkpoint=tmp_path)
    np.testing.assert_allclose(resumed.predict_proba(TEXTS), whole.predict_proba(TEXTS), atol=1e-6)
