"""DataMUX's classifiers on RoBERTa."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config, backbone_config, require_axes
from muxlearn.nn.demultiplex import Demultiplexer, MLPDemultiplexer
from muxlearn.nn.heads import ClassificationHead
from muxlearn.nn.reference._common import (
    IGNORED,
    ReferenceModel,
    index_demultiplexer,
    linear_multiplexer,
)

_COMMON_NAMES = {
    "multiplexer.keys": "instance_embedding",
    "head.dense.": "demultiplexer.dense_before_out_proj.",
    "head.norm.": "demultiplexer.layernorm_presoftmax.",
    "head.out.": "demultiplexer.out_proj.",
}
_INDEX_NAMES = _COMMON_NAMES | {
    "head.": "demultiplexer.decoder.",
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


class _DataMux(ReferenceModel):
    """Common base of both classifiers, which describe the parameters."""

    # Ordinary words of RoBERTa's vocabulary that the reference gives a second meaning.
    _filler_id = 50000
    _summary_id = 49923
    _backbone_name = "roberta."
    _head_names = (
        "demultiplexer.decoder.",
        "demultiplexer.dense_before_out_proj.",
        "demultiplexer.layernorm_presoftmax.",
        "demultiplexer.out_proj.",
    )
    duplicates: ClassVar[Mapping[str, str]] = {
        "retrieval_head.bias": "retrieval_head.decoder.bias",
        "demultiplexer.bias": "demultiplexer.decoder.bias",
    }

    def __init__(
        self, config: Config, n_mux: int, n_classes: int, demultiplexer: str, orthogonal: bool
    ) -> None:
        from transformers import RobertaConfig, RobertaModel

        # A file without layer_norm_eps means 1e-12, the default of RobertaConfig.
        roberta = backbone_config(RobertaConfig, config)
        width, eps, vocab_size = roberta.hidden_size, roberta.layer_norm_eps, roberta.vocab_size
        backbone = RobertaModel(roberta, add_pooling_layer=False)
        head: nn.Module
        retrieval_head: nn.Module
        if demultiplexer == "mlp":
            head = _NormedHead(width, n_classes, eps)
            retrieval_head = _NormedHead(width, vocab_size, eps)
        else:
            head = self._make_index_head(width, n_classes)
            retrieval_head = nn.Linear(width, vocab_size)
        super().__init__(
            config,
            n_mux,
            backbone,
            # Positions count from the padding's on.
            roberta.max_position_embeddings - backbone.embeddings.padding_idx - 1,
            linear_multiplexer(config, n_mux, width, orthogonal),
            _demultiplexer(demultiplexer, n_mux, width, eps),
            _demultiplexer(demultiplexer, n_mux, width, eps),
            head,
            retrieval_head,
            loss_coeffs=(0.9, 0.1),
            dropout=roberta.hidden_dropout_prob if demultiplexer == "mlp" else 0.0,
        )
        self._slot_id = vocab_size - 2
        if vocab_size <= self._filler_id:  # as far from the end as in RoBERTa's vocabulary
            self._filler_id, self._summary_id = vocab_size - 265, vocab_size - 342

    @staticmethod
    def _make_index_head(width: int, n_classes: int) -> nn.Module:
        raise NotImplementedError

    @classmethod
    def read_kinds(
        cls, given: Mapping[str, Tensor], n_classes: int | None = None
    ) -> dict[str, Any]:
        mlp = any(name.startswith("demultiplexer.demux_module.") for name in given)
        decodes = cls.per_token and not mlp
        out_name = "demultiplexer.decoder.weight" if decodes else "demultiplexer.out_proj.weight"
        level = "token" if cls.per_token else "sequence"
        axes = {"instance_embedding": (2, 3)} | ({out_name: (2,)} if n_classes is None else {})
        keys, *out = require_axes(given, f"DataMUX {level} classifier", axes)
        return {
            "n_mux": len(keys),
            "n_classes": n_classes or len(out[0]),
            "demultiplexer": "mlp" if mlp else "index",
            "orthogonal": keys.ndim == 3,
        }

    def _names(self) -> dict[str, str]:
        return _INDEX_NAMES if self.demultiplexer.uses_prefix else _MLP_NAMES


class ReferenceSequenceClassifier(_DataMux):
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

    @staticmethod
    def _make_index_head(width: int, n_classes: int) -> nn.Module:
        return ClassificationHead(width, n_classes, dropout=0.0)

    @property
    def _first_target(self) -> int:
        return self._n_marks


class ReferenceTokenClassifier(_DataMux):
    """Classify the tokens of mixtures as DataMUX's `RobertaTokenClassificationMuxed` does.

    The logits are those of the caller's tokens, whether labels are given or not; the reference
    leaves the prefix in without labels. Without an attention mask all tokens whose label is not
    -100 are trained on; the reference gives no loss at all.

    Parameters
    ----------
    config : Mapping
        RoBERTa's configuration with the fields that the reference adds.
    n_mux : int
    n_classes : int
    demultiplexer : {"index", "mlp"}
    orthogonal : bool
        Whether a key is a matrix and not a vector.
    """

    per_token = True

    @staticmethod
    def _make_index_head(width: int, n_classes: int) -> nn.Module:
        return nn.Linear(width, n_classes)

    def _task_targets(self, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        if attention_mask is None:
            return labels
        return labels.masked_fill(attention_mask != 1, IGNORED)


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
    return index_demultiplexer(n_mux, width, eps)
