"""Networks stacked with TF-IDF: what the words say beside them, at next to no cost."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from muxlearn.benchmark._models import FitTime, fit
from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._job import Candidate, Job, Unit
from muxlearn.benchmark.frontier._linear import fit_linear
from muxlearn.benchmark.frontier._multiplexed import shared_units
from muxlearn.benchmark.frontier._plain import plain_units

__all__ = ["stack_units"]

#: The linear neighbour that all networks are stacked with.
_LINEAR = "TF-IDF, two words"


def stack_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield a stack of each network, where the options ask for them."""
    if not args.stack or task.kind == "sentences":
        return
    for models, units in (("plain", plain_units), ("shared", shared_units)):
        if models in args.models:
            for unit in units(args, task):
                yield Unit(f"{unit.name} + TF-IDF", partial(_stacks, unit))


class _Stack:
    """Logistic regression on probabilities, as ``StackingClassifier(cv="prefit")`` fits it.

    Parameters
    ----------
    *models : callable
        Take rows, and return the probabilities of fitted classifiers.
    """

    def __init__(self, *models: Callable[[Sequence[Any]], NDArray[Any]]) -> None:
        self.models = models

    def fit(self, X: Sequence[Any], y: Any) -> _Stack:
        """Learn whom to trust."""
        self.final_ = LogisticRegression().fit(self._table(X), y)
        return self

    def predict(self, X: Sequence[Any]) -> NDArray[Any]:
        """Return labels."""
        return self.final_.predict(self._table(X))

    def _table(self, X: Sequence[Any]) -> NDArray[Any]:
        # All but the first, as they sum to 1.
        return np.hstack([predict_proba(X)[:, 1:] for predict_proba in self.models])


def _stacks(unit: Unit, job: Job) -> Iterator[Candidate]:
    linear, of_linear = fit_linear(job, _LINEAR)
    for network in unit.make(job):
        assert network.predict_proba is not None
        # Neither has learned from these rows, on which the penalty of TF-IDF was chosen as well.
        stack = _Stack(network.predict_proba, linear.predict_proba)
        stack, taken = fit(stack, job.task.valid.X, job.task.valid.y)
        whole = FitTime(*map(sum, zip(network.taken, of_linear, taken, strict=True)))
        yield Candidate(f"{network.name} + TF-IDF", network.kind, stack.predict, whole)
