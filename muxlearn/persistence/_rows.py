"""Matrices whose rows are bytes times a number each, kept as such without loss.

The token table of the packaged encoder is made of such rows, and a training changes those of the
tokens that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["expand_rows", "shrink_rows"]

#: Ends of the names of what a matrix is kept as: the rows that are bytes, the scale of each row,
#: NaN where it is not among them, and the others.
_BYTES, _SCALE, _OTHERS = ".bytes", ".scale", ".others"

#: Smaller matrices are kept as they are.
_LEAST = 2**16


def shrink_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the form in which a file keeps them.

    Parameters
    ----------
    tensors : mapping of str to Tensor

    Returns
    -------
    dict of str to Tensor
        In the place of a large float32 matrix with rows that are bytes times a float16: these
        bytes, the scales, and the rows that are not, if any.
    """
    shrunk: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.ndim != 2 or tensor.numel() < _LEAST:
            shrunk[name] = tensor
            continue
        scale = (tensor.abs().amax(1, keepdim=True) / 127).half()
        rows = (tensor / scale.float()).round().nan_to_num().to(torch.int8)
        restored = rows * scale.float()
        # Bit by bit: -0 is not 0.
        same = restored.view(torch.int32) == tensor.view(torch.int32)
        exact = same.all(1) & scale.isfinite().squeeze(1)
        if not exact.any():
            shrunk[name] = tensor
            continue
        shrunk[name + _BYTES] = rows[exact]
        shrunk[name + _SCALE] = torch.where(exact[:, None], scale, torch.nan)
        if not exact.all():
            shrunk[name + _OTHERS] = tensor[~exact]
    return shrunk


def expand_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `shrink_rows`.

    Parameters
    ----------
    tensors : mapping of str to Tensor

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    KeyError, ValueError
        The parts of a matrix do not belong together; the message names it.
    """
    expanded: dict[str, Tensor] = {}
    names = [name.removesuffix(_BYTES) for name in tensors if name.endswith(_BYTES)]
    parts = {name + end for name in names for end in (_BYTES, _SCALE, _OTHERS)}
    for name, tensor in tensors.items():
        if name not in parts:
            expanded[name] = tensor
    for name in names:
        rows, scale = tensors[name + _BYTES], tensors[name + _SCALE]
        others = tensors.get(name + _OTHERS, torch.empty(0, *rows.shape[1:]))
        kept = scale.isnan().flatten()
        shapes = [tuple(part.shape) for part in (rows, scale, others)]
        n_others, width = int(kept.sum()), rows.shape[-1] if rows.ndim else 0
        n_rows = len(kept) - n_others
        if shapes != [(n_rows, width), (len(kept), 1), (n_others, width)]:
            raise ValueError(f"the parts of {name!r} have the shapes {shapes}")
        whole = torch.empty(len(kept), width)
        whole[~kept] = rows.float() * scale[~kept].float()
        whole[kept] = others
        expanded[name] = whole
    return expanded
