"""The skorch net of RevMUX: only the adapters are trained, with InfoNCE beside the task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from skorch.callbacks import Callback, PassthroughScoring
from torch import Tensor, nn

from muxlearn._net import MuxNet
from muxlearn.nn.losses import weighted_cross_entropy
from muxlearn.nn.revmux import RevMuxClassifier, RevMuxTrainingOutput, info_nce_loss

__all__ = ["RevMuxNet"]


class RevMuxNet(MuxNet):
    """Trains what is not frozen of a `RevMuxClassifier` on mixtures.

    The loss is the task's cross entropy plus `infonce_weight` times `info_nce_loss`.

    Parameters
    ----------
    infonce_weight : float
    temperature : float
        Of InfoNCE.
    **kwargs
        For `MuxNet`.
    """

    def __init__(
        self, *args: Any, infonce_weight: float = 0.25, temperature: float = 0.05, **kwargs: Any
    ) -> None:
        self.infonce_weight = infonce_weight
        self.temperature = temperature
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        loss = PassthroughScoring("infonce_loss", on_train=True)
        return [*super()._default_callbacks, ("infonce_loss", loss)]

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield what is not frozen, with names."""
        named = super().get_all_learnable_params()
        return ((name, weights) for name, weights in named if weights.requires_grad)

    def _run(self, inputs: dict[str, Tensor], n_mux: int) -> Any:
        n_slots = cast(RevMuxClassifier, self._bare_module).n_mux
        contrast = self.module_.training and n_slots > 1 and self.infonce_weight > 0
        return self.module_(**inputs, n_mux=n_mux, contrast=contrast)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Add the two losses up."""
        if not isinstance(y_pred, RevMuxTrainingOutput):
            return super().get_loss(y_pred, y_true, X, training)
        contrast = info_nce_loss(y_pred.vectors, y_pred.alone, y_pred.rows, self.temperature)
        self.history.record_batch("infonce_loss", contrast.item())
        targets, weights = (values.to(self._place) for values in y_true)
        task = weighted_cross_entropy(y_pred.logits, targets, weights)
        return task + self.infonce_weight * contrast
