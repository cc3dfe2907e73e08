"""What is said of the rows that a cascade is learned from."""

import pytest

from muxlearn.model_selection._learning import _warn_of_few


@pytest.mark.parametrize(("most", "max_drop"), [(99, None), (99, 0.5), (199, 0.005)])
def test_rows_are_few_below_a_hundred_or_where_one_is_more_than_the_drop(most, max_drop):
    with pytest.warns(UserWarning, match=f"learned from {most} rows"):
        _warn_of_few(most, max_drop)
    _warn_of_few(most + 1, max_drop)
