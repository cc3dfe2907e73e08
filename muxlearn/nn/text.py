"""A text model that predicts for all rows of a mixture in one pass of its encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.demultiplex import Demultiplexer, IdentityDemultiplexer, RSADemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.heads import ClassificationHead, RetrievalHead
from muxlearn.nn.lexical import LexicalMean, PairComparison
from muxlearn.nn.links import average_answers
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import (
    ContextualMultiplexer,
    FoldedSubspaces,
    Multiplexer,
    SubspaceMultiplexer,
    embed_and_multiplex,
    mean_over_slots,
)
from muxlearn.nn.patches import (
    FoldedPatches,
    PatchMultiplexer,
    PatchReader,
    pool_rows,
    sizes_to_fold,
)
from muxlearn.points import WORDS

__all__ = [
    "MuxSequenceClassifier",
    "MuxTextModule",
    "MuxTrainingOutput",
]

Self = TypeVar("Self", bound="MuxTextModule")

#: Where a row may fill several blocks, this part of a block starts from components that no other
#: block has: at `n_mux=1` a row is seen whole.
_OWN_SHARE = 1 / 3


class MuxTrainingOutput(NamedTuple):
    """The output of a pass for training.

    Attributes
    ----------
    logits : Tensor of shape (n_answers, n_classes)
    retrieval_logits : Tensor of shape (n_mixtures, n_mux, n_samples, vocab_size) or None
    retrieval_targets : Tensor of int, shape (n_mixtures, n_mux, n_samples), or None
    words : Tensor of shape (n_answers, n_classes) or None
        What the words alone answer.
    """

    logits: Tensor
    retrieval_logits: Tensor | None = None
    retrieval_targets: Tensor | None = None
    words: Tensor | None = None


class MuxTextModule(MuxModule):
    """Base class: rows of tokens are embedded and multiplexed, the encoder runs on the mixtures.

    Parameters
    ----------
    encoder : CompactEncoder or PretrainedEncoder
    multiplexer : Multiplexer
        As wide as the encoder's token embeddings.
    demultiplexer : Demultiplexer
        As wide as the encoder's output.
    head : torch.nn.Module
        Maps demultiplexed vectors to logits.
    patch_sizes : sequence of int, default=(1,)
        How many neighbouring tokens of a row may share a position; a pass that is not told takes
        the first.
    own_size : int, default=0
        Size of the vectors of their own that tokens are read with, where they share a position.

    Attributes
    ----------
    warmed_up : bool
        Whether multiplexer and demultiplexer come from an earlier training.
    """

    warmed_up = False
    #: Tokens of a row that are mixed, all of them where this is None.
    max_length: int | None = None
    optional: ClassVar[tuple[str, ...]] = ("retrieval",)

    def __init__(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        head: nn.Module,
        patch_sizes: Sequence[int] = (1,),
        own_size: int = 0,
    ) -> None:
        super().__init__()
        self.patch_sizes = tuple(patch_sizes)
        self.patches: PatchMultiplexer | None = None
        self.patch_reader: PatchReader | None = None
        if max(self.patch_sizes) > 1:
            self.patches = PatchMultiplexer(multiplexer.width, self.patch_sizes)
            self.patch_reader = PatchReader(encoder.hidden_size, own_size, self.patch_sizes)
        self.n_mux = multiplexer.n_mux
        self.encoder = encoder
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.head = head
        self.retrieval: RetrievalHead | None = RetrievalHead(encoder.hidden_size, encoder.embedding)
        self.lexical_mean: LexicalMean | None = None
        self.pair_comparison: PairComparison | None = None
        self.folded: FoldedSubspaces | None = None
        self.folded_patches: FoldedPatches | None = None
        if demultiplexer.uses_prefix:
            # One row for each slot and, last, what all other rows hold there.
            self.prefix_embedding = nn.Embedding(self.n_mux + 1, multiplexer.width)
            nn.init.normal_(self.prefix_embedding.weight, std=1 / math.sqrt(multiplexer.width))
        if isinstance(multiplexer, ContextualMultiplexer):
            multiplexer.init_from_embeddings(encoder.embedding.weight)
        if isinstance(multiplexer, SubspaceMultiplexer):
            own_share = _OWN_SHARE if demultiplexer.by_place else 0.0
            multiplexer.init_from_embeddings(encoder.embedding.weight, own_share)
            if isinstance(demultiplexer, RSADemultiplexer) and isinstance(encoder, CompactEncoder):
                demultiplexer.init_from_subspaces(multiplexer)

    @property
    def is_shared(self) -> bool:
        """Whether several tokens share a position at some operating point."""
        return self.n_mux > 1 or self.patches is not None

    def _in_mixtures(
        self, input_ids: Tensor, attention_mask: Tensor | None, n_mux: int | None
    ) -> tuple[Tensor, Tensor]:
        """Check rows and arrange them: ids and mask of shape (n_mixtures, n_places, length)."""
        n_rows, length = input_ids.shape
        n_places = self._places(n_rows, n_mux)
        ids = input_ids.view(-1, n_places, length)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask.view_as(ids)
        return ids, mask.bool()

    def _patch_size(self, patch_size: int | None) -> int:
        """Return the tokens in a position; None stands for the first choice."""
        if patch_size is None:
            return self.patch_sizes[0]
        if patch_size not in self.patch_sizes:
            raise ValueError(f"patch_size={patch_size} is not one of {self.patch_sizes}")
        return patch_size

    def encode(
        self, ids: Tensor, mask: Tensor, patch_size: int = 1, dense: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Mix and encode.

        Parameters
        ----------
        ids, mask : Tensor of shape (n_mixtures, n_places, length)
        patch_size : int, default=1
            Neighbouring tokens of a row in one position.
        dense : bool, default=False
            Whether nothing is padding, so that attention needs no mask, which is faster.

        Returns
        -------
        hidden : Tensor of shape (n_mixtures, ceil(length / patch_size), hidden_size)
        prefix : Tensor of shape (n_mixtures, n_mux, hidden_size) or None
        """
        if patch_size > 1:
            assert self.patches is not None
            if self.folded_patches is not None and patch_size in self.folded_patches.sizes:
                patches, mask = self.folded_patches(ids, mask, patch_size)
            else:
                patches, mask = self.patches(self.encoder.embedding(ids), mask, patch_size)
            mixed = self.multiplexer.mix(patches, mask)
        elif self.folded is not None:
            mixed = self.folded(ids, mask)
        else:
            mixed = embed_and_multiplex(self.encoder.embedding, self.multiplexer, ids, mask)
        mixture_mask = None if dense else mask.any(1)
        if not self.demultiplexer.uses_prefix:
            return self.encoder(mixed, mixture_mask), None
        mixed = torch.cat([self._mixed_prefix().to(mixed).expand(mixed.shape[0], -1, -1), mixed], 1)
        if mixture_mask is not None:
            mixture_mask = F.pad(mixture_mask, (self.n_mux, 0), value=True)
        hidden = self.encoder(mixed, mixture_mask)
        return hidden[:, self.n_mux :], hidden[:, : self.n_mux]

    def _mixed_prefix(self) -> Tensor:
        """Mix the rows' prefixes, which are the same for every mixture: (1, n_mux, width).

        They are mixed apart from the texts, whose tokens a contextual multiplexer lets see none.
        """
        slots = torch.arange(self.n_mux, device=self.prefix_embedding.weight.device)
        tokens = torch.full((1, self.n_mux, self.n_mux), self.n_mux, device=slots.device)
        tokens[0, slots, slots] = slots
        return self.multiplexer(self.prefix_embedding(tokens))

    def _retrieve(
        self,
        hidden: Tensor,
        prefix: Tensor | None,
        ids: Tensor,
        mask: Tensor,
        n_samples: int,
        patch_size: int = 1,
    ) -> tuple[Tensor, Tensor]:
        assert self.retrieval is not None
        places = self._place_of_read(mask)
        recovered, positions = self._read_samples(hidden, prefix, mask, n_samples, patch_size)
        logits = self.retrieval(recovered, self.encoder.embedding.weight)
        return logits, ids[:, places].gather(2, positions)

    def _read_samples(
        self, hidden: Tensor, prefix: Tensor | None, mask: Tensor, n_samples: int, patch_size: int
    ) -> tuple[Tensor, Tensor]:
        """Demultiplex tokens drawn at random: vectors, and where each stands in its row.

        Both of shape (n_mixtures, n_reads, n_each, ...), `n_samples` of a mixture together.
        """
        places = self._place_of_read(mask)
        lengths = mask.sum(2)[:, places, None]
        n_each = max(1, round(n_samples / len(places)))
        drawn = torch.rand(*lengths.shape[:2], n_each, device=hidden.device)
        positions = (drawn * lengths).long()
        if patch_size > 1:
            # Between two texts there is padding: count tokens, not positions.
            order = (~mask).to(torch.uint8).argsort(dim=2, stable=True)
            positions = order[:, places].gather(2, positions)
        return self._read_at(hidden, prefix, positions, patch_size), positions

    def _read_at(
        self, hidden: Tensor, prefix: Tensor | None, positions: Tensor, patch_size: int
    ) -> Tensor:
        """Demultiplex tokens at some positions of rows, (n_mixtures, n_reads, n_each)."""
        mixtures = torch.arange(len(hidden), device=hidden.device)[:, None, None]
        read = self.demultiplexer(hidden[mixtures, positions // patch_size], prefix)
        return self._unfold(read, positions, patch_size)

    def _unfold(self, read: Tensor, positions: Tensor, patch_size: int) -> Tensor:
        """Read tokens at some positions of rows off the vectors of their patches."""
        if self.patch_reader is None:
            return read
        slots = (positions % patch_size).flatten()
        return self.patch_reader(read.flatten(0, -2), None, slots, patch_size).view_as(read)

    def _place_of_read(self, mask: Tensor) -> Tensor:
        """Say which row of a mixture each vector that is read off it belongs to."""
        n_places = mask.shape[1]
        n_reads = self.demultiplexer.n_reads(n_places)
        return torch.arange(n_reads, device=mask.device) % n_places

    def _read_rows(
        self, hidden: Tensor, prefix: Tensor | None, mask: Tensor, patch_size: int = 1
    ) -> Tensor:
        """Demultiplex the mean of each row's positions: (n_mixtures, n_reads, hidden_size)."""
        pooled = pool_rows(hidden, mask, patch_size)  # (n_mixtures, n_places, hidden)
        pooled = pooled[:, self._place_of_read(mask)]
        return self.demultiplexer(pooled[:, :, None], prefix).squeeze(2)

    def _read_words(self, ids: Tensor, mask: Tensor, second: Tensor | None = None) -> Tensor:
        """Say what rows mean by their words alone: (n_mixtures, n_places, hidden_size)."""
        if self.lexical_mean is None:
            raise ValueError("a model without a lexical path cannot answer by the words alone")
        shape, table = ids.shape[:2], self.encoder.embedding.weight
        ids, mask = ids.flatten(0, 1), mask.flatten(0, 1)
        if self.pair_comparison is None:
            return self.lexical_mean(ids, mask, table).unflatten(0, shape)
        if second is None:
            raise ValueError("a model that compares the texts of pairs needs `second`")
        second = second.reshape(mask.shape)
        masks = torch.cat([mask & ~second, mask & second])
        texts = self.lexical_mean(torch.cat([ids, ids]), masks, table).unflatten(0, (2, -1))
        return self.pair_comparison(texts[0], texts[1]).unflatten(0, shape)

    def _add_lexical(
        self,
        rows: Tensor,
        ids: Tensor,
        mask: Tensor,
        patch_size: int = 1,
        second: Tensor | None = None,
    ) -> Tensor:
        """Add what the rows' own words say to vectors of shape (n_mixtures, n_reads, hidden)."""
        alone = self.demultiplexer.passes_alone and ids.shape[1] == patch_size == 1
        # What an encoder says of a row that shares nothing needs no help, and shall not change. To
        # compare two texts takes long training, which vectors of both save.
        if self.lexical_mean is None or (alone and self.pair_comparison is None):
            return rows
        return rows + self._read_words(ids, mask, second)[:, self._place_of_read(mask)]

    def retrieve(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        n_mux: int | None = None,
        patch_size: int | None = None,
    ) -> Tensor:
        """Recover all tokens of all rows, for evaluation.

        Parameters
        ----------
        input_ids, attention_mask : Tensor of shape (n_mixtures * n_mux, length)
        n_mux : int, default=None
            Rows in a mixture, at most the capacity, which None stands for. The answers of several
            slots that a row fills are averaged.
        patch_size : int, default=None
            Tokens of a row in a position; None stands for the first of `patch_sizes`.

        Returns
        -------
        Tensor of int, shape (n_mixtures * n_mux, length)
            The most likely token at each position.
        """
        if self.retrieval is None:
            raise RuntimeError("a model prepared for inference has no retrieval head")
        ids, mask = self._in_mixtures(input_ids, attention_mask, n_mux)
        patch_size = self._patch_size(patch_size)
        hidden, prefix = self.encode(ids, mask, patch_size)
        n_reads = self.demultiplexer.n_reads(ids.shape[1])
        recovered = self.demultiplexer(hidden[:, None].expand(-1, n_reads, -1, -1), prefix)
        if patch_size > 1:
            length = ids.shape[2]
            recovered = recovered.repeat_interleave(patch_size, 2)[:, :, :length]
            positions = torch.arange(length, device=ids.device).expand(recovered.shape[:-1])
            recovered = self._unfold(recovered, positions, patch_size)
        tokens = []
        for mixture in recovered:  # one by one: the vocabulary is large
            scores = self.retrieval(mixture, self.encoder.embedding.weight).softmax(-1)
            tokens.append(mean_over_slots(scores, ids.shape[1]).argmax(-1))
        return torch.cat(tokens)

    def for_inference(self: Self, dtype: torch.dtype | None = None) -> Self:
        """Return a copy that predicts only: folded tables, no retrieval head, in `dtype`.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxTextModule
            In `eval` mode; shares no memory with this model.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        model.retrieval = None
        if model.lexical_mean is not None and model.lexical_mean.folded is None:
            model.lexical_mean.fold(model.encoder.embedding.weight)
        if isinstance(model.multiplexer, SubspaceMultiplexer) and model.folded is None:
            model.folded = FoldedSubspaces(model.encoder.embedding, model.multiplexer)
            if model.patches is None:
                model.encoder.drop_embedding()
        if model.patches is not None and model.folded_patches is None:
            sizes = sizes_to_fold(model.patch_sizes, model.encoder.embedding.weight.numel())
            model.folded_patches = FoldedPatches(model.encoder.embedding, model.patches, sizes)
        return model if dtype is None else model.to(dtype)


class MuxSequenceClassifier(MuxTextModule):
    """Classify the rows of mixtures (T-MUX; DataMUX, section 3).

    Each slot's mean over the positions of its own tokens is demultiplexed, and a head shared by
    all slots classifies it.

    Parameters
    ----------
    encoder : CompactEncoder or PretrainedEncoder
    multiplexer : Multiplexer
    demultiplexer : Demultiplexer
        As wide as the encoder's output.
    n_classes : int
    dropout : float, default=0.1
        Dropout in the head.
    lexical_path : bool, default=False
        Whether a `LexicalMean` of a row's own tokens is added to its demultiplexed vector. Not
        where a position always holds a single token of a single row.
    max_length : int, default=None
        Tokens of a row that are mixed; the lexical path reads the rest as well. None is all.
    patch_sizes : sequence of int, default=(1,)
        How many neighbouring tokens of a row may share a position; a pass that is not told takes
        the first.
    words : bool, default=False
        Whether the lexical path shall also answer alone.
    pairs : bool, default=False
        Whether rows are pairs of texts, which the lexical path compares.
    """

    def __init__(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
        dropout: float = 0.1,
        lexical_path: bool = False,
        max_length: int | None = None,
        patch_sizes: Sequence[int] = (1,),
        words: bool = False,
        pairs: bool = False,
    ) -> None:
        head = ClassificationHead(encoder.hidden_size, n_classes, dropout)
        super().__init__(encoder, multiplexer, demultiplexer, head, patch_sizes)
        self.max_length = max_length
        self.answers_by_words = words
        shared = self.patches is not None or not isinstance(demultiplexer, IdentityDemultiplexer)
        if lexical_path and (shared or words):
            self.lexical_mean = LexicalMean(
                encoder.embedding.num_embeddings, encoder.embedding_size, encoder.hidden_size
            )
            self.pair_comparison = PairComparison(encoder.hidden_size) if pairs else None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        n_mux: int | None = None,
        retrieval_samples: int = 0,
        patch_size: int | None = None,
        with_words: bool = False,
        second: Tensor | None = None,
    ) -> Tensor | MuxTrainingOutput:
        """Classify.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, length)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        attention_mask : Tensor, shape of `input_ids`, default=None
            0 or False at padding.
        n_mux : int, default=None
            Rows in a mixture, at most the capacity, which None stands for. Of fewer rows each
            fills several slots, and what its slots say is averaged.
        retrieval_samples : int, default=0
            For training: how many tokens of each mixture the retrieval head recovers, at least
            one for each slot if not 0.
        patch_size : int, default=None
            Tokens of a row in a position; None stands for the first of `patch_sizes`. 0: the row's
            words alone answer, with no pass of the encoder.
        with_words : bool, default=False
            For training: whether to return what the words alone answer as well.
        second : Tensor of bool, shape of `input_ids`, default=None
            True at tokens of the second text of a pair, for a model that compares texts.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes) or MuxTrainingOutput
            The rows' logits, in order; with `retrieval_samples` or `with_words` what training
            needs besides.
        """
        all_ids, all_mask = self._in_mixtures(input_ids, attention_mask, n_mux)
        if patch_size == WORDS.patch_size:
            return self._classify_words(all_ids, all_mask, second)
        ids, mask = all_ids[..., : self.max_length], all_mask[..., : self.max_length]
        patch_size = self._patch_size(patch_size)
        # (n_mixtures, n_patches, hidden)
        hidden, prefix = self.encode(ids, mask, patch_size, dense=attention_mask is None)
        rows = self._read_rows(hidden, prefix, mask, patch_size)
        rows = self._add_lexical(rows, all_ids, all_mask, patch_size, second)
        logits = self.head(rows)  # (n_mixtures, n_reads, classes)
        logits = average_answers(logits, ids.shape[1], self.link).flatten(0, 1)
        if not retrieval_samples and not with_words:
            return logits
        retrieval: tuple[Tensor | None, Tensor | None] = None, None
        if retrieval_samples:
            retrieval = self._retrieve(hidden, prefix, ids, mask, retrieval_samples, patch_size)
        words = self._classify_words(all_ids, all_mask, second) if with_words else None
        return MuxTrainingOutput(logits, *retrieval, words)

    def _classify_words(self, ids: Tensor, mask: Tensor, second: Tensor | None) -> Tensor:
        return self.head(self._read_words(ids, mask, second)).flatten(0, 1)
