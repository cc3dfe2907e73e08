"""Image multiplexers: fold the images of a mixture into one image.

These are the ones of DataMUX's vision study (Murahari et al., NeurIPS 2022; notebook `vision` of
its repository), which has grey 20x20 images, adds the slots' images up as they are, and draws every
key from a standard normal distribution. Ours take images of any size and number of channels, divide
the sum by ``sqrt(n_mux)`` and draw keys that keep the power of white noise, so that a mixture is
about as large as an image for any number of slots and any size. What else is ours stands with each
class.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.multiplex import place_of_slot, slots_to_places

__all__ = [
    "IMAGE_MULTIPLEXERS",
    "ExpandedNonlinearImageMultiplexer",
    "GaussianImageMultiplexer",
    "GradedImageMultiplexer",
    "IdentityImageMultiplexer",
    "ImageMultiplexer",
    "LinearImageMultiplexer",
    "NonlinearImageMultiplexer",
    "OrthogonalImageMultiplexer",
    "RemapImageMultiplexer",
    "RotationImageMultiplexer",
]

# A full matrix over the pixels of a larger image would take more than 1 GiB for each slot.
_MAX_PIXELS = 2**14


class ImageMultiplexer(nn.Module):
    """Base class: an image multiplexer knows its number of slots and the shape of an image.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    image_shape : tuple of int
        Channels, height and width of an image.
    learn_keys : bool, default=False
        Whether keys that the study keeps as they are drawn are trained. Those of "linear",
        "nonlinear" and "expanded_nonlinear" always are.

    Attributes
    ----------
    out_channels : int
        Channels of a mixture, whose height and width are an image's.
    """

    always_learned = False
    #: Whether there are keys, which may be learned.
    has_keys = True

    def __init__(
        self, n_mux: int, image_shape: tuple[int, int, int], learn_keys: bool = False
    ) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.image_shape = image_shape
        self.learn_keys = learn_keys or self.always_learned
        self.out_channels = image_shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, channels, height, width)
            Images; `n_places` is at most `n_mux`. With fewer images than slots, image `p` stands
            in the slots ``p, p + n_places, …``.

        Returns
        -------
        Tensor of shape (n_mixtures, out_channels, height, width)
        """
        raise NotImplementedError

    def fill_slots(self, x: Tensor) -> Tensor:
        """Repeat the images of (n_mixtures, n_places, …) over the slots they stand in."""
        if x.shape[1] == self.n_mux:
            return x
        return x[:, place_of_slot(self.n_mux, x.shape[1], x.device)]

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"n_mux={self.n_mux}, image_shape={self.image_shape}, learn_keys={self.learn_keys}"


class IdentityImageMultiplexer(ImageMultiplexer):
    """Add the images up without marking them: the ablation, and the only choice for one slot.

    The study's "identity" blurs the images by a 3x3 kernel of ones; ours leaves them as they are.
    """

    has_keys = False

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.n_mux == x.shape[1] == 1:
            return x.squeeze(1)
        n_slots = slots_to_places(x.new_ones(self.n_mux), x.shape[1])
        return torch.einsum("bpchw,p->bchw", x, n_slots / math.sqrt(self.n_mux))


class GaussianImageMultiplexer(ImageMultiplexer):
    """Convolve each image with its slot's random 3x3 kernel ("Gaussian" in the study).

    All slots are one convolution, with a group for each channel. That every channel has a kernel
    of its own is our choice: the study's images have one channel. With `learn_keys` the study
    calls it "learnable".
    """

    def __init__(
        self, n_mux: int, image_shape: tuple[int, int, int], learn_keys: bool = False
    ) -> None:
        super().__init__(n_mux, image_shape, learn_keys)
        # (n_mux, channels, 3, 3)
        self.keys = nn.Parameter(self.draw_keys(), requires_grad=self.learn_keys)

    def draw_keys(self) -> Tensor:
        """Draw the kernels, shape (n_mux, channels, 3, 3)."""
        return torch.randn(self.n_mux, self.image_shape[0], 3, 3) / 3

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        keys = slots_to_places(self.keys, x.shape[1]) / math.sqrt(self.n_mux)
        stacked = x.transpose(1, 2).flatten(1, 2)  # a channel's images side by side
        return F.conv2d(stacked, keys.transpose(0, 1), padding=1, groups=self.image_shape[0])


class GradedImageMultiplexer(GaussianImageMultiplexer):
    """Blur each image by a 3x3 kernel of ones, and give slot `s` the weight ``s + 1``.

    "graded" in the study: strength alone tells the slots apart.
    """

    def draw_keys(self) -> Tensor:  # noqa: D102
        weights = torch.arange(1.0, self.n_mux + 1)
        weights /= weights.square().mean().sqrt()
        return (weights[:, None, None, None] / 3).repeat(1, self.image_shape[0], 3, 3)


class LinearImageMultiplexer(ImageMultiplexer):
    """Multiply each flattened image by its slot's learned matrix ("learnable-W" in the study).

    All slots are one matrix product.

    Raises
    ------
    ValueError
        For images of more than 16384 values, whose matrices would not fit into memory.
    """

    always_learned = True

    def __init__(
        self, n_mux: int, image_shape: tuple[int, int, int], learn_keys: bool = False
    ) -> None:
        super().__init__(n_mux, image_shape, learn_keys)
        n_pixels = math.prod(image_shape)
        if n_pixels > _MAX_PIXELS:
            raise ValueError(
                f"images of shape {image_shape} have {n_pixels} values, too many for a matrix over "
                f"all of them, which takes {4 * n_pixels**2 / 2**30:.0f} GiB for each of "
                f"{n_mux} slots; at most {_MAX_PIXELS} are allowed: shrink the images, or take a "
                "multiplexer that convolves or rotates them"
            )
        # (n_mux, pixels, pixels), applied from the right
        self.keys = nn.Parameter(self.draw_keys(n_pixels), requires_grad=self.learn_keys)

    def draw_keys(self, n_pixels: int) -> Tensor:
        """Draw the keys, shape (n_mux, n_pixels, n_pixels)."""
        return torch.randn(self.n_mux, n_pixels, n_pixels) / math.sqrt(n_pixels)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        keys = slots_to_places(self.keys, x.shape[1]) / math.sqrt(self.n_mux)
        return (x.flatten(1) @ keys.flatten(0, 1)).unflatten(1, self.image_shape)


class OrthogonalImageMultiplexer(LinearImageMultiplexer):
    """Rotate each flattened image by its slot's random rotation ("SO(N)" in the study).

    The rotations are drawn uniformly from the special orthogonal group. Images of more than 16384
    values are refused as by the learned matrices.
    """

    always_learned = False

    def draw_keys(self, n_pixels: int) -> Tensor:  # noqa: D102
        keys = torch.stack(
            [nn.init.orthogonal_(torch.empty(n_pixels, n_pixels)) for _ in range(self.n_mux)]
        )
        # A mirrored matrix becomes a rotation, still uniform, when any of its rows changes sign.
        keys[:, 0] *= torch.linalg.slogdet(keys).sign[:, None]
        return keys


class RotationImageMultiplexer(ImageMultiplexer):
    """Turn the image of slot `s` about its centre by ``360 s / n_mux`` degrees, and back its sign.

    The slots add and subtract by turns. The study multiplies slot `s` by ``1 - 2 s``, which is the
    same for one and two slots; beyond, the last slots would drown the first. Between the pixels
    ours interpolates bilinearly, the study by cubic splines; outside of an image both see zeros.
    """

    has_keys = False

    def angles(self) -> list[float]:
        """Return the slots' angles in radians, counter-clockwise."""
        return [2 * math.pi * slot / self.n_mux for slot in range(self.n_mux)]

    def grid(self, x: Tensor) -> Tensor:
        """Return where each slot reads, shape (n_mux, height, width, 2), for images like `x`."""
        height, width = x.shape[-2:]
        # Positions run from -1 to 1 along both axes, whatever their lengths.
        rotations = [
            [
                [math.cos(a), -math.sin(a) * height / width, 0.0],
                [math.sin(a) * width / height, math.cos(a), 0.0],
            ]
            for a in self.angles()
        ]
        theta = torch.tensor(rotations, dtype=x.dtype, device=x.device)
        return F.affine_grid(theta, [self.n_mux, 1, height, width], align_corners=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        # Half precision cannot tell the positions of neighbouring pixels apart.
        images = x if x.dtype == torch.float64 else x.float()
        by_slot = self.fill_slots(images).transpose(0, 1).flatten(1, 2)
        turned = F.grid_sample(by_slot, self.grid(images), align_corners=False)
        signs = 1 - 2 * (torch.arange(self.n_mux, device=x.device) % 2)
        mixed = torch.einsum("schw,s->chw", turned, signs.to(images) / math.sqrt(self.n_mux))
        return mixed.unflatten(0, (len(x), -1)).to(x.dtype)


class RemapImageMultiplexer(ImageMultiplexer):
    """Put a small copy of each image into a tile of its own ("remap" in the study).

    A copy keeps every fourth pixel along both axes. Slot `s` has the tile in row ``s % 4`` and
    column ``s // 4``, so that nothing is added up. Of more than 16 slots, which the study does not
    have, copies are as much smaller as needed.

    Raises
    ------
    ValueError
        An image has fewer pixels along an axis than there are tiles.
    """

    has_keys = False
    #: Tiles along an axis, at least.
    least_side = 4

    def __init__(
        self, n_mux: int, image_shape: tuple[int, int, int], learn_keys: bool = False
    ) -> None:
        super().__init__(n_mux, image_shape, learn_keys)
        self.side = max(self.least_side, math.ceil(math.sqrt(n_mux)))
        if min(image_shape[1:]) < self.side:
            raise ValueError(
                f"images of shape {image_shape} cannot be divided into {self.side} x {self.side} "
                f"tiles, which {n_mux} slots need; at least {self.side} pixels a side are needed: "
                "lower n_mux, or take another multiplexer"
            )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        side, (height, width) = self.side, (size // self.side for size in self.image_shape[1:])
        copies = self.fill_slots(x)[..., : height * side : side, : width * side : side]
        tiles = x.new_zeros(len(x), side * side, *copies.shape[2:])
        tiles[:, : self.n_mux] = copies
        # (n_mixtures, column, row, channels, height, width), columns of tiles one after the other
        rows = tiles.unflatten(1, (side, side)).permute(0, 3, 2, 4, 1, 5)
        whole = rows.flatten(4, 5).flatten(2, 3)
        lacking = [self.image_shape[axis] - whole.shape[axis + 1] for axis in (2, 1)]
        return F.pad(whole, (0, lacking[0], 0, lacking[1]))


class NonlinearImageMultiplexer(ImageMultiplexer):
    """Two 3x3 convolutions for each slot, each behind a tanh ("nonlinear" in the study).

    As in the study there are 16 channels between them and no biases, and the sum is taken behind
    the second tanh. All slots are one convolution a layer, with a group for each slot.
    """

    always_learned = True
    #: Channels between the convolutions.
    hidden_channels = 16
    #: How many times an image's channels a mixture has.
    expansion = 1

    def __init__(
        self, n_mux: int, image_shape: tuple[int, int, int], learn_keys: bool = False
    ) -> None:
        super().__init__(n_mux, image_shape, learn_keys)
        channels, hidden = image_shape[0], self.hidden_channels
        self.out_channels = self.expansion * channels
        keys1 = torch.randn(n_mux, hidden, channels, 3, 3) / math.sqrt(9 * channels)
        keys2 = torch.randn(n_mux, self.out_channels, hidden, 3, 3) / math.sqrt(9 * hidden)
        self.keys1, self.keys2 = nn.Parameter(keys1), nn.Parameter(keys2)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        groups = self.n_mux
        y = self.fill_slots(x).flatten(1, 2)
        if y.device.type == "cpu":
            # Grouped convolutions are much faster there with the channels last in memory.
            y = y.contiguous(memory_format=torch.channels_last)
        for keys in (self.keys1, self.keys2):
            y = F.conv2d(y, keys.flatten(0, 1), padding=1, groups=groups).tanh()
        return y.unflatten(1, (groups, -1)).sum(1) / math.sqrt(groups)


class ExpandedNonlinearImageMultiplexer(NonlinearImageMultiplexer):
    """The "nonlinear" multiplexer with eight channels in a mixture for each channel of an image.

    "nonlinear-expand" in the study, whose notebook keeps its accuracies for 1 to 16 images: 0.986,
    0.974, 0.947, 0.837 and 0.533 on MNIST, cropped to 20x20, as means over the slots.
    """

    expansion = 8


#: The image multiplexers by the name that `MuxImageClassifier` knows them by.
IMAGE_MULTIPLEXERS: dict[str, type[ImageMultiplexer]] = {
    "gaussian_convolution": GaussianImageMultiplexer,
    "graded": GradedImageMultiplexer,
    "orthogonal": OrthogonalImageMultiplexer,
    "linear": LinearImageMultiplexer,
    "nonlinear": NonlinearImageMultiplexer,
    "expanded_nonlinear": ExpandedNonlinearImageMultiplexer,
    "rotation": RotationImageMultiplexer,
    "remap": RemapImageMultiplexer,
    "identity": IdentityImageMultiplexer,
}
