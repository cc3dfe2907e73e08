"""Parameters that are objects, as names and parameters of their own, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muxlearn.architectures import IMAGE_ARCHITECTURES, TEXT_ARCHITECTURES, Trunk
from muxlearn.backbones import Published, Scratch
from muxlearn.training.distillation import Distillation
from muxlearn.training.optimizers import Optimizer

__all__ = ["flatten", "unflatten"]

#: What a parameter may be, by the names that stand for it in a saved folder.
_KINDS: dict[str, dict[str, type]] = {
    "architecture": {**TEXT_ARCHITECTURES, **IMAGE_ARCHITECTURES, Trunk.name: Trunk},
    "backbone": {kind.name: kind for kind in (Scratch, Published)},
    "objective": {Distillation.name: Distillation},
    "optimizer": {"optimizer": Optimizer},
}


def flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in which objects have become names, and parameters of their own.

    Parameters
    ----------
    params : mapping of str to object
        As ``get_params(deep=False)`` gives them.

    Returns
    -------
    dict
        An object's parameters as ``name__parameter``.
    """
    flat: dict[str, Any] = {}
    for name, value in params.items():
        kinds = _KINDS.get(name, {})
        kind = next((kind for kind, cls in kinds.items() if type(value) is cls), None)
        if kind is None:
            flat[name] = value
            continue
        flat[name] = kind
        flat |= {f"{name}__{inner}": v for inner, v in value.get_params(deep=False).items()}
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `flatten`.

    Parameters
    ----------
    flat : mapping of str to object

    Returns
    -------
    dict
        A name without parameters stays a name.
    """
    params = {name: value for name, value in flat.items() if "__" not in name}
    for name, kinds in _KINDS.items():
        start = f"{name}__"
        inner = {n.removeprefix(start): v for n, v in flat.items() if n.startswith(start)}
        if inner:
            params[name] = kinds[params[name]](**inner)
    return params
