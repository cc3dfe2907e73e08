"""The interface between a multiplexed module and the estimators."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["MuxModule", "weights_digest"]


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of all weights of a module, with their names, shapes and types.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


Self = TypeVar("Self", bound="MuxModule")


class MuxModule(nn.Module):
    """A module that predicts for the rows of mixtures.

    The last linear layer within an attribute called `head` is taken for the layer that answers. A
    network without such an attribute has no `penultimate_size`, and can neither go without its last
    layer nor order its classes.

    Attributes
    ----------
    n_mux : int
        The number of slots, its capacity.
    """

    n_mux: int

    #: How many neighbouring tokens of a row may share a position; the first is the model's own.
    patch_sizes: tuple[int, ...] = (1,)

    #: The link function; the slots of a row are averaged on the scale of its means. One of
    #: `muxlearn.nn.links.LINKS`.
    link: str = "softmax"

    #: Whether the words alone can answer, with no pass of the encoder.
    answers_by_words: bool = False

    #: Beginnings of the names of weights that are no part of a saved model: it only says which
    #: these were, and takes them from where they are kept.
    kept_elsewhere: ClassVar[tuple[str, ...]] = ()

    #: Submodules that may be missing. The names of the saved weights tell which are there.
    optional: ClassVar[tuple[str, ...]] = ()

    #: Whether rows share mixtures in the order in which they come, not with rows of their length.
    in_order: bool = False

    def round_n_mux(self, n_mux: int) -> int:
        """Return the number of rows nearest below that the module can mix.

        Parameters
        ----------
        n_mux : int
            1 to the capacity.

        Returns
        -------
        int
            `n_mux` itself unless the module mixes only some numbers of rows.
        """
        return n_mux

    def for_inference(self: Self, dtype: torch.dtype | None = None) -> Self:
        """Return a copy that predicts only, as fast as it can.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxModule
            In `eval` mode; shares no memory with this module.
        """
        raise NotImplementedError

    @property
    def _last_layer(self) -> nn.Linear | nn.Conv2d | None:
        """The layer that answers, or None where it cannot be told."""
        head = getattr(self, "head", None)
        layers = [] if head is None else [m for m in head.modules() if isinstance(m, nn.Linear)]
        return layers[-1] if layers else None

    def _told_last_layer(self) -> nn.Linear | nn.Conv2d:
        if self._last_layer is None:
            raise ValueError(
                f"a {type(self).__name__} has no last layer that can be told: give it an attribute "
                "`head` whose last linear layer answers"
            )
        return self._last_layer

    @torch.no_grad()
    def start_from(self, outputs: Tensor) -> None:
        """Let a new network answer about the same to any row, such as with what is most frequent.

        Parameters
        ----------
        outputs : Tensor of shape (n_outputs,)
            No effect on a network whose last layer cannot be told.
        """
        layer = self._last_layer
        if layer is not None and layer.bias is not None:
            layer.bias.copy_(outputs)

    @torch.no_grad()
    def order_classes(self, order: Tensor) -> None:
        """Let class `i` be what was class ``order[i]``.

        Parameters
        ----------
        order : Tensor of int, shape (n_classes,)

        Raises
        ------
        ValueError
            The last layer cannot be told.
        """
        for parameter in self._told_last_layer().parameters():
            parameter.copy_(parameter[order])

    @property
    def penultimate_size(self) -> int:
        """Number of values that the last layer reads of a row.

        Raises
        ------
        ValueError
            The last layer cannot be told.
        """
        layer = self._told_last_layer()
        return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels

    def without_last_layer(self: Self) -> Self:
        """Return a module that answers with what the last layer reads; it shares all weights.

        Returns
        -------
        MuxModule
            Runs as it is written, also where this one was compiled.

        Raises
        ------
        ValueError
            The last layer cannot be told.
        """
        model = _without(self, self._told_last_layer())
        model.link = "identity"
        return model

    def _places(self, n_rows: int, n_mux: int | None, what: str = "rows") -> int:
        """Return the number of rows in a mixture, None standing for the capacity.

        Parameters
        ----------
        n_rows : int
        n_mux : int or None
        what : str, default="rows"
            Name of the rows, for the error.

        Raises
        ------
        ValueError
            If `n_mux` exceeds the capacity or does not divide the number of rows.
        """
        n_places = self.n_mux if n_mux is None else n_mux
        if not 1 <= n_places <= self.n_mux:
            raise ValueError(f"n_mux={n_places} is outside of 1 to {self.n_mux}, the capacity")
        if n_rows % n_places:
            raise ValueError(
                f"{n_rows} {what} cannot be divided into mixtures of n_mux={n_places} {what}"
            )
        return n_places


def _without(module: nn.Module, layer: nn.Module) -> Any:
    """Return a module in which one layer passes on what it gets; the others are the same."""
    if all(part is not layer for part in module.modules()):
        return module
    copied = module.__new__(type(module))
    copied.__dict__ = {**module.__dict__, "_compiled_call_impl": None}
    if module is layer:  # its hooks stay: one of them may unbind what it reads
        copied.forward = nn.Identity().forward
    copied._modules = {
        name: None if part is None else _without(part, layer)
        for name, part in module._modules.items()
    }
    return copied
