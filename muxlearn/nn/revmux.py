"""RevMUX: reversible adapters that mix rows inside a frozen encoder.

Y. Xu, X. Guo, Z. Zeng, C. Miao, "RevMUX: Data Multiplexing with Reversible Adapters for Efficient
LLM Batch Inference", EMNLP 2024.
"""

from __future__ import annotations

import copy
import math
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.cut import FrozenEncoder
from muxlearn.nn.heads import ClassificationHead
from muxlearn.nn.links import average_answers
from muxlearn.nn.losses import contrastive_logits
from muxlearn.nn.module import MuxModule
from muxlearn.nn.patches import pool_rows

__all__ = [
    "ADAPTERS",
    "AdapterMultiplexer",
    "Coupling",
    "RevMuxClassifier",
    "RevMuxTrainingOutput",
    "ReversibleMultiplexer",
    "info_nce_loss",
]


#: The method, and the baselines of its paper.
ADAPTERS = ("reversible", "ora", "adapter")


def power_of_two(number: int) -> int:
    """Return the largest power of two up to a number."""
    return 1 << (int(number).bit_length() - 1)


class RevMuxTrainingOutput(NamedTuple):
    """The output of a pass for training.

    Attributes
    ----------
    logits : Tensor of shape (n_rows, n_classes)
    vectors : Tensor of shape (n_mixtures * n_mux, hidden_size)
        Unfolded vector of each slot.
    alone : Tensor of shape (n_rows, hidden_size)
        The frozen encoder's vector of each row alone.
    rows : Tensor of int, shape (n_mixtures * n_mux,)
        The row that stands in each slot.
    """

    logits: Tensor
    vectors: Tensor
    alone: Tensor
    rows: Tensor


def info_nce_loss(vectors: Tensor, alone: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Cross entropy of finding each vector's own row among all rows of a batch, by the cosine.

    Parameters
    ----------
    vectors : Tensor of shape (n_vectors, hidden_size)
    alone : Tensor of shape (n_rows, hidden_size)
    rows : Tensor of int, shape (n_vectors,)
        The row that each vector belongs to.
    temperature : float
        Divisor of the cosines.

    Returns
    -------
    Tensor of shape ()
    """
    return F.cross_entropy(contrastive_logits(vectors, alone, temperature), rows)


class _PairMLPs(nn.Module):
    """Two layers with a ReLU between them, of each pair its own."""

    def __init__(self, n_pairs: int, width: int, inner_size: int) -> None:
        super().__init__()
        self.weight_in = _uniform(n_pairs, width, inner_size, fan_in=width)
        self.bias_in = _uniform(n_pairs, 1, inner_size, fan_in=width)
        self.weight_out = _uniform(n_pairs, inner_size, width, fan_in=inner_size)
        self.bias_out = _uniform(n_pairs, 1, width, fan_in=inner_size)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(torch.einsum("bplw,pwi->bpli", x, self.weight_in) + self.bias_in)
        return torch.einsum("bpli,piw->bplw", x, self.weight_out) + self.bias_out


class _SlotMLPs(_PairMLPs):
    """The same for each slot of (n_mixtures, n_mux, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, None]).squeeze(2)


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


class Coupling(nn.Module):
    """Mix two streams so that they can be told apart again, whatever `f` and `g` compute.

    ``a' = a + f(b)`` and ``b' = b + g(a')``; backwards ``b = b' - g(a')`` and ``a = a' - f(b)``
    (RevMUX, the figure of the reversible multiplexer). The functions are networks of two layers,
    without dropout, which would draw anew on the way back.

    Parameters
    ----------
    n_pairs : int
        Pairs of streams, each with functions of its own.
    width : int
        Width of a stream.
    inner_size : int
        Units of the hidden layer.
    """

    def __init__(self, n_pairs: int, width: int, inner_size: int) -> None:
        super().__init__()
        self.f = _PairMLPs(n_pairs, width, inner_size)
        self.g = _PairMLPs(n_pairs, width, inner_size)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Mix.

        Parameters
        ----------
        a, b : Tensor of shape (n_mixtures, n_pairs, length, width)

        Returns
        -------
        tuple of two Tensor of the same shape
        """
        a = a + self.f(b)
        return a, b + self.g(a)

    def reverse(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`."""
        b = b - self.g(a)
        return a - self.f(b), b


class ReversibleMultiplexer(nn.Module):
    """Fold `n_mux` rows into vectors of the size of one, in a way that can be undone.

    Each row is projected to a stream of ``hidden_size / n_mux``. Streams are coupled pair by pair,
    as in a butterfly: first neighbours, then those two places apart, and so on, so that every
    stream has met every other one after ``log2(n_mux)`` levels. Side by side they make up the
    mixture. For two rows this is the multiplexer of the paper; for more, the authors' code has a
    chain, whose demultiplexer does not undo it.

    The paper projects all slots by one matrix, drawn at random. Here each slot has its own, and
    starts by keeping its own stretch of the coordinates where they are: the layers that read the
    mixture are frozen, and find in it what they know.

    Parameters
    ----------
    n_mux : int
        Number of slots, a power of two from 2 that divides `hidden_size`.
    hidden_size : int
    """

    def __init__(self, n_mux: int, hidden_size: int) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.width = hidden_size // n_mux
        # (n_mux, hidden_size, width): slot i keeps its stretch of the coordinates
        stretches = torch.eye(hidden_size).view(hidden_size, n_mux, self.width).transpose(0, 1)
        self.down = nn.Parameter(stretches.contiguous())
        n_levels = n_mux.bit_length() - 1
        self.couplings = nn.ModuleList(
            Coupling(n_mux // 2, self.width, hidden_size) for _ in range(n_levels)
        )

    def project(self, x: Tensor) -> Tensor:
        """Bring the rows in all slots to the width of a stream.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_mux, length, hidden_size)

        Returns
        -------
        Tensor of shape (n_mixtures, n_mux, length, width)
        """
        return torch.einsum("bnlh,nhw->bnlw", x, self.down)

    def forward(self, streams: Tensor) -> Tensor:
        """Mix.

        Parameters
        ----------
        streams : Tensor of shape (n_mixtures, n_mux, length, width)

        Returns
        -------
        Tensor of shape (n_mixtures, length, hidden_size)
        """
        for level, coupling in enumerate(self.couplings):
            streams = _join(coupling(*_split(streams, level)), level)
        return streams.transpose(1, 2).flatten(2)

    def reverse(self, mixed: Tensor) -> Tensor:
        """Undo `forward`.

        Parameters
        ----------
        mixed : Tensor of shape (n_mixtures, length, hidden_size)

        Returns
        -------
        Tensor of shape (n_mixtures, n_mux, length, width)
        """
        streams = mixed.unflatten(2, (self.n_mux, self.width)).transpose(1, 2)
        for level in reversed(range(len(self.couplings))):
            coupling = cast(Coupling, self.couplings[level])
            streams = _join(coupling.reverse(*_split(streams, level)), level)
        return streams


class AdapterMultiplexer(nn.Module):
    """Fold rows by a plain adapter, which nothing undoes: the baseline "adapter" of RevMUX.

    Every row goes through one matrix. All rows of a position, side by side, go through two layers
    that bring them to the size of one.

    Parameters
    ----------
    n_mux : int
    hidden_size : int
    dropout : float
    """

    def __init__(self, n_mux: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.mapping = nn.Linear(hidden_size, hidden_size)
        self.fold = nn.Sequential(
            nn.Linear(n_mux * hidden_size, 3 * hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(3 * hidden_size, hidden_size),
        )

    def project(self, x: Tensor) -> Tensor:
        """Map the rows in all slots, (n_mixtures, n_mux, length, hidden_size)."""
        return self.mapping(x)

    def forward(self, streams: Tensor) -> Tensor:
        """Mix rows from `project` into (n_mixtures, length, hidden_size)."""
        return self.fold(streams.transpose(1, 2).flatten(2))


def _split(streams: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """Take streams apart into the first and the second of all pairs, ``2 ** level`` apart."""
    first, second = streams.unflatten(1, (-1, 2, 2**level)).unbind(2)
    return first.flatten(1, 2), second.flatten(1, 2)


def _join(pairs: tuple[Tensor, Tensor], level: int) -> Tensor:
    """Undo `_split`."""
    return torch.stack([part.unflatten(1, (-1, 2**level)) for part in pairs], 2).flatten(1, 3)


class RevMuxClassifier(MuxModule):
    """Classify the rows of mixtures with an encoder that is not trained.

    Embeddings and the first layers run on every row ("prefilling"), the layers above once for a
    mixture. Each slot's mean over the positions of its own tokens is unfolded by the multiplexer
    run backwards, projected up to the width of the encoder, and classified.

    Parameters
    ----------
    encoder : FrozenEncoder
    n_mux : int
        Number of slots, a power of two that divides the encoder's width. 1 is the frozen encoder
        with a head.
    n_classes : int
    dropout : float, default=0.1
        Dropout in the projection and in the head.
    adapters : {"reversible", "ora", "adapter"}, default="reversible"
        The method, or a baseline of its paper. "ora": the multiplexer is reversible, and each slot
        is read by a network of its own. "adapter": in addition nothing of the multiplexer can be
        undone (`AdapterMultiplexer`).

    Raises
    ------
    ValueError
        For a number of slots that is not allowed.
    """

    kept_elsewhere: ClassVar[tuple[str, ...]] = ("encoder.",)

    def __init__(
        self,
        encoder: FrozenEncoder,
        n_mux: int,
        n_classes: int,
        dropout: float = 0.1,
        adapters: str = "reversible",
    ) -> None:
        super().__init__()
        if adapters not in ADAPTERS:
            raise ValueError(f"adapters={adapters!r} is not one of {ADAPTERS}")
        hidden_size = encoder.hidden_size
        if n_mux < 1 or n_mux & (n_mux - 1) or hidden_size % n_mux:
            raise ValueError(
                f"n_mux={n_mux} must be a power of two that divides hidden_size={hidden_size}"
            )
        self.n_mux = n_mux
        self.encoder = encoder
        self.head = ClassificationHead(hidden_size, n_classes, dropout)
        self.adapters = adapters
        if n_mux == 1:
            return
        self.multiplexer: ReversibleMultiplexer | AdapterMultiplexer
        self.up: nn.Module
        if adapters == "adapter":
            self.multiplexer = AdapterMultiplexer(n_mux, hidden_size, dropout)
        else:
            self.multiplexer = ReversibleMultiplexer(n_mux, hidden_size)
        if adapters != "reversible":
            self.up = _SlotMLPs(n_mux, hidden_size, 3 * hidden_size)
        else:
            assert isinstance(self.multiplexer, ReversibleMultiplexer)
            self.up = nn.Sequential(
                nn.Linear(self.multiplexer.width, 3 * hidden_size),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(3 * hidden_size, 3 * hidden_size),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(3 * hidden_size, hidden_size),
            )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        n_mux: int | None = None,
        contrast: bool = False,
    ) -> Tensor | RevMuxTrainingOutput:
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
        contrast : bool, default=False
            Whether to return what `info_nce_loss` needs too.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes) or RevMuxTrainingOutput
            The rows' logits, in order.
        """
        n_places = self._places(len(input_ids), n_mux)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = mask.bool()
        hidden = self.encoder.read(input_ids, mask)
        if self.n_mux == 1:
            return self.head(self._alone(hidden, mask))
        # A row is read once, in however many slots it stands.
        place_of_slot = torch.arange(self.n_mux, device=mask.device) % n_places
        in_slots = mask.unflatten(0, (-1, n_places))[:, place_of_slot]
        rows = hidden.unflatten(0, (-1, n_places))[:, place_of_slot]
        vectors = self.up(self._unfold(self._mix(rows, in_slots), in_slots))
        logits = average_answers(self.head(vectors), n_places, self.link).flatten(0, 1)
        if not contrast:
            return logits
        numbers = torch.arange(len(mask), device=mask.device).view(-1, n_places)[:, place_of_slot]
        alone = self._alone(hidden, mask)
        return RevMuxTrainingOutput(logits, vectors.flatten(0, 1), alone, numbers.flatten())

    def _mix(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Mix and encode: (n_mixtures, n_mux, length, hidden) to (n_mixtures, length, hidden)."""
        # What the layers below make of padding is of no meaning, and differs with its length.
        streams = self.multiplexer.project(rows) * mask[..., None]
        return self.encoder.encode(self.multiplexer(streams), mask.any(1))

    def _unfold(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return what `up` reads of each slot: (n_mixtures, n_mux, width)."""
        pooled = pool_rows(hidden, mask)  # (n_mixtures, n_mux, hidden), a slot's own
        if self.adapters != "reversible":
            return pooled
        assert isinstance(self.multiplexer, ReversibleMultiplexer)
        return self.multiplexer.reverse(pooled).diagonal(dim1=1, dim2=2).transpose(1, 2)

    def _alone(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Encode rows on, without company, and pool: (n_rows, hidden_size)."""
        encoded = self.encoder.encode(hidden, mask)
        return pool_rows(encoded, mask[:, None]).squeeze(1)

    def round_n_mux(self, n_mux: int) -> int:
        """Return the power of two nearest below a number of rows, which are mixed in pairs."""
        return power_of_two(n_mux)

    def for_inference(self, dtype: torch.dtype | None = None) -> RevMuxClassifier:
        """Return a copy that predicts only, in `dtype`.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        RevMuxClassifier
            In `eval` mode; shares no memory with this model.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        return model if dtype is None else model.to(dtype)
