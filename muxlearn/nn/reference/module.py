"""Models of the reference behind the interface that the estimators know."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import Config
from muxlearn.nn.links import average_answers
from muxlearn.nn.module import MuxModule
from muxlearn.nn.reference._common import ReferenceModel
from muxlearn.nn.reference.datamux import ReferenceSequenceClassifier, ReferenceTokenClassifier
from muxlearn.nn.reference.muxbert import MuxBertSequenceClassifier, MuxBertTokenClassifier
from muxlearn.nn.reference.muxelectra import (
    MuxElectraSequenceClassifier,
    MuxElectraTokenClassifier,
)
from muxlearn.nn.text import MuxTrainingOutput

__all__ = ["CLASSIFIERS", "ReferenceTextModule"]

#: The classifiers by the name that a saved model has for them.
CLASSIFIERS: dict[str, type[ReferenceModel]] = {
    model_class.__name__: model_class
    for model_class in (
        ReferenceSequenceClassifier,
        ReferenceTokenClassifier,
        MuxBertSequenceClassifier,
        MuxBertTokenClassifier,
        MuxElectraSequenceClassifier,
        MuxElectraTokenClassifier,
    )
}

# Elements of the row vectors that are held at a time in a prediction.
_CHUNK_ELEMENTS = 2**26


class ReferenceTextModule(MuxModule):
    """Classify rows, or tag their tokens, with the reference's arithmetic.

    What the reference does otherwise than `MuxTextModule` stays behind this module: no mask
    reaches the backbone, marks stand in front of the rows or in place of their first token, and
    a mixture always has `n_mux` rows. Since padding is read like any token, every row is padded
    to one length, as by the authors' scripts; so a prediction does not depend on its batch, only
    on its mixture.

    Parameters
    ----------
    model : ReferenceModel
        One of `CLASSIFIERS`.
    config : Mapping
        The checkpoint's configuration, with the sizes of its tensors.
    kinds : Mapping
        The other arguments of the model's class.
    length : int
        Tokens that a row is padded to, a prefix not counted.
    """

    in_order = True

    def __init__(
        self, model: ReferenceModel, config: Config, kinds: Mapping[str, Any], length: int
    ) -> None:
        super().__init__()
        self.model = model
        self.n_mux = model.n_mux
        self.length = length
        self._config = dict(config)
        self._kinds = dict(kinds)

    @property
    def setting(self) -> dict[str, Any]:
        """All but the weights, as data: the argument of `from_setting`."""
        return {
            "model": type(self.model).__name__,
            "config": self._config,
            "kinds": self._kinds,
            "length": self.length,
        }

    @classmethod
    def from_setting(cls, setting: Mapping[str, Any]) -> ReferenceTextModule:
        """Build a module whose weights come later.

        Parameters
        ----------
        setting : Mapping
            Value of the property of that name.

        Returns
        -------
        ReferenceTextModule
        """
        config, kinds = setting["config"], setting["kinds"]
        return cls(CLASSIFIERS[setting["model"]](config, **kinds), config, kinds, setting["length"])

    @property
    def head(self) -> nn.Module:
        """The layers that answer."""
        return self.model.head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        tagged: Tensor | None = None,
        n_mux: int | None = None,
        retrieval_samples: int = 0,
    ) -> Tensor | MuxTrainingOutput:
        """Classify or tag.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, length)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        attention_mask : Tensor, shape of `input_ids`, default=None
            0 or False at padding.
        tagged : Tensor, shape of `input_ids`, default=None
            For a tagger: True at the tokens that want a tag; None stands for all but padding.
        n_mux : int, default=None
            Rows in a mixture, at most the capacity, which None stands for. Of fewer rows each
            fills several slots, and the probabilities that its slots give are averaged.
        retrieval_samples : int, default=0
            For training: how many tokens of each mixture the retrieval head recovers, at least
            one for each slot if not 0.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes) or (n_tagged, n_classes), or \
                MuxTrainingOutput
            The logits of the rows, or of the tagged tokens row by row; with `retrieval_samples`
            the retrieval task besides.
        """
        n_places = self._places(len(input_ids), n_mux)
        n_tokens = input_ids.shape[1]
        ids, mask = self._pad(input_ids, attention_mask)
        slots = torch.arange(self.n_mux, device=ids.device)
        starts = torch.arange(0, len(ids), n_places, device=ids.device)
        rows = (starts[:, None] + slots % n_places).flatten()
        marked, hidden = self._encode(ids[rows], mask[rows].long())
        logits = self._average(self._read(hidden, n_tokens), n_places)
        if self.model.per_token:
            logits = logits[(mask[:, :n_tokens] if tagged is None else tagged).bool()]
        else:
            logits = logits.squeeze(1)
        if not retrieval_samples:
            return logits
        lengths = mask[rows].sum(1).view(-1, self.n_mux, 1)
        return MuxTrainingOutput(
            logits, *self._retrieve(marked, hidden, lengths, retrieval_samples)
        )

    def _pad(self, ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pad rows to the model's length, with its own padding."""
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        missing = (0, max(0, self.length - ids.shape[1]))
        mask = F.pad(mask.bool(), missing, value=False)
        return F.pad(ids, missing).masked_fill(~mask, self.model.pad_id), mask

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode whole mixtures; few at a time where no gradient is asked for."""
        if torch.is_grad_enabled():
            return self.model._encode(ids, mask)
        mixture = self.n_mux * ids.shape[1] * self.model.multiplexer.width
        size = self.n_mux * max(1, _CHUNK_ELEMENTS // mixture)
        parts = zip(ids.split(size), mask.split(size), strict=True)
        marked, hidden = zip(*(self.model._encode(*part) for part in parts), strict=True)
        return torch.cat(marked), torch.cat(hidden)

    def _read(self, hidden: Tensor, n_tokens: int) -> Tensor:
        """Return logits: (n_mixtures, n_mux, n_tokens or 1, n_classes)."""
        positions = self.model._read_positions
        if self.model.per_token:
            positions = slice(positions.start, positions.start + n_tokens)
        logits = self.model.head(self.model.unfold(hidden, positions))
        return logits.unflatten(0, (-1, self.n_mux))

    def _average(self, logits: Tensor, n_places: int) -> Tensor:
        """Average the slots of each row: (n_rows, n_tokens or 1, n_classes)."""
        by_position = logits.transpose(1, 2)
        averaged = average_answers(by_position.flatten(0, 1), n_places, self.link)
        return averaged.unflatten(0, by_position.shape[:2]).transpose(1, 2).flatten(0, 1)

    def _retrieve(
        self, marked: Tensor, hidden: Tensor, lengths: Tensor, n_samples: int
    ) -> tuple[Tensor, Tensor]:
        """Recover tokens drawn from each slot's row."""
        n_each = max(1, round(n_samples / self.n_mux))
        drawn = torch.rand(*lengths.shape[:2], n_each, device=hidden.device)
        positions = self.model.n_prefix + (drawn * lengths).long()  # (n_mixtures, n_mux, n_each)
        mixtures = torch.arange(len(hidden), device=hidden.device)[:, None, None]
        recovered = self.model.retrieval_demultiplexer(
            hidden[mixtures, positions], hidden[:, : self.n_mux]
        )
        return self.model.retrieval_head(recovered), marked.gather(2, positions)

    def for_inference(self, dtype: torch.dtype | None = None) -> ReferenceTextModule:
        """Return a copy that predicts only: no retrieval head, in `dtype`.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        ReferenceTextModule
            In `eval` mode; shares no memory with this module.
        """
        module = copy.deepcopy(self).eval().requires_grad_(False)
        del module.model.retrieval_head, module.model.retrieval_demultiplexer
        return module if dtype is None else module.to(dtype)
