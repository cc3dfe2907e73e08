"""MUX-BERT's fine-tuned classifiers and its masked language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config, backbone_config
from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.reference._common import IGNORED, ReferenceOutput, linear_multiplexer
from muxlearn.nn.reference._muxplm import MuxPLM
from muxlearn.nn.reference._muxplm_parts import ContextualMultiplexer, RetrievalRSADemultiplexer


class _MuxBert(MuxPLM):
    """Common base of the models; `MuxBertSequenceClassifier` describes the parameters."""

    _family = "MUX-BERT"
    _backbone_name = "bert."
    _head_names = ("classifier.",)
    _retrieval_rsa = RetrievalRSADemultiplexer
    duplicates: ClassVar[Mapping[str, str]] = {
        **MuxPLM.duplicates,
        "retrieval_head.decoder.weight": "bert.embeddings.word_embeddings.weight",
    }
    # Whether the prefix takes the place of tokens at the end.
    _keeps_length: ClassVar[bool] = False

    def __init__(
        self,
        config: Config,
        n_mux: int,
        demultiplexer: str,
        multiplexer: str,
        n_demux_layers: int,
        n_classes: int | None,
        legacy_mask: bool = True,
    ) -> None:
        from transformers import BertConfig, BertModel

        if multiplexer == "contextual" and demultiplexer == "index" and not self._keeps_length:
            raise ValueError(
                "the contextual multiplexer's mask knows no prefix: the reference has it in "
                "classifiers with the demultiplexer 'index_pos' only, not with 'index'"
            )
        bert = backbone_config(BertConfig, config)
        backbone = BertModel(bert, add_pooling_layer=False)
        decoder = nn.Linear(bert.hidden_size, bert.vocab_size)
        decoder.weight = backbone.embeddings.word_embeddings.weight
        mixing: Multiplexer
        if multiplexer == "contextual":
            mixing = ContextualMultiplexer(bert, n_mux, not self.per_token, legacy_mask)
        else:
            mixing = linear_multiplexer(config, n_mux, bert.hidden_size, multiplexer == "matrix")
        super().__init__(
            config, n_mux, backbone, mixing, demultiplexer, n_demux_layers, n_classes, decoder
        )

    @classmethod
    def read_kinds(
        cls, given: Mapping[str, Tensor], n_classes: int | None = None
    ) -> dict[str, Any]:
        kinds = super().read_kinds(given, n_classes)
        if any(name.startswith("muxing_attention") for name in given):
            kinds["multiplexer"] = "contextual"
        return kinds

    def _mix(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        if isinstance(self.multiplexer, ContextualMultiplexer):
            return self.multiplexer(x, attention_mask.view(x.shape[:3]))
        return self.multiplexer(x)


class MuxBertSequenceClassifier(_MuxBert):
    """Classify the rows of mixtures as MUX-PLMs' `MuxedBertForSequenceClassification` does.

    With one class it is a regression. Token types are not asked for: the reference ignores them.
    Rows that fill no mixture are refused; the reference fills up with random rows.

    Parameters
    ----------
    config : Mapping
        BERT's configuration with the fields that the reference adds; those that say how it
        multiplexes are not read.
    n_mux : int
    demultiplexer : {"index", "index_pos"}
        ``"index_pos"`` is the paper's RSA demultiplexer.
    multiplexer : {"vector", "matrix", "contextual"}
        Whether a key is a vector (``gaussian_hadamard`` and ``binary_hadamard``) or a matrix
        (``random_ortho`` and ``random_ortho_low_rank``), or attention is added
        (``gaussian_attention_v2``), which takes no ``"index"``.
    n_demux_layers : int
        Hidden layers of the demultiplexer "index_pos", at least 2.
    n_classes : int
    legacy_mask : bool, default=True
        For the contextual multiplexer: whether a mask adds -10000 to a score, as when the
        released checkpoints were trained, and not the least number that there is.
    """


class MuxBertTokenClassifier(_MuxBert):
    """Classify the tokens of mixtures as MUX-PLMs' `MuxedBertForTokenClassification` does.

    The logits are those of the caller's tokens, whether labels are given or not; the reference
    leaves the prefix in without labels.

    Parameters
    ----------
    config : Mapping
        BERT's configuration with the fields that the reference adds.
    n_mux : int
    demultiplexer : {"index", "index_pos"}
    multiplexer : {"vector", "matrix", "contextual"}
    n_demux_layers : int
    n_classes : int
    legacy_mask : bool, default=True
    """

    per_token = True


class MuxBertMaskedLM(_MuxBert):
    """Predict masked tokens as MUX-PLMs' `MuxedBertForMaskedLM` does.

    Parameters
    ----------
    config : Mapping
        BERT's configuration with the fields that the reference adds.
    n_mux : int
    demultiplexer : {"index", "index_pos"}
        ``"index"`` puts its prefix in the place of the last `n_mux` + 1 tokens.
    multiplexer : {"vector", "matrix", "contextual"}
    n_demux_layers : int
    n_classes : None, default=None
        The words are the classes.
    legacy_mask : bool, default=True
    """

    per_token = True
    _keeps_length = True

    @classmethod
    def _count_classes(cls, given: Mapping[str, Tensor]) -> None:
        return None

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        retrieval_slots: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> ReferenceOutput:
        """Predict the tokens that have labels.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, n_tokens)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`. Not modified.
        labels : Tensor of int, shape of `input_ids`
            The tokens; -100 where there is nothing to predict. Required, for they say what is.
        retrieval_slots : Tensor of int, shape (n_mixtures, n_tokens), default=None
            The slot whose token is to be recovered at each position. Drawn at random by default.
        attention_mask : Tensor of int, shape of `input_ids`, default=None
            0 at padding; None stands for no padding.
        token_type_ids : Tensor of int, shape of `input_ids`, default=None
            0 by default.

        Returns
        -------
        ReferenceOutput
            `logits` has the shape (n_rows, n_tokens, vocab_size), 0 where nothing is predicted;
            `demuxed` holds the n_predicted others only, (n_predicted, hidden_size). Both see the
            prefix. Without a weight of the retrieval loss there is none.
        """
        if labels is None:
            raise ValueError("labels is None; a masked language model predicts where it has labels")
        ids, hidden = self._encode(input_ids, attention_mask, token_type_ids)
        n_kept = labels.shape[1] - self.n_prefix
        targets = F.pad(labels[:, :n_kept], (self.n_prefix, 0), value=IGNORED)
        chosen = targets != IGNORED
        recovered = self.retrieval_demultiplexer(self._for_slots(hidden), hidden[:, : self.n_mux])
        demuxed = recovered.flatten(0, 1)[chosen]
        words = self.retrieval_head(demuxed)
        logits = words.new_zeros(*chosen.shape, words.shape[-1]).index_put((chosen,), words)
        task = self._task_loss(logits, targets)
        loss = self.task_loss_coeff * task
        if not self.retrieval_loss_coeff > 0:
            return ReferenceOutput(logits, demuxed, loss, task, task_targets=targets)
        recovery = self._recover(ids, hidden, retrieval_slots)
        loss = loss + self.retrieval_loss_coeff * recovery.loss
        return ReferenceOutput(
            logits, demuxed, loss, task, recovery.loss, recovery.logits, targets, recovery.targets
        )

    def _mark(self, ids: Tensor) -> Tensor:
        if ids.shape[2] <= self.n_prefix:
            raise ValueError(
                f"rows of {ids.shape[2]} tokens are too short: the prefix takes the place of "
                f"their last {self.n_prefix}"
            )
        return super()._mark(ids)[:, :, : ids.shape[2]]

    def _skips(self, targets: Tensor) -> Tensor:
        # Padding and masks are recovered too, and all positions are asked for.
        return torch.zeros_like(targets, dtype=torch.bool)
