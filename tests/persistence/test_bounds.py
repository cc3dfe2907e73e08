"""Bounds of what a folder may ask for."""

import math

import pytest
import torch

from muxlearn.persistence import FormatError, bounded_by, check_sizes, told_with_sizes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"a": {"width": 2**22 + 1}}, r"`a\.width` is 4194305, but the weights are 6 numbers in"),
        ({"widths": [2, -(2**23)]}, "`widths` is -8388608, but the weights are"),
        ({"rate": math.nan}, "`rate` is nan, which is no finite number"),
        ({"max_length": -math.inf}, "`max_length` is -inf, which is no finite number"),
        ({"num_layers": -1}, "`num_layers` is -1, below 0"),
        ({"a": {"hidden_size": -1}}, r"`a\.hidden_size` is -1, below 0"),
    ],
)
def test_a_number_that_no_model_of_these_tensors_has_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        check_sizes(config, [(2,), (2, 2)])


def test_lengths_and_numbers_that_are_no_sizes_have_no_bound():
    config = {"a": {"max_length": 10**9}, "rate": 1e30, "offset": -1, "width": 2**22, "name": "x"}
    check_sizes(config, [(2, 3)])
    check_sizes({"width": 2**23}, [(2**20, 8)])


def test_an_error_of_a_module_says_which_sizes_are_the_largest():
    config = {"encoder": {"width": 8, "layers": 2, "heads": 3}, "offset": -9}
    message = (
        r"^RuntimeError: no\. Sizes are given by `encoder`, `offset`; the largest are "
        r"`offset` -9, `encoder\.width` 8, `encoder\.heads` 3$"
    )
    with pytest.raises(ValueError, match=message), told_with_sizes(config):
        raise RuntimeError("no")


@pytest.mark.parametrize("error", [FormatError, ImportError, OSError])
def test_errors_that_sizes_do_not_make_stay_as_they_are(error):
    with pytest.raises(error, match=r"^no$"), told_with_sizes({"width": 8}):
        raise error("no")


def test_numbers_are_counted():
    with bounded_by([(2**20, 3), (2**20,)]):
        torch.empty(5 * 2**22, device="meta")
        with pytest.raises(ValueError, match=r"more weights .* \(4194304 in 2 tensors\)"):
            torch.empty(1, device="meta")


def test_tensors_are_counted():
    with bounded_by([(2,)] * 3):
        for _ in range(2012):
            torch.empty(0)
        with pytest.raises(ValueError, match=r"more weights .* \(6 in 3 tensors\)"):
            torch.empty(0)


def test_what_is_drawn_or_written_elsewhere_is_made_as_without_a_bound():
    with bounded_by([(2,)]):
        drawn = torch.randn(3, generator=torch.Generator().manual_seed(0))
        written = torch.zeros(3, out=torch.ones(3))
    assert torch.equal(drawn, torch.randn(3, generator=torch.Generator().manual_seed(0)))
    assert written.tolist() == [0, 0, 0]


def test_a_bound_holds_again_behind_what_is_built_without_one():
    with bounded_by([(2, 2)]):
        with bounded_by(None):
            torch.empty(2**23)
        with pytest.raises(ValueError, match=r"more weights than there are in the file \(4 in 1"):
            torch.empty(2**23)
