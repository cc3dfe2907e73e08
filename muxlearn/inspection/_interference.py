"""Count how often a prediction changes with its companions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn._params import Integer
from muxlearn.inspection._plotting import PlotMixin, as_labels, check_matplotlib, scale_points
from muxlearn.inspection._points import check_predicts_labels, multiplexed
from muxlearn.points import WORDS, PointLike, as_point, speed_rank
from muxlearn.prediction import choose_points, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["InterferenceDisplay"]


class InterferenceDisplay(PlotMixin):
    """Show how often a prediction changes with its companions.

    Create it with `from_estimator` or `from_predictions`. The same rows are predicted in several
    regroupings, in which they change companions and places; of any two of these, the share of
    labels that differ is taken.

    Parameters
    ----------
    n_mux : sequence of operating points, length n_points
        Rows in a mixture, or pairs ``(n_mux, patch_size)``.
    changed : array-like of float, shape (n_points, n_pairs)
        Share of labels that differ between two regroupings, for each pair of regroupings.

    Attributes
    ----------
    n_mux : ndarray of int64, or of str where there are pairs, shape (n_points,)
    changed : ndarray of float64, shape (n_points, n_pairs)
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from muxlearn.inspection import InterferenceDisplay
    >>> display = InterferenceDisplay.from_predictions(
    ...     {1: [["a", "b"], ["a", "b"]], 5: [["a", "b"], ["a", "a"]]}
    ... )
    >>> display.changed.mean(1).tolist()
    [0.0, 0.5]
    """

    def __init__(self, n_mux: Iterable[PointLike], changed: ArrayLike) -> None:
        self.n_mux = as_labels(n_mux)
        self.changed: NDArray[np.float64] = np.asarray(changed, np.float64)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_regroupings: int = 5,
        n_mux: PointLike | Sequence[PointLike] | None = None,
        ax: Axes | None = None,
    ) -> InterferenceDisplay:
        """Predict rows among several companions and draw how many labels differ.

        Parameters
        ----------
        estimator : MuxTextClassifier, MuxImageClassifier or MuxTokenTagger
            Fitted, or a fitted search for one. A tagger's tokens count one by one.
        X : sequence of length n_samples
            Rows as `predict` takes them.
        n_regroupings : int, default=5
            Number of predictions at each operating point, at least 2.
        n_mux : int or tuple of operating points, default=None
            The operating points. None stands for those that the estimator was trained at, or for
            its capacity and the halves of it down to 1.
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.

        Returns
        -------
        InterferenceDisplay
        """
        check_matplotlib(cls.__name__)
        Integer(2).check("n_regroupings", n_regroupings)
        estimator = multiplexed(estimator)
        predictor = estimator.predictor_
        check_predicts_labels(estimator)
        predictions = {
            point: predictor.predict_regrouped(X, point, n_regroupings)[0]
            for point in choose_points(n_mux, estimator.trained_points_, predictor.runner)
        }
        labelled = {label_of(p, predictor.runner): labels for p, labels in predictions.items()}
        return cls.from_predictions(labelled, ax=ax)

    @classmethod
    def from_predictions(
        cls, predictions: Mapping[PointLike, Any], *, ax: Axes | None = None
    ) -> InterferenceDisplay:
        """Draw how many labels differ between predictions that are there already.

        Parameters
        ----------
        predictions : dict of operating points to array-like of shape (n_regroupings, n_samples)
            The labels of the same rows in each regrouping, by `n_mux` or by pairs ``(n_mux,
            patch_size)``; equally many regroupings of each.
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.

        Returns
        -------
        InterferenceDisplay
        """
        check_matplotlib(cls.__name__)
        points = sorted(predictions, key=lambda point: speed_rank(as_point(point) or WORDS))
        labels = [np.asarray(predictions[point]) for point in points]
        for point, array in zip(points, labels, strict=True):
            if array.ndim != 2 or len(array) < 2 or not array.size:
                raise ValueError(
                    f"the predictions at n_mux={point} have shape {array.shape}; two regroupings "
                    "or more of one label or more are needed"
                )
            if len(array) != len(labels[0]):
                raise ValueError(
                    f"there are {len(labels[0])} regroupings at n_mux={points[0]} and "
                    f"{len(array)} at n_mux={point}; give equally many of each"
                )
        changed = [[np.mean(a != b) for a, b in combinations(array, 2)] for array in labels]
        return cls(points, changed).plot(ax)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> InterferenceDisplay:
        """Draw the mean share of changed labels, with bars from the lowest pair to the highest.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.
        **kwargs
            For `matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        InterferenceDisplay
        """
        ax = self._start(ax)
        from matplotlib.ticker import PercentFormatter

        means = self.changed.mean(1)
        bars = [means - self.changed.min(1), self.changed.max(1) - means]
        places = scale_points(ax, self.n_mux)
        ax.errorbar(places, means, bars, **{"fmt": "o-", "capsize": 3, **kwargs})
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_ylim(0, max(0.01, 1.1 * self.changed.max()))
        ax.set_ylabel("predictions that change with companions")
        return self
