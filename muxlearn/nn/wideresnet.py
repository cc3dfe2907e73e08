"""Wide residual networks whose batch normalisation keeps statistics for every operating point.

The blocks are those of MIMOConv (MIMONets: Menet et al., NeurIPS 2023), pre-activated as in Wide
Residual Networks (Zagoruyko and Komodakis, 2016) with two differences: the skip's 1x1 convolution
has a batch normalisation, and it reads the block's input before the activation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = [
    "ACTIVATIONS",
    "ConvNorm",
    "FoldedConvNorm",
    "OperatingPointNorm",
    "ShiftedReLU",
    "WideBlock",
    "WideTrunk",
]

_Widen = Callable[[Tensor], Tensor]


class ShiftedReLU(nn.Module):
    """``max(x, b)`` with a learned bound for each channel (ISONet: Qi et al., 2020).

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bound = nn.Parameter(torch.full((channels,), -1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Bound (n_rows, channels, height, width) from below."""
        return torch.maximum(x, self.bound[:, None, None])


#: By name, what builds the activation of so many channels, in place where told so.
ACTIVATIONS: dict[str, Callable[[int, bool], nn.Module]] = {
    "relu": lambda channels, inplace: nn.ReLU(inplace),
    "shifted_relu": lambda channels, inplace: ShiftedReLU(channels),
    "prelu": lambda channels, inplace: nn.PReLU(channels, init=0.5),
}


class OperatingPointNorm(nn.Module):
    """Batch normalisation with running statistics of its own for every operating point.

    The more images a mixture holds, the larger its activations: statistics that mix the operating
    points fit none of them. Scale and shift are shared.

    Parameters
    ----------
    channels : int
    n_points : int, default=1
        Number of operating points.

    Attributes
    ----------
    momentum : float or None
        Weight of a new batch in the running statistics; None averages all batches alike.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, n_points: int = 1) -> None:
        super().__init__()
        self.eps = 1e-5
        self.momentum: float | None = 0.1
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(n_points, channels))
        self.register_buffer("running_var", torch.ones(n_points, channels))
        self.register_buffer("num_batches_tracked", torch.zeros(n_points, dtype=torch.long))

    def reset(self, point: int) -> None:
        """Forget the statistics of one operating point."""
        self.running_mean[point] = 0.0
        self.running_var[point] = 1.0
        self.num_batches_tracked[point] = 0

    def forward(self, x: Tensor, point: int) -> Tensor:
        """Normalise (n_rows, channels, height, width) by the statistics numbered `point`."""
        share = 0.0
        if self.training:
            count = self.num_batches_tracked[point].add_(1)
            share = 1 / count.item() if self.momentum is None else self.momentum
        return F.batch_norm(
            x,
            self.running_mean[point],
            self.running_var[point],
            self.weight,
            self.bias,
            self.training,
            share,
            self.eps,
        )


class ConvNorm(nn.Module):
    """A convolution without bias and its batch normalisation.

    Parameters
    ----------
    in_channels, channels : int
    kernel_size : int
        Odd; the borders are padded with zeros.
    stride : int, default=1
    n_points : int, default=1
        Number of operating points.
    batch_norm : bool, default=True
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        n_points: int = 1,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel_size, stride, kernel_size // 2, bias=False
        )
        self.norm = OperatingPointNorm(channels, n_points) if batch_norm else None

    def forward(self, x: Tensor, point: int, widen: _Widen | None = None) -> Tensor:
        """Convolve and normalise.

        Parameters
        ----------
        x : Tensor of shape (n_rows, in_channels, height, width)
        point : int
            Number of the operating point.
        widen : callable, default=None
            Function that turns the kernel into one with more input channels.

        Returns
        -------
        Tensor of shape (n_rows, channels, height / stride, width / stride)
        """
        y = _convolve(self.conv, x, widen)
        return y if self.norm is None else self.norm(y, point)

    def fold(self) -> ConvNorm | FoldedConvNorm:
        """Return the same map in `eval` mode with the normalisation within the kernel."""
        return self if self.norm is None else FoldedConvNorm(self.conv, self.norm)


class FoldedConvNorm(nn.Module):
    """A convolution for each operating point, which does what `ConvNorm` does in `eval` mode."""

    def __init__(self, conv: nn.Conv2d, norm: OperatingPointNorm) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        for mean, var in zip(norm.running_mean, norm.running_var, strict=True):
            folded = copy.deepcopy(conv)
            folded.weight, folded.bias = fuse_conv_bn_weights(
                conv.weight, None, mean, var, norm.eps, norm.weight, norm.bias
            )
            self.convs.append(folded)

    def forward(self, x: Tensor, point: int, widen: _Widen | None = None) -> Tensor:
        """Do what `ConvNorm.forward` does, with the same arguments."""
        conv = self.convs[point]
        assert isinstance(conv, nn.Conv2d)
        return _convolve(conv, x, widen)

    def fold(self) -> FoldedConvNorm:
        """Return itself."""
        return self


def _convolve(conv: nn.Conv2d, x: Tensor, widen: _Widen | None) -> Tensor:
    if widen is None:
        return conv(x)
    return F.conv2d(x, widen(conv.weight), conv.bias, conv.stride, conv.padding)


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each behind a batch normalisation and an activation, and a skip.

    Parameters
    ----------
    in_channels, channels : int
    stride : int
    activation : str
        One of `ACTIVATIONS`.
    n_points : int, default=1
        Number of operating points.
    batch_norm : bool, default=True
    skip_init : bool, default=False
        Multiply the convolutions' output by a learned number that starts at 0 (De and Smith,
        2020).
    activated_skip : bool, default=False
        Whether the skip reads what the first activation made of the input.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        activation: str,
        n_points: int = 1,
        batch_norm: bool = True,
        skip_init: bool = False,
        activated_skip: bool = False,
    ) -> None:
        super().__init__()
        self.activated_skip = activated_skip
        self.norm1 = OperatingPointNorm(in_channels, n_points) if batch_norm else None
        self.act1 = ACTIVATIONS[activation](in_channels, batch_norm)
        self.conv1: ConvNorm | FoldedConvNorm = ConvNorm(
            in_channels, channels, 3, stride, n_points, batch_norm
        )
        self.act2 = ACTIVATIONS[activation](channels, True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.skip: ConvNorm | FoldedConvNorm | None = None
        if stride != 1 or in_channels != channels:
            self.skip = ConvNorm(in_channels, channels, 1, stride, n_points, batch_norm)
        self.scale = nn.Parameter(torch.zeros(())) if skip_init else None

    def forward(self, x: Tensor, point: int) -> Tensor:
        """Map (n_rows, in_channels, height, width) at the operating point numbered `point`."""
        y = self.act1(x if self.norm1 is None else self.norm1(x, point))
        if self.activated_skip:
            x = y
        y = self.conv2(self.act2(self.conv1(y, point)))
        if self.scale is not None:
            y = y * self.scale
        return y + (x if self.skip is None else self.skip(x, point))

    @torch.no_grad()
    def fold(self) -> None:
        """Put into the convolutions what can be: the first normalisation cannot, it is not linear.

        What follows it reads its output through an activation, and the skip reads its input.
        """
        self.conv1 = self.conv1.fold()
        if self.skip is not None:
            self.skip = self.skip.fold()
        if self.scale is not None:
            self.conv2.weight.mul_(self.scale)
            self.scale = None


class WideTrunk(nn.Module):
    """Blocks in stages; every stage but the first halves height and width.

    Parameters
    ----------
    in_channels : int
    stage_channels : sequence of int
        Channels of each stage.
    n_blocks : int
        In a stage.
    activation : str
        One of `ACTIVATIONS`.
    n_points, batch_norm, skip_init, activated_skip
        Options of each `WideBlock`.
    """

    def __init__(
        self,
        in_channels: int,
        stage_channels: Sequence[int],
        n_blocks: int,
        activation: str,
        n_points: int = 1,
        batch_norm: bool = True,
        skip_init: bool = False,
        activated_skip: bool = False,
    ) -> None:
        super().__init__()
        self.n_blocks = n_blocks
        self.blocks = nn.ModuleList()
        for stage, channels in enumerate(stage_channels):
            for i in range(n_blocks):
                stride = 2 if stage > 0 and i == 0 else 1
                options = (n_points, batch_norm, skip_init, activated_skip)
                block = WideBlock(in_channels, channels, stride, activation, *options)
                self.blocks.append(block)
                in_channels = channels

    def forward(self, x: Tensor, point: int) -> Tensor:
        """Map (n_rows, in_channels, height, width) at the operating point numbered `point`."""
        for block in self.blocks:
            x = block(x, point)
        return x

    def convolutions(self) -> list[nn.Conv2d]:
        """Return all convolutions in order, those of the skips included."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def fold(self) -> None:
        """Fold every block."""
        for block in self.blocks:
            assert isinstance(block, WideBlock)
            block.fold()
