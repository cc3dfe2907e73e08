"""Common parts of the reference models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import (
    Config,
    copy_tensors,
    rename_duplicates,
    rename_parameters,
    with_sizes,
)
from muxlearn.nn.demultiplex import Demultiplexer, IndexDemultiplexer
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import HadamardMultiplexer, Multiplexer, OrthogonalMultiplexer

_Model = TypeVar("_Model", bound="ReferenceModel")

#: What a loss does not count.
IGNORED = -100


class ReferenceOutput(NamedTuple):
    """The output of a pass; all but the first two are None without labels.

    Attributes
    ----------
    logits : Tensor of shape (n_rows, n_classes) or (n_rows, n_tokens, n_classes)
    demuxed : Tensor of shape (n_rows, hidden_size) or (n_rows, n_tokens, hidden_size)
        Vectors that the logits are computed from.
    loss : Tensor of shape ()
        The weighted sum of the next two.
    task_loss, retrieval_loss : Tensor of shape ()
    retrieval_logits : Tensor of shape (n_mixtures, length, vocab_size)
        `length` counts the prefix.
    task_targets : Tensor, shape of the labels
        Targets of the task's loss; -100 is not counted.
    retrieval_targets : Tensor of int, shape (n_mixtures, length)
        The same of the retrieval loss.
    """

    logits: Tensor
    demuxed: Tensor
    loss: Tensor | None = None
    task_loss: Tensor | None = None
    retrieval_loss: Tensor | None = None
    retrieval_logits: Tensor | None = None
    task_targets: Tensor | None = None
    retrieval_targets: Tensor | None = None


class ReferenceModel(nn.Module):
    """Base class: mix, run the backbone, demultiplex, classify, recover tokens.

    Parameters
    ----------
    config : Mapping
        The checkpoint's; the weights of the losses and the shares to recover are read.
    n_mux : int
    backbone : PreTrainedModel
        BERT or RoBERTa without a pooler.
    max_length : int
        Positions of the backbone that can be used, the prefix counted.
    multiplexer : Multiplexer
    demultiplexer, retrieval_demultiplexer : Demultiplexer
        For the task and for the recovery of tokens.
    head, retrieval_head : Module
        From demultiplexed vectors to classes and to words.
    loss_coeffs : tuple of two float
        Weights of the task and of the retrieval, where `config` has none.
    dropout : float, default=0.0
        On what the task's demultiplexer reads.
    """

    #: Whether every token is classified and not every row.
    per_token: ClassVar[bool] = False
    _filler_id: int
    _summary_id: int
    # Of the first slot's token in the prefix; the next slots' count down.
    _slot_id: int
    _backbone_name: ClassVar[str]
    # What the names of the tensors that give the logits begin with, in any model of the family.
    _head_names: ClassVar[tuple[str, ...]]
    #: Beginnings of names of tensors that a checkpoint may hold twice, and the name that is kept.
    duplicates: ClassVar[Mapping[str, str]]

    def __init__(
        self,
        config: Config,
        n_mux: int,
        backbone: Any,
        max_length: int,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        retrieval_demultiplexer: Demultiplexer,
        head: nn.Module,
        retrieval_head: nn.Module,
        loss_coeffs: tuple[float, float],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.task_loss_coeff: float = config.get("task_loss_coeff", loss_coeffs[0])
        self.retrieval_loss_coeff: float = config.get("retrieval_loss_coeff", loss_coeffs[1])
        self.retrieval_percentage: float = config.get("retrieval_percentage", 1.0)
        self.backbone = backbone
        self.pad_id: int = backbone.embeddings.word_embeddings.padding_idx
        self.max_length = max_length
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.retrieval_demultiplexer = retrieval_demultiplexer
        self.head = head
        self.retrieval_head = retrieval_head
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_state_dict(
        cls: type[_Model],
        config: Config,
        state_dict: Mapping[str, Tensor],
        n_classes: int | None = None,
        **options: Any,
    ) -> _Model:
        """Build the model that a checkpoint of the reference holds, or one that starts from it.

        The number of slots, the kinds of multiplexer and demultiplexer and all sizes but the
        number of attention heads are read from the tensors; `config` gives the rest.

        Parameters
        ----------
        config : Mapping
            The checkpoint's ``config.json``.
        state_dict : Mapping of str to Tensor
            Under the reference's names. Not modified.
        n_classes : int, default=None
            Classes of a new head, drawn at random; the checkpoint may be of another model of the
            family then. None takes the checkpoint's head.
        **options
            Further arguments of the class, such as `legacy_mask` of MUX-BERT.

        Returns
        -------
        ReferenceModel
            An instance of this class in `eval` mode.

        Raises
        ------
        ValueError
            If the tensors are those of another model; lists them.
        """
        given, problems = rename_duplicates(state_dict, cls.duplicates)
        kinds = cls.read_kinds(given, n_classes)
        model = cls(with_sizes(config, given, cls._backbone_name), **kinds, **options)
        what = f"a model of {model.n_mux} slots (instance_embedding)"
        expected = model.published_tensors()
        if n_classes is not None:
            for tensors in (expected, given):
                for name in [name for name in tensors if name.startswith(cls._head_names)]:
                    del tensors[name]
        copy_tensors(expected, given, problems, what)
        if isinstance(model.multiplexer, HadamardMultiplexer):
            # The reference divides by n_mux here and by its root for matrices; we by the root.
            model.multiplexer.keys.data.div_(math.sqrt(model.n_mux))
        return model.eval()

    def published_tensors(self) -> dict[str, Tensor]:
        """Return the tensors under the reference's names; they share memory with the model's."""
        return rename_parameters(self, self._names() | {"backbone.": self._backbone_name})

    @classmethod
    def read_kinds(
        cls, given: Mapping[str, Tensor], n_classes: int | None = None
    ) -> dict[str, Any]:
        """Read the arguments of the class, but `config`, off the tensors.

        Parameters
        ----------
        given : Mapping of str to Tensor
            The tensors of a checkpoint, each once.
        n_classes : int, default=None
            Classes of a new head; None reads them off the tensors.

        Returns
        -------
        dict
        """
        raise NotImplementedError

    def _names(self) -> dict[str, str]:
        """Return the argument of `rename_parameters`."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        retrieval_slots: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> ReferenceOutput:
        """Classify.

        Padding is read like any token: a prediction depends on how far its row is padded.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, n_tokens)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`. Not modified.
        labels : Tensor, shape (n_mixtures * n_mux,) or (n_mixtures * n_mux, n_tokens), default=None
            Labels of rows or, in a token classifier, of tokens, where -100 is not counted. With
            labels, the losses are returned.
        retrieval_slots : Tensor of int, shape (n_mixtures, length), default=None
            The slot whose token is to be recovered at each position, the prefix counted. Drawn
            at random by default.
        attention_mask : Tensor of int, shape of `input_ids`, default=None
            0 at padding; None stands for no padding. Read by the contextual multiplexer and, to
            choose the tokens that DataMUX's token classifier is trained on, by its loss; nothing
            else asks for it.

        Returns
        -------
        ReferenceOutput
        """
        ids, hidden = self._encode(input_ids, attention_mask)
        demuxed = self.unfold(hidden, self._read_positions)
        if not self.per_token:
            demuxed = demuxed.squeeze(1)
        logits = self.head(demuxed)
        if labels is None:
            return ReferenceOutput(logits, demuxed)
        targets = self._task_targets(labels, attention_mask)
        task = self._task_loss(logits, targets)
        # NaN, and so the sum at any weight, if no position is left to recover; as the reference.
        recovery = self._recover(ids, hidden, retrieval_slots)
        loss = self.task_loss_coeff * task + self.retrieval_loss_coeff * recovery.loss
        return ReferenceOutput(
            logits, demuxed, loss, task, recovery.loss, recovery.logits, targets, recovery.targets
        )

    @property
    def n_prefix(self) -> int:
        """Positions in front of the rows' tokens."""
        return self.n_mux + 1 if self.demultiplexer.uses_prefix else 0

    @property
    def _n_marks(self) -> int:
        """Positions at the start that hold no token of a row; the last of them is classified."""
        return max(self.n_prefix, 1)

    @property
    def _read_positions(self) -> slice:
        """The positions that are classified."""
        first = self.n_prefix if self.per_token else self._n_marks - 1
        return slice(first, None if self.per_token else first + 1)

    def _encode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mix and run the backbone.

        Returns
        -------
        ids : Tensor of int, shape (n_mixtures, n_mux, length)
            With the marks.
        hidden : Tensor of shape (n_mixtures, length, hidden_size)
        """
        n_rows, n_tokens = input_ids.shape
        if n_rows % self.n_mux:
            raise ValueError(
                f"{n_rows} rows cannot be divided into mixtures of n_mux={self.n_mux} rows"
            )
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        elif attention_mask.shape != input_ids.shape:
            raise ValueError(
                f"attention_mask has the shape {tuple(attention_mask.shape)}; it needs that of "
                f"input_ids, {tuple(input_ids.shape)}"
            )
        ids = self._mark(input_ids.view(-1, self.n_mux, n_tokens))
        if ids.shape[2] > self.max_length:
            raise ValueError(
                f"{ids.shape[2]} positions, the prefix counted, exceed the backbone's "
                f"{self.max_length}"
            )
        x = self.backbone.embeddings(input_ids=ids.flatten(0, 1), token_type_ids=token_type_ids)
        mixed = self._mix(x.unflatten(0, ids.shape[:2]), attention_mask)
        # The embedding layer runs again, on the mixture: positions and LayerNorm count twice.
        return ids, self.backbone(inputs_embeds=mixed).last_hidden_state

    def _mark(self, ids: Tensor) -> Tensor:
        """Put a prefix in front of (n_mixtures, n_mux, n_tokens) or replace the first token."""
        marks = ids.new_full((self.n_mux, self._n_marks), self._filler_id)
        marks[:, -1] = self._summary_id
        if self.demultiplexer.uses_prefix:
            slots = torch.arange(self.n_mux, device=ids.device)
            marks[slots, slots] = self._slot_id - slots
        else:
            ids = ids[:, :, 1:]
        return torch.cat([marks.expand(len(ids), -1, -1), ids], 2)

    def _mix(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return self.multiplexer(x)

    def unfold(self, hidden: Tensor, positions: slice) -> Tensor:
        """Demultiplex some positions for all rows.

        Parameters
        ----------
        hidden : Tensor of shape (n_mixtures, length, hidden_size)
            Output of the backbone.
        positions : slice
            The positions to demultiplex, of `length`, which counts the prefix.

        Returns
        -------
        Tensor of shape (n_rows, n_positions, hidden_size)
        """
        read = self.dropout(self._for_slots(hidden[:, positions]))
        return self.demultiplexer(read, hidden[:, : self.n_mux]).flatten(0, 1)

    def _for_slots(self, h: Tensor) -> Tensor:
        """Repeat (n_mixtures, n_positions, hidden_size) for each slot."""
        return h[:, None].expand(-1, self.n_mux, -1, -1)

    def _task_targets(self, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        return labels

    def _task_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)

    def _recover(self, ids: Tensor, hidden: Tensor, slots: Tensor | None) -> _Recovery:
        """Recover one slot's token at each position."""
        if slots is None:
            slots = torch.randint_like(ids[:, 0], self.n_mux)
        recovered = self.retrieval_demultiplexer(self._for_slots(hidden), hidden[:, : self.n_mux])
        index = slots[:, None, :, None].expand(-1, 1, -1, hidden.shape[-1])
        logits = self.retrieval_head(recovered.gather(1, index).squeeze(1))
        targets = ids.gather(1, slots[:, None]).squeeze(1)  # (n_mixtures, length)
        targets = targets.masked_fill(self._skips(targets), IGNORED)
        targets[:, : self._first_target] = IGNORED
        return _Recovery(logits, targets, retrieval_loss(logits, targets))

    @property
    def _first_target(self) -> int:
        """The first position whose token is to be recovered."""
        return self.n_prefix

    def _skips(self, targets: Tensor) -> Tensor:
        """Say which tokens are not to be recovered."""
        left_out = torch.rand(targets.shape, device=targets.device) >= self.retrieval_percentage
        return left_out | (targets == self.pad_id)


class _Recovery(NamedTuple):
    logits: Tensor
    targets: Tensor
    loss: Tensor


def linear_multiplexer(config: Config, n_mux: int, width: int, orthogonal: bool) -> Multiplexer:
    """Return the multiplexer of matrices or of vectors; the binary one has other vectors only."""
    multiplexer = OrthogonalMultiplexer if orthogonal else HadamardMultiplexer
    return multiplexer(n_mux, width, learn_keys=bool(config.get("learn_muxing", False)))


def index_demultiplexer(n_mux: int, width: int, eps: float) -> IndexDemultiplexer:
    """Return the demultiplexer that reads a prefix, with `eps` in its LayerNorm."""
    demultiplexer = IndexDemultiplexer(n_mux, width)
    demultiplexer.norm.eps = eps
    return demultiplexer
