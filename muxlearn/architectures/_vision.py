"""The small networks of DataMUX, which see one image made of all."""

from __future__ import annotations

from typing import ClassVar

from muxlearn._params import Boolean, Constraint
from muxlearn.architectures._base import Setting
from muxlearn.architectures._image import ImageArchitecture
from muxlearn.nn.image_multiplex import IMAGE_MULTIPLEXERS
from muxlearn.nn.module import MuxModule
from muxlearn.nn.vision import MuxVisionCNN, MuxVisionMLP

__all__ = ["CNN", "MLP"]


def _led_by(first: str) -> tuple[str, ...]:
    return (first, *(name for name in IMAGE_MULTIPLEXERS if name != first))


class _Vision(ImageArchitecture):
    """Base class of `MLP` and `CNN`."""

    constraints: ClassVar[dict[str, Constraint]] = {"learn_keys": Boolean()}
    structural = ("learn_keys",)
    module_class: ClassVar[type[MuxVisionMLP] | type[MuxVisionCNN]]
    lr: ClassVar[float]

    def __init__(self, *, learn_keys: bool = False) -> None:
        self.learn_keys = learn_keys

    def make(self, setting: Setting, shape: tuple[int, int, int], n_outputs: int) -> MuxModule:
        """Build a network."""
        return self.module_class(
            n_outputs,
            setting.n_mux,
            image_shape=shape,
            multiplexer=self.multiplexer(setting),
            learn_keys=bool(self.learn_keys),
        )

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the rate of a network that starts at random."""
        return self.lr


class MLP(_Vision):
    """The fully connected network of DataMUX, which sees one image made of all.

    Parameters
    ----------
    learn_keys : bool, default=False
        Whether keys that the paper keeps as they are drawn are trained. With
        ``multiplexer="gaussian_convolution"``, True is what the paper calls "learnable".
    """

    name = "mlp"
    multiplexers = _led_by("orthogonal")
    module_class = MuxVisionMLP
    lr = 2e-3


class CNN(_Vision):
    """The convolutional network of DataMUX, which sees one image made of all.

    Parameters
    ----------
    learn_keys : bool, default=False
        Whether keys that the paper keeps as they are drawn are trained. With
        ``multiplexer="gaussian_convolution"``, True is what the paper calls "learnable".
    """

    name = "cnn"
    multiplexers = _led_by("expanded_nonlinear")
    module_class = MuxVisionCNN
    lr = 4e-3
