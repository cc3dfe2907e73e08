"""T-MUX: rows are added up before the encoder and told apart behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from muxlearn._params import Boolean, Choice, Constraint, Integer, Number, OneOf
from muxlearn.architectures._base import (
    AUTO_FACTOR,
    ESTIMATORS,
    NO_DECAY,
    Architecture,
    Built,
    ParamGroups,
    Setting,
    WarmUp,
)
from muxlearn.architectures._checks import check_fits, check_width, refuse_without_effect
from muxlearn.architectures._published import PublishedNetwork, find_checkpoint
from muxlearn.architectures._retrieval import RETRIEVAL_WEIGHT, RetrievalObjective
from muxlearn.architectures._start import load_start
from muxlearn.backbones import (
    Corpus,
    Encoder,
    Packaged,
    Published,
    Scratch,
    Start,
    encoder_from_config,
    make_backbone,
)
from muxlearn.nn.demultiplex import (
    DEMULTIPLEXERS,
    Demultiplexer,
    IdentityDemultiplexer,
    NestedDemultiplexer,
    RSADemultiplexer,
)
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import (
    MULTIPLEXERS,
    NESTED,
    ContextualMultiplexer,
    IdentityMultiplexer,
    Multiplexer,
    NestedMultiplexer,
    SubspaceMultiplexer,
)
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.nn.tagging import MuxTokenClassifier
from muxlearn.nn.text import MuxSequenceClassifier, MuxTextModule
from muxlearn.points import Point
from muxlearn.rows import IntegerReader
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["OWN_SIZE", "TMUX"]

#: What "auto" stands for where an encoder comes without any.
_KINDS = "subspace", "rsa"

#: Learning rates of an encoder that starts at random, of the packaged one, and of others; of a
#: pretrainer's, of one that starts at random and of one that has been trained.
_LR, _PACKAGED_LR, _TRAINED_LR = 5e-4, 2e-4, 1e-4
_PRETRAINING_LR, _FURTHER_LR = 1e-3, 2e-4

#: New parts learn this many times faster than a pre-trained encoder.
_FRESH_LR_FACTOR = 5.0

#: A token table that starts from a teacher's learns this much slower than the rest.
_TABLE_LR_FACTOR = 0.3

#: Stands for vectors as wide as the encoder's own.
OWN_SIZE = 0

#: Where the user leaves the point to us: tokens in a position of a tagger's encoder.
_TAGGING_FACTOR = 5

#: The same of the packaged encoder, and its layers where the user leaves the encoder to us. Five
#: tokens are often no better than the words alone, and two in six layers are beaten by one in
#: three.
_AUTO_TOKENS, _AUTO_LAYERS = 2, 3

#: Which parameters a task has no use for.
_WITHOUT_EFFECT = {
    "sequence": ("lexical_size",),
    "token": ("lexical_length",),
    "vector": ("lexical_length", "lexical_size", "demux_layers", "retrieval_weight"),
}


class TMUX(Architecture):
    """The multiplexed Transformer of DataMUX, which adds up rows before the encoder.

    The estimator's `multiplexer`, `demultiplexer` and `backbone` set how rows are marked, how they
    are told apart and which encoder runs. A `backbone` that is a published model takes `learn_keys`
    and the two parameters of the retrieval loss only.

    Parameters
    ----------
    demux_layers : int, default=1
        Number of hidden layers of the demultiplexer "rsa", of which ``n_mux=1`` has no need. More
        than one initially compute the same as one, and cost time for each slot.

    learn_keys : bool, default=True
        Whether to train the multiplexer or keep its initial, random keys. The layers of
        "contextual" are always trained.

    lexical_path : bool, default=True
        Whether a prediction also uses the row's own words, which bypass the mixture. This takes
        almost no time beside the encoder, and recovers most of what a higher `n_mux` would lose. A
        classifier uses the weighted mean of the words' vectors, of pairs that of each text with
        their distance and product; a tagger narrow vectors of a token and its neighbours. DataMUX
        has no such path: False is the network of the paper. At ``n_mux=1`` only an encoder that has
        learned to read mixtures has one.

    lexical_length : int or None, default=512
        Only for `MuxTextClassifier`: number of tokens that the lexical path reads of a single
        text if that is more than `max_length`, where the encoder stops. None is `max_length`,
        which pairs always have.

    lexical_size : int, default=64
        Only for `MuxTokenTagger`: width of the lexical path. 0 leaves it out.

    retrieval_weight : float or "auto", default="auto"
        Weight of the retrieval loss beside the task's (DataMUX, eq. 4). "auto" is 0.1, or 0 if
        `backbone` is warmed up already.

    retrieval_samples : int, default=32
        Tokens of each mixture that the retrieval loss uses in a step, at least one per slot; also
        in the warm-up. Without either it has no effect.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.architectures import TMUX
    >>> clf = MuxTextClassifier(architecture=TMUX(lexical_path=False))
    """

    name = "tmux"
    mixes_tokens = True
    constraints: ClassVar[dict[str, Constraint]] = {
        "demux_layers": Integer(1),
        "learn_keys": Boolean(),
        "lexical_path": Boolean(),
        "lexical_length": OneOf(None, Integer(1)),
        "lexical_size": Integer(0),
        "retrieval_weight": OneOf(Choice("auto"), Number(0)),
        "retrieval_samples": Integer(1),
    }
    structural = ("demux_layers", "learn_keys", "lexical_path", "lexical_length", "lexical_size")

    def __init__(
        self,
        *,
        demux_layers: int = 1,
        learn_keys: bool = True,
        lexical_path: bool = True,
        lexical_length: int | None = 512,
        lexical_size: int = 64,
        retrieval_weight: float | str = "auto",
        retrieval_samples: int = 32,
    ) -> None:
        self.demux_layers = demux_layers
        self.learn_keys = learn_keys
        self.lexical_path = lexical_path
        self.lexical_length = lexical_length
        self.lexical_size = lexical_size
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples

    def check(self, setting: Setting) -> None:
        """Raise for a parameter that cannot be, or that the task has no use for."""
        super().check(setting)
        largest, length = max(setting.patch_sizes), setting.params["max_length"]
        if largest > length and not setting.point_is_auto:
            raise ValueError(
                f"`patch_size` is {largest}, but a row has `max_length`={length} tokens at most; "
                "lower it"
            )
        setting = self.settle(setting)
        estimator = ESTIMATORS[setting.task]
        refuse_without_effect(self, _WITHOUT_EFFECT[setting.task], f"in a {estimator}")
        if not self.lexical_path:
            lexical = "lexical_length", "lexical_size"
            refuse_without_effect(self, lexical, "with lexical_path=False")
        if self.retrieval_weight == 0 and not setting.params.get("warm_up", "auto"):
            no_loss = "with retrieval_weight=0 and without a `warm_up`"
            refuse_without_effect(self, ("retrieval_samples",), no_loss)
        mux, demux = setting.params["multiplexer"], setting.params["demultiplexer"]
        if setting.n_mux > 1 and self.demux_layers > 1 and demux != "rsa":
            raise ValueError(
                f"`demux_layers` is {self.demux_layers}, but demultiplexer={demux!r} has none; "
                "leave it out, or take 'rsa'"
            )
        if (mux == NESTED) != (demux == NESTED):
            raise ValueError(
                f"`multiplexer` is {mux!r} and `demultiplexer` is {demux!r}, but {NESTED!r} takes "
                f"both; set both to {NESTED!r}"
            )
        if setting.with_words and not self._has_lexical_path(setting):
            name = "lexical_size=0" if self.lexical_path else "lexical_path=False"
            raise ValueError(
                f"`operating_points` holds 'words', which the lexical path answers, but {name} "
                "leaves it out"
            )
        backbone = make_backbone(setting.params["backbone"])
        if isinstance(backbone, Packaged | Scratch | Published):
            backbone.check_parameters()
        given = isinstance(backbone, Scratch) and backbone.tokenizer is not None
        if given and setting.task != "sequence":
            raise ValueError("`tokenizer` is for a MuxTextClassifier; leave it out of Scratch(…)")

    def auto_point(self, task: str, params: Mapping[str, Any]) -> Point:
        """Return the best point that the backbone was warmed up for, else tokens of one row.

        A `multiplexer` or `demultiplexer` that the user gives is one of rows.
        """
        if (params["multiplexer"], params["demultiplexer"]) != ("auto", "auto"):
            return Point(AUTO_FACTOR)
        backbone = make_backbone(params["backbone"])
        if task != "vector" and isinstance(backbone, Packaged):
            return Point(1, _AUTO_TOKENS)
        factor = _TAGGING_FACTOR if task == "token" else AUTO_FACTOR
        known = backbone.auto_point(factor)
        return Point(1, factor) if known is None else known

    def settle(self, setting: Setting) -> Setting:
        """Return the settings with what "auto" stands for: the backbone's kinds, and its layers.

        A row alone needs no kinds, whatever the user asks for: those of the backbone start from
        what it has learned.
        """
        params = dict(setting.params)
        if params["backbone"] is None and setting.task != "vector":
            params["backbone"] = Packaged(num_hidden_layers=_AUTO_LAYERS)
        if setting.n_mux == 1:
            kinds_of = "multiplexer", "demultiplexer"
            params |= {name: setting.built.get(name, "auto") for name in kinds_of}
        mux, demux = params["multiplexer"], params["demultiplexer"]
        if "auto" not in (mux, demux):
            return replace(setting, params=params)
        kinds = make_backbone(params["backbone"]).kinds(setting.n_mux)
        if NESTED in (mux, demux):
            kinds = NESTED, NESTED
        if kinds is None or mux not in ("auto", kinds[0]) or demux not in ("auto", kinds[1]):
            kinds = _KINDS
        params["multiplexer"] = kinds[0] if mux == "auto" else mux
        params["demultiplexer"] = kinds[1] if demux == "auto" else demux
        return replace(setting, params=params)

    def _has_lexical_path(self, setting: Setting) -> bool:
        return bool(self.lexical_path and (setting.task != "token" or self.lexical_size))

    # The module

    def build(self, setting: Setting, data: Corpus, n_outputs: int) -> Built:
        """Build tokenizer and module around the encoder that `backbone` names."""
        backbone = make_backbone(setting.params["backbone"])
        if (found := find_checkpoint(backbone)) is not None:
            network = self._published()
            others = (name for name in self.get_params() if not hasattr(network, name))
            refuse_without_effect(self, others, f"on {backbone.label}, a published model")
            return network.build_from(*found, setting, n_outputs)
        if isinstance(backbone, Scratch):
            backbone.check_heads()
            check_width(setting, backbone.hidden_size)
        setting = self.settle(setting)
        start = load_start(setting, data, self.n_prefix(setting))
        return self.build_around(setting, start, n_outputs, reads_pairs=data.holds_pairs)

    def learns_reader(self, setting: Setting) -> bool:
        """Return whether the backbone learns a tokenizer."""
        backbone = make_backbone(setting.params["backbone"])
        return isinstance(backbone, Scratch) and backbone.learns_reader

    def build_around(
        self, setting: Setting, start: Start, n_outputs: int, *, reads_pairs: bool = False
    ) -> Built:
        """Build a module around an encoder, and let the reader read as far as it does.

        Parameters
        ----------
        setting : Setting
        start : Start
        n_outputs : int
        reads_pairs : bool, default=False
        """
        setting = self.settle(setting)
        check_fits(setting, start.encoder, self.n_prefix(setting))
        module = self._assemble(
            setting,
            start.encoder,
            n_outputs,
            n_blocks=start.n_blocks,
            patch_sizes=setting.patch_sizes,
            words=setting.with_words,
            pairs=reads_pairs,
        )
        if start.load_into is not None:
            start.load_into(module)
        reader, max_length = start.reader, setting.params["max_length"]
        # The encoder would only read the first text of a longer pair.
        if setting.task == "sequence" and module.lexical_mean is not None and not reads_pairs:
            length = max(max_length, self.lexical_length or 0)
            if isinstance(reader, IntegerReader):
                reader = replace(reader, max_length=length)
            else:
                reader.enable_truncation(length)
        return Built(reader, module, self)

    def _published(self) -> PublishedNetwork:
        """Return the architecture of a published checkpoint that is trained as this one is."""
        names = "learn_keys", "retrieval_weight", "retrieval_samples"
        return PublishedNetwork(**{name: getattr(self, name) for name in names})

    def for_module(self, module: MuxModule) -> Architecture:
        """Return the architecture that a module is of."""
        return self._published() if isinstance(module, ReferenceTextModule) else self

    def _assemble(
        self,
        setting: Setting,
        encoder: Encoder,
        n_outputs: int,
        *,
        n_blocks: int | None,
        patch_sizes: tuple[int, ...],
        words: bool,
        pairs: bool = False,
    ) -> MuxTextModule:
        """Put the parts of a module together; all that a new kind of mixture changes is here.

        With `n_blocks`, rows share the blocks of the mixture, and each is read from all of its own.
        """
        n_mux, params = setting.n_mux, setting.params
        n_blocks = n_blocks or self._own_blocks(setting)
        sizes = n_mux, encoder.embedding_size, bool(self.learn_keys)
        multiplexer: Multiplexer
        demultiplexer: Demultiplexer
        if params["multiplexer"] == NESTED:
            multiplexer = NestedMultiplexer(*sizes)
        elif n_blocks is not None:
            multiplexer = SubspaceMultiplexer(*sizes, n_blocks)
        elif n_mux == 1:
            multiplexer = IdentityMultiplexer(*sizes)
        elif params["multiplexer"] == "contextual":
            multiplexer = ContextualMultiplexer(*sizes, params["dropout"])
        else:
            multiplexer = MULTIPLEXERS[params["multiplexer"]](*sizes)
        if params["demultiplexer"] == NESTED:
            demultiplexer = NestedDemultiplexer(n_mux, encoder.hidden_size)
        elif n_blocks is None and n_mux == 1:
            demultiplexer = IdentityDemultiplexer(n_mux, encoder.hidden_size)
        elif n_blocks is not None or params["demultiplexer"] == "rsa":
            demultiplexer = RSADemultiplexer(
                n_mux, encoder.hidden_size, n_blocks, int(self.demux_layers)
            )
        else:
            demultiplexer = DEMULTIPLEXERS[params["demultiplexer"]](n_mux, encoder.hidden_size)
        parts = encoder, multiplexer, demultiplexer
        lexical, dropout = bool(self.lexical_path), params["dropout"]
        if setting.task == "sequence":
            length = params["max_length"]
            return MuxSequenceClassifier(
                *parts, n_outputs, dropout, lexical, length, patch_sizes, words, pairs
            )
        if setting.task == "token":
            size = self.lexical_size if lexical else 0
            return MuxTokenClassifier(*parts, n_outputs, dropout, size, patch_sizes, words)
        size = encoder.hidden_size if n_outputs == OWN_SIZE else n_outputs
        return MuxSequenceEmbedder(*parts, size, lexical, patch_sizes, words)

    @staticmethod
    def _own_blocks(setting: Setting) -> int | None:
        """Blocks that rows share where the encoder brings none of its own."""
        params = setting.params
        divided = (params["multiplexer"], params["demultiplexer"]) == ("subspace", "rsa")
        blocks = setting.task == "vector" and divided and setting.n_mux > 1
        return setting.n_mux if blocks else None

    @staticmethod
    def n_prefix(setting: Setting) -> int:
        """Return the positions that the demultiplexer takes beside those of a row."""
        kind = DEMULTIPLEXERS.get(setting.params["demultiplexer"])
        uses = kind is not None and kind.uses_prefix
        return setting.n_mux if setting.n_mux > 1 and uses else 0

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return sizes and kind of the encoder, and what came with it."""
        assert isinstance(module, MuxTextModule)
        encoder = module.encoder
        config: dict[str, Any] = {"vocab_size": encoder.embedding.num_embeddings}
        if isinstance(encoder, PretrainedEncoder):
            config["backbone"] = encoder.model.config.to_dict()
        else:
            config["encoder"] = encoder.sizes
        if isinstance(module.multiplexer, SubspaceMultiplexer) and module.demultiplexer.by_place:
            config["n_blocks"] = module.multiplexer.n_blocks
        if module.patches is not None:
            config["patch_sizes"] = list(module.patch_sizes)
        if module.answers_by_words:
            config["words"] = True
        if module.pair_comparison is not None:
            config["pairs"] = True
        if isinstance(module, MuxSequenceEmbedder):
            config |= {"vector_size": module.vector_size, "aligned_points": [*module.alignments]}
        config["warmed_up"] = module.warmed_up
        return config

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a module as it was saved."""
        if "reference" in config:
            return self._published().rebuild(setting, config, n_outputs)
        encoder: Encoder
        dropout = setting.params["dropout"]
        if config.get("backbone") is not None:
            encoder = encoder_from_config(config["backbone"])
        elif (sizes := config.get("encoder")) is not None:
            encoder = CompactEncoder(**sizes, dropout=dropout)
        else:  # saved before there were any but one's own
            backbone = make_backbone(setting.params["backbone"])
            assert isinstance(backbone, Scratch)
            encoder = backbone.encoder(
                config["vocab_size"],
                max_length=setting.params["max_length"],
                n_prefix=self.n_prefix(setting),
                dropout=dropout,
            )
        check_fits(setting, encoder, self.n_prefix(setting))
        module = self._assemble(
            setting,
            encoder,
            n_outputs,
            n_blocks=config.get("n_blocks"),
            patch_sizes=tuple(config.get("patch_sizes", (1,))),
            words=bool(config.get("words")),
            pairs=bool(config.get("pairs")),
        )
        module.warmed_up = bool(config.get("warmed_up"))
        if isinstance(module, MuxSequenceEmbedder):
            module.add_alignments(config.get("aligned_points", ()))
        return module

    # Training

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return a rate for the encoder: the higher, the less it has learned."""
        backbone = make_backbone(setting.params["backbone"])
        if setting.task == "vector":
            return _PRETRAINING_LR if backbone.from_scratch else _FURTHER_LR
        if backbone.from_scratch:
            return _LR
        return _PACKAGED_LR if backbone.packaged else _TRAINED_LR

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Let what is new learn faster than an encoder that has learned before."""
        assert isinstance(module, MuxTextModule)
        from_scratch = make_backbone(setting.params["backbone"]).from_scratch
        fresh = {} if from_scratch else {"lr": _FRESH_LR_FACTOR * lr}
        groups: ParamGroups = []
        if from_scratch and setting.params.get("teacher") is not None:
            # Its token table starts from the teacher's.
            table = {"weight_decay": 0.0, "lr": _TABLE_LR_FACTOR * lr}
            groups.append(("encoder.embedding.weight", table))
        if not from_scratch:
            trained = ["encoder"]
            if module.warmed_up:
                trained += ["multiplexer", "demultiplexer", "lexical_mean"]
                trained += ["patches", "patch_reader"]
            for part in trained:
                for pattern in NO_DECAY:
                    groups.append((f"{part}.{pattern}", {"weight_decay": 0.0}))
                groups.append((f"{part}.*", {}))
        for pattern in NO_DECAY:
            groups.append((pattern, {"weight_decay": 0.0, **fresh}))
        return [*groups, ("*", fresh)]

    def warm_up(
        self, setting: Setting, module: MuxModule, task: Task, *, asked_for: bool
    ) -> WarmUp | None:
        """Recover the tokens of single rows from the mixture (DataMUX, eq. 3)."""
        assert isinstance(module, MuxTextModule)
        if not module.is_shared or (module.warmed_up and not asked_for):
            return None
        return WarmUp(RetrievalObjective(task, 0.0, 1.0, self.retrieval_samples))

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, with the retrieval task beside it."""
        assert isinstance(module, MuxTextModule)
        weight = self.retrieval_weight
        if weight == "auto":
            # A head that nothing has trained would cost more than it brings.
            weight = 0.0 if module.warmed_up else RETRIEVAL_WEIGHT
        weight = float(weight) if module.is_shared else 0.0
        return RetrievalObjective(task, 1.0, weight, self.retrieval_samples, setting.with_words)
