from collections import deque

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from muxlearn.rows import SeveralLabels, SoftLabels, check_several

MATRIX = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]])
SETS = [{"b", "c"}, set(), {"a"}]


@pytest.mark.parametrize(
    ("y", "form"),
    [
        (MATRIX, "indicator"),
        (MATRIX.tolist(), "indicator"),
        (list(MATRIX), "indicator"),
        (MATRIX.astype(bool), "indicator"),
        (MATRIX.astype(object), "indicator"),
        (csr_matrix(MATRIX), "sparse"),
    ],
)
def test_a_matrix_of_0_and_1_is_an_indicator(y, form):
    given = check_several(y, 3)
    assert isinstance(given, SeveralLabels)
    assert given.form == form
    assert given.classes.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(given.indicator, MATRIX)


def test_tensors_that_have_gradients_or_are_sparse_are_matrices():
    expected = MATRIX.astype(bool).tolist()
    for y in (torch.tensor(MATRIX, dtype=torch.float32), torch.tensor(MATRIX).to_sparse()):
        given = check_several(y.requires_grad_(y.is_floating_point()), 3)
        assert given.indicator.tolist() == expected


def test_a_long_double_becomes_a_type_that_every_machine_has():
    assert check_several(MATRIX.astype(np.longdouble), 3).dtype == "float64"


def test_columns_of_a_frame_name_the_labels():
    given = check_several(pd.DataFrame(MATRIX, columns=["x", "c", "b"]), 3)
    assert given.classes.tolist() == ["x", "c", "b"]
    np.testing.assert_array_equal(given.indicator, MATRIX)


def test_a_matrix_of_something_else_is_refused():
    for cells in ([[[], []], [..., ...]], [[[1], [0]], [[0], [1]]]):
        frame = pd.DataFrame(cells, columns=["a", "b"])
        with pytest.raises(ValueError, match="neither one label for each row nor an indicator"):
            check_several(frame, 2)


@pytest.mark.parametrize("names", [[10, 20, 5], [True, False, 2]])
def test_columns_that_are_numbers_name_labels_too(names):
    given = check_several(pd.DataFrame(MATRIX, columns=names), 3)
    assert given.classes.tolist() == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "a"], "`y` has two columns called 'a'"),
        (["a", "b", 1], r"the columns of `y` name its labels, but are called \['a', 'b', 1\]"),
        ([("a", 1), ("a", 2), ("b", 1)], "the columns of `y` name its labels"),
        (["a", "b", None], "the columns of `y` name its labels"),
    ],
)
def test_columns_that_name_no_labels_are_refused(names, message):
    frame = pd.DataFrame(MATRIX)
    frame.columns = pd.Index(names, tupleize_cols=False)
    with pytest.raises((TypeError, ValueError), match=message):
        check_several(frame, 3)


@pytest.mark.parametrize(
    ("nullable", "dtype"), [("boolean", "bool"), ("Int64", "int64"), ("Float64", "float64")]
)
def test_a_frame_of_nullable_types_is_one_of_numpys(nullable, dtype):
    given = check_several(pd.DataFrame(MATRIX).astype(nullable), 3)
    assert given.dtype == dtype
    np.testing.assert_array_equal(given.indicator, MATRIX)
    missing = pd.DataFrame(MATRIX).astype(nullable)
    missing.iloc[1, 2] = pd.NA
    with pytest.raises(ValueError, match="row 1 of `y` holds a missing value"):
        check_several(missing, 3)


@pytest.mark.parametrize(
    ("y", "form"),
    [
        (SETS, "set"),
        ([frozenset(row) for row in SETS], "set"),
        ([sorted(row) for row in SETS], "list"),
        ([tuple(row) for row in SETS], "tuple"),
        (pd.Series([sorted(row) for row in SETS]), "list"),
        (pd.Series([np.array(sorted(row), str) for row in SETS]), "list"),
    ],
)
def test_sets_of_strings_are_labels(y, form):
    given = check_several(y, 3)
    assert given.form == form
    assert given.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(given.indicator, [[0, 1, 1], [0, 0, 0], [1, 0, 0]])


def test_sets_of_numbers_are_labels():
    assert check_several([{3}, {5, 3}, set()], 3).classes.tolist() == [3, 5]


@pytest.mark.parametrize(
    "y",
    [
        ["a", "b", "c"],
        np.array(["a", "b", "c"]),
        np.array([[1], [0], [1]]),
        [1, 0, 1],
        None,
        pd.Series([1, 2, 3]),
        pd.DataFrame({"y": [1, 0, 1]}),
        "abc",
        [[1], [0], [1]],
        deque([0.5, ["a", ["b"]], "c"]),
        deque([np.array(1), [1], [2]]),
        deque([torch.ones(1, requires_grad=True)] * 3),
    ],
)
def test_one_label_for_each_row_is_something_else(y):
    assert check_several(y, 3) is None


def test_rows_that_add_up_to_1_are_soft():
    shares = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], np.float32)
    given = check_several(shares, 3)
    assert isinstance(given, SoftLabels)
    np.testing.assert_array_equal(given.shares, shares)
    assert given.classes.tolist() == [0, 1]


def test_columns_of_a_frame_name_the_classes_sorted():
    given = check_several(pd.DataFrame({"sport": [0.2, 0.6], "art": [0.8, 0.4]}), 2)
    assert given.classes.tolist() == ["art", "sport"]
    np.testing.assert_array_equal(given.shares, [[0.8, 0.2], [0.4, 0.6]])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array([[0, 1], [2, 0], [1, 1]]), ValueError, r"row 1 is \[2, 0\]"),
        (np.array([[0.5, 0.4], [0.5, 0.5], [1, 0]]), ValueError, r"row 0 is \[0.5, 0.4\]"),
        (np.array([[-0.5, 1.5], [0.5, 0.5], [1, 0]]), ValueError, r"row 0 is \[-0.5, 1.5\]"),
        (np.array([[0, 1], [np.nan, 0], [1, 1]]), ValueError, "row 1 of `y` contains NaN"),
        (np.array([[0.5, 0.5], [np.inf, 0], [1, 1]]), ValueError, "row 1 of `y` contains NaN or"),
        (np.array([["a", "b"]] * 3), ValueError, "is a matrix of <U1 with 2 columns"),
        (MATRIX[:2], ValueError, "`X` has 3 rows and `y` has 2"),
        ([{"a"}, {"b"}], ValueError, "`X` has 3 rows and `y` has 2"),
        (
            [[1, 2], [1], []],
            ValueError,
            "different lengths, 0 to 2; give labels that are",
        ),
        (deque([[1, [2]], [3, 4], [5, 6]]), ValueError, "hold values of different shapes"),
        ([{1}, {1j}, {2}], TypeError, "the labels of `y` cannot be put in order"),
        ([["a\0"], ["a"], ["b"]], ValueError, "row 0 of `y` holds 'a.x00'; a label must not"),
        (torch.empty(3, 2, device="meta"), TypeError, "`y` is a tensor on the device 'meta'"),
        ([{"a"}, None, {"b"}], TypeError, "row 1 of `y` is None, but others are sets"),
        ([{"a"}, {None}, {"b"}], ValueError, "row 1 of `y` holds None"),
        ([{"a"}, {float("nan")}, {"b"}], ValueError, "row 1 of `y` holds nan"),
        (
            [{"a"}, {1}, {"b"}],
            TypeError,
            "`y` mixes labels such as .*; give strings or numbers alone",
        ),
    ],
)
def test_what_is_neither_is_refused(y, error, message):
    with pytest.raises(error, match=message):
        check_several(y, 3)


def test_sets_that_are_all_empty_have_no_label():
    given = check_several([set(), set(), set()], 3)
    assert given.form == "set"
    assert given.indicator.shape == (3, 0)


def test_columns_of_arrow_are_read():
    pa = pytest.importorskip("pyarrow")
    sets = check_several(pa.chunked_array([[["b"], []], [["a", "b"]]]), 3)
    assert sets.classes.tolist() == ["a", "b"]
    assert sets.indicator.tolist() == [[False, True], [False, False], [True, True]]
    named = check_several(pa.table({"x": [0, 1, 0], "y": [1, 0, 0]}), 3)
    assert named.classes.tolist() == ["x", "y"]
    assert check_several(pa.table({"x": [0, 1, 0]}), 3) is None


def test_lists_in_a_series_of_polars_are_read():
    pl = pytest.importorskip("polars")
    given = check_several(pl.Series([["a"], [], ["a", "b"]]), 3)
    assert given.form == "list"
    assert given.indicator.tolist() == [[True, False], [False, False], [True, True]]
