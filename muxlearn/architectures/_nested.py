"""Parameters that are objects, as names and parameters of their own, and back."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from muxlearn.architectures._registry import (
    IMAGE_ARCHITECTURES,
    TEXT_ARCHITECTURES,
    make_architecture,
)
from muxlearn.architectures._trunk import Trunk
from muxlearn.backbones import SCRATCH, Packaged, Published, Scratch
from muxlearn.training.corruption import MaskedTokens, ReplacedTokens
from muxlearn.training.distillation import Distillation
from muxlearn.training.optimizers import Optimizer, make_optimizer
from muxlearn.training.pretraining_tasks import OBJECTIVES, make_pretraining_task

__all__ = ["as_object", "check_registered", "flatten", "unflatten"]

#: What a parameter may be, by the names that stand for it in a saved folder. A view of the
#: registries: what is registered later is known here too.
_KINDS: dict[str, Mapping[str, type]] = {
    "architecture": ChainMap(TEXT_ARCHITECTURES, IMAGE_ARCHITECTURES, {Trunk.name: Trunk}),
    "backbone": {kind.name: kind for kind in (Packaged, Scratch, Published)},
    "objective": {kind.name: kind for kind in (Distillation, MaskedTokens, ReplacedTokens)},
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
        kinds = _KINDS.get(name, {}).items()
        kind = next((kind for kind, cls in kinds if type(value) is cls), None)
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

    Raises
    ------
    TypeError, ValueError
        There is no such object, or it has no such parameter.
    """
    params = {name: value for name, value in flat.items() if "__" not in name}
    for name, kinds in _KINDS.items():
        start = f"{name}__"
        inner = {n.removeprefix(start): v for n, v in flat.items() if n.startswith(start)}
        if inner:
            if not isinstance(given := params.get(name), str) or given not in kinds:
                raise ValueError(f"`{name}` is {given!r}, which has none of {', '.join(inner)}")
            params[name] = kinds[given](**inner)
    return params


def check_registered(name: str) -> None:
    """Raise where a saved folder could not be loaded, as no registry has its architecture.

    Parameters
    ----------
    name : str
        `Architecture.name`.

    Raises
    ------
    ValueError
    """
    if name not in _KINDS["architecture"]:
        raise ValueError(
            f"the architecture {name!r} is neither in TEXT_ARCHITECTURES nor in "
            "IMAGE_ARCHITECTURES of muxlearn.architectures, where a saved folder looks it up; add "
            "its class, or keep the estimator with joblib"
        )


def as_object(name: str, value: Any, *, image: bool = False) -> Any:
    """Return the object with parameters of its own that a parameter's value stands for.

    Parameters
    ----------
    name : str
        The name of the estimator's parameter.
    value : object
    image : bool, default=False
        Whether the estimator is one of images.

    Returns
    -------
    object
        The value itself where it is such an object.

    Raises
    ------
    ValueError
        It stands for nothing that has parameters.
    """
    if hasattr(value, "get_params"):
        return value
    if name == "architecture":
        return make_architecture(value, image=image)
    if name == "backbone" and value == SCRATCH:
        return Scratch()
    if name == "optimizer":
        return make_optimizer(value)
    if name == "objective" and value in OBJECTIVES and value != "retrieval":
        return make_pretraining_task(value)
    raise ValueError(
        f"`{name}` is {value!r}, which has no parameters of its own"
        + (
            "; set backbone='scratch' first, or give Packaged(…) or Scratch(…)"
            if name == "backbone"
            else ""
        )
    )
