"""The architectures of the text classifier: what each takes, and networks of two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from muxlearn._params import Boolean, Choice, Constraint, Integer, IntegerTuple, Number, OneOf
from muxlearn._pretrained import SCRATCH, is_ours, is_pretrainer
from muxlearn.nn.cut import FrozenEncoder
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.revmux import RevMuxClassifier

if TYPE_CHECKING:
    from muxlearn.nn.encoder import PretrainedEncoder

__all__ = [
    "MIMO_CONSTRAINTS",
    "MIMO_STRUCTURE",
    "REVMUX_CONSTRAINTS",
    "build_mimoformer",
    "build_revmux",
    "check_architecture",
    "choose_warm_up",
]

#: Choices that some architectures have and others have not; numbers are ignored where they are of
#: no use.
_CHOICES: dict[str, tuple[str, ...]] = {
    "tmux": ("multiplexer", "demultiplexer", "backbone"),
    "mimoformer": (
        "mux_grid",
        "mimo_variant",
        "attention",
        "attention_kernel",
        "positions",
        "pooling",
        "tied_layers",
    ),
    "revmux": ("backbone", "mux_layer"),
}
#: The warm-up that an architecture has, which is meant by "auto".
_WARM_UPS = {"tmux": "retrieval", "mimoformer": "grid"}

#: The parameters that decide what a MIMOFormer looks like.
MIMO_STRUCTURE = (*_CHOICES["mimoformer"], "n_features", "head_dim")


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


MIMO_CONSTRAINTS: dict[str, Constraint] = {
    "architecture": Choice(*_CHOICES),
    "mux_grid": OneOf(None, _Grid()),
    "mimo_variant": Choice("att", "att+mlp"),
    "attention": Choice("favor", "softmax"),
    "attention_kernel": Choice("relu", "exp"),
    "n_features": Integer(1),
    "head_dim": Integer(1),
    "positions": Choice("learned", "sinusoidal"),
    "pooling": Choice("mean", "cls"),
    "tied_layers": Boolean(),
    "warm_up": Choice("auto", *_WARM_UPS.values(), None),
    "isometry_weight": Number(0),
}

REVMUX_CONSTRAINTS: dict[str, Constraint] = {
    "mux_layer": OneOf(None, Integer(0)),
    "revmux_infonce_weight": Number(0),
    "revmux_temperature": Number(0, open_low=True),
}


def check_architecture(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check the parameters that an architecture restricts.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.
    defaults : mapping of str to object
        What they are where they aren't given.

    Raises
    ------
    ValueError
        A choice is given that the architecture does not have; or its parameters do not fit each
        other.
    """
    architecture = params["architecture"]
    own = _CHOICES[architecture]
    for other, names in _CHOICES.items():
        strange = [
            name for name in names if name not in own and not _is_default(name, params, defaults)
        ]
        if strange:
            raise ValueError(
                f"`{strange[0]}` is {params[strange[0]]!r}, but architecture={architecture!r} has "
                f"no such choice; leave it at {defaults[strange[0]]!r}, or take "
                f"architecture={other!r}"
            )
    warm_ups = [_WARM_UPS[architecture]] if architecture in _WARM_UPS else []
    allowed = Choice("auto", *warm_ups, None)
    if not allowed.accepts(params["warm_up"]):
        error = allowed.complain("warm_up", params["warm_up"])
        raise type(error)(f"{error}, for architecture={architecture!r}")
    if architecture == "mimoformer":
        _check_mimoformer(params)
    elif architecture == "revmux":
        _check_revmux(params)


def _is_default(name: str, params: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    value = params[name]
    # What "mimoformer" does anyway.
    return value == defaults[name] or (name == "backbone" and value == SCRATCH)


def _check_mimoformer(params: Mapping[str, Any]) -> None:
    n_mux, grid = params["n_mux"], params["mux_grid"]
    if grid is not None and math.prod(grid) != n_mux:
        raise ValueError(
            f"`mux_grid` {tuple(grid)} has {math.prod(grid)} places, but `n_mux` is {n_mux}; set "
            f"n_mux={math.prod(grid)}, or mux_grid=None"
        )
    if params["attention"] == "softmax" and n_mux > 1:
        raise ValueError(
            f"`attention` 'softmax' cannot run in superposition, but `n_mux` is {n_mux}; set "
            "n_mux=1, or attention='favor'"
        )
    if params["positions"] == "sinusoidal" and params["hidden_size"] % 2:
        raise ValueError(
            f"`positions` 'sinusoidal' need an even `hidden_size`, got {params['hidden_size']}"
        )
    grid = _grid(params)
    points = sorted({m * n for m in _divisors(grid[0]) for n in _divisors(grid[1])})
    odd = [point for point in params["operating_points"] or () if point not in points]
    if odd:
        raise ValueError(
            f"`operating_points` holds {odd[0]}, but rows fill a part that divides the grid "
            f"{grid} by {', '.join(map(str, points))}; take some of these"
        )


def _check_revmux(params: Mapping[str, Any]) -> None:
    backbone = params["backbone"]
    if backbone in (None, SCRATCH) or is_pretrainer(backbone) or is_ours(backbone):
        raise ValueError(
            f"`backbone` is {backbone!r}, but architecture='revmux' mixes texts between the layers "
            "of an encoder of the transformers library; give the folder or the name of one"
        )
    n_mux = params["n_mux"]
    if _power_of_two(n_mux) != n_mux:
        raise ValueError(
            f"`n_mux` is {n_mux}, but architecture='revmux' mixes texts pair by pair; take a power "
            f"of two, such as {_power_of_two(n_mux)} or {2 * _power_of_two(n_mux)}"
        )
    odd = [point for point in params["operating_points"] or () if _power_of_two(point) != point]
    if odd:
        raise ValueError(
            f"`operating_points` holds {odd[0]}, but architecture='revmux' mixes texts pair by "
            "pair; take powers of two"
        )


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to a number."""
    return 1 << (int(number).bit_length() - 1)


def _divisors(size: int) -> list[int]:
    return [d for d in range(1, size + 1) if size % d == 0]


def _grid(params: Mapping[str, Any]) -> tuple[int, int]:
    """Return the grid that is given, or the most square one, with more rows than columns."""
    if params["mux_grid"] is not None:
        m, n = params["mux_grid"]
        return int(m), int(n)
    n_mux = int(params["n_mux"])
    n = max(d for d in _divisors(n_mux) if d * d <= n_mux)
    return n_mux // n, n


def choose_warm_up(params: Mapping[str, Any]) -> str | None:
    """Return "retrieval", "grid", or None where there is no warm-up.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.

    Returns
    -------
    str or None
    """
    if params["warm_up"] is None or params["n_mux"] == 1 or params["warm_up_epochs"] == 0:
        return None
    return _WARM_UPS.get(params["architecture"])


def build_mimoformer(
    params: Mapping[str, Any], vocab_size: int, n_classes: int, n_texts: int
) -> MIMOFormer:
    """Build a network.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.
    vocab_size : int
        Tokens that texts have.
    n_classes : int
    n_texts : int
        2 for pairs.

    Returns
    -------
    MIMOFormer
    """
    same = (
        *("attention", "num_hidden_layers", "num_attention_heads", "hidden_size", "head_dim"),
        *("n_features", "max_length", "positions", "pooling", "tied_layers", "dropout"),
    )
    return MIMOFormer(
        vocab_size + (params["pooling"] == "cls"),  # the mark in front is a token of its own
        n_classes,
        _grid(params),
        variant=params["mimo_variant"],
        kernel=params["attention_kernel"],
        intermediate_size=params["intermediate_size"] or 4 * params["hidden_size"],
        n_texts=n_texts,
        **{name: params[name] for name in same},
    )


def build_revmux(
    params: Mapping[str, Any], encoder: PretrainedEncoder, n_classes: int
) -> RevMuxClassifier:
    """Build a network around an encoder, which is frozen in place.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.
    encoder : PretrainedEncoder
    n_classes : int

    Returns
    -------
    RevMuxClassifier

    Raises
    ------
    ValueError
        The encoder cannot be cut, has no layer `mux_layer`, or its vectors cannot be divided.
    """
    backbone, n_mux, mux_layer = (params[name] for name in ("backbone", "n_mux", "mux_layer"))
    if encoder.hidden_size % n_mux:
        raise ValueError(
            f"`n_mux` is {n_mux}, but the vectors of `backbone` {str(backbone)!r}, of width "
            f"{encoder.hidden_size}, cannot be divided among as many slots; lower `n_mux`"
        )
    try:
        frozen = FrozenEncoder(encoder, mux_layer)
    except ValueError as error:
        raise ValueError(
            f"`backbone` {str(backbone)!r}, `mux_layer` {mux_layer}: {error}"
        ) from error
    return RevMuxClassifier(frozen, n_mux, n_classes, params["dropout"])
