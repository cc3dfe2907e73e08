"""Measure how well multiplexed models recover the tokens of a mixture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted

from muxlearn.mixtures import plan_mixtures
from muxlearn.nn.text import MuxTextModule
from muxlearn.points import WORDS, PointLike

__all__ = ["retrieval_score"]


def retrieval_score(estimator: Any, X: Iterable[Any], n_mux: PointLike | None = None) -> float:
    """Return the share of tokens that a fitted text estimator recovers from mixtures.

    The retrieval accuracy of DataMUX (section 3.4): every token of every row is to be named from
    the mixture it was folded into.

    Parameters
    ----------
    estimator : MuxTextClassifier, MuxTokenTagger or MuxTextPretrainer
        Fitted; its warm-up, or `retrieval_weight`, has trained what is measured here.
    X : sequence of rows
        Rows that the estimator's `predict` takes, preferably not those of the training.
    n_mux : int or (int, int), default=None
        Rows in a mixture, from 1 to the model's capacity, which None stands for; or a whole
        operating point, a pair ``(n_mux, patch_size)``.

    Returns
    -------
    float
        Between 0 and 1. Special tokens count, padding and fillers do not.

    Raises
    ------
    TypeError
        The estimator's model has no retrieval task: images, "mimoformer", published models, and
        what has learned by distillation alone.
    """
    check_is_fitted(estimator)
    module = estimator.module_
    if not isinstance(module, MuxTextModule) or module.retrieval is None:
        raise TypeError(
            f"{type(module).__name__} has no retrieval task; give a MuxTextClassifier or "
            "MuxTokenTagger with architecture='tmux' that was fitted here, or a MuxTextPretrainer "
            "with objective 'retrieval' or 'both'"
        )
    predictor = estimator.predictor_
    point = predictor.resolve_point(n_mux)
    if point == WORDS:
        raise ValueError("`n_mux` is 'words', but the words alone share no position; give a number")
    tokens = predictor.reader.table(predictor.reader.check(X))
    tokens = tokens.for_patches(point.patch_size)
    module.eval()
    device = next(module.parameters()).device
    plan = plan_mixtures(tokens.lengths, point.n_mux)
    n_right = n_tokens = 0
    with torch.inference_mode():
        for batch in plan.batches(estimator.batch_size):
            ids, mask = (
                torch.from_numpy(part[..., : module.max_length]).to(device)
                for part in tokens.gather(batch.rows)
            )
            recovered = module.retrieve(ids.flatten(0, 1), mask.flatten(0, 1), *point).view_as(ids)
            counted = mask & torch.from_numpy(batch.counted).to(device)[..., None]
            n_right += int(((recovered == ids) & counted).sum())
            n_tokens += int(counted.sum())
    return n_right / n_tokens
