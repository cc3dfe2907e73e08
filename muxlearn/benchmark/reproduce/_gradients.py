"""The treatment of gradients in the authors' training of MIMOConv."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from skorch.callbacks import Callback
from torch import nn

__all__ = ["GradientFilter"]

_FACTOR, _CLIP = 10.0, 1e3


class GradientFilter(Callback):
    """Clips gradients, and leaves the weights alone where one is far larger than usual.

    A gradient has a norm of at most 1,000. A step is skipped if that of its gradient is at least
    ten times the mean over the accepted steps of the epoch before. In the first epoch none is. The
    learning rate moves on in any case. The mean is kept in the history, where a training that was
    killed finds it again.
    """

    def on_grad_computed(
        self, net: Any, named_parameters: Iterable[tuple[str, nn.Parameter]], **kwargs: Any
    ) -> None:
        """Clip the gradient, and drop it if it is too large."""
        parameters = [parameter for _, parameter in named_parameters]
        norm = float(nn.utils.clip_grad_norm_(parameters, _CLIP))  # as it was before
        accepted = norm < _FACTOR * _usual_norm(net)
        net.history.record_batch("accepted_grad_norm", norm if accepted else None)
        if not accepted:
            for parameter in parameters:
                parameter.grad = None  # without one, neither momentum nor decay moves a weight

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the mean norm of the steps that were taken, or the last one where none was."""
        norms = [batch.get("accepted_grad_norm") for batch in net.history[-1]["batches"]]
        taken = [norm for norm in norms if norm is not None]
        mean = sum(taken) / len(taken) if taken else _usual_norm(net)
        net.history.record("grad_norm", mean)


def _usual_norm(net: Any) -> float:
    """Return the mean norm of the epoch before."""
    return net.history[-2]["grad_norm"] if len(net.history) > 1 else math.inf
