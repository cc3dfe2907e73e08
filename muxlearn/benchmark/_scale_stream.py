"""Memory and speed of `predict_dataset` over a Parquet file of short texts."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.prediction import predict_dataset

#: How many times the memory is told.
_N_POINTS = 10
_ROWS_PER_GROUP = 50_000


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--rows", type=positive, default=200_000)
    add("--words-per-text", type=int, nargs=2, default=[4, 8])
    add("--slots", type=positive, default=20, help="n_mux of the model")
    add("--hidden-size", type=positive, default=32)
    add("--hidden-layers", type=positive, default=1)


def main(args: Namespace) -> int:
    """Run the benchmark; the prediction has a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder, "texts.parquet"), args.rows, tuple(args.words_per_text))
        tiny_model(args).save(Path(folder, "model"))
        with spawn.Pool(1) as pool:
            samples, seconds = pool.apply(predict_and_watch, (folder,))
        n_out = count_rows(Path(folder, "labels"))
    points = [0, *(args.rows * point // _N_POINTS for point in range(1, _N_POINTS + 1))]
    rows = []
    for low, high in pairwise(points):
        memory = [mib for n_rows, mib in samples if low < n_rows <= high]
        if memory:
            rows.append(
                {"rows": high, "median_MiB": float(np.median(memory)), "peak_MiB": max(memory)}
            )
    for row in rows:
        row["over_first_peak"] = row["peak_MiB"] / rows[0]["peak_MiB"]
    low, high = args.words_per_text
    report(
        f"resident memory of predict_dataset, n_mux={args.slots}, {args.hidden_layers} layers x "
        f"{args.hidden_size}, {low} to {high} words a text: {args.rows} rows in, {n_out} out, "
        f"{args.rows / seconds:.0f} rows/s",
        rows,
        args,
    )
    return 0


def tiny_model(args: Namespace) -> MuxTextClassifier:
    """Build a model that has not learned anything: its speed is that of any of its size."""
    texts = synthetic_texts(2000, tuple(args.words_per_text))
    return MuxTextClassifier(
        backbone=Scratch(
            hidden_size=args.hidden_size,
            num_hidden_layers=args.hidden_layers,
            num_attention_heads=2,
            vocab_size=1000,
        ),
        n_mux=args.slots,
        max_length=32,
        warm_up=None,
        max_epochs=0,
        random_state=0,
    ).fit(texts, [str(row % 3) for row in range(len(texts))])


def write_texts(file: Path, n_rows: int, n_words: tuple[int, int]) -> None:
    """Write generated texts with their numbers, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(file, schema) as writer:
        first = 0
        for texts in _generate(n_rows, n_words):
            ids = range(first, first + len(texts))
            writer.write_table(pa.table({"id": ids, "text": texts}, schema))
            first += len(texts)


def _generate(n_rows: int, n_words: tuple[int, int]) -> Iterator[list[str]]:
    rng = np.random.default_rng(0)
    vocabulary = np.array(
        sorted({word for text in synthetic_texts(2000, n_words) for word in text.split()})
    )
    for first in range(0, n_rows, _ROWS_PER_GROUP):
        lengths = rng.integers(n_words[0], n_words[1] + 1, min(_ROWS_PER_GROUP, n_rows - first))
        words = rng.choice(vocabulary, lengths.sum()).tolist()
        ends = np.cumsum(lengths).tolist()
        yield [" ".join(words[start:end]) for start, end in pairwise([0, *ends])]


def predict_and_watch(folder: str) -> tuple[list[tuple[int, float]], float]:
    """Predict the texts; returns rows done and MiB held, again and again, and the seconds."""
    model = MuxTextClassifier.load(Path(folder, "model"))
    samples: list[tuple[int, float]] = []
    n_done = 0
    predictor = model.predictor_

    class Counting(type(predictor.reader)):  # type: ignore[misc]
        def check(self, X: Any, *, first_row: int = 0) -> Any:
            nonlocal n_done
            n_done = first_row + len(X)
            return super().check(X, first_row=first_row)

    predictor.reader = Counting(**vars(predictor.reader))
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            samples.append((n_done, _resident()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        predict_dataset(
            predictor,
            Path(folder, "texts.parquet"),
            Path(folder, "labels"),
            keep=["id"],
            rows_per_part=1,
        )
    finally:
        done.set()
        watcher.join()
    return samples, time.perf_counter() - start


def _resident() -> float:
    """Return the MiB that this process holds."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def count_rows(folder: Path) -> int:
    """Count rows in the parts, and make sure that none is doubled or out of order."""
    import pyarrow.parquet as pq

    n_rows = 0
    for file in sorted(folder.glob("part-*.parquet")):
        ids = pq.read_table(file, columns=["id"])["id"].to_numpy()
        if not np.array_equal(ids, np.arange(n_rows, n_rows + len(ids))):
            raise AssertionError(f"{file.name} does not go on where the part before it ends")
        n_rows += len(ids)
    told = json.loads((folder / "_manifest.json").read_text())["n_rows"]
    if told != n_rows:
        raise AssertionError(f"the manifest tells of {told} rows, the parts have {n_rows}")
    return n_rows
