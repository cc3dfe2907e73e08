"""Runs a torch module on mixtures, as fast as it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from muxlearn.nn.module import MuxModule, weights_digest
from muxlearn.points import WORDS, Point
from muxlearn.training.devices import explain_out_of_memory, plain_torch

__all__ = ["Copies", "Run", "Runner", "TorchRunner"]

#: Takes inputs, each of shape (n_mixtures, n_mux, ...), and returns outputs of shape
#: (n_answers, n_outputs), in single precision on the CPU.
Run = Callable[[Mapping[str, NDArray[Any]]], Tensor]


class Runner(Protocol):
    """Runs a network on mixtures."""

    @property
    def n_mux(self) -> int:
        """Maximum number of rows in a mixture."""
        ...

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Tokens of a row that may share a position; the first is the model's own choice."""
        ...

    @property
    def own_point(self) -> Point:
        """The point where nothing else is said."""
        ...

    def round_point(self, point: Point) -> Point:
        """Return the point with the number of rows nearest below that the network can mix.

        Raises
        ------
        ValueError
            There is none.
        """
        ...

    def start(self, point: Point) -> Run:
        """Return a function that runs the network on batches of mixtures."""
        ...

    def fingerprint(self) -> str:
        """Return a digest of all that decides what the network answers."""
        ...


class Copies:
    """Holds a copy of a module that is ready to predict; it never enters a pickle."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._model: MuxModule | None = None

    def get(
        self, module: MuxModule, dtype: torch.dtype, device: torch.device, compile: bool
    ) -> MuxModule:
        """Return `module` folded for inference, in `dtype`, on `device`."""
        # Changes raise versions, and new values by `.data` or `vector_to_parameters` are elsewhere.
        # What is written into `.data` leaves no trace.
        tensors = chain(module.parameters(), module.buffers())
        weights = tuple((tensor.data_ptr(), _version(tensor)) for tensor in tensors)
        key = (id(module), weights, dtype, str(device), compile)
        if self._model is None or key != self._key:
            with plain_torch():
                model = module.for_inference(dtype).to(device)
            if compile:
                model.compile(dynamic=True)
            self._key, self._model = key, model
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {"_key": None, "_model": None}


def _version(tensor: Tensor) -> int | None:
    """Return what each change raises; what was made in inference mode has none, nor changes."""
    return None if tensor.is_inference() else tensor._version


class TorchRunner:
    """Runs a copy of a torch module that is folded for inference.

    Parameters
    ----------
    module : MuxModule
        Stays as it is; a copy is made when it is needed, and again when its weights change.
    dtype : torch.dtype, default=torch.float32
    device : torch.device or str, default="cpu"
    compile : bool, default=False
        Whether to run through `torch.compile`.
    memory_advice : str, default="lower `batch_size` (mixtures in a batch)"
        What to do where the memory of a GPU is too small.
    copies : Copies, default=None
        Where copies are kept for other runners of the same module.
    penultimate : bool, default=False
        Whether outputs are what the module's last layer reads.
    by_words : bool, default=False
        Whether the words alone are the point where nothing else is said.
    """

    def __init__(
        self,
        module: MuxModule,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        compile: bool = False,
        memory_advice: str = "lower `batch_size` (mixtures in a batch)",
        copies: Copies | None = None,
        penultimate: bool = False,
        by_words: bool = False,
    ) -> None:
        self.penultimate = penultimate
        self.by_words = by_words
        self.module = module
        self.dtype = dtype
        self.device = torch.device(device)
        self.compile = compile
        self.memory_advice = memory_advice
        self._copies = Copies() if copies is None else copies

    @property
    def n_mux(self) -> int:
        """Maximum number of rows in a mixture."""
        return self.module.n_mux

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Tokens of a row that may share a position; the first is the model's own choice."""
        return self.module.patch_sizes

    @property
    def own_point(self) -> Point:
        """The point where nothing else is said: the capacity, with the model's own patch size."""
        own = WORDS if self.by_words else Point(self.n_mux, self.patch_sizes[0])
        return self.round_point(own)

    def round_point(self, point: Point) -> Point:
        """Return the point with the number of rows nearest below that the module can mix."""
        n_mux, patch_size = point
        if point == WORDS:
            if not self.module.answers_by_words:
                raise ValueError(
                    "`n_mux` is 'words', but this model was not trained to answer by the words "
                    "alone; to train one for that, give a classifier, regressor or tagger of "
                    "texts, or a MuxTextPretrainer, 'words' among its `operating_points`"
                )
            return point
        if patch_size not in self.patch_sizes:
            raise ValueError(
                f"`patch_size` is {patch_size}, but this model was built for "
                f"{', '.join(map(str, sorted(self.patch_sizes)))}; to train one for more, "
                "give a classifier, regressor or tagger of texts, or a MuxTextPretrainer, "
                f"({n_mux}, {patch_size}) among its `operating_points`"
            )
        return Point(self.module.round_n_mux(n_mux), patch_size)

    def start(self, point: Point) -> Run:
        """Return a function that runs the module on batches of mixtures."""
        model = self._copies.get(self.module, self.dtype, self.device, self.compile)
        if self.penultimate:
            model = model.without_last_layer()
        weights = next(model.parameters())
        options = {"n_mux": point.n_mux}
        if self.patch_sizes != (1,) or point == WORDS:
            options["patch_size"] = point.patch_size

        def run(inputs: Mapping[str, NDArray[Any]]) -> Tensor:
            tensors = {
                name: _like(torch.from_numpy(values).flatten(0, 1), weights)
                for name, values in inputs.items()
            }
            with (
                plain_torch(),
                torch.inference_mode(),
                explain_out_of_memory(self.memory_advice),
            ):
                return model(**tensors, **options).float().cpu()

        return run

    def fingerprint(self) -> str:
        """Return a digest of the weights and the precision."""
        layer = " penultimate" if self.penultimate else ""
        return f"{weights_digest(self.module)} {self.dtype}{layer}"


def _like(values: Tensor, weights: Tensor) -> Tensor:
    """Bring inputs to the weights' device and, where they are not whole numbers, precision."""
    dtype = weights.dtype if values.is_floating_point() else values.dtype
    return values.to(weights.device, dtype)
