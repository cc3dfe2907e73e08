"""Where and in which precision an estimator computes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator

from muxlearn._params import Choice, Constraint
from muxlearn.training.workers import share_of, worker_number

__all__ = ["DeviceMixin", "explain_out_of_memory", "seeded"]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class DeviceMixin(BaseEstimator):
    """The parameters `device` and `dtype`."""

    device: str | torch.device
    dtype: str

    #: What a user can lower where the memory of a GPU is too small.
    _memory_advice: ClassVar[str] = "lower `batch_size` (mixtures in a batch)"
    _constraints: ClassVar[dict[str, Constraint]] = {
        "dtype": Choice("auto", "float32", "bfloat16", "float16")
    }

    def _device(self) -> torch.device:
        if isinstance(self.device, str) and self.device == "auto":
            return _own_gpu() if torch.cuda.is_available() else torch.device("cpu")
        if not isinstance(self.device, str | torch.device):
            raise TypeError(
                "`device` must be 'auto', the name of a torch device or a torch.device, got "
                f"{self.device!r} ({type(self.device).__name__})"
            )
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise ValueError(
                f"`device` {self.device!r} is not a torch device; "
                "use 'auto', 'cpu', 'cuda' or 'cuda:1'"
            ) from error
        try:
            torch.zeros((), device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f"`device` is {str(self.device)!r}, but torch cannot compute on such a device "
                "here; use 'cpu', or 'auto' to take a GPU where there is one"
            ) from error
        return device

    def _inference_dtype(self) -> torch.dtype:
        device = self._device()
        if self.dtype == "auto":
            return torch.bfloat16 if device.type == "cuda" else torch.float32
        if self.dtype == "float16" and device.type == "cpu":
            raise ValueError("`dtype` 'float16' needs a GPU; on a CPU use 'bfloat16' or 'float32'")
        return _DTYPES[self.dtype]

    def _autocast_dtype(self) -> torch.dtype | None:
        """Return the precision of training, None for full; gradients overflow in float16."""
        full = self._inference_dtype().itemsize >= 4
        return None if full else torch.bfloat16

    def _settle_device(self) -> None:
        """Take what there is where the device of a loaded estimator is not."""
        try:
            self._device()
        except ValueError:
            warnings.warn(
                f"this estimator was saved with device={str(self.device)!r}, on which torch "
                "cannot compute here; it goes on with device='auto'",
                stacklevel=4,
            )
            self.device = "auto"
        if self.dtype == "float16" and self._device().type == "cpu":
            warnings.warn(
                "this estimator was saved with dtype='float16', which needs a GPU; it goes on "
                "with dtype='auto'",
                stacklevel=4,
            )
            self.dtype = "auto"

    def _explain_out_of_memory(self) -> contextlib.AbstractContextManager[None]:
        return explain_out_of_memory(self._memory_advice)


def _own_gpu() -> torch.device:
    """Return the GPU that is left to torch's choice, or in one of several workers its share."""
    index = share_of(worker_number(), torch.cuda.device_count())
    return torch.device("cuda") if index is None else torch.device("cuda", index)


@contextlib.contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Say what to do where the memory of a GPU is too small for what the block does.

    Parameters
    ----------
    advice : str
        What can be lowered.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"the GPU has not enough memory for a batch; {advice}. ({error})"
        ) from error


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and put its generators back afterwards.

    Parameters
    ----------
    seed : int
    device : torch.device
        The device whose generator is used besides the CPU's.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
