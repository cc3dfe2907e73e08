"""Progress: bars on a terminal, lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["LogProgress", "progress_bar", "say"]

#: Seconds between two lines of a log.
_EVERY = 30.0

_LOGGER = logging.getLogger("muxlearn")


def say(text: str) -> None:
    """Tell a line to whoever watches: through `logging` where that is set up, or on stderr.

    ``logging.getLogger("muxlearn").setLevel("WARNING")`` silences it.

    Parameters
    ----------
    text : str
    """
    from tqdm.auto import tqdm

    if _LOGGER.level > logging.INFO:
        return
    if _LOGGER.isEnabledFor(logging.INFO) and _LOGGER.hasHandlers():
        _LOGGER.info(text)
    elif sys.stderr is not None:
        tqdm.write(f"muxlearn: {text}", file=sys.stderr)


def progress_bar(
    total: int | None,
    description: str,
    *,
    show: bool,
    n_done: int = 0,
    always: bool = False,
) -> Any:
    """Return a tqdm bar that counts rows, or what writes lines where there is no terminal.

    Parameters
    ----------
    total : int or None
    description : str
    show : bool
        Show a bar on a terminal or in a notebook, lines elsewhere.
    n_done : int, default=0
        Rows to begin with, which do not count as speed.
    always : bool, default=False
        Whether to write a line at the end however short it was.

    Returns
    -------
    tqdm.tqdm or LogProgress
    """
    from tqdm.auto import tqdm

    # There is no standard error in a process without a console, as of pythonw.
    watched = "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    if show and not watched:
        return LogProgress(total, description, n_done=n_done, always=always)
    return tqdm(
        total=total,
        initial=n_done,
        desc=description,
        unit="row",
        unit_scale=True,
        disable=not show,
        leave=False,
    )


class LogProgress:
    """A bar's place in a log: a line every half a minute and one at the end.

    Parameters
    ----------
    total : int or None
    description : str
    n_done : int, default=0
        Rows to begin with, which do not count as speed.
    always : bool, default=False
        Whether to write the last line even if there was no other.
    clock : callable, default=time.monotonic
        Returns seconds.
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        *,
        n_done: int = 0,
        always: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.description, self.always = total, description, always
        self._first = self._n = self._written = n_done
        self._figures = ""
        self._clock = clock
        self._start = self._last = clock()

    def update(self, n_rows: int) -> None:
        """Move on by some rows."""
        self._n += n_rows
        if self._clock() - self._last >= _EVERY:
            self._write()
            self.always = True

    def set_postfix(self, *, refresh: bool = True, **figures: str) -> None:
        """Set what a line ends with, such as the loss."""
        self._figures = "".join(f", {name} {value}" for name, value in figures.items())

    def close(self) -> None:
        """Write the last line."""
        if self.always and self._n > self._written:
            self._write()

    def _write(self) -> None:
        self._written, self._last = self._n, self._clock()
        rate = (self._n - self._first) / max(1e-9, self._last - self._start)
        of = "" if self.total is None else f" of {max(self.total, self._n):,}"
        say(f"{self.description}: {self._n:,}{of} rows, {rate:,.0f} rows/s{self._figures}")

    def __enter__(self) -> LogProgress:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
