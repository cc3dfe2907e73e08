"""Training on several GPUs, or several processes, by the library `accelerate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from muxlearn.training.processes import use_accelerator

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["train_with"]


@contextmanager
def train_with(accelerator: Accelerator) -> Iterator[None]:
    """Let every `fit` within the block train on all processes of an accelerator.

    Each process runs the same script with the same rows, as ``accelerate launch`` starts them. It
    trains on its share of the mixtures of every step, and gradients are averaged (distributed data
    parallel, skorch's `AccelerateMixin`). With P processes a step takes ``P * batch_size``
    mixtures and an epoch has a P-th of the steps, so that the training is that of one process with
    a `batch_size` P times as large. Companions, initial weights and losses are the same on all of
    them, and every process ends with the same fitted estimator.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
        ``Accelerator(mixed_precision="bf16")`` trains in mixed precision, whatever the
        estimator's `dtype` says. ``Accelerator(gradient_accumulation_steps=k)`` takes an update of
        k batches, which need the memory of one: the training is that of a `batch_size` k times as
        large, on one process too.

    Raises
    ------
    TypeError
        `accelerator` is no `accelerate.Accelerator`.
    ValueError
        The accelerator's precision is "fp16", whose scaled gradients cannot be clipped.

    Notes
    -----
    A loss that is averaged over the tokens of a share, such as a tagger's or the retrieval loss,
    gives each share the same weight, however many tokens it holds. Every process reads all
    validation rows of `early_stopping`.

    Examples
    --------
    >>> from accelerate import Accelerator  # doctest: +SKIP
    >>> from muxlearn.parallel import train_with
    >>> accelerator = Accelerator(mixed_precision="bf16")  # doctest: +SKIP
    >>> with train_with(accelerator):  # doctest: +SKIP
    ...     clf.fit(X, y)
    >>> if accelerator.is_main_process:  # doctest: +SKIP
    ...     clf.save("model")
    """
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "train_with needs accelerate, which is not installed: pip install "
            "'muxlearn[accelerate]'",
            name="accelerate",
        ) from error
    if not isinstance(accelerator, Accelerator):
        raise TypeError(
            "`accelerator` must be an accelerate.Accelerator, got an instance of "
            f"{type(accelerator).__name__}"
        )
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise ValueError(
            f"`accelerator` has mixed_precision={accelerator.mixed_precision!r}; take 'bf16' or "
            "'no'"
        )
    if accelerator.ddp_handler is None:
        # The head of the retrieval task has no part in a step without that task.
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
    with use_accelerator(accelerator):
        yield
