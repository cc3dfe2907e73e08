"""Transformers for long sequences that attend to all rows of a mixture in superposition."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn._loading import copy_tensors, count_layers
from muxlearn.nn.favor import KERNELS, GridAttention
from muxlearn.nn.mimoformer_layers import (
    MIMOFormerLayer,
    SoftmaxAttention,
    sinusoidal_positions,
)
from muxlearn.nn.module import MuxModule
from muxlearn.nn.regularize import isometry_regularizer

__all__ = ["MIMOFormer"]

_VARIANTS = ("att", "att+mlp")
_ATTENTIONS = ("favor", "softmax")
_POSITIONS = ("learned", "sinusoidal")
_POOLINGS = ("mean", "cls")


def parts_of(grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the rows and columns of the parts that divide a grid evenly, the grid among them."""
    divisors = [[d for d in range(1, size + 1) if size % d == 0] for size in grid]
    return [(m, n) for m in divisors[0] for n in divisors[1]]


class MIMOFormer(MuxModule):
    """Classify long sequences in superposition (MIMOFormer; MIMONets: Menet et al., NeurIPS 2023).

    The rows of a mixture stand on a grid of M by N, and every layer's attention runs on M + N
    bundles of them and not on M * N rows. With a grid of one row the network is a Performer; with
    softmax attention it is a plain Transformer.

    Parameters
    ----------
    vocab_size : int
        Number of token ids. With ``pooling="cls"`` the last one is the mark in front of each text.
    n_classes : int
    grid : tuple of two int, default=(1, 1)
        M and N. The capacity is their product.
    variant : {"att", "att+mlp"}, default="att"
        Parts that run in superposition: attention, or the feed-forward networks too, over M.
    attention : {"favor", "softmax"}, default="favor"
        Softmax needs a grid of one row.
    hidden_size : int, default=64
    num_hidden_layers : int, default=2
    num_attention_heads : int, default=4
    head_dim : int, default=64
        Size of a head's queries and keys. Superposed rows disturb each other the less the larger
        it is.
    intermediate_size : int, default=128
        Width of the feed-forward networks and of the head.
    n_features : int, default=256
        Random features of a head.
    kernel : {"relu", "exp"}, default="relu"
        Function that makes random features of projections.
    max_length : int, default=1024
        Tokens of a text, the mark in front not counted.
    positions : {"learned", "sinusoidal"}, default="learned"
    pooling : {"mean", "cls"}, default="mean"
        Read a text off the mean of its tokens, or off a mark in front of it.
    n_texts : {1, 2}, default=1
        2 for pairs of texts, which are encoded apart and compared by the head.
    tied_layers : bool, default=False
        Whether all layers are one.
    dropout : float, default=0.1
    reference_padding : bool, default=False
        For compatibility. Padding asks like any token, so that it disturbs other rows. It counts
        as keys of 0 and in means. ``pooling="cls"`` drops the last token for the mark.

    Attributes
    ----------
    n_mux : int
        M * N.
    operating_points : tuple of int
        The `n_mux` that the network can run at: rows on a part of the grid that divides it.

    Raises
    ------
    ValueError
        For an option that is not allowed.
    """

    position_table: Tensor
    #: Tokens that every text is padded to, as the authors' data are; None: no more than needed.
    pad_to: int | None = None
    #: What a checkpoint in the authors' layout is, beside the parameters of the architecture.
    authors: Mapping[str, Any] | None = None
    #: The arguments that a checkpoint was read with.
    options: Mapping[str, Any]

    def __init__(
        self,
        vocab_size: int,
        n_classes: int,
        grid: tuple[int, int] = (1, 1),
        *,
        variant: str = "att",
        attention: str = "favor",
        hidden_size: int = 64,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 4,
        head_dim: int = 64,
        intermediate_size: int = 128,
        n_features: int = 256,
        kernel: str = "relu",
        max_length: int = 1024,
        positions: str = "learned",
        pooling: str = "mean",
        n_texts: int = 1,
        tied_layers: bool = False,
        dropout: float = 0.1,
        reference_padding: bool = False,
    ) -> None:
        super().__init__()
        self.grid = _check_grid(grid, attention)
        for name, value, allowed in (
            ("variant", variant, _VARIANTS),
            ("attention", attention, _ATTENTIONS),
            ("kernel", kernel, tuple(KERNELS)),
            ("positions", positions, _POSITIONS),
            ("pooling", pooling, _POOLINGS),
            ("n_texts", n_texts, (1, 2)),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {allowed}")
        if positions == "sinusoidal" and hidden_size % 2:
            raise ValueError(f"sinusoidal positions need an even hidden_size, not {hidden_size}")
        self.n_mux = math.prod(self.grid)
        self.pooling, self.n_texts = pooling, n_texts
        self.num_hidden_layers, self.max_length = num_hidden_layers, max_length
        self.reference_padding = reference_padding
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.02)
        n_positions = max_length + (pooling == "cls" and not reference_padding)
        if positions == "learned":
            self.position_table = nn.Parameter(0.02 * torch.randn(n_positions, hidden_size))
        else:
            table = sinusoidal_positions(n_positions, hidden_size)
            self.register_buffer("position_table", table, persistent=False)
        self.dropout = nn.Dropout(dropout)

        def make_layer() -> MIMOFormerLayer:
            heads = hidden_size, num_attention_heads, head_dim
            merge = variant == "att+mlp"
            attend = (
                SoftmaxAttention(*heads, dropout)
                if attention == "softmax"
                else GridAttention(*heads, self.grid, n_features, kernel, merge, reference_padding)
            )
            skip_grid = self.grid if merge else None
            return MIMOFormerLayer(
                hidden_size, attend, intermediate_size, skip_grid, dropout, reference_padding
            )

        n_own = 1 if tied_layers else num_hidden_layers
        self.layers = nn.ModuleList(make_layer() for _ in range(n_own))
        self.norm = nn.LayerNorm(hidden_size)
        self.head = nn.Sequential(
            nn.Linear(hidden_size if n_texts == 1 else 4 * hidden_size, intermediate_size),
            nn.ReLU(),
            nn.Linear(intermediate_size, n_classes),
        )

    @classmethod
    def from_state_dict(
        cls,
        config: Mapping[str, Any],
        state_dict: Mapping[str, Tensor],
        reference_padding: bool = False,
    ) -> MIMOFormer:
        """Build the model that a checkpoint of the reference (MIMOFormer) holds.

        Parameters
        ----------
        config : Mapping
            ``attn_type`` ("mimoformer", "blockformer", "performer-256" or "softmax") says what the
            layers are; ``num_head``, ``num_layers``, ``max_seq_len``, ``kernel_type`` ("relu" if
            it lacks), ``pooling_mode`` ("MEAN" if it lacks) and ``dropout_prob`` (0.1) what
            tensors cannot tell. All else is read from the tensors.
        state_dict : Mapping of str to Tensor
            Under the reference's names. Not modified.
        reference_padding : bool, default=False
            True gives the reference's numbers where rows are padded.

        Returns
        -------
        MIMOFormer
            In `eval` mode, of the tensors' precision.

        Raises
        ------
        ValueError
            For a checkpoint of something else, or tensors that lack, are left over or do not fit.
        """
        options = _read_options(config, state_dict, reference_padding)
        model = cls(**options, reference_padding=reference_padding)
        model.options = options
        model.to(state_dict["seq_classifer.mlpblock.0.weight"].dtype)
        expected = _under_reference_names(model, config["attn_type"], options["tied_layers"])
        copy_tensors(expected, state_dict, [], f"a MIMOFormer with the grid {model.grid}")
        return model.eval()

    @property
    def operating_points(self) -> tuple[int, ...]:
        """The `n_mux` that the network can run at."""
        return tuple(sorted({m * n for m, n in parts_of(self.grid)}))

    @property
    def warm_up_n_mux(self) -> int:
        """Rows on half of the grid in both directions, which training may start with."""
        return math.prod(max(1, size // 2) for size in self.grid)

    def grid_at(self, n_mux: int) -> tuple[int, int]:
        """Return the part of the grid that `n_mux` rows stand on.

        If several parts fit, it is the one most like the whole in shape, and of two such parts the
        one with more m.

        Parameters
        ----------
        n_mux : int

        Returns
        -------
        tuple of two int

        Raises
        ------
        ValueError
            If no part of `n_mux` rows divides the grid.
        """
        parts = [(m, n) for m, n in parts_of(self.grid) if m * n == n_mux]
        if not parts:
            raise ValueError(
                f"n_mux={n_mux} rows do not fill a part that divides the grid {self.grid}; allowed "
                f"are {self.operating_points}"
            )
        ratio = math.log(self.grid[0] / self.grid[1])
        return min(parts, key=lambda part: (abs(math.log(part[0] / part[1]) - ratio), -part[0]))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, n_mux: int | None = None
    ) -> Tensor:
        """Classify.

        Parameters
        ----------
        input_ids : Tensor of int, shape (n_mixtures * n_mux, length)
            Rows ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`. Of shape
            (n_mixtures * n_mux, 2, length) for pairs; first texts share one mixture and second
            ones another.
        attention_mask : Tensor, shape of `input_ids`, default=None
            0 or False at padding.
        n_mux : int, default=None
            Rows in a mixture, one of `operating_points`. None stands for the capacity.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes)
            The rows' logits, in order.

        Raises
        ------
        ValueError
            If `n_mux` is no operating point or does not divide the number of rows, and for texts
            that are too long or not as many as `n_texts` says.
        """
        if input_ids.ndim != self.n_texts + 1 or self.n_texts != math.prod(input_ids.shape[1:-1]):
            wanted = "(n_rows, length)" if self.n_texts == 1 else "(n_rows, 2, length)"
            raise ValueError(f"input_ids has the shape {tuple(input_ids.shape)}, not {wanted}")
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if self.pad_to is not None:
            missing = (0, max(0, self.pad_to - input_ids.shape[-1]))
            input_ids, attention_mask = (F.pad(x, missing) for x in (input_ids, attention_mask))
        texts = zip(
            input_ids.view(-1, self.n_texts, input_ids.shape[-1]).unbind(1),
            attention_mask.view(-1, self.n_texts, input_ids.shape[-1]).unbind(1),
            strict=True,
        )
        pooled = [self._pool(*self.encode(ids, mask, n_mux)) for ids, mask in texts]
        if self.n_texts == 2:
            first, second = pooled
            pooled += [first * second, first - second]
        return self.head(torch.cat(pooled, 1))

    def encode(self, ids: Tensor, mask: Tensor, n_mux: int | None = None) -> tuple[Tensor, Tensor]:
        """Encode one text of each row.

        Parameters
        ----------
        ids, mask : Tensor of shape (n_mixtures * n_mux, n_tokens)
        n_mux : int, default=None
            Rows in a mixture, one of `operating_points`. None stands for the capacity.

        Returns
        -------
        hidden : Tensor of shape (n_mixtures * n_mux, length, hidden_size)
            0 at padding. `length` counts the mark in front.
        mask : Tensor of shape (n_mixtures * n_mux, length)
            Tensor of the type of `hidden`.
        """
        grid = self.grid_at(self._places(ids.shape[0], n_mux))
        if ids.shape[1] > self.max_length:
            raise ValueError(
                f"{ids.shape[1]} tokens are more than max_length={self.max_length}; shorten them"
            )
        if self.pooling == "cls":
            end = -1 if self.reference_padding else None
            ids = F.pad(ids[:, :end], (1, 0), value=self.embedding.num_embeddings - 1)
            mask = F.pad(mask[:, :end], (1, 0), value=1)
        mask = mask.to(self.embedding.weight.dtype)
        x = self.dropout(self.embedding(ids) + self.position_table[: ids.shape[1]])
        for i in range(self.num_hidden_layers):
            x = self.layers[i % len(self.layers)](x, mask, grid)
        return self.norm(x) * mask[..., None], mask

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.reference_padding:
            return hidden.mean(1)
        return hidden.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    def isometry_regularizer(self) -> Tensor:
        r"""Measure how far the layers' weights are from keeping lengths and angles.

        The sum of :math:`\frac12 \|W W^T - I\|^2` over the linear layers of all encoder layers,
        of :math:`W^T` where that is wider than high (ISONet: Qi et al., 2020; MIMONets: Menet et
        al., NeurIPS 2023). Tied layers count as often as they run.

        Returns
        -------
        Tensor of shape ()
            Scalar of double precision.
        """
        linear = (m for m in self.layers.modules() if isinstance(m, nn.Linear))
        return isometry_regularizer(linear) * (self.num_hidden_layers // len(self.layers))

    def round_n_mux(self, n_mux: int) -> int:
        """Return the operating point nearest below a number of rows."""
        return max(point for point in self.operating_points if point <= n_mux)

    def for_inference(self, dtype: torch.dtype | None = None) -> MIMOFormer:
        """Return a copy that predicts only: keys within the linear layers, in `dtype`.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own. Random features are of single precision at least.

        Returns
        -------
        MIMOFormer
            In `eval` mode; shares no memory with this model.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        for module in model.modules():
            if isinstance(module, GridAttention):
                module.fold()
        return model if dtype is None else model.to(dtype)


def _check_grid(grid: tuple[int, int], attention: str) -> tuple[int, int]:
    if len(grid) != 2 or min(grid) < 1:
        raise ValueError(f"grid={grid} must be two numbers of at least 1, M and N")
    if attention == "softmax" and math.prod(grid) > 1:
        raise ValueError(
            f"softmax attention cannot run in superposition: grid={grid} must be (1, 1), or "
            "attention='favor'"
        )
    return grid[0], grid[1]


# The reference's kinds of layers: our `attention` and `variant`.
_ATTENTION_TYPES = {
    "mimoformer": ("favor", "att"),
    "blockformer": ("favor", "att+mlp"),
    "performer-256": ("favor", "att"),
    "softmax": ("softmax", "att"),
}

# Beginnings of our names and what the reference has in their place, below a layer and elsewhere.
_REFERENCE_LAYER_NAMES = {
    "attention_norm.": "norm1.",
    "attention.query.": "mha.W_q.",
    "attention.key.": "mha.W_k.",
    "attention.value.": "mha.W_v.",
    "attention.out.": "mha.ff.",
    "attention.projection": "mha.attn.projection_matrix",
    "attention.keys": "mha.attn.bindings",
    "skip_keys": "mha.attn.bindings_embedding",
    "mlp_norm.": "norm2.",
    "mlp_in.": "mlpblock.0.",
    "mlp_out.": "mlpblock.3.",
}
_REFERENCE_NAMES = {
    "embedding.": "model.embeddings.word_embeddings.",
    "position_table": "model.embeddings.position_embeddings.weight",
    "norm.": "model.norm.",
    "head.": "seq_classifer.mlpblock.",
}


def _read_options(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], reference_padding: bool
) -> dict[str, Any]:
    """Return the arguments of `MIMOFormer` that fit a checkpoint of the reference."""
    tied = "model.transformer.norm1.weight" in tensors
    layer = "model.transformer." if tied else "model.transformer_0."
    needed = [
        "model.embeddings.word_embeddings.weight",
        f"{layer}mha.W_q.weight",
        f"{layer}mlpblock.0.weight",
        "seq_classifer.mlpblock.0.weight",
        "seq_classifer.mlpblock.2.weight",
    ]
    lacking = [name for name in needed if name not in tensors]
    attn_type = config.get("attn_type")
    if attn_type not in _ATTENTION_TYPES or lacking:
        raise ValueError(
            f"not a MIMOFormer checkpoint: attn_type={attn_type!r}, which is one of "
            f"{sorted(_ATTENTION_TYPES)}; missing tensors: {lacking}"
        )
    table, query, mlp, pooled, out = (tensors[name] for name in needed)
    attention, variant = _ATTENTION_TYPES[attn_type]
    keys = tensors.get(f"{layer}mha.attn.bindings", torch.ones(1, 1, 1))
    performer = "attn_fn." if attn_type == "performer-256" else ""
    features = tensors.get(f"{layer}mha.attn.{performer}projection_matrix")
    if features is None:
        features = torch.ones(1, len(query) // config["num_head"])
    positions = tensors.get("model.embeddings.position_embeddings.weight")
    pooling = str(config.get("pooling_mode", "mean")).lower()
    # Our texts have a position for the mark; the reference's lose a token to it.
    n_marks = int(pooling == "cls" and not reference_padding)
    n_layers = count_layers(tensors, "model.transformer_{}.norm1.weight", 0)
    return {
        "vocab_size": len(table),
        "n_classes": len(out),
        "grid": tuple(keys.shape[1:3]),
        "variant": variant,
        "attention": attention,
        "hidden_size": table.shape[1],
        "num_hidden_layers": config["num_layers"] if tied else n_layers,
        "num_attention_heads": len(query) // features.shape[1],
        "head_dim": features.shape[1],
        "intermediate_size": len(mlp),
        "n_features": len(features),
        "kernel": config.get("kernel_type", "relu"),
        "max_length": config["max_seq_len"] if positions is None else len(positions) - n_marks,
        "positions": "sinusoidal" if positions is None else "learned",
        "pooling": pooling,
        "n_texts": 2 if pooled.shape[1] == 4 * table.shape[1] else 1,
        "tied_layers": tied,
        "dropout": config.get("dropout_prob", 0.1),
    }


def _under_reference_names(model: MIMOFormer, attn_type: str, tied: bool) -> dict[str, Tensor]:
    """Return views of the model's tensors under the reference's names, in its shapes."""
    renamed = {}
    for ours, tensor in model.state_dict().items():
        prefix, names = "", _REFERENCE_NAMES
        if match := re.match(r"layers\.(\d+)\.", ours):
            prefix = "model.transformer." if tied else f"model.transformer_{match[1]}."
            ours, names = ours.removeprefix(match[0]), _REFERENCE_LAYER_NAMES
        start = next(start for start in names if ours.startswith(start))
        theirs = prefix + names[start] + ours.removeprefix(start)
        if start == "attention.keys":
            tensor = tensor[None, :, :, None, None]
        elif start == "skip_keys":
            tensor = tensor[None, :, :, None]
        if attn_type == "performer-256":
            if start == "attention.keys":
                continue
            theirs = theirs.replace("attn.projection", "attn.attn_fn.projection")
        renamed[theirs] = tensor
    return renamed
