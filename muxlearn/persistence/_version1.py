"""Folders of format 1, whose parameters all stood side by side.

Since format 2 those of an architecture and of an encoder from scratch stand below these:
``architecture__demux_layers``, ``backbone__hidden_size``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["upgrade"]

#: Old names of what moved to an architecture, and the new names there.
_MOVED: dict[str, dict[str, str]] = {
    "tmux": {
        name: name
        for name in (
            *("demux_layers", "learn_keys", "lexical_path", "lexical_length", "lexical_size"),
            *("retrieval_weight", "retrieval_samples"),
        )
    },
    "mimoformer": {
        "mux_grid": "grid",
        "mimo_variant": "variant",
        "attention": "attention",
        "attention_kernel": "kernel",
        "n_features": "n_features",
        "head_dim": "head_dim",
        "positions": "positions",
        "pooling": "pooling",
        "tied_layers": "tied_layers",
        "isometry_weight": "isometry_weight",
    },
    "revmux": {
        "mux_layer": "mux_layer",
        "revmux_infonce_weight": "infonce_weight",
        "revmux_temperature": "temperature",
    },
    "mimoconv": {
        name: name
        for name in (
            *("depth", "width", "initial_width", "activation", "skip_init", "dirac_init"),
            *("learn_keys", "isometry_weight", "binding_weight"),
        )
    },
    "mlp": {"learn_keys": "learn_keys"},
    "cnn": {"learn_keys": "learn_keys"},
    "trunk": {
        "weights": "weights",
        "bind_after": "bind_after",
        "unbind_before": "unbind_before",
        "learn_keys": "learn_keys",
    },
}

#: What an encoder from scratch has.
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("vocab_size", "tokenizer"),
)

#: What the losses of a pretrainer had.
_DISTILLATION = ("contrast_weight", "mixed_weight", "token_weight", "token_samples")


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of format 1 as one of format 2.

    Parameters
    ----------
    config : mapping
        The configuration of a saved or an exported model.

    Returns
    -------
    dict
    """
    estimator = config["estimator"]
    renewed = {
        part: _renew(config[part], estimator) for part in ("params", "structure") if part in config
    }
    return {**config, **renewed}


def _renew(given: Mapping[str, Any], estimator: str) -> dict[str, Any]:
    """Return parameters of format 1, encoded as JSON keeps them, under their new names."""
    params = dict(given)
    default = "mimoconv" if estimator == "MuxImageClassifier" else "tmux"
    name = params.pop("architecture", default)
    kind = name if name in _MOVED else "trunk"
    nested: dict[str, Any] = {"architecture": kind}
    if kind == "trunk":
        nested["architecture__network"] = name
    if "weight_decay" in params and params["weight_decay"] != 0.01:
        nested |= {"optimizer": "optimizer", "optimizer__weight_decay": params["weight_decay"]}
    for old, new in _MOVED[kind].items():
        if old in params:
            nested[f"architecture__{new}"] = params[old]
    scratch = estimator == "MuxTextPretrainer"
    if kind == "mimoformer" or params.get("backbone", "scratch" if scratch else None) == "scratch":
        params["backbone"] = "scratch"
        nested |= {f"backbone__{size}": params[size] for size in _SIZES if size in params}
    if estimator == "MuxTextPretrainer":
        nested |= _objective(params)
        nested.pop("architecture__retrieval_weight", None)
    nested |= _warm_up(params) | _early_stopping(params)
    gone = {old for moved in _MOVED.values() for old in moved}
    if kind != "tmux" and estimator != "MuxImageClassifier":
        # They were at their defaults, which have changed.
        nested |= {name: "auto" for name in ("multiplexer", "demultiplexer") if name in params}
    gone |= {"checkpoint", "checkpoint_minutes"}
    gone |= {"weight_decay", "warm_up_epochs", "n_iter_no_change", *_SIZES, *_DISTILLATION}
    if "transitions" in params:
        steps = params.pop("transitions")
        params["decode"] = steps if params.get("decode") == "viterbi" else None
    if params.get("dtype") == "float64":
        params["dtype"] = "float32"
    return {**{n: value for n, value in params.items() if n not in gone}, **nested}


def _objective(params: dict[str, Any]) -> dict[str, Any]:
    if "objective" not in params:
        return {}
    kind = params.pop("objective")
    if kind == "retrieval":
        return {"objective": "retrieval"}
    weights = {f"objective__{n}": params[n] for n in _DISTILLATION if n in params}
    retrieval = params.get("retrieval_weight", 0.1) if kind == "both" else 0.0
    return {"objective": "distillation", **weights, "objective__retrieval_weight": retrieval}


def _warm_up(params: dict[str, Any]) -> dict[str, Any]:
    """Return how many epochs the warm-up has, which says whether there is one, too."""
    if "warm_up" not in params:
        return {}
    kind, epochs = params["warm_up"], params.get("warm_up_epochs", 5)
    left = kind == "auto" and (epochs == 5 or params.get("backbone") != "scratch")
    return {"warm_up": kind if left or kind is None else epochs}


def _early_stopping(params: dict[str, Any]) -> dict[str, Any]:
    patience = params.get("n_iter_no_change", 3)
    if not params.get("early_stopping") or patience == 3:
        return {}
    return {"early_stopping": patience}
