"""MIMOConv: a wide residual network whose stem sees every image of a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from muxlearn._params import Boolean, Choice, Constraint, Integer, Number
from muxlearn.architectures._base import Setting
from muxlearn.architectures._checks import refuse_without_effect
from muxlearn.architectures._image import BlendObjective, ImageArchitecture, statistics_points
from muxlearn.nn.binding import BINDINGS
from muxlearn.nn.mimoconv import MuxWideResNet, channels_of_stem
from muxlearn.nn.module import MuxModule
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer
from muxlearn.nn.wideresnet import ACTIVATIONS
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["BIND_MULTIPLEXERS", "MIMOConv"]

#: The multiplexers of feature maps; the first is meant by "auto".
BIND_MULTIPLEXERS = ("subspace", *(name for name in BINDINGS if name != "subspace"))

#: Images larger than this, in pixels a side, are photographs.
_MAX_SMALL_IMAGE = 64

_LR = 1e-2


class RegularisedObjective(BlendObjective):
    """The task's loss on blends, with the regularisers of MIMOConv.

    Parameters
    ----------
    task : Task
    mixup : float
    isometry_weight, binding_weight : float
        Weights of `isometry_regularizer` over the trunk's convolutions and of
        `binding_regularizer`.
    """

    def __init__(
        self, task: Task, mixup: float, isometry_weight: float, binding_weight: float
    ) -> None:
        super().__init__(task, mixup)
        self.isometry_weight = isometry_weight
        self.binding_weight = binding_weight

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the terms up."""
        loss, reported = super().loss(module, output, targets, weights)
        network, total = cast(MuxWideResNet, module), torch.zeros(())
        if self.isometry_weight:
            term = isometry_regularizer(network.trunk.convolutions())
            total = total + self.isometry_weight * term
        if self.binding_weight:
            total = total + self.binding_weight * binding_regularizer(network.binding)
        return loss + total.to(loss), reported


class MIMOConv(ImageArchitecture):
    """A wide residual network whose stem sees every image of a mixture (MIMONets, NeurIPS 2023).

    Parameters
    ----------
    depth : int, default=10
        6 k + 4 for k blocks in each stage: 10, 16, 22, 28, …

    width : int, default=2
        Factor of the channels, which are 16, 32 and 64 at `width` 1.

    initial_width : int, default=4
        Factor of the stem's 16 channels, which the slots share.

    patch_size : int, default=1
        P x P neighbouring pixels share a position, as channels of what the stem sees, for a
        P x P-th of the work. It must divide the images' height and width.

    activation : {"relu", "prelu", "shifted_relu"}, default="relu"
        The activation.

    skip_init : bool, default=False
        Whether every block starts as its skip.

    dirac_init : bool, default=False
        Whether the convolutions start as identities.

    learn_keys : bool, default=True
        Whether to train the multiplexer or keep its initial, random keys.

    isometry_weight : float, default=0.0
        Weight of the regulariser that keeps the convolutions near isometries; the paper uses 1e-4.

    binding_weight : float, default=0.1
        Weight of the regulariser that keeps the keys of "hrr" near orthonormal. At ``n_mux=1``
        there are none, and it has no effect.

    Examples
    --------
    >>> from muxlearn import MuxImageClassifier
    >>> from muxlearn.architectures import MIMOConv
    >>> clf = MuxImageClassifier(n_mux=2, architecture=MIMOConv(width=1))
    """

    name = "mimoconv"
    multiplexers = BIND_MULTIPLEXERS
    constraints: ClassVar[dict[str, Constraint]] = {
        "depth": Integer(1),
        "width": Integer(1),
        "initial_width": Integer(1),
        "patch_size": Integer(1),
        "activation": Choice(*ACTIVATIONS),
        "skip_init": Boolean(),
        "dirac_init": Boolean(),
        "learn_keys": Boolean(),
        "isometry_weight": Number(0),
        "binding_weight": Number(0),
    }
    structural = (
        *("depth", "width", "initial_width", "patch_size", "activation", "skip_init"),
        *("dirac_init", "learn_keys"),
    )

    def __init__(
        self,
        *,
        depth: int = 10,
        width: int = 2,
        initial_width: int = 4,
        patch_size: int = 1,
        activation: str = "relu",
        skip_init: bool = False,
        dirac_init: bool = False,
        learn_keys: bool = True,
        isometry_weight: float = 0.0,
        binding_weight: float = 0.1,
    ) -> None:
        self.depth = depth
        self.width = width
        self.initial_width = initial_width
        self.patch_size = patch_size
        self.activation = activation
        self.skip_init = skip_init
        self.dirac_init = dirac_init
        self.learn_keys = learn_keys
        self.isometry_weight = isometry_weight
        self.binding_weight = binding_weight

    def check(self, setting: Setting) -> None:
        """Raise for a depth that no such network has, and for a regulariser of no keys."""
        super().check(setting)
        binding = self.multiplexer(setting)
        if setting.n_mux > 1 and binding != "hrr" and self.binding_weight:
            refuse_without_effect(self, ("binding_weight",), f"with multiplexer={binding!r}")
        if self.depth < 10 or self.depth % 6 != 4:
            raise ValueError(
                f"`depth` must be 6 k + 4 with k >= 1, such as 10, 16 or 28, got {self.depth}"
            )

    def make(
        self,
        setting: Setting,
        shape: tuple[int, int, int],
        n_outputs: int,
        authors: Mapping[str, Any] | None = None,
    ) -> MuxModule:
        """Build a network, of four stages for photographs.

        Of a checkpoint in the authors' layout, `authors` says what parameters cannot.
        """
        names = [name for name in self.structural if name != "learn_keys"]
        size = self.patch_size
        if shape[1] % size or shape[2] % size:
            raise ValueError(
                f"`patch_size` must divide the height and width of the images, which are "
                f"{shape[1]} and {shape[2]}, got {size}"
            )
        options: dict[str, Any] = {
            "n_stages": 3 if max(shape[1:]) <= size * _MAX_SMALL_IMAGE else 4,
            "binding": self.multiplexer(setting),
            **(authors or {}),
        }
        channels = channels_of_stem(options["n_stages"], self.initial_width)
        if options["binding"] == "subspace" and setting.n_mux > channels:
            raise ValueError(
                f"`n_mux` is {setting.n_mux}, but {channels} channels hold at most {channels} "
                "slots; lower `n_mux` or raise `initial_width`, which is "
                f"{self.initial_width}"
            )
        return MuxWideResNet(
            n_outputs,
            setting.n_mux,
            in_channels=shape[0],
            learn_keys=bool(self.learn_keys),
            operating_points=statistics_points(setting),
            **{name: getattr(self, name) for name in names},
            **options,
        )

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return what a checkpoint in the authors' layout is."""
        assert isinstance(module, MuxWideResNet)
        return {} if module.authors is None else {"authors": dict(module.authors)}

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a network as it was saved."""
        if (authors := config.get("authors")) is None:
            return super().rebuild(setting, config, n_outputs)
        if set(authors) != {"binding", "n_stages", "batch_norm", "activated_skip"}:
            raise ValueError(f"`authors` is {authors!r}, which describes no MIMOConv network")
        channels, height, width = config["reader"]["shape"]
        module = self.make(setting, (channels, height, width), n_outputs, authors)
        assert isinstance(module, MuxWideResNet)
        module.authors, module.in_order = dict(authors), True
        return module

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the rate of a network that starts at random."""
        return _LR

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, with the regularisers."""
        mixup = setting.params["mixup"]
        return RegularisedObjective(task, mixup, self.isometry_weight, self.binding_weight)
