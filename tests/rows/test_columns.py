"""Rows in columns, as pandas, polars, Arrow and `datasets` keep them."""

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from muxlearn.rows import check_rows, check_sentences, check_texts, iterate_rows

TEXTS = ["a cat", "", "a dog\nsleeps", "é"]
TOKENS = [["a", "cat"], [], ["dog"], ["é", "b"]]
NUMBERS = [3, 1, 4, 1]


def polars(**columns):
    return pytest.importorskip("polars").DataFrame(columns)


FRAMES = {
    "pandas": lambda **columns: pd.DataFrame(columns, index=[7, 7, 2, 0]),
    "polars": polars,
    "arrow": lambda **columns: pa.table(columns),
    "arrow batch": lambda **columns: pa.RecordBatch.from_pydict(columns),
    "datasets": lambda **columns: datasets.Dataset.from_dict(columns),
    "datasets in numpy": lambda **columns: datasets.Dataset.from_dict(columns).with_format("numpy"),
}
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


@pytest.mark.parametrize(
    "X",
    [
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:1], [], TEXTS[1:]], pa.string()),
        pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
        pd.Series(TEXTS, dtype="category"),
        np.array(TEXTS, np.dtypes.StringDType()),
        datasets.Dataset.from_dict({"a": TEXTS})["a"],
    ],
)
def test_columns_of_texts_are_read(X):
    assert check_texts(X) == check_rows(X) == list(iterate_rows(X)) == TEXTS


def test_series_of_polars_are_read():
    polars = pytest.importorskip("polars")
    assert check_texts(polars.Series(TEXTS)) == TEXTS
    assert check_texts(polars.Series(TEXTS, dtype=polars.Categorical)) == TEXTS
    assert check_sentences(polars.Series(TOKENS)) == TOKENS


@every_frame
def test_the_only_column_is_taken(frame):
    assert check_texts(frame(a=TEXTS)) == TEXTS
    assert check_sentences(frame(a=TOKENS)) == TOKENS


@every_frame
def test_the_only_column_of_texts_is_taken(frame):
    table = frame(id=NUMBERS, body=TEXTS, tokens=TOKENS, weight=[0.5] * 4)
    assert check_rows(table) == TEXTS
    assert list(iterate_rows(table)) == TEXTS
    assert check_sentences(table) == TOKENS


@every_frame
def test_two_columns_of_texts_alone_are_pairs(frame):
    assert check_rows(frame(a=TEXTS, b=TEXTS[::-1])) == list(zip(TEXTS, TEXTS[::-1], strict=True))


@every_frame
def test_several_columns_of_texts_are_told_with_what_to_do(frame):
    table = frame(title=TEXTS, body=TEXTS, year=NUMBERS)
    with pytest.raises(ValueError, match=r"of 3 columns; 2 hold texts \('title', 'body'"):
        check_texts(table)
    with pytest.raises(ValueError, match=r"X\['title'\], or two columns alone for pairs"):
        check_rows(table)
    with pytest.raises(ValueError, match=r"0 hold lists of tokens \(none\); give one column"):
        check_sentences(table)


@every_frame
def test_columns_without_texts_are_told(frame):
    with pytest.raises(ValueError, match=r"of 2 columns; 0 hold texts"):
        check_texts(frame(a=NUMBERS, b=NUMBERS))


@pytest.mark.parametrize("frame", [FRAMES["pandas"], FRAMES["polars"], FRAMES["arrow"]])
def test_what_is_missing_is_told_by_its_row(frame):
    with pytest.raises(ValueError, match="row 1 of `X` is missing"):
        check_texts(frame(a=["a", None, "b", "c"], n=NUMBERS))


def test_what_is_no_text_among_objects_is_told_by_its_row():
    with pytest.raises(TypeError, match="second text of row 2 of `X` is of type int"):
        check_texts(FRAMES["pandas"](a=TEXTS, b=["a", "b", 3, "c"]))


@pytest.mark.parametrize("other", [None, {"a": 1}])
def test_a_column_of_no_texts_makes_no_pairs(other):
    frame = pd.DataFrame({"text": ["a", "b"], "label": [other, other]})
    assert list(iterate_rows(frame)) == ["a", "b"]


def test_lists_of_other_types_are_tokens():
    listed = pd.Series(TOKENS, dtype=pd.ArrowDtype(pa.list_(pa.string())))
    assert check_sentences(pd.DataFrame({"tokens": listed, "id": NUMBERS})) == TOKENS
    pl = pytest.importorskip("polars")
    pairs = [["a", "b"], ["c", "d"]]
    fixed = pl.Series(pairs, dtype=pl.Array(pl.String, 2))
    assert check_sentences(pl.DataFrame({"tokens": fixed, "id": [1, 2]})) == pairs


def test_a_set_of_splits_names_one():
    splits = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": TEXTS})})
    with pytest.raises(TypeError, match=r"DatasetDict; give one of its splits, X\['train'\]"):
        check_texts(splits)


def test_a_data_set_of_integers_is_read():
    rows = check_rows(datasets.Dataset.from_dict({"pixels": [[1, 2], [3]]}))
    assert [row.tolist() for row in rows] == [[1, 2], [3]]
