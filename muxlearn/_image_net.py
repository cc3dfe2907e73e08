"""The skorch net of the image estimators: mixup and the regularisers of MIMOConv."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from muxlearn._net import MuxNet
from muxlearn.nn.losses import weighted_cross_entropy
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer

__all__ = ["MuxImageNet"]


class _Blended(NamedTuple):
    """The logits of blended images, (n_rows, n_classes), and what was blended."""

    logits: Tensor
    partner: Tensor
    share: float


class MuxImageNet(MuxNet):
    """Trains a multiplexed image module on mixtures.

    Parameters
    ----------
    mixup : float
        Images are blended with others in shares that follow a beta distribution with this for
        both parameters (Zhang et al., 2018); 0 does not blend.
    isometry_weight, binding_weight : float
        Weights in the loss of `isometry_regularizer` over the trunk's convolutions and of
        `binding_regularizer`; of MIMOConv networks alone.
    **kwargs
        For `MuxNet`.
    """

    def __init__(
        self,
        *args: Any,
        mixup: float = 0.0,
        isometry_weight: float = 0.0,
        binding_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.mixup = mixup
        self.isometry_weight = isometry_weight
        self.binding_weight = binding_weight
        super().__init__(*args, **kwargs)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Any:
        """Run the module on mixtures; images are of shape (n_mixtures, n_mux, ...)."""
        try:
            return super().infer(x, **fit_params)
        except ValueError as error:
            n_mixtures = len(x["images"])
            if n_mixtures > 1 or "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                "batch normalisation needs more than one value, but there is one sample in a "
                f"batch, and images of {tuple(x['images'].shape[3:])} pixels shrink to a single "
                "one; give more images, a larger `batch_size`, or architecture='mlp'"
            ) from error

    def _run(self, inputs: dict[str, Tensor], n_mux: int) -> Any:
        if not self.mixup or not self.module_.training:
            return super()._run(inputs, n_mux)
        images = inputs["images"]
        # On the CPU, whose generator `fit` has seeded; all images of a step share one blend.
        concentration = torch.tensor(float(self.mixup))
        share = torch.distributions.Beta(concentration, concentration).sample().item()
        partner = torch.randperm(len(images)).to(images.device)
        blended = share * images + (1 - share) * images[partner]
        return _Blended(super()._run({"images": blended}, n_mux), partner, share)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the cross entropy, of blends with both labels, and the regularisers."""
        if isinstance(y_pred, _Blended):
            targets, weights = (values.to(self._place) for values in y_true)
            logits, partner, share = y_pred
            own = weighted_cross_entropy(logits, targets, weights)
            other = weighted_cross_entropy(logits, targets[partner], weights[partner])
            loss = share * own + (1 - share) * other
        else:
            loss = super().get_loss(y_pred, y_true, X, training)
        return loss + self._regularisers().to(loss) if training else loss

    def _regularisers(self) -> Tensor:
        module, total = self._bare_module, torch.zeros(())
        if not isinstance(module, MuxWideResNet):
            return total
        if self.isometry_weight:
            term = isometry_regularizer(module.trunk.convolutions())
            total = total + self.isometry_weight * term
        if self.binding_weight:
            term = binding_regularizer(module.binding)
            total = total + self.binding_weight * term
        return total
