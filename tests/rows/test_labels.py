import numpy as np
import pytest
from numpy.testing import assert_array_equal

from muxlearn.rows._labels import check_labels, training_order


def ordered(rows, targets, weights):
    order, left = training_order(rows, np.array(targets), np.array(weights, float))
    return rows[order], np.array(targets)[order], left


def test_neither_order_nor_copies_in_the_place_of_weights_change_the_training():
    rows = np.random.default_rng(0).integers(0, 255, (6, 1, 2, 2)).astype(np.uint8)
    targets, weights = np.array([0, 1, 0, 1, 2, 2]), np.array([2, 0, 1, 3, 1, 1])
    shuffled = np.array([3, 1, 5, 0, 4, 2])
    weighted = ordered(rows[shuffled], targets[shuffled], weights[shuffled])
    copied = ordered(rows.repeat(weights, 0), targets.repeat(weights), np.ones(8))
    assert_array_equal(weighted[0], copied[0])
    assert_array_equal(weighted[1], copied[1])
    assert weighted[2] is None
    assert copied[2] is None


@pytest.mark.parametrize("weights", [[0.5, 1.0, 2.0], [1000.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_other_weights_weigh_the_loss(weights):
    rows = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)
    X, _, left = ordered(rows, [0, 1, 2], weights)
    by_row = dict(zip(X[:, 0, 0, 0].tolist(), left.tolist(), strict=True))
    assert by_row == dict(zip((0, 4, 8), weights, strict=True))


def test_the_same_image_with_two_labels_has_one_order():
    rows = np.zeros((2, 1, 2, 2), np.uint8)
    _, one, _ = ordered(rows, [1, 0], [1, 1])
    _, other, _ = ordered(rows, [0, 1], [1, 1])
    assert one.tolist() == other.tolist()


def columns_of_other_libraries():
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    labels = ["b", "a", "b"]
    yield pa.array(labels)
    yield pa.array(labels).dictionary_encode()
    yield pa.chunked_array([labels[:1], labels[1:]])
    yield pl.Series(labels)
    yield pl.Series(labels, dtype=pl.Categorical)


def test_labels_of_other_libraries_are_those_of_a_list():
    expected = check_labels(["b", "a", "b"], 3)[0]
    for column in columns_of_other_libraries():
        classes, targets = check_labels(column, 3)
        assert classes.dtype == expected.dtype
        assert_array_equal(classes, expected)
        assert targets.tolist() == [1, 0, 1]
