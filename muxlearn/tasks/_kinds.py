"""The task that a classifier's targets ask for."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from muxlearn.rows import SoftLabels, check_several
from muxlearn.tasks._classes import ClassesTask
from muxlearn.tasks._labels import LabelsTask
from muxlearn.tasks._soft import learn_soft
from muxlearn.tasks._task import Task, TrainingSet

__all__ = ["learn_labels"]


def learn_labels(
    rows: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    class_weight: dict[Any, float] | str | None = None,
) -> tuple[Task, TrainingSet]:
    """Learn one label, several labels or soft labels of rows, whichever `y` holds.

    Parameters
    ----------
    rows : list or ndarray, length n_rows
        Checked.
    y : object
        Labels, or what `check_several` reads.
    sample_weight : array-like of shape (n_rows,), default=None
    class_weight : dict, "balanced" or None, default=None

    Returns
    -------
    task : Task
    training_set : TrainingSet

    Raises
    ------
    TypeError, ValueError
        A label or a weight is not valid.
    """
    given = check_several(y, len(rows))
    if given is None:
        return ClassesTask.learn(rows, y, sample_weight, class_weight)
    if isinstance(given, SoftLabels):
        return learn_soft(rows, given, sample_weight, class_weight)
    return LabelsTask.learn(rows, given, sample_weight, class_weight)
