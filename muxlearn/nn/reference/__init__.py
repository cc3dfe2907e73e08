"""The authors' own arithmetic, so that checkpoints of their code give the authors' numbers.

Sources: the repositories of "DataMUX: Data Multiplexing for Neural Networks" (Murahari et al.,
NeurIPS 2022) and of "MUX-PLMs" (Murahari et al., Findings of EMNLP 2023). Both differ from
`muxlearn.nn.text` on purpose: no padding mask reaches the backbone, whose embedding layer runs
twice, and a sentence is read off one position and not off a mean.
"""

from muxlearn.nn._loading import rename_duplicates, with_sizes
from muxlearn.nn.reference._common import ReferenceModel, ReferenceOutput
from muxlearn.nn.reference._fresh import DATAMUX_CONFIG as DATAMUX_CONFIG
from muxlearn.nn.reference._fresh import draw_keys as draw_keys
from muxlearn.nn.reference._fresh import fresh_datamux as fresh_datamux
from muxlearn.nn.reference._fresh import to_state_dict as to_state_dict
from muxlearn.nn.reference._muxplm_parts import ContextualMultiplexer
from muxlearn.nn.reference.datamux import ReferenceSequenceClassifier, ReferenceTokenClassifier
from muxlearn.nn.reference.muxbert import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
)
from muxlearn.nn.reference.muxelectra import (
    MuxElectraSequenceClassifier,
    MuxElectraTokenClassifier,
)

__all__ = [
    "ContextualMultiplexer",
    "MuxBertMaskedLM",
    "MuxBertSequenceClassifier",
    "MuxBertTokenClassifier",
    "MuxElectraSequenceClassifier",
    "MuxElectraTokenClassifier",
    "ReferenceModel",
    "ReferenceOutput",
    "ReferenceSequenceClassifier",
    "ReferenceTokenClassifier",
    "rename_duplicates",
    "with_sizes",
]
