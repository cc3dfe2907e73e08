import pytest
import torch

from muxlearn.nn import favor
from muxlearn.nn.favor import (
    KERNELS,
    GridAttention,
    draw_signs,
    favor_attention,
    orthogonal_features,
)

LENGTH, HIDDEN, HEADS, HEAD_DIM, FEATURES = 7, 12, 2, 8, 16
GRIDS = [(1, 1), (2, 1), (1, 2), (2, 2), (2, 3)]
every_grid = pytest.mark.parametrize("grid", GRIDS)
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
merged_or_not = pytest.mark.parametrize("merge", [False, True])
both_paddings = pytest.mark.parametrize("reference_padding", [False, True])


def make(grid=(2, 2), **options):
    return GridAttention(HIDDEN, HEADS, HEAD_DIM, grid, FEATURES, **options)


def rows_for(grid, n_mixtures=2, length=LENGTH):
    """Vectors and a mask of rows of different lengths, the first of them full."""
    n_rows = n_mixtures * grid[0] * grid[1]
    lengths = torch.randint(1, length + 1, (n_rows,))
    lengths[0] = length
    mask = (torch.arange(length) < lengths[:, None]).float()
    return torch.randn(n_rows, length, HIDDEN), mask


def assert_near(actual, expected, atol=2e-5):
    torch.testing.assert_close(actual, expected, atol=atol, rtol=1e-4)


# Random features


def test_features_are_orthogonal_within_each_block():
    features = orthogonal_features(20, 8)
    for block in (features[:8], features[8:16], features[16:]):
        gram = block @ block.T
        assert_near(gram, torch.diag(gram.diagonal()))


def test_features_are_as_long_as_gaussian_vectors():
    squares = orthogonal_features(20_000, 8).square().sum(1)
    assert squares.mean().item() == pytest.approx(8, rel=0.02)
    assert squares.var().item() == pytest.approx(16, rel=0.05)


def test_features_point_everywhere():
    features = torch.stack([orthogonal_features(4, 4) for _ in range(3000)])
    assert_near(features.mean(0), torch.zeros(4, 4), atol=0.08)


def test_features_depend_on_the_generator_alone():
    first, second = (
        orthogonal_features(5, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, orthogonal_features(5, 3, torch.Generator().manual_seed(2)))


def test_signs_are_signs_of_both_kinds():
    assert draw_signs(3, 50).unique().tolist() == [-1, 1]


# Attention by features


def naive_favor(query, key, value, counted, projection, kernel):
    """Sum over all pairs of positions, stream by stream."""

    def phi(x):
        return KERNELS[kernel](x @ projection.T) + 0.001

    n_streams, length = counted.shape[1:]
    key, value = (x.unflatten(1, (n_streams, length)) for x in (key, value))
    similar = torch.einsum("bqf,bmlf->bmql", phi(query), phi(key))
    above = torch.einsum("bmql,bmld->bqd", similar, value)
    below = (similar * counted[:, :, None]).sum(3)
    return above[:, None] / below[..., None]


def heads_for(n_streams, n_queries=5, n_batch=3):
    query = torch.randn(n_batch, n_queries, HEAD_DIM)
    key, value = torch.randn(2, n_batch, n_streams * LENGTH, HEAD_DIM)
    counted = torch.rand(n_batch, n_streams, LENGTH).round()
    counted[..., 0] = 1
    return query, key, value, counted, torch.randn(FEATURES, HEAD_DIM) / 3


@every_kernel
@pytest.mark.parametrize("n_streams", [1, 3])
def test_favor_attention_is_the_sum_over_pairs(kernel, n_streams):
    arguments = heads_for(n_streams)
    assert_near(favor_attention(*arguments, kernel), naive_favor(*arguments, kernel))


def test_favor_attention_writes_where_it_is_told():
    arguments = heads_for(2)
    out = torch.zeros(3, 2, 5, 4, HEAD_DIM)
    favor_attention(*arguments, out=out[..., 1, :])
    assert_near(out[..., 1, :], favor_attention(*arguments))
    assert not out[..., [0, 2, 3], :].any()


@every_kernel
def test_favor_attention_has_the_right_gradient(kernel):
    query, key, value, counted, projection = (x.double() for x in heads_for(2, n_batch=1))
    inputs = [x.requires_grad_() for x in (query, key, value)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: favor_attention(q, k, v, counted, projection, kernel), inputs
    )


# Attention on a grid


def naive_grid(attention, x, mask, grid):
    """MIMOFormer's sums, term by term."""
    m, n = grid
    scale = HEAD_DIM**-0.5 / (m * n) ** 0.5
    asked = torch.ones_like(mask) if attention.reference_padding else mask

    def heads(layer, mask):
        y = (layer(x) * mask[..., None]).unflatten(2, (HEADS, HEAD_DIM))
        return y.unflatten(0, (-1, m, n)) * attention.keys[:m, :n, None, None]

    def phi(x):
        return KERNELS[attention.kernel](scale * x @ attention.projection.T) + 0.001

    query = heads(attention.query, asked).sum(1)  # (n_mixtures, N, length, HEADS, HEAD_DIM)
    key, value = (heads(layer, mask).sum(2) for layer in (attention.key, attention.value))
    similar = torch.einsum("bnqhf,bmlhf->bmnqhl", phi(query), phi(key))
    above = torch.einsum("bmnqhl,bmlhd->bnqhd", similar, value)
    if not attention.reference_padding:
        alive = mask.unflatten(0, (-1, m, n)).amax(2)
        similar = similar * alive[:, :, None, None, None]
    below = similar.sum(5)  # (n_mixtures, M, N, length, HEADS)
    if attention.merge:
        return attention.out((above / below.sum(1)[..., None]).flatten(3)).flatten(0, 1)
    answer = above[:, None] / below[..., None] * attention.keys[:m, :n, None, None]
    return attention.out(answer.flatten(4)).flatten(0, 2)


@every_grid
@merged_or_not
@both_paddings
def test_the_grid_answers_as_its_sums_say(grid, merge, reference_padding):
    attention = make(grid, merge=merge, reference_padding=reference_padding)
    x, mask = rows_for(grid)
    expected = naive_grid(attention, x, mask, grid)
    assert len(expected) == len(x) // (grid[0] if merge else 1)
    assert_near(attention(x, mask, grid), expected)


@every_kernel
@merged_or_not
def test_both_kernels_fold(kernel, merge):
    attention = make(kernel=kernel, merge=merge)
    x, mask = rows_for((2, 2))
    expected = naive_grid(attention, x, mask, (2, 2))
    assert_near(attention(x, mask, (2, 2)), expected)
    attention.fold()
    assert_near(attention(x, mask, (2, 2)), expected)


@merged_or_not
@both_paddings
@pytest.mark.parametrize("part", [(1, 1), (1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("n_mixtures", [1, 3])
@torch.no_grad()
def test_folded_keys_answer_alike_on_every_part(merge, reference_padding, part, n_mixtures):
    attention = make((2, 3), merge=merge, reference_padding=reference_padding)
    x, mask = rows_for(part, n_mixtures)
    expected = naive_grid(attention, x, mask, part)
    assert_near(attention(x, mask, part), expected)
    attention.fold()
    assert_near(attention(x, mask, part), expected)


@pytest.mark.parametrize("folded", [False, True])
def test_inference_in_chunks_equals_training(folded, monkeypatch):
    attention = make()
    x, mask = rows_for((2, 2), n_mixtures=5)
    trained = attention(x, mask, (2, 2))
    if folded:
        attention.fold()
    monkeypatch.setattr(favor, "_CHUNK_ELEMENTS", 2 * FEATURES * 4 * LENGTH)
    sizes = []
    run = attention._run_heads
    monkeypatch.setattr(
        attention, "_run_heads", lambda *args: sizes.append(len(args[0])) or run(*args)
    )
    with torch.no_grad():
        assert_near(attention(x, mask, (2, 2)), trained)
    assert sizes == [2, 2, 1]


def test_one_row_needs_no_key():
    assert make((1, 1)).keys.unique().tolist() == [1]
    assert make((2, 1)).keys.unique().tolist() == [-1, 1]


# Padding


@merged_or_not
def test_padding_further_changes_nothing(merge):
    attention = make(merge=merge)
    x, mask = rows_for((2, 2))
    longer = torch.cat([x, torch.randn(8, 5, HIDDEN)], 1), torch.nn.functional.pad(mask, (0, 5))
    assert_near(attention(*longer, (2, 2))[:, :LENGTH], attention(x, mask, (2, 2)))


@merged_or_not
@both_paddings
def test_what_stands_at_padding_reaches_others_in_the_reference_only(merge, reference_padding):
    attention = make(merge=merge, reference_padding=reference_padding)
    x, mask = rows_for((2, 2), n_mixtures=1)
    mask[1, 3:] = 0
    changed = x.clone()
    changed[1, 3:] += 1
    before, after = (attention(rows, mask, (2, 2)) for rows in (x, changed))
    # Queries of row 1 are bundled with those of row 3.
    others = [0, 1] if merge else [0, 2, 3]
    difference = (before - after)[others].abs().max().item()
    assert difference > 1e-3 if reference_padding else difference == 0


@merged_or_not
@pytest.mark.parametrize("emptied", [[0], [0, 1], [0, 1, 2, 3]])
def test_rows_without_tokens_leave_numbers(merge, emptied):
    attention = make(merge=merge)
    x, mask = rows_for((2, 2))
    mask[emptied] = 0
    assert attention(x, mask, (2, 2)).isfinite().all()


# Precision


def test_half_precision_comes_near():
    attention = make((1, 1))
    x, mask = rows_for((1, 1))
    expected = attention(x, mask, (1, 1))
    attention.fold()
    half = attention.bfloat16()(x.bfloat16(), mask.bfloat16(), (1, 1))
    assert half.dtype == torch.bfloat16
    assert_near(half.float(), expected, atol=0.05)


def test_double_precision_stays():
    x, mask = rows_for((2, 2))
    assert make().double()(x.double(), mask.double(), (2, 2)).dtype == torch.float64
