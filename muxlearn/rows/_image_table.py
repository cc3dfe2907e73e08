"""Images that are ready to be mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.rows._tables import RowTable
from muxlearn.rows._variants import Transform, vary

__all__ = ["ImageTable"]


class ImageTable(RowTable):
    """Images that are ready to be mixed.

    Parameters
    ----------
    images : ndarray of uint8 or float32, shape (n_rows, channels, height, width)
    normalise : callable
        Brings pixels to mean 0 and variance 1.
    transform : RandomCrops or callable, default=None
        Makes variants of images in training. A callable takes and returns a tensor of shape
        (channels, height, width).
    """

    def __init__(
        self,
        images: NDArray[Any],
        normalise: Callable[[NDArray[Any]], NDArray[np.float32]],
        transform: Transform | None = None,
    ) -> None:
        self.images = images
        self.normalise = normalise
        self.transform = transform
        self.lengths = np.ones(len(images), np.int64)

    def inputs(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        return {"images": self.normalise(self.images[rows])}

    def training_inputs(
        self, rows: NDArray[np.int64], seed: Sequence[int]
    ) -> dict[str, NDArray[Any]]:
        if self.transform is None:
            return self.inputs(rows)
        varied = vary(self.images[rows.ravel()], self.transform, seed)
        return {"images": self.normalise(varied.reshape(*rows.shape, *varied.shape[1:]))}
