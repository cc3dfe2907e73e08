"""A model that embeds the rows of a mixture as a teacher embeds each of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from muxlearn.nn.alignment import Alignment
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.lexical import LexicalMean
from muxlearn.nn.multiplex import Multiplexer, mean_over_slots
from muxlearn.nn.text import MuxTextModule
from muxlearn.points import WORDS, Point

__all__ = ["EmbeddingParts", "EmbeddingTrainingOutput", "MuxSequenceEmbedder"]

Self = TypeVar("Self", bound="MuxSequenceEmbedder")

#: Tokens of a single row in a position from which its vector can still be read without the help of
#: its words, which bypass the encoder.
_CLEAR = 2


class EmbeddingParts(NamedTuple):
    """The parts of an output that a training asks for beside the rows' vectors.

    Attributes
    ----------
    token_samples, retrieval_samples : int, default=0
        How many tokens of each mixture are embedded, and recovered, at least one for each row if
        not 0.
    words : bool, default=False
        Whether to return what the words alone answer as well.
    positions : Tensor of int, shape (n_mixtures, n_mux, n_each), default=None
        The tokens of each row whose demultiplexed vectors to return.
    """

    token_samples: int = 0
    retrieval_samples: int = 0
    words: bool = False
    positions: Tensor | None = None


class EmbeddingTrainingOutput(NamedTuple):
    """The output of a pass for distillation.

    Attributes
    ----------
    rows : Tensor of shape (n_mixtures * n_mux, teacher_size)
        The rows' vectors, not brought to length 1.
    mixed_rows : Tensor of the same shape
        The same without what the lexical path adds.
    tokens : (Tensor, Tensor) or None
        Vectors of some tokens, (n_mixtures, n_reads, n_each, teacher_size), and where each of
        them stands in its row, (n_mixtures, n_reads, n_each).
    retrieval : (Tensor, Tensor) or None
        Logits and targets of the retrieval task.
    words : Tensor, shape of `rows`, or None
        The rows' vectors by their words alone.
    read : Tensor of shape (n_mixtures, n_reads, n_each, hidden_size) or None
        The demultiplexed vectors of the tokens that were asked for.
    """

    rows: Tensor
    mixed_rows: Tensor
    tokens: tuple[Tensor, Tensor] | None
    retrieval: tuple[Tensor, Tensor] | None
    words: Tensor | None = None
    read: Tensor | None = None


class MuxSequenceEmbedder(MuxTextModule):
    """Embed the rows of mixtures; what a warm-up by distillation trains.

    Parameters
    ----------
    encoder : CompactEncoder or PretrainedEncoder
    multiplexer : Multiplexer
    demultiplexer : Demultiplexer
        As wide as the encoder's output.
    teacher_size : int
        Size of the teacher's vectors.
    lexical_path : bool, default=True
        Whether a `LexicalMean` of a row's own tokens is added to its demultiplexed vector.
    patch_sizes : sequence of int, default=(1,)
        How many neighbouring tokens of a row may share a position; a pass that is not told takes
        the first.
    words : bool, default=False
        Whether the lexical path shall also answer alone.

    Attributes
    ----------
    alignments : torch.nn.ModuleDict of Alignment
        By the names of the operating points whose vectors they correct; empty at first.
    """

    optional: ClassVar[tuple[str, ...]] = ("retrieval", "token_head", "lexical_mean")

    def __init__(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        teacher_size: int,
        lexical_path: bool = True,
        patch_sizes: Sequence[int] = (1,),
        words: bool = False,
    ) -> None:
        head = nn.Linear(encoder.hidden_size, teacher_size)
        super().__init__(encoder, multiplexer, demultiplexer, head, patch_sizes)
        self.answers_by_words = words
        #: Says whether a token was replaced; there in a training for that alone.
        self.replacement_head: nn.Linear | None = None
        self.token_head: nn.Linear | None = nn.Linear(encoder.hidden_size, teacher_size)
        if lexical_path:
            self.lexical_mean = LexicalMean(
                encoder.embedding.num_embeddings, encoder.embedding_size, encoder.hidden_size
            )
        self.alignments = nn.ModuleDict()

    def add_alignments(self, names: Iterable[str]) -> None:
        """Add an `Alignment`, which corrects nothing yet, for each of some operating points.

        It reads the vectors of the words alone as well, if the words were trained to answer alone.

        Parameters
        ----------
        names : iterable of str
            Names of points, with one row in a mixture or as many as the capacity. The latter are
            used for all numbers of rows but 1.
        """
        for name in names:
            with_words = self.answers_by_words and name != str(WORDS)
            self.alignments[name] = Alignment(self.vector_size, with_words)

    @property
    def vector_size(self) -> int:
        """Size of the vectors that a row and its tokens get."""
        return cast(nn.Linear, self.head).out_features

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        n_mux: int | None = None,
        patch_size: int | None = None,
        parts: EmbeddingParts | None = None,
    ) -> Tensor | EmbeddingTrainingOutput:
        """Embed.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, length)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        attention_mask : Tensor, shape of `input_ids`, default=None
            0 or False at padding.
        n_mux : int, default=None
            Rows in a mixture, at most the capacity, which None stands for.
        patch_size : int, default=None
            Tokens of a row in a position; None stands for the first of `patch_sizes`. 0: the row's
            words alone answer, with no pass of the encoder.
        parts : EmbeddingParts, default=None
            For training: what to return beside the rows' vectors. None returns these alone.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, teacher_size) or EmbeddingTrainingOutput
            The rows' vectors, or with `parts` what a loss needs.
        """
        ids, mask = self._in_mixtures(input_ids, attention_mask, n_mux)
        if patch_size == WORDS.patch_size:
            rows = self._embed_words(ids, mask)
            if parts is None:
                return self._align(rows, WORDS, ids, mask)
            return EmbeddingTrainingOutput(rows, rows, None, None)
        patch_size, n_places = self._patch_size(patch_size), ids.shape[1]
        hidden, prefix = self.encode(ids, mask, patch_size, dense=attention_mask is None)
        mixed = self._read_rows(hidden, prefix, mask, patch_size)
        # The encoder alone says more of a single row than with what its words say added.
        clear = self.demultiplexer.passes_alone and n_places == 1 and patch_size <= _CLEAR
        read = mixed
        if parts is not None or not clear:
            read = self._add_lexical(mixed, ids, mask, patch_size)
        rows = mean_over_slots(self.head(read), n_places, dim=1).flatten(0, 1)
        if parts is None:
            point = Point(1 if n_places == 1 else self.n_mux, patch_size)
            return self._align(rows, point, ids, mask)
        mixed = mean_over_slots(self.head(mixed), n_places, dim=1).flatten(0, 1)
        tokens = retrieval = None
        if n_samples := parts.token_samples:
            assert self.token_head is not None
            vectors, sampled = self._read_samples(hidden, prefix, mask, n_samples, patch_size)
            tokens = self.token_head(vectors), sampled
        if n_samples := parts.retrieval_samples:
            retrieval = self._retrieve(hidden, prefix, ids, mask, n_samples, patch_size)
        words = self._embed_words(ids, mask) if parts.words else None
        read_at = None
        if parts.positions is not None:
            own = parts.positions[:, self._place_of_read(mask)]
            read_at = self._read_at(hidden, prefix, own, patch_size)
        return EmbeddingTrainingOutput(rows, mixed, tokens, retrieval, words, read_at)

    def score_words(self, vectors: Tensor) -> Tensor:
        """Score every token of the vocabulary for vectors of tokens, (..., hidden_size)."""
        assert self.retrieval is not None
        return self.retrieval(vectors, self.encoder.embedding.weight)

    def for_inference(self: Self, dtype: torch.dtype | None = None) -> Self:
        """Return a copy that predicts only; see `MuxTextModule.for_inference`."""
        model = super().for_inference(dtype)
        model.token_head = None
        return model

    def _align(self, rows: Tensor, point: Point, ids: Tensor, mask: Tensor) -> Tensor:
        if str(point) not in self.alignments:
            return rows
        alignment = cast(Alignment, self.alignments[str(point)])
        return alignment(rows, self._embed_words(ids, mask) if alignment.with_words else None)

    def _embed_words(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self._read_words(ids, mask)).flatten(0, 1)
