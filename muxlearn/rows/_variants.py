"""Variants of images for a training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["MOST_OF_FRACTIONS", "RandomCrops", "Transform", "vary"]


#: Pixels above it are of another scale than those from 0 to 1.
MOST_OF_FRACTIONS = 16

#: How many times less pixels vary where a transform has brought them to another scale.
_SHRUNK = 30


@dataclass(frozen=True)
class RandomCrops:
    """Shift each image by up to an eighth of its size, and mirror it or not.

    What comes into sight is the image's own border, mirrored.

    Parameters
    ----------
    flip : bool, default=False
        Whether every second image is mirrored from left to right.
    """

    flip: bool = False

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Return a variant of each image.

        Parameters
        ----------
        images : ndarray of shape (n_images, channels, height, width)
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of the same shape and type
        """
        n_images, _, *size = images.shape
        down, right = (side // 8 for side in size)
        padded = np.pad(images, ((0, 0), (0, 0), (down, down), (right, right)), mode="reflect")
        windows = sliding_window_view(padded, tuple(size), axis=(2, 3))
        tops = rng.integers(2 * down + 1, size=n_images)
        lefts = rng.integers(2 * right + 1, size=n_images)
        variants = windows[np.arange(n_images), :, tops, lefts]
        if self.flip:
            flipped = rng.random(n_images) < 0.5
            variants[flipped] = variants[flipped][..., ::-1]
        return variants


#: Makes variants of a batch of images, or takes and returns one as a tensor.
Transform = RandomCrops | Callable[[torch.Tensor], torch.Tensor]


def vary(images: NDArray[Any], transform: Transform, seed: Sequence[int]) -> NDArray[Any]:
    """Return a variant of each image.

    Parameters
    ----------
    images : ndarray of shape (n_images, channels, height, width)
    transform : RandomCrops or callable
        A callable takes and returns a tensor of shape (channels, height, width). What it draws from
        the generators of torch, numpy and Python depends on `seed` alone.
    seed : sequence of int

    Returns
    -------
    ndarray of the same shape

    Raises
    ------
    ValueError
        The transform returned something else.
    """
    if isinstance(transform, RandomCrops):
        return transform(images, np.random.default_rng(seed))
    with _seeded(seed):
        variants = [transform(image) for image in torch.from_numpy(images)]
    for variant in variants:
        if not isinstance(variant, torch.Tensor) or variant.shape != images.shape[1:]:
            shape = getattr(variant, "shape", type(variant).__name__)
            raise ValueError(
                f"`augment` turned an image of shape {tuple(images.shape[1:])} into {shape}; "
                "it must return a tensor of the same shape (channels, height, width)"
            )
    varied = torch.stack(variants).detach()
    varied = varied if varied.dtype == torch.uint8 else varied.float()
    spread = _SHRUNK * varied.float().std()  # 0 where all have turned black
    if images.max() > MOST_OF_FRACTIONS and 0 < spread < images.std():
        raise ValueError(
            f"`augment` brought pixels of up to {images.max():g} to {varied.min():.3g} to "
            f"{varied.max():.3g}, but the training normalises by the images as they came: leave "
            "out scale=True and Normalize, or give images that are scaled already"
        )
    return varied.numpy()


@contextmanager
def _seeded(seed: Sequence[int]) -> Iterator[None]:
    """Seed the CPU's global generators inside the block and put them back afterwards."""
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    kept = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)
        np.random.seed(number)  # noqa: NPY002
        random.seed(number)
        try:
            yield
        finally:
            np.random.set_state(kept[0])  # noqa: NPY002
            random.setstate(kept[1])
