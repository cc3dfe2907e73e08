"""Accuracy and rows/s of one fitted model in torch, compiled, in onnxruntime, and as int8.

BBC News (2,225 documents, 5 topics), MiniLM as the encoder or, with ``--compact``, the library's
own trained from scratch. Each `n_mux` is fitted once; what is compared predicts with the same
weights, from strings to labels. The engines take turns.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.architectures import TMUX
from muxlearn.benchmark._arguments import DTYPES, limit_threads, positive
from muxlearn.benchmark._models import load_or_fit
from muxlearn.benchmark._news import bbc_news
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.box import packaged_minilm
from muxlearn.export import OnnxMuxClassifier, export_onnx

#: What runs a model, by name: precision, and whether through `torch.compile`.
_TORCH = {
    "torch float32": ("float32", False),
    "torch bfloat16": ("bfloat16", False),
    "compiled float32": ("float32", True),
    "compiled bfloat16": ("bfloat16", True),
}
_ONNX: dict[str, Literal["float32", "int8"]] = {
    "onnxruntime float32": "float32",
    "onnxruntime int8": "int8",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--n-mux", type=positive, nargs="+", default=[1, 5])
    add("--engines", nargs="+", choices=[*_TORCH, *_ONNX])
    add("--compact", action="store_true", help="no pre-trained encoder")
    add("--epochs", type=int, default=2)
    add("--max-length", type=positive, default=64)
    add("--batch-size", type=positive, default=16)
    add("--dtype", choices=DTYPES, default="float32", help="of the training")
    add("--threads", type=positive, default=1)
    add("--repeats", type=positive, default=5)
    add("--models", type=Path, help="folder that keeps fitted models")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    limit_threads(args.threads)
    texts, topics = bbc_news()
    X_train, X_test, y_train, y_test = train_test_split(
        texts, topics, test_size=0.2, random_state=0, stratify=topics
    )
    engines: dict[tuple[str, int], Any] = {}
    prepared: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n_mux in dict.fromkeys([1, *args.n_mux]):
            keep = args.models and args.models / f"export_{n_mux}"
            classifier, _ = load_or_fit(build(args, n_mux), X_train, y_train, keep)
            for name in args.engines or [*_TORCH, *_ONNX]:
                start = time.perf_counter()
                engine = _engine(classifier, name, Path(folder, f"{name} {n_mux}"), args)
                engine.predict(X_test[: 2 * n_mux * args.batch_size])
                prepared[name, n_mux] = time.perf_counter() - start
                engines[name, n_mux] = engine
    seconds = paired_seconds(
        {k: partial(e.predict, X_test) for k, e in engines.items()}, args.repeats
    )
    first = next(iter(engines))
    rows = [
        {
            "n_mux": n_mux,
            "engine": name,
            "accuracy": engine.score(X_test, y_test),
            "rows_per_s": len(X_test) / statistics.median(seconds[name, n_mux]),
            "speed_up": median_ratio(seconds[first], seconds[name, n_mux]),
            "over_first_engine": median_ratio(seconds[first[0], n_mux], seconds[name, n_mux]),
            "prepared_s": prepared[name, n_mux],
        }
        for (name, n_mux), engine in engines.items()
    ]
    encoder = "compact encoder" if args.compact else "MiniLM"
    report(f"BBC News, {encoder}, {args.max_length} tokens, from strings to labels", rows, args)
    return 0


def build(args: Namespace, n_mux: int) -> MuxTextClassifier:
    """Build the classifier for one `n_mux`."""
    return MuxTextClassifier(
        backbone="scratch" if args.compact else packaged_minilm(),
        architecture=TMUX(lexical_length=None, retrieval_weight=0.0),
        n_mux=n_mux,
        max_length=args.max_length,
        warm_up=None,
        dropout=0.0,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        dtype=args.dtype,
        random_state=0,
    )


def _engine(classifier: MuxTextClassifier, name: str, folder: Path, args: Namespace) -> Any:
    """Bring a fitted classifier to where it shall run."""
    if name in _TORCH:
        dtype, compiled = _TORCH[name]
        return copy.deepcopy(classifier).set_params(dtype=dtype, compile=compiled)
    export_onnx(classifier, folder, n_mux=classifier.n_mux, dtype=_ONNX[name])
    return OnnxMuxClassifier.load(folder, n_threads=args.threads)
