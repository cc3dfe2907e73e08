"""A token tagger that answers for all rows of a mixture after one pass of its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.demultiplex import Demultiplexer, IdentityDemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import Multiplexer, principal_axes, slots_to_places
from muxlearn.nn.text import MuxTextModule, MuxTrainingOutput
from muxlearn.points import WORDS

__all__ = ["LexicalPath", "MuxTokenClassifier"]


class LexicalPath(nn.Module):
    """Read a row's own tokens past the mixture: narrow vectors of a token and its neighbours.

    The mixture then need not carry which tokens a row holds, only what they mean together. One
    narrow table and one narrow convolution over the row, whatever the encoder costs. This path is
    our own; the demultiplexers of DataMUX see nothing but the mixture and the slot.

    Parameters
    ----------
    embedding : nn.Embedding
        The encoder's token table; the path starts from its leading principal components.
    size : int
        Width of the path's own table and of its output.
    """

    #: Neighbours on each side.
    radius = 2

    def __init__(self, embedding: nn.Embedding, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(embedding.num_embeddings, size)
        self.mix = nn.Conv1d(size, size, 2 * self.radius + 1, padding=self.radius)
        self._init_from(embedding.weight)

    @torch.no_grad()
    def _init_from(self, table: Tensor) -> None:
        table = table.float()
        width = min(self.embedding.embedding_dim, table.shape[1])
        components = (table - table.mean(0)) @ principal_axes(table)[:, :width]
        components /= components.square().mean().sqrt().clamp(min=1e-12)
        self.embedding.weight[:, :width] = components

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Map ids of shape (n_rows, length) to (n_rows, length, size)."""
        x = self.embedding(ids) * mask[..., None].to(self.embedding.weight.dtype)
        return F.gelu(self.mix(x.transpose(1, 2))).transpose(1, 2)


class MuxTokenClassifier(MuxTextModule):
    """Tag the tokens of the rows of mixtures (T-MUX for named entities; DataMUX, section 4).

    Each token that wants a tag is demultiplexed by itself, at its own position and for the slot
    of its own row; padding is not. One linear layer, shared by all slots, tags it.

    Parameters
    ----------
    encoder : CompactEncoder or PretrainedEncoder
    multiplexer : Multiplexer
    demultiplexer : Demultiplexer
        As wide as the encoder's output.
    n_classes : int
        Number of tags.
    dropout : float, default=0.1
        Dropout before the last layer.
    lexical_size : int, default=0
        Width of a `LexicalPath`; 0 builds none. None is built either where a position always holds
        a single token of a single row.
    patch_sizes : sequence of int, default=(1,)
        How many neighbouring tokens of a row may share a position; a pass that is not told takes
        the first.
    words : bool, default=False
        Whether the lexical path shall also answer alone.
    """

    def __init__(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
        dropout: float = 0.1,
        lexical_size: int = 0,
        patch_sizes: Sequence[int] = (1,),
        words: bool = False,
    ) -> None:
        head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.hidden_size, n_classes))
        super().__init__(encoder, multiplexer, demultiplexer, head, patch_sizes, lexical_size)
        self.n_classes = n_classes
        self.lexical: LexicalPath | None = None
        self.answers_by_words = words
        self.words_head = nn.Linear(lexical_size, n_classes) if words else None
        mixed = not isinstance(demultiplexer, IdentityDemultiplexer)
        if lexical_size and (mixed or words or self.patches is not None):
            self.lexical = LexicalPath(encoder.embedding, lexical_size)
        if lexical_size and mixed:
            demultiplexer.add_input(lexical_size)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        tagged: Tensor | None = None,
        n_mux: int | None = None,
        retrieval_samples: int = 0,
        patch_size: int | None = None,
        with_words: bool = False,
    ) -> Tensor | MuxTrainingOutput:
        """Tag.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, length)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        attention_mask : Tensor, shape of `input_ids`, default=None
            0 or False at padding.
        tagged : Tensor, shape of `input_ids`, default=None
            True at the tokens that want a tag; None stands for all but padding.
        n_mux : int, default=None
            Rows in a mixture, at most the capacity, which None stands for. Of fewer rows each
            fills several slots, and what its slots say is averaged.
        retrieval_samples : int, default=0
            For training: how many tokens of each mixture the retrieval head recovers, at least
            one for each slot if not 0.
        patch_size : int, default=None
            Tokens of a row in a position; None stands for the first of `patch_sizes`. 0: tokens
            and their neighbours alone answer, with no pass of the encoder.
        with_words : bool, default=False
            For training: whether to return what they answer as well.

        Returns
        -------
        Tensor of shape (n_tagged, n_classes) or MuxTrainingOutput
            The logits of the tagged tokens, row by row; with `retrieval_samples` or `with_words`
            what training needs besides.
        """
        ids, mask = self._in_mixtures(input_ids, attention_mask, n_mux)
        wanted = mask if tagged is None else tagged.view_as(ids).bool()
        mixtures, places, steps = wanted.nonzero(as_tuple=True)
        extra = None
        if self.lexical is not None:
            extra = self.lexical(ids.flatten(0, 1), mask.flatten(0, 1)).flatten(0, 1)
            rows = mixtures * ids.shape[1] + places
            extra = extra.index_select(0, rows * ids.shape[2] + steps)
        if patch_size == WORDS.patch_size:
            return self._tag_words(extra)
        patch_size = self._patch_size(patch_size)
        hidden, prefix = self.encode(ids, mask, patch_size, dense=attention_mask is None)
        tokens = _Tokens(
            places, mixtures * hidden.shape[1] + steps // patch_size, steps % patch_size, extra
        )
        logits = self._tag(hidden, prefix, tokens, ids.shape[1], patch_size)
        if not retrieval_samples and not with_words:
            return logits
        retrieval: tuple[Tensor | None, Tensor | None] = None, None
        if retrieval_samples:
            retrieval = self._retrieve(hidden, prefix, ids, mask, retrieval_samples, patch_size)
        words = self._tag_words(extra) if with_words else None
        return MuxTrainingOutput(logits, *retrieval, words)

    def _tag_words(self, own: Tensor | None) -> Tensor:
        if self.words_head is None or own is None:
            raise ValueError("this model was not built to answer by the words alone")
        return self.words_head(own)

    def _tag(
        self,
        hidden: Tensor,
        prefix: Tensor | None,
        tokens: _Tokens,
        n_places: int,
        patch_size: int,
    ) -> Tensor:
        """Return the logits of the wanted tokens: (n_wanted, n_classes)."""
        if n_places == self.n_mux or self.demultiplexer.by_place:
            return self._read(hidden, prefix, tokens, patch_size, n_places)
        total = self._read(hidden, prefix, tokens, patch_size).float().log_softmax(-1)
        for first in range(n_places, self.n_mux, n_places):
            # The last round of slots may be too short for all places.
            here = (tokens.slots + first < self.n_mux).nonzero().squeeze(1)
            logits = self._read(hidden, prefix, tokens.chosen(here, first), patch_size)
            log_proba = logits.float().log_softmax(-1)
            total = total.index_copy(0, here, torch.logaddexp(total[here], log_proba))
        n_slots = slots_to_places(total.new_ones(self.n_mux), n_places)
        return total - n_slots[tokens.slots].log()[:, None]

    def _read(
        self,
        hidden: Tensor,
        prefix: Tensor | None,
        tokens: _Tokens,
        patch_size: int,
        n_places: int | None = None,
    ) -> Tensor:
        read = self.demultiplexer.gather(
            hidden, prefix, tokens.slots, tokens.positions, tokens.extra, n_places
        )
        if self.patch_reader is not None:
            read = self.patch_reader(read, tokens.extra, tokens.in_patch, patch_size)
        return self.head(read)


class _Tokens(NamedTuple):
    """Tokens that want a tag; each tensor has `n_wanted` entries."""

    slots: Tensor
    #: Where each is read, ``mixture * n_patches + patch``.
    positions: Tensor
    in_patch: Tensor
    extra: Tensor | None

    def chosen(self, here: Tensor, first: int) -> _Tokens:
        """Return some of them, `first` slots further."""
        extra = None if self.extra is None else self.extra[here]
        return _Tokens(self.slots[here] + first, self.positions[here], self.in_patch[here], extra)
