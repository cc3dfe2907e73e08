import pickle
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import nn

from muxlearn.nn.module import MuxModule
from muxlearn.persistence import encode_params
from muxlearn.prediction import (
    Planner,
    Predictor,
    TorchRunner,
    predict_dataset,
    predictor_config,
    restore_predictor,
)
from muxlearn.prediction._predictor import _in_order
from muxlearn.rows import READERS, Reader, RowTable
from muxlearn.tasks import TASKS, NumbersTask, Task

# Everything that a new reader and a new task take: a class each, and a line in a registry.


class NumberTable(RowTable):
    def __init__(self, numbers):
        self.numbers = numbers
        self.lengths = np.ones(len(numbers), np.int64)

    def inputs(self, rows, counted=None):
        return {"numbers": self.numbers[rows]}


@dataclass(frozen=True)
class NumberReader(Reader):
    highest: float

    kind = "numbers"

    def iterate(self, X):
        return iter(X)

    def check(self, X, *, first_row=0):
        numbers = np.asarray(X, np.float32)
        for row in np.flatnonzero(numbers > self.highest):
            raise ValueError(f"row {first_row + row} is above {self.highest}")
        return numbers

    def table(self, rows):
        return NumberTable(rows)

    def to_config(self):
        return {"kind": self.kind, "highest": self.highest}

    @classmethod
    def from_config(cls, config, files):
        return cls(config["highest"])


@dataclass(frozen=True)
class ValueTask(Task):
    classes: None = None

    name = "values"
    methods = ("predict",)
    link = "identity"

    def answers(self, outputs):
        return outputs.double().numpy()

    def merge(self, passes):
        return np.mean(passes, axis=0)

    def results(self, method, rows, answers):
        return answers[:, 0]

    def score(self, true, predicted, sample_weight=None):
        return -float(np.abs(np.subtract(true, predicted)).mean())

    @classmethod
    def from_saved(cls, config, classes, arrays):
        return cls()


class Halves(MuxModule):
    """Answers half of a number, plus a touch of its companions where `leak` says so."""

    def __init__(self, n_mux=4, leak=0.0):
        super().__init__()
        self.n_mux = n_mux
        self.leak = leak
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, numbers, n_mux):
        mixed = numbers.view(-1, n_mux)
        others = mixed.sum(1, keepdim=True) - mixed
        return (self.factor * mixed + self.leak * others).view(-1, 1)

    def for_inference(self, dtype=None):
        return pickle.loads(pickle.dumps(self)).eval().to(dtype)


@pytest.fixture
def make():
    def make(leak=0.0, window_rows=16, **options):
        runner = TorchRunner(Halves(leak=leak))
        planner = Planner(seed=3, window_rows=window_rows)
        return Predictor(runner, NumberReader(1000.0), ValueTask(), planner, **options)

    return make


NUMBERS = np.arange(101.0)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5, 101])
@pytest.mark.parametrize("n_mux", [None, 1, 3])
def test_every_row_gets_its_answer_in_order(make, n_rows, n_mux):
    predictor = make(batch_size=2)
    np.testing.assert_allclose(predictor.predict(NUMBERS[:n_rows], n_mux), NUMBERS[:n_rows] / 2)
    streamed = list(predictor.predict_iter(iter(NUMBERS[:n_rows]), n_mux))
    np.testing.assert_allclose(streamed, NUMBERS[:n_rows] / 2)
    np.testing.assert_allclose(
        predictor.predict_checked(NUMBERS[:n_rows].astype(np.float32), n_mux), NUMBERS[:n_rows] / 2
    )


def test_rows_of_other_groups_change_nothing(make):
    predictor = make(leak=0.25, batch_size=1)
    groups = ["a", "b"] * 20
    before = predictor.predict(NUMBERS[:40], groups=groups)
    others = np.where(np.arange(40) % 2, 999.0, NUMBERS[:40])
    after = predictor.predict(others, groups=groups)
    np.testing.assert_array_equal(before[::2], after[::2])
    assert (before[1::2] != after[1::2]).all()


def test_passes_have_other_companions_and_are_merged(make):
    predictor = make(leak=0.25)
    labels, places = predictor.predict_regrouped(NUMBERS, None, 3)
    assert len({tuple(row) for row in labels.tolist()}) == 3
    assert len({tuple(row) for row in places.tolist()}) == 3
    np.testing.assert_allclose(predictor.predict(NUMBERS, n_passes=3), labels.mean(0))


def test_it_scores_as_its_task_does(make):
    assert make().score(NUMBERS, NUMBERS / 2 + 1) == -1


def test_a_weight_that_changes_is_seen(make):
    predictor = make()
    predictor.predict(NUMBERS)
    with torch.no_grad():
        predictor.runner.module.factor.fill_(2)
    np.testing.assert_allclose(predictor.predict(NUMBERS), 2 * NUMBERS)


def test_it_goes_through_pickle_without_its_copy_of_the_module(make):
    predictor = make()
    size = len(pickle.dumps(predictor))
    predictor.predict(NUMBERS)
    assert len(pickle.dumps(predictor)) == size
    loaded = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(loaded.predict(NUMBERS), predictor.predict(NUMBERS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_mux": 5}, "at most 4, got 5"),
        ({"n_passes": 0}, "`n_passes`"),
        ({"method": "predict_proba"}, "`method` .* 'predict', got 'predict_proba'"),
    ],
)
def test_what_it_cannot_do_is_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make().predict(NUMBERS, **arguments)


def test_the_rows_of_a_stream_are_numbered_through(make):
    rows = [*NUMBERS[:40], 2000.0]
    with pytest.raises(ValueError, match="row 40 is above"):
        list(make(batch_size=1).predict_iter(iter(rows)))


@pytest.mark.parametrize("form", [np.array, list, csr_matrix])
def test_results_of_windows_come_in_the_order_of_the_rows(form):
    parts = [np.array([2, 0, 4]), np.array([3, 1])]
    results = [form([[number, number] for number in part.tolist()]) for part in parts]
    joined = _in_order(parts, results)
    values = joined.toarray() if form is csr_matrix else np.array(joined)
    np.testing.assert_array_equal(values, np.repeat(np.arange(5)[:, None], 2, axis=1))


def test_its_digest_says_what_it_predicts(make):
    predictor = make()
    # However many mixtures are computed at a time, they are the same.
    assert predictor.fingerprint() == make(batch_size=7).fingerprint()
    other = make(window_rows=17)
    changed = make()
    changed.reader = replace(changed.reader, highest=7.0)
    moved = make()
    with torch.no_grad():
        moved.runner.module.factor.fill_(2)
    inner = make()
    inner.runner = TorchRunner(inner.runner.module, penultimate=True)
    digests = {p.fingerprint() for p in (predictor, other, changed, moved, inner)}
    assert len(digests) == 5


def test_its_digest_says_what_its_task_has_learned(make):
    digests = set()
    for scale in (1.0, 2.0):
        predictor = make()
        predictor.task = NumbersTask(np.zeros(1), np.array([scale]))
        digests.add(predictor.fingerprint())
    assert len(digests) == 2


def test_a_reader_and_a_task_of_ones_own_travel_in_a_configuration(make, monkeypatch):
    monkeypatch.setitem(READERS, NumberReader.kind, NumberReader)
    monkeypatch.setitem(TASKS, ValueTask.name, ValueTask)
    predictor = make(leak=0.25, batch_size=5)
    config = {
        **predictor_config(predictor),
        "estimator": "MyRegressor",
        "params": encode_params({"batch_size": 5}),
    }
    loaded = restore_predictor(predictor.runner, config, {}, {})
    assert loaded.fingerprint() == predictor.fingerprint()
    np.testing.assert_array_equal(loaded.predict(NUMBERS), predictor.predict(NUMBERS))


def test_a_predictor_of_an_estimator_needs_the_estimator_no_more(tiny_classifier, tmp_path):
    texts = [f"{noun} {i}" for i in range(20) for noun in ("sun", "goal")]
    clf = tiny_classifier(warm_up=None, max_epochs=0).fit(texts, ["weather", "sport"] * 20)
    predictor = pickle.loads(pickle.dumps(clf.predictor_))
    np.testing.assert_array_equal(predictor.predict(texts), clf.predict(texts))
    np.testing.assert_array_equal(
        predictor.predict(texts, n_mux=1, method="decision_function"),
        clf.decision_function(texts, n_mux=1),
    )
    pd.DataFrame({"text": texts}).to_parquet(tmp_path / "texts.parquet")
    folder = predict_dataset(predictor, tmp_path / "texts.parquet", tmp_path / "labels")
    assert pq.read_table(folder)["prediction"].to_pylist() == clf.predict(texts).tolist()
