"""What the text estimators share: encoder, tokenizer, warm-up."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import Choice, Constraint, Integer, Number, OneOf, PathName
from muxlearn._pretrained import SCRATCH, Pretrained, find_pretrained, is_pretrainer
from muxlearn._reference import ReferenceMixin
from muxlearn.nn.demultiplex import (
    DEMULTIPLEXERS,
    Demultiplexer,
    IdentityDemultiplexer,
    RSADemultiplexer,
)
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import (
    MULTIPLEXERS,
    ContextualMultiplexer,
    IdentityMultiplexer,
    Multiplexer,
    SubspaceMultiplexer,
)
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.nn.text import MuxTextModule
from muxlearn.rows import Reader, train_tokenizer

if TYPE_CHECKING:
    from muxlearn._net import MuxNet

__all__ = ["STRUCTURE", "MuxTextEstimator"]

#: The parameters that decide what the module looks like.
STRUCTURE = (
    "n_mux",
    "architecture",
    "multiplexer",
    "demultiplexer",
    "demux_layers",
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

#: The sizes that a packaged encoder has already.
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "vocab_size",
)

#: New parts learn this many times faster than a pre-trained encoder.
_FRESH_LR_FACTOR = 5.0

#: What to do where an encoder has already what is given.
_HINT = "; set backbone='scratch' to train an encoder from nothing, or leave it out"

#: The learning rate of a published model that is trained further (DataMUX and MUX-PLMs).
_REFERENCE_LR = 5e-5


class _PretrainerObject:
    """A `MuxTextPretrainer`, as it is or frozen."""

    def accepts(self, value: object) -> bool:
        return is_pretrainer(value)

    def complain(self, name: str, value: object) -> Exception:
        return TypeError(f"`{name}` must be {self}, got an instance of {type(value).__name__}")

    def __str__(self) -> str:
        return "a MuxTextPretrainer"


class MuxTextEstimator(ReferenceMixin):
    """Base class of the estimators that read texts."""

    backbone: Any

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
        "demux_layers": Integer(1),
        "backbone": OneOf(None, PathName(), _PretrainerObject()),
        "hidden_size": Integer(1),
        "num_hidden_layers": Integer(1),
        "num_attention_heads": Integer(1),
        "intermediate_size": OneOf(None, Integer(1)),
        "vocab_size": Integer(259),
        "max_length": Integer(4),
        "dropout": Number(0, 1, open_high=True),
        "warm_up": Choice("auto", "retrieval", None),
        "warm_up_epochs": Integer(0),
        "retrieval_weight": OneOf(Choice("auto"), Number(0)),
        "retrieval_samples": Integer(1),
    }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self._is_from_nothing:
            return
        # A tokenizer object may belong to a published multiplexed model, which often has none.
        by_name = self.backbone is not None and not is_pretrainer(self.backbone)
        if isinstance(self.tokenizer, str) or not by_name:
            self._refuse_tokenizer()
        defaults = signature(type(self)).parameters
        for name in _SIZES if self.backbone is None else ():
            if (value := getattr(self, name)) != defaults[name].default:
                raise ValueError(
                    f"`{name}` is {value!r}, but {self._backbone_name} has a size of its own{_HINT}"
                )

    def _refuse_tokenizer(self) -> None:
        if self.tokenizer is not None:
            raise ValueError(
                f"`tokenizer` is given, but {self._backbone_name} comes with its own{_HINT}"
            )

    def _lr(self, module: MuxModule) -> float:
        if self.lr != "auto":
            return float(self.lr)
        if isinstance(module, ReferenceTextModule):
            return _REFERENCE_LR
        return 5e-4 if self.backbone is None or self._is_from_nothing else 1e-4

    @property
    def _is_from_nothing(self) -> bool:
        """Whether the encoder starts at random."""
        return isinstance(self.backbone, str) and self.backbone == SCRATCH

    def _param_groups(self, module: MuxModule) -> list[tuple[str, dict[str, float]]]:
        fresh = {} if self._is_from_nothing else {"lr": _FRESH_LR_FACTOR * self._lr(module)}
        groups: list[tuple[str, dict[str, float]]] = []
        if isinstance(module, ReferenceTextModule):
            groups.append(("model.head.*bias", {"weight_decay": 0.0, **fresh}))
            groups.append(("model.head.*", fresh))
            fresh = {}
        elif not self._is_from_nothing:
            trained = ["encoder"]
            if isinstance(module, MuxTextModule) and module.warmed_up:
                trained += ["multiplexer", "demultiplexer", "lexical_mean"]
            for part in trained:
                for name in ("*bias", "*[Nn]orm.weight", "*keys", "*embedding.weight"):
                    groups.append((f"{part}.{name}", {"weight_decay": 0.0}))
                groups.append((f"{part}.*", {}))
        names = ("*bias", "*[Nn]orm.weight", "*norm_weight", "*keys", "*embedding.weight")
        for pattern in (*names, "*position_table"):
            groups.append((pattern, {"weight_decay": 0.0, **fresh}))
        return [*groups, ("*", fresh)]

    def _structure_params(self) -> dict[str, Any]:
        params = super()._structure_params()
        if "backbone" in params and is_pretrainer(self.backbone):
            # A folder cannot hold the object, and has no need to.
            params["backbone"] = "a MuxTextPretrainer"
        return params

    def _net_class(self) -> type[MuxNet]:
        from muxlearn._text_net import MuxTextNet

        return MuxTextNet

    def _net_options(self, module: MuxModule) -> dict[str, Any]:
        weight = self.retrieval_weight
        if weight == "auto":
            # A head that nothing has trained would cost more than it brings.
            weight = 0.0 if isinstance(module, MuxTextModule) and module.warmed_up else 0.1
        return {
            "retrieval_weight": weight if self.n_mux > 1 else 0.0,
            "retrieval_samples": self.retrieval_samples,
        }

    def _corpus(self, rows: list[Any]) -> Iterable[Any]:
        """Return rows as the texts that a tokenizer is trained on."""
        return rows

    def _build(self, rows: list[Any], extra: list[Any], n_classes: int) -> tuple[Any, MuxModule]:
        """Build tokenizer and module."""
        if self._is_from_nothing:
            self._check_sizes()
            reader = self._learn_reader(rows, extra)
            encoder = self._compact_encoder(reader.get_vocab_size())
            return reader, self._assemble(encoder, n_classes)
        start = find_pretrained(self.backbone)
        if start is not None:
            return self._build_from(start, n_classes)
        published = self._start_from_published(n_classes)
        if published is not None:
            return published
        self._refuse_tokenizer()
        from muxlearn._backbone import load_backbone

        assert self.backbone is not None
        pretrained, tokenizer = load_backbone(self.backbone, self.dropout)
        module = self._assemble(pretrained, n_classes)
        return self._cutting(tokenizer), module

    def _build_from(self, start: Pretrained, n_classes: int) -> tuple[Any, MuxModule]:
        """Build tokenizer and module out of what a warm-up has left."""
        from tokenizers import Tokenizer

        fits = start.fits(self.n_mux, self.multiplexer, self.demultiplexer)
        n_blocks = start.n_blocks if fits else None
        module = self._assemble(start.encoder(self.dropout), n_classes, n_blocks)
        if fits:
            start.load_into(module)
            module.warmed_up = True
        return self._cutting(Tokenizer.from_str(start.tokenizer)), module

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
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        n_classes: int,
        n_blocks: int | None = None,
    ) -> MuxTextModule:
        """Put the parts of a model together around an encoder.

        With `n_blocks`, rows share the blocks of the mixture, and each is read from all of its own.
        """
        self._check_fits(encoder)
        n_blocks = n_blocks or self._own_blocks
        sizes = self.n_mux, encoder.embedding_size, bool(self.learn_keys)
        multiplexer: Multiplexer
        demultiplexer: Demultiplexer
        if n_blocks is not None:
            multiplexer = SubspaceMultiplexer(*sizes, n_blocks)
        elif self.n_mux == 1:
            multiplexer = IdentityMultiplexer(*sizes)
        elif self.multiplexer == "contextual":
            multiplexer = ContextualMultiplexer(*sizes, self.dropout)
        else:
            multiplexer = MULTIPLEXERS[self.multiplexer](*sizes)
        if n_blocks is None and self.n_mux == 1:
            demultiplexer = IdentityDemultiplexer(self.n_mux, encoder.hidden_size)
        elif n_blocks is not None or self.demultiplexer == "rsa":
            demultiplexer = RSADemultiplexer(
                self.n_mux, encoder.hidden_size, n_blocks, int(self.demux_layers)
            )
        else:
            demultiplexer = DEMULTIPLEXERS[self.demultiplexer](self.n_mux, encoder.hidden_size)
        return self._module(encoder, multiplexer, demultiplexer, n_classes)

    @property
    def _own_blocks(self) -> int | None:
        """Blocks that rows share where the encoder brings none of its own."""
        return None

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

    @property
    def _backbone_name(self) -> str:
        """What to call the encoder in an error."""
        if self.backbone is None:
            return "the packaged encoder"
        if is_pretrainer(self.backbone):
            return "`backbone`"
        return f"`backbone` {str(self.backbone)!r}"

    def _check_width(self, width: int) -> None:
        if self.n_mux > width:
            wider = "raise `hidden_size`" if self._is_from_nothing else "take a wider `backbone`"
            raise ValueError(
                f"`n_mux` is {self.n_mux}, but token vectors of width {width} hold at most "
                f"{width} slots; lower `n_mux` or {wider}"
            )

    def _check_fits(self, encoder: CompactEncoder | PretrainedEncoder) -> None:
        self._check_width(encoder.embedding_size)
        if isinstance(encoder, CompactEncoder):
            positions: int | None = encoder.position_embedding.num_embeddings
        else:
            from muxlearn._backbone import max_positions

            positions = max_positions(encoder)
        needed = self.max_length + self._n_prefix()
        if positions is not None and needed > positions:
            prefix = f" and a prefix of {self._n_prefix()}" if self._n_prefix() else ""
            raise ValueError(
                f"`max_length` {self.max_length}{prefix} takes {needed} positions, but "
                f"{self._backbone_name} has {positions}; lower `max_length` to "
                f"{positions - self._n_prefix()} or less"
            )

    def _warm_up(
        self, reader: Reader, module: MuxModule, rows: list[Any], seed: int
    ) -> tuple[Any, bool]:
        """Train the retrieval task alone; returns its history and whether it was interrupted."""
        if self.warm_up is None or self.n_mux == 1 or self.warm_up_epochs == 0:
            return None, False
        is_published = isinstance(module, ReferenceTextModule)
        if self.warm_up == "auto" and (is_published or getattr(module, "warmed_up", False)):
            return None, False
        from muxlearn._net import MixtureData

        net = self._train(
            module,
            MixtureData(reader.table(rows)),
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
        return getattr(self._reader, "tokenizer", self._reader)

    @property
    def warm_up_history_(self) -> Any:
        """Losses and retrieval accuracy of the warm-up, None if there was none."""
        check_is_fitted(self)
        return self._warm_up_history

    def _module_config(self) -> dict[str, Any]:
        module = self.module_
        if isinstance(module, ReferenceTextModule):
            return {"reference": module.setting}
        assert isinstance(module, MuxTextModule)
        encoder = module.encoder
        config: dict[str, Any] = {"vocab_size": encoder.embedding.num_embeddings}
        if isinstance(encoder, PretrainedEncoder):
            config["backbone"] = encoder.model.config.to_dict()
        else:
            config["encoder"] = encoder.sizes
        if module.demultiplexer.by_place:
            config["n_blocks"] = module.multiplexer.n_blocks
        config["warmed_up"] = module.warmed_up
        return config

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxModule:
        if (setting := config.get("reference")) is not None:
            return ReferenceTextModule.from_setting(setting)
        encoder: CompactEncoder | PretrainedEncoder
        if config.get("backbone") is not None:
            from muxlearn._backbone import encoder_from_config

            encoder = encoder_from_config(config["backbone"])
        elif (sizes := config.get("encoder")) is not None:
            encoder = CompactEncoder(**sizes, dropout=self.dropout)
        else:  # saved before there were any but one's own
            encoder = self._compact_encoder(config["vocab_size"])
        module = self._assemble(encoder, n_classes, config.get("n_blocks"))
        module.warmed_up = bool(config.get("warmed_up"))
        return module
