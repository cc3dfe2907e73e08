"""Long Range Arena: MIMOFormers of several grids beside their Performer, each trained from scratch.

ListOps and Pathfinder are generated. The pictures and reviews are fetched from the hub, or read
from the folder ``--data``; papers to retrieve are read from there. All models of a run have the
same sizes and the same number of training steps with the same number of rows, ``--mux-steps``
aside. Steps are rounded to whole epochs, which have the more of them the larger the grid is: the
table says how many were done, with those of the warm-up on half of the grid. Without options it is
ListOps of 64 to 200 symbols, about ten minutes a model on one core.

On a GPU, the sizes of the paper's wide ListOps model (MIMONets: Menet et al., NeurIPS 2023) and its
20,000 steps, made even for both grids, by our optimiser::

    python -m muxlearn.benchmark lra --task listops --min-length 501 --max-length 1999
        --n-train 96000 --grid 2x2 4x4 --variant att att+mlp --layers 1 --width 512 --mlp 2048
        --heads 48 --head-dim 64 --features 256 --batch-rows 64 --steps 24000 --lr 1e-4
        --weight-decay 0 --dropout 0.1 --dtype bfloat16 --models KEPT

Its other tasks, the rest as above: ``--task image --width 64 --mlp 128 --heads 12 --batch-rows 256
--steps 70000``; ``--task pathfinder --n-train 160000 --width 128 --mlp 128 --head-dim 128 --heads
32 --batch-rows 256 --steps 124800``; ``--task text --width 512 --mlp 2048 --heads 8 --layers 6
--batch-rows 32 --steps 40000``; ``--task retrieval --data FOLDER --width 32 --mlp 64 --head-dim 32
--heads 2 --layers 2 --batch-rows 32 --steps 60000``.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muxlearn import MuxTextClassifier
from muxlearn.architectures import MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.benchmark._models import FitTime, load_or_fit
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.datasets import (
    fetch_lra_image,
    fetch_lra_retrieval,
    fetch_lra_text,
    make_listops,
    make_pathfinder,
)
from muxlearn.training import Optimizer

_FETCHED = {"image": "uoft-cs/cifar10", "text": "stanfordnlp/imdb"}


class Split(NamedTuple):
    """Rows and labels to learn from and to test, and how rows are read."""

    X_train: Any
    y_train: NDArray[np.int64]
    X_test: Any
    y_test: NDArray[np.int64]
    max_length: int
    tokenizer: str | None = None


class Model(NamedTuple):
    """One line of the table."""

    name: str
    grid: tuple[int, int]
    params: dict[str, Any]


class Result(NamedTuple):
    """The result of one seed of a model."""

    accuracy: float
    steps: int
    time: FitTime


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    tasks = ["listops", "pathfinder", "image", "text", "retrieval"]
    parser.add_argument("--task", choices=tasks, default="listops")
    parser.add_argument(
        "--data", default=None, help="folder or name on the hub of image, text and retrieval"
    )
    parser.add_argument("--grid", type=_grid, nargs="+", default=[(2, 2)], help="such as 2x2")
    parser.add_argument("--variant", nargs="+", choices=["att", "att+mlp"], default=["att"])
    parser.add_argument("--softmax", action="store_true", help="a softmax Transformer as well")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    data = parser.add_argument_group("data")
    data.add_argument("--n-train", type=int, default=20_000, help="at most")
    data.add_argument("--n-test", type=int, default=5_000, help="at most")
    data.add_argument("--min-length", type=int, default=64, help="of ListOps")
    data.add_argument(
        "--max-length", type=int, default=None, help="default 200 for ListOps, 4000 for texts"
    )
    data.add_argument("--size", type=int, default=32, help="of Pathfinder")
    data.add_argument("--path-length", type=int, default=14, help="of Pathfinder")
    model = parser.add_argument_group("model")
    model.add_argument("--layers", type=int, default=2)
    model.add_argument("--width", type=int, default=64)
    model.add_argument("--mlp", type=int, default=128)
    model.add_argument("--heads", type=int, default=4)
    model.add_argument("--head-dim", type=int, default=16)
    model.add_argument("--features", type=int, default=64)
    model.add_argument("--kernel", default="relu")
    model.add_argument("--positions", default="learned")
    model.add_argument("--pooling", default="mean")
    model.add_argument("--dropout", type=float, default=0.0)
    train = parser.add_argument_group("training")
    train.add_argument("--steps", type=int, default=2_500)
    train.add_argument(
        "--mux-steps", type=int, default=None, help="of MIMOFormers, if not the same"
    )
    train.add_argument(
        "--batch-rows", type=int, default=64, help="rows in a step, whatever the grid"
    )
    train.add_argument("--warm-up-epochs", type=int, default=1)
    train.add_argument("--lr", default="1e-3", help="or 'auto', the estimator's")
    train.add_argument("--weight-decay", type=float, default=0.01)
    train.add_argument("--isometry-weight", type=float, default=0.0)
    train.add_argument("--dtype", default="float32", help="of the training")
    train.add_argument("--repeats", type=int, default=5)
    train.add_argument(
        "--models", type=Path, default=None, help="keep fitted models there, take those that are"
    )
    train.add_argument("--verbose", type=int, default=0)


def _grid(text: str) -> tuple[int, int]:
    sizes = text.split("x")
    if len(sizes) != 2 or not all(size.isdecimal() and int(size) for size in sizes):
        raise ArgumentTypeError(f"{text!r} is no grid; give rows and columns, such as 2x2")
    return int(sizes[0]), int(sizes[1])


def main(args: Namespace) -> int:
    """Run the benchmark."""
    results: dict[str, list[Result]] = {}
    majorities = []
    models = list_models(args)
    for seed in args.seeds:
        split = read_task(args, seed)
        values, counts = np.unique(split.y_train, return_counts=True)
        majorities.append(float(np.mean(split.y_test == values[counts.argmax()])))
        fitted = {}
        for model in models:
            label = f"{model.name}_{_show(model.grid)}"
            folder = args.models and args.models / f"{args.task}_{label}_seed_{seed}"
            clf = build(args, model, split, seed)
            clf, taken = load_or_fit(clf, split.X_train, split.y_train, folder)
            fitted[label] = clf.set_params(dtype="float32")
            accuracy = clf.score(split.X_test, split.y_test)
            results.setdefault(label, []).append(Result(accuracy, _n_steps(clf), taken))
            print(
                f"seed {seed}, {label}: {accuracy:.4f}, majority {majorities[-1]:.4f}", flush=True
            )
    # The models of the last seed predict in turn.
    runs = {label: partial(clf.predict, split.X_test) for label, clf in fitted.items()}
    seconds = paired_seconds(runs, args.repeats)
    rows = [
        _row(args.task, model, results, majorities, seconds, len(split.X_test)) for model in models
    ]
    sizes = f"{len(split.X_train)} rows to learn from, {len(split.X_test)} to test"
    report(f"Long Range Arena, {args.task}, up to {split.max_length} tokens, {sizes}", rows, args)
    return 0


def list_models(args: Namespace) -> list[Model]:
    """List what is trained: the Performer, the Transformer if asked for, and the MIMOFormers."""
    models = [Model("performer", (1, 1), {})]
    if args.softmax:
        models.append(Model("softmax", (1, 1), {"attention": "softmax"}))
    for variant in args.variant:
        grids = [grid for grid in args.grid if grid != (1, 1)]
        models += [Model(variant, grid, {"variant": variant}) for grid in grids]
    return models


def build(args: Namespace, model: Model, split: Split, seed: int) -> MuxTextClassifier:
    """Build the classifier for one row of the table."""
    n_mux = model.grid[0] * model.grid[1]
    batch_size = max(1, args.batch_rows // n_mux)
    steps = args.steps if n_mux == 1 or args.mux_steps is None else args.mux_steps
    return MuxTextClassifier(
        backbone=Scratch(
            tokenizer=split.tokenizer,
            hidden_size=args.width,
            num_hidden_layers=args.layers,
            num_attention_heads=args.heads,
            intermediate_size=args.mlp,
        ),
        architecture=MIMOFormer(
            grid=model.grid,
            head_dim=args.head_dim,
            positions=args.positions,
            pooling=args.pooling,
            isometry_weight=args.isometry_weight,
            **_features(args, model),
            **model.params,
        ),
        n_mux=n_mux,
        max_length=split.max_length,
        dropout=args.dropout,
        warm_up=args.warm_up_epochs,
        max_epochs=max(1, round(steps / -(-len(split.X_train) // batch_size))),
        batch_size=batch_size,
        lr=args.lr if args.lr == "auto" else float(args.lr),
        optimizer=Optimizer(weight_decay=args.weight_decay),
        dtype=args.dtype,
        random_state=seed,
        verbose=args.verbose,
    )


def _features(args: Namespace, model: Model) -> dict[str, Any]:
    """Return what is chosen of random features, which softmax does not have."""
    softmax = model.params.get("attention") == "softmax"
    return {} if softmax else {"kernel": args.kernel, "n_features": args.features}


def read_task(args: Namespace, seed: int) -> Split:
    """Generate or fetch the data of a task.

    Parameters
    ----------
    args : argparse.Namespace
    seed : int
        Seed of what is generated, and of the rows that are taken of fetched data.

    Returns
    -------
    Split
    """
    X: Any
    if args.task == "listops":
        max_length = args.max_length or 200
        n_rows = args.n_train + args.n_test
        texts, y = make_listops(n_rows, args.min_length, max_length, random_state=seed)
        return _cut(_as_integers(texts), y, args.n_train, max_length)
    if args.task == "pathfinder":
        n_rows = args.n_train + args.n_test
        X, y = make_pathfinder(n_rows, args.size, path_length=args.path_length, random_state=seed)
        return _cut(X.reshape(n_rows, -1), y, args.n_train, args.size**2)
    parts = [
        _sample(*_fetch(args, split), n_rows, seed)
        for split, n_rows in (("train", args.n_train), ("test", args.n_test))
    ]
    (X, y), (X_test, y_test) = parts
    if args.task == "image":
        # A grey value above all that are seen in training would be unknown.
        return Split(X, y, np.minimum(X_test, X.max()), y_test, X.shape[1])
    return Split(X, y, X_test, y_test, args.max_length or 4000, "byte")


def _as_integers(texts: list[str]) -> list[list[int]]:
    symbols = sorted({symbol for text in texts for symbol in text.split()})
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    return [[numbers[symbol] for symbol in text.split()] for text in texts]


def _cut(X: Any, y: NDArray[np.int64], n_train: int, max_length: int) -> Split:
    return Split(X[:n_train], y[:n_train], X[n_train:], y[n_train:], max_length)


def _fetch(args: Namespace, split: str) -> tuple[Any, NDArray[np.int64]]:
    if args.task == "retrieval":
        if args.data is None:
            raise SystemExit("--task retrieval reads its data from a folder: give --data FOLDER")
        return fetch_lra_retrieval(args.data, split=split, max_length=args.max_length or 4000)
    fetch = fetch_lra_image if args.task == "image" else fetch_lra_text
    return fetch(args.data or _FETCHED[args.task], split=split)


def _sample(X: Any, y: NDArray[np.int64], n_rows: int, seed: int) -> tuple[Any, NDArray[np.int64]]:
    """Take some rows: what is fetched may be sorted by label."""
    rows = np.random.default_rng(seed).permutation(len(y))[:n_rows]
    return (X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]), y[rows]


def _n_steps(clf: MuxTextClassifier) -> int:
    """Return the steps of training and warm-up, which a loaded model keeps no list of."""
    epochs = clf.n_iter_ + len(clf.warm_up_history_ or ())
    return epochs * clf.history_[0]["train_batch_count"]


def _show(grid: tuple[int, int]) -> str:
    return f"{grid[0]}x{grid[1]}"


def _row(
    task: str,
    model: Model,
    results: dict[str, list[Result]],
    majorities: list[float],
    seconds: dict[str, list[float]],
    n_rows: int,
) -> dict[str, Any]:
    label, twin = f"{model.name}_{_show(model.grid)}", "performer_1x1"
    accuracies = [result.accuracy for result in results[label]]
    of_twin = [result.accuracy for result in results[twin]]
    return {
        "task": task,
        "variant": model.name,
        "grid": _show(model.grid),
        "accuracy": f"{statistics.mean(accuracies):.4f}",
        "delta": f"{statistics.mean(accuracies) - statistics.mean(of_twin):+.4f}",
        "lowest": f"{min(accuracies):.4f}",
        "highest": f"{max(accuracies):.4f}",
        "majority": f"{statistics.mean(majorities):.4f}",
        "steps": results[label][0].steps,
        "fit_s": statistics.median(result.time.seconds for result in results[label]),
        "fit_cpu_s": statistics.median(result.time.cpu_seconds for result in results[label]),
        "rows_per_s": n_rows / statistics.median(seconds[label]),
        "speed_up": median_ratio(seconds[twin], seconds[label]),
    }
