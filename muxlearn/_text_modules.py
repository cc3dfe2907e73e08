"""The architectures of the text classifier: what each takes, and MIMOFormer's network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from muxlearn._params import Boolean, Choice, Constraint, Integer, IntegerTuple, Number, OneOf
from muxlearn._pretrained import SCRATCH
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.module import MuxModule

__all__ = [
    "MIMO_CONSTRAINTS",
    "MIMO_STRUCTURE",
    "build_mimoformer",
    "check_architecture",
    "choose_warm_up",
    "round_n_mux",
]

#: Choices that one architecture has and the other has not; numbers are ignored where they are of
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
}
#: The warm-up of each architecture, which is meant by "auto".
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
    for other, names in _CHOICES.items():
        strange = [name for name in names if not _is_default(name, params, defaults)]
        if other != architecture and strange:
            raise ValueError(
                f"`{strange[0]}` is {params[strange[0]]!r}, but architecture={architecture!r} has "
                f"no such choice; leave it at {defaults[strange[0]]!r}, or take "
                f"architecture={other!r}"
            )
    allowed = Choice("auto", _WARM_UPS[architecture], None)
    if not allowed.accepts(params["warm_up"]):
        error = allowed.complain("warm_up", params["warm_up"])
        raise type(error)(f"{error}, for architecture={architecture!r}")
    if architecture == "mimoformer":
        _check_mimoformer(params)


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
    return _WARM_UPS[params["architecture"]]


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


def round_n_mux(module: MuxModule, n_mux: int) -> int:
    """Return the number of rows nearest below that a module can mix.

    Parameters
    ----------
    module : MuxModule
    n_mux : int
        1 to the module's capacity.

    Returns
    -------
    int
        Of a MIMOFormer one of its operating points, which are few; else `n_mux` itself.
    """
    if not isinstance(module, MIMOFormer):
        return n_mux
    return max(point for point in module.operating_points if point <= n_mux)
