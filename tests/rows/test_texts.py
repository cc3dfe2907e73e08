import re

import datasets
import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, models

from muxlearn.rows import _tokenizing, check_rows
from muxlearn.rows._texts import TokenTable, check_texts, iterate_rows, train_tokenizer
from muxlearn.rows._tokenizing import tokenize

CORPUS = ["the cat sat on the mat", "a dog ran in the park", "birds sing in the morning"]
TEXTS = ["a", "", "some words"]
PAIRS = [("a", "b"), ("", "some words")]


def objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def column(rows):
    return datasets.Dataset.from_dict({"text": rows})["text"]


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        iter,
        np.array,
        objects,
        column,
        pd.Index,
        pd.Series,
        lambda rows: pd.Series(rows, index=range(len(rows), 0, -1)),
        lambda rows: pd.Series(rows, dtype="string"),
        lambda rows: pd.Series(rows, dtype="category"),
        lambda rows: pd.DataFrame({"text": rows}),
        lambda rows: np.array(rows)[:, None],
        lambda rows: [np.str_(row) for row in rows],
        lambda rows: dict.fromkeys(rows).keys(),
    ],
)
def test_texts_come_in_many_containers(container):
    texts = check_texts(container(TEXTS))
    assert texts == TEXTS
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        iter,
        np.array,
        pd.Series,
        lambda rows: [list(row) for row in rows],
        lambda rows: [np.array(row) for row in rows],
        lambda rows: pd.DataFrame(rows, columns=["premise", "hypothesis"], index=[7, 7]),
        lambda rows: pd.DataFrame(rows, dtype="string"),
    ],
)
def test_pairs_come_in_many_containers(container):
    assert check_texts(container(PAIRS)) == PAIRS


@pytest.mark.parametrize(
    ("missing", "shown"),
    [
        (None, "None"),
        (float("nan"), "nan"),
        (np.float32("nan"), "nan"),
        (pd.NA, "<NA>"),
        (pd.NaT, "NaT"),
    ],
)
def test_a_missing_text_is_refused_by_its_row(missing, shown):
    with pytest.raises(ValueError, match=rf"row 2 of `X` is missing \(.*{shown}.*drop the row"):
        check_texts(["a", "b", missing, "d"])


def test_a_missing_value_of_a_pandas_string_column_is_refused_by_its_row():
    with pytest.raises(ValueError, match=r"row 1 of `X` is missing \(<NA>\)"):
        check_texts(pd.Series(["a", None], dtype="string", index=[5, 6]))


@pytest.mark.parametrize(
    ("value", "kind", "hint"),
    [
        (b"bytes", "bytes", "decode it"),
        (3, "int", "convert it"),
        (0.5, "float", "convert it"),
        (True, "bool", "convert it"),
        ({"text": "a"}, "dict", re.escape("dataset['text']")),
        (np.int64(3), "int64", "convert it"),
    ],
)
def test_what_is_no_text_is_refused_by_its_row(value, kind, hint):
    with pytest.raises(TypeError, match=rf"row 1 of `X` is of type {kind}, not str; .*{hint}"):
        check_texts(["a", value])


def test_the_words_for_missing_values_are_texts():
    words = ["None", "nan", "NaT", "<NA>"]
    assert check_texts(words) == words


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (("a", None), ValueError, "the second text of row 1 of `X` is missing (None)"),
        ((float("nan"), "b"), ValueError, "the first text of row 1 of `X` is missing (nan)"),
        (("a", b"b"), TypeError, "the second text of row 1 of `X` is of type bytes"),
        (("a",), ValueError, "row 1 of `X` is of length 1; a pair of texts has 2"),
        ((), ValueError, "row 1 of `X` is of length 0; a pair of texts has 2"),
        (
            ("a", "b", "c"),
            ValueError,
            "row 1 of `X` is of length 3; a pair of texts has 2; join the words of a text, ' '",
        ),
        ("a", ValueError, "row 1 of `X` is a single text, but row 0 is a pair"),
        (None, ValueError, "row 1 of `X` is missing (None)"),
    ],
)
def test_half_a_pair_is_refused_by_its_row(row, error, message):
    with pytest.raises(error, match=re.escape(message)):
        check_texts([("a", "b"), row])


def test_a_pair_among_single_texts_is_refused_by_its_row():
    with pytest.raises(ValueError, match="row 1 of `X` is a pair, but row 0 is a single text"):
        check_texts(["a", ("b", "c")])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("abc", TypeError, "`X` is a single str; give a sequence of texts, for one text `[text]`"),
        (np.str_("abc"), TypeError, "`X` is a single str_"),
        (b"abc", TypeError, "`X` is a single bytes"),
        (np.array("abc"), TypeError, "`X` is an array without an axis"),
        (None, TypeError, "`X` must be a sequence of texts, got an instance of NoneType"),
        (3, TypeError, "got an instance of int"),
        ({"text": ["a"]}, TypeError, "got an instance of dict"),
        ({"a", "b"}, TypeError, "got an instance of set"),
        ([], ValueError, "`X` has 0 rows; at least 1 is needed"),
        (
            iter([]),
            ValueError,
            "`X` has 0 rows; at least 1 is needed, and an iterator can be read once; give a list",
        ),
        (pd.DataFrame({"a": []}), ValueError, "`X` has 0 rows"),
        (pd.DataFrame(index=[0]), ValueError, "`X` is a frame of 0 columns"),
        (
            pd.DataFrame([["a", "b", "c"]]),
            ValueError,
            "3 columns; 3 hold texts",
        ),
        (np.array([["a", "b", "c"]]), ValueError, "row 0 of `X` is of length 3"),
        (np.zeros((2, 2)), TypeError, "the first text of row 0 of `X` is of type float64"),
        ([{"text": "a"}], TypeError, "row 0 of `X` is of type dict"),
    ],
)
def test_what_holds_no_texts_is_refused(X, error, message):
    with pytest.raises(error, match=re.escape(message)):
        check_texts(X)


def test_a_first_row_that_is_missing_is_no_sequence_of_integers():
    with pytest.raises(ValueError, match="row 0 of `X` is missing"):
        check_rows([None, "a"])


def test_errors_use_the_given_name_and_row_numbers():
    with pytest.raises(ValueError, match="row 101 of `unlabeled` is missing"):
        check_texts(["a", None], name="unlabeled", first_row=100)
    with pytest.raises(ValueError, match="row 101 of `X` is a pair, but row 100 is a single text"):
        check_texts(["a", ("b", "c")], first_row=100)


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    assert check_texts(["a\ud83d", "\ud83d\ude00"]) == ["a\ufffd", "\U0001f600"]


def test_a_stream_is_not_read_before_its_rows_are_asked_for():
    def stream():
        yield "a"
        raise AssertionError("read too far")

    assert next(iterate_rows(stream())) == "a"


def test_gather_stacks_rows_and_pads_to_the_longest():
    table = TokenTable.from_rows([[5], [6, 7, 8], [9, 10]])
    ids, mask = table.gather(np.array([[2, 0], [0, 2]]))
    np.testing.assert_array_equal(ids, [[[9, 10], [5, 0]], [[5, 0], [9, 10]]])
    np.testing.assert_array_equal(mask, [[[1, 1], [1, 0]], [[1, 0], [1, 1]]])
    assert ids.dtype == np.int64
    assert mask.dtype == bool


def test_gather_gives_back_every_token():
    rng = np.random.default_rng(0)
    tokens = [rng.integers(1, 99, rng.integers(1, 9)).tolist() for _ in range(50)]
    table = TokenTable.from_rows(tokens)
    assert len(table) == 50
    order = rng.permutation(50)
    ids, mask = table.gather(order)
    assert [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)] == [
        tokens[i] for i in order
    ]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CORPUS, 320)


def test_an_empty_text_has_a_token(tokenizer):
    assert tokenize(tokenizer, ["", " ", "a"]).lengths[0] == 1


def test_an_empty_text_has_a_token_without_special_tokens_too():
    bare = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert tokenize(bare, ["", "a"]).lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "\x00\x01\x1b[0m\x7f\u200b\ufeff",
        "naïve Straße 日本語 ไทย",
        "tab\tline\nend\r\n",
    ],
)
def test_no_character_is_lost_on_the_way_to_tokens_and_back(tokenizer, text):
    from tokenizers import decoders

    ids = tokenizer.encode(text, add_special_tokens=False).ids
    tokens = [tokenizer.id_to_token(i) for i in ids]
    assert decoders.ByteLevel().decode(tokens) == " " + text


def test_training_a_tokenizer_is_deterministic(tokenizer):
    assert train_tokenizer(list(CORPUS), 320).to_str() == tokenizer.to_str()


@pytest.mark.parametrize("character", ["x", "\n", "!"])
def test_training_on_a_run_of_a_million_characters_ends(character):
    assert train_tokenizer([character * 1_000_000, "a b"], 270).get_vocab_size() == 270


def test_the_vocabulary_has_at_most_the_asked_for_size():
    assert train_tokenizer(CORPUS, 259).get_vocab_size() == 259
    assert train_tokenizer(CORPUS, 280).get_vocab_size() == 280
    assert train_tokenizer(["a"], 5000).get_vocab_size() < 5000


def test_the_texts_of_a_pair_are_told_apart(tokenizer):
    table = tokenize(tokenizer, [("the cat", "the dog"), ("the", "cat the dog")])
    ids, _ = table.gather(np.array([[0], [1]]))
    separator = tokenizer.token_to_id("[SEP]")
    assert np.count_nonzero(ids == separator) == 2
    assert ids[0].tolist() != ids[1].tolist()


def test_truncation_leaves_the_start_of_a_text_and_of_both_of_a_pair(tokenizer):
    short = Tokenizer.from_str(tokenizer.to_str())
    short.enable_truncation(8)
    single, pair = ["the cat sat on the mat " * 50], [("the cat " * 500, "a dog " * 500)]
    assert tokenize(short, single).lengths.tolist() == [8]
    ids = tokenize(short, pair).gather(np.array([0]))[0][0].tolist()
    separator = ids.index(short.token_to_id("[SEP]"))
    assert len(ids) == 8
    assert ids[:2] == short.encode("the").ids
    assert ids[separator + 1] == short.encode("a").ids[1]


def test_truncated_pairs_of_long_texts_are_the_same_as_of_their_starts(tokenizer):
    short = Tokenizer.from_str(tokenizer.to_str())
    short.enable_truncation(16)
    long = tokenize(short, [("the cat " * 5000, "a dog " * 5000)])
    start = tokenize(short, [("the cat " * 12, "a dog " * 12)])
    np.testing.assert_array_equal(long.gather(np.array([0]))[0], start.gather(np.array([0]))[0])


@pytest.mark.parametrize("paired", [False, True])
def test_parts_and_far_ends_of_texts_change_no_token(tokenizer, monkeypatch, paired):
    short = Tokenizer.from_str(tokenizer.to_str())
    short.enable_truncation(8)
    # Words of no end, gaps of no end, and words that stand behind such a gap.
    texts = [
        "the cat " * 200,
        "",
        "a" * 1000,
        "x " + "y" * 1000,
        " " * 3000 + "a dog",
        "dog",
        "é " * 350,
    ]
    rows = list(zip(texts, texts[::-1], strict=True)) if paired else texts
    # The tokenizer takes seconds to cut off a long pair.
    wanted = [(short.encode(*row) if paired else short.encode(row)).ids for row in rows]
    for at_once in (1, 100, 2**21):
        monkeypatch.setattr(_tokenizing, "_AT_ONCE", at_once)
        table = tokenize(short, rows)
        for number, expected in enumerate(wanted):
            found = table.gather(np.array([number]))[0][0]
            assert found[: len(expected)].tolist() == expected


# Patches


@pytest.mark.parametrize("patch_size", [2, 3, 5])
def test_the_second_text_of_a_pair_begins_a_patch(tokenizer, patch_size):
    rows = [("a b c", "d e"), ("a", ""), ("", "d"), ("a b c d e f", "g")]
    plain = tokenize(tokenizer, rows)
    gapped = plain.for_patches(patch_size)
    numbers = np.arange(len(rows))[:, None]
    given, laid = plain.inputs(numbers), gapped.inputs(numbers)
    separator = tokenizer.token_to_id("[SEP]")
    for row in range(len(rows)):
        tokens = given["input_ids"][row, 0][given["attention_mask"][row, 0]].tolist()
        mask = laid["attention_mask"][row, 0]
        assert laid["input_ids"][row, 0][mask].tolist() == tokens
        begin = tokens.index(separator) + 1
        if begin < len(tokens):
            assert mask.nonzero()[0][begin] == -(-begin // patch_size) * patch_size
    assert (laid["input_ids"] >= 0).all()


def test_single_texts_have_no_gap(tokenizer):
    rows = ["a b c", "d"]
    numbers = np.arange(2)[:, None]
    table = tokenize(tokenizer, rows)
    for name, values in table.for_patches(5).inputs(numbers).items():
        np.testing.assert_array_equal(values, table.inputs(numbers)[name])


@pytest.mark.parametrize("patch_size", [1, 2, 5])
def test_the_tokens_of_the_second_text_are_marked(tokenizer, patch_size):
    rows = [("a b c", "d e"), ("a", ""), ("", "d")]
    numbers = np.arange(len(rows))[:, None]
    table = tokenize(tokenizer, rows, marks_second=True).for_patches(patch_size)
    inputs = table.inputs(numbers)
    for row, (_, second) in enumerate(rows):
        marked = inputs["input_ids"][row, 0][inputs["second"][row, 0]].tolist()
        assert marked == tokenizer.encode(second, add_special_tokens=False).ids
    assert not (inputs["second"] & ~inputs["attention_mask"]).any()


def test_single_texts_have_no_second(tokenizer):
    table = tokenize(tokenizer, ["a b c", "d"], marks_second=True)
    assert not table.inputs(np.arange(2)[:, None])["second"].any()
