"""A grid search with one worker and with several, on joblib's backends."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import joblib

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._engines import dask_workers, ray_workers
from muxlearn.benchmark._report import report, synthetic_texts


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--backends", nargs="+", choices=("loky", "dask", "ray"), default=["loky", "dask", "ray"])
    add("--workers", type=positive, default=2)
    add("--search-rows", type=positive, default=2000)
    add("--search-epochs", type=int, default=2)


def main(args: Namespace) -> int:
    """Run the benchmark; workers are started and have imported the library before the clock."""
    texts = synthetic_texts(args.search_rows, (8, 24))
    labels = [str(row % 3) for row in range(len(texts))]
    rows: list[dict[str, Any]] = []
    start = time.perf_counter()
    _search(texts, labels, args, 1)
    alone = time.perf_counter() - start
    rows.append({"backend": "none", "workers": 1, "threads": _threads(), "seconds": alone})
    for name in args.backends:
        with backend(name, args.workers):
            wait = joblib.Parallel(args.workers)
            threads = wait(joblib.delayed(_threads)() for _ in range(4 * args.workers))
            start = time.perf_counter()
            _search(texts, labels, args, args.workers)
            taken = time.perf_counter() - start
        row = {"backend": name, "workers": args.workers, "threads": max(threads), "seconds": taken}
        rows.append(row)
    for row in rows:
        row["speed_up"] = alone / row["seconds"]
    report(
        f"GridSearchCV over 4 candidates in 2 folds, {args.search_rows} texts, threads of a worker",
        rows,
        args,
    )
    return 0


@contextlib.contextmanager
def backend(name: str, n_workers: int) -> Iterator[None]:
    """Start an engine and make it joblib's backend.

    Parameters
    ----------
    name : {"loky", "dask", "ray"}
    n_workers : int
    """
    with contextlib.ExitStack() as stack:
        if name == "dask":
            stack.enter_context(dask_workers(n_workers))
        elif name == "ray":
            from ray.util.joblib import register_ray

            stack.enter_context(ray_workers(n_workers))
            register_ray()
        stack.enter_context(joblib.parallel_config(name, n_jobs=n_workers))
        yield


def _threads() -> int:
    """Import the library, as a worker's first task does, and return the threads of torch."""
    import torch

    import muxlearn.training.net  # noqa: F401

    time.sleep(0.2)  # so that each worker gets one of these tasks
    return torch.get_num_threads()


def _search(texts: list[str], labels: list[str], args: Namespace, n_jobs: int) -> None:
    from sklearn.model_selection import GridSearchCV

    model = MuxTextClassifier(
        backbone=Scratch(
            hidden_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=1000
        ),
        max_length=32,
        warm_up=None,
        max_epochs=args.search_epochs,
        random_state=0,
    )
    grid = {"n_mux": [1, 2], "lr": [1e-3, 2e-3]}
    GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, refit=False).fit(texts, labels)
