import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.lexical import LexicalMean, PairComparison

VOCAB, WIDTH, HIDDEN = 20, 6, 10


@pytest.fixture
def path():
    path = LexicalMean(VOCAB, WIDTH, HIDDEN)
    torch.nn.init.normal_(path.token_weights.weight)
    return path


@pytest.fixture
def table():
    return torch.randn(VOCAB, WIDTH)


def random_rows(n_rows=4, length=5):
    lengths = torch.arange(1, n_rows + 1)[:, None]
    return torch.randint(VOCAB, (n_rows, length)), torch.arange(length) < lengths


def test_it_is_the_weighted_mean_of_the_row_s_tokens(path, table):
    ids, mask = random_rows()
    out = path(ids, mask, table)
    for row, own, kept in zip(out, ids, mask, strict=True):
        weights = path.token_weights.weight[own[kept], 0].exp()
        mean = (weights[:, None] * table[own[kept]]).sum(0) / weights.sum()
        expected = F.linear(F.layer_norm(mean, (WIDTH,)), path.out.weight)
        torch.testing.assert_close(row, expected)


def test_padding_does_not_speak(path, table):
    ids, mask = random_rows()
    other = torch.where(mask, ids, (ids + 1) % VOCAB)
    torch.testing.assert_close(path(ids, mask, table), path(other, mask, table))


def test_a_row_without_tokens_has_a_vector_of_numbers(path, table):
    ids, mask = random_rows()
    assert path(ids, torch.zeros_like(mask), table).isfinite().all()


def test_folded_it_says_the_same_without_the_table(path, table):
    ids, mask = random_rows()
    before = path(ids, mask, table)
    path.fold(table)
    torch.testing.assert_close(path(ids, mask, torch.empty(0, WIDTH)), before)


def test_a_folded_table_is_converted_with_the_module(path, table):
    path.fold(table)
    assert path.double().folded.dtype == torch.float64


def test_table_and_weights_get_gradients(path, table):
    table.requires_grad_(True)
    path(*random_rows(), table).sum().backward()
    assert table.grad.abs().sum() > 0
    assert path.token_weights.weight.grad.abs().sum() > 0


def test_a_comparison_is_a_map_of_both_vectors_their_distance_and_product():
    comparison = PairComparison(HIDDEN)
    u, v = torch.randn(2, 3, HIDDEN)
    features = torch.cat([u, v, (u - v).abs(), u * v], -1)
    expected = F.linear(features, comparison.out.weight, comparison.out.bias)
    torch.testing.assert_close(comparison(u, v), expected)
