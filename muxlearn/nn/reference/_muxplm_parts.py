"""The contextual multiplexer and the RSA demultiplexer of MUX-PLMs (section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.multiplex import Multiplexer

if TYPE_CHECKING:
    from transformers import BertConfig


class ContextualMultiplexer(Multiplexer):
    """Attend over the tokens of each row, mark, and attend over the slots of each position.

    ``gaussian_attention_v2`` of MUX-PLMs: ``a = A_1(x) + x``, ``g_i = v_i * a_i``,
    ``m = mean_i (A_2(g)_i + g_i)``, with `A_1` and `A_2` a Transformer layer each.

    Parameters
    ----------
    config : BertConfig
        Gives the layers their sizes.
    n_mux : int
    mask_slots : bool
        Whether the second layer leaves out the slots whose row is padding at the position.
    legacy_mask : bool, default=True
        Whether a mask adds -10000 to a score, as in the version of transformers that the authors
        used, or the least number that there is, as in later ones. They differ where all slots
        are padding: the softmax sees the scores in the former case only.
    """

    def __init__(
        self, config: BertConfig, n_mux: int, mask_slots: bool, legacy_mask: bool = True
    ) -> None:
        super().__init__(n_mux, config.hidden_size, bool(getattr(config, "learn_muxing", False)))
        from transformers import BertConfig
        from transformers.models.bert.modeling_bert import BertEncoder

        self.mask_slots = mask_slots
        self.legacy_mask = legacy_mask
        self.keys = nn.Parameter(torch.randn(n_mux, self.width), requires_grad=self.learn_keys)
        # Other implementations of attention round a score of -10000 differently.
        one_layer = BertConfig.from_dict(
            config.to_dict() | {"num_hidden_layers": 1}, attn_implementation="eager"
        )
        self.within_rows = BertEncoder(one_layer)
        self.across_slots = BertEncoder(one_layer)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_mux, length, width)
        attention_mask : Tensor of int, shape (n_mixtures, n_mux, length), default=None
            0 at padding; None stands for no padding.

        Returns
        -------
        Tensor of shape (n_mixtures, length, width)
        """
        mask = x.new_ones(x.shape[:3]) if attention_mask is None else attention_mask.to(x.dtype)
        attended = self._attend(self.within_rows, x.flatten(0, 1), mask.flatten(0, 1))
        marked = (attended.view_as(x) + x) * self.keys[:, None]
        by_position = marked.transpose(1, 2).flatten(0, 1)  # (n_mixtures * length, n_mux, width)
        slot_mask = mask.transpose(1, 2).flatten(0, 1) if self.mask_slots else None
        attended = self._attend(self.across_slots, by_position, slot_mask)
        return (attended + by_position).mean(1).unflatten(0, (len(x), x.shape[2]))

    def _attend(self, layer: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            floor = -10000.0 if self.legacy_mask else torch.finfo(x.dtype).min
            mask = (1 - mask)[:, None, None] * floor  # (n_sequences, heads, queries, keys)
        return layer(x, attention_mask=mask).last_hidden_state


class RSALayers(nn.Module):
    """The slots' keys and the layers that the task and the retrieval share.

    Parameters
    ----------
    n_mux : int
    width : int
    n_layers : int
        At least 2, named from 1 on.
    eps : float
    """

    def __init__(self, n_mux: int, width: int, n_layers: int, eps: float) -> None:
        super().__init__()
        if n_layers < 2:
            raise ValueError(
                f"n_demux_layers={n_layers} is not allowed: the reference's demultiplexer adds up "
                "vectors of unequal lengths if it has fewer than 2 hidden layers"
            )
        self.keys = nn.Parameter(torch.randn(n_mux, width))
        names = [str(j) for j in range(1, n_layers + 1)]
        self.dense = nn.ModuleDict(
            {name: nn.Linear(2 * width if name == "1" else width, width) for name in names}
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width, eps=eps) for name in names})

    def pair(self, h: Tensor) -> Tensor:
        """Put the slots' keys in front of vectors (n_mixtures, n_mux, n_positions, width)."""
        return torch.cat([self.keys[:, None].expand_as(h), h], -1)


class RSAReader(Demultiplexer):
    """An RSA demultiplexer with the layers that the task or the retrieval has of its own.

    Parameters
    ----------
    layers : RSALayers
    eps, dropout : float
    """

    def __init__(self, layers: RSALayers, eps: float, dropout: float = 0.0) -> None:
        super().__init__(*layers.keys.shape)
        self.layers = layers
        self.dense = nn.Linear(self.hidden_size, self.hidden_size)
        self.norm = nn.LayerNorm(self.hidden_size, eps=eps)
        self.dropout = nn.Dropout(dropout)


class TaskRSADemultiplexer(RSAReader):
    """Read the slots off a mixture, ``f_i = LN(gelu(A z_i)) + z_i`` with the shared layers in z.

    There is dropout where the shared layers have a LayerNorm, and the last of them is not used;
    both as in the reference.
    """

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:
        first, *others = list(self.layers.dense.values())[:-1]
        z = self.dropout(F.gelu(first(self.layers.pair(h))))
        for dense in others:
            z = self.dropout(F.gelu(dense(z))) + z
        return self.norm(F.gelu(self.dense(z))) + z


class RetrievalRSADemultiplexer(RSAReader):
    """Read the slots for the recovery of tokens: two shared layers, however many there are."""

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:
        z = self.layers.pair(h)
        for name in ("1", "2"):
            z = self.layers.norm[name](F.gelu(self.layers.dense[name](z)))
        return self.norm(F.gelu(self.dense(z)))
