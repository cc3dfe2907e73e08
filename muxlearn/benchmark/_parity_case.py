"""Recorded cases: how they are read and compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

__all__ = ["below", "load_case", "max_error", "relative_error"]


def load_case(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Read one case.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    config : dict
        The model's configuration.
    state_dict : dict of str to Tensor
    tensors : dict of str to Tensor
        The case's ``input.*`` and ``output*.*``.
    """
    case = json.loads(path.read_text(encoding="utf-8"))
    tensors = load_file(path.with_suffix(".safetensors"))
    state_dict = below(tensors, "weight")
    for name, n_rows in case.get("sparse_rows", {}).items():
        # Stored by rows: all others are 0.
        rows = tensors[f"weight_rows.{name}"]
        state_dict[name] = rows.new_zeros(n_rows, *rows.shape[1:])
        state_dict[name][tensors[f"weight_ids.{name}"]] = rows
    recorded = {k: v for k, v in tensors.items() if k.startswith(("input.", "output"))}
    return case["config"], state_dict, recorded


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix and a point, without both."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def max_error(ours: Tensor | None, theirs: Tensor) -> float:
    """Return the largest absolute difference.

    Parameters
    ----------
    ours : Tensor or None
        None if there is nothing to compare with.
    theirs : Tensor

    Returns
    -------
    float
        Infinity if the shapes differ, NaN if one tensor only has a NaN somewhere.
    """
    if ours is None or ours.shape != theirs.shape:
        return math.inf
    if not theirs.numel():
        return 0.0
    difference = (ours.double() - theirs.double()).abs()
    return difference.masked_fill(torch.isnan(ours) & torch.isnan(theirs), 0.0).max().item()


def relative_error(ours: Tensor | None, theirs: Tensor) -> float:
    """Return the largest difference; beside a number above 1, relative to that.

    A long sum, over a vocabulary say, is rounded otherwise by each kind of processor.

    Parameters
    ----------
    ours, theirs
        Tensors that `max_error` compares.

    Returns
    -------
    float
    """
    return max_error(ours, theirs) / max(1.0, theirs.abs().max().item())
