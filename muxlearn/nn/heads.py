"""Heads, with which text models read their answers off."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ClassificationHead", "RetrievalHead"]


class ClassificationHead(nn.Module):
    """Two layers with GELU between them (DataMUX's classification head).

    Parameters
    ----------
    hidden_size : int
    n_classes : int
    dropout : float, default=0.1
    """

    def __init__(self, hidden_size: int, n_classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden_size) to logits of shape (..., n_classes)."""
        return self.out(self.dropout(F.gelu(self.dense(x))))


class RetrievalHead(nn.Module):
    """Score every token of the vocabulary by the token table itself (tied, as in MUX-PLMs).

    Parameters
    ----------
    hidden_size : int
    embedding : torch.nn.Embedding
        The encoder's token table.
    """

    def __init__(self, hidden_size: int, embedding: nn.Embedding) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, embedding.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        if hidden_size == embedding.embedding_dim:
            nn.init.eye_(self.dense.weight)
            nn.init.zeros_(self.dense.bias)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Map (..., hidden_size) to scores of shape (..., vocab_size)."""
        return F.linear(self.dense(x), table, self.bias)
