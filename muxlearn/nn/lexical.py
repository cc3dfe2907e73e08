"""The words of a row, which bypass the mixture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LexicalMean", "PairComparison"]


class LexicalMean(nn.Module):
    """Bring the weighted mean of a row's token vectors to its demultiplexed vector.

    Looking up the tokens of a row costs next to nothing beside an encoder. The mixture then need
    not carry which words a row holds, only what they mean together. This path is our own; the
    demultiplexers of DataMUX see nothing but the mixture and the slot.

    Parameters
    ----------
    vocab_size : int
    width : int
        Size of a token's vector.
    hidden_size : int
        Size of a demultiplexed vector.
    """

    #: Weighted token vectors, if `fold` has been called.
    folded: Tensor | None

    def __init__(self, vocab_size: int, width: int, hidden_size: int) -> None:
        super().__init__()
        #: The logarithm of what a token counts.
        self.token_weights = nn.Embedding(vocab_size, 1)
        nn.init.zeros_(self.token_weights.weight)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, hidden_size, bias=False)
        self.register_buffer("folded", None)

    @torch.no_grad()
    def fold(self, table: Tensor) -> None:
        """Keep the weighted token vectors, for a model that trains no more.

        Parameters
        ----------
        table : Tensor of shape (vocab_size, width)
        """
        self.folded = table * self.token_weights.weight.exp()

    def forward(self, input_ids: Tensor, mask: Tensor, table: Tensor) -> Tensor:
        """Average.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_rows, length)
        mask : Tensor of bool, shape (n_rows, length)
            False at padding.
        table : Tensor of shape (vocab_size, width)
            Token vectors; not looked at after `fold`.

        Returns
        -------
        Tensor of shape (n_rows, hidden_size)
        """
        weights = self.token_weights(input_ids).squeeze(-1).exp() * mask
        if self.folded is None:
            # Each token of the batch is weighted once, however often it occurs.
            tokens, input_ids = input_ids.unique(return_inverse=True)
            table = F.embedding(tokens, table) * self.token_weights(tokens).exp()
        else:
            table = self.folded
        total = F.embedding_bag(
            input_ids, table, mode="sum", per_sample_weights=mask.to(table.dtype)
        )
        mean = total / weights.sum(1, keepdim=True).clamp(min=1e-6)
        return self.out(self.norm(mean))


class PairComparison(nn.Module):
    """Compare the two texts of a pair by vectors of each.

    A linear map of ``(u, v, |u - v|, u * v)``, the features of InferSent (Conneau et al., EMNLP
    2017, section 3.1): one vector of all words of a pair cannot say where its texts differ.

    Parameters
    ----------
    width : int
        Size of a vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(4 * width, width)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map two tensors of shape (..., width) to one of the same shape."""
        features = first, second, (first - second).abs(), first * second
        return self.out(torch.cat(features, -1))
