"""How well multiplexed models recover what was folded into a mixture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted

from muxlearn.mixtures import plan_mixtures
from muxlearn.nn.text import MuxTextModule

__all__ = ["retrieval_score"]


def retrieval_score(estimator: Any, X: Iterable[Any]) -> float:
    """Return the share of tokens that a fitted text estimator recovers from full mixtures.

    The retrieval accuracy of DataMUX (section 3.4): every token of every row is to be named from
    the mixture it was folded into.

    Parameters
    ----------
    estimator : MuxTextClassifier or MuxTokenTagger
        Fitted; its warm-up, or `retrieval_weight`, has trained what is measured here.
    X : sequence of rows
        As for the estimator's `predict`; preferably not those of the training.

    Returns
    -------
    float
        Between 0 and 1. Special tokens count, padding and fillers do not.

    Raises
    ------
    TypeError
        The estimator's model has no retrieval task: images, "mimoformer", and published models.
    """
    check_is_fitted(estimator)
    if not isinstance(estimator.module_, MuxTextModule):
        raise TypeError(
            f"{type(estimator.module_).__name__} has no retrieval task; give a MuxTextClassifier "
            "or MuxTokenTagger with architecture='tmux' that was fitted here"
        )
    tokens = estimator._table(estimator.tokenizer_, estimator._check_rows(X))
    module = estimator.module_.eval()
    device = next(module.parameters()).device
    plan = plan_mixtures(tokens.lengths, module.n_mux)
    n_right = 0
    with torch.inference_mode():
        for batch in plan.batches(estimator.batch_size):
            ids, mask = (torch.from_numpy(part).to(device) for part in tokens.gather(batch.rows))
            recovered = module.retrieve(ids.flatten(0, 1), mask.flatten(0, 1)).view_as(ids)
            counted = mask & torch.from_numpy(batch.counted).to(device)[..., None]
            n_right += int(((recovered == ids) & counted).sum())
    return n_right / int(tokens.lengths.sum())
