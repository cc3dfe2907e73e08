"""Images that are ready to be mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muxlearn.rows._tables import RowTable

__all__ = ["ImageTable"]


class ImageTable(RowTable):
    """Images that are ready to be mixed.

    Parameters
    ----------
    images : ndarray of uint8 or float32, shape (n_rows, channels, height, width)
    normalise : callable
        Brings pixels to mean 0 and variance 1.
    transform : callable, default=None
        Makes a variant of one image in training: takes and returns a tensor of shape (channels,
        height, width).
    """

    def __init__(
        self,
        images: NDArray[Any],
        normalise: Callable[[NDArray[Any]], NDArray[np.float32]],
        transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
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
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        if self.transform is None:
            return self.inputs(rows, counted)
        images = torch.from_numpy(self.images[rows.ravel()])
        variants = [self.transform(image) for image in images]
        for variant in variants:
            if not isinstance(variant, torch.Tensor) or variant.shape != images.shape[1:]:
                shape = getattr(variant, "shape", type(variant).__name__)
                raise ValueError(
                    f"`augment` turned an image of shape {tuple(images.shape[1:])} into {shape}; "
                    "it must return a tensor of the same shape (channels, height, width)"
                )
        varied = torch.stack(variants).numpy()
        return {"images": self.normalise(varied.reshape(*rows.shape, *varied.shape[1:]))}
