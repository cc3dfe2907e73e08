"""Multiplexers: fold the rows of a mixture into one sequence of vectors.

All multiplexers but the contextual one are linear in their inputs, ``m = sum_i W_i x_i`` (DataMUX,
section 3.1), which buys two things. A row that stands in several slots needs the sum of their
``W_i`` only, and a multiplexer that writes narrow vectors folds into the embedding table
(`FoldedSubspaces`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._chunks import in_chunks
from muxlearn.nn._contextual import ContextualMultiplexer
from muxlearn.nn._multiplexer import Multiplexer
from muxlearn.nn._slots import (
    mean_over_slots,
    place_of_slot,
    principal_axes,
    slots_to_places,
    start_from_components,
)

__all__ = [
    "MULTIPLEXERS",
    "NESTED",
    "BinaryMultiplexer",
    "ContextualMultiplexer",
    "FoldedSubspaces",
    "HadamardMultiplexer",
    "IdentityMultiplexer",
    "Multiplexer",
    "NestedMultiplexer",
    "OrthogonalMultiplexer",
    "SubspaceMultiplexer",
    "embed_and_multiplex",
    "mean_over_slots",
    "place_of_slot",
    "principal_axes",
    "recognisable_maps",
    "slots_to_places",
    "start_from_components",
]


class IdentityMultiplexer(Multiplexer):
    """Add the rows up without marking them: the ablation, and the only choice for one slot."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.n_mux == x.shape[1] == 1:
            return x.squeeze(1)
        n_slots = slots_to_places(x.new_ones(self.n_mux), x.shape[1])
        return torch.einsum("bpld,p->bld", x, n_slots / math.sqrt(self.n_mux))


class HadamardMultiplexer(Multiplexer):
    """Multiply each row elementwise by its key, ``m = sum_i v_i * x_i / sqrt(n_mux)``.

    The keys are drawn from a standard normal distribution (DataMUX, section 3.1, "Hadamard").
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, width, learn_keys)
        self.keys = nn.Parameter(self.draw_keys(), requires_grad=learn_keys)  # (n_mux, width)

    def draw_keys(self) -> Tensor:
        """Draw the keys, shape (n_mux, width)."""
        return torch.randn(self.n_mux, self.width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        keys = slots_to_places(self.keys, x.shape[1]) / math.sqrt(self.n_mux)
        return (x * keys[:, None]).sum(1)


class BinaryMultiplexer(HadamardMultiplexer):
    """Give each slot its own stretch of the input's dimensions by a 0/1 key.

    DataMUX, section 3.1, "Binary". Unlike `SubspaceMultiplexer` a slot keeps only ``1 / n_mux``
    of what its rows' vectors say.
    """

    def draw_keys(self) -> Tensor:  # noqa: D102
        chunk = self.width // self.n_mux
        slot_of_dim = (torch.arange(self.width) // chunk).clamp(max=self.n_mux - 1)
        keys = F.one_hot(slot_of_dim, self.n_mux).T.float()
        # One slot's share carries the scale that the sum over all slots has elsewhere.
        return keys * math.sqrt(self.n_mux)


class OrthogonalMultiplexer(Multiplexer):
    """Rotate each row by its key, ``m = sum_i W_i x_i / sqrt(n_mux)``.

    The keys are orthogonal matrices drawn uniformly (DataMUX, section 3.1, "Ortho"). All slots
    are one matrix product.
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, width, learn_keys)
        keys = torch.stack([nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n_mux)])
        self.keys = nn.Parameter(keys, requires_grad=learn_keys)  # (n_mux, width, width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        keys = slots_to_places(self.keys, x.shape[1]) / math.sqrt(self.n_mux)
        stacked = x.transpose(1, 2).flatten(2)  # (n_mixtures, length, n_places * width)
        return stacked @ keys.transpose(1, 2).flatten(0, 1)


class SubspaceMultiplexer(Multiplexer):
    """Give each slot its own ``width // n_mux`` dimensions of the mixture.

    Slot i writes ``x_i W_i`` into its own block of coordinates, ``W_i`` of shape
    ``(width, width // n_mux)``, so that nothing interferes before the backbone. This multiplexer
    is our own; `init_from_embeddings` lets each slot start from the leading principal components
    of the token embeddings.

    Parameters
    ----------
    n_mux : int
    width : int
    learn_keys : bool, default=True
        Whether the keys are trained.
    n_blocks : int, default=None
        Blocks of coordinates, at least `n_mux`; None stands for `n_mux`. With `n_places` rows in
        a mixture, row `p` writes into the blocks ``p, p + n_places, …``: of fewer rows each gets
        more of the mixture.
    """

    def __init__(
        self, n_mux: int, width: int, learn_keys: bool = True, n_blocks: int | None = None
    ) -> None:
        super().__init__(n_mux, width, learn_keys)
        self.n_blocks = n_mux if n_blocks is None else n_blocks
        if not n_mux <= self.n_blocks <= width:
            raise ValueError(
                f"n_blocks={n_blocks} must be between n_mux={n_mux} and the width, {width}"
            )
        self.block_width = width // self.n_blocks
        shape = width, self.block_width
        frames = [nn.init.orthogonal_(torch.empty(shape)) for _ in range(self.n_blocks)]
        # (n_blocks, width, block_width); a mixture of such keys is as long as one of its rows
        self.keys = nn.Parameter(torch.stack(frames), requires_grad=learn_keys)

    @torch.no_grad()
    def init_from_embeddings(self, table: Tensor, own_share: float = 0.0) -> None:
        """Start every block from principal components of a table.

        Parameters
        ----------
        table : Tensor of shape (vocab_size, width)
            Token embeddings.
        own_share : float, default=0.0
            The part of a block's dimensions that goes to components which no other block starts
            from, so that a row in several blocks is seen more fully. The rest takes the leading
            components, in a random rotation of the block's own.
        """
        table = table.float()
        vectors = principal_axes(table)
        n_own = round(own_share * self.block_width)
        leading = vectors[:, : self.block_width - n_own]
        others = vectors[:, self.block_width - n_own :]
        for number, key in enumerate(self.keys):
            own = others[:, number * n_own : (number + 1) * n_own]
            components = torch.cat([leading, own], 1)
            kept = (table @ components).square().sum().item()
            share = table.square().sum().item() / self.n_blocks
            scale = math.sqrt(share / kept) if kept else 1.0  # a table of zeros
            rotation = nn.init.orthogonal_(torch.empty(self.block_width, self.block_width))
            key.copy_(components @ rotation.to(components)[: components.shape[1]] * scale)

    def fold(self, vectors: Tensor) -> Tensor:
        """Say what each of some vectors adds to each block.

        Parameters
        ----------
        vectors : Tensor of shape (n_vectors, width)

        Returns
        -------
        Tensor of shape (n_blocks * n_vectors + 1, block_width)
            Block by block; the last row is zero.
        """
        narrow = torch.einsum("vd,sdw->svw", vectors, self.keys.to(vectors.dtype))
        return F.pad(narrow.flatten(0, 1), (0, 0, 0, 1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        places = place_of_slot(self.n_blocks, x.shape[1], x.device)  # of each block
        blocks = torch.einsum("bsld,sdw->blsw", x[:, places], self.keys)
        return F.pad(blocks.flatten(2), (0, self.width - self.n_blocks * self.block_width))


def recognisable_maps(n_maps: int, width: int) -> Tensor:
    """Draw maps that add a rotation of a vector to the vector itself.

    Layers that were trained on single vectors recognise what such maps write, and tell several of
    them apart.

    Parameters
    ----------
    n_maps, width : int

    Returns
    -------
    Tensor of shape (n_maps, width, width)
        They keep the length of a vector on average.
    """
    rotations = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n_maps)]
    return (torch.eye(width) + torch.stack(rotations)) / math.sqrt(2)


#: The name of the multiplexer and the demultiplexer in which a row alone passes unchanged. One
#: without the other reads what is not there, so that they are in no registry.
NESTED = "nested"


class NestedMultiplexer(Multiplexer):
    """Map each row by a key of its place, ``m = sum_i x_i W_i / sqrt(n)`` for n rows.

    The linear multiplexer of DataMUX (section 3.1). Unlike the others, n rows take the first n
    keys, and a row alone passes unchanged: an encoder reads it as it does without multiplexing.
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, width, learn_keys)
        keys = recognisable_maps(n_mux, width)
        # A row alone takes none: (n_mux, width, width).
        self.keys = nn.Parameter(keys, requires_grad=learn_keys and n_mux > 1)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        n_rows = x.shape[1]
        if n_rows == 1:
            return x[:, 0]
        side_by_side = x.transpose(1, 2).flatten(2)  # (n_mixtures, length, n_rows * width)
        return side_by_side @ (self.keys[:n_rows].flatten(0, 1) / math.sqrt(n_rows))


#: The multiplexers by the name that the estimators know them by.
MULTIPLEXERS: dict[str, type[Multiplexer]] = {
    "hadamard": HadamardMultiplexer,
    "orthogonal": OrthogonalMultiplexer,
    "binary": BinaryMultiplexer,
    "identity": IdentityMultiplexer,
    "subspace": SubspaceMultiplexer,
    "contextual": ContextualMultiplexer,
}


# Elements of one chunk of row vectors at inference: keeps memory flat as n_mux grows.
_CHUNK_ELEMENTS = 2**21


def embed_and_multiplex(
    embedding: nn.Embedding, multiplexer: Multiplexer, input_ids: Tensor, mask: Tensor
) -> Tensor:
    """Embed the tokens of all rows of some mixtures and multiplex them.

    Parameters
    ----------
    embedding : nn.Embedding
        The token table, as wide as the multiplexer.
    multiplexer : Multiplexer
    input_ids : Tensor of int, shape (n_mixtures, n_places, length)
    mask : Tensor of bool, shape (n_mixtures, n_places, length)
        False at padding, which adds nothing to the mixture.

    Returns
    -------
    Tensor of shape (n_mixtures, length, width)
    """
    if isinstance(multiplexer, SubspaceMultiplexer):
        # Each token of the batch is folded once, however often it occurs.
        tokens, local_ids = input_ids.unique(return_inverse=True)
        return _look_up(multiplexer.fold(embedding(tokens)), multiplexer, local_ids, mask)

    def mix(input_ids: Tensor, mask: Tensor) -> Tensor:
        return multiplexer.mix(embedding(input_ids), mask)

    n_places, length = input_ids.shape[1:]
    n_elements = multiplexer.n_vectors(n_places) * length * multiplexer.width
    return in_chunks(mix, _CHUNK_ELEMENTS, input_ids, mask, cost=n_elements)


def _look_up(
    table: Tensor, multiplexer: SubspaceMultiplexer | FoldedSubspaces, ids: Tensor, mask: Tensor
) -> Tensor:
    """Mix by looking up: ids of shape (n_mixtures, n_places, length), a row of `table` each."""
    n_places = ids.shape[1]
    blocks = torch.arange(multiplexer.n_blocks, device=ids.device)
    nothing = len(table) - 1  # the row that padding takes
    offsets = (nothing // multiplexer.n_blocks * blocks)[:, None]
    places = place_of_slot(multiplexer.n_blocks, n_places, ids.device)
    rows = torch.where(mask[:, places], ids[:, places] + offsets, nothing)
    mixed = F.embedding(rows.transpose(1, 2), table).flatten(2)
    return F.pad(mixed, (0, multiplexer.width - mixed.shape[-1]))


class FoldedSubspaces(nn.Module):
    """A token table and a subspace multiplexer as one table of narrow vectors for each block.

    Mixing is looking up: `n_blocks` vectors of width ``width // n_blocks`` a position, as much
    memory as embedding a single row reads.

    Parameters
    ----------
    embedding : nn.Embedding
    multiplexer : SubspaceMultiplexer
    """

    table: Tensor

    def __init__(self, embedding: nn.Embedding, multiplexer: SubspaceMultiplexer) -> None:
        super().__init__()
        self.n_blocks = multiplexer.n_blocks
        self.width = multiplexer.width
        with torch.no_grad():
            self.register_buffer("table", multiplexer.fold(embedding.weight))

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self.table) // self.n_blocks

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Do what `embed_and_multiplex` does, with the same arguments."""
        return _look_up(self.table, self, input_ids, mask)
