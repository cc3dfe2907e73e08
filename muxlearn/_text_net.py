"""The skorch net of the text estimators: the retrieval task beside their own."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback, PassthroughScoring
from torch import Tensor

from muxlearn._net import MuxNet
from muxlearn.nn.losses import retrieval_loss, weighted_cross_entropy
from muxlearn.nn.text import MuxTrainingOutput

__all__ = ["MuxTextNet"]


class MuxTextNet(MuxNet):
    """Trains a multiplexed text module on mixtures.

    The loss is the task's cross entropy plus `retrieval_weight` times that of recovering sampled
    tokens (DataMUX, eq. 4). Without a task it is the retrieval warm-up.

    Parameters
    ----------
    task_weight, retrieval_weight : float
        The two terms' weights.
    retrieval_samples : int
        Tokens of each mixture that the retrieval task recovers.
    **kwargs
        For `MuxNet`.
    """

    def __init__(
        self,
        *args: Any,
        task_weight: float = 1.0,
        retrieval_weight: float = 0.1,
        retrieval_samples: int = 32,
        **kwargs: Any,
    ) -> None:
        self.task_weight = task_weight
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        accuracy = PassthroughScoring("retrieval_acc", lower_is_better=False, on_train=True)
        return [*super()._default_callbacks, ("retrieval_acc", accuracy)]

    def _run(self, inputs: dict[str, Tensor], n_mux: int) -> Any:
        samples = 0
        if self.module_.training and self.retrieval_weight > 0:
            samples = self.retrieval_samples
        return self.module_(**inputs, n_mux=n_mux, retrieval_samples=samples)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Add the two losses up."""
        if not isinstance(y_pred, MuxTrainingOutput):
            return super().get_loss(y_pred, y_true, X, training)
        recovery = retrieval_loss(y_pred.retrieval_logits, y_pred.retrieval_targets)
        hits = y_pred.retrieval_logits.argmax(-1) == y_pred.retrieval_targets
        self.history.record_batch("retrieval_acc", hits.float().mean().item())
        if not self.task_weight:
            return recovery
        targets, weights = (values.to(self._place) for values in y_true)
        task = weighted_cross_entropy(y_pred.logits, targets, weights)
        return self.task_weight * task + self.retrieval_weight * recovery
