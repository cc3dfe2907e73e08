"""The common base of MUX-PLMs' models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config, count_layers, require_axes
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.reference._common import ReferenceModel, index_demultiplexer
from muxlearn.nn.reference._muxplm_parts import RSALayers, RSAReader, TaskRSADemultiplexer

_COMMON_NAMES = {
    "multiplexer.keys": "instance_embedding",
    "multiplexer.within_rows.layer.0.": "muxing_attention.",
    "multiplexer.across_slots.layer.0.": "muxing_attention_2.",
    "head.out.": "classifier.",
    "retrieval_head.": "retrieval_head.decoder.",
}
_INDEX_NAMES = _COMMON_NAMES | {
    "demultiplexer.dense.": "demultiplexer.dense.",
    "demultiplexer.norm.": "demultiplexer.layer_norm.",
    "retrieval_demultiplexer.dense.": "retrieval_head.dense.",
    "retrieval_demultiplexer.norm.": "retrieval_head.layer_norm.",
}
_RSA_NAMES = _COMMON_NAMES | {
    "demultiplexer.layers.keys": "demux_module.demux_instance_embedding",
    "demultiplexer.layers.dense.": "demux_module.dense_",
    "demultiplexer.layers.norm.": "demux_module.layer_norm_",
    "demultiplexer.dense.": "demultiplexer.pre_decoder.",
    "demultiplexer.norm.": "demultiplexer.pre_decoder_layer_norm.",
    "retrieval_demultiplexer.dense.": "retrieval_head.pre_decoder.",
    "retrieval_demultiplexer.norm.": "retrieval_head.pre_decoder_layer_norm.",
}


class MuxPLM(ReferenceModel):
    """Base class of MUX-BERT and MUX-ELECTRA.

    Parameters
    ----------
    config : Mapping
        The checkpoint's.
    n_mux : int
    backbone : PreTrainedModel
        BERT or ELECTRA without a pooler.
    multiplexer : Multiplexer
    demultiplexer : {"index", "index_pos"}
    n_demux_layers : int
        Hidden layers of the demultiplexer "index_pos".
    n_classes : int or None
        None stands for no head.
    retrieval_head : Module
    """

    _filler_id = 680
    _slot_id = 678
    _summary_id = 101
    #: Name of the family in errors.
    _family: ClassVar[str]
    #: Name of the tensor with a row for each class.
    _classes_name: ClassVar[str] = "classifier.weight"
    #: The demultiplexer "index_pos" of the retrieval.
    _retrieval_rsa: ClassVar[type[RSAReader]]
    duplicates: ClassVar[Mapping[str, str]] = {
        "demultiplexer.demux_module.": "demux_module.",
        "retrieval_head.demux_module.": "demux_module.",
        "retrieval_head.bias": "retrieval_head.decoder.bias",
    }

    def __init__(
        self,
        config: Config,
        n_mux: int,
        backbone: Any,
        multiplexer: Multiplexer,
        demultiplexer: str,
        n_demux_layers: int,
        n_classes: int | None,
        retrieval_head: nn.Module,
    ) -> None:
        super().__init__(
            config,
            n_mux,
            backbone,
            backbone.config.max_position_embeddings,
            multiplexer,
            *self._make_demultiplexers(demultiplexer, backbone.config, n_mux, n_demux_layers),
            nn.Identity() if n_classes is None else self._make_head(backbone.config, n_classes),
            retrieval_head,
            loss_coeffs=(1.0, 0.0),
        )

    @classmethod
    def _make_demultiplexers(
        cls, kind: str, config: Any, n_mux: int, n_layers: int
    ) -> tuple[Demultiplexer, Demultiplexer]:
        """Return those of the task and of the retrieval."""
        width, eps = config.hidden_size, config.layer_norm_eps
        if kind == "index":
            return index_demultiplexer(n_mux, width, eps), index_demultiplexer(n_mux, width, eps)
        layers = RSALayers(n_mux, width, n_layers, eps)
        return (
            TaskRSADemultiplexer(layers, eps, config.hidden_dropout_prob),
            cls._retrieval_rsa(layers, eps),
        )

    @staticmethod
    def _make_head(config: Any, n_classes: int) -> nn.Module:
        dropout = nn.Dropout(config.hidden_dropout_prob)
        out = nn.Linear(config.hidden_size, n_classes)
        return nn.Sequential(OrderedDict(dropout=dropout, out=out))

    @classmethod
    def read_kinds(
        cls, given: Mapping[str, Tensor], n_classes: int | None = None
    ) -> dict[str, Any]:
        (keys,) = require_axes(given, f"{cls._family} model", {"instance_embedding": (2, 3)})
        rsa = any(name.startswith("demux_module.") for name in given)
        return {
            "n_mux": len(keys),
            "demultiplexer": "index_pos" if rsa else "index",
            "multiplexer": "matrix" if keys.ndim == 3 else "vector",
            "n_demux_layers": count_layers(given, "demux_module.dense_{}.weight", 1),
            "n_classes": n_classes or cls._count_classes(given),
        }

    @classmethod
    def _count_classes(cls, given: Mapping[str, Tensor]) -> int | None:
        kind = f"{cls._family} {'token' if cls.per_token else 'sequence'} classifier"
        (out,) = require_axes(given, kind, {cls._classes_name: (2,)})
        return len(out)

    def _names(self) -> dict[str, str]:
        return _INDEX_NAMES if self.demultiplexer.uses_prefix else _RSA_NAMES

    def _task_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not self.per_token and logits.shape[-1] == 1:  # a regression
            return F.mse_loss(logits.squeeze(-1), targets)
        return super()._task_loss(logits, targets)
