from datetime import date
from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

from muxlearn.rows import (
    check_labels,
    check_numbers,
    check_tags,
    check_weights,
    relative_weights,
    row_weights,
)
from muxlearn.rows._labels import class_weights, split_rows, training_order
from muxlearn.rows._numbers import location_and_scale


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


def test_pixels_of_another_type_have_the_same_order():
    rows = np.random.default_rng(0).integers(0, 255, (6, 1, 2, 2)).astype(np.uint8)
    one, _, _ = ordered(rows, range(6), np.ones(6))
    other, _, _ = ordered(rows.astype(np.float32), range(6), np.ones(6))
    assert_array_equal(one, other)


@pytest.mark.parametrize("weights", [[0.5, 1.0, 2.0], [1000.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_other_weights_weigh_the_loss(weights):
    rows = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)
    X, _, left = ordered(rows, [0, 1, 2], weights)
    by_row = dict(zip(X[:, 0, 0, 0].tolist(), left.tolist(), strict=True))
    assert by_row == dict(zip((0, 4, 8), weights, strict=True))


@pytest.mark.parametrize("scale", [1, 0.5])
def test_rows_of_no_weight_are_left_out(scale):
    rows = np.arange(16, dtype=np.float32).reshape(4, 1, 2, 2)
    X, _, _ = ordered(rows, [0, 1, 2, 3], [0, scale, 0, scale])
    assert sorted(X[:, 0, 0, 0].tolist()) == [4, 12]


def test_copies_of_a_row_are_set_aside_together():
    sources = np.repeat([7, 2, 9, 4, 0, 5, 8, 1], [3, 1, 2, 5, 1, 1, 2, 1])
    targets = np.repeat([0, 1] * 4, [3, 1, 2, 5, 1, 1, 2, 1])
    for seed in range(5):
        train, valid = split_rows(targets, sources, 0.25, seed)
        assert sorted([*train, *valid]) == list(range(len(sources)))
        assert not set(sources[train]) & set(sources[valid])
        assert sorted(targets[valid[np.unique(sources[valid], return_index=True)[1]]]) == [0, 1]


@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_fewer_rows_than_classes_on_either_side_are_not_divided_by_class(fraction):
    train, valid = split_rows(np.repeat(np.arange(3), 4), np.arange(12), fraction, 0)
    assert sorted([*train, *valid]) == list(range(12))
    assert min(len(train), len(valid)) == 1


def test_another_seed_sets_other_rows_aside():
    one, other = (split_rows(np.zeros(40, int), np.arange(40), 0.25, seed)[1] for seed in (0, 1))
    assert set(one) != set(other)


def test_the_same_image_with_two_labels_has_one_order():
    rows = np.zeros((2, 1, 2, 2), np.uint8)
    _, one, _ = ordered(rows, [1, 0], [1, 1])
    _, other, _ = ordered(rows, [0, 1], [1, 1])
    assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (pd.Series([3, 1, 3], dtype=object), [1, 3]),
        (pd.Series([True, False, True], dtype=object), [False, True]),
        (pd.Series(["b", "a", "b"], dtype=object), ["a", "b"]),
        (np.array(["b", "a", "b"], np.dtypes.StringDType()), ["a", "b"]),
    ],
)
def test_labels_of_any_container(y, expected):
    classes, codes = check_labels(y, 3)
    assert classes.tolist() == expected
    assert codes.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (["a", "a\0", "b"], ValueError, r"row 1 of `y` is 'a\\x00'; a label must not end in NUL"),
        ([np.void(b"ab")] * 3, TypeError, r"`y` is of \|V2; labels must be strings, numbers or"),
        ("kind", TypeError, r"got the text 'kind'; .* is given as `table\['kind'\]`"),
        ([0.5, 1.5, 2.5], ValueError, "row 0 is 0.5, of type float; a regressor predicts numbers"),
        (np.zeros(3, "i4,f4"), TypeError, "labels must be strings, numbers or bools"),
        (torch.empty(3, device="meta"), TypeError, "`y` is a tensor on the device 'meta'"),
        ([torch.ones(1, requires_grad=True)] * 3, TypeError, "`y` must hold one label for each"),
        ([b"a", b"b", b"a"], TypeError, r"Labels in `y` must be strings.* row 0 is b'a', of type"),
        (np.array([slice(3), (), -1], object), ValueError, "Labels in `y` must be strings"),
        ([date(2020, 1, 1)] * 3, ValueError, "Labels in `y` must be strings.* of type date"),
    ],
)
def test_what_is_no_label_is_refused(y, error, message):
    with pytest.raises(error, match=message):
        check_labels(y, 3)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, requires_grad=True),
        torch.ones(3).to_sparse(),
        torch.ones(3, dtype=torch.bfloat16),
    ],
)
def test_tensors_of_any_kind_are_numbers(tensor):
    assert check_numbers(tensor, 3).tolist() == [1, 1, 1]
    assert check_weights(tensor, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("check", [check_numbers, check_weights])
@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["1", "b", "3"], ValueError),
        ([1, 2, 10**400], ValueError),
        ([[1, 2], [3], [4]], ValueError),
        ([1j] * 3, TypeError),
        ({1, 2, 3}, TypeError),
        ([torch.ones(1, requires_grad=True)] * 3, ValueError),
        (torch.empty(3, device="meta"), TypeError),
    ],
)
def test_an_error_about_numbers_names_the_argument(check, values, error):
    name = {"check_numbers": "`y`", "check_weights": "`sample_weight`"}[check.__name__]
    with pytest.raises(error, match=name):
        check(values, 3)


@pytest.mark.parametrize("weights", [float("nan"), float("inf"), [1e308, 1e308, 1e308]])
def test_weights_add_up_to_a_finite_number(weights):
    with pytest.raises(ValueError, match="`sample_weight` must add up to a finite number"):
        check_weights(weights, 3)


def test_weights_of_classes_add_up_to_a_finite_number():
    classes, targets = np.array(["a", "b"]), np.array([0, 1])
    with pytest.raises(ValueError, match="`sample_weight` and `class_weight` make numbers whose"):
        row_weights(None, {"a": 1e308, "b": 1e308}, classes, targets)


@pytest.mark.parametrize("scale", [0.1, 1, 1.5, 1000])
def test_balanced_classes_weigh_the_same_whatever_the_weights_of_rows(scale):
    targets, weights = np.array([0, 0, 0, 1]), np.array([9.0, 9.0, 9.0, 1.0])
    found = row_weights(weights * scale, "balanced", np.array(["a", "b"]), targets)
    assert found[targets == 0].sum() == pytest.approx(found[targets == 1].sum())


def test_a_weight_of_a_label_that_is_absent_is_no_error_while_no_other_lacks_one():
    weights = class_weights({"a": 2.0, "b": 1.0, "rare": 9.0}, np.array(["a", "b"]), np.ones(2))
    assert weights.tolist() == [2, 1]


def test_labels_of_digits_have_weights():
    classes, targets = np.array(["01", "5"]), np.array([0, 1])
    assert_array_equal(row_weights(None, {"01": 1, "5": 3}, classes, targets), [0.5, 1.5])


@pytest.mark.parametrize(
    ("check", "name"), [(check_labels, "y"), (check_numbers, "y"), (check_weights, "sample_weight")]
)
def test_what_is_masked_is_missing(check, name):
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    with pytest.raises(ValueError, match=f"row 1 of `{name}` is missing"):
        check(masked, 3)
    check(np.ma.array([1.0, 2.0, 3.0]), 3)


def test_a_class_that_is_the_likeliest_of_no_row_lets_the_others_be_divided():
    targets, sources = np.repeat([0, 2], 20), np.arange(40)
    _, valid = split_rows(targets, sources, 0.1, 0)
    assert sorted(targets[valid]) == [0, 0, 2, 2]


class Topic(str, Enum):
    SPORT = "sport"
    WEATHER = "weather"


@pytest.mark.parametrize("box", [list, tuple, pd.Series, lambda y: np.array(y, object)])
def test_members_of_an_enumeration_are_their_texts(box):
    classes, _ = check_labels(box([Topic.SPORT, Topic.WEATHER]), 2)
    assert classes.tolist() == ["sport", "weather"]
    assert check_tags([[Topic.SPORT]], [["goal"]]) == [["sport"]]
    assert type(check_tags([[Topic.SPORT]], [["goal"]])[0][0]) is str


def test_weights_that_are_all_but_zero_teach_nothing():
    with pytest.raises(ValueError, match="zero for every row; nothing could be learned"):
        relative_weights(np.array([5e-324, 0.0, 0.0]))


def test_targets_whose_variance_is_no_float_are_refused():
    with pytest.raises(ValueError, match=r"`y` holds numbers as large as 1e\+200"):
        location_and_scale(np.array([[1e200], [-1e200]]), np.ones(2))


def test_the_scale_of_small_targets_is_no_0():
    numbers = np.array([[-1.0, 1.0], [1.0, 3.0], [-1.0, 1.0], [1.0, 3.0]])
    mean, scale = location_and_scale(numbers * [1e-200, 1.0], np.ones(4))
    np.testing.assert_allclose(mean, [0.0, 2.0])
    np.testing.assert_allclose(scale, [1e-200, 1.0])


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
