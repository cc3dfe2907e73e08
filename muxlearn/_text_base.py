"""What the text estimators share: encoder, tokenizer, warm-up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import Choice, Constraint, Integer, Number, OneOf, PathName
from muxlearn._reference import ReferenceMixin
from muxlearn._texts import train_tokenizer
from muxlearn.nn.demultiplex import DEMULTIPLEXERS, Demultiplexer, IdentityDemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import MULTIPLEXERS, IdentityMultiplexer, Multiplexer
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import TOKENIZER

if TYPE_CHECKING:
    from muxlearn._net import MuxNet

__all__ = ["STRUCTURE", "MuxTextEstimator"]

#: The parameters that decide what the module looks like.
STRUCTURE = (
    "n_mux",
    "architecture",
    "multiplexer",
    "demultiplexer",
    "learn_keys",
    "backbone",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_length",
    "dropout",
)

#: New parts learn this many times faster than a pre-trained encoder.
_FRESH_LR_FACTOR = 5.0

#: The learning rate of a published model that is trained further (DataMUX and MUX-PLMs).
_REFERENCE_LR = 5e-5


class MuxTextEstimator(ReferenceMixin):
    """Base class of the estimators that read texts."""

    backbone: str | os.PathLike | None

    _memory_advice: ClassVar[str] = (
        "lower `batch_size` (mixtures in a batch), `max_length` or, in training, "
        "`retrieval_samples`"
    )
    _structure_names: ClassVar[tuple[str, ...]] = STRUCTURE
    _constraints: ClassVar[dict[str, Constraint]] = {
        **ReferenceMixin._constraints,
        "architecture": Choice("tmux"),
        "multiplexer": Choice(*MULTIPLEXERS),
        "demultiplexer": Choice(*DEMULTIPLEXERS),
        "backbone": OneOf(None, PathName()),
        "hidden_size": Integer(1),
        "num_hidden_layers": Integer(1),
        "num_attention_heads": Integer(1),
        "intermediate_size": OneOf(None, Integer(1)),
        "vocab_size": Integer(259),
        "max_length": Integer(4),
        "dropout": Number(0, 1, open_high=True),
        "warm_up": Choice("retrieval", None),
        "warm_up_epochs": Integer(0),
        "retrieval_weight": Number(0),
        "retrieval_samples": Integer(1),
    }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _lr(self) -> float:
        if self.lr == "auto":
            if self.warm_start and self._is_reference:
                return _REFERENCE_LR
            return 5e-4 if self.backbone is None else 1e-4
        return float(self.lr)

    def _param_groups(self, module: MuxModule) -> list[tuple[str, dict[str, float]]]:
        fresh = {} if self.backbone is None else {"lr": _FRESH_LR_FACTOR * self._lr()}
        groups: list[tuple[str, dict[str, float]]] = []
        if self.backbone is not None:
            groups.append(("encoder.*.bias", {"weight_decay": 0.0}))
            groups.append(("encoder.*[Nn]orm.weight", {"weight_decay": 0.0}))
            groups.append(("encoder.*", {}))
        names = ("*bias", "*[Nn]orm.weight", "*norm_weight", "*keys", "*embedding.weight")
        for pattern in (*names, "*position_table"):
            groups.append((pattern, {"weight_decay": 0.0, **fresh}))
        return [*groups, ("*", fresh)]

    def _net_class(self) -> type[MuxNet]:
        from muxlearn._text_net import MuxTextNet

        return MuxTextNet

    def _net_options(self) -> dict[str, Any]:
        return {
            "retrieval_weight": self.retrieval_weight if self.n_mux > 1 else 0.0,
            "retrieval_samples": self.retrieval_samples,
        }

    def _corpus(self, rows: list[Any]) -> Iterable[Any]:
        """Return rows as the texts that a tokenizer is trained on."""
        return rows

    def _build(self, rows: list[Any], extra: list[Any], n_classes: int) -> tuple[Any, MuxModule]:
        """Build tokenizer and module."""
        if self.backbone is None:
            self._check_sizes()
            reader = self._learn_reader(rows, extra)
            encoder = self._compact_encoder(reader.get_vocab_size())
            return reader, self._assemble(encoder, n_classes)
        from muxlearn._backbone import load_backbone

        pretrained, tokenizer = load_backbone(self.backbone, self.dropout)
        module = self._assemble(pretrained, n_classes)
        return self._cutting(tokenizer), module

    def _learn_reader(self, rows: list[Any], extra: list[Any]) -> Any:
        """Learn the tokenizer of a model without a `backbone`."""
        corpus = rows if extra is rows else [*rows, *extra]
        return self._cutting(train_tokenizer(self._corpus(corpus), self.vocab_size))

    def _cutting(self, tokenizer: Any) -> Any:
        """Let a tokenizer cut off what is longer than `max_length`."""
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer

    def _assemble(
        self, encoder: CompactEncoder | PretrainedEncoder, n_classes: int
    ) -> MuxTextModule:
        """Put the parts of a model together around an encoder."""
        self._check_fits(encoder)
        width, hidden_size = encoder.embedding_size, encoder.hidden_size
        multiplexing = self.n_mux > 1
        multiplexer = MULTIPLEXERS[self.multiplexer] if multiplexing else IdentityMultiplexer
        demultiplexer = (
            DEMULTIPLEXERS[self.demultiplexer] if multiplexing else IdentityDemultiplexer
        )
        return self._module(
            encoder,
            multiplexer(self.n_mux, width, bool(self.learn_keys)),
            demultiplexer(self.n_mux, hidden_size),
            n_classes,
        )

    def _module(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
    ) -> MuxTextModule:
        """Build the module of this estimator."""
        raise NotImplementedError

    def _compact_encoder(self, vocab_size: int) -> CompactEncoder:
        return CompactEncoder(
            vocab_size,
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size or 4 * self.hidden_size,
            self.max_length,
            self._n_prefix(),
            self.dropout,
        )

    def _n_prefix(self) -> int:
        multiplexing = self.n_mux > 1
        return self.n_mux * (multiplexing and DEMULTIPLEXERS[self.demultiplexer].uses_prefix)

    def _check_sizes(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` {self.hidden_size} cannot be divided by `num_attention_heads` "
                f"{self.num_attention_heads}; change one of them"
            )
        self._check_width(self.hidden_size)

    def _check_width(self, width: int) -> None:
        if self.n_mux > width:
            wider = "raise `hidden_size`" if self.backbone is None else "take a wider `backbone`"
            raise ValueError(
                f"`n_mux` is {self.n_mux}, but token vectors of width {width} hold at most "
                f"{width} slots; lower `n_mux` or {wider}"
            )

    def _check_fits(self, encoder: CompactEncoder | PretrainedEncoder) -> None:
        self._check_width(encoder.embedding_size)
        if isinstance(encoder, CompactEncoder):
            return
        from muxlearn._backbone import max_positions

        positions = max_positions(encoder)
        needed = self.max_length + self._n_prefix()
        if positions is not None and needed > positions:
            prefix = f" and a prefix of {self._n_prefix()}" if self._n_prefix() else ""
            raise ValueError(
                f"`max_length` {self.max_length}{prefix} takes {needed} positions, but `backbone` "
                f"{str(self.backbone)!r} has {positions}; lower `max_length` to "
                f"{positions - self._n_prefix()} or less"
            )

    def _warm_up(
        self, reader: Any, module: MuxModule, rows: list[Any], seed: int
    ) -> tuple[Any, bool]:
        """Train the retrieval task alone; returns its history and whether it was interrupted."""
        if self.warm_up is None or self.n_mux == 1 or self.warm_up_epochs == 0:
            return None, False
        from muxlearn._net import MixtureData

        net = self._train(
            module,
            MixtureData(self._table(reader, rows)),
            None,
            seed=seed,
            description="warm-up",
            max_epochs=self.warm_up_epochs,
            task_weight=0.0,
            retrieval_weight=1.0,
            retrieval_samples=self.retrieval_samples,
        )
        return net.history, net.interrupted_

    # Fitted state

    @property
    def tokenizer_(self) -> Any:
        """The tokenizer."""
        check_is_fitted(self)
        return self._reader

    @property
    def warm_up_history_(self) -> Any:
        """Losses and retrieval accuracy of the warm-up, None if there was none."""
        check_is_fitted(self)
        return self._warm_up_history

    def _reader_config(self) -> dict[str, Any]:
        module = self.module_
        if isinstance(module, ReferenceTextModule):
            return {"reference": module.setting}
        assert isinstance(module, MuxTextModule)
        encoder = module.encoder
        config: dict[str, Any] = {"vocab_size": encoder.embedding.num_embeddings}
        if isinstance(encoder, PretrainedEncoder):
            config["backbone"] = encoder.model.config.to_dict()
        return config

    def _reader_files(self) -> dict[str, str]:
        return {TOKENIZER: self.tokenizer_.to_str()}

    @classmethod
    def _load_reader(cls, config: dict[str, Any], files: Mapping[str, str]) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(files[TOKENIZER])

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxModule:
        if (setting := config.get("reference")) is not None:
            return ReferenceTextModule.from_setting(setting)
        if config.get("backbone") is None:
            return self._assemble(self._compact_encoder(config["vocab_size"]), n_classes)
        from muxlearn._backbone import encoder_from_config

        return self._assemble(encoder_from_config(config["backbone"]), n_classes)
