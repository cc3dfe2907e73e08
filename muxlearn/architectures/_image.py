"""The base class of the image classifier's architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from muxlearn._params import Choice
from muxlearn.architectures._base import Architecture, Built, ParamGroups, Setting
from muxlearn.nn.module import MuxModule
from muxlearn.nn.operating_points import OperatingPointModule
from muxlearn.rows import ImageReader
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["BlendObjective", "ImageArchitecture", "statistics_points"]

#: Batches from which the statistics of an operating point are estimated after training.
_N_STATISTICS_BATCHES = 20


class _Blended(NamedTuple):
    """The logits of blended images, (n_rows, n_classes), and what was blended."""

    logits: Tensor
    partner: Tensor
    share: float


class BlendObjective(Objective):
    """The task's loss on images that are blended with others.

    Parameters
    ----------
    task : Task
    mixup : float
        The shares of a blend follow a beta distribution with this for both parameters (Zhang et
        al., 2018); 0 does not blend.
    """

    def __init__(self, task: Task, mixup: float) -> None:
        super().__init__(task)
        self.mixup = mixup

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module, in training on blends."""
        images = inputs["images"]
        try:
            if not self.mixup or not module.training:
                return module(images=images, n_mux=n_mux)
            # On the CPU, whose generator `fit` has seeded; all images of a step share one blend.
            concentration = torch.tensor(float(self.mixup))
            share = torch.distributions.Beta(concentration, concentration).sample().item()
            partner = torch.randperm(len(images)).to(images.device)
            blended = share * images + (1 - share) * images[partner]
            return _Blended(module(images=blended, n_mux=n_mux), partner, share)
        except ValueError as error:
            if len(images) > n_mux or "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                "batch normalisation needs more than one value, but there is one sample in a "
                f"batch, and images of {tuple(images.shape[2:])} pixels shrink to a single one; "
                "give more images, a larger `batch_size`, or architecture='mlp'"
            ) from error

    def answers(self, output: Any) -> Tensor:
        """Return the logits."""
        return output.logits if isinstance(output, _Blended) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the task's loss, of blends with both labels."""
        if not isinstance(output, _Blended):
            return super().loss(module, output, targets, weights)
        logits, partner, share = output
        own = self.task.loss(logits, targets, weights)
        other = self.task.loss(logits, targets[partner], weights[partner])
        return share * own + (1 - share) * other, {}


class ImageArchitecture(Architecture):
    """Base class of the architectures for images."""

    tasks = ("image",)

    #: What the multiplexer may be; the first is meant by "auto".
    multiplexers: ClassVar[tuple[str, ...]] = ("identity",)

    def check(self, setting: Setting) -> None:
        """Raise for a parameter that cannot be, and for a multiplexer of another architecture."""
        super().check(setting)
        allowed = Choice("auto", *self.multiplexers)
        if not allowed.accepts(given := setting.params["multiplexer"]):
            error = allowed.complain("multiplexer", given)
            raise type(error)(f"{error}, for architecture={self.label!r}")

    @property
    def label(self) -> str:
        """The name that error messages use."""
        return self.name

    def multiplexer(self, setting: Setting) -> str:
        """Return the multiplexer that is meant."""
        if setting.n_mux == 1:
            return "identity"
        given = setting.params["multiplexer"]
        return self.multiplexers[0] if given == "auto" else given

    def make(self, setting: Setting, shape: tuple[int, int, int], n_outputs: int) -> MuxModule:
        """Build a network.

        Parameters
        ----------
        setting : Setting
        shape : tuple of int
            Channels, height and width of an image.
        n_outputs : int

        Returns
        -------
        MuxModule
            Takes `images` of shape (n_rows, channels, height, width) and `n_mux`.

        Raises
        ------
        ValueError
            The parameters do not fit each other or the images.
        """
        raise NotImplementedError

    def build(self, setting: Setting, data: ImageReader, n_outputs: int) -> Built:
        """Build the network for images as a reader gives them."""
        return Built(data, self.make(setting, data.shape, n_outputs), self)

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a network as it was saved."""
        channels, height, width = config["reader"]["shape"]
        return self.make(setting, (channels, height, width), n_outputs)

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Let kernels and matrices decay, and keys and vectors not."""
        return [
            (name, {"weight_decay": 0.0})
            for name, parameter in module.named_parameters()
            if parameter.ndim < 2 or name.endswith("keys")
        ]

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, on blends where the estimator says so."""
        return BlendObjective(task, setting.params["mixup"])

    def complete(self, setting: Setting, module: MuxModule, batches: Any) -> None:
        """Estimate the batch statistics of each operating point anew."""
        if not isinstance(module, OperatingPointModule):  # no batch statistics
            return
        for point in statistics_points(setting):
            inputs = batches(point, _N_STATISTICS_BATCHES)
            module.recalibrate((given["images"] for given in inputs), point)


def statistics_points(setting: Setting) -> tuple[int, ...]:
    """Return the numbers of images in a mixture that get batch statistics of their own.

    Those of the training, and the capacity halved again and again, so that a prediction with
    fewer images in a mixture never uses statistics that are far off.

    Parameters
    ----------
    setting : Setting

    Returns
    -------
    tuple of int
        Descending.
    """
    halves = {setting.n_mux >> k for k in range(setting.n_mux.bit_length())}
    return tuple(sorted(halves | set(setting.row_counts), reverse=True))
