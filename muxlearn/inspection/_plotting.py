"""Common parts of the displays that draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PlotMixin", "check_matplotlib", "scale_n_mux"]


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
