"""Soft labels: the share that each class has in a row, from which classes are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from muxlearn.rows import (
    SoftLabels,
    check_weights,
    class_weights,
    relative_weights,
    training_order,
)
from muxlearn.tasks._classes import ClassesTask
from muxlearn.tasks._task import TrainingSet

__all__ = ["learn_soft"]


def learn_soft(
    rows: Any,
    y: SoftLabels,
    sample_weight: ArrayLike | None = None,
    class_weight: dict[Any, float] | str | None = None,
) -> tuple[ClassesTask, TrainingSet]:
    """Check weights, and make targets of soft labels.

    Parameters
    ----------
    rows : list or ndarray, length n_rows
        Checked.
    y : SoftLabels
        From `check_several`.
    sample_weight : array-like of shape (n_rows,), default=None
    class_weight : dict, "balanced" or None, default=None

    Returns
    -------
    task : ClassesTask
        The same as of labels: predictions are one class for each row.
    training_set : TrainingSet
        What is true of a row is its most probable class.

    Raises
    ------
    TypeError, ValueError
        A weight is not valid.
    """
    weights = check_weights(sample_weight, len(rows))
    order, left = training_order(rows, y.shares.tolist(), weights)
    shares, of_rows = y.shares[order], check_weights(left, len(order))
    of_classes = class_weights(class_weight, y.classes, of_rows @ shares)
    # A class that counts twice has twice the share, and its row a larger weight.
    weighted = shares * of_classes
    sums = weighted.sum(axis=1)
    codes = shares.argmax(axis=1)
    return ClassesTask(y.classes), TrainingSet.one_each(
        rows,
        order,
        true=y.classes[codes],
        values=np.where(sums[:, None] > 0, weighted, shares).astype(np.float32)
        / np.where(sums > 0, sums, 1.0)[:, None].astype(np.float32),
        weights=relative_weights(of_rows * sums, "`sample_weight` and `class_weight` make"),
        row_weights=left,
        strata=codes,
    )
