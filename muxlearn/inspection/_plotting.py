"""Common parts of the displays that draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muxlearn._params import Integer
from muxlearn.points import PointLike, as_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PlotMixin", "as_labels", "check_matplotlib", "scale_n_mux", "scale_points"]


def check_matplotlib(display: str) -> None:
    """Raise ImportError where there is nothing to draw with, before anything is computed.

    Parameters
    ----------
    display : str
        Name of the display, for the error.
    """
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{display} draws with matplotlib, which is not installed; install the extra: "
            "pip install 'muxlearn[plot]'"
        ) from error


def as_labels(points: Iterable[PointLike]) -> NDArray[Any]:
    """Return operating points as an array: of numbers if all are numbers of rows.

    Parameters
    ----------
    points : iterable of int, (int, int) or "words"

    Returns
    -------
    ndarray of int64 or of str, shape (n_points,)
        Pairs by their names, such as "2x5".
    """
    points = list(points)
    if all(Integer(1).accepts(point) for point in points):
        return np.asarray(points, np.int64)
    named = ((point, as_point(point)) for point in points)
    return np.asarray([str(given if point is None else point) for given, point in named])


def scale_points(ax: Axes, labels: NDArray[Any]) -> NDArray[Any]:
    """Prepare an axis of operating points and return where they stand on it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    labels : ndarray of shape (n_points,)
        From `as_labels`. Numbers of rows get a logarithmic axis.

    Returns
    -------
    ndarray of shape (n_points,)
    """
    if labels.dtype.kind == "i":
        scale_n_mux(ax, labels.tolist())
        return labels
    places = np.arange(len(labels))
    ax.set_xticks(places, labels.tolist())
    ax.set_xlabel("operating point (n_mux x patch_size)")
    return places


def scale_n_mux(ax: Axes, points: Sequence[int]) -> None:
    """Let an axis of `n_mux` be logarithmic, with a tick at each point.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    points : sequence of int
    """
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.set_xticks(points, [str(point) for point in points])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("rows in a mixture (n_mux)")


class PlotMixin:
    """Keeps the axes that a display was drawn on.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    """

    ax_: Any
    figure_: Any

    def _start(self, ax: Axes | None) -> Any:
        """Return the axes to draw on: those given, or new ones."""
        check_matplotlib(type(self).__name__)
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        ax.grid(alpha=0.3)
        return ax
