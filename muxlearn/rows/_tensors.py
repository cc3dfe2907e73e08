"""Tensors that users bring, as arrays of numpy."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["from_tensor"]


def from_tensor(value: Any, where: str) -> Any:
    """Return a tensor as an array, and anything else as it is.

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
    """
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
