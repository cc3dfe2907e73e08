"""Attention by random features, on grids of sequences in superposition.

Sources: Performer's generalised attention (FAVOR+; Choromanski et al., "Rethinking attention with
Performers", ICLR 2021, section 2) and MIMOFormer's on superpositions (FAVOR+S; MIMONets: Menet et
al., NeurIPS 2023, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from muxlearn.nn._chunks import in_chunks

__all__ = ["KERNELS", "GridAttention", "draw_signs", "favor_attention", "orthogonal_features"]

# What is added to a feature, so that no position's weights are all 0.
_FLOOR = 1e-3

#: What makes random features of projections, by name. They work in place: nothing else reads what
#: they are given.
KERNELS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "exp": torch.exp_}

# Features that are computed at once on a CPU at inference: as many as stay in its cache.
_CHUNK_ELEMENTS = 2**19


def orthogonal_features(
    n_features: int, dim: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw Gaussian vectors that are orthogonal within each block of `dim`.

    Each vector's direction is uniform and its length that of a Gaussian vector, but vectors of one
    block spread evenly, which lowers the variance of the features (Choromanski et al., ICLR 2021,
    section 2.4).

    Parameters
    ----------
    n_features : int
        Number of vectors.
    dim : int
        Their size.
    generator : torch.Generator, default=None

    Returns
    -------
    Tensor of shape (n_features, dim)
    """
    n_blocks = -(-n_features // dim)
    blocks, upper = torch.linalg.qr(torch.randn(n_blocks, dim, dim, generator=generator))
    # Without the signs the directions would depend on the algorithm and not be uniform.
    blocks = blocks * upper.diagonal(dim1=1, dim2=2).sign()[:, None]
    lengths = torch.randn(n_features, dim, generator=generator).norm(dim=1, keepdim=True)
    return blocks.transpose(1, 2).flatten(0, 1)[:n_features] * lengths


def draw_signs(*shape: int) -> Tensor:
    """Draw keys whose entries are -1 or 1, which undo themselves."""
    return torch.randint(2, shape) * 2.0 - 1


def favor_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    counted: Tensor,
    projection: Tensor,
    kernel: str = "relu",
    out: Tensor | None = None,
) -> Tensor:
    r"""Attend by random features.

    With :math:`\phi(x) = f(Px) + 0.001` stream m of the keys and values gives position t

    .. math:: \frac{\sum_{m', l} \phi(q_t)^T \phi(k_{m' l})\, v_{m' l}}
        {\sum_l \phi(q_t)^T \phi(k_{m l})}

    The sum above is over all streams. One stream is Performer's attention.

    Parameters
    ----------
    query : Tensor of shape (n_batch, n_queries, head_dim)
    key, value : Tensor of shape (n_batch, n_streams * length, head_dim)
        Stream by stream.
    counted : Tensor of shape (n_batch, n_streams, length)
        0 at keys that stand for nothing and add nothing below, else 1.
    projection : Tensor of shape (n_features, head_dim)
        P. Its scale is that of queries and keys.
    kernel : {"relu", "exp"}, default="relu"
        f.
    out : Tensor, default=None
        Tensor to write to.

    Returns
    -------
    Tensor of shape (n_batch, n_streams, n_queries, head_dim)
    """
    features = KERNELS[kernel]
    n_streams, length = counted.shape[1:]
    keys = features(key @ projection.T)
    # The floor of 0.001 enters by sums, not feature by feature: here, and again for the queries.
    values = keys.transpose(1, 2) @ value + _FLOOR * value.sum(1, keepdim=True)
    weights = counted[:, :, None] @ keys.unflatten(1, (n_streams, length))
    weights = weights.squeeze(2) + _FLOOR * counted.sum(2, keepdim=True)
    weights = weights.transpose(1, 2)  # (n_batch, n_features, n_streams)
    queries = features(query @ projection.T)
    above = torch.baddbmm(_FLOOR * values.sum(1, keepdim=True), queries, values)
    below = torch.baddbmm(_FLOOR * weights.sum(1, keepdim=True), queries, weights)
    shares = below.reciprocal().transpose(1, 2)
    return torch.mul(above[:, None], shares[..., None], out=out)


class GridAttention(nn.Module):
    r"""Attend in superposition: FAVOR+S (MIMONets: Menet et al., NeurIPS 2023, section 4).

    The `M * N` rows of a mixture stand on a grid, row ``m * N + n`` at (m, n), where it has a key
    :math:`a_{mn}` of signs for each head alike. Queries are bundled over m, which leaves N
    streams, keys and values over n, which leaves M:

    .. math:: \tilde q_n = \sum_m a_{mn} \odot q_{mn}, \quad
        \tilde k_m = \sum_n a_{mn} \odot k_{mn}, \quad
        \tilde v_m = \sum_n a_{mn} \odot v_{mn}

    `favor_attention` on these, the features of M + N instead of 2 M N sequences, answers all rows
    at once, and the key of a row unbinds its answer. One row is Performer's attention.

    Parameters
    ----------
    hidden_size : int
        Width of a vector.
    n_heads : int, default=4
    head_dim : int, default=64
    grid : tuple of two int, default=(1, 1)
        M and N, the capacity.
    n_features : int, default=256
        Random features of a head.
    kernel : {"relu", "exp"}, default="relu"
    merge : bool, default=False
        Weigh the streams of keys together and leave the answer a superposition over m of N
        sequences: the attention of MIMOFormer (att.+MLP).
    reference_padding : bool, default=False
        For compatibility: ask at padding too, and let it count as keys of 0.

    Attributes
    ----------
    projection : Tensor of shape (n_features, head_dim)
        The random features, drawn once.
    keys : Tensor of shape (M, N, head_dim)
        1 or -1. All 1 for a single row.
    """

    projection: Tensor
    keys: Tensor

    def __init__(
        self,
        hidden_size: int,
        n_heads: int = 4,
        head_dim: int = 64,
        grid: tuple[int, int] = (1, 1),
        n_features: int = 256,
        kernel: str = "relu",
        merge: bool = False,
        reference_padding: bool = False,
    ) -> None:
        super().__init__()
        self.n_heads, self.head_dim = n_heads, head_dim
        self.kernel, self.merge, self.reference_padding = kernel, merge, reference_padding
        self.query = nn.Linear(hidden_size, n_heads * head_dim)
        self.key = nn.Linear(hidden_size, n_heads * head_dim)
        self.value = nn.Linear(hidden_size, n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, hidden_size)
        self.register_buffer("projection", orthogonal_features(n_features, head_dim))
        keys = draw_signs(*grid, head_dim) if math.prod(grid) > 1 else torch.ones(1, 1, head_dim)
        self.register_buffer("keys", keys)
        self.folded: _FoldedKeys | None = None

    def fold(self) -> None:
        """Fold the keys into the linear layers, for inference."""
        if self.folded is None:
            self.folded = _FoldedKeys(self)

    def forward(self, x: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures * M * N, length, hidden_size)
        mask : Tensor of shape (n_mixtures * M * N, length)
            0 at padding, else 1, of the type of `x`.
        grid : tuple of two int
            M and N, each at most the capacity's.

        Returns
        -------
        Tensor of shape (n_mixtures * M * N, length, hidden_size)
            With `merge` of shape (n_mixtures * N, length, hidden_size).
        """
        x = x.unflatten(0, (-1, *grid))  # (n_mixtures, M, N, length, hidden_size)
        mask = mask.view(x.shape[:-1])
        if x.device.type != "cpu":
            return self._attend(x, mask)
        n_features = len(self.projection) * sum(grid) * x.shape[3]
        return in_chunks(self._attend, _CHUNK_ELEMENTS, x, mask, cost=n_features)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        m, n, length = x.shape[1:4]
        bundle = self._bundle if self.folded is None else self.folded.bundle
        streams = bundle(x, mask, torch.ones_like(mask) if self.reference_padding else mask)
        counted = self._count_keys(mask)
        # Sums over thousands of positions need more than half precision.
        dtype = torch.promote_types(x.dtype, torch.float32)
        scale = 1 / math.sqrt(self.head_dim * m * n)
        projection = self.projection.to(dtype) * scale
        with torch.autocast(x.device.type, enabled=False):
            query, key, value = (stream.to(dtype) for stream in streams)
            answer = self._run_heads(query, key, value, counted.to(dtype), projection).to(x.dtype)
        answer = answer.unflatten(2, (n, length)).flatten(4)  # (n_mixtures, M, N, length, inner)
        if self.merge:
            return self.out(answer).flatten(0, 2)
        if self.folded is not None:
            return self.folded.unbind(answer).flatten(0, 2)
        return self.out(answer * self._keys_of_heads(m, n)).flatten(0, 2)

    def _run_heads(
        self, query: Tensor, key: Tensor, value: Tensor, counted: Tensor, projection: Tensor
    ) -> Tensor:
        """Return the answers, shape (n_mixtures, n_streams, N * length, n_heads, head_dim)."""
        n_mixtures = len(query)
        if torch.is_grad_enabled() or query.device.type != "cpu":
            q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))
            counted = counted.repeat_interleave(self.n_heads, 0)
            answer = favor_attention(q, k, v, counted, projection, self.kernel)
            by_head = answer.unflatten(0, (n_mixtures, self.n_heads))
            return by_head.permute(0, 2, 3, 1, 4).contiguous()
        answer = query.new_empty(n_mixtures, counted.shape[1], *query.shape[1:])
        for i in range(self.n_heads):
            q, k, v = (x[:, :, i] for x in (query, key, value))
            favor_attention(q, k, v, counted, projection, self.kernel, out=answer[..., i, :])
        return answer

    def _bundle(self, x: Tensor, mask: Tensor, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the streams, shape (n_mixtures, n_streams * length, n_heads, head_dim) each.

        `asked` is the mask of the queries.
        """
        keys = self._keys_of_heads(*x.shape[1:3])
        bundled = (
            (self.query(x) * asked[..., None] * keys).sum(1),
            (self.key(x) * mask[..., None] * keys).sum(2),
            (self.value(x) * mask[..., None] * keys).sum(2),
        )
        query, key, value = (b.flatten(1, 2).unflatten(2, (self.n_heads, -1)) for b in bundled)
        return query, key, value

    def _keys_of_heads(self, m: int, n: int) -> Tensor:
        return self.keys[:m, :n, None].repeat(1, 1, 1, self.n_heads)

    def _count_keys(self, mask: Tensor) -> Tensor:
        """Say which positions of the streams hold a key, shape (n_mixtures, n_streams, length)."""
        counted = mask.amax(2)
        if self.reference_padding:
            counted = torch.ones_like(counted)
        if self.merge:
            counted = counted.flatten(1)[:, None]
        # A stream without any key has no weights to divide by.
        return torch.where(counted.any(2, keepdim=True), counted, 1.0)


class _FoldedKeys(nn.Module):
    """The keys of a `GridAttention` within its linear layers.

    Binding and bundling are then one product over all rows of a bundle. Biases are weights of the
    mask.

    Parameters
    ----------
    attention : GridAttention
    """

    query: Tensor
    key_value: Tensor
    out: Tensor
    out_bias: Tensor

    def __init__(self, attention: GridAttention) -> None:
        super().__init__()
        keys = attention._keys_of_heads(*attention.keys.shape[:2])  # (M, N, 1, inner)

        def bound(*layers: nn.Linear) -> Tensor:
            weights = [torch.cat([la.weight, la.bias[:, None]], 1).T * keys for la in layers]
            return torch.cat(weights, -1).detach()  # (M, N, hidden_size + 1, inner)

        self.n_heads = attention.n_heads
        self.register_buffer("query", bound(attention.query).transpose(0, 1).contiguous())
        self.register_buffer("key_value", bound(attention.key, attention.value))
        out = keys.transpose(2, 3) * attention.out.weight.T
        self.register_buffer("out", out.detach())  # (M, N, inner, hidden_size)
        self.register_buffer("out_bias", attention.out.bias.detach().clone())

    def bundle(self, x: Tensor, mask: Tensor, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Do what `GridAttention._bundle` does."""
        m, n = x.shape[1:3]
        query = _product(x.movedim(2, 0), asked.movedim(2, 0), self.query[:n, :m])
        key_value = _product(x.transpose(0, 1), mask.transpose(0, 1), self.key_value[:m, :n])
        key, value = key_value.unflatten(2, (2, self.n_heads, -1)).unbind(2)
        return query.unflatten(2, (self.n_heads, -1)), key, value

    def unbind(self, answer: Tensor) -> Tensor:
        """Map (n_mixtures, M, N, length, inner) to (n_mixtures, M, N, length, hidden_size)."""
        m, n = answer.shape[1:3]
        return (answer @ self.out[:m, :n]).add_(self.out_bias)


def _product(x: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Bind and bundle the rows of each stream.

    Parameters
    ----------
    x : Tensor of shape (n_streams, n_mixtures, n_rows, length, hidden_size)
    mask : Tensor of shape (n_streams, n_mixtures, n_rows, length)
    weight : Tensor of shape (n_streams, n_rows, hidden_size + 1, inner)

    Returns
    -------
    Tensor of shape (n_mixtures, n_streams * length, inner)
    """
    x, mask = x.transpose(2, 3), mask.transpose(2, 3)[..., None]
    rows = x.new_empty(*x.shape[:-1], x.shape[-1] + 1)
    torch.mul(x, mask, out=rows[..., :-1])
    rows[..., -1:] = mask
    n_mixtures, length = x.shape[1:3]
    product = torch.bmm(rows.flatten(3).flatten(1, 2), weight.flatten(1, 2))
    return product.unflatten(1, (n_mixtures, length)).transpose(0, 1).flatten(1, 2)
