"""Parameters and labels in a form that JSON keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["decode_labels", "decode_params", "encode_labels", "encode_params", "plain"]


def encode_params(params: dict[str, Any]) -> dict[str, Any]:
    """Bring parameters into a form that JSON keeps; what is no data is left out.

    Parameters
    ----------
    params : dict
        As `get_params` gives them.

    Returns
    -------
    dict
        Without callbacks, functions, modules and random number generators, which are not data, and
        without tensors and tokenizers, which have files of their own, and other estimators. A class
        of `torch.optim` is its name; without another class its parameters are left out as well.
    """
    encoded = {}
    # The parameters of an optimizer of the user's would be read as those of another.
    lost = tuple(name.removesuffix("kind") for name in params if _is_own_kind(name, params[name]))
    for name, value in params.items():
        if f"{name}__".startswith(lost):
            continue
        if _is_torch_optimizer(value):
            value = value.__name__
        if name == "callbacks" or callable(value) or hasattr(value, "get_state"):
            continue
        if hasattr(value, "encode_batch") or hasattr(value, "get_params"):
            continue
        if isinstance(value, Mapping) and any(map(torch.is_tensor, value.values())):
            continue
        encoded[name] = plain(value)
    return encoded


def _is_own_kind(name: str, value: Any) -> bool:
    return name.endswith("__kind") and callable(value) and not _is_torch_optimizer(value)


def _is_torch_optimizer(value: Any) -> bool:
    return isinstance(value, type) and getattr(torch.optim, value.__name__, None) is value


def decode_params(encoded: dict[str, Any]) -> dict[str, Any]:
    """Undo `encode_params`.

    Raises
    ------
    ValueError
        A value is none that `encode_params` has returned.
    """
    params = {}
    for name, value in encoded.items():
        try:
            params[name] = _restored(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"`{name}` is {value!r}, which is no parameter") from error
    return params


def _restored(value: Any) -> Any:
    """Undo `plain`."""
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "pairs" in value:
        return {_restored(key): _restored(item) for key, item in value["pairs"]}
    return tuple(map(_restored, value["tuple"]))


def plain(value: Any) -> Any:
    """Bring a value into a form that JSON keeps, tuples and the keys of dicts included."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"tuple": [plain(item) for item in value]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {"pairs": [[plain(key), plain(item)] for key, item in value.items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)  # a path or a torch device


def encode_labels(labels: NDArray) -> dict[str, Any]:
    """Bring labels into a form that JSON keeps.

    Parameters
    ----------
    labels : ndarray of shape (n_classes,)

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        A label is neither a string, a number nor a bool.
    """
    values = labels.tolist()
    strange = [value for value in values if not isinstance(value, str | bool | int | float)]
    if strange:
        raise TypeError(
            f"the label {strange[0]!r} is of type {type(strange[0]).__name__}; a saved folder "
            "keeps strings, numbers and bools: relabel, or use joblib.dump"
        )
    return {"dtype": labels.dtype.str if labels.dtype != object else "object", "values": values}


def decode_labels(encoded: dict[str, Any]) -> NDArray:
    """Undo `encode_labels`.

    Raises
    ------
    ValueError
        The labels are not of their type, or one is there twice.
    """
    values, dtype = encoded["values"], encoded["dtype"]
    try:
        labels = np.array(values, dtype=dtype)
        is_same = labels.ndim == 1 and labels.dtype.kind in "biufUO" and labels.tolist() == values
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"`labels` {values!r} are not of `labels.dtype` {dtype!r}") from error
    if not is_same:
        raise ValueError(f"`labels.values` {values!r} are not of `labels.dtype` {dtype!r}")
    if len(set(values)) < len(values):
        raise ValueError(f"`labels.values` {values!r} holds one label twice")
    return labels
