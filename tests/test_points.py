"""Operating points: what names one, how they are sorted, and their shares."""

import numpy as np
import pytest

from muxlearn.points import (
    WORDS,
    OperatingPoints,
    Point,
    as_point,
    as_points,
    point_from_name,
    shares_of,
    speed_rank,
)


@pytest.mark.parametrize(
    ("value", "point"),
    [
        (3, (3, 1)),
        (np.int64(3), (3, 1)),
        ((2, 5), (2, 5)),
        ([2, 5], (2, 5)),
        ("words", WORDS),
        (WORDS, WORDS),
    ],
)
def test_a_point_is_named_by_a_number_a_pair_or_a_word(value, point):
    assert as_point(value) == point


@pytest.mark.parametrize(
    "value", [0, True, 2.0, None, "word", "2x5", (1, 0), (0, 1), (2,), (2, 5, 1), (2, 1.5)]
)
def test_nothing_else_names_a_point(value):
    assert as_point(value) is None
    assert as_points([1, value]) == (Point(1, 1),)


def test_a_number_of_rows_takes_the_patch_size_and_a_pair_has_its_own():
    assert as_point(3, patch_size=4) == (3, 4)
    assert as_point((3, 1), patch_size=4) == (3, 1)


@pytest.mark.parametrize(
    ("point", "name", "written"),
    [(Point(5), "5", "(5, 1)"), (Point(1, 5), "1x5", "(1, 5)"), (WORDS, "words", "'words'")],
)
def test_a_name_leads_back_to_its_point(point, name, written):
    assert (str(point), repr(point)) == (name, written)
    assert point_from_name(name) == point


def test_points_are_sorted_as_they_get_faster_those_of_fewer_rows_last():
    points = [WORDS, Point(1, 4), Point(2, 2), Point(4, 1), Point(2, 1), Point(1, 1)]
    assert sorted(points, key=speed_rank) == [*reversed(points)]


def test_shares_add_up_to_one_without_that_of_the_words():
    assert shares_of({(1, 1): 1, "words": 5, 2: 3}) == (0.25, 0.75)
    assert shares_of([(1, 1), "words", 2]) is None


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ((1, (1, 5), "words"), True),
        ([2], True),
        ({(1, 1): 0.2, "words": 3}, True),
        ((), False),
        ({}, False),
        ((1, (1, 1)), False),
        ((1, "wrods"), False),
        ({(1, 1): 0, (1, 5): 1}, False),
        ({(1, 1): "much"}, False),
        (2, False),
    ],
)
def test_operating_points_are_different_and_have_shares_above_zero(value, accepted):
    assert OperatingPoints().accepts(value) is accepted


@pytest.mark.parametrize("value", [((1, 1),), ("words",), {(1, 2): 1}])
def test_operating_points_of_rows_alone_are_numbers(value):
    assert OperatingPoints().accepts(value)
    assert not OperatingPoints(rows_only=True).accepts(value)
    assert OperatingPoints(rows_only=True).accepts((1, 2))
