"""An encoder with a multiplexer and a demultiplexer for many operating points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.lexical import LexicalMean
from muxlearn.nn.nested import NestedDemultiplexer, NestedMultiplexer
from muxlearn.nn.patches import PatchMultiplexer, PatchReader, Point, pool_rows

__all__ = ["Encoded", "MuxEncoder"]


class Encoded(NamedTuple):
    """Mixtures after the encoder.

    Attributes
    ----------
    hidden : Tensor of shape (n_mixtures, n_patches, width)
    mask : Tensor of bool, shape (n_mixtures, n_mux, length)
        False at padding.
    point : Point
    """

    hidden: Tensor
    mask: Tensor
    point: Point


class MuxEncoder(nn.Module):
    """Encode rows at any of its operating points, with one set of weights for all of them.

    At ``(1, 1)`` it is `encoder` alone. The tokens of a second text are marked by a vector of
    their own, as token types do in BERT; callers let a patch never span two texts.

    Parameters
    ----------
    encoder : CompactEncoder
    n_mux : int, default=1
        The largest number of rows in a mixture.
    patch_sizes : iterable of int, default=()
        The patch sizes beside 1.
    """

    def __init__(
        self, encoder: CompactEncoder, n_mux: int = 1, patch_sizes: Iterable[int] = ()
    ) -> None:
        super().__init__()
        width, sizes = encoder.hidden_size, tuple(patch_sizes)
        self.encoder = encoder
        self.second_text = nn.Parameter(torch.zeros(width))
        self.patches = PatchMultiplexer(width, sizes)
        self.multiplexer = NestedMultiplexer(n_mux, width)
        self.demultiplexer = NestedDemultiplexer(n_mux, width)
        self.patch_reader = PatchReader(width, width, sizes)
        self.lexical_mean = LexicalMean(encoder.embedding.num_embeddings, width, width)

    def embed(self, ids: Tensor, second: Tensor | None = None) -> Tensor:
        """Look up token vectors.

        Parameters
        ----------
        ids : Tensor of int, shape (n_rows, length)
        second : Tensor of bool, shape of `ids` or (length,), default=None
            True at tokens of a second text.

        Returns
        -------
        Tensor of shape (n_rows, length, width)
        """
        vectors = self.encoder.embedding(ids)
        return vectors if second is None else vectors + second[..., None] * self.second_text

    def encode(self, vectors: Tensor, mask: Tensor, point: Point, dense: bool = False) -> Encoded:
        """Mix and encode.

        Parameters
        ----------
        vectors : Tensor of shape (n_rows, length, width)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        mask : Tensor of bool, shape (n_rows, length)
            False at padding.
        point : Point
        dense : bool, default=False
            Whether every patch is known to hold a token, so that nothing is masked in attention.

        Returns
        -------
        Encoded
        """
        mask = mask.view(-1, point.n_mux, mask.shape[1])
        x, present = self.patches(vectors.view(*mask.shape, -1), mask, point.patch_size)
        mixed = self.multiplexer.mix(x, present)
        return Encoded(self.encoder(mixed, None if dense else present.any(1)), mask, point)

    def read_words(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Say what rows mean by their words alone, without the encoder.

        Parameters
        ----------
        ids : Tensor of int, shape (n_rows, length)
        mask : Tensor of bool, shape (n_rows, length)
            False at padding.

        Returns
        -------
        Tensor of shape (n_rows, width)
        """
        return self.lexical_mean(ids, mask, self.encoder.embedding.weight)

    def read_rows(self, encoded: Encoded) -> Tensor:
        """Return a vector for each row, (n_rows, width)."""
        pooled = pool_rows(encoded.hidden, encoded.mask, encoded.point.patch_size)
        return self.demultiplexer(pooled[:, :, None]).flatten(0, 2)

    def read_tokens(
        self, encoded: Encoded, vectors: Tensor, rows: Tensor, places: Tensor
    ) -> Tensor:
        """Read some tokens.

        Parameters
        ----------
        encoded : Encoded
        vectors : Tensor of shape (n_rows, length, width)
            As `encode` was given.
        rows, places : Tensor of int, shape (n_tokens,)
            The row that each token is of, and its place in it.

        Returns
        -------
        Tensor of shape (n_tokens, width)
        """
        (n_mux, patch_size), n_patches = encoded.point, encoded.hidden.shape[1]
        positions = rows // n_mux * n_patches + places // patch_size
        slots = rows % n_mux
        read = self.demultiplexer.gather(encoded.hidden, None, slots, positions, n_places=n_mux)
        own = vectors.flatten(0, 1).index_select(0, rows * vectors.shape[1] + places)
        return self.patch_reader(read, own, places % patch_size, patch_size)
