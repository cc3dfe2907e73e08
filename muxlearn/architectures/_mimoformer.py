"""MIMOFormer: a Transformer for long texts whose attention runs on texts in superposition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from muxlearn._params import (
    Boolean,
    Choice,
    Constraint,
    Integer,
    IntegerTuple,
    Number,
    OneOf,
)
from muxlearn.architectures._base import (
    NO_DECAY,
    Architecture,
    Built,
    ParamGroups,
    Setting,
    WarmUp,
)
from muxlearn.backbones import Backbone, Corpus, Scratch, make_backbone
from muxlearn.nn import mimoformer as network
from muxlearn.nn.module import MuxModule
from muxlearn.points import Point
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["MIMOFormer"]

#: The learning rate of a network that starts at random.
_LR = 5e-4


class _Grid(IntegerTuple):
    """Two whole numbers, which may be the same."""

    def accepts(self, value: object) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(Integer(1).accepts(size) for size in value)
        )

    def __str__(self) -> str:
        return "two whole numbers of at least 1, such as (2, 2)"


class IsometryObjective(Objective):
    """The task's loss plus a regulariser that keeps linear layers near isometries.

    Parameters
    ----------
    task : Task
    weight : float
    """

    def __init__(self, task: Task, weight: float) -> None:
        super().__init__(task)
        self.weight = weight

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the two terms up."""
        loss, reported = super().loss(module, output, targets, weights)
        if self.weight:
            term = cast(network.MIMOFormer, module).isometry_regularizer()
            loss = loss + (self.weight * term).to(loss)
        return loss, reported


class MIMOFormer(Architecture):
    """A Transformer for long texts, whose attention runs on texts in superposition.

    It takes time in proportion to the length of the texts (MIMONets, NeurIPS 2023, section 4). At
    ``n_mux=1`` it is a Performer. It is trained from scratch: `backbone` must be a `Scratch`, which
    sets its sizes and its tokenizer, or None for ``Scratch()``. Of a pair it reads `max_length`
    tokens of each text.

    Parameters
    ----------
    grid : (int, int), default=None
        Rows and columns of the grid of the texts in a mixture, M and N of the paper. Their product
        is `n_mux`. None is the most square grid, with more rows than columns.

    variant : {"att", "att+mlp"}, default="att"
        Layers that run in superposition: attention only, or also the feed-forward networks, over
        the rows of the grid, which is faster and less accurate.

    attention : {"favor", "softmax"}, default="favor"
        Attention by random features, or softmax attention, which needs ``n_mux=1`` and is the only
        one whose weights are dropped by `dropout`.

    kernel : {"relu", "exp"}, default="relu"
        The function that turns projections into random features.

    n_features : int, default=256
        Number of random features of a head.

    head_dim : int, default=64
        Size of the queries and keys of a head, independent of `hidden_size`. The larger it is, the
        less texts in superposition disturb each other.

    positions : {"learned", "sinusoidal"}, default="learned"
        The position embedding.

    pooling : {"mean", "cls"}, default="mean"
        Whether the head reads the mean of a text's tokens, or a special first token.

    tied_layers : bool, default=False
        Whether all layers share their weights.

    isometry_weight : float, default=0.0
        Weight of the regulariser that keeps the linear layers near isometries.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.architectures import MIMOFormer
    >>> clf = MuxTextClassifier(n_mux=4, architecture=MIMOFormer(grid=(2, 2)))
    >>> clf.set_params(architecture__grid=(4, 1)).architecture
    MIMOFormer(grid=(4, 1))
    """

    name = "mimoformer"
    tasks = ("sequence",)
    unused = ("multiplexer", "demultiplexer")
    constraints: ClassVar[dict[str, Constraint]] = {
        "grid": OneOf(None, _Grid()),
        "variant": Choice("att", "att+mlp"),
        "attention": Choice("favor", "softmax"),
        "kernel": Choice("relu", "exp"),
        "n_features": Integer(1),
        "head_dim": Integer(1),
        "positions": Choice("learned", "sinusoidal"),
        "pooling": Choice("mean", "cls"),
        "tied_layers": Boolean(),
        "isometry_weight": Number(0),
    }
    structural = tuple(name for name in constraints if name != "isometry_weight")

    def __init__(
        self,
        *,
        grid: tuple[int, int] | None = None,
        variant: str = "att",
        attention: str = "favor",
        kernel: str = "relu",
        n_features: int = 256,
        head_dim: int = 64,
        positions: str = "learned",
        pooling: str = "mean",
        tied_layers: bool = False,
        isometry_weight: float = 0.0,
    ) -> None:
        self.grid = grid
        self.variant = variant
        self.attention = attention
        self.kernel = kernel
        self.n_features = n_features
        self.head_dim = head_dim
        self.positions = positions
        self.pooling = pooling
        self.tied_layers = tied_layers
        self.isometry_weight = isometry_weight

    def check(self, setting: Setting) -> None:
        """Raise where the grid does not hold the mixture."""
        super().check(setting)
        backbone, n_mux = self._sizes(setting), setting.n_mux
        backbone.check_parameters()
        if self.grid is not None and math.prod(self.grid) != n_mux:
            raise ValueError(
                f"`grid` {tuple(self.grid)} has {math.prod(self.grid)} places, but `n_mux` is "
                f"{n_mux}; set n_mux={math.prod(self.grid)}, or grid=None"
            )
        if self.attention == "softmax":
            if n_mux > 1:
                raise ValueError(
                    f"`attention` 'softmax' cannot run in superposition, but `n_mux` is {n_mux}; "
                    "set n_mux=1, or attention='favor'"
                )
            defaults = MIMOFormer()
            for name in ("kernel", "n_features"):
                if (value := getattr(self, name)) != getattr(defaults, name):
                    raise ValueError(
                        f"`{name}` is {value!r}, but attention='softmax' has no random features; "
                        "leave it out"
                    )
        if self.positions == "sinusoidal" and backbone.hidden_size % 2:
            raise ValueError(
                f"`positions` 'sinusoidal' need an even `hidden_size`, got {backbone.hidden_size}"
            )
        grid = self._grid(n_mux)
        points = sorted({math.prod(part) for part in network.parts_of(grid)})
        odd = [point for point in setting.row_counts if point not in points]
        if odd:
            raise ValueError(
                f"`operating_points` holds {odd[0]}, but rows fill a part that divides the grid "
                f"{grid} by {', '.join(map(str, points))}; take some of these"
            )

    def backbone(self, given: Any) -> Backbone:
        """Return the backbone that the parameter stands for: None is one from scratch."""
        return Scratch() if given is None else make_backbone(given)

    def _sizes(self, setting: Setting) -> Scratch:
        """Return the sizes of the network, which `backbone` says."""
        given = setting.params["backbone"]
        backbone = self.backbone(given)
        if not isinstance(backbone, Scratch):
            raise ValueError(
                f"`backbone` is {given!r}, but architecture='mimoformer' is trained from scratch; "
                "leave it out, give Scratch(…) for sizes of your own, or take architecture='tmux'"
            )
        return backbone

    def _grid(self, n_mux: int) -> tuple[int, int]:
        """Return the grid that is given, or the most square one, with more rows than columns."""
        if self.grid is not None:
            m, n = self.grid
            return int(m), int(n)
        n = max(d for d, _ in network.parts_of((int(n_mux), 1)) if d * d <= n_mux)
        return int(n_mux) // n, n

    # The module

    def build(self, setting: Setting, data: Corpus, n_outputs: int) -> Built:
        """Build tokenizer and network, which is made for pairs where `data` holds them."""
        max_length, n_texts = setting.params["max_length"], 2 if data.holds_pairs else 1
        reader = self._sizes(setting).learn_reader(data, max_length)
        module = self.network(
            setting, reader.get_vocab_size(), n_outputs, n_texts, max_length=max_length
        )
        return Built(reader, module, self)

    def learns_reader(self, setting: Setting) -> bool:
        """Return whether the backbone learns a tokenizer."""
        return self._sizes(setting).learns_reader

    def network(
        self,
        setting: Setting,
        vocab_size: int,
        n_outputs: int,
        n_texts: int,
        *,
        max_length: int,
        reference_padding: bool = False,
    ) -> network.MIMOFormer:
        """Build the network.

        Parameters
        ----------
        setting : Setting
        vocab_size : int
            Tokens that texts have.
        n_outputs : int
        n_texts : int
            2 for pairs.
        max_length : int
            Positions of a text.
        reference_padding : bool, default=False
            Whether padding is read as the authors' code does.
        """
        sizes = self._sizes(setting)
        same = ("attention", "head_dim", "n_features", "positions", "pooling", "tied_layers")
        return network.MIMOFormer(
            vocab_size + (self.pooling == "cls"),  # the mark in front is a token of its own
            n_outputs,
            self._grid(setting.n_mux),
            variant=self.variant,
            kernel=self.kernel,
            hidden_size=sizes.hidden_size,
            num_hidden_layers=sizes.num_hidden_layers,
            num_attention_heads=sizes.num_attention_heads,
            intermediate_size=sizes.intermediate_size or 4 * sizes.hidden_size,
            max_length=max_length,
            reference_padding=reference_padding,
            dropout=setting.params["dropout"],
            n_texts=n_texts,
            **{name: getattr(self, name) for name in same},
        )

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return the number of tokens, and of the texts of a row."""
        assert isinstance(module, network.MIMOFormer)
        n_tokens = module.embedding.num_embeddings - (self.pooling == "cls")
        authors = {} if module.authors is None else {"authors": dict(module.authors)}
        return {"vocab_size": n_tokens, "n_texts": module.n_texts, **authors}

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a network as it was saved."""
        sizes = config["vocab_size"], n_outputs, config["n_texts"]
        if (authors := config.get("authors")) is None:
            return self.network(setting, *sizes, max_length=setting.params["max_length"])
        lengths = [authors.get(name) for name in ("pad_to", "max_length")]
        if not all(map(Integer(1).accepts, lengths)) or lengths[0] > lengths[1]:
            raise ValueError(f"`authors` is {authors!r}, which describes no MIMOFormer")
        module = self.network(setting, *sizes, max_length=lengths[1], reference_padding=True)
        module.authors, module.pad_to, module.in_order = dict(authors), lengths[0], True
        return module

    # Training

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the rate of a network that starts at random."""
        return _LR

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Let matrices decay."""
        return [*((pattern, {"weight_decay": 0.0}) for pattern in NO_DECAY), ("*", {})]

    def warm_up(
        self, setting: Setting, module: MuxModule, task: Task, *, asked_for: bool
    ) -> WarmUp | None:
        """Train the task on half of the grid's rows and columns, or the next smaller part."""
        if setting.n_mux == 1:
            return None
        assert isinstance(module, network.MIMOFormer)
        point = module.round_n_mux(module.warm_up_n_mux)
        return WarmUp(
            self.objective(setting, module, task), on_task=True, operating_points=(Point(point),)
        )

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, with the regulariser."""
        return IsometryObjective(task, self.isometry_weight)
