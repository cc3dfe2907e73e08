"""Images: the forward pass against the plain network, and accuracy on MNIST or CIFAR.

Without ``--data`` the wide residual network alone is timed: images/s of each binding at the
capacity and below, over the plain network of the same depth and width.

With ``--data``, a folder of MNIST's four files or of torchvision's CIFAR, models are trained and
judged: one for every `n_mux` and multiplexer, and with ``--operating-points`` one more that serves
all of these, after twice as many steps. ``n_mux=1`` is the plain twin in both. The same number of
training steps of the same number of mixtures at every `n_mux`.

The papers' own studies are ``reproduce datamux-vision`` and ``reproduce mimoconv-cifar``.
"""

from __future__ import annotations

import gzip
import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from muxlearn import MuxImageClassifier
from muxlearn.architectures import MIMOConv
from muxlearn.benchmark._arguments import DTYPES, positive
from muxlearn.benchmark._models import FitTime, load_or_fit
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.inspection import scale_n_mux
from muxlearn.nn.mimoconv import MuxWideResNet

_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


class Split(NamedTuple):
    """Images, (n, height, width) or with channels last, and labels, to learn from and to test."""

    X_train: NDArray[np.uint8]
    y_train: NDArray[np.integer]
    X_test: NDArray[np.uint8]
    y_test: NDArray[np.integer]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, help="folder of the images")
    add(
        "--n-mux",
        type=positive,
        nargs="+",
        help="models to train (default 1 2 4); for speed the capacity and below (default 4 2 1)",
    )
    add("--architecture", default="mimoconv")
    add("--multiplexer", nargs="+", help="default: all for speed, else 'auto'")
    add("--depth", type=positive, help="default 16 for speed, else 10")
    add("--width", type=positive, help="default 4 for speed, else 1")
    add("--initial-width", type=positive, help="default 4, else 2")
    add("--repeats", type=positive, default=9)
    speed = parser.add_argument_group("speed")
    speed.add_argument("--image-shape", type=positive, nargs=3, default=[3, 32, 32])
    speed.add_argument(
        "--mixtures", type=positive, nargs="+", default=[16, 32], help="in a pass; the best counts"
    )
    speed.add_argument("--images", type=positive, default=128, help="images in a round")
    train = parser.add_argument_group("accuracy")
    train.add_argument("--dataset", choices=["mnist", "cifar10", "cifar100"], default="mnist")
    train.add_argument("--operating-points", type=positive, nargs="+")
    train.add_argument("--seeds", type=int, nargs="+", default=[0])
    train.add_argument("--n-train", type=positive, default=60_000)
    train.add_argument("--epochs", type=int, default=10)
    train.add_argument("--batch-size", type=positive, default=64)
    train.add_argument("--lr", default="auto")
    train.add_argument("--augment", default="none")
    train.add_argument("--activation", default="relu")
    train.add_argument("--mixup", type=float, default=0.0)
    train.add_argument("--isometry-weight", type=float, default=0.0)
    train.add_argument("--dtype", choices=DTYPES, default="float32", help="of the training")
    train.add_argument("--plot", type=Path, help="draw accuracy over n_mux there")
    train.add_argument("--models", type=Path, help="keep fitted models there, take those that are")
    train.add_argument("--verbose", type=int, default=0)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    if args.data is not None:
        return _accuracy(args)
    if args.plot is not None:
        raise SystemExit("--plot draws accuracies, which are measured on images; give --data too")
    return _speed(args)


# Speed


def _speed(args: Namespace) -> int:
    points = args.n_mux or [4, 2, 1]
    sizes = {"depth": args.depth or 16, "width": args.width or 4}
    initial_width = args.initial_width or 4
    images = torch.randn(args.images, *args.image_shape, device=_device())
    models: dict[tuple[str, int], MuxWideResNet] = {}
    # A stem as wide as the multiplexed one's, and the narrow one of a usual network.
    for stem in {initial_width, 1}:
        models[f"plain, initial_width={stem}", 1] = _network(args, sizes, stem, "identity", [1])
    for binding in args.multiplexer or ["hrr", "mbat", "subspace"]:
        model = _network(args, sizes, initial_width, binding, points)
        models |= {(binding, n_mux): model for n_mux in points}
    runs = {
        (*name, mixtures): partial(_classify, model, images, name[1], mixtures)
        for name, model in models.items()
        for mixtures in args.mixtures
    }
    seconds = paired_seconds(runs, args.repeats)
    best = {
        name: min((run for run in runs if run[:2] == name), key=lambda run: sum(seconds[run]))
        for name in models
    }
    wide = seconds[best[f"plain, initial_width={initial_width}", 1]]
    narrow = seconds[best["plain, initial_width=1", 1]]
    rows = [
        {
            "network": name,
            "n_mux": n_mux,
            "mixtures": run[2],
            "images_per_s": args.images / statistics.median(seconds[run]),
            f"over_stem_{initial_width}": median_ratio(wide, seconds[run]),
            "over_stem_1": median_ratio(narrow, seconds[run]),
        }
        for (name, n_mux), run in best.items()
    ]
    shape = "x".join(map(str, args.image_shape))
    report(f"forward pass: WRN-{sizes['depth']}-{sizes['width']}, {shape}", rows, args)
    return 0


def _network(
    args: Namespace, sizes: dict[str, int], initial_width: int, binding: str, points: list[int]
) -> MuxWideResNet:
    torch.manual_seed(0)
    model = MuxWideResNet(
        10,
        max(points),
        in_channels=args.image_shape[0],
        initial_width=initial_width,
        binding=binding,
        operating_points=points,
        depth=sizes["depth"],
        width=sizes["width"],
    )
    return model.to(_device()).for_inference()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.inference_mode()
def _classify(model: MuxWideResNet, images: torch.Tensor, n_mux: int, mixtures: int) -> None:
    for part in images.split(mixtures * n_mux):
        model(part, n_mux)


# Accuracy


def _accuracy(args: Namespace) -> int:
    split = read_split(args.dataset, args.data, args.n_train)
    points = tuple(args.operating_points or ())
    scores: dict[tuple[str, int], list[float]] = {}
    fit_times: dict[tuple[str, int], list[FitTime]] = {}
    for seed in args.seeds:
        predictions: dict[tuple[str, int], Callable[[], Any]] = {}
        for name, model, taken in _models(args, points, seed, split):
            for n_mux in model.operating_points or (model.n_mux,):
                predictions[name, n_mux] = partial(model.predict, split.X_test, n_mux=n_mux)
                predicted = predictions[name, n_mux]()
                scores.setdefault((name, n_mux), []).append(np.mean(predicted == split.y_test))
                fit_times.setdefault((name, n_mux), []).append(taken)
                print(f"seed {seed}, {name}, n_mux={n_mux}: {scores[name, n_mux][-1]:.4f}")
    # The models of the last seed predict in turn.
    seconds = paired_seconds(predictions, args.repeats)
    twin = ("identity", 1) if ("identity", 1) in scores else None
    rows: list[dict[str, Any]] = [
        {
            "model": name[0],
            "n_mux": name[1],
            "accuracy": f"{statistics.mean(values):.4f}",
            "drop": f"{statistics.mean(scores[twin]) - statistics.mean(values):.4f}"
            if twin
            else None,
            "lowest": f"{min(values):.4f}",
            "highest": f"{max(values):.4f}",
            "fit_s": statistics.median(taken.seconds for taken in fit_times[name]),
            "fit_cpu_s": statistics.median(taken.cpu_seconds for taken in fit_times[name]),
            "images_per_s": len(split.X_test) / statistics.median(seconds[name]),
            "speed_up": median_ratio(seconds[twin], seconds[name]) if twin else None,
        }
        for name, values in scores.items()
    ]
    what = f"{args.dataset}, {args.architecture}, {len(split.X_train)} images"
    report(f"{what}, {args.epochs} epochs", rows, args)
    if args.plot is not None:
        _plot(args.plot, scores)
    return 0


def _models(
    args: Namespace, points: tuple[int, ...], seed: int, split: Split
) -> Iterable[tuple[str, MuxImageClassifier, FitTime]]:
    """Fit the models of one seed one after the other."""
    for n_mux in args.n_mux or [1, 2, 4]:
        for multiplexer in ["identity"] if n_mux == 1 else args.multiplexer or ["auto"]:
            yield multiplexer, *_load_or_fit(args, n_mux, multiplexer, None, seed, split)
    if points:
        multiplexer = (args.multiplexer or ["auto"])[0]
        name = f"{multiplexer} for {', '.join(map(str, points))}"
        yield name, *_load_or_fit(args, max(points), multiplexer, points, seed, split)


def _architecture(args: Namespace) -> str | MIMOConv:
    """Return the network that the command line names."""
    if args.architecture != "mimoconv":
        return args.architecture
    return MIMOConv(
        depth=args.depth or 10,
        width=args.width or 1,
        initial_width=args.initial_width or 2,
        activation=args.activation,
        isometry_weight=args.isometry_weight,
    )


def build(
    args: Namespace, n_mux: int, multiplexer: str, points: tuple[int, ...] | None, seed: int
) -> MuxImageClassifier:
    """Build the classifier for one row of the table."""
    return MuxImageClassifier(
        architecture=_architecture(args),
        n_mux=n_mux,
        multiplexer="auto" if n_mux == 1 else multiplexer,
        operating_points=points,
        max_epochs=args.epochs * (2 if points else 1),
        batch_size=args.batch_size,
        lr=args.lr if args.lr == "auto" else float(args.lr),
        augment=args.augment,
        mixup=args.mixup,
        dtype=args.dtype,
        random_state=seed,
        verbose=args.verbose,
    )


def _load_or_fit(
    args: Namespace,
    n_mux: int,
    multiplexer: str,
    points: tuple[int, ...] | None,
    seed: int,
    split: Split,
) -> tuple[MuxImageClassifier, FitTime]:
    kind = "_".join([args.architecture, multiplexer, *map(str, points or (n_mux,))])
    folder = args.models and args.models / f"{kind}_seed_{seed}"
    model = build(args, n_mux, multiplexer, points, seed)
    model, taken = load_or_fit(model, split.X_train, split.y_train, folder)
    return model.set_params(dtype="float32"), taken


def read_split(dataset: str, folder: Path, n_train: int) -> Split:
    """Read a data set.

    Parameters
    ----------
    dataset : {"mnist", "cifar10", "cifar100"}
    folder : Path
        The folder of MNIST's four files, or what torchvision calls the root; CIFAR is downloaded
        if it is not there.
    n_train : int
        Largest number of training images; the first ones are taken.

    Returns
    -------
    Split
    """
    if dataset == "mnist":
        return read_mnist(folder, n_train)
    from torchvision.datasets import CIFAR10, CIFAR100  # type: ignore[import-untyped]

    cifar = CIFAR10 if dataset == "cifar10" else CIFAR100
    train, test = (cifar(folder, train=train, download=True) for train in (True, False))
    y_train, y_test = np.array(train.targets), np.array(test.targets)
    return Split(train.data[:n_train], y_train[:n_train], test.data, y_test)


def read_mnist(folder: Path, n_train: int | None = None) -> Split:
    """Read MNIST from its four files.

    Parameters
    ----------
    folder : Path
        The folder of ``train-images-idx3-ubyte.gz`` and the three other files.
    n_train : int, default=None
        Number of training images to take of the 60,000, the first ones; None takes all.

    Returns
    -------
    Split
    """
    images, labels, test_images, test_labels = (
        np.frombuffer(gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes()), np.uint8)
        for name in _FILES
    )
    # The header has four bytes for the kind of file and four for each axis.
    return Split(
        images[16:].reshape(-1, 28, 28)[:n_train],
        labels[8:][:n_train],
        test_images[16:].reshape(-1, 28, 28),
        test_labels[8:],
    )


def _plot(path: Path, scores: dict[tuple[str, int], list[float]]) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for name, n_mux in scores if n_mux > 1))
    twin = {key: values for key, values in scores.items() if key == ("identity", 1)}
    for name in names:
        line = twin | {key: values for key, values in scores.items() if key[0] == name}
        by_n_mux = dict(sorted((n_mux, values) for (_, n_mux), values in line.items()))
        means = [statistics.mean(values) for values in by_n_mux.values()]
        low = [mean - min(values) for mean, values in zip(means, by_n_mux.values(), strict=True)]
        high = [max(values) - mean for mean, values in zip(means, by_n_mux.values(), strict=True)]
        axes.errorbar(list(by_n_mux), means, [low, high], marker="o", capsize=3, label=name)
    scale_n_mux(axes, sorted({n_mux for _, n_mux in scores}))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("test accuracy")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, title="multiplexer")
    figure.savefig(path, dpi=150)
