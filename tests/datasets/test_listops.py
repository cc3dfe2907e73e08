import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxlearn.datasets import make_listops
from muxlearn.datasets._listops import _evaluate, _grow_trees, _length_laws, _Level

RULES = {"[MIN": min, "[MAX": max, "[MED": lambda args: math.floor(statistics.median(args))}


def evaluate(text, n_classes=10):
    """Return a text's value, how deep its operators are nested, and the most arguments."""
    open_lists, deepest, most = [[]], 0, 0
    for token in text.split(" "):
        if token.startswith("["):
            open_lists.append([token])
            deepest = max(deepest, len(open_lists) - 1)
        elif token == "]":
            operator, *args = open_lists.pop()
            assert len(args) >= 2
            most = max(most, len(args))
            rule = RULES.get(operator, lambda values: sum(values) % n_classes)
            open_lists[-1].append(rule(args))
        else:
            assert token == str(int(token))
            assert 0 <= int(token) < n_classes
            open_lists[-1].append(int(token))
    ((value,),) = open_lists
    return value, deepest, most


def lengths_of(texts):
    return np.array([len(text.split(" ")) for text in texts])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MIN 4 2 9 ]", 2),
        ("[MAX 4 2 9 ]", 9),
        ("[MED 1 9 3 ]", 3),
        ("[MED 1 4 6 9 ]", 5),
        ("[MED 1 4 7 9 ]", 5),  # 5.5, rounded down
        ("[SM 7 8 9 ]", 4),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[SM [MED 3 8 ] [MAX 6 [MIN 9 7 ] ] ]", 2),  # 5 + 7
    ],
)
def test_the_evaluator_of_these_tests_is_right(text, value):
    assert evaluate(text)[0] == value


@pytest.mark.parametrize(
    ("operator", "args", "value"),
    [
        (0, [4, 2, 9], 2),
        (1, [4, 2, 9], 9),
        (2, [1, 9, 3], 3),
        (2, [1, 4, 7, 9], 5),  # 5.5, rounded down
        (3, [7, 8, 9], 4),
    ],
)
def test_operators_give_what_one_works_out_by_hand(operator, args, value):
    widths = np.array([[1] * len(args) + [0] * (5 - len(args))])
    level = _Level(np.array([0]), np.array([2 + len(args)]), np.array([len(args)]), widths)
    assert _evaluate(level, np.array([operator]), np.array([0, *args, 0]), 10) == [value]


@given(
    seed=st.integers(0, 1000),
    max_depth=st.integers(3, 8),
    max_args=st.integers(2, 6),
    n_classes=st.integers(2, 12),
    bounds=st.tuples(st.integers(1, 20), st.integers(0, 30)),
)
def test_texts_are_trees_within_bounds_and_labels_their_values(
    seed, max_depth, max_args, n_classes, bounds
):
    low = min(bounds[0], 10)
    high = max(low, 5) + bounds[1]
    texts, y = make_listops(
        20,
        low,
        high,
        max_depth=max_depth,
        max_args=max_args,
        n_classes=n_classes,
        random_state=seed,
    )
    assert len(texts) == len(y) == 20
    assert y.dtype == np.int64
    assert low <= lengths_of(texts).min() <= lengths_of(texts).max() <= high
    for text, label in zip(texts, y, strict=True):
        value, deepest, most = evaluate(text, n_classes)
        assert value == label
        assert deepest < max_depth
        assert most <= max_args


def test_long_texts_hold_what_the_long_range_arena_asks_for():
    texts, y = make_listops(30, random_state=0)
    assert 500 <= lengths_of(texts).min() <= lengths_of(texts).max() <= 2000
    values, deepest, most = zip(*map(evaluate, texts), strict=True)
    assert values == tuple(y)
    assert (max(deepest), max(most)) == (9, 10)


def test_the_same_seed_gives_the_same_data():
    first, second = (make_listops(5, 10, 40, random_state=3) for _ in range(2))
    assert first[0] == second[0]
    assert first[1].tolist() == second[1].tolist()


def test_different_seeds_give_different_data():
    assert make_listops(5, 10, 40, random_state=3)[0] != make_listops(5, 10, 40, random_state=4)[0]


def test_a_random_state_moves_on_from_call_to_call():
    rng = np.random.RandomState(0)
    assert (
        make_listops(5, 10, 40, random_state=rng)[0] != make_listops(5, 10, 40, random_state=rng)[0]
    )


def test_data_larger_than_what_is_grown_at_once_are_of_one_piece(monkeypatch):
    monkeypatch.setattr("muxlearn.datasets._listops._TOKENS_AT_ONCE", 100)
    texts, y = make_listops(40, 10, 40, random_state=0)
    assert [evaluate(text)[0] for text in texts] == y.tolist()


def test_labels_use_all_classes():
    _, y = make_listops(500, 20, 60, random_state=0)
    assert set(y) == set(range(10))


def test_all_operators_occur_and_equally_often():
    texts, _ = make_listops(400, 40, 80, random_state=0)
    tokens = " ".join(texts).split(" ")
    counts = np.array([tokens.count(operator) for operator in ("[MIN", "[MAX", "[MED", "[SM")])
    # Within 4 standard deviations of a quarter.
    assert abs(counts / counts.sum() - 0.25).max() < 4 * (0.1875 / counts.sum()) ** 0.5


def drawn_trees(n_samples, low, high, rng, max_depth, max_args):
    """Draw trees as the published generator does, and throw away other lengths."""

    def shape(depth):
        if depth == max_depth or rng.random_sample() > 0.25:
            return "d"
        return "(" + "".join(shape(depth + 1) for _ in range(rng.randint(2, max_args + 1))) + ")"

    shapes = []
    while len(shapes) < n_samples:
        tree = shape(1)
        if low <= len(tree) <= high:
            shapes.append(tree)
    return shapes


def shape_of(text):
    signs = {"]": ")"}
    return "".join("(" if t.startswith("[") else signs.get(t, "d") for t in text.split(" "))


def test_trees_have_the_law_of_drawing_and_throwing_away():
    rng = np.random.RandomState(0)
    n = 2000
    expected = drawn_trees(n, 6, 8, rng, max_depth=4, max_args=4)
    texts, _ = make_listops(n, 6, 8, max_depth=4, max_args=4, random_state=rng)
    drawn = list(map(shape_of, texts))
    for tree in {*expected, *drawn}:
        counts = drawn.count(tree), expected.count(tree)
        # 5 standard deviations of the difference of two counts.
        assert abs(counts[0] - counts[1]) < 5 * sum(counts) ** 0.5


def test_probabilities_of_short_lengths_are_what_one_works_out_by_hand():
    law = _length_laws(7, max_depth=3, max_args=3, operator_probability=0.25)[0][1]
    # A digit; two digits; three digits; and of 7 tokens: two arguments, of which one is an
    # operator of two digits and the other a digit.
    by_hand = {1: 0.75, 4: 0.25 / 2 * 0.75**2, 5: 0.25 / 2 * 0.75**3}
    by_hand[7] = 0.25 / 2 * 2 * 0.75 * (0.25 / 2)
    assert law == pytest.approx([by_hand.get(length, 0) for length in range(8)])


def test_lengths_that_only_one_tree_has_are_found():
    # Depth 3 with two arguments: 10 tokens is the full tree.
    texts, _ = make_listops(3, 10, 10, max_depth=3, max_args=2, random_state=0)
    assert {shape_of(text) for text in texts} == {"((dd)(dd))"}


def test_a_tree_of_one_level_is_a_digit():
    texts, y = make_listops(50, 1, 5, max_depth=1, random_state=0)
    assert texts == [str(value) for value in y]


def test_every_position_has_a_value():
    laws = _length_laws(4, 2, 2, 0.25)
    tokens, values = _grow_trees(np.array([4, 4]), laws, 10, np.random.RandomState(0))
    assert tokens[3] == tokens[7] == 14
    assert values[[1, 2, 5, 6]].tolist() == tokens[[1, 2, 5, 6]].tolist()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_length": 11, "max_length": 20}, "the longest tree .* has 10 tokens"),
        ({"min_length": 2, "max_length": 3}, "no tree, or next to none, .* `max_length`=3"),
        ({"min_length": 8, "max_length": 9}, "no tree, or next to none"),
        ({"min_length": 9, "max_length": 8}, "`min_length` is 9 and `max_length` 8"),
    ],
)
def test_lengths_that_no_tree_has_are_an_error(params, message):
    with pytest.raises(ValueError, match=message):
        make_listops(1, max_depth=3, max_args=2, random_state=0, **params)


def test_trees_of_operators_alone_are_longer_than_asked_for():
    with pytest.raises(ValueError, match="no tree, or next to none"):
        make_listops(2, 1, 100, operator_probability=1.0)


def test_lengths_next_to_impossible_are_an_error():
    # The longest tree of this depth: all of its 157 operators have 12 arguments.
    with pytest.raises(ValueError, match="next to none"):
        make_listops(1, 2042, 2042, max_depth=4, max_args=12, random_state=0)


@pytest.mark.parametrize(
    "params",
    [
        {"n_samples": 0},
        {"min_length": 0},
        {"max_depth": 0},
        {"max_args": 1},
        {"operator_probability": 0},
        {"operator_probability": 1.5},
        {"n_classes": 1},
        {"random_state": -1},
    ],
)
def test_values_of_parameters_are_checked(params):
    with pytest.raises(ValueError, match=f"`{next(iter(params))}` must be"):
        make_listops(**{"n_samples": 1, "min_length": 1, "max_length": 9, **params})


@pytest.mark.parametrize("params", [{"n_samples": 2.0}, {"max_length": "9"}, {"random_state": "0"}])
def test_types_of_parameters_are_checked(params):
    with pytest.raises(TypeError, match=f"`{next(iter(params))}` must be"):
        make_listops(**{"n_samples": 1, "min_length": 1, "max_length": 9, **params})
