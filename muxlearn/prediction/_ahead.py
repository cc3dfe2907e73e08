"""The next window of a prediction is made ready while the network works on this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["prepare_ahead"]

Window = TypeVar("Window")


def prepare_ahead(
    windows: Iterable[Window], prepare: Callable[[Window], Any]
) -> Iterator[tuple[Window, Any]]:
    """Yield windows with what `prepare` makes of them, the next one being prepared meanwhile.

    Parameters
    ----------
    windows : iterable
        Read in the thread of the caller, one window ahead: a cursor of a database, say, may not
        be read in another.
    prepare : callable
        Runs in a thread of its own, but for the first window. It pays where `prepare` gives up
        Python's lock, as a tokenizer of the `tokenizers` library does.

    Yields
    ------
    window : object
    prepared : object
        The results of `prepare`. Its errors are raised here.

    Raises
    ------
    Exception
        What reading `windows` raised, after the windows that were read before.
    """
    with ThreadPoolExecutor(1, "muxlearn-prepare") as pool:
        failures: list[Exception] = []
        process = os.getpid()
        held: tuple[Window, Future[Any] | None] | None = None
        for window in _until_failure(windows, failures):
            if os.getpid() != process:
                raise RuntimeError(
                    "a stream of predictions was begun in another process, whose threads a fork "
                    "does not copy; begin it in the process that reads it"
                )
            # Nothing runs beside the first one, and a single window needs no thread.
            future = None if held is None else pool.submit(prepare, window)
            if held is not None:
                yield _finished(held, prepare)
            held = window, future
        if held is not None:
            yield _finished(held, prepare)
        if failures:
            raise failures[0]


def _finished(
    held: tuple[Window, Future[Any] | None], prepare: Callable[[Window], Any]
) -> tuple[Window, Any]:
    window, future = held
    return window, prepare(window) if future is None else future.result()


def _until_failure(windows: Iterable[Window], failures: list[Exception]) -> Iterator[Window]:
    """Iterate until the end or an error, which is kept for later."""
    try:
        yield from windows
    except Exception as error:
        failures.append(error)
