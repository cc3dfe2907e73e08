"""Pixels that share a position, beside smaller images, narrower networks and rows, on MNIST.

The wide residual network of MIMOConv, the same number of epochs for all: plain; with P x P pixels
of one image in a position (``patch_size``), alone and with two images in a mixture; on images that
were made P times smaller beforehand; narrower; and with four images in a mixture.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch.nn import functional as F

from muxlearn import MuxImageClassifier
from muxlearn.architectures import MIMOConv
from muxlearn.benchmark._arguments import DTYPES, positive
from muxlearn.benchmark._models import fit
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.benchmark.image import read_mnist

PLAIN = "plain"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of MNIST's four files")
    add("--n-train", type=positive, default=20_000, help="images to learn from")
    add("--depth", type=positive, default=10)
    add("--width", type=positive, default=2)
    add("--patch-size", type=positive, nargs="+", default=[2, 4])
    add("--epochs", type=int, default=3)
    add("--batch-size", type=positive, default=64, help="mixtures of a step")
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the training; predictions are in float32",
    )
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--repeats", type=positive, default=5)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    data = read_mnist(args.data, args.n_train)
    scores: dict[str, list[float]] = {}
    fit_times: dict[str, list[float]] = {}
    for seed in args.seeds:
        runs = {}
        for name, model in models(args, seed):
            model, taken = fit(model, data.X_train, data.y_train)
            model.set_params(
                **{key: "float32" for key in model.get_params() if key.endswith("dtype")}
            )
            scores.setdefault(name, []).append(model.score(data.X_test, data.y_test))
            fit_times.setdefault(name, []).append(taken.cpu_seconds)
            runs[name] = partial(model.predict, data.X_test)
            print(f"seed {seed}, {name}: {scores[name][-1]:.4f}", flush=True)
    seconds = paired_seconds(runs, args.repeats)  # the models of the last seed predict in turn
    rows = [
        {
            "model": name,
            "accuracy": statistics.mean(values),
            "spread": statistics.stdev(values) if len(values) > 1 else None,
            "drop": statistics.mean(scores[PLAIN]) - statistics.mean(values),
            "fit_cpu_s": statistics.median(fit_times[name]),
            "images_per_s": len(data.X_test) / statistics.median(seconds[name]),
            "speed_up": median_ratio(seconds[PLAIN], seconds[name]),
        }
        for name, values in scores.items()
    ]
    report(f"MNIST, {len(data.X_train)} images to learn from, {args.epochs} epochs", rows, args)
    return 0


def models(args: Namespace, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield the models by name, the plain one first."""

    def build(n_mux: int = 1, width: int = args.width, patch_size: int = 1) -> MuxImageClassifier:
        network = MIMOConv(
            depth=args.depth,
            width=width,
            initial_width=1 if n_mux == 1 else width,
            patch_size=patch_size,
        )
        return MuxImageClassifier(
            n_mux=n_mux,
            architecture=network,
            max_epochs=args.epochs,
            batch_size=args.batch_size,
            dtype=args.dtype,
            random_state=seed,
        )

    yield PLAIN, build()
    if args.width > 1:
        yield "half as wide", build(width=args.width // 2)
    yield "4 images", build(n_mux=4)
    for size in args.patch_size:
        smaller = FunctionTransformer(shrink, kw_args={"size": size})
        yield f"{size}x{size} averaged", make_pipeline(smaller, build())
        yield f"{size}x{size} pixels", build(patch_size=size)
        yield f"{size}x{size} pixels of 2 images", build(n_mux=2, patch_size=size)


def shrink(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Average squares of `size` pixels a side; images have shape (n, height, width)."""
    means = F.avg_pool2d(torch.from_numpy(images.copy()).float()[:, None], size)[:, 0]
    return means.round().byte().numpy()
