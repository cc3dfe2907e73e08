import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.metrics import accuracy_score, log_loss
from torch.nn import functional as F

from muxlearn.nn.losses import weighted_binary_cross_entropy
from muxlearn.rows import check_several
from muxlearn.tasks import ClassesTask, LabelsTask, learn_labels

ROWS = ["r0", "r1", "r2", "r3"]
MATRIX = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1]])
SETS = [{"b", "c"}, set(), {"a"}, {"c"}]


def learn(y, **options):
    return learn_labels(ROWS, y, **options)


@pytest.mark.parametrize(
    "y",
    [
        MATRIX,
        MATRIX.astype(bool),
        MATRIX.astype(np.float32),
        csr_matrix(MATRIX),
        SETS,
        [sorted(row) for row in SETS],
        [tuple(sorted(row)) for row in SETS],
    ],
)
def test_labels_come_back_as_they_went_in(y):
    task, targets = learn(y)
    order = [ROWS.index(row) for row in targets.rows]
    answers = np.where(targets.true, 2.0, -2.0)[np.argsort(order)]
    back = task.results("predict", ROWS, answers)
    assert type(back) is type(y)
    if isinstance(y, list):
        assert back == y
    else:
        assert back.dtype == y.dtype
        assert (back != y).sum() == 0


def test_columns_of_a_frame_have_the_order_of_the_labels():
    frame = pd.DataFrame(MATRIX, columns=["x", "y", "z"])
    task, _ = learn(frame)
    np.testing.assert_array_equal(task.check_true(ROWS, frame[["z", "x", "y"]]), MATRIX)
    np.testing.assert_array_equal(task.check_true(ROWS, MATRIX), MATRIX)
    with pytest.raises(ValueError, match="a column called 'w', but the labels of the model are"):
        task.check_true(ROWS, frame.rename(columns={"x": "w"}))


def test_columns_of_a_frame_count_in_their_order_where_an_array_was_learned():
    task, _ = learn(MATRIX)
    frame = pd.DataFrame(MATRIX, columns=["z", "x", "y"])
    np.testing.assert_array_equal(task.check_true(ROWS, frame), MATRIX)


def test_answers_are_log_odds():
    task = LabelsTask(np.arange(2))
    answers = task.answers(torch.tensor([[0.0, 3.0]]))
    proba = task.results("predict_proba", ROWS[:1], answers)
    np.testing.assert_allclose(proba, [[0.5, 1 / (1 + np.exp(-3))]])
    np.testing.assert_allclose(task.results("decision_function", ROWS[:1], answers), [[0, 3]])
    np.testing.assert_allclose(
        task.results("predict_log_proba", ROWS[:1], answers), np.log(proba), rtol=1e-5
    )
    near = np.array([[-0.4, 0.4]])
    assert np.asarray(task.results("predict", ROWS[:1], near)).tolist() == [[0, 1]]


def test_several_passes_say_the_mean_of_their_probabilities():
    task = LabelsTask(np.arange(2))
    passes = [np.array([[-2.0, 40.0]]), np.array([[1.0, 41.0]])]
    proba = [task.results("predict_proba", ROWS[:1], part) for part in passes]
    merged = task.results("predict_proba", ROWS[:1], task.merge(passes))
    np.testing.assert_allclose(merged, np.mean(proba, axis=0))


def test_the_loss_adds_the_labels_up():
    logits, targets = torch.randn(4, 3), torch.tensor(MATRIX, dtype=torch.float32)
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0])
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    loss = weighted_binary_cross_entropy(logits, targets, weights)
    torch.testing.assert_close(loss, (each * weights).sum() / 3)


def test_balanced_labels_count_as_much_where_they_are_as_where_they_are_not():
    task, _ = learn(MATRIX, class_weight="balanced")
    absent, present = task.label_weights
    counts = MATRIX.sum(0)
    np.testing.assert_allclose(present * counts, 2)
    np.testing.assert_allclose(absent * (4 - counts), 2)
    # Of a label that every row has, and one that none has, there is nothing to balance.
    task, _ = learn(np.array([[1, 0]] * 4), class_weight="balanced")
    np.testing.assert_array_equal(task.label_weights, [[1, 0.5], [0.5, 1]])


def test_a_dict_weighs_the_rows_that_have_a_label():
    task, _ = learn(SETS, class_weight={"a": 5.0, "b": 1.0, "c": 1.0})
    np.testing.assert_array_equal(task.label_weights, [[1, 1, 1], [5, 1, 1]])
    with pytest.raises(ValueError, match="names the label 'd', which is not in `y`"):
        learn(SETS, class_weight={"d": 5.0})


def test_a_network_starts_from_how_frequent_labels_are():
    task, _ = learn(MATRIX)
    proba = task.results("predict_proba", ROWS[:1], task.first_outputs()[None])
    np.testing.assert_allclose(proba, [(MATRIX.sum(0) + 1) / 6])


def test_the_start_counts_rows_by_their_weight():
    weights = np.array([0.5, 0.5, 0.5, 2.5])
    task, _ = learn(MATRIX, sample_weight=weights)
    np.testing.assert_allclose(task.frequencies, (weights @ MATRIX + 1) / (weights.sum() + 2))


def test_a_label_of_rows_without_weight_is_none():
    task, targets = learn(SETS, sample_weight=[1, 1, 0, 1])
    assert task.classes.tolist() == ["b", "c"]
    assert len(targets.rows) == 3
    assert learn(MATRIX, sample_weight=[1, 1, 0, 1])[0].classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize("y", [MATRIX, csr_matrix(MATRIX), SETS])
def test_the_score_is_the_accuracy_of_whole_sets(y):
    task, _ = learn(y)
    true = check_several(y, 4).indicator
    said = true.copy()
    said[2, 0] ^= True
    predicted = task.results("predict", ROWS, np.where(said, 1.0, -1.0))
    weights = [1.0, 2.0, 3.0, 4.0]
    assert task.score(task.check_true(ROWS, y), predicted) == 0.75
    expected = accuracy_score(true, said, sample_weight=weights)
    assert task.score(task.check_true(ROWS, y), predicted, weights) == expected


def test_true_sets_may_come_from_an_iterator():
    task, _ = learn(SETS)
    expected = task.check_true(ROWS, SETS)
    np.testing.assert_array_equal(task.check_true(ROWS, iter(SETS)), expected)


def test_a_row_with_a_label_never_seen_counts_as_wrong():
    task, _ = learn(SETS)
    with pytest.warns(UserWarning, match="never predicts, such as 'new'"):
        true = task.check_true(ROWS, [{"b", "c"}, set(), {"a"}, {"c", "new"}])
    predicted = task.results("predict", ROWS, np.where(true[:, :3], 1.0, -1.0))
    assert task.score(true, predicted) == 0.75


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (MATRIX[:, :2], "2 columns, but the model was fitted to 3"),
        ([1, 0, 1, 1], "predicts several"),
    ],
)
def test_true_labels_of_another_kind_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        learn(MATRIX)[0].check_true(ROWS, y)


def test_rows_without_a_label_are_scored_but_teach_nothing():
    task, _ = learn(SETS)
    true = task.check_true(ROWS, [set()] * 4)
    predicted = task.results("predict", ROWS, np.where(MATRIX, 1.0, -1.0))
    assert task.score(true, predicted) == 0.25
    with pytest.raises(ValueError, match="no row of `y` whose weight is above 0 has a label"):
        learn([set()] * 4)


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 1, 1, -1], ["a", 1, 1, 1]])
def test_weights_of_a_score_are_checked(weights):
    task, _ = learn(MATRIX)
    with pytest.raises(ValueError, match="`sample_weight` must be one number for each row"):
        task.score(MATRIX.astype(bool), MATRIX, weights)


# Soft labels


def test_soft_labels_are_targets_of_classes():
    shares = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.1, 0.9]])
    task, targets = learn(shares)
    assert isinstance(task, ClassesTask)
    order = [ROWS.index(row) for row in targets.rows]
    np.testing.assert_allclose(targets.values, shares[order])
    np.testing.assert_array_equal(targets.true, shares.argmax(1)[order])
    np.testing.assert_array_equal(targets.strata, targets.true)
    logits = torch.randn(4, 2)
    loss = task.loss(logits, torch.tensor(targets.values), torch.ones(4))
    expected = -(shares[order] * logits.log_softmax(1).numpy()).sum(1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_weights_of_classes_weigh_their_shares():
    shares = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.1, 0.9]])
    weights = {0: 3.0, 1: 1.0}
    task, targets = learn(shares, class_weight=weights)
    logits = torch.randn(4, 2)
    loss = task.loss(logits, torch.tensor(targets.values), torch.tensor(targets.weights))
    order = [ROWS.index(row) for row in targets.rows]
    weighted = shares[order] * [3.0, 1.0]
    each = -(weighted * logits.log_softmax(1).numpy()).sum(1)
    assert float(loss) == pytest.approx(each.sum() / weighted.sum(), rel=1e-5)


def test_a_class_without_a_share_takes_no_weight_from_others():
    shares = np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]])
    _, targets = learn(shares, class_weight="balanced", sample_weight=[1e9 + 0.5] * 4)
    _, expected = learn(shares[:, :2], class_weight="balanced")
    order = [targets.rows.index(row) for row in expected.rows]
    np.testing.assert_allclose(targets.values[order, :2], expected.values, rtol=1e-6)
    np.testing.assert_allclose(targets.weights[order], expected.weights, rtol=1e-6)


def test_hard_and_soft_labels_are_the_same_where_they_say_the_same():
    proba = torch.tensor([[0.3, 0.7], [0.6, 0.4]]).log()
    hard = ClassesTask(np.arange(2)).loss(proba, torch.tensor([1, 0]), torch.ones(2))
    assert float(hard) == pytest.approx(log_loss([1, 0], proba.exp().numpy()), rel=1e-5)
    soft = ClassesTask(np.arange(2)).loss(proba, torch.eye(2)[[1, 0]], torch.ones(2))
    torch.testing.assert_close(soft, hard)
