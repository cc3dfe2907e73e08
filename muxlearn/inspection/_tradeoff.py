"""Score against speed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import check_scoring
from sklearn.utils.validation import _num_samples

from muxlearn._params import Integer
from muxlearn._timing import paired_seconds
from muxlearn.inspection._plotting import PlotMixin, as_labels, check_matplotlib
from muxlearn.inspection._points import OperatingPoint, multiplexed
from muxlearn.metrics import unbeaten
from muxlearn.points import PointLike
from muxlearn.prediction import choose_points, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TradeoffDisplay"]

_OTHER_MARKERS = "sD^vP*Xh"

# Where the fastest is so many times faster than the slowest, a linear axis shows the fastest only.
_LOG_FROM = 8


class TradeoffDisplay(PlotMixin):
    """Score against rows per second: an estimator's operating points, and others beside them.

    Create it with `from_estimator`.

    Parameters
    ----------
    n_mux : sequence of operating points, length n_points
        Rows in a mixture, pairs ``(n_mux, patch_size)``, or "words".
    scores : array-like of float, shape (n_points,)
    rows_per_second : array-like of float, shape (n_points,)
    others : dict of str to (float, float), default=None
        Score and rows per second of other estimators.
    score_name : str, default="score"
        Name of the scores.

    Attributes
    ----------
    n_mux : ndarray of int64, or of str where there are pairs or "words", shape (n_points,)
    scores, rows_per_second : ndarray of float64, shape (n_points,)
    others : dict of str to (float, float)
    score_name : str
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from muxlearn.inspection import TradeoffDisplay
    >>> display = TradeoffDisplay([1, 5, 10], [0.97, 0.96, 0.94], [210.0, 960.0, 1840.0])
    >>> display.plot().ax_.get_ylabel()
    'score'
    """

    def __init__(
        self,
        n_mux: Iterable[PointLike],
        scores: ArrayLike,
        rows_per_second: ArrayLike,
        *,
        others: Mapping[str, tuple[float, float]] | None = None,
        score_name: str = "score",
    ) -> None:
        self.n_mux = as_labels(n_mux)
        self.scores: NDArray[np.float64] = np.asarray(scores, np.float64)
        self.rows_per_second: NDArray[np.float64] = np.asarray(rows_per_second, np.float64)
        lengths = len(self.n_mux), len(self.scores), len(self.rows_per_second)
        if len(set(lengths)) > 1 or not self.n_mux.size:
            raise ValueError(
                "`n_mux`, `scores` and `rows_per_second` must have an item for each point, got "
                f"{', '.join(map(str, lengths))} of them"
            )
        if not (self.rows_per_second > 0).all():
            raise ValueError(f"`rows_per_second` must be above 0, got {self.rows_per_second.min()}")
        self.others = dict(others or {})
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_mux: PointLike | Sequence[PointLike] | None = None,
        others: Mapping[str, Any] | None = None,
        scoring: str | Callable[..., float] | None = None,
        repeats: int = 5,
        ax: Axes | None = None,
    ) -> TradeoffDisplay:
        """Score and time `predict` on some rows, and draw one against the other.

        All estimators are timed in turn, again and again, so that a slow moment of the machine
        hits all of them. Few rows fill few batches: give some thousand for speeds that hold.

        Parameters
        ----------
        estimator : MuxTextClassifier, MuxImageClassifier or MuxTokenTagger
            Fitted, or a fitted search for one.
        X : sequence of length n_samples
            Rows as `predict` takes them.
        y : sequence of length n_samples
            The true labels, or the tags of each sentence.
        n_mux : int, "words" or tuple of operating points, default=None
            The operating points. None stands for those that the estimator was trained at, or for
            its capacity and the halves of it down to 1.
        others : dict of str to estimator, default=None
            Other fitted estimators for the same rows, by the name to show.
        scoring : str or callable, default=None
            A scorer, or the name of one of scikit-learn's; None stands for each estimator's own
            `score`.
        repeats : int, default=5
            Calls of `predict` whose median counts, after one that does not.
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.

        Returns
        -------
        TradeoffDisplay

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError, ValueError
            An argument is invalid.
        """
        check_matplotlib(cls.__name__)
        Integer(1).check("repeats", repeats)
        if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
            raise TypeError(
                "`scoring` must be None, the name of a scorer or a callable, got an instance of "
                f"{type(scoring).__name__}; a plot shows one score"
            )
        estimator = multiplexed(estimator)
        beside = _check_others(others)
        runner = estimator.predictor_.runner
        chosen = choose_points(n_mux, estimator.trained_points_, runner)
        points = [label_of(point, runner) for point in chosen]
        if taken := [name for name in beside if name in map(str, chosen)]:
            raise ValueError(
                f"`others` holds {taken[0]!r}, which is the name of an operating point; take "
                "another name"
            )
        models: dict[PointLike, Any] = {point: OperatingPoint(estimator, point) for point in points}
        models.update(beside)
        scores = {
            name: float(check_scoring(model, scoring)(model, X, y))
            for name, model in models.items()
        }
        runs = {name: partial(model.predict, X) for name, model in models.items()}
        seconds = paired_seconds(runs, repeats)
        rates = {name: _num_samples(X) / statistics.median(s) for name, s in seconds.items()}
        return cls(
            points,
            [scores[point] for point in points],
            [rates[point] for point in points],
            others={name: (scores[name], rates[name]) for name in beside},
            score_name=_score_name(estimator, scoring),
        ).plot(ax)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> TradeoffDisplay:
        """Draw the operating points as a line with their names, and others as single points.

        With others, a dotted line joins the models that no other beats in both score and speed.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes new ones.
        **kwargs
            For the `matplotlib.axes.Axes.plot` that draws the line.

        Returns
        -------
        TradeoffDisplay
        """
        ax = self._start(ax)
        named = "n_mux" if self.n_mux.dtype.kind == "i" else "n_mux x patch_size"
        style = {"marker": "o", "label": f"multiplexed, by {named}", **kwargs}
        (line,) = ax.plot(self.rows_per_second, self.scores, **style)
        for point, score, rate in zip(self.n_mux, self.scores, self.rows_per_second, strict=True):
            ax.annotate(
                str(point),
                (rate, score),
                xytext=(5, 4),  # mostly off the line, which falls to the right
                textcoords="offset points",
                color=line.get_color(),
            )
        for number, (name, (score, rate)) in enumerate(self.others.items()):
            marker = _OTHER_MARKERS[number % len(_OTHER_MARKERS)]
            ax.plot(rate, score, marker=marker, linestyle="none", label=name)
        if self.others:
            self._draw_frontier(ax)
        self._scale_speed(ax)
        ax.margins(0.1)
        ax.set(xlabel="rows per second", ylabel=self.score_name)
        ax.legend()
        return self

    def _draw_frontier(self, ax: Any) -> None:
        beside = np.array(list(self.others.values()))
        scores = np.append(self.scores, beside[:, 0])
        rates = np.append(self.rows_per_second, beside[:, 1])
        (best,) = np.nonzero(unbeaten(scores, rates))
        best = best[np.argsort(rates[best])]
        style = {"color": "gray", "linestyle": ":", "zorder": 0, "label": "frontier"}
        ax.plot(rates[best], scores[best], **style)

    def _scale_speed(self, ax: Any) -> None:
        from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

        rates = [*self.rows_per_second, *(rate for _, rate in self.others.values())]
        spread = max(rates) / min(rates)
        if spread >= _LOG_FROM:
            ax.set_xscale("log")
            steps = (1, 2, 5) if spread < 1000 else (1,)
            ax.xaxis.set_major_locator(LogLocator(subs=steps))
            ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))


def _check_others(others: Mapping[str, Any] | None) -> dict[str, Any]:
    if others is None:
        return {}
    if not isinstance(others, Mapping):
        raise TypeError(
            "`others` must be a dict from name to fitted estimator, got an instance of "
            f"{type(others).__name__}"
        )
    for name, other in others.items():
        if not isinstance(name, str):
            raise TypeError(f"the names in `others` must be str, got {name!r}")
        if not hasattr(other, "predict"):
            raise TypeError(f"`others` holds {name!r}, which has no `predict`: {other!r}")
    return dict(others)


def _score_name(estimator: Any, scoring: str | Callable[..., float] | None) -> str:
    if isinstance(scoring, str):
        return scoring
    if scoring is not None:
        return getattr(scoring, "__name__", "score")
    return estimator.predictor_.task.score_name
