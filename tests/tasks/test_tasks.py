import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import r2_score

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.estimators._fitting import fit
from muxlearn.prediction import predict_dataset
from muxlearn.tasks import (
    TASKS,
    ClassesTask,
    LabelsTask,
    NumbersTask,
    TagsTask,
    Task,
    TrainingSet,
    VectorsTask,
    learn_labels,
)

SENTENCES = [["Ada", "lives", "in", "Turin"], [], ["Bo", "ran"]] * 4
TAGS = [["B-PER", "O", "O", "B-LOC"], [], ["B-PER", "O"]] * 4
TEXTS = ["rain", "goal", "sun", "race"] * 3
LABELS = ["weather", "sport"] * 6


def saved(task):
    """Return a task as a folder would give it back."""
    config = json.loads(json.dumps(task.to_config()))
    return TASKS[config["name"]].from_saved(config, task.classes, task.arrays())


@pytest.mark.parametrize(
    "task",
    [
        ClassesTask.learn(TEXTS, LABELS)[0],
        replace(TagsTask.learn(SENTENCES, TAGS)[0], decode="learned"),
        TagsTask.without_training(np.array(["B-X", "I-X", "O"])),
        LabelsTask(np.array(["a", "b"]), "sparse", "float32"),
        NumbersTask(np.zeros(1), np.full(1, 2.0), flat=False, loss_name="huber"),
        VectorsTask(normalize=False),
    ],
)
def test_a_folder_gives_a_task_back(task):
    loaded = saved(task)
    assert type(loaded) is type(task)
    assert loaded.to_config() == task.to_config()
    assert loaded.score_name == task.score_name
    np.testing.assert_array_equal(loaded.classes, task.classes)
    assert loaded.arrays().keys() == task.arrays().keys()
    for name, array in task.arrays().items():
        np.testing.assert_array_equal(loaded.arrays()[name], array)


@pytest.mark.parametrize(("mean", "scale"), [((2,), (2,)), ((1,), (2,)), ((1, 1), (1, 1))])
def test_statistics_that_do_not_fit_one_number_for_each_row_are_refused(mean, scale):
    arrays = {"mean": np.ones(mean), "scale": np.ones(scale)}
    with pytest.raises(ValueError, match="`mean` and `scale` are of shapes"):
        NumbersTask.from_saved({"loss": "huber", "flat": True}, None, arrays)


def test_one_class_alone_is_told():
    with pytest.warns(UserWarning, match="one class alone, 'sport', which every row will get"):
        assert ClassesTask.learn(TEXTS, ["sport"] * len(TEXTS))[0].classes.tolist() == ["sport"]


def test_weights_count_for_the_steps_of_tags_as_copies_do():
    weights = np.arange(len(SENTENCES)) % 5  # 8 of the longer sentence, 6 of the shorter
    copied = TagsTask.learn(SENTENCES, TAGS, weights)[0]
    # Every sentence twice, with parts of its weight that are no whole numbers.
    parts = [*(weights / 4), *(weights * 3 / 4)]
    weighted = TagsTask.learn(SENTENCES * 2, TAGS * 2, parts)[0]
    np.testing.assert_allclose(weighted.log_frequencies, copied.log_frequencies)
    for one, other in zip(weighted.steps, copied.steps, strict=True):
        np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("scale", [1, 0.5])
def test_sentences_keep_their_weight_beside_empty_ones(scale):
    sentences = [["Ada", "ran"], [], ["Bo"], [], ["Cy", "sat"]]
    tags = [["B-PER", "O"], [], ["B-PER"], [], ["B-PER", "O"]]
    weights = scale * np.array([1, 2, 3, 4, 5])
    _, targets = TagsTask.learn(sentences, tags, weights)
    assert targets.rows == [sentences[source] for source in targets.sources]
    if scale == 1:
        assert np.bincount(targets.sources).tolist() == [1, 0, 3, 0, 5]
        assert targets.row_weights is None
    else:
        assert targets.row_weights.tolist() == weights[targets.sources].tolist()
        of_tokens = np.repeat(targets.row_weights, targets.n_of_row)
        np.testing.assert_allclose(targets.weights, of_tokens / of_tokens.mean())


@pytest.mark.parametrize(("n_tokens", "regular"), [(20, False), (200, True)])
def test_tags_that_break_their_rules_seldom_are_regular(n_tokens, regular):
    tags = [["O"] * (n_tokens - 3) + ["I-PER", "B-PER", "I-PER"]]  # one illegal step
    task, _ = TagsTask.learn([["x"] * n_tokens], tags)
    assert task.scheme == "IOB2"
    assert task.regular is regular


def test_tags_of_a_model_whose_training_is_unknown_are_legal():
    task = replace(TagsTask.without_training(np.array(["B-X", "I-X", "O"])), decode="legal")
    answers = np.log([[0.3, 0.6, 0.1], [0.1, 0.7, 0.2]])
    assert task.results("predict", [["Ada", "Lee"]], answers) == [["B-X", "I-X"]]


@pytest.mark.parametrize(
    ("learn", "y"),
    [
        (ClassesTask.learn, ["a", "b", "a"]),
        (NumbersTask.learn, [0.0, 4.0, 0.0]),
        (learn_labels, [{"a"}, {"b"}, {"a", "b"}]),
        (learn_labels, [[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]]),
    ],
    ids=["classes", "numbers", "several labels", "soft labels"],
)
def test_rows_keep_weights_that_are_no_numbers_of_copies(learn, y):
    weights = np.array([0.5, 1.5, 2.5])
    _, targets = learn(TEXTS[:3], y, weights)
    np.testing.assert_array_equal(targets.row_weights, weights[targets.sources])
    np.testing.assert_allclose(targets.weights, weights[targets.sources] / 1.5)


def test_numbers_are_standardised_by_their_weights():
    task, _ = NumbersTask.learn(TEXTS[:2], [0.0, 4.0], [0.5, 1.5])
    np.testing.assert_allclose([task.mean, task.scale], [[3], [3**0.5]])


def test_targets_of_rows_are_numbers_of_classes():
    task, targets = ClassesTask.learn(TEXTS, LABELS, class_weight={"sport": 3, "weather": 1})
    assert task.classes.tolist() == ["sport", "weather"]
    assert sorted(zip(targets.rows, targets.true, strict=True)) == sorted(
        zip(TEXTS, LABELS, strict=True)
    )
    np.testing.assert_array_equal(task.classes[targets.values], targets.true)
    np.testing.assert_array_equal(targets.weights, np.where(targets.values == 0, 1.5, 0.5))
    np.testing.assert_array_equal(targets.strata, targets.values)
    assert targets.n_of_row.tolist() == [1] * len(TEXTS)


def test_targets_of_sentences_are_numbers_of_tags_without_empty_sentences():
    task, targets = TagsTask.learn(SENTENCES, TAGS)
    assert len(targets.rows) == 8
    assert targets.n_of_row.tolist() == list(map(len, targets.rows))
    flat = [tag for tags in targets.true for tag in tags]
    np.testing.assert_array_equal(task.classes[targets.values], flat)
    assert task.scheme == "IOB2"
    assert task.regular


def test_several_passes_say_the_mean_of_their_probabilities():
    task = ClassesTask(np.array([0, 1]))
    logits = torch.tensor([[[0.0, 2.0]], [[1.0, 0.0]]])
    merged = np.exp(task.merge([task.answers(part) for part in logits]))
    np.testing.assert_allclose(merged, logits.softmax(-1).mean(0), rtol=1e-6)


def test_vectors_of_several_passes_keep_length_1():
    passes = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])]
    np.testing.assert_allclose(VectorsTask().merge(passes), [[0.5**0.5, 0.5**0.5]])


def test_of_two_classes_a_decision_is_the_log_odds_of_the_second():
    two, three = ClassesTask(np.arange(2)), ClassesTask(np.arange(3))
    answers = np.log([[0.2, 0.8]])
    np.testing.assert_allclose(two.results("decision_function", TEXTS[:1], answers), [np.log(4)])
    answers = np.log([[0.2, 0.3, 0.5]])
    assert three.results("decision_function", TEXTS[:1], answers) is answers


# A task of one's own


class Amount(Task):
    """Predict one number for each row; the loss is the squared error."""

    classes: None = None

    name = "amount"
    methods = ("predict",)
    link = "identity"
    n_outputs = 1
    described = "one number for each row"

    def loss(self, outputs, targets, weights):
        return (weights * (outputs.squeeze(1).float() - targets).square()).mean()

    def answers(self, outputs):
        return outputs.double().numpy()

    def merge(self, passes):
        return np.mean(passes, axis=0)

    def results(self, method, rows, answers):
        return answers[:, 0]

    def example(self, method):
        return 0.0

    def score(self, true, predicted, sample_weight=None):
        return r2_score(true, predicted, sample_weight=sample_weight)

    @classmethod
    def from_saved(cls, config, classes, arrays):
        return cls()


class AmountRegressor(MuxTextClassifier):
    """A regressor that consists of a task and of how its targets are made."""

    def fit(self, X, y):
        n = len(X)
        ones = np.ones(n, np.float32)
        numbers, counts = np.asarray(y, np.float32), np.ones(n, np.int64)
        strata, sources = np.zeros(n, np.int64), np.arange(n)
        given = TrainingSet(list(X), numbers, numbers, ones, counts, strata, sources, None)
        fit(self, given, Amount(), partial(self._kind.build, self))
        return self


AMOUNT_TEXTS = ["a", "a b", "a b a", "a b a b", "a b b a b", "b a b a b a"] * 4
AMOUNTS = [text.count("b") for text in AMOUNT_TEXTS]


@pytest.fixture(scope="module")
def amount_regressor():
    return AmountRegressor(
        n_mux=2,
        backbone=Scratch(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=270
        ),
        max_epochs=60,
        lr=1e-2,
        dropout=0,
        warm_up=None,
        random_state=0,
        early_stopping=60,
    ).fit(AMOUNT_TEXTS, AMOUNTS)


def test_a_task_of_its_own_is_trained_by_its_own_loss(amount_regressor):
    predicted = amount_regressor.predictor_.predict(AMOUNT_TEXTS)
    assert predicted.dtype == np.float64
    assert "valid_loss" in amount_regressor.history_[-1]
    assert "valid_acc" not in amount_regressor.history_[-1]  # numbers have none
    assert r2_score(AMOUNTS, predicted) > 0.8


def test_a_task_of_its_own_answers_alone_what_it_answers_in_mixtures(amount_regressor):
    alone = amount_regressor.predictor_.predict(AMOUNT_TEXTS, n_mux=1)
    assert r2_score(AMOUNTS, alone) > 0.8


def test_a_task_of_its_own_predicts_a_data_set(amount_regressor, tmp_path):
    pd.DataFrame({"text": AMOUNT_TEXTS}).to_parquet(tmp_path / "texts.parquet")
    folder = predict_dataset(
        amount_regressor.predictor_, tmp_path / "texts.parquet", tmp_path / "amounts"
    )
    np.testing.assert_array_equal(
        pq.read_table(folder)["prediction"].to_pylist(),
        amount_regressor.predictor_.predict(AMOUNT_TEXTS),
    )


@pytest.mark.parametrize("member", ["n_outputs", "described", "example"])
def test_a_task_without_classes_is_told_what_to_define(member):
    class Bare(Amount):
        n_outputs = Task.n_outputs
        described = Task.described
        example = Task.example

    with pytest.raises(NotImplementedError, match=f"Bare has no classes, .* define `{member}`"):
        Bare().example("predict") if member == "example" else getattr(Bare(), member)
