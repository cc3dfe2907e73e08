"""Third-party image networks with a part that runs on mixtures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from muxlearn._params import Boolean, Choice, Constraint, Instance, OneOf
from muxlearn.architectures._base import Setting
from muxlearn.architectures._image import ImageArchitecture, statistics_points
from muxlearn.architectures._mimoconv import BIND_MULTIPLEXERS
from muxlearn.nn.module import MuxModule

__all__ = ["Trunk"]

#: A network of torchvision is more delicate than ours, the more so a pretrained one.
_LR, _PRETRAINED_LR = 1e-3, 3e-4


class Trunk(ImageArchitecture):
    """A classifier of torchvision, or your own module, with a part that runs on mixtures.

    Parameters
    ----------
    network : str or torch.nn.Module, default="resnet18"
        The name of a classifier of torchvision, such as "mobilenet_v3_small", or a module that
        maps images to logits, which is copied.

    weights : str or mapping of str to torch.Tensor, default=None
        Pretrained weights of a torchvision classifier: their name, which torchvision downloads, or
        the tensors themselves. None starts from random weights.

    bind_after, unbind_before : str, default=None
        Names of the modules of `network` between which it runs on mixtures. None is allowed for
        torchvision's classifiers.

    learn_keys : bool, default=True
        Whether to train the multiplexer or keep its initial, random keys.

    Examples
    --------
    >>> from muxlearn import MuxImageClassifier
    >>> from muxlearn.architectures import Trunk
    >>> clf = MuxImageClassifier(n_mux=2, architecture=Trunk("resnet18", weights="DEFAULT"))
    """

    name = "trunk"
    multiplexers = BIND_MULTIPLEXERS
    constraints: ClassVar[dict[str, Constraint]] = {
        "weights": OneOf(None, Instance((str, Mapping), "a name or a mapping of tensors")),
        "bind_after": OneOf(None, Instance((str,), "the name of a module")),
        "unbind_before": OneOf(None, Instance((str,), "the name of a module")),
        "learn_keys": Boolean(),
    }
    structural = ("network", "bind_after", "unbind_before", "learn_keys")

    def __init__(
        self,
        network: str | nn.Module = "resnet18",
        *,
        weights: str | Mapping[str, torch.Tensor] | None = None,
        bind_after: str | None = None,
        unbind_before: str | None = None,
        learn_keys: bool = True,
    ) -> None:
        self.network = network
        self.weights = weights
        self.bind_after = bind_after
        self.unbind_before = unbind_before
        self.learn_keys = learn_keys

    @property
    def label(self) -> str:
        """The name that error messages use."""
        return self.network if isinstance(self.network, str) else type(self.network).__name__

    def check(self, setting: Setting) -> None:
        """Raise for a network that torchvision does not have."""
        super().check(setting)
        if isinstance(self.network, nn.Module):
            return
        from muxlearn.nn.trunks import list_trunks  # imports torchvision

        allowed = Choice(*list_trunks())
        if not allowed.accepts(self.network):
            raise allowed.complain("network", self.network)

    def make(self, setting: Setting, shape: tuple[int, int, int], n_outputs: int) -> MuxModule:
        """Build a network, and try out whether images of this shape fit."""
        from muxlearn.nn.trunks import MuxTrunkClassifier  # imports torchvision

        module = MuxTrunkClassifier(
            self.network,
            n_outputs,
            setting.n_mux,
            binding=self.multiplexer(setting),
            weights=self.weights,
            in_channels=shape[0],
            bind_after=self.bind_after,
            unbind_before=self.unbind_before,
            learn_keys=bool(self.learn_keys),
            operating_points=statistics_points(setting),
        )
        try:
            # A trunk may need images of a certain size, and says so only when it runs.
            with torch.no_grad():
                module.eval()(torch.zeros(setting.n_mux, *shape))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f"images of shape {shape} (channels, height, width) do not fit `architecture` "
                f"({error}); `image_size` resizes them"
            ) from error
        return module.train()

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return a rate for the network: the lower where it has learned before."""
        return _LR if self.weights is None else _PRETRAINED_LR
