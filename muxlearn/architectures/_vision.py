"""The small networks of DataMUX, which see one image made of all."""

from __future__ import annotations

from typing import ClassVar

from muxlearn._params import Boolean, Constraint
from muxlearn.architectures._base import Setting
from muxlearn.architectures._checks import refuse_without_effect
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

    def check(self, setting: Setting) -> None:
        """Raise where keys are to be trained that are trained in any case, or are not there."""
        super().check(setting)
        multiplexer = self.multiplexer(setting)
        kind = IMAGE_MULTIPLEXERS[multiplexer]
        if setting.n_mux > 1 and (kind.always_learned or not kind.has_keys):
            refuse_without_effect(self, ("learn_keys",), f"with multiplexer={multiplexer!r}")

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
        Whether to train the keys of "gaussian_convolution", "graded" and "orthogonal", which the
        paper keeps as they are drawn. Of "gaussian_convolution" True is what it calls "learnable".
        At ``n_mux=1`` there are none, and it has no effect.
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
        Whether to train the keys of "gaussian_convolution", "graded" and "orthogonal", which the
        paper keeps as they are drawn. Of "gaussian_convolution" True is what it calls "learnable".
        At ``n_mux=1`` there are none, and it has no effect.
    """

    name = "cnn"
    multiplexers = _led_by("expanded_nonlinear")
    module_class = MuxVisionCNN
    lr = 4e-3
