"""MUX-ELECTRA's fine-tuned classifiers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config, backbone_config, count_layers, require_axes
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.reference._common import ReferenceModel, index_demultiplexer, linear_multiplexer
from muxlearn.nn.reference._muxbert_parts import (
    RSALayers,
    RSAReader,
    TaskRSADemultiplexer,
)
from muxlearn.nn.reference.muxbert import INDEX_NAMES, RSA_NAMES


class _RetrievalReader(RSAReader):
    """Read the slots for the recovery of tokens: all shared layers, with skips."""

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:
        z = self.layers.pair(h)
        for name, dense in self.layers.dense.items():
            y = self.layers.norm[name](F.gelu(dense(z)))
            z = y if name == "1" else y + z
        return self.norm(F.gelu(self.dense(z))) + z


class _MuxElectra(ReferenceModel):
    """Common base of the models; `MuxElectraSequenceClassifier` describes the parameters."""

    _filler_id = 680
    _slot_id = 678
    _summary_id = 101
    _backbone_name = "electra."
    # A pre-trained discriminator's head goes as well, where a new one takes its place.
    _head_names = ("classifier.", "discriminator_predictions.")
    duplicates: ClassVar[Mapping[str, str]] = {
        "demultiplexer.demux_module.": "demux_module.",
        "retrieval_head.demux_module.": "demux_module.",
        "retrieval_head.bias": "retrieval_head.decoder.bias",
    }

    def __init__(
        self,
        config: Config,
        n_mux: int,
        demultiplexer: str,
        multiplexer: str,
        n_demux_layers: int,
        n_classes: int,
    ) -> None:
        from transformers import ElectraConfig, ElectraModel

        electra = backbone_config(ElectraConfig, config)
        width, eps = electra.hidden_size, electra.layer_norm_eps
        readers: tuple[Demultiplexer, Demultiplexer]
        if demultiplexer == "index":
            readers = (
                index_demultiplexer(n_mux, width, eps),
                index_demultiplexer(n_mux, width, eps),
            )
        else:
            layers = RSALayers(n_mux, width, n_demux_layers, eps)
            readers = (
                TaskRSADemultiplexer(layers, eps, electra.hidden_dropout_prob),
                _RetrievalReader(layers, eps),
            )
        super().__init__(
            config,
            n_mux,
            ElectraModel(electra),
            electra.max_position_embeddings,
            linear_multiplexer(config, n_mux, electra.embedding_size, multiplexer == "matrix"),
            readers[0],
            readers[1],
            self._make_head(electra, n_classes),
            nn.Linear(width, electra.vocab_size),
            loss_coeffs=(1.0, 0.0),
        )

    @classmethod
    def read_kinds(
        cls, given: Mapping[str, Tensor], n_classes: int | None = None
    ) -> dict[str, Any]:
        (keys,) = require_axes(given, "MUX-ELECTRA model", {"instance_embedding": (2, 3)})
        rsa = any(name.startswith("demux_module.") for name in given)
        return {
            "n_mux": len(keys),
            "demultiplexer": "index_pos" if rsa else "index",
            "multiplexer": "matrix" if keys.ndim == 3 else "vector",
            "n_demux_layers": count_layers(given, "demux_module.dense_{}.weight", 1),
            "n_classes": n_classes or cls._count_classes(given),
        }

    @classmethod
    def _count_classes(cls, given: Mapping[str, Tensor]) -> int:
        level, name = "sequence", "classifier.out_proj.weight"
        if cls.per_token:
            level, name = "token", "classifier.weight"
        (out,) = require_axes(given, f"MUX-ELECTRA {level} classifier", {name: (2,)})
        return len(out)

    def _names(self) -> dict[str, str]:
        names = INDEX_NAMES if self.demultiplexer.uses_prefix else RSA_NAMES
        if self.per_token:
            return names
        return names | {"head.dense.": "classifier.dense.", "head.out.": "classifier.out_proj."}

    @staticmethod
    def _make_head(config: Any, n_classes: int) -> nn.Module:
        raise NotImplementedError

    def _mark(self, ids: Tensor) -> Tensor:
        # Nothing takes the place of a row's first token.
        return super()._mark(ids) if self.demultiplexer.uses_prefix else ids


class MuxElectraSequenceClassifier(_MuxElectra):
    """Classify the rows of mixtures as MUX-PLMs' `MuxedElectraForSequenceClassification` does.

    With one class it is a regression. Token types are not asked for: the reference ignores them.

    Parameters
    ----------
    config : Mapping
        ELECTRA's configuration with the fields that the reference adds; those that say how it
        multiplexes are not read.
    n_mux : int
    demultiplexer : {"index", "index_pos"}
        ``"index_pos"`` is the paper's RSA demultiplexer.
    multiplexer : {"vector", "matrix"}
        Whether a key is a vector, as wide as the embeddings, or a matrix.
    n_demux_layers : int
        Hidden layers of the demultiplexer "index_pos", at least 2.
    n_classes : int
    """

    @staticmethod
    def _make_head(config: Any, n_classes: int) -> nn.Module:
        width, dropout = config.hidden_size, config.hidden_dropout_prob
        return nn.Sequential(
            OrderedDict(
                before=nn.Dropout(dropout),
                dense=nn.Linear(width, width),
                gelu=nn.GELU(),
                dropout=nn.Dropout(dropout),
                out=nn.Linear(width, n_classes),
            )
        )

    @property
    def _first_target(self) -> int:
        return max(self.n_prefix, 1)

    def _task_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.shape[-1] == 1:
            return F.mse_loss(logits.squeeze(-1), targets)
        return super()._task_loss(logits, targets)


class MuxElectraTokenClassifier(_MuxElectra):
    """Classify the tokens of mixtures as MUX-PLMs' `MuxedElectraForTokenClassification` does.

    The logits are those of the caller's tokens, whether labels are given or not.

    Parameters
    ----------
    config : Mapping
        ELECTRA's configuration with the fields that the reference adds.
    n_mux : int
    demultiplexer : {"index", "index_pos"}
    multiplexer : {"vector", "matrix"}
    n_demux_layers : int
    n_classes : int
    """

    per_token = True

    @staticmethod
    def _make_head(config: Any, n_classes: int) -> nn.Module:
        dropout = nn.Dropout(config.hidden_dropout_prob)
        return nn.Sequential(
            OrderedDict(dropout=dropout, out=nn.Linear(config.hidden_size, n_classes))
        )
