import pytest
import torch

from muxlearn.nn._chunks import in_chunks


def run_with_sizes(size, n_entries, gradients=False, **options):
    """Return what `in_chunks` makes of numbers, and how many entries each call got."""
    sizes = []

    def run(x, nothing, factors):
        assert nothing is None
        sizes.append(len(x))
        return x * factors

    numbers = torch.arange(n_entries)
    with torch.set_grad_enabled(gradients):
        out = in_chunks(run, size, numbers, None, 2 * numbers, **options)
    assert torch.equal(out, 2 * numbers**2)
    return sizes


@pytest.mark.parametrize(
    ("size", "cost", "sizes"),
    [(3, 1, [3, 3, 1]), (7, 1, [7]), (6, 2, [3, 3, 1]), (14, 2, [7]), (2, 5, [1] * 7)],
)
def test_a_chunk_costs_no_more_than_it_may(size, cost, sizes):
    assert run_with_sizes(size, 7, cost=cost) == sizes


def test_gradients_take_all_at_once():
    assert run_with_sizes(3, 7, gradients=True) == [7]


def test_no_entries_are_a_chunk():
    assert run_with_sizes(3, 0) == [0]
