"""Rows per second of `muxlearn.distributed` on engines with two workers, beside one process."""

from __future__ import annotations

import tempfile
import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Packaged
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._engines import ENGINES
from muxlearn.benchmark._report import report, synthetic_texts


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--bulk-rows", type=positive, default=50_000)


def main(args: Namespace) -> int:
    """Run the benchmark; each engine predicts twice, and the second time counts."""
    import pandas as pd

    frame = pd.DataFrame({"text": synthetic_texts(args.bulk_rows, (8, 24))})
    # The packaged encoder, with a head that has learned nothing: the speed is that of any labels.
    known = frame["text"][:300]
    model = MuxTextClassifier(n_mux=10, backbone=Packaged(), max_epochs=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the texts are no English, whose speed is the same
        model.fit(known, [str(row % 3) for row in range(len(known))])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        model.save(path)
        seconds = {"predict, one process": _second(lambda: len(model.predict(frame["text"])))}
        for name in args.engines:
            with ENGINES[name]() as place:
                seconds[name] = _second(partial(_count, place(frame), path))
    alone = next(iter(seconds.values()))
    for name, taken in seconds.items():
        rate = len(frame) / taken
        row = {"engine": name, "rows_per_s": rate, "seconds": taken, "speed_up": alone / taken}
        rows.append(row)
    report(f"from strings to labels, {len(frame)} texts, n_mux=10, two workers each", rows, args)
    return 0


def _count(predict: Callable[[Path], Any], folder: Path) -> int:
    return len(predict(folder))


def _second(run: Callable[[], int]) -> float:
    """Return the seconds of the second run, when workers have loaded what they need."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
