"""The contextual multiplexer, which is the only one with layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from muxlearn.nn._multiplexer import Multiplexer
from muxlearn.nn._slots import place_of_slot
from muxlearn.nn.encoder import EncoderLayer, attention_mask
from muxlearn.nn.mimoformer_layers import sinusoidal_positions

__all__ = ["ContextualMultiplexer"]


class ContextualMultiplexer(Multiplexer):
    """Let the tokens of a row, then the slots at a position see each other before they are added.

    ``a_i = A_1(x_i)``, ``g_i = v_i * a_i``, ``m = sum_i A_2(g)_i / sqrt(n_mux)``: `A_1` is a
    Transformer layer over the tokens of a row, `v_i` the key of the slot, as in
    `HadamardMultiplexer`, and `A_2` a layer over the slots of one position (the contextual
    multiplexer of MUX-PLMs, section 3). Padding is neither attended to nor added.

    Unlike there, the rows come without positions, which the encoder adds to the mixture; so `A_1`
    is given sines and cosines. And the layers are pre-norm: with what they add small at the start,
    a mixture begins near to that of `HadamardMultiplexer`, which a pre-trained encoder reads.

    It is not linear, and it has its price: one layer runs on all tokens of all rows, and one on
    all slots of all positions. A pass of an encoder of L such layers costs ``L + 2 * n_mux`` of
    them in place of L, so that no `n_mux` makes the model more than ``L / 2`` times as fast.

    Parameters
    ----------
    n_mux : int
    width : int
    learn_keys : bool, default=True
        Whether the keys are trained; the layers are in any case.
    dropout : float, default=0.0
        In the layers.
    """

    #: Size of an attention head, or more where that does not divide the width.
    head_size = 64

    scale: Tensor

    def __init__(
        self, n_mux: int, width: int, learn_keys: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__(n_mux, width, learn_keys)
        self.keys = nn.Parameter(torch.randn(n_mux, width), requires_grad=learn_keys)
        most = max(1, width // self.head_size)
        n_heads = max(heads for heads in range(1, most + 1) if width % heads == 0)
        self.within_rows = EncoderLayer(width, n_heads, 4 * width, dropout)
        self.across_slots = EncoderLayer(width, n_heads, 4 * width, dropout)
        with torch.no_grad():
            for layer in (self.within_rows, self.across_slots):
                for last in (layer.attention_out, layer.mlp_out):
                    last.weight.mul_(0.5)
                    last.bias.zero_()
        # Token vectors may be short; beside what a layer adds they would be lost.
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def init_from_embeddings(self, table: Tensor) -> None:
        """Let the layers see vectors of unit scale.

        Parameters
        ----------
        table : Tensor of shape (vocab_size, width)
            Token embeddings.
        """
        self.scale.copy_(table.float().square().mean().sqrt().clamp(min=1e-6))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, length, width)
            The rows' vectors. `n_places` is at most `n_mux`.
        mask : Tensor of bool, shape (n_mixtures, n_places, length), default=None
            False at padding; None stands for no padding.

        Returns
        -------
        Tensor of shape (n_mixtures, length, width)
            0 where all rows are padding.
        """
        n_places, length = x.shape[1:3]
        if mask is None:
            mask = x.new_ones(x.shape[:3], dtype=torch.bool)
        even_width = self.width + self.width % 2
        positions = sinusoidal_positions(length, even_width, x.device)[:, : self.width].to(x.dtype)
        rows = (x / self.scale).flatten(0, 1)
        rows = self.within_rows(rows, attention_mask(mask.flatten(0, 1)), positions).view_as(x)
        places = place_of_slot(self.n_mux, n_places, x.device)
        slots = (rows[:, places] * self.keys[:, None]).transpose(1, 2).flatten(0, 1)
        present = mask[:, places].transpose(1, 2).flatten(0, 1)  # (n_mixtures * length, n_mux)
        slots = self.across_slots(slots, attention_mask(present))
        mixed = (slots * present[..., None].to(slots.dtype)).sum(1)
        return (mixed * (self.scale / math.sqrt(self.n_mux))).unflatten(0, (len(x), length))

    def mix(self, x: Tensor, mask: Tensor) -> Tensor:
        return self(x, mask)

    def n_vectors(self, n_places: int) -> int:
        return self.n_mux
