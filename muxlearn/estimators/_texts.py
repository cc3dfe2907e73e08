"""Backbone, tokenizer and reader of the estimators that read texts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn.architectures import Built
from muxlearn.backbones import BackboneChoice, Corpus, is_pretrainer
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._kinds import Kind
from muxlearn.nn.demultiplex import DEMULTIPLEXERS
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import MULTIPLEXERS, NESTED
from muxlearn.points import OperatingPoints
from muxlearn.rows import Reader, TextReader, TokenizerReader
from muxlearn.tasks import ClassesTask, Task

__all__ = [
    "TEXT_CONSTRAINTS",
    "TextKind",
    "backbone_of",
    "tokenizer",
    "warm_up_history",
]

TEXT_CONSTRAINTS: dict[str, Constraint] = {
    **MuxEstimator._constraints,
    "n_mux": OneOf(Choice("auto"), Integer(1)),
    "patch_size": OneOf(Choice("auto"), Integer(1)),
    "operating_points": OneOf(None, OperatingPoints()),
    "multiplexer": Choice("auto", *MULTIPLEXERS, NESTED),
    "demultiplexer": Choice("auto", *DEMULTIPLEXERS, NESTED),
    "backbone": BackboneChoice(),
    "max_length": Integer(4, 2**31 - 1),
    "dropout": Number(0, 1, open_high=True),
    "warm_up": OneOf(None, Choice("auto"), Integer(0)),
}

_STRUCTURE = ("n_mux", "patch_size", "multiplexer", "demultiplexer", "max_length", "dropout")


class TextKind(Kind):
    """The kind of an estimator that reads texts; see `Kind`."""

    structure_names: ClassVar[tuple[str, ...]] = _STRUCTURE
    memory_advice = (
        "lower `batch_size` (mixtures in a batch), `max_length` or, in training, "
        "`retrieval_samples`"
    )

    def wrap(self, estimator: Any, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of a module: of single texts, no pairs."""
        return TextReader(tokenizer, pairs=False)

    def as_texts(self, rows: Iterable[Any]) -> Iterable[Any]:
        """Return rows as the texts that a tokenizer is trained on."""
        return iter(rows)

    def published_task(self, estimator: Any, classes: Any) -> Task:
        """Return the task of a published model with these classes."""
        return ClassesTask(classes)

    def mark(self, tags: Tags) -> None:
        """Say in an estimator's tags that it reads texts."""
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False

    def starts_from_scratch(self, estimator: Any) -> bool:
        """Return whether the backbone was never trained."""
        return bool(backbone_of(estimator).from_scratch)

    def structure(self, estimator: Any) -> dict[str, Any]:
        """Return the backbone and its parameters by their path."""
        backbone, given = backbone_of(estimator), estimator.backbone
        if isinstance(given, str | os.PathLike | None) and backbone.from_scratch is False:
            return {"backbone": given}
        if is_pretrainer(given):
            # A folder cannot hold the object, and has no need to.
            return {"backbone": "a MuxTextPretrainer"}
        nested = {f"backbone__{name}": value for name, value in backbone.structure().items()}
        return {"backbone": backbone.name, **nested}

    def build(self, estimator: Any, rows: Any, n_outputs: int, unlabeled: Any = None) -> Built:
        """Build tokenizer and module for checked rows, and for more of them without labels."""
        corpus = Corpus(rows, unlabeled, self.as_texts)
        built = estimator._make_architecture().build(estimator._setting(), corpus, n_outputs)
        return built._replace(reader=self.reader_around(estimator, built.reader, built.module))

    def reader_around(self, estimator: Any, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of the backbone."""
        reader = self.wrap(estimator, tokenizer, module)
        if backbone_of(estimator).packaged and isinstance(reader, TokenizerReader):
            return replace(reader, english=True)
        return reader


def backbone_of(estimator: Any) -> Any:
    """Return the backbone that an estimator's parameter stands for."""
    return estimator._make_architecture().backbone(estimator.backbone)


def tokenizer(self: Any) -> Any:
    """The tokenizer."""  # noqa: D401
    check_is_fitted(self)
    return getattr(self._reader, "tokenizer", self._reader)


def warm_up_history(self: Any) -> Any:
    """Losses and retrieval accuracy of the warm-up, None if there was none."""
    check_is_fitted(self)
    return self._warm_up_history
