"""Rows per second of `muxlearn.distributed` on engines with two workers, beside one process."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muxlearn import MuxTextClassifier
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.benchmark._scale_search import DASK_CONFIG
from muxlearn.distributed import predict_dask, predict_ray, predict_spark


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    parser.add_argument(
        "--engines", nargs="+", choices=("dask", "ray", "spark"), default=["dask", "ray", "spark"]
    )
    parser.add_argument("--bulk-rows", type=int, default=50_000)


def main(args: Namespace) -> int:
    """Run the benchmark; each engine predicts twice, and the second time counts."""
    import pandas as pd

    frame = pd.DataFrame({"text": synthetic_texts(args.bulk_rows, (8, 24))})
    # The packaged encoder, with a head that has learnt nothing: the speed is that of any labels.
    known = frame["text"][:300]
    model = MuxTextClassifier(n_mux=10, max_epochs=0)
    model.fit(known, [str(row % 3) for row in range(len(known))])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        model.save(path)
        seconds = {"predict, one process": _second(lambda: len(model.predict(frame["text"])))}
        for name in args.engines:
            seconds[name] = _ENGINES[name](frame, path)
    alone = next(iter(seconds.values()))
    for name, taken in seconds.items():
        rate = len(frame) / taken
        row = {"engine": name, "rows_per_s": rate, "seconds": taken, "speed_up": alone / taken}
        rows.append(row)
    report(f"from strings to labels, {len(frame)} texts, n_mux=10, two workers each", rows, args)
    return 0


def _second(run: Callable[[], int]) -> float:
    """Return the seconds of the second run, when workers have loaded what they need."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _dask(frame: Any, folder: Path) -> float:
    import dask
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    dataset = dd.from_pandas(frame, npartitions=4)
    with (
        dask.config.set(DASK_CONFIG),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        return _second(lambda: len(predict_dask(dataset, folder).compute()))


def _ray(frame: Any, folder: Path) -> float:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        # Two actors hold both cores: `repartition` before them would wait for ever.
        quarter = -(-len(frame) // 4)
        starts = range(0, len(frame), quarter)
        dataset = ray.data.from_pandas([frame[start : start + quarter] for start in starts])
        # Actors last as long as an execution: their start is a part of every run.
        return _second(
            lambda: len(predict_ray(dataset, folder, concurrency=2, batch_size=5000).to_pandas())
        )
    finally:
        ray.shutdown()


def _spark(frame: Any, folder: Path) -> float:
    from pyspark.sql import SparkSession

    # Or its workers take the first Python on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false").getOrCreate()
    )
    try:
        dataset = session.createDataFrame(
            session.sparkContext.parallelize([(text,) for text in frame["text"]], 4), "text string"
        )
        return _second(lambda: len(predict_spark(dataset, folder).toPandas()))
    finally:
        session.stop()


_ENGINES: dict[str, Callable[[Any, Path], float]] = {"dask": _dask, "ray": _ray, "spark": _spark}
