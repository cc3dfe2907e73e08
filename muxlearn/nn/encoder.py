"""Text encoders that run on vectors already embedded and multiplexed."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["CompactEncoder", "EncoderLayer", "PretrainedEncoder"]

#: Of a GPU's kernels all but cuDNN's, which plan anew for every shape: texts come in many lengths.
_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class CompactEncoder(nn.Module):
    """The library's own Transformer encoder.

    Learned positions are added to the mixture, not to its rows: all rows share them.

    Parameters
    ----------
    vocab_size : int
        Rows of the token table.
    hidden_size : int, default=256
    num_hidden_layers : int, default=4
    num_attention_heads : int, default=4
        Number of attention heads, which must divide `hidden_size`.
    intermediate_size : int, default=1024
        Width of the feed-forward layers.
    max_length : int, default=128
        Number of positions, a prefix not counted.
    n_prefix : int, default=0
        Positions in front of the text that the demultiplexer takes.
    dropout : float, default=0.1
    norm_first : bool, default=True
        Whether layers normalise what they read (pre-norm) or what they return, as BERT does.
    layer_norm_eps : float, default=1e-5
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int = 1024,
        max_length: int = 128,
        n_prefix: int = 0,
        dropout: float = 0.1,
        norm_first: bool = True,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"`num_attention_heads` {num_attention_heads} does not divide `hidden_size` "
                f"{hidden_size}"
            )
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(hidden_size))
        self.position_embedding = nn.Embedding(max_length + n_prefix, hidden_size)
        nn.init.normal_(self.position_embedding.weight, std=0.1 / math.sqrt(hidden_size))
        self.embedding_norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.dropout = nn.Dropout(dropout)
        options = (intermediate_size, dropout, norm_first, layer_norm_eps)
        self.layers = nn.ModuleList(
            EncoderLayer(hidden_size, num_attention_heads, *options)
            for _ in range(num_hidden_layers)
        )
        # Layers that normalise what they return need no norm behind the last.
        self.norm = nn.LayerNorm(hidden_size, layer_norm_eps) if norm_first else nn.Identity()

    @property
    def embedding_size(self) -> int:
        """Width of a token's vector."""
        return self.embedding.embedding_dim

    @property
    def hidden_size(self) -> int:
        """Width of an output vector."""
        return self.embedding_norm.normalized_shape[0]

    @property
    def sizes(self) -> dict[str, Any]:
        """Arguments that build an encoder of the same sizes; `max_length` includes the prefix."""
        layer = cast(EncoderLayer, self.layers[0])
        post_norm = {"norm_first": False, "layer_norm_eps": self.embedding_norm.eps}
        return {
            "vocab_size": self.embedding.num_embeddings,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": len(self.layers),
            "num_attention_heads": layer.num_heads,
            "intermediate_size": layer.mlp_in.out_features,
            "max_length": self.position_embedding.num_embeddings,
            **({} if layer.norm_first else post_norm),
        }

    def drop_embedding(self) -> None:
        """Free the token table, for a model that has folded it into others."""
        self.embedding = nn.Embedding(0, self.embedding_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, length, hidden_size)
        mask : Tensor of bool, shape (n_mixtures, length), or None
            False where no row of the mixture has a token; None where there is no such position.

        Returns
        -------
        Tensor of shape (n_mixtures, length, hidden_size)
        """
        x = self.embedding_norm(x + self.position_embedding.weight[: x.shape[1]])
        x = self.dropout(x)
        attended = None if mask is None else attention_mask(mask)
        # On a CPU the caller may have chosen a kernel, and there is no cuDNN.
        with sdpa_kernel(_ATTENTION) if x.is_cuda else nullcontext():
            for layer in self.layers:
                x = layer(x, attended)
        return self.norm(x)


class PretrainedEncoder(nn.Module):
    """An encoder of the `transformers` library, fed with multiplexed token embeddings.

    The mixture stands where the token embeddings stand: the model adds its own positions and
    normalises after multiplexing, once for the mixture and not for each row.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        An encoder that takes ``inputs_embeds`` and ``attention_mask``.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        if getattr(model, "pooler", None) is not None:
            # Nothing reads it, and it would never get a gradient.
            setattr(model, "pooler", None)  # noqa: B010
        self.hidden_size: int = model.config.hidden_size
        self.embedding_size: int = self.embedding.embedding_dim

    @property
    def embedding(self) -> nn.Embedding:
        """The token table."""
        return cast(nn.Embedding, self.model.get_input_embeddings())

    def drop_embedding(self) -> None:
        """Free the token table, for a model that has folded it into others."""
        self.model.set_input_embeddings(nn.Embedding(0, self.embedding_size))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode; as `CompactEncoder.forward`."""
        attended = None if mask is None else mask.long()
        return self.model(inputs_embeds=x, attention_mask=attended).last_hidden_state


def attention_mask(mask: Tensor) -> Tensor:
    """Return what attention may see, (n_sequences, 1, 1, length); an empty sequence sees all."""
    # Before torch 2.5 a softmax over nothing is NaN; what is read there is left out later.
    return (mask | ~mask.any(1, keepdim=True))[:, None, None]


class EncoderLayer(nn.Module):
    """A Transformer layer, pre-norm or post-norm.

    Parameters
    ----------
    hidden_size : int
    num_heads : int
        Number of attention heads, which must divide `hidden_size`.
    inner : int
        Width of the feed-forward part.
    dropout : float
        On what either part adds.
    norm_first : bool, default=True
        Whether the layer normalises what it reads (pre-norm) or what it returns, as BERT does.
    layer_norm_eps : float, default=1e-5
        Added to the variance in the normalisations.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        inner: int,
        dropout: float,
        norm_first: bool = True,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_first = norm_first
        self.attention_norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_out = nn.Linear(hidden_size, hidden_size)
        self.mlp_norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.mlp_in = nn.Linear(hidden_size, inner)
        self.mlp_out = nn.Linear(inner, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, positions: Tensor | None = None) -> Tensor:
        """Attend and transform.

        Parameters
        ----------
        x : Tensor of shape (n_rows, length, hidden_size)
        mask : Tensor of bool, shape (n_rows, 1, 1, length), or None
            False at what is not attended to; None where there is no such position.
        positions : Tensor of shape (length, hidden_size), default=None
            Positions that attention sees, beside `x`.

        Returns
        -------
        Tensor of shape (n_rows, length, hidden_size)
        """
        if self.norm_first:
            x = x + self._attend(self.attention_norm(x), mask, positions)
            return x + self._transform(self.mlp_norm(x))
        x = self.attention_norm(x + self._attend(x, mask, positions))
        return self.mlp_norm(x + self._transform(x))

    def _attend(self, x: Tensor, mask: Tensor | None, positions: Tensor | None) -> Tensor:
        n_rows, length, hidden_size = x.shape
        if positions is not None:
            x = x + positions
        qkv = self.qkv(x).view(n_rows, length, 3, self.num_heads, hidden_size // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(n_rows, length, hidden_size)
        return self.dropout(self.attention_out(attended))

    def _transform(self, x: Tensor) -> Tensor:
        return self.dropout(self.mlp_out(F.gelu(self.mlp_in(x))))
