"""The number of this worker process among several, and its GPU."""

from __future__ import annotations

import multiprocessing
import re
import sys

__all__ = ["share_of", "worker_number"]


def worker_number() -> int | None:
    """Return the number of this worker process among those of its pool.

    Returns
    -------
    int or None
        The name of a Dask worker if that is a number, as in a `LocalCluster`; the running number of
        a process of joblib or `multiprocessing`. None outside of a worker, and with Ray and
        dask-cuda, which show a process its own GPUs only.
    """
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            name = distributed.get_worker().name
        except ValueError:  # not in a task
            pass
        else:
            return int(name) if str(name).isdecimal() else None
    if multiprocessing.parent_process() is None:
        return None
    number = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    return None if number is None else int(number[1])


def share_of(number: int | None, n_devices: int) -> int | None:
    """Return the device of a worker, when they take turns.

    Parameters
    ----------
    number : int or None
        From `worker_number`.
    n_devices : int

    Returns
    -------
    int or None
        None leaves the choice to torch, which takes the first.
    """
    return None if number is None or n_devices < 2 else number % n_devices
