"""Demultiplexers: recover one vector for each slot from what the backbone made of the mixture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._chunks import in_chunks
from muxlearn.nn.multiplex import SubspaceMultiplexer

__all__ = [
    "DEMULTIPLEXERS",
    "Demultiplexer",
    "IdentityDemultiplexer",
    "IndexDemultiplexer",
    "MLPDemultiplexer",
    "NestedDemultiplexer",
    "RSADemultiplexer",
]


# Vectors that are read at a time at inference: what is between two layers stays in the cache.
_CHUNK = 1024


class Demultiplexer(nn.Module):
    """Base class: a demultiplexer knows its number of slots and the width of a vector.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    hidden_size : int
        Size of a vector, mixed or not.
    """

    #: Positions that the demultiplexer needs in front of the mixture, one for each slot.
    uses_prefix = False
    #: Whether a row that fills several slots is read once, from all of them together.
    by_place = False
    #: Whether a row alone in its mixture is passed on unchanged.
    passes_alone = False

    def __init__(self, n_mux: int, hidden_size: int) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.hidden_size = hidden_size
        self.extra_in: nn.Linear | None = None

    def add_input(self, size: int) -> None:
        """Let `gather` take vectors of `size` that belong to the row, beside the mixture's.

        Parameters
        ----------
        size : int
        """
        self.extra_in = nn.Linear(size, self.inner_size, bias=False)

    @property
    def inner_size(self) -> int:
        """Units of the hidden layer."""
        return self.hidden_size

    def n_reads(self, n_places: int) -> int:
        """Return how many vectors are read off a mixture of `n_places` rows.

        Parameters
        ----------
        n_places : int

        Returns
        -------
        int
            `n_mux`, one for each slot; with `by_place` one for each row.
        """
        return n_places if self.by_place else self.n_mux

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Demultiplex the same number of positions for every slot.

        Parameters
        ----------
        h : Tensor of shape (n_mixtures, n_reads, n_positions, hidden_size)
            The mixture's vectors, those that are to be read for each slot, or with `by_place` for
            each row.
        prefix : Tensor of shape (n_mixtures, n_mux, hidden_size), default=None
            The backbone's output at the prefix, for the demultiplexer that has one.

        Returns
        -------
        Tensor of shape (n_mixtures, n_reads, n_positions, hidden_size)
        """
        of_slots = self._of_slots(prefix, h.shape[1])
        return self._read_out(self._of_mixture(h) + of_slots[..., None, :])

    def gather(
        self,
        h: Tensor,
        prefix: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        extra: Tensor | None = None,
        n_places: int | None = None,
    ) -> Tensor:
        """Demultiplex any positions for any slots.

        The part of a position that does not depend on the slot is computed once for all slots.

        Parameters
        ----------
        h : Tensor of shape (n_mixtures, length, hidden_size)
        prefix : Tensor of shape (n_mixtures, n_mux, hidden_size) or None
            The backbone's output at the prefix, for the demultiplexer that has one.
        slots : Tensor of int, shape (n_read,)
            The slot that each is read for.
        positions : Tensor of int, shape (n_read,)
            Position at which each is read, ``mixture * length + position``.
        extra : Tensor of shape (n_read, size), default=None
            What `add_input` has made room for.
        n_places : int, default=None
            Rows in a mixture, `n_mux` if None. Only `by_place` uses it, where `slots` are
            the rows' places.

        Returns
        -------
        Tensor of shape (n_read, hidden_size)
        """
        of_mixture = self._of_mixture(h).flatten(0, 1)
        of_slots = self._of_slots(prefix, n_places or self.n_mux)
        if of_slots.ndim == 3:
            slots = positions // h.shape[1] * self.n_mux + slots
            of_slots = of_slots.flatten(0, 1)

        def read(slots: Tensor, positions: Tensor, extra: Tensor | None) -> Tensor:
            x = of_mixture.index_select(0, positions) + of_slots.index_select(0, slots)
            return self._read_out(self.add_extra(x, extra))

        return in_chunks(read, _CHUNK, slots, positions, extra)

    def add_extra(self, x: Tensor, extra: Tensor | None) -> Tensor:
        """Add what `gather` is given beside the mixture to a hidden layer.

        Parameters
        ----------
        x : Tensor of shape (n_read, inner_size)
            The hidden layer, before its nonlinearity.
        extra : Tensor of shape (n_read, size) or None

        Returns
        -------
        Tensor of shape (n_read, inner_size)

        Raises
        ------
        ValueError
            If there is no room for `extra`.
        """
        if extra is None:
            return x
        if self.extra_in is None:
            raise ValueError(
                f"extra of shape {tuple(extra.shape)} is given to a {type(self).__name__} that has "
                f"no room for it: call add_input({extra.shape[-1]}) first"
            )
        return torch.addmm(x, extra, self.extra_in.weight.T)

    def _of_mixture(self, h: Tensor) -> Tensor:
        """Return what the mixture adds to the hidden layer, (..., inner_size)."""
        raise NotImplementedError

    def _of_slots(self, prefix: Tensor | None, n_places: int) -> Tensor:
        """Return what a read adds there, (n_reads, inner_size) or (n_mixtures, n_reads, …)."""
        raise NotImplementedError

    def _read_out(self, x: Tensor) -> Tensor:
        """Map the hidden layer before its nonlinearity to vectors of `hidden_size`."""
        raise NotImplementedError


class IdentityDemultiplexer(Demultiplexer):
    """Pass the mixture on: all there is to do for one slot."""

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:  # noqa: D102
        return h

    def gather(  # noqa: D102
        self,
        h: Tensor,
        prefix: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        extra: Tensor | None = None,
        n_places: int | None = None,
    ) -> Tensor:
        return h.flatten(0, 1).index_select(0, positions)


class RSADemultiplexer(Demultiplexer):
    """Give a small network a learned key of the slot beside the mixture; no prefix.

    The demultiplexer of MUX-PLMs (section 3.2, named after the cryptosystem): every slot has a
    private key ``k_i`` that is learned, ``f_i(h) = LN(MLP([h; k_i]))``. The first layer's two
    halves are kept apart, so that the key's half is computed once and not at every position.

    A slot starts with its own share of the hidden units open and the others closed: its key puts
    them where GELU is flat. A network that begins with all of them open must find a way to
    tell the slots apart first, and most of a short training goes by until it does.

    Further layers, ``z + gelu(D z)`` as in the reference, follow before the LayerNorm. They start
    at zero, so that a deeper network begins as the one with a single hidden layer.

    Parameters
    ----------
    n_mux : int
    hidden_size : int
        Size of a vector, mixed or not.
    n_blocks : int, default=None
        Keys, one for each block of a `SubspaceMultiplexer` with as many. A row is then read once
        from all of its blocks together: what opens a unit for one of them opens it for the row.
        None: a key for each slot, and a row in several slots is read once for each.
    n_layers : int, default=1
        Hidden layers.
    """

    #: How far below zero a closed unit starts.
    closed = 5.0

    def __init__(
        self, n_mux: int, hidden_size: int, n_blocks: int | None = None, n_layers: int = 1
    ) -> None:
        super().__init__(n_mux, hidden_size)
        self.by_place = n_blocks is not None
        n_keys = n_mux if n_blocks is None else n_blocks
        layers = (nn.Linear(hidden_size, hidden_size) for _ in range(n_layers - 1))
        self.hidden = nn.ModuleList(layers)
        for parameter in self.hidden.parameters():
            nn.init.zeros_(parameter)
        inner = 2 * hidden_size
        self.keys = nn.Parameter(nn.init.orthogonal_(torch.empty(n_keys, hidden_size)))
        self.key_in = nn.Linear(hidden_size, inner, bias=False)
        self.mixture_in = nn.Linear(hidden_size, inner)
        self.out = nn.Linear(inner, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        share = inner // n_keys
        gates = torch.full((n_keys, inner), -self.closed)
        for slot, gate in enumerate(gates):
            gate[slot * share : (slot + 1) * share] = 0.0
        with torch.no_grad():
            self.key_in.weight.copy_(gates.T @ self.keys)

    @torch.no_grad()
    def init_from_subspaces(self, multiplexer: SubspaceMultiplexer) -> None:
        """Start by reading back what a subspace multiplexer wrote.

        A slot's open units hold its own coordinates once with each sign; since
        ``gelu(x) - gelu(-x) = x``, the last layer puts them together again and takes them back
        to the space of the token embeddings. Pays where the backbone starts near the identity,
        as a fresh pre-norm encoder does.

        Parameters
        ----------
        multiplexer : SubspaceMultiplexer
            As wide as the hidden vectors here.
        """
        width = multiplexer.block_width
        eye = torch.eye(width)
        signs = torch.cat([eye, -eye])  # (2 * width, width)
        share = 2 * self.hidden_size // len(self.keys)
        for module in (self.mixture_in, self.out):
            nn.init.zeros_(module.bias)
        for slot, key in enumerate(multiplexer.keys):
            units = slice(slot * share, slot * share + 2 * width)
            coordinates = slice(slot * width, (slot + 1) * width)
            self.mixture_in.weight[units] = 0.0
            self.mixture_in.weight[units, coordinates] = signs
            self.out.weight[:, units] = key @ signs.T / math.sqrt(len(self.keys))

    @property
    def inner_size(self) -> int:  # noqa: D102
        return self.mixture_in.out_features

    def _of_mixture(self, h: Tensor) -> Tensor:
        return self.mixture_in(h)

    def _of_slots(self, prefix: Tensor | None, n_places: int) -> Tensor:
        of_keys = self.key_in(self.keys)
        if not self.by_place:
            return of_keys
        spare = -len(of_keys) % n_places
        of_keys = F.pad(of_keys, (0, 0, 0, spare), value=-math.inf)
        return of_keys.unflatten(0, (-1, n_places)).amax(0)

    def _read_out(self, x: Tensor) -> Tensor:
        z = self.out(F.gelu(x))
        for layer in self.hidden:
            z = z + F.gelu(layer(z))
        return self.norm(z)


class IndexDemultiplexer(Demultiplexer):
    """Read the slot's index vector off a prefix of `n_mux` positions.

    DataMUX, section 3.3, "index embeddings": the prefix of row i says which slot it stands in,
    and the backbone's output ``p_i`` there is the key, ``f_i(h) = LN(gelu(A [p_i; h]))``.
    """

    uses_prefix = True

    def __init__(self, n_mux: int, hidden_size: int) -> None:
        super().__init__(n_mux, hidden_size)
        self.dense = nn.Linear(2 * hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)

    def _of_mixture(self, h: Tensor) -> Tensor:
        return F.linear(h, self.dense.weight[:, self.hidden_size :])

    def _of_slots(self, prefix: Tensor | None, n_places: int) -> Tensor:
        if prefix is None:
            raise ValueError(
                "prefix is None: an IndexDemultiplexer needs the backbone's output at the prefix, "
                f"of shape (n_mixtures, {self.n_mux}, {self.hidden_size})"
            )
        return F.linear(prefix, self.dense.weight[:, : self.hidden_size], self.dense.bias)

    def _read_out(self, x: Tensor) -> Tensor:
        return self.norm(F.gelu(x))


class MLPDemultiplexer(Demultiplexer):
    """A layer of its own for each slot, ``f_i(h) = LN_i(gelu(D_i h))`` (DataMUX, section 3.3)."""

    def __init__(self, n_mux: int, hidden_size: int, layer_norm_eps: float = 1e-5) -> None:
        super().__init__(n_mux, hidden_size)
        self.layer_norm_eps = layer_norm_eps
        bound = 1 / math.sqrt(hidden_size)
        self.weight = nn.Parameter(
            torch.empty(n_mux, hidden_size, hidden_size).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(n_mux, hidden_size).uniform_(-bound, bound))
        self.norm_weight = nn.Parameter(torch.ones(n_mux, hidden_size))
        self.norm_bias = nn.Parameter(torch.zeros(n_mux, hidden_size))

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:  # noqa: D102
        x = torch.einsum("bsld,sed->bsle", h, self.weight) + self.bias[:, None]
        return self._normed(x) * self.norm_weight[:, None] + self.norm_bias[:, None]

    def gather(  # noqa: D102
        self,
        h: Tensor,
        prefix: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        extra: Tensor | None = None,
        n_places: int | None = None,
    ) -> Tensor:
        # Slot by slot, since each has a matrix of its own; `order` leads back.
        order = slots.argsort(stable=True)
        counts = torch.bincount(slots, minlength=self.n_mux).tolist()
        vectors = h.flatten(0, 1).index_select(0, positions[order]).split(counts)
        layers = zip(vectors, self.weight, self.bias, strict=True)
        x = torch.cat([F.linear(*layer) for layer in layers])
        x = torch.empty_like(x).index_copy(0, order, x)
        x = self._normed(self.add_extra(x, extra))
        return x * self.norm_weight[slots] + self.norm_bias[slots]

    def _normed(self, x: Tensor) -> Tensor:
        return F.layer_norm(F.gelu(x), (self.hidden_size,), eps=self.layer_norm_eps)


class NestedDemultiplexer(Demultiplexer):
    """Read the row at each place by a network that is told the place.

    ``f_i(h) = h + MLP([h; k_i])``: the RSA demultiplexer of MUX-PLMs (section 3.2), with a shortcut
    in place of its LayerNorm, so that it starts by passing the mixture on. A row alone in its
    mixture is passed on unchanged.
    """

    by_place = True
    passes_alone = True

    def __init__(self, n_mux: int, hidden_size: int) -> None:
        super().__init__(n_mux, hidden_size)
        self.mixture_in = nn.Linear(hidden_size, self.inner_size)
        self.keys = nn.Parameter(torch.randn(n_mux, self.inner_size) / 2)
        self.out = nn.Linear(self.inner_size, hidden_size)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    @property
    def inner_size(self) -> int:  # noqa: D102
        return 2 * self.hidden_size

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:  # noqa: D102
        n_reads = h.shape[1]
        if n_reads == 1:
            return h
        return h + self.out(F.gelu(self.mixture_in(h) + self.keys[:n_reads, None]))

    def gather(  # noqa: D102
        self,
        h: Tensor,
        prefix: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        extra: Tensor | None = None,
        n_places: int | None = None,
    ) -> Tensor:
        read = h.flatten(0, 1).index_select(0, positions)
        if (n_places or self.n_mux) == 1:
            return read
        x = self.mixture_in(h).flatten(0, 1).index_select(0, positions)
        x = self.add_extra(x + F.embedding(slots, self.keys), extra)
        return read + self.out(F.gelu(x))


#: The demultiplexers by the name that the estimators know them by.
DEMULTIPLEXERS: dict[str, type[Demultiplexer]] = {
    "rsa": RSADemultiplexer,
    "index": IndexDemultiplexer,
    "mlp": MLPDemultiplexer,
}
