"""Accuracy by slot."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _num_samples

from muxlearn._params import Integer
from muxlearn.inspection._plotting import PlotMixin, check_matplotlib
from muxlearn.inspection._points import check_predicts_labels, multiplexed
from muxlearn.rows import check_sentences, check_tags
from muxlearn.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SlotDisplay"]


class SlotDisplay(PlotMixin):
    """Accuracy by the slot that a row has in its mixture.

    Create it with `from_estimator` or `from_predictions`. A slot that lags behind the others has
    a poor key, or has been trained too little.

    Parameters
    ----------
    correct : array-like of int, shape (n_slots,)
        Right predictions in each slot.
    counts : array-like of int, shape (n_slots,)
        All predictions in each slot.

    Attributes
    ----------
    accuracy : ndarray of float64, shape (n_slots,)
    standard_error : ndarray of float64, shape (n_slots,)
        Standard error of the accuracy, as if all predictions were independent of each other.
    counts : ndarray of int64, shape (n_slots,)
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        A slot never held a row.

    Examples
    --------
    >>> from muxlearn.inspection import SlotDisplay
    >>> display = SlotDisplay.from_predictions(
    ...     y_true=["a", "b", "b", "a"], y_pred=["a", "b", "a", "a"], slots=[0, 0, 1, 1]
    ... )
    >>> display.accuracy.tolist()
    [1.0, 0.5]
    """

    def __init__(self, correct: ArrayLike, counts: ArrayLike) -> None:
        self.counts: NDArray[np.int64] = np.asarray(counts, np.int64)
        right = np.asarray(correct)
        if right.shape != self.counts.shape or (right > self.counts).any() or (right < 0).any():
            raise ValueError(
                "`correct` must have a number from 0 to `counts` for each slot, got "
                f"{right.tolist()} of {self.counts.tolist()}"
            )
        empty = np.flatnonzero(self.counts == 0)
        if len(empty):
            raise ValueError(
                f"slot {empty[0]} of {len(self.counts)} never held a row; give more rows or raise "
                "`n_regroupings`"
            )
        self.accuracy: NDArray[np.float64] = right / self.counts
        self.standard_error: NDArray[np.float64] = np.sqrt(
            self.accuracy * (1 - self.accuracy) / self.counts
        )

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, n_regroupings: int = 5, ax: Axes | None = None
    ) -> SlotDisplay:
        """Predict rows in full mixtures and draw the accuracy by slot.

        Parameters
        ----------
        estimator : MuxTextClassifier, MuxImageClassifier or MuxTokenTagger
            Fitted, or a fitted search for one.
        X : sequence of length n_samples
            Rows as `predict` takes them.
        y : sequence of length n_samples
            The true labels; of a tagger the tags of each sentence, whose tokens count one by one.
        n_regroupings : int, default=5
            Number of predictions, between which rows change slots.
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.

        Returns
        -------
        SlotDisplay
        """
        check_matplotlib(cls.__name__)
        Integer(1).check("n_regroupings", n_regroupings)
        estimator = multiplexed(estimator)
        check_predicts_labels(estimator)
        predictor = estimator.predictor_
        true = _true_labels(X, y, predictor.task)
        n_mux = predictor.resolve_point().n_mux
        predicted, slots = predictor.predict_regrouped(X, None, n_regroupings)
        return cls._count(true, predicted, slots, n_mux).plot(ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, slots: ArrayLike, *, ax: Axes | None = None
    ) -> SlotDisplay:
        """Draw the accuracy by slot of predictions that are there already.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
        y_pred : array-like of shape (n_samples,) or (n_regroupings, n_samples)
        slots : array-like of int, the same shape as `y_pred`
            The slot of each prediction's row, from 0.
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.

        Returns
        -------
        SlotDisplay
        """
        check_matplotlib(cls.__name__)
        predicted, places = np.atleast_2d(np.asarray(y_pred)), np.atleast_2d(np.asarray(slots))
        true = list(y_true)
        if predicted.shape != places.shape or predicted.shape[1:] != (len(true),):
            raise ValueError(
                f"`y_true` has {len(true)} labels, `y_pred` has shape {np.shape(y_pred)} and "
                f"`slots` has {np.shape(slots)}; each row needs a label, and in each regrouping a "
                "prediction and a slot"
            )
        if places.size == 0 or not np.issubdtype(places.dtype, np.integer) or places.min() < 0:
            raise ValueError("`slots` must hold whole numbers of at least 0, one at least")
        return cls._count(true, predicted, places, int(places.max()) + 1).plot(ax)

    @classmethod
    def _count(
        cls, true: list[Any], predicted: NDArray[Any], slots: NDArray[np.int64], n_mux: int
    ) -> SlotDisplay:
        rounds = (zip(true, labels.tolist(), strict=True) for labels in predicted)
        right = np.fromiter((a == b for pairs in rounds for a, b in pairs), bool)
        every = slots.ravel()
        correct = np.bincount(every[right], minlength=n_mux)
        return cls(correct, np.bincount(every, minlength=n_mux))

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> SlotDisplay:
        """Draw the accuracy by slot, with bars of one standard error.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.
        **kwargs
            For `matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        SlotDisplay
        """
        ax = self._start(ax)
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        n_slots = len(self.accuracy)
        style = {"fmt": "o", "capsize": 3, "label": "slot ± standard error", **kwargs}
        ax.errorbar(np.arange(n_slots), self.accuracy, self.standard_error, **style)
        overall = np.average(self.accuracy, weights=self.counts)
        ax.axhline(overall, color="0.4", linestyle="--", label=f"all slots: {overall:.1%}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        low, high = ax.get_ylim()
        ax.set(
            xlabel="slot in the mixture",
            ylabel="accuracy",
            xlim=(-0.5, n_slots - 0.5),
            ylim=(low - 0.15 * (high - low), high),  # room for the legend
        )
        ax.legend(loc="lower center", ncols=2)
        return self


def _true_labels(X: Any, y: Any, task: Task) -> list[Any]:
    """Check the true labels, and return them one prediction after the other."""
    if task.nested:
        tags = list(chain.from_iterable(check_tags(y, check_sentences(X))))
        if not tags:
            raise ValueError("`X` has no token: every sentence is empty")
        return tags
    return np.asarray(task.check_true(range(_num_samples(X)), y)).tolist()
