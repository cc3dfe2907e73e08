"""Multiplexers: fold the rows of a mixture into one sequence of vectors.

Every multiplexer here is linear in its inputs, ``m = sum_i W_i x_i`` (DataMUX, section 3.1), which
buys two things. A row that stands in several slots needs the sum of their ``W_i`` only, and a
multiplexer that writes narrow vectors folds into the embedding table (`FoldedSubspaces`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "MULTIPLEXERS",
    "BinaryMultiplexer",
    "FoldedSubspaces",
    "HadamardMultiplexer",
    "IdentityMultiplexer",
    "Multiplexer",
    "OrthogonalMultiplexer",
    "SubspaceMultiplexer",
    "embed_and_multiplex",
    "mean_over_slots",
    "slots_to_places",
]


def slots_to_places(values: Tensor, n_places: int, dim: int = 0) -> Tensor:
    """Add up the slots that one row fills when fewer rows than slots are given.

    With `n_places` rows in a mixture of `n_mux` slots, row `p` stands in the slots
    ``p, p + n_places, p + 2 * n_places, …``.

    Parameters
    ----------
    values : Tensor
        Axis `dim` runs over the slots.
    n_places : int
        Rows in the mixture, at most the number of slots.
    dim : int, default=0
        The axis of the slots.

    Returns
    -------
    Tensor
        As `values`, with `n_places` entries along `dim`.
    """
    n_slots = values.shape[dim]
    if n_places == n_slots:
        return values
    shape = list(values.shape)
    shape[dim] = n_places
    place_of_slot = torch.arange(n_slots, device=values.device) % n_places
    return values.new_zeros(shape).index_add(dim, place_of_slot, values)


def mean_over_slots(values: Tensor, n_places: int, dim: int = 0) -> Tensor:
    """Average the slots that one row fills when fewer rows than slots are given.

    Parameters
    ----------
    values : Tensor
    n_places : int
    dim : int, default=0
        As for `slots_to_places`.

    Returns
    -------
    Tensor
        As `values`, with `n_places` entries along `dim`.
    """
    n_slots = values.shape[dim]
    if n_places == n_slots:
        return values
    shape = [1] * values.ndim
    shape[dim] = n_places
    counts = slots_to_places(values.new_ones(n_slots), n_places).view(shape)
    return slots_to_places(values, n_places, dim) / counts


class Multiplexer(nn.Module):
    """Base class: a multiplexer knows its number of slots and the width of a vector.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    width : int
        Size of an input vector and of a multiplexed one.
    learn_keys : bool, default=True
        Whether the keys are trained.
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__()
        if n_mux > width:
            raise ValueError(f"vectors of width {width} hold at most {width} slots, not {n_mux}")
        self.n_mux = n_mux
        self.width = width
        self.learn_keys = learn_keys

    def forward(self, x: Tensor) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, length, width)
            The rows' vectors; padding is zero. `n_places` is at most `n_mux`.

        Returns
        -------
        Tensor of shape (n_mixtures, length, width)
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"n_mux={self.n_mux}, width={self.width}, learn_keys={self.learn_keys}"


class IdentityMultiplexer(Multiplexer):
    """Add the rows up without marking them: the ablation, and the only choice for one slot."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.n_mux == 1:
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
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, width, learn_keys)
        self.slot_width = width // n_mux
        frames = [nn.init.orthogonal_(torch.empty(width, self.slot_width)) for _ in range(n_mux)]
        # (n_mux, width, slot_width); a mixture of such keys is as long as one of its rows
        self.keys = nn.Parameter(torch.stack(frames), requires_grad=learn_keys)

    @torch.no_grad()
    def init_from_embeddings(self, table: Tensor) -> None:
        """Start every slot from the leading principal components of a table.

        Parameters
        ----------
        table : Tensor of shape (vocab_size, width)
            Token embeddings. Each slot gets the components in a random rotation of its own.
        """
        table = table.float()
        _, vectors = torch.linalg.eigh(torch.cov(table.T))
        components = vectors.flip(1)[:, : self.slot_width]
        kept = (table @ components).square().sum()
        scale = math.sqrt(table.square().sum().item() / (self.n_mux * kept.item()))
        for key in self.keys:
            rotation = nn.init.orthogonal_(torch.empty(self.slot_width, self.slot_width))
            key.copy_(components @ rotation.to(components) * scale)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        place_of_slot = torch.arange(self.n_mux, device=x.device) % x.shape[1]
        blocks = torch.einsum("bsld,sdw->blsw", x[:, place_of_slot], self.keys)
        return F.pad(blocks.flatten(2), (0, self.width - self.n_mux * self.slot_width))


MULTIPLEXERS: dict[str, type[Multiplexer]] = {
    "hadamard": HadamardMultiplexer,
    "orthogonal": OrthogonalMultiplexer,
    "binary": BinaryMultiplexer,
    "identity": IdentityMultiplexer,
    "subspace": SubspaceMultiplexer,
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

    def mix(input_ids: Tensor, mask: Tensor) -> Tensor:
        x = embedding(input_ids)
        return multiplexer(x * mask[..., None].to(x.dtype))

    if torch.is_grad_enabled():
        return mix(input_ids, mask)
    chunk = max(1, _CHUNK_ELEMENTS // (input_ids[0].numel() * multiplexer.width))
    parts = zip(input_ids.split(chunk), mask.split(chunk), strict=True)
    return torch.cat([mix(*part) for part in parts])


class FoldedSubspaces(nn.Module):
    """A token table and a subspace multiplexer as one table of narrow vectors for each slot.

    Mixing is looking up: `n_mux` vectors of width ``width // n_mux`` a position, as much memory
    as embedding a single row reads.

    Parameters
    ----------
    embedding : nn.Embedding
    multiplexer : SubspaceMultiplexer
    """

    table: Tensor

    def __init__(self, embedding: nn.Embedding, multiplexer: SubspaceMultiplexer) -> None:
        super().__init__()
        self.n_mux = multiplexer.n_mux
        self.width = multiplexer.width
        self.vocab_size = embedding.num_embeddings
        with torch.no_grad():
            table = torch.einsum("vd,sdw->svw", embedding.weight, multiplexer.keys).flatten(0, 1)
            # The last row is what padding adds: nothing.
            self.register_buffer("table", F.pad(table, (0, 0, 0, 1)))

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Do what `embed_and_multiplex` does, with the same arguments."""
        n_mixtures, n_places, length = input_ids.shape
        slots = torch.arange(self.n_mux, device=input_ids.device)
        offsets = (self.vocab_size * slots)[:, None]
        places = slots % n_places
        ids = torch.where(mask[:, places], input_ids[:, places] + offsets, len(self.table) - 1)
        mixed = F.embedding(ids.transpose(1, 2), self.table).view(n_mixtures, length, -1)
        return F.pad(mixed, (0, self.width - mixed.shape[-1]))
