"""Bounds of what a folder may ask for: its configuration names sizes, its tensors show them."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from muxlearn.persistence._config import FormatError

__all__ = ["bounded_by", "check_sizes", "told_with_sizes"]

#: How many times what the file holds may be made while a module is built, which initialises weights
#: and holds tables that no file does, and what may be made in any case.
_FACTOR, _N_VALUES, _N_TENSORS = 4, 2**22, 2_000

#: Lengths to which rows are cut; nothing is as large as they are.
_LENGTHS = ("max_length", "lexical_length", "model_max_length")

_CONSTRUCTORS = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint),
    *(torch.arange, torch.linspace, torch.eye, torch.randperm, torch.empty_strided),
    *(torch.normal, torch.tril_indices, torch.triu_indices),
}

_innermost = threading.local()


def check_sizes(config: Mapping[str, Any], shapes: Iterable[Iterable[int]]) -> None:
    """Raise for a number that is not finite, or a size that is larger than all tensors together.

    Parameters
    ----------
    config : mapping of str to object
        Only what holds sizes.
    shapes : iterable of iterable of int
        The shapes of the tensors.

    Raises
    ------
    ValueError
        Names the entry.
    """
    n_values = _count(shapes)
    for path, value in _numbers(config, ""):
        if not -math.inf < value < math.inf:
            raise ValueError(f"`{path}` is {value}, which is no finite number")
        name = path.rpartition(".")[2]
        if value < 0 and (name.startswith("num_") or name.endswith("_size")):
            raise ValueError(f"`{path}` is {value}, below 0")
        is_size = isinstance(value, int) and not path.endswith(_LENGTHS)
        if is_size and abs(value) > max(_N_VALUES, n_values):
            raise ValueError(
                f"`{path}` is {value}, but the weights are {n_values} numbers in all; the "
                "configuration is of another model"
            )


@contextlib.contextmanager
def told_with_sizes(config: Mapping[str, Any]) -> Iterator[None]:
    """Let an error of a module that does not fit its tensors say where its sizes come from.

    Parameters
    ----------
    config : mapping of str to object
        Only what holds sizes.

    Raises
    ------
    ValueError
        In the place of what sizes make torch and transformers raise.
    """
    try:
        yield
    except (FormatError, ImportError, OSError):
        raise
    except Exception as error:  # of torch and transformers
        largest = sorted(_numbers(config, ""), key=lambda size: -abs(size[1]))[:3]
        raise ValueError(
            f"{type(error).__name__}: {error}. Sizes are given by "
            f"{', '.join(f'`{name}`' for name in config)}; the largest are "
            f"{', '.join(f'`{path}` {value}' for path, value in largest)}"
        ) from error


@contextlib.contextmanager
def bounded_by(shapes: Iterable[Iterable[int]] | None) -> Iterator[None]:
    """Let no module be built that is much larger than the tensors that it is to take.

    Parameters
    ----------
    shapes : iterable of iterable of int, or None
        The shapes of the tensors. None sets no bound, nor does one around this hold inside.

    Raises
    ------
    ValueError
        At the first tensor beyond the bound, before its memory is asked for.
    """
    outer = getattr(_innermost, "bound", None)
    shapes = None if shapes is None else [tuple(shape) for shape in shapes]
    bound = None if shapes is None else _Bound(len(shapes), _count(shapes))
    _innermost.bound = bound
    try:
        with bound or contextlib.nullcontext():
            yield
    finally:
        _innermost.bound = outer


class _Bound(TorchFunctionMode):
    """Counts the tensors that are made, and their numbers."""

    def __init__(self, n_tensors: int, n_values: int) -> None:
        super().__init__()
        self.n_tensors, self.n_values = n_tensors, n_values
        self.tensors_left = _FACTOR * n_tensors + _N_TENSORS
        self.values_left = _FACTOR * n_values + _N_VALUES

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _CONSTRUCTORS and _innermost.bound is self:
            self._count(func, args, kwargs)
        return func(*args, **kwargs)

    def _count(self, func: Any, args: Any, kwargs: Any) -> None:
        if kwargs.get("out") is not None:
            return
        without = {name: value for name, value in kwargs.items() if name != "generator"}
        # A tensor without memory has the shape that one with memory would have.
        self.values_left -= func(*args, **{**without, "device": "meta"}).numel()
        self.tensors_left -= 1
        if self.values_left < 0 or self.tensors_left < 0:
            raise ValueError(
                "the configuration describes more weights than there are in the file "
                f"({self.n_values} in {self.n_tensors} tensors); it is of another model"
            )


def _count(shapes: Iterable[Iterable[int]]) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes)


def _numbers(value: Any, path: str) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, int | float):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, path)
