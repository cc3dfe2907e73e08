"""Our own ``n_mux=1`` against `transformers.pipeline` on the same encoder.

Texts of mixed lengths, float32, from strings to labels; the pipeline gets the best of several
batch sizes, we get ours.
"""

from __future__ import annotations

import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from muxlearn import MuxTextClassifier
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._report import median_ratio, paired_seconds, report, synthetic_texts
from muxlearn.box import packaged_minilm


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--backbone", help="folder of an encoder; the packaged MiniLM by default")
    add("--n-texts", type=positive, default=192)
    add("--words", type=int, nargs=2, default=[3, 80], metavar=("FROM", "TO"))
    add("--max-length", type=positive, default=128)
    add("--batch-size", type=positive, nargs="+", default=[1, 4, 8, 16, 32, 64])
    add("--repeats", type=positive, default=5)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    backbone = args.backbone or packaged_minilm()
    texts = synthetic_texts(args.n_texts, tuple(args.words))
    labels = [str(row % 3) for row in range(len(texts))]
    ours = MuxTextClassifier(
        n_mux=1,
        backbone=backbone,
        max_length=args.max_length,
        max_epochs=0,
        dtype="float32",
        random_state=0,
    ).fit(texts, labels)
    runs: dict[tuple[str, int], Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pipe = _pipeline(backbone, folder)
        for batch_size in args.batch_size:
            runs["pipeline", batch_size] = partial(
                pipe, texts, batch_size=batch_size, truncation=True, max_length=args.max_length
            )
            runs["muxlearn n_mux=1", batch_size] = partial(_predict, ours, texts, batch_size)
        seconds = paired_seconds(runs, args.repeats)
    best = {}
    for name in ("pipeline", "muxlearn n_mux=1"):
        candidates = [key for key in runs if key[0] == name]
        best[name] = min(candidates, key=lambda key: statistics.median(seconds[key]))
    baseline = seconds[best["pipeline"]]
    rows = [
        {
            "what": name,
            "batch_size": key[1],
            "rows_per_s": len(texts) / statistics.median(seconds[key]),
            "speed_up": median_ratio(baseline, seconds[key]),
        }
        for name, key in best.items()
    ]
    words = " to ".join(map(str, args.words))
    report(f"from strings to labels, {len(texts)} texts of {words} words, float32", rows, args)
    return 0


def _pipeline(backbone: str, folder: str) -> Callable[..., Any]:
    """Give the encoder a classification head as transformers does, and wrap it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    own: Any = {"trust_remote_code": False}
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=3, **own)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(backbone, **own).save_pretrained(folder)
    assert Path(folder, "tokenizer.json").exists()
    return pipeline("text-classification", model=folder, device="cpu", **own)


def _predict(classifier: MuxTextClassifier, texts: list[str], batch_size: int) -> None:
    classifier.set_params(batch_size=batch_size).predict(texts)
