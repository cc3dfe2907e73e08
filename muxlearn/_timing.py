"""Timing that a slow moment of the machine does not decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import torch

__all__ = ["REPEATS", "TIMED_ROWS", "paired_seconds"]

#: What a `fit` times: so many rows at most, so many times.
TIMED_ROWS, REPEATS = 1024, 3

Name = TypeVar("Name", bound=Hashable)


def paired_seconds(
    runs: Mapping[Name, Callable[[], Any]], repeats: int, warm_ups: int = 1
) -> dict[Name, list[float]]:
    """Time some functions in turn, A B C A B C …, so that a slow minute hits all of them.

    Parameters
    ----------
    runs : dict of name to callable
    repeats : int
        Counted rounds.
    warm_ups : int, default=1
        Rounds before them.

    Returns
    -------
    dict of name to list of float
        Seconds of each counted round.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for round_number in range(warm_ups + repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_number >= warm_ups:
                seconds[name].append(time.perf_counter() - start)
    return seconds
