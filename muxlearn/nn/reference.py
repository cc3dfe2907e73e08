"""DataMUX's own arithmetic, so that checkpoints of the authors' code give the authors' numbers.

Source: the repository of "DataMUX: Data Multiplexing for Neural Networks" (Murahari et al.,
NeurIPS 2022). It differs from `muxlearn.nn.text` on purpose: no padding mask reaches the backbone,
the backbone's embedding layer runs twice, and one added position is read instead of a mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.demultiplex import Demultiplexer, IndexDemultiplexer, MLPDemultiplexer
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import HadamardMultiplexer, Multiplexer, OrthogonalMultiplexer
from muxlearn.nn.text import ClassificationHead

__all__ = ["ReferenceOutput", "ReferenceSequenceClassifier"]

# Ordinary words of RoBERTa's vocabulary that the reference gives a second meaning.
_FILLER_ID = 50000
_SUMMARY_ID = 49923

_Config = Mapping[str, Any]

# Beginnings of our names, the first that fits counts, and what the reference has in their place;
# {slot}: one tensor for each slot where ours stacks them.
_COMMON_NAMES = {
    "backbone.": "roberta.",
    "multiplexer.keys": "instance_embedding",
    "head.dense.": "demultiplexer.dense_before_out_proj.",
    "head.norm.": "demultiplexer.layernorm_presoftmax.",
    "head.out.": "demultiplexer.out_proj.",
}
_INDEX_NAMES = _COMMON_NAMES | {
    "demultiplexer.dense.": "demultiplexer.dense.",
    "demultiplexer.norm.": "demultiplexer.layer_norm.",
    "retrieval_demultiplexer.dense.": "retrieval_head.dense.",
    "retrieval_demultiplexer.norm.": "retrieval_head.layer_norm.",
    "retrieval_head.": "retrieval_head.decoder.",
}
_MLP_NAMES = _COMMON_NAMES | {
    "demultiplexer.norm_": "demultiplexer.demux_module.layer_norm_{slot}.",
    "demultiplexer.": "demultiplexer.demux_module.dense_{slot}.",
    "retrieval_demultiplexer.norm_": "retrieval_head.demux_module.layer_norm_{slot}.",
    "retrieval_demultiplexer.": "retrieval_head.demux_module.dense_{slot}.",
    "retrieval_head.dense.": "retrieval_head.dense_pre_vocab.",
    "retrieval_head.norm.": "retrieval_head.layer_norm_pre_vocab.",
    "retrieval_head.out.": "retrieval_head.decoder.",
}


class ReferenceOutput(NamedTuple):
    """What one pass gives; the last four are None without labels.

    Attributes
    ----------
    logits : Tensor of shape (n_rows, n_classes)
    demuxed : Tensor of shape (n_rows, hidden_size)
    loss : Tensor of shape ()
        The weighted sum of the next two.
    task_loss, retrieval_loss : Tensor of shape ()
    retrieval_logits : Tensor of shape (n_mixtures, length, vocab_size)
        `length` counts the prefix.
    """

    logits: Tensor
    demuxed: Tensor
    loss: Tensor | None = None
    task_loss: Tensor | None = None
    retrieval_loss: Tensor | None = None
    retrieval_logits: Tensor | None = None


class ReferenceSequenceClassifier(nn.Module):
    """Classify the rows of mixtures as DataMUX's `RobertaSequenceClassificationMuxed` does.

    Parameters
    ----------
    config : Mapping
        RoBERTa's configuration with the fields that the reference adds; those that say how it
        multiplexes are not read, for its scripts override them without changing the weights.
    n_mux : int
    n_classes : int
    demultiplexer : {"index", "mlp"}
    orthogonal : bool
        Whether a key is a matrix and not a vector.
    """

    def __init__(
        self, config: _Config, n_mux: int, n_classes: int, demultiplexer: str, orthogonal: bool
    ) -> None:
        super().__init__()
        from transformers import RobertaConfig, RobertaModel

        # A file without layer_norm_eps means 1e-12, the default of RobertaConfig.
        roberta = RobertaConfig.from_dict(dict(config))
        width, eps = roberta.hidden_size, roberta.layer_norm_eps
        self.n_mux = n_mux
        self.task_loss_coeff: float = config.get("task_loss_coeff", 0.9)
        self.retrieval_loss_coeff: float = config.get("retrieval_loss_coeff", 0.1)
        self.retrieval_percentage: float = config.get("retrieval_percentage", 1.0)
        self.backbone = RobertaModel(roberta, add_pooling_layer=False)
        self.pad_id: int = self.backbone.embeddings.padding_idx
        # Positions count from the padding's on.
        self.max_length = roberta.max_position_embeddings - self.pad_id - 1
        # The binary variant is the Hadamard one with other keys.
        multiplexer = OrthogonalMultiplexer if orthogonal else HadamardMultiplexer
        self.multiplexer: Multiplexer = multiplexer(
            n_mux, width, learn_keys=bool(config.get("learn_muxing", False))
        )
        self.demultiplexer = _demultiplexer(demultiplexer, n_mux, width, eps)
        self.retrieval_demultiplexer = _demultiplexer(demultiplexer, n_mux, width, eps)
        self.dropout = nn.Dropout(0.0)
        if demultiplexer == "mlp":
            self.dropout.p = roberta.hidden_dropout_prob
            self.head: nn.Module = _NormedHead(width, n_classes, eps)
            self.retrieval_head: nn.Module = _NormedHead(width, roberta.vocab_size, eps)
        else:
            self.head = ClassificationHead(width, n_classes, dropout=0.0)
            self.retrieval_head = nn.Linear(width, roberta.vocab_size)

    @classmethod
    def from_state_dict(
        cls, config: _Config, state_dict: Mapping[str, Tensor]
    ) -> ReferenceSequenceClassifier:
        """Build the model that a checkpoint of the reference holds.

        The number of slots, the kinds of multiplexer and demultiplexer and the number of classes
        are read from the tensors; `config` gives the rest.

        Parameters
        ----------
        config : Mapping
            The checkpoint's ``config.json``.
        state_dict : Mapping of str to Tensor
            Under the reference's names. Not modified.

        Returns
        -------
        ReferenceSequenceClassifier
            In `eval` mode.
        """
        given = {k: v for k, v in state_dict.items() if not k.endswith("embeddings.position_ids")}
        # The reference stores this tensor under two names; files without duplicates keep either.
        if (bias := given.pop("retrieval_head.bias", None)) is not None:
            given.setdefault("retrieval_head.decoder.bias", bias)
        keys, out = (given.get(k) for k in ("instance_embedding", "demultiplexer.out_proj.weight"))
        if keys is None or keys.ndim not in (2, 3) or out is None or out.ndim != 2:
            raise ValueError(
                "not a DataMUX sequence classifier, which holds instance_embedding, of 2 or 3 "
                "axes, and demultiplexer.out_proj.weight, of 2; their shapes here: "
                f"{_show_shape(keys)} and {_show_shape(out)}"
            )
        mlp = any(name.startswith("demultiplexer.demux_module.") for name in given)
        kind = "mlp" if mlp else "index"
        model = cls(config, len(keys), len(out), kind, keys.ndim == 3)
        model._load(given)
        return model.eval()

    @torch.no_grad()
    def _load(self, given: Mapping[str, Tensor]) -> None:
        expected = self._reference_tensors()
        problems = [f"missing: {name}" for name in expected if name not in given]
        problems += [f"unexpected: {name}" for name in given if name not in expected]
        problems += [
            f"mis-shaped: {name} is {_show_shape(given[name])}, not {_show_shape(tensor)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ]
        if problems:
            raise ValueError(
                f"the tensors do not fit a model of {self.n_mux} slots (instance_embedding):\n  "
                + "\n  ".join(problems)
            )
        for name, tensor in expected.items():
            tensor.copy_(given[name])
        if isinstance(self.multiplexer, HadamardMultiplexer):
            # The reference divides by n_mux here and by its root for matrices; we by the root.
            self.multiplexer.keys.div_(math.sqrt(self.n_mux))

    def _reference_tensors(self) -> dict[str, Tensor]:
        """Return views of the parameters under the reference's names."""
        names = _INDEX_NAMES if self.demultiplexer.uses_prefix else _MLP_NAMES
        tensors = {}
        for ours, parameter in self.named_parameters():
            start = next(start for start in names if ours.startswith(start))
            theirs = names[start] + ours.removeprefix(start)
            if "{slot}" in theirs:
                tensors.update({theirs.format(slot=i): view for i, view in enumerate(parameter)})
            else:
                tensors[theirs] = parameter
        return tensors

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        retrieval_slots: Tensor | None = None,
    ) -> ReferenceOutput:
        """Classify.

        Padding is read like any token: a row's prediction depends on how far it is padded.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, n_tokens)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        labels : Tensor of int, shape (n_mixtures * n_mux,), default=None
            Ask for the losses.
        retrieval_slots : Tensor of int, shape (n_mixtures, length), default=None
            The slot whose token is to be recovered at each position, the prefix counted. Drawn
            at random by default.

        Returns
        -------
        ReferenceOutput
        """
        n_rows, n_tokens = input_ids.shape
        if n_rows % self.n_mux:
            raise ValueError(
                f"{n_rows} rows cannot be divided into mixtures of n_mux={self.n_mux} rows"
            )
        ids = self._mark(input_ids.view(-1, self.n_mux, n_tokens))
        if ids.shape[2] > self.max_length:
            raise ValueError(
                f"{ids.shape[2]} positions, the prefix counted, exceed the backbone's "
                f"{self.max_length}"
            )
        x = self.backbone.embeddings(input_ids=ids.flatten(0, 1)).unflatten(0, ids.shape[:2])
        # The embedding layer runs again, on the mixture: positions and LayerNorm count twice.
        hidden = self.backbone(inputs_embeds=self.multiplexer(x)).last_hidden_state
        summary = self._for_slots(hidden[:, self._n_marks - 1 : self._n_marks])
        demuxed = self.demultiplexer(self.dropout(summary), hidden[:, : self.n_mux])
        demuxed = demuxed.flatten(0, 2)  # (n_rows, hidden_size)
        logits = self.head(demuxed)
        if labels is None:
            return ReferenceOutput(logits, demuxed)
        if retrieval_slots is None:
            retrieval_slots = torch.randint_like(ids[:, 0], self.n_mux)
        task = F.cross_entropy(logits, labels)
        retrieval_logits = self._retrieve(hidden, retrieval_slots)
        # NaN, and so the sum at any weight, if no position is left to recover; as the reference.
        retrieval = retrieval_loss(retrieval_logits, self._targets(ids, retrieval_slots))
        loss = self.task_loss_coeff * task + self.retrieval_loss_coeff * retrieval
        return ReferenceOutput(logits, demuxed, loss, task, retrieval, retrieval_logits)

    @property
    def _n_marks(self) -> int:
        """Positions at the start that hold no token of a row; the last of them is classified."""
        return self.n_mux + 1 if self.demultiplexer.uses_prefix else 1

    def _mark(self, ids: Tensor) -> Tensor:
        """Put a prefix in front of (n_mixtures, n_mux, n_tokens) or replace the first token."""
        marks = ids.new_full((self.n_mux, self._n_marks), _FILLER_ID)
        marks[:, -1] = _SUMMARY_ID
        if self.demultiplexer.uses_prefix:
            slots = torch.arange(self.n_mux, device=ids.device)
            marks[slots, slots] = self.backbone.config.vocab_size - 2 - slots
        else:
            ids = ids[:, :, 1:]
        return torch.cat([marks.expand(len(ids), -1, -1), ids], 2)

    def _for_slots(self, h: Tensor) -> Tensor:
        """Repeat (n_mixtures, n_positions, hidden_size) for each slot."""
        return h[:, None].expand(-1, self.n_mux, -1, -1)

    def _retrieve(self, hidden: Tensor, slots: Tensor) -> Tensor:
        """Score the vocabulary at all positions: (n_mixtures, length, vocab_size)."""
        recovered = self.retrieval_demultiplexer(self._for_slots(hidden), hidden[:, : self.n_mux])
        index = slots[:, None, :, None].expand(-1, 1, -1, hidden.shape[-1])
        return self.retrieval_head(recovered.gather(1, index).squeeze(1))

    def _targets(self, ids: Tensor, slots: Tensor) -> Tensor:
        targets = ids.gather(1, slots[:, None]).squeeze(1)  # (n_mixtures, length)
        skipped = torch.rand(targets.shape, device=ids.device) >= self.retrieval_percentage
        skipped |= targets == self.pad_id
        skipped[:, : self._n_marks] = True
        return targets.masked_fill(skipped, -100)


class _NormedHead(ClassificationHead):
    """DataMUX's classification head with a LayerNorm before the last layer."""

    def __init__(self, hidden_size: int, n_classes: int, eps: float) -> None:
        super().__init__(hidden_size, n_classes, dropout=0.0)
        self.norm = nn.LayerNorm(hidden_size, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(F.gelu(self.dense(x))))


def _demultiplexer(kind: str, n_mux: int, width: int, eps: float) -> Demultiplexer:
    if kind == "mlp":
        return MLPDemultiplexer(n_mux, width, layer_norm_eps=eps)
    demultiplexer = IndexDemultiplexer(n_mux, width)
    demultiplexer.norm.eps = eps
    return demultiplexer


def _show_shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))
