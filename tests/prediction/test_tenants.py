"""Rows of other groups, whatever they are and however many, change no prediction of a group."""

from itertools import chain, count, islice, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muxlearn import MuxTextClassifier
from muxlearn.prediction import Planner
from muxlearn.rows import RowTable, own_windows

WORDS = ("cat", "old dog", "it", "a bird that sings", "")
SIZE = 32  # rows of a window: 8 * batch_size * n_mux
OWN = [f"{WORDS[row % 5]} {WORDS[row % 3]}" for row in range(40)]


@pytest.fixture(scope="module")
def fitted(tiny_classifier):
    texts = [f"{first} {second}" for first in WORDS for second in WORDS]
    clf = tiny_classifier(batch_size=2, warm_up=None, lr=3e-3)
    return clf.fit(texts, np.resize(["x", "y", "z"], 25))


@pytest.fixture(autouse=True)
def _small_windows(set_window_rows):
    set_window_rows(MuxTextClassifier, 1)


@st.composite
def streams(draw):
    """Draw where rows of others come between those of one group, and what they say."""
    others = draw(st.lists(st.text(max_size=30), max_size=60))
    places = np.array(draw(st.permutations([True] * len(OWN) + [False] * len(others))), bool)
    own, strange = iter(OWN), iter(others)
    return places, [next(own if is_own else strange) for is_own in places]


@pytest.mark.parametrize("n_passes", [1, 2])
@settings(max_examples=10)
@given(stream=streams())
def test_no_row_of_another_changes_a_prediction(fitted, n_passes, stream):
    places, texts = stream
    options = {"n_passes": n_passes, "method": "predict_proba"}
    alone = list(fitted.predict_iter(OWN, groups=["own"] * len(OWN), **options))
    # Several others, one of which goes by the number that numpy takes for that name.
    names = [("own" if is_own else row % 3) for row, is_own in enumerate(places)]
    beside = np.array(list(fitted.predict_iter(texts, groups=names, **options)))
    np.testing.assert_allclose(beside[places], alone, atol=1e-6)
    whole = fitted.predict_proba(texts, groups=names, n_passes=n_passes)
    expected = fitted.predict_proba(OWN, groups=["own"] * len(OWN), n_passes=n_passes)
    np.testing.assert_allclose(whole[places], expected, atol=1e-6)


def windows_of(labels, size=SIZE, n_together=16):
    rows, groups = [], []
    for number, label in enumerate(labels):
        rows.append((number, label))
        groups.append(label)
    check = lambda window, first_row: list(window)  # noqa: E731
    return list(own_windows(iter(rows), iter(groups), size, n_together, check))


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=300))
def test_windows_hold_each_row_once_and_only_rows_of_a_group_together(labels):
    windows = windows_of(labels)
    numbers = np.concatenate([numbers for _, _, numbers in windows])
    assert sorted(numbers) == list(range(len(labels)))
    for rows, codes, numbers in windows:
        assert len(rows) <= SIZE
        assert [number for number, _ in rows] == numbers.tolist()
        assert len({(code, label) for code, (_, label) in zip(codes, rows, strict=True)}) == len(
            set(codes)
        )
        assert np.bincount(codes).max() <= 16


@given(labels=st.lists(st.sampled_from("ab"), min_size=1, max_size=2 * SIZE))
def test_rows_are_predicted_with_the_next_of_their_own(labels):
    together = [
        {rank[number] for number in numbers[codes == code]}
        for rank in [dict(zip(np.flatnonzero(np.array(labels) == "a"), count(), strict=False))]
        for rows, codes, numbers in windows_of(labels)
        for code in {codes[i] for i, (_, label) in enumerate(rows) if label == "a"}
    ]
    n_own = labels.count("a")
    expected = [set(range(first, min(first + 16, n_own))) for first in range(0, n_own, 16)]
    assert sorted(together, key=min) == expected


@pytest.mark.parametrize(("second", "are_together"), [(3 * SIZE - 1, True), (3 * SIZE, False)])
def test_a_row_waits_until_two_windows_have_come_behind_its_own(second, are_together):
    labels = ["b"] * (4 * SIZE)
    labels[0] = labels[second] = "a"
    own = [
        numbers[codes == codes[i]].tolist()
        for rows, codes, numbers in windows_of(labels)
        for i, (_, label) in enumerate(rows)
        if label == "a"
    ]
    assert own == ([[0, second]] * 2 if are_together else [[0], [second]])


def test_an_endless_stream_of_others_keeps_no_row_waiting(fitted):
    texts = chain(["first"], (f"other {number}" for number in count()))
    n_read = count(1)
    n_last = 0

    def read():
        nonlocal n_last
        for text in texts:
            n_last = next(n_read)
            yield text

    results = fitted.predict_iter(read(), groups=chain(["own"], repeat("other")))
    assert len(list(islice(results, 1))) == 1
    assert n_last <= 4 * SIZE


def test_a_window_of_rows_that_are_mixed_in_order_holds_whole_mixtures():
    assert Planner(window_rows=100).window_size(3, 1) == 100
    assert Planner(window_rows=100, in_order=True).window_size(3, 1) == 102


def test_rows_of_others_do_not_move_rows_that_are_mixed_in_order():
    table = RowTable()
    table.lengths = np.ones(4000, np.int64)
    planner = Planner(in_order=True)
    alone = planner.plan(table, 4, np.zeros(4000, np.int64), regrouping=1)
    table.lengths = np.ones(9000, np.int64)
    behind = planner.plan(table, 4, np.repeat([1, 0], [5000, 4000]), regrouping=1)
    own = behind.rows[(behind.rows >= 5000).all(1)] - 5000
    np.testing.assert_array_equal(np.sort(own, axis=0), np.sort(alone.rows, axis=0))
