"""The skorch net of MIMOFormer: the warm-up on a part of the grid, and the regulariser."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor

from muxlearn._net import MuxNet
from muxlearn.nn.mimoformer import MIMOFormer

__all__ = ["MIMOFormerNet"]


class MIMOFormerNet(MuxNet):
    """Trains a MIMOFormer on mixtures.

    Parameters
    ----------
    operating_points : tuple of int
        As for `MuxNet`.
    warm_up_n_mux : int, default=None
        Rows in a mixture in the place of `operating_points`, for the warm-up.
    isometry_weight : float
        Weight in the loss of `MIMOFormer.isometry_regularizer`.
    **kwargs
        For `MuxNet`.
    """

    def __init__(
        self,
        *args: Any,
        operating_points: tuple[int, ...] = (1,),
        warm_up_n_mux: int | None = None,
        isometry_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.warm_up_n_mux = warm_up_n_mux
        self.isometry_weight = isometry_weight
        points = operating_points if warm_up_n_mux is None else (warm_up_n_mux,)
        super().__init__(*args, operating_points=points, **kwargs)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the cross entropy, in training with the regulariser."""
        loss = super().get_loss(y_pred, y_true, X, training)
        if not training or not self.isometry_weight:
            return loss
        module = cast(MIMOFormer, self._bare_module)
        return loss + (self.isometry_weight * module.isometry_regularizer()).to(loss)
