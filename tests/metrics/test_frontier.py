import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxlearn.metrics import unbeaten

PLACES = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=8)


@given(PLACES)
def test_a_beaten_model_is_no_better_in_anything_and_worse_in_something(places):
    kept = unbeaten(*zip(*places, strict=True))
    for is_kept, place in zip(kept, places, strict=True):
        beaten = any(o[0] >= place[0] and o[1] >= place[1] and o != place for o in places)
        assert is_kept == (not beaten)


def test_equals_do_not_beat_each_other():
    assert unbeaten([0.5, 0.5], [10, 10]).all()


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"`scores` of shape \(2,\)"):
        unbeaten([0.5, 0.6], [10])


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="must not hold NaN"):
        unbeaten([0.9, np.nan], [1, 2])
