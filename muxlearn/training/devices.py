"""Device and precision of an estimator's computations."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch

from muxlearn.training.workers import share_of, worker_number

__all__ = ["available", "choose_device", "choose_dtype", "explain_out_of_memory", "seeded"]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(device: object) -> torch.device:
    """Return the device that the parameter `device` stands for.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a GPU where there is one.

    Raises
    ------
    TypeError, ValueError
        It is no device, or none that torch can compute on here.
    """
    if isinstance(device, str) and device == "auto":
        return _own_gpu() if torch.cuda.is_available() else torch.device("cpu")
    if not isinstance(device, str | torch.device):
        raise TypeError(
            "`device` must be 'auto', the name of a torch device or a torch.device, got "
            f"{device!r} ({type(device).__name__})"
        )
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"`device` {device!r} is not a torch device; use 'auto', 'cpu', 'cuda' or 'cuda:1'"
        ) from error
    try:
        torch.zeros((), device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"`device` is {str(device)!r}, but torch cannot compute on such a device "
            "here; use 'cpu', or 'auto' to take a GPU where there is one"
        ) from error
    return found


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the precision of prediction that the parameter `dtype` stands for.

    Parameters
    ----------
    dtype : str
        "auto" is bfloat16 on a GPU and float32 elsewhere.
    device : torch.device

    Raises
    ------
    ValueError
        The device cannot compute in it.
    """
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype == "float16" and device.type == "cpu":
        raise ValueError("`dtype` 'float16' needs a GPU; on a CPU use 'bfloat16' or 'float32'")
    return _DTYPES[dtype]


def available(device: Any, dtype: str) -> tuple[Any, str]:
    """Return a device and a precision that were saved, each "auto" where this machine lacks it.

    Parameters
    ----------
    device : str or torch.device
    dtype : str

    Returns
    -------
    device : str or torch.device
    dtype : str
    """
    try:
        place = choose_device(device)
    except ValueError:
        device = "auto"
        place = choose_device(device)
    return device, "auto" if dtype == "float16" and place.type == "cpu" else dtype


def _own_gpu() -> torch.device:
    """Return the GPU that is left to torch's choice, or in one of several workers its share."""
    index = share_of(worker_number(), torch.cuda.device_count())
    return torch.device("cuda") if index is None else torch.device("cuda", index)


@contextlib.contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Add advice to the error if the GPU has too little memory for the block.

    Parameters
    ----------
    advice : str
        What can be lowered.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"the GPU has too little memory for a batch; {advice}. ({error})"
        ) from error


@contextlib.contextmanager
def plain_torch() -> Iterator[None]:
    """Undo, inside the block, what a caller has set for all of torch.

    That is inference mode, automatic precision, and another default type or device.
    """
    # torch.get_default_device() fails before torch 2.9 once the default was set to None.
    device = torch.empty(0).device
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_single_precision())
        yield


_CHANGES = threading.Lock()
#: The caller's default type, once for each block that runs where it is another.
_CALLERS: list[torch.dtype] = []


@contextlib.contextmanager
def _single_precision() -> Iterator[None]:
    """Make float32 the default type inside the block.

    Torch has one for all threads: the first block to begin sets it, and the last to end puts back
    what the caller had, or a training would go on in another type after a prediction beside it.
    """
    if not _CALLERS and torch.get_default_dtype() == torch.float32:
        yield
        return
    with _CHANGES:
        _CALLERS.append(_CALLERS[0] if _CALLERS else torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _CHANGES:
            if len(_CALLERS) == 1:
                torch.set_default_dtype(_CALLERS[0])
            _CALLERS.pop()


#: Torch has one generator for a device, so that two trainings at once would draw from each other's.
_SEEDED = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and put its generators back afterwards.

    Blocks of several threads run one after the other, and what a caller has set for all of torch
    has no part in them (`plain_torch`).

    Parameters
    ----------
    seed : int
    device : torch.device
        The device whose generator is used besides the CPU's.
    """
    devices = [device] if device.type == "cuda" else []
    with _SEEDED, plain_torch(), torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed, which seeds all GPUs, also those that are not put back.
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
