"""Bindings: mark the feature maps of a mixture's images by slot and add them up; and the way back.

Every binding here is linear and acts on each position alone, ``z = sum_s K_s x_s`` with a matrix
``K_s`` for each slot (MIMONets: Menet et al., NeurIPS 2023). To bind and to bundle is therefore one
1x1 convolution from all images' channels to those of the mixture, and an image that stands in
several slots needs the sum of their ``K_s`` only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn.nn.multiplex import mean_over_slots, place_of_slot, slots_to_places
from muxlearn.nn.subnetworks import separate_slots, slots_of_units

__all__ = [
    "BINDINGS",
    "Binding",
    "HRRBinding",
    "IdentityBinding",
    "MBATBinding",
    "MatrixBinding",
    "SubspaceBinding",
    "Unbinding",
]


class Binding(nn.Module):
    """Base class: a binding knows its number of slots and of channels.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    channels : int
        Channels of an image's feature map and of a mixture's.
    learn_keys : bool, default=True
        Whether the keys are trained.
    """

    def __init__(self, n_mux: int, channels: int, learn_keys: bool = True) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.channels = channels
        self.learn_keys = learn_keys

    def forward(self, x: Tensor) -> Tensor:
        """Bind and bundle.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, channels, height, width)
            Feature maps; `n_places` is at most `n_mux`. With fewer images than slots, image `p`
            stands in the slots ``p, p + n_places, …``.

        Returns
        -------
        Tensor of shape (n_mixtures, channels, height, width)
            Laid out as `x`: with the channels last in memory if they are there.
        """
        raise NotImplementedError

    def for_inference(self) -> Binding:
        """Return a binding of the same matrices that need not be built at every call."""
        return self

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"n_mux={self.n_mux}, channels={self.channels}, learn_keys={self.learn_keys}"


class MatrixBinding(Binding):
    """Base class of those that multiply by a full matrix for each slot, made of its key."""

    keys: nn.Parameter

    def matrices(self) -> Tensor:
        """Return ``K_s`` of all slots, shape (n_mux, channels, channels); rows are outputs."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        matrices = slots_to_places(self.matrices(), x.shape[1])
        kernel = matrices.transpose(0, 1).flatten(1)  # (channels, n_places * channels)
        if x.stride(2) == 1:
            # For a convolution, a slower copy would bring the images' channels together.
            stacked = x.permute(0, 3, 4, 1, 2).flatten(3)
            return F.linear(stacked, kernel).permute(0, 3, 1, 2)
        return F.conv2d(x.flatten(1, 2), kernel[:, :, None, None])


class MBATBinding(MatrixBinding):
    """Multiply by a key that is a matrix (MBAT: Gallant and Okaywe, 2013).

    The keys start from a normal distribution that makes a mixture's variance twice an image's,
    as the reference does.
    """

    def __init__(self, n_mux: int, channels: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, channels, learn_keys)
        keys = torch.randn(n_mux, channels, channels) * math.sqrt(2 / (n_mux * channels))
        self.keys = nn.Parameter(keys, requires_grad=learn_keys)

    def matrices(self) -> Tensor:  # noqa: D102
        return self.keys


class HRRBinding(MatrixBinding):
    """Convolve the channels circularly with a key (position-wise HRR, after Plate, 1995).

    Of slot `s`, output channel `j` is ``sum_i k_s[(i - j - 1 + c // 2) mod c] x_s[i]`` with `c`
    channels, which is how the reference arranges a key. The keys start uniform within ±1/√c.

    Raises
    ------
    ValueError
        For an odd number of channels, for which that arrangement is not defined.
    """

    order: Tensor

    def __init__(self, n_mux: int, channels: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, channels, learn_keys)
        if channels % 2:
            raise ValueError(
                f"multiplexer='hrr' convolves an even number of channels, not {channels}; 'mbat' "
                "and 'subspace' take any number"
            )
        bound = 1 / math.sqrt(channels)
        keys = torch.empty(n_mux, channels).uniform_(-bound, bound)
        self.keys = nn.Parameter(keys, requires_grad=learn_keys)
        i = torch.arange(channels)
        order = (i - i[:, None] - 1 + channels // 2) % channels
        self.register_buffer("order", order, persistent=False)

    def matrices(self) -> Tensor:
        """Return the circulants of the keys, shape (n_mux, channels, channels)."""
        return self.keys[:, self.order]

    def for_inference(self) -> Binding:  # noqa: D102
        binding = MBATBinding(self.n_mux, self.channels, learn_keys=False)
        binding.keys = nn.Parameter(self.matrices().detach(), requires_grad=False)
        return binding


class IdentityBinding(Binding):
    """Add the images up without marking them: the ablation, and the only choice for one slot."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.n_mux == x.shape[1] == 1:
            return x.squeeze(1)
        n_slots = slots_to_places(x.new_ones(self.n_mux), x.shape[1])
        return torch.einsum("bpchw,p->bchw", x, n_slots)


class SubspaceBinding(Binding):
    """Give each slot its own ``channels // n_mux`` channels of the mixture.

    A slot writes those channels of its image's feature map and no others, so that nothing
    interferes before the trunk; channels that are left over go one each to some of the slots. As
    channels that no slot reads need not be computed, binding costs nothing where the kernel of
    the convolution before it is widened (`widen`). This binding is our own; it has no keys.
    """

    slot_of_channel: Tensor

    def __init__(self, n_mux: int, channels: int, learn_keys: bool = True) -> None:
        super().__init__(n_mux, channels, learn_keys)
        if n_mux > channels:
            raise ValueError(f"{channels} channels hold at most {channels} slots, not {n_mux}")
        slots = slots_of_units(channels, n_mux)
        self.register_buffer("slot_of_channel", slots, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        channel = torch.arange(self.channels, device=x.device)
        places = place_of_slot(self.n_mux, x.shape[1], x.device)
        return x[:, places[self.slot_of_channel], channel]

    def widen(self, kernel: Tensor, n_places: int) -> Tensor:
        """Make a convolution read all images of a mixture at once and write the mixture.

        Parameters
        ----------
        kernel : Tensor of shape (channels, in_channels, height, width)
            Weight of a convolution that reads one image.
        n_places : int
            Images in a mixture.

        Returns
        -------
        Tensor of shape (channels, n_places * in_channels, height, width)
            Zero where a channel's slot does not hold the image. Laid out as `kernel`.
        """
        if n_places == 1:
            return kernel
        place = F.one_hot(self.slot_of_channel % n_places, n_places).to(kernel.dtype)
        wide = (place[:, :, None, None, None] * kernel[:, None]).flatten(1, 2)
        if kernel.is_contiguous(memory_format=torch.channels_last):
            return wide.contiguous(memory_format=torch.channels_last)
        return wide


#: The bindings by the name that `MuxWideResNet` and `MuxTrunkClassifier` know them by.
BINDINGS: dict[str, type[Binding]] = {
    "hrr": HRRBinding,
    "mbat": MBATBinding,
    "subspace": SubspaceBinding,
    "identity": IdentityBinding,
}


class Unbinding(nn.Module):
    """Read a feature vector for each image off that of its mixture, ``ReLU(U_s p + c_s)``.

    A learned layer for each slot, not an inverse of its key (MIMONets, MIMOConv). What the slots
    of one image say is averaged.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    features : int
        Size of a vector.
    """

    def __init__(self, n_mux: int, features: int) -> None:
        super().__init__()
        self.n_mux = n_mux
        self.linear = nn.Linear(features, n_mux * features)
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out", nonlinearity="relu")

    def separate_slots(self) -> None:
        """Start with each slot reading its own share of the features alone."""
        features = self.linear.in_features
        slot_of_output = torch.arange(self.n_mux).repeat_interleave(features)
        separate_slots(self.linear.weight, slot_of_output, slots_of_units(features, self.n_mux))

    def forward(self, pooled: Tensor, n_places: int) -> Tensor:
        """Map (n_mixtures, features) to (n_mixtures, n_places, features)."""
        features = self.linear(pooled).relu().unflatten(1, (self.n_mux, -1))
        return mean_over_slots(features, n_places, dim=1)
