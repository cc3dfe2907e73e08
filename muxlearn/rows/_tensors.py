"""Tensors and masked arrays that users bring, as plain arrays of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["as_plain"]


def as_plain(value: Any, where: str) -> Any:
    """Return a tensor as an array, a masked array without its mask, anything else as it is.

    Parameters
    ----------
    value : object
    where : str
        What to call it in an error.

    Returns
    -------
    object

    Raises
    ------
    TypeError
        The tensor has no data, or is of a kind that numpy does not have.
    ValueError
        A value is masked.
    """
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(value, where)
    if not isinstance(value, torch.Tensor):
        return value
    if value.is_meta:
        raise TypeError(f"{where} is a tensor on the device 'meta', which holds no data")
    if value.layout != torch.strided:
        value = value.to_dense()
    value = value.detach().cpu()
    try:
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy(force=True)
    except (RuntimeError, TypeError) as error:
        raise TypeError(f"{where} is a tensor that cannot become an array ({error})") from error


def _unmasked(value: np.ma.MaskedArray, where: str) -> NDArray[Any]:
    masked = np.ma.getmaskarray(value)
    if masked.any():
        row = np.argwhere(masked)[0][0] if value.ndim else 0
        raise ValueError(f"row {row} of {where} is missing (masked); leave the row out")
    return value.data
