"""The pieces of MIMOConv's training recipe (MIMONets: Menet et al., NeurIPS 2023)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer
from muxlearn.nn.wideresnet import ShiftedReLU

__all__ = ["GradientStep", "backward", "one_cycle_sgd", "parameter_groups"]


class GradientStep(NamedTuple):
    """The output and the gradient of a call of `backward`.

    Attributes
    ----------
    logits : Tensor of shape (n_rows, n_classes)
    loss : float
        The task's and the binding's term.
    task_loss, binding, isometry : float
        The terms without their weights.
    isometry_norm, norm : float
        Norms of the weighted gradient of the isometry term and of the whole gradient.
    """

    logits: Tensor
    loss: float
    task_loss: float
    binding: float
    isometry: float
    isometry_norm: float
    norm: float


def backward(
    model: MuxWideResNet,
    images: Tensor,
    labels: Tensor,
    n_mux: int,
    partner: Tensor,
    share: float,
    isometry_weight: float = 1e-4,
    binding_weight: float = 0.1,
    max_norm: float = 1e3,
) -> GradientStep:
    """Leave the gradient of all terms in the parameters.

    Parameters
    ----------
    model : MuxWideResNet
    images : Tensor of shape (n_mixtures * n_mux, in_channels, height, width)
    labels : Tensor of int, shape (n_mixtures * n_mux,)
    n_mux : int
        Images in a mixture.
    partner : Tensor of int, shape (n_mixtures * n_mux,)
        The image that each is blended with (mixup: Zhang et al., 2018).
    share : float
        Each image's own share in the blend, from 0 to 1.
    isometry_weight : float, default=1e-4
        Weight of `isometry_regularizer` over the trunk's convolutions.
    binding_weight : float, default=0.1
        Weight of `binding_regularizer`.
    max_norm : float, default=1e3
        The gradient is clipped to it, that of the isometry term alone before the others are added.

    Returns
    -------
    GradientStep
    """
    model.zero_grad()
    isometry = isometry_regularizer(model.trunk.convolutions())
    (isometry_weight * isometry).backward()
    isometry_norm = clip_grad_norm_(model.parameters(), max_norm)
    logits = model(share * images + (1 - share) * images[partner], n_mux)
    own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[partner])
    task_loss = share * own + (1 - share) * other
    binding = binding_regularizer(model.binding)
    loss = task_loss + binding_weight * binding
    loss.backward()
    norm = clip_grad_norm_(model.parameters(), max_norm)
    terms = (loss, task_loss, binding, isometry, isometry_norm, norm)
    return GradientStep(logits.detach(), *(term.item() for term in terms))


def parameter_groups(model: nn.Module, weight_decay: float = 1e-5) -> list[dict[str, Any]]:
    """Split the parameters for the optimiser: those of activations do not decay.

    Parameters
    ----------
    model : nn.Module
    weight_decay : float, default=1e-5
        Decay of all others, including keys and batch normalisation.

    Returns
    -------
    list of dict
        The parameters that decay, then those that do not.
    """
    kept = {
        parameter
        for module in model.modules()
        if isinstance(module, nn.PReLU | ShiftedReLU)
        for parameter in module.parameters()
    }
    return [
        {
            "params": [p for p in model.parameters() if p not in kept],
            "weight_decay": weight_decay,
        },
        {"params": [p for p in model.parameters() if p in kept], "weight_decay": 0.0},
    ]


def one_cycle_sgd(
    model: nn.Module, n_steps: int, lr: float = 0.2, weight_decay: float = 1e-5
) -> tuple[SGD, OneCycleLR]:
    """Build the optimiser and its schedule, which sets the momentum too.

    Parameters
    ----------
    model : nn.Module
    n_steps : int
        Batches of the whole training.
    lr : float, default=0.2
        The highest learning rate, reached after 30 % of the steps.
    weight_decay : float, default=1e-5
        Decay of all parameters but those of activations.

    Returns
    -------
    optimizer : torch.optim.SGD
    scheduler : torch.optim.lr_scheduler.OneCycleLR
        To be stepped once a batch, whether the update was made or not.
    """
    optimizer = SGD(parameter_groups(model, weight_decay), lr=lr)
    return optimizer, OneCycleLR(optimizer, max_lr=lr, total_steps=n_steps)
