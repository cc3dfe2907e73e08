"""The layers of a MIMOFormer and of the Transformer it is compared with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.encoder import attention_mask
from muxlearn.nn.favor import GridAttention, draw_signs

__all__ = ["MIMOFormerLayer", "SoftmaxAttention", "sinusoidal_positions"]


def sinusoidal_positions(
    length: int, hidden_size: int, device: torch.device | None = None
) -> Tensor:
    """Return sines and cosines of positions, in turns (Vaswani et al., NeurIPS 2017, section 3.5).

    Parameters
    ----------
    length : int
    hidden_size : int
        Even.
    device : torch.device, default=None
        Device to compute them on, None for the CPU.

    Returns
    -------
    Tensor of shape (length, hidden_size)
    """
    steps = torch.arange(0, hidden_size, 2, device=device)
    rates = torch.exp(steps * (-math.log(10_000.0) / hidden_size))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


class SoftmaxAttention(nn.Module):
    """Attend row by row with softmax: what `GridAttention` is compared with.

    Parameters
    ----------
    hidden_size : int
    n_heads : int, default=4
    head_dim : int, default=64
    dropout : float, default=0.0
        On the weights.
    """

    def __init__(
        self, hidden_size: int, n_heads: int = 4, head_dim: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.query = nn.Linear(hidden_size, n_heads * head_dim)
        self.key = nn.Linear(hidden_size, n_heads * head_dim)
        self.value = nn.Linear(hidden_size, n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, hidden_size)

    def forward(self, x: Tensor, mask: Tensor, grid: tuple[int, int] = (1, 1)) -> Tensor:
        """Attend; as `GridAttention.forward` on a grid of one."""
        query, key, value = (
            layer(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        answer = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask(mask.bool()), dropout_p=dropout
        )
        return self.out(answer.transpose(1, 2).flatten(2))


class MIMOFormerLayer(nn.Module):
    r"""Attention and a feed-forward network, each behind a LayerNorm and beside a skip.

    With `skip_keys`, the feed-forward network runs in superposition as well: rows are bundled over
    m by keys :math:`e_{mn}` of their own, :math:`z_n = \sum_m e_{mn} \odot x_{mn}`, beside the
    attention's answer, and unbound at the end (MIMONets: Menet et al., NeurIPS 2023, section 4).

    Parameters
    ----------
    hidden_size : int
    attention : GridAttention or SoftmaxAttention
    intermediate_size : int
        Width of the feed-forward network.
    skip_grid : tuple of two int, default=None
        M and N of the keys; None leaves the feed-forward network to the rows one by one.
    dropout : float, default=0.1
    reference_padding : bool, default=False
        For compatibility: let padding enter superpositions.
    """

    skip_keys: Tensor | None

    def __init__(
        self,
        hidden_size: int,
        attention: GridAttention | SoftmaxAttention,
        intermediate_size: int,
        skip_grid: tuple[int, int] | None = None,
        dropout: float = 0.1,
        reference_padding: bool = False,
    ) -> None:
        super().__init__()
        self.reference_padding = reference_padding
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.attention = attention
        self.mlp_norm = nn.LayerNorm(hidden_size)
        self.mlp_in = nn.Linear(hidden_size, intermediate_size)
        self.mlp_out = nn.Linear(intermediate_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        keys = None if skip_grid is None else draw_signs(*skip_grid, hidden_size)
        # (M, N, hidden_size)
        self.register_buffer("skip_keys", keys)

    def forward(self, x: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Encode.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures * M * N, length, hidden_size)
        mask : Tensor of shape (n_mixtures * M * N, length)
            0 at padding, else 1, of the type of `x`.
        grid : tuple of two int
            M and N, each at most the capacity's.

        Returns
        -------
        Tensor of the shape of `x`
        """
        attended = self.dropout(self.attention(self.attention_norm(x), mask, grid))
        if self.skip_keys is None:
            return self._run_mlp(_add(x, attended))
        skip = x if self.reference_padding else x * mask[..., None]
        return self.retrieve(self._run_mlp(_add(self.bundle(skip, grid), attended)), grid)

    def _run_mlp(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.mlp_in(self.mlp_norm(x)).relu_())
        return _add(x, self.dropout(self.mlp_out(hidden)))

    def bundle(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Bind and bundle over m: (n_mixtures * M * N, …) to (n_mixtures * N, …)."""
        keys = self._keys(grid)
        return (x.unflatten(0, (-1, *grid)) * keys).sum(1).flatten(0, 1)

    def retrieve(self, z: Tensor, grid: tuple[int, int]) -> Tensor:
        """Unbind all rows: (n_mixtures * N, …) to (n_mixtures * M * N, …)."""
        return (z.unflatten(0, (-1, 1, grid[1])) * self._keys(grid)).flatten(0, 2)

    def _keys(self, grid: tuple[int, int]) -> Tensor:
        assert self.skip_keys is not None
        return self.skip_keys[: grid[0], : grid[1], None]


def _add(x: Tensor, update: Tensor) -> Tensor:
    """Add to a stream, in the memory of the update unless autocast has made that narrower."""
    return update.add_(x) if update.dtype == x.dtype else x + update
