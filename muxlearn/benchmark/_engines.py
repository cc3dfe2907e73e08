"""Engines: their workers, and how they predict the rows of a frame with a saved model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from muxlearn.distributed import predict_dask, predict_ray, predict_spark

__all__ = ["ENGINES", "Place", "dask_workers", "ray_workers"]

#: Dask gives freed memory back at once by default: tensors of a megabyte then come from the kernel
#: anew each time, and a small training spends much of its time there. None leaves malloc as it is.
_DASK_CONFIG = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}

_N_WORKERS = 2
_N_PARTS = 4
_SPARK_TYPES = {"O": "string", "T": "string", "U": "string", "i": "long"}

#: Takes a frame; returns what takes a folder and options, and returns the frame with a column more.
Place = Callable[[Any], Callable[..., Any]]


@contextmanager
def dask_workers(n_workers: int) -> Iterator[None]:
    """Start workers of Dask, of one thread each."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(_DASK_CONFIG),
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        yield


@contextmanager
def ray_workers(n_workers: int) -> Iterator[None]:
    """Start workers of Ray."""
    import ray

    ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _dask() -> Iterator[Place]:
    import dask.dataframe as dd

    def place(frame: Any) -> Callable[..., Any]:
        dataset = dd.from_pandas(frame, npartitions=_N_PARTS)
        return lambda folder, **options: predict_dask(dataset, folder, **options).compute()

    with dask_workers(_N_WORKERS):
        yield place


@contextmanager
def _ray() -> Iterator[Place]:
    import ray

    def place(frame: Any) -> Callable[..., Any]:
        # Two actors hold both cores: `repartition` before them would wait for ever.
        part = -(-len(frame) // _N_PARTS)
        starts = range(0, len(frame), part)
        dataset = ray.data.from_pandas([frame[start : start + part] for start in starts])

        def predict(folder: Path, **options: Any) -> Any:
            # Actors last as long as an execution: their start is a part of every run.
            options = {"concurrency": _N_WORKERS, "batch_size": 5000, **options}
            return predict_ray(dataset, folder, **options).to_pandas()

        return predict

    with ray_workers(_N_WORKERS):
        yield place


@contextmanager
def _spark() -> Iterator[Place]:
    from pyspark.sql import SparkSession

    # Or its workers take the first Python on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false").getOrCreate()
    )

    def place(frame: Any) -> Callable[..., Any]:
        kinds = [_SPARK_TYPES[dtype.kind] for dtype in frame.dtypes]
        schema = ", ".join(f"{n} {kind}" for n, kind in zip(frame.columns, kinds, strict=True))
        rows = zip(*(frame[name].tolist() for name in frame.columns), strict=True)
        dataset = session.createDataFrame(
            session.sparkContext.parallelize(list(rows), _N_PARTS), schema
        )
        return lambda folder, **options: predict_spark(dataset, folder, **options).toPandas()

    try:
        yield place
    finally:
        session.stop()


ENGINES: dict[str, Callable[[], AbstractContextManager[Place]]] = {
    "dask": _dask,
    "ray": _ray,
    "spark": _spark,
}
