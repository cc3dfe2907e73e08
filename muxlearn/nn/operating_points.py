"""Networks on images whose batch statistics are kept apart for each operating point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch import Tensor

from muxlearn.nn.module import MuxModule
from muxlearn.nn.wideresnet import FoldedConvNorm, OperatingPointNorm

__all__ = ["OperatingPointModule"]


class OperatingPointModule(MuxModule):
    """Base class of networks with an `OperatingPointNorm`.

    Parameters
    ----------
    n_mux : int
        Number of slots, the capacity.
    operating_points : sequence of int, default=None
        The `n_mux` that have batch statistics of their own. Any other uses those of the nearest,
        of the larger one if two are. None stands for the capacity alone.

    Attributes
    ----------
    operating_points : tuple of int

    Raises
    ------
    ValueError
        For a number of slots or an operating point that is not allowed.
    """

    def __init__(self, n_mux: int, operating_points: Sequence[int] | None = None) -> None:
        super().__init__()
        if n_mux < 1:
            raise ValueError(f"n_mux={n_mux} must be at least 1")
        self.n_mux = n_mux
        self.operating_points = _check_operating_points(operating_points, n_mux)

    def nearest_point(self, n_mux: int) -> int:
        """Return the number of the operating point whose statistics `n_mux` uses."""
        points = self.operating_points
        return min(range(len(points)), key=lambda i: (abs(points[i] - n_mux), -points[i]))

    @torch.no_grad()
    def recalibrate(self, batches: Iterable[Tensor], n_mux: int | None = None) -> None:
        """Estimate the batch statistics of one operating point anew.

        Needed where an operating point was not trained, or its statistics lag behind the weights.

        Parameters
        ----------
        batches : iterable of Tensor of shape (n_mixtures * n_mux, in_channels, height, width)
            Training images, as `forward` takes them; all batches count alike.
        n_mux : int, default=None
            The operating point; None stands for the capacity.

        Raises
        ------
        ValueError
            If `n_mux` is not an operating point, or there are no batches.
        RuntimeError
            If the statistics are folded into the convolutions, as `for_inference` does.
        """
        n_places = self.n_mux if n_mux is None else n_mux
        if n_places not in self.operating_points:
            raise ValueError(
                f"n_mux={n_places} has no statistics of its own; operating_points are "
                f"{self.operating_points}"
            )
        if any(isinstance(module, FoldedConvNorm) for module in self.modules()):
            raise RuntimeError("a model prepared for inference cannot be recalibrated")
        norms = [module for module in self.modules() if isinstance(module, OperatingPointNorm)]
        momenta = [norm.momentum for norm in norms]
        modes = [(module, module.training) for module in self.modules()]
        remaining = iter(batches)
        first = next(remaining, None)
        if first is None:
            raise ValueError("batches is empty: recalibrating needs one batch at least")
        for norm in norms:
            norm.reset(self.operating_points.index(n_places))
            norm.momentum = None
        try:
            # As in a prediction, whose dropout is off, but for the statistics; the network itself
            # takes a batch whole where it trains.
            self.eval()
            for module in (self, *norms):
                module.training = True
            for images in chain([first], remaining):
                self(images, n_places)
        finally:
            for module, mode in modes:
                module.training = mode
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def _check_operating_points(points: Sequence[int] | None, n_mux: int) -> tuple[int, ...]:
    points = (n_mux,) if points is None else tuple(points)
    if not points or len(set(points)) < len(points) or not all(1 <= p <= n_mux for p in points):
        raise ValueError(
            f"operating_points={points} must be different numbers from 1 to {n_mux}, the "
            "capacity, one at least"
        )
    return points
