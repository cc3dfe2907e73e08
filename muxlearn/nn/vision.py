"""The multilayer perceptron and the convolutional network of DataMUX's vision study.

The images of a mixture become one image (`muxlearn.nn.image_multiplex`), a small network reads it
once, and a head for each slot classifies that slot's image (Murahari et al., NeurIPS 2022; notebook
`vision` of its repository).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.image_multiplex import (
    IMAGE_MULTIPLEXERS,
    ImageMultiplexer,
    LinearImageMultiplexer,
)
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import mean_over_slots, slots_to_places

__all__ = ["FoldedLinear", "MuxVisionCNN", "MuxVisionMLP", "SlotHeads"]


Self = TypeVar("Self", bound="_MuxVision")


class SlotHeads(nn.Module):
    """Classify the image of each slot from the features of its mixture.

    A tanh layer for each slot, all of them one product, and an output layer that they share, as
    in the study. What the slots of one image say is averaged.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    features : int
        Size of a mixture's vector.
    n_classes : int
    """

    def __init__(self, n_mux: int, features: int, n_classes: int) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.slots = nn.Linear(features, n_mux * features)
        self.output = nn.Linear(features, n_classes)

    def forward(self, mixed: Tensor, n_places: int) -> Tensor:
        """Map (n_mixtures, features) to (n_mixtures, n_places, n_classes)."""
        features = self.slots(mixed).tanh().unflatten(1, (self.n_mux, -1))
        return self.output(mean_over_slots(features, n_places, dim=1))


class FoldedLinear(nn.Module):
    """A multiplexer of matrices and the layer that reads its mixture, as one matrix for each slot.

    Much the smaller product where the layer is narrower than an image.

    Parameters
    ----------
    multiplexer : LinearImageMultiplexer
    layer : nn.Linear
        Layer with as many inputs as an image has values.
    """

    keys: Tensor
    bias: Tensor

    def __init__(self, multiplexer: LinearImageMultiplexer, layer: nn.Linear) -> None:
        super().__init__()
        self.image_shape = multiplexer.image_shape
        with torch.no_grad():
            keys = multiplexer.keys @ (layer.weight.T / math.sqrt(multiplexer.n_mux))
        self.register_buffer("keys", keys)  # (n_mux, pixels, features)
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_mixtures, n_places, channels, height, width) to (n_mixtures, features)."""
        keys = slots_to_places(self.keys, x.shape[1])
        return torch.addmm(self.bias, x.flatten(1), keys.flatten(0, 1))


class _MuxVision(MuxModule):
    """Common base of the study's networks: the multiplexer, the heads and their order."""

    multiplexer: ImageMultiplexer | FoldedLinear
    heads: SlotHeads

    def __init__(
        self, n_mux: int, image_shape: Sequence[int], multiplexer: str, learn_keys: bool
    ) -> None:
        super().__init__()
        if n_mux < 1:
            raise ValueError(f"n_mux={n_mux} must be at least 1")
        if len(image_shape) != 3 or min(image_shape) < 1:
            raise ValueError(
                f"image_shape={tuple(image_shape)} must be three positive numbers: channels, "
                "height and width"
            )
        if multiplexer not in IMAGE_MULTIPLEXERS:
            raise ValueError(
                f"multiplexer={multiplexer!r} is not one of {sorted(IMAGE_MULTIPLEXERS)}"
            )
        self.n_mux = n_mux
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.multiplexer = IMAGE_MULTIPLEXERS[multiplexer](n_mux, self.image_shape, learn_keys)

    @property
    def _last_layer(self) -> nn.Linear:
        return self.heads.output

    def features(self, mixed: Tensor) -> Tensor:
        """Map the mixtures to (n_mixtures, features)."""
        raise NotImplementedError

    def forward(self, images: Tensor, n_mux: int | None = None) -> Tensor:
        """Classify.

        Parameters
        ----------
        images : Tensor of shape (n_mixtures * n_mux, channels, height, width)
            Images ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        n_mux : int, default=None
            Images in a mixture, at most the capacity, which None stands for. Of fewer images each
            fills several slots, and what its slots' heads say is averaged.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes)
            The images' logits, in order.

        Raises
        ------
        ValueError
            If `n_mux` exceeds the capacity or does not divide the number of images, or the images
            have another shape.
        """
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images of shape {tuple(images.shape[1:])} do not fit a network for images of "
                f"shape {self.image_shape} (channels, height, width)"
            )
        n_places = self._places(images.shape[0], n_mux, "images")
        features = self.features(self.multiplexer(images.unflatten(0, (-1, n_places))))
        return self.heads(features, n_places).flatten(0, 1)

    def for_inference(self: Self, dtype: torch.dtype | None = None) -> Self:
        """Return a copy that predicts only, in `dtype`.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxVisionMLP or MuxVisionCNN
            In `eval` mode; shares no memory with this network.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        model.fold()
        return model if dtype is None else model.to(dtype)

    def fold(self) -> None:
        """Join what can be computed before there are images."""


class MuxVisionMLP(_MuxVision):
    """Classify the images of mixtures by a multilayer perceptron (DataMUX's vision study).

    The paper's repository has the code of the convolutional network only. Sizes of the layers,
    the tanh between them and the heads, which are as there, are our choice.

    Parameters
    ----------
    n_classes : int
    n_mux : int, default=1
        Number of slots, the capacity.
    image_shape : sequence of int, default=(1, 28, 28)
        Channels, height and width of an image.
    multiplexer : str, default="orthogonal"
        One of `IMAGE_MULTIPLEXERS`.
    hidden_sizes : sequence of int, default=(512, 256)
        Widths of the layers, one at least; the heads' layers are as wide as the last.
    learn_keys : bool, default=False
        Whether keys that the study keeps as they are drawn are trained.

    Raises
    ------
    ValueError
        For a number of slots, an image's shape or a multiplexer that is not allowed.
    """

    def __init__(
        self,
        n_classes: int,
        n_mux: int = 1,
        *,
        image_shape: Sequence[int] = (1, 28, 28),
        multiplexer: str = "orthogonal",
        hidden_sizes: Sequence[int] = (512, 256),
        learn_keys: bool = False,
    ) -> None:
        super().__init__(n_mux, image_shape, multiplexer, learn_keys)
        if not hidden_sizes:
            raise ValueError("hidden_sizes is empty: the network needs one layer at least")
        assert isinstance(self.multiplexer, ImageMultiplexer)
        n_values = self.multiplexer.out_channels * math.prod(self.image_shape[1:])
        self.layers = nn.Sequential()
        for n_inputs, n_outputs in pairwise([n_values, *hidden_sizes]):
            self.layers.extend([nn.Linear(n_inputs, n_outputs), nn.Tanh()])
        self.heads = SlotHeads(n_mux, hidden_sizes[-1], n_classes)

    def features(self, mixed: Tensor) -> Tensor:
        """Map (n_mixtures, out_channels, height, width) to (n_mixtures, features)."""
        return self.layers(mixed.flatten(1))

    def fold(self) -> None:
        """Join the matrices of the slots with the first layer."""
        first = self.layers[0]
        if isinstance(self.multiplexer, LinearImageMultiplexer) and isinstance(first, nn.Linear):
            self.multiplexer = FoldedLinear(self.multiplexer, first)
            self.layers = self.layers[1:]


# Where a smaller image would leave nothing for the second pooling: 12 - 2, halved, - 3, halved.
_LEAST_SIZE = 12


class MuxVisionCNN(_MuxVision):
    """Classify the images of mixtures by a network like LeNet (DataMUX's vision study).

    As in the study: convolutions of 3x3, 4x4 and 3x3 without padding, a max pooling behind the
    first two, a fully connected layer, and tanh throughout. Two things are ours, for images of
    other sizes than the study's 20x20, where they change nothing: the third convolution's kernel
    covers all that the second pooling leaves, and mixtures of less than 12 pixels a side are padded
    with zeros to 12. And where the study trains a tanh of the last layer's outputs towards -1 and
    1, ours are logits.

    Parameters
    ----------
    n_classes : int
    n_mux : int, default=1
        Number of slots, the capacity.
    image_shape : sequence of int, default=(1, 28, 28)
        Channels, height and width of an image.
    multiplexer : str, default="expanded_nonlinear"
        One of `IMAGE_MULTIPLEXERS`.
    channels : sequence of int, default=(10, 16, 120)
        Channels of the three convolutions.
    hidden_size : int, default=84
        Units of the fully connected layer and of the heads' layers.
    learn_keys : bool, default=False
        Whether keys that the study keeps as they are drawn are trained.

    Raises
    ------
    ValueError
        For a number of slots, an image's shape, a multiplexer or a number of convolutions that is
        not allowed.
    """

    def __init__(
        self,
        n_classes: int,
        n_mux: int = 1,
        *,
        image_shape: Sequence[int] = (1, 28, 28),
        multiplexer: str = "expanded_nonlinear",
        channels: Sequence[int] = (10, 16, 120),
        hidden_size: int = 84,
        learn_keys: bool = False,
    ) -> None:
        super().__init__(n_mux, image_shape, multiplexer, learn_keys)
        if len(channels) != 3:
            raise ValueError(f"channels={tuple(channels)} must be three numbers")
        assert isinstance(self.multiplexer, ImageMultiplexer)
        lacking = [max(0, _LEAST_SIZE - size) for size in self.image_shape[1:]]
        # (left, right, top, bottom)
        self.padding = [side for n in reversed(lacking) for side in (n // 2, n - n // 2)]
        height, width = [((max(size, _LEAST_SIZE) - 2) // 2 - 3) // 2 for size in image_shape[1:]]
        first, second, third = channels
        self.conv1 = nn.Conv2d(self.multiplexer.out_channels, first, 3)
        self.conv2 = nn.Conv2d(first, second, 4)
        self.conv3 = nn.Conv2d(second, third, (height, width))
        self.hidden = nn.Linear(third, hidden_size)
        self.heads = SlotHeads(n_mux, hidden_size, n_classes)

    def features(self, mixed: Tensor) -> Tensor:
        """Map (n_mixtures, out_channels, height, width) to (n_mixtures, hidden_size)."""
        # A tanh behind the pooling is the same as one before it, of fewer values.
        x = F.max_pool2d(self.conv1(F.pad(mixed, self.padding)), 2).tanh()
        x = F.max_pool2d(self.conv2(x), 2).tanh()
        return self.hidden(self.conv3(x).tanh().flatten(1)).tanh()
