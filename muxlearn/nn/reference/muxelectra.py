"""MUX-ELECTRA's fine-tuned classifiers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config, backbone_config
from muxlearn.nn.reference._common import linear_multiplexer
from muxlearn.nn.reference._muxplm import MuxPLM
from muxlearn.nn.reference._muxplm_parts import RSAReader


class _RetrievalReader(RSAReader):
    """Read the slots for the recovery of tokens: all shared layers, with skips."""

    def forward(self, h: Tensor, prefix: Tensor | None = None) -> Tensor:
        z = self.layers.pair(h)
        for name, dense in self.layers.dense.items():
            y = self.layers.norm[name](F.gelu(dense(z)))
            z = y if name == "1" else y + z
        return self.norm(F.gelu(self.dense(z))) + z


class _MuxElectra(MuxPLM):
    """Common base of the models; `MuxElectraSequenceClassifier` describes the parameters."""

    _family = "MUX-ELECTRA"
    _backbone_name = "electra."
    # A pre-trained discriminator's head goes as well, where a new one takes its place.
    _head_names = ("classifier.", "discriminator_predictions.")
    _retrieval_rsa = _RetrievalReader

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
        mixing = linear_multiplexer(config, n_mux, electra.embedding_size, multiplexer == "matrix")
        decoder = nn.Linear(electra.hidden_size, electra.vocab_size)
        super().__init__(
            config,
            n_mux,
            ElectraModel(electra),
            mixing,
            demultiplexer,
            n_demux_layers,
            n_classes,
            decoder,
        )

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

    _classes_name = "classifier.out_proj.weight"

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

    def _names(self) -> dict[str, str]:
        names = {"head.dense.": "classifier.dense.", "head.out.": "classifier.out_proj."}
        return super()._names() | names

    @property
    def _first_target(self) -> int:
        return max(self.n_prefix, 1)


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
