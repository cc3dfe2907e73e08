"""Tensors of the reference under our names, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Config = Mapping[str, Any]
_Config = TypeVar("_Config", bound="PretrainedConfig")

# Sizes of a transformers configuration: the tensor that shows one and its axis.
_SIZES = {
    "vocab_size": ("embeddings.word_embeddings.weight", 0),
    "hidden_size": ("encoder.layer.0.attention.self.query.weight", 0),
    "max_position_embeddings": ("embeddings.position_embeddings.weight", 0),
    "type_vocab_size": ("embeddings.token_type_embeddings.weight", 0),
    "intermediate_size": ("encoder.layer.0.intermediate.dense.weight", 0),
}

_ELECTRA = "electra."


def rename_duplicates(
    state_dict: Mapping[str, Tensor], duplicates: Mapping[str, str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Keep each tensor once.

    Parameters
    ----------
    state_dict : Mapping of str to Tensor
    duplicates : Mapping of str to str
        Beginnings of names of tensors that the reference has twice, and of the name that is kept;
        a file may hold either or both.

    Returns
    -------
    tensors : dict of str to Tensor
        Without the positions that old versions of transformers wrote.
    problems : list of str
        Names whose tensors should be the same and are not.
    """
    tensors: dict[str, Tensor] = {}
    problems = []
    for name, tensor in state_dict.items():
        if name.endswith("embeddings.position_ids"):
            continue
        start = next((start for start in duplicates if name.startswith(start)), "")
        kept = duplicates.get(start, "") + name.removeprefix(start)
        first = tensors.setdefault(kept, tensor)
        if first.shape != tensor.shape or bool((first != tensor).any()):
            problems.append(f"differing: {name} and another copy of {kept}")
    return tensors, problems


def require_axes(
    tensors: Mapping[str, Tensor], kind: str, axes: Mapping[str, tuple[int, ...]]
) -> list[Tensor]:
    """Return the tensors that tell what a model is.

    Parameters
    ----------
    tensors : Mapping of str to Tensor
    kind : str
        Kind of model that is expected, for the error.
    axes : Mapping of str to tuple of int
        Names and the numbers of axes that are allowed.

    Returns
    -------
    list of Tensor

    Raises
    ------
    ValueError
        If one is not there or has another number of axes.
    """
    found = [tensors.get(name) for name in axes]
    allowed = [" or ".join(map(str, numbers)) for numbers in axes.values()]
    shown = ", ".join(f"{name} {_show_shape(t)}" for name, t in zip(axes, found, strict=True))
    kept = [t for t, n in zip(found, axes.values(), strict=True) if t is not None and t.ndim in n]
    if len(kept) < len(axes):
        needed = " and ".join(f"{name} ({n} axes)" for name, n in zip(axes, allowed, strict=True))
        raise ValueError(f"not a {kind}, which holds {needed}; the shapes here: {shown}")
    return kept


def with_sizes(config: Config, tensors: Mapping[str, Tensor], start: str) -> dict[str, Any]:
    """Return a configuration that has the sizes of the tensors.

    Parameters
    ----------
    config : Mapping
        Entries that the tensors do not tell, or that stand in where tensors are missing.
    tensors : Mapping of str to Tensor
    start : str
        Beginning of the names of the backbone's tensors.

    Returns
    -------
    dict
    """
    sizes: dict[str, Any] = {}
    read = dict(_SIZES)
    if start == _ELECTRA:  # whose embeddings may be narrower than its layers
        read["embedding_size"] = ("embeddings.word_embeddings.weight", 1)
    for key, (name, axis) in read.items():
        tensor = tensors.get(start + name)
        if tensor is not None and tensor.ndim == 2:
            sizes[key] = tensor.shape[axis]
    if n_layers := count_layers(tensors, start + "encoder.layer.{}.output.dense.weight", 0):
        sizes["num_hidden_layers"] = n_layers
    return {**config, **sizes}


def backbone_config(config_class: type[_Config], config: Config) -> _Config:
    """Return a checkpoint's configuration for a backbone.

    Pre-trained checkpoints ask for attention weights, which not every implementation of attention
    can give.
    """
    quiet = {"output_attentions": False, "output_hidden_states": False}
    return config_class.from_dict({**config, **quiet})


def count_layers(names: Iterable[str], pattern: str, first: int) -> int:
    """Count the names ``pattern.format(j)`` for ``j = first, first + 1, …`` without a gap."""
    names = set(names)
    n_layers = 0
    while pattern.format(first + n_layers) in names:
        n_layers += 1
    return n_layers


def rename_parameters(model: nn.Module, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return views of the parameters under the reference's names.

    Parameters
    ----------
    model : Module
    names : Mapping of str to str
        Beginnings of our names, the first that fits counts, and what the reference has in their
        place; ``{slot}`` stands for one tensor for each slot where ours stacks them.

    Returns
    -------
    dict of str to Tensor
    """
    tensors = {}
    for ours, parameter in model.named_parameters():
        start = next(start for start in names if ours.startswith(start))
        theirs = names[start] + ours.removeprefix(start)
        if "{slot}" in theirs:
            tensors.update({theirs.format(slot=i): view for i, view in enumerate(parameter)})
        else:
            tensors[theirs] = parameter
    return tensors


@torch.no_grad()
def copy_tensors(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], problems: list[str], what: str
) -> None:
    """Copy tensors of the same names.

    Parameters
    ----------
    expected : Mapping of str to Tensor
        Written to.
    given : Mapping of str to Tensor
    problems : list of str
        Problems that are already known.
    what : str
        Name of what the tensors should be, for the error.

    Raises
    ------
    ValueError
        Lists all that is missing, unexpected or mis-shaped.
    """
    problems = [f"missing: {name}" for name in expected if name not in given] + problems
    problems += [f"unexpected: {name}" for name in given if name not in expected]
    problems += [
        f"mis-shaped: {name} is {_show_shape(given[name])}, not {_show_shape(tensor)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        raise ValueError(f"the tensors do not fit {what}:\n  " + "\n  ".join(problems))
    for name, tensor in expected.items():
        tensor.copy_(given[name])


def _show_shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))
