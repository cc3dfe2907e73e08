"""Trainings that a killed process leaves behind go on where it was killed."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import MIMOConv
from muxlearn.backbones import Scratch
from muxlearn.training import Optimizer
from tests.training.interruptions import StopAfter

ROOT = Path(__file__).parents[2]

SMALL = Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300)
TEXT = {"backbone": SMALL, "n_mux": 2, "max_length": 16, "batch_size": 8, "random_state": 0}
TEXTS = [f"{a} {b} {c}" for a in ("rain", "goal") for b in ("and", "of") for c in "abcdefgh"]
LABELS = [text.split()[0] for text in TEXTS]
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
EARLY = {"early_stopping": True, "validation_fraction": 0.25, "max_epochs": 3}


def make(kind):
    """Return an estimator, what it is fitted to, and the epochs of 4 or more steps it takes."""
    if kind == "text":
        params = {**TEXT, "operating_points": ((1, 1), (2, 1), (2, 2)), "patch_size": 2}
        return MuxTextClassifier(**params, warm_up=2, max_epochs=2), (TEXTS, LABELS)
    if kind == "tagger":
        words = [text.split() for text in TEXTS]
        return MuxTokenTagger(**TEXT, warm_up=1, **EARLY), (
            words,
            [[w[0] for w in t] for t in words],
        )
    one_cycle = LRScheduler(OneCycleLR, max_lr=0.1, total_steps=15, step_every="batch")
    clf = MuxImageClassifier(
        2,
        architecture=MIMOConv(width=1, initial_width=1),
        optimizer="SGD",
        augment="crop-flip",
        mixup=1.0,
        batch_size=8,
        max_epochs=3,
        callbacks=[one_cycle],
        random_state=0,
    )
    return clf, (IMAGES, np.arange(40) % 4)


def weights(estimator):
    return torch.cat([t.double().ravel() for t in estimator.module_.state_dict().values()])


SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
torch.set_num_threads(1)
from test_checkpoint import make
from muxlearn.training import checkpoints
from muxlearn.training.net import MuxNet

checkpoints._MINUTES = 0
steps, take = [], MuxNet.train_step_single

def kill(self, batch, **params):
    steps.append(batch)
    if len(steps) > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return take(self, batch, **params)

MuxNet.train_step_single = kill
estimator, data = make(sys.argv[1])
estimator.fit(*data, checkpoint=sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_steps", "stage"),
    [
        pytest.param("text", 6, "warm-up", id="in the warm-up"),
        pytest.param("tagger", 8, "training", id="with early stopping"),
        pytest.param("image", 8, "training", id="with a schedule of one's own"),
    ],
)
def test_a_killed_training_ends_as_one_that_was_not(kind, n_steps, stage, tmp_path):
    folder = tmp_path / "state"
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(n_steps), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert (folder / f"{stage}.pt").exists()
    resumed, data = make(kind)
    resumed.fit(*data, checkpoint=folder)
    whole, _ = make(kind)
    whole.fit(*data)
    np.testing.assert_allclose(weights(resumed), weights(whole), atol=1e-6)
    ours, theirs = ([e["train_loss"] for e in model.history_] for model in (resumed, whole))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert resumed.n_iter_ == whole.n_iter_
    if kind == "text":
        assert len(resumed.warm_up_history_) == len(whole.warm_up_history_) == 2


@pytest.fixture
def tiny(tiny_classifier):
    def make_tiny(**params):
        return tiny_classifier(**{"warm_up": 1, "max_epochs": 2, **params})

    return make_tiny


@pytest.mark.parametrize("schedule", ["linear", "one-cycle"])
def test_an_interrupted_training_goes_on(tiny, tmp_path, schedule):
    optimizer = Optimizer(schedule=schedule)
    whole = tiny(optimizer=optimizer).fit(TEXTS, LABELS)
    stop = [StopAfter(6)]
    tiny(optimizer=optimizer, callbacks=stop).fit(TEXTS, LABELS, checkpoint=tmp_path)
    resumed = tiny(optimizer=optimizer).fit(TEXTS, LABELS, checkpoint=tmp_path)
    torch.testing.assert_close(weights(resumed), weights(whole))
    assert resumed.history_[:, "train_loss"] == pytest.approx(whole.history_[:, "train_loss"])


class Clock(Callback):
    """A clock that moves four minutes with each step, and notes the step of the state on disk."""

    def __init__(self, folder):
        self.folder, self.now, self.steps = folder, 0, []

    def __deepcopy__(self, memo):
        return self

    def monotonic(self):
        return self.now

    def on_batch_end(self, net, **kwargs):
        self.now += 240
        file = self.folder / "training.pt"
        self.steps.append(torch.load(file, weights_only=True)["step"] if file.exists() else None)


def test_a_state_is_kept_every_ten_minutes(tiny, tmp_path, monkeypatch):
    clock = Clock(tmp_path)
    monkeypatch.setattr("muxlearn.training.checkpoints.time", clock)
    tiny(warm_up=None, callbacks=[clock]).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert clock.steps == [None, None, None, 3, 3, 3, 6, 6]


class Halving:
    """A factor of the learning rate that is an object, and holds what no checkpoint may."""

    def __init__(self):
        self.rates = np.array([1.0, 0.5])

    def __call__(self, step):
        return float(self.rates[step % 2])


def test_a_schedule_of_an_object_goes_on(tiny, tmp_path):
    optimizer = Optimizer("SGD", schedule=lambda made, n: LambdaLR(made, Halving()))
    params = {"optimizer": optimizer, "lr": 0.1, "warm_up": None}
    tiny(**params, callbacks=[StopAfter(5)]).fit(TEXTS, LABELS, checkpoint=tmp_path)
    resumed = tiny(**params).fit(TEXTS, LABELS, checkpoint=tmp_path)
    torch.testing.assert_close(weights(resumed), weights(tiny(**params).fit(TEXTS, LABELS)))


class StopInValidation(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if not training and len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:`fit` was interrupted before the first epoch")
@pytest.mark.parametrize(("epoch", "patience"), [(1, 2), (3, 2), (4, 2), (3, 5)])
def test_a_training_that_was_interrupted_in_its_validation_goes_on(tiny, tmp_path, epoch, patience):
    params = {"early_stopping": patience, "max_epochs": 5, "lr": 0.03, "validation_fraction": 0.3}
    params["n_mux"] = 1  # the rows of the validation fill more than one batch
    labels = LABELS[::-1][:7] + LABELS[7:]
    whole = tiny(**params).fit(TEXTS, labels)
    assert (whole.n_iter_ < 5) == (patience < 5)
    stop = [StopInValidation(epoch)]
    tiny(**params, callbacks=stop).fit(TEXTS, labels, checkpoint=tmp_path)
    resumed = tiny(**params).fit(TEXTS, labels, checkpoint=tmp_path)
    assert resumed.history_[:, "valid_loss"] == whole.history_[:, "valid_loss"]
    torch.testing.assert_close(weights(resumed), weights(whole))


def test_a_warm_up_that_is_repeated_and_interrupted_ends_the_fit(tiny, tmp_path):
    stops = []

    def rate(step):
        if step in stops:
            raise KeyboardInterrupt
        return 1.0

    optimizer = Optimizer("SGD", schedule=lambda made, n: LambdaLR(made, rate))
    clf = tiny(optimizer=optimizer, lr=0.1).fit(TEXTS, LABELS, checkpoint=tmp_path)
    (tmp_path / "warm-up.pt").unlink()
    stops.append(2)
    with pytest.warns(ConvergenceWarning, match="before the first epoch"):
        clf.fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert clf.n_iter_ == 0


def test_a_finished_training_is_not_repeated(tiny, tmp_path):
    first = tiny().fit(TEXTS, LABELS, checkpoint=tmp_path)
    again = tiny(callbacks=[StopAfter(1)]).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert torch.equal(weights(first), weights(again))
    assert again.history_[:, "train_loss"] == first.history_[:, "train_loss"]


def test_a_training_goes_on_elsewhere_and_shown_in_another_way(tiny, tmp_path):
    first = tiny().fit(TEXTS, LABELS, checkpoint=tmp_path)
    again = tiny(device="cpu", verbose=1).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert torch.equal(weights(first), weights(again))


def test_training_that_was_stopped_early_is_not_repeated(tiny, tmp_path):
    params = {"early_stopping": 1, "max_epochs": 30, "lr": 0.3, "validation_fraction": 0.3}
    first = tiny(**params).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert first.n_iter_ < 30
    again = tiny(**params, callbacks=[StopAfter(1)]).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert torch.equal(weights(first), weights(again))
    assert len(again.history_) == len(first.history_)  # no step was taken


def test_a_training_without_a_seed_keeps_the_one_it_drew(tiny, tmp_path):
    first = tiny(random_state=None).fit(TEXTS, LABELS, checkpoint=tmp_path)
    again = tiny(random_state=None).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert torch.equal(weights(first), weights(again))
    np.testing.assert_array_equal(again.predict_proba(TEXTS), first.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("params", "given"),
    [
        ({"lr": 0.5}, {}),
        ({"random_state": 1}, {}),
        ({}, {"X": [*TEXTS[:-1], "one other text"]}),
        ({}, {"y": LABELS[::-1]}),
        ({}, {"sample_weight": [0.5, *[1.0] * (len(TEXTS) - 1)]}),
        ({}, {"unlabeled": TEXTS[:8]}),
    ],
    ids=["parameter", "seed", "row", "label", "weight", "unlabeled"],
)
def test_the_state_of_another_training_is_refused(tiny, tmp_path, params, given):
    tiny(max_epochs=0, warm_up=1).fit(TEXTS, LABELS, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"`checkpoint` .* with other rows or parameters"):
        tiny(max_epochs=0, **params).fit(**{"X": TEXTS, "y": LABELS, **given}, checkpoint=tmp_path)


def test_a_warm_start_goes_on_from_its_own_weights(tiny, tmp_path):
    clf = tiny(warm_start=True).fit(TEXTS, LABELS).fit(TEXTS, LABELS, checkpoint=tmp_path)
    assert clf.n_iter_ == 4
    with pytest.raises(ValueError, match="is of a training with other rows or parameters"):
        clf.fit(TEXTS, LABELS, checkpoint=tmp_path)


@pytest.mark.parametrize("seed", [0, None])
def test_what_is_no_folder_is_refused(tiny, seed):
    with pytest.raises(TypeError, match="`checkpoint` must be the name of a folder, got 3"):
        tiny(random_state=seed).fit(TEXTS, LABELS, checkpoint=3)
    with pytest.raises(ValueError, match=r"`checkpoint` .* is a file; give the name of a folder"):
        tiny(random_state=seed).fit(TEXTS, LABELS, checkpoint=__file__)


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("content", ["cut off", "of something else", "code"])
def test_a_file_that_is_no_state_is_refused(tiny, tmp_path, content, seed):
    tiny(max_epochs=1, warm_up=0).fit(TEXTS, LABELS, checkpoint=tmp_path)
    (file,) = tmp_path.rglob("training.pt")
    if content == "cut off":
        file.write_bytes(file.read_bytes()[:1000])
    elif content == "code":
        torch.save({**torch.load(file, weights_only=True), "extra": Path()}, file)
    else:
        torch.save({"weights": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"training.pt that is no whole state .* delete this one"):
        tiny(warm_up=0, random_state=seed).fit(TEXTS, LABELS, checkpoint=tmp_path)


def test_a_finished_training_that_is_resumed_leaves_no_more_behind(tmp_path):
    estimator, data = make("text")
    once = pickle.dumps(estimator.fit(*data, checkpoint=tmp_path))
    again = pickle.dumps(estimator.fit(*data, checkpoint=tmp_path))
    assert len(again) < 1.1 * len(once)
    assert not estimator.net_.optimizer_.state
