"""Vectors of a fast operating point, brought closer to those of a slow one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Alignment"]


class Alignment(nn.Module):
    """Correct vectors by a linear map of their directions.

    A vector :math:`v` becomes :math:`v + |v| A [v / |v|; w / |w|]`, where :math:`w` is the vector
    of the row's words alone, if there is one. A new map corrects nothing. This is our own.

    Parameters
    ----------
    size : int
        Size of a vector.
    with_words : bool, default=False
        Whether the map reads the vector of the words as well.
    """

    def __init__(self, size: int, with_words: bool = False) -> None:
        super().__init__()
        self.with_words = with_words
        self.correction = nn.Linear(size * (1 + with_words), size, bias=False)
        nn.init.zeros_(self.correction.weight)

    def forward(self, vectors: Tensor, words: Tensor | None = None) -> Tensor:
        """Correct.

        Parameters
        ----------
        vectors : Tensor of shape (n_rows, size)
        words : Tensor of the same shape, default=None
            Vectors of the rows' words alone, for a map that reads them.

        Returns
        -------
        Tensor of shape (n_rows, size)
        """
        read = [vectors] if words is None else [vectors, words]
        directions = torch.cat([F.normalize(part, dim=-1) for part in read], -1)
        return vectors + vectors.norm(dim=-1, keepdim=True) * self.correction(directions)
