"""Speed-up of the forward pass and of `predict` over the un-multiplexed twin.

The twin is the same class at ``n_mux=1``: same layers, width, length, precision and head. Every
model runs at each batch size that is offered and is judged at its best one.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.backbones import Scratch
from muxlearn.benchmark._arguments import TORCH_DTYPES, positive, rows_or_point
from muxlearn.benchmark._report import median_ratio, paired_seconds, report, synthetic_texts
from muxlearn.points import Point, as_points


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add_model_arguments(parser)
    add("--batch-size", type=positive, nargs="+", default=[8, 16, 32])
    add(
        "--tokens",
        type=positive,
        nargs=2,
        metavar=("FROM", "TO"),
        help="time the tagger from tokens to tags, on sentences of so many tokens",
    )
    add("--repeats", type=positive, default=9)
    add("--min-rows", type=positive, default=64, help="rows a model predicts in a round")
    add("--from-strings", action="store_true", help="time predict from strings to labels")


def add_model_arguments(parser: ArgumentParser) -> None:
    """Declare the options of the models, which `build` reads."""
    add = parser.add_argument
    add(
        "--n-mux",
        type=rows_or_point,
        nargs="+",
        default=[2, 5, 10, 20, 40],
        help="operating points: 5 is five rows, 2,5 two rows of five tokens",
    )
    add("--multiplexer", default="subspace")
    add("--demultiplexer", default="rsa")
    add("--layers", type=positive, default=6)
    add("--width", type=positive, default=384)
    add("--heads", type=positive, default=12)
    add("--length", type=positive, default=64, help="tokens of a text")
    add("--vocab-size", type=positive, default=30000)
    add("--dtype", choices=TORCH_DTYPES, default="float32")
    parser.set_defaults(tokens=None)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    lengths = tuple(args.tokens or (args.length, args.length))
    points = [Point(), *as_points(args.n_mux)]
    most = max(point.n_mux for point in points)
    texts = synthetic_texts(max(2000, args.min_rows, 8 * most), lengths)
    prepare = _predict_run if args.from_strings or args.tokens else _forward_run
    runs, n_rows = {}, {}
    for point in points:
        classifier = build(args, point, texts)
        for batch_size in args.batch_size:
            name = (point, batch_size)
            runs[name], n_rows[name] = prepare(classifier, batch_size, texts, args)
    seconds = paired_seconds(runs, args.repeats)
    per_row = {name: [s / n_rows[name] for s in times] for name, times in seconds.items()}
    best = {
        point: min((n for n in runs if n[0] == point), key=lambda name: sum(per_row[name]))
        for point in points
    }
    twin = per_row[best[Point()]]
    rows = []
    for point, name in best.items():
        ratios = [t / o for t, o in zip(twin, per_row[name], strict=True)]
        rows.append(
            {
                "n_mux": shown(point),
                "batch_size": name[1],
                "rows_per_s": 1 / statistics.median(per_row[name]),
                "speed_up": median_ratio(twin, per_row[name]),
                "lowest": min(ratios),
                "highest": max(ratios),
            }
        )
    what = "predict, from strings" if args.from_strings else "forward pass"
    what = "predict, from tokens to tags" if args.tokens else what
    title = (
        f"{what}: {args.layers} layers x {args.width}, {lengths[0]} to {lengths[1]} tokens, "
        f"{args.multiplexer} + {args.demultiplexer}, {args.dtype}"
    )
    report(title, rows, args)
    return 0


def shown(point: Point) -> int | str:
    """Return what the tables call a point: rows alone by their number."""
    return point.n_mux if point.patch_size == 1 else str(point)


def build(args: Namespace, point: Point, texts: list[str]) -> MuxTextClassifier | MuxTokenTagger:
    """Build an untrained estimator: speed does not depend on what the weights are."""
    params = {
        "n_mux": point.n_mux,
        "patch_size": point.patch_size,
        "multiplexer": args.multiplexer,
        "demultiplexer": args.demultiplexer,
        "backbone": Scratch(
            hidden_size=args.width,
            num_hidden_layers=args.layers,
            num_attention_heads=args.heads,
            vocab_size=args.vocab_size,
        ),
        "max_length": args.length,
        "max_epochs": 0,
        "warm_up": None,
        "dtype": args.dtype,
        "random_state": 0,
    }
    if not args.tokens:
        return MuxTextClassifier(**params).fit(texts, [row % 3 for row in range(len(texts))])
    sentences = [text.split() for text in texts]
    tags = [[len(token) for token in sentence] for sentence in sentences]
    return MuxTokenTagger(**{**params, "max_length": 512}).fit(sentences, tags)


def _forward_run(
    classifier: MuxTextClassifier | MuxTokenTagger,
    batch_size: int,
    texts: list[str],
    args: Namespace,
) -> tuple[Callable[[], Any], int]:
    model = classifier.module_.for_inference(getattr(torch, args.dtype))
    n_rows = batch_size * model.n_mux
    vocab_size = classifier.tokenizer_.get_vocab_size()
    device = next(classifier.module_.parameters()).device
    ids = torch.randint(3, vocab_size, (n_rows, args.length), device=device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    passes = max(1, -(-args.min_rows // n_rows))

    def run() -> None:
        with torch.inference_mode():
            for _ in range(passes):
                model(ids, mask)

    return run, n_rows * passes


def _predict_run(
    estimator: MuxTextClassifier | MuxTokenTagger,
    batch_size: int,
    texts: list[str],
    args: Namespace,
) -> tuple[Callable[[], Any], int]:
    n_rows = max(args.min_rows, 2 * batch_size * estimator.n_mux)
    rows: list[Any] = (texts * -(-n_rows // len(texts)))[:n_rows]
    if args.tokens:
        rows = [text.split() for text in rows]
    return partial(_predict_at, estimator, batch_size, rows), n_rows


def _predict_at(
    estimator: MuxTextClassifier | MuxTokenTagger, batch_size: int, rows: list[Any]
) -> None:
    estimator.set_params(batch_size=batch_size).predict(rows)
