"""An image model that predicts for all images of a mixture in one pass of its trunk."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from muxlearn.nn._chunks import in_chunks
from muxlearn.nn.binding import BINDINGS, Binding, SubspaceBinding, Unbinding
from muxlearn.nn.operating_points import OperatingPointModule
from muxlearn.nn.subnetworks import separate_slots, slots_of_units
from muxlearn.nn.wideresnet import (
    ACTIVATIONS,
    ConvNorm,
    FoldedConvNorm,
    WideTrunk,
)

__all__ = ["MuxWideResNet"]

# Channels of the stem and of the stages, before they are widened, by the number of stages.
_CHANNELS = {
    2: (8, (8, 16)),
    3: (16, (16, 32, 64)),
    4: (64, (64, 128, 256, 512)),
}

# Elements of one chunk of the images' feature maps at inference: keeps memory flat as n_mux grows.
_CHUNK_ELEMENTS = 2**21


def channels_of_stem(n_stages: int, initial_width: int) -> int:
    """Return the channels of a network's stem, which the slots share."""
    return _CHANNELS[n_stages][0] * initial_width


class MuxWideResNet(OperatingPointModule):
    """Classify the images of mixtures (MIMOConv; MIMONets: Menet et al., NeurIPS 2023).

    A stem convolution sees every image, a binding folds the images' feature maps into one, a wide
    residual network runs once for each mixture, its average-pooled output is unbound, and a linear
    layer shared by all slots classifies each image. With one slot and the identity binding it is
    a plain wide residual network.

    Parameters
    ----------
    n_classes : int
    n_mux : int, default=1
        Number of slots, the capacity.
    in_channels : int, default=3
        Channels of an image.
    depth : int, default=16
        6 k + 4, for k blocks in each stage: 10, 16, 22, 28, …
    width : int, default=4
        Factor of the stages' channels, which are 16, 32 and 64 at `width` 1.
    initial_width : int, default=4
        Factor of the stem's channels, likewise.
    patch_size : int, default=1
        Pixels a side of what a position holds: P x P neighbouring pixels become channels before
        the stem, which costs a P x P-th of the work ("space to depth").
    n_stages : {2, 3, 4}, default=3
        3 for images of about 32x32. 4 for photographs: a stem that shrinks them four times, and
        64 to 512 channels. 2 for tests: 8 and 16 channels.
    binding : {"hrr", "mbat", "subspace", "identity"}, default="hrr"
    activation : {"relu", "shifted_relu", "prelu"}, default="relu"
        Within the blocks.
    batch_norm : bool, default=True
    skip_init : bool, default=False
        Start every block as its skip.
    dirac_init : bool, default=False
        Start the trunk's convolutions as identities.
    learn_keys : bool, default=True
        Whether the binding's keys are trained.
    operating_points : sequence of int, default=None
        The `n_mux` that have batch statistics of their own. Any other uses those of the nearest,
        of the larger one if two are. None stands for the capacity alone.
    activated_skip : bool, default=False
        For compatibility: without batch normalisation the reference's blocks with ReLU overwrite
        their input before the skip reads it.

    Attributes
    ----------
    operating_points : tuple of int

    Raises
    ------
    ValueError
        For a depth, a patch size, a number of stages or an operating point that is not allowed,
        and for a subspace binding with more slots than channels.
    """

    #: What a checkpoint in the authors' layout is, beside the parameters of `MIMOConv`.
    authors: Mapping[str, Any] | None = None

    def __init__(
        self,
        n_classes: int,
        n_mux: int = 1,
        *,
        in_channels: int = 3,
        depth: int = 16,
        width: int = 4,
        initial_width: int = 4,
        patch_size: int = 1,
        n_stages: int = 3,
        binding: str = "hrr",
        activation: str = "relu",
        batch_norm: bool = True,
        skip_init: bool = False,
        dirac_init: bool = False,
        learn_keys: bool = True,
        operating_points: Sequence[int] | None = None,
        activated_skip: bool = False,
    ) -> None:
        super().__init__(n_mux, operating_points)
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"depth={depth} is not 6 k + 4 with k >= 1, such as 10, 16 or 28")
        if patch_size < 1:
            raise ValueError(f"patch_size={patch_size} must be 1 or more")
        for name, value, allowed in (
            ("n_stages", n_stages, _CHANNELS),
            ("binding", binding, BINDINGS),
            ("activation", activation, ACTIVATIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {sorted(allowed)}")
        n_points = len(self.operating_points)
        stage_channels = _CHANNELS[n_stages][1]
        channels, features = channels_of_stem(n_stages, initial_width), stage_channels[-1] * width
        kernel_size, stride = (7, 2) if n_stages == 4 else (3, 1)
        # At 1 it would copy the images.
        self.patches = nn.PixelUnshuffle(patch_size) if patch_size > 1 else nn.Identity()
        self.stem: ConvNorm | FoldedConvNorm = ConvNorm(
            in_channels * patch_size**2, channels, kernel_size, stride, n_points, batch_norm
        )
        self.shrink = nn.MaxPool2d(3, 2, padding=1) if n_stages == 4 else nn.Identity()
        self.binding: Binding = BINDINGS[binding](n_mux, channels, learn_keys)
        self.trunk = WideTrunk(
            channels,
            [width * c for c in stage_channels],
            (depth - 4) // 6,
            activation,
            n_points,
            batch_norm,
            skip_init,
            activated_skip,
        )
        # The reference has the layer wherever there are keys, for a single slot too.
        unbind = n_mux > 1 or binding in ("hrr", "mbat")
        self.unbinding = Unbinding(n_mux, features) if unbind else None
        self.head = nn.Linear(features, n_classes)
        self._init_convolutions(dirac_init)

    @classmethod
    def from_state_dict(
        cls,
        config: Mapping[str, Any],
        state_dict: Mapping[str, Tensor],
        operating_points: Sequence[int] | None = None,
    ) -> MuxWideResNet:
        """Build the model that a checkpoint of the reference (MIMOConv) holds.

        Parameters
        ----------
        config : Mapping
            ``architecture``, such as "MIMONet-16", "WideResNet-10", "WideISONet-28" or
            "WideISOReLUNet-10", says which activation the blocks have; ``skip_init`` and
            ``trainable_keys`` (False and True if they lack) what tensors cannot tell. All else is
            read from the tensors.
        state_dict : Mapping of str to Tensor
            Under the reference's names. Not modified.
        operating_points : sequence of int, default=None
            The `n_mux` that have batch statistics of their own. Each starts from the reference's
            statistics, which it keeps for all `n_mux` together.

        Returns
        -------
        MuxWideResNet
            In `eval` mode, of the tensors' precision.

        Raises
        ------
        ValueError
            For a checkpoint of something else, or tensors that lack, are left over or do not fit.
        """
        model = cls(**read_options(config, state_dict), operating_points=operating_points)
        model.to(state_dict["fc.weight"].dtype)
        _copy_tensors(model, state_dict)
        return model.eval()

    def _init_convolutions(self, dirac_init: bool) -> None:
        assert isinstance(self.stem, ConvNorm)
        for conv in (self.stem.conv, *self.trunk.convolutions()):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if dirac_init:
            for conv in self.trunk.convolutions():
                nn.init.dirac_(conv.weight)
        elif isinstance(self.binding, SubspaceBinding):
            self._separate_slots()

    def _separate_slots(self) -> None:
        convolutions = self.trunk.convolutions()
        if self.n_mux > min(conv.out_channels for conv in convolutions):
            return
        for conv in convolutions:
            slots = (slots_of_units(n, self.n_mux) for n in conv.weight.shape[:2])
            separate_slots(conv.weight, *slots)
        if self.unbinding is not None:
            self.unbinding.separate_slots()

    def forward(self, images: Tensor, n_mux: int | None = None) -> Tensor:
        """Classify.

        Parameters
        ----------
        images : Tensor of shape (n_mixtures * n_mux, in_channels, height, width)
            Images ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`. Height and width are
            multiples of `patch_size`.
        n_mux : int, default=None
            Images in a mixture, at most the capacity, which None stands for. Of fewer images each
            fills several slots, and the features that its slots recover are averaged.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes)
            The images' logits, in order.

        Raises
        ------
        ValueError
            If `n_mux` exceeds the capacity or does not divide the number of images.
        """
        n_places = self._places(images.shape[0], n_mux, "images")
        point = self.nearest_point(n_places)
        mixed = self.mix(self.patches(images), n_places, point)
        pooled = self.trunk(mixed, point).mean((2, 3))
        if self.unbinding is None:
            return self.head(pooled)
        return self.head(self.unbinding(pooled, n_places)).flatten(0, 1)

    def mix(self, images: Tensor, n_places: int, point: int) -> Tensor:
        """Run the stem, bind and bundle.

        Parameters
        ----------
        images : Tensor of shape (n_mixtures * n_places, channels, height, width)
            With the pixels of a patch as channels.
        n_places : int
            Images in a mixture.
        point : int
            Number of the operating point.

        Returns
        -------
        Tensor of shape (n_mixtures, channels, height, width)
            At a quarter of the height and width with four stages.
        """
        if isinstance(self.binding, SubspaceBinding):
            widen = partial(self.binding.widen, n_places=n_places)
            stacked = images.unflatten(0, (-1, n_places)).flatten(1, 2)
            return self.shrink(self.stem(stacked, point, widen).relu_())

        def mix(images: Tensor) -> Tensor:
            x = self.shrink(self.stem(images, point).relu_())
            return self.binding(x.unflatten(0, (-1, n_places)))

        if self.training:  # batch statistics are those of the whole batch
            return mix(images)
        elements = n_places * self.binding.channels * images.shape[2:].numel()
        return in_chunks(mix, n_places * max(1, _CHUNK_ELEMENTS // elements), images)

    def for_inference(self, dtype: torch.dtype | None = None) -> MuxWideResNet:
        """Return a copy that predicts only: batch statistics within the kernels, in `dtype`.

        Each operating point has kernels of its own. On a CPU channels come last in memory.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxWideResNet
            In `eval` mode; shares no memory with this model.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        model.stem = model.stem.fold()
        model.trunk.fold()
        model.binding = model.binding.for_inference()
        if dtype is not None:
            model = model.to(dtype)
        if self.head.weight.device.type == "cpu":
            model = model.to(memory_format=torch.channels_last)
        return model


_ACTIVATION_OF_ARCHITECTURE = {
    "WideResNet": "relu",
    "WideISOReLUNet": "relu",
    "WideISONet": "shifted_relu",
    "MIMONet": "prelu",
}

# Beginnings of our names and what the reference has in their place.
_REFERENCE_NAMES = {
    "stem.conv.": "conv1.",
    "stem.norm.": "bn1.",
    "unbinding.linear.": "unbind.0.",
    "head.": "fc.",
}
_REFERENCE_BLOCK_NAMES = {
    "norm1.": "bn1.",
    "act1.": "relu1.",
    "conv1.conv.": "conv1.",
    "conv1.norm.": "bn2.",
    "act2.": "relu2.",
    "conv2.": "conv2.",
    "skip.conv.": "downsample.0.",
    "skip.norm.": "downsample.1.",
    "scale": "alpha",
}


def read_options(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of `MuxWideResNet` that fit a checkpoint of the reference."""
    family = str(config.get("architecture")).partition("-")[0]
    blocks = {
        match.groups() for name in tensors if (match := re.match(r"layer(\d)\.(\d+)\.", name))
    }
    n_stages = len({stage for stage, _ in blocks})
    needed = ("conv1.weight", "layer1.0.conv1.weight", "fc.weight")
    lacking = [name for name in needed if name not in tensors]
    if family not in _ACTIVATION_OF_ARCHITECTURE or n_stages not in _CHANNELS or lacking:
        raise ValueError(
            f"not a MIMOConv checkpoint: architecture={config.get('architecture')!r}, which starts "
            f"with one of {sorted(_ACTIVATION_OF_ARCHITECTURE)}; {n_stages} stages, which are 2, 3 "
            f"or 4; missing tensors: {lacking}"
        )
    stem, first, fc = (tensors[name] for name in needed)
    stem_channels, stage_channels = _CHANNELS[n_stages]
    if (hrr := tensors.get("channelConv.weight")) is not None:
        binding, n_mux = "hrr", len(hrr)
    elif (mbat := tensors.get("channelLinear.weight")) is not None:
        binding, n_mux = "mbat", len(mbat) // len(stem)
    else:
        unbind = tensors.get("unbind.0.weight", fc.T)
        binding, n_mux = "identity", len(unbind) // fc.shape[1]
    activation = _ACTIVATION_OF_ARCHITECTURE[family]
    batch_norm = "bn1.weight" in tensors
    return {
        "n_classes": len(fc),
        "n_mux": n_mux,
        "in_channels": stem.shape[1],
        "depth": 6 * (len(blocks) // n_stages) + 4,
        "width": len(first) // stage_channels[0],
        "initial_width": len(stem) // stem_channels,
        "n_stages": n_stages,
        "binding": binding,
        "activation": activation,
        "batch_norm": batch_norm,
        "skip_init": bool(config.get("skip_init", False)),
        "learn_keys": bool(config.get("trainable_keys", True)),
        # Its ReLU works in place, and nothing stands between it and the block's input.
        "activated_skip": activation == "relu" and not batch_norm,
    }


@torch.no_grad()
def _copy_tensors(model: MuxWideResNet, given: Mapping[str, Tensor]) -> None:
    left, problems = dict(given), []
    for ours, tensor in model.state_dict().items():
        theirs = _reference_name(ours, model, given)
        found = left.pop(theirs, None)
        if found is None:
            problems.append(f"missing: {theirs}")
        elif found.shape == tensor.shape[1:]:
            tensor.copy_(found.expand_as(tensor))  # one set of statistics for all points
        elif found.numel() == tensor.numel():
            tensor.copy_(found.reshape(tensor.shape))
        else:
            sizes = f"{tuple(found.shape)}, which does not hold our {tuple(tensor.shape)}"
            problems.append(f"mis-shaped: {theirs} is {sizes}")
    # The reference has the number in every block, whether it multiplies by it or not.
    problems += [f"unexpected: {name}" for name in left if not name.endswith(".alpha")]
    if problems:
        raise ValueError("the tensors do not fit a MIMOConv model:\n  " + "\n  ".join(problems))


def _reference_name(ours: str, model: MuxWideResNet, given: Mapping[str, Tensor]) -> str:
    if ours == "binding.keys":
        return "channelLinear.weight" if "channelLinear.weight" in given else "channelConv.weight"
    prefix, names = "", _REFERENCE_NAMES
    if match := re.match(r"trunk\.blocks\.(\d+)\.", ours):
        stage, block = divmod(int(match[1]), model.trunk.n_blocks)
        prefix, names = f"layer{stage + 1}.{block}.", _REFERENCE_BLOCK_NAMES
        ours = ours.removeprefix(match[0])
    start = next(start for start in names if ours.startswith(start))
    theirs = prefix + names[start]
    if start in ("act1.", "act2."):
        # An activation has one tensor, whatever its name.
        return next((name for name in given if name.startswith(theirs)), theirs + "*")
    return theirs + ours.removeprefix(start)
