"""Peak memory of a batch of mixtures against the same number of plain rows."""

from __future__ import annotations

import multiprocessing
import resource
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import torch

from muxlearn.benchmark import speed
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.points import Point, as_points


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    speed.add_model_arguments(parser)
    parser.add_argument("--batch-size", type=positive, default=32, help="mixtures")
    parser.set_defaults(n_mux=[10, 40])


def main(args: Namespace) -> int:
    """Run the benchmark; every model is measured in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    options = {name: value for name, value in vars(args).items() if name not in ("main", "json")}
    rows: list[dict[str, Any]] = []
    for point in as_points([1, *args.n_mux]):
        with spawn.Pool(1) as pool:
            loaded, peak = pool.apply(measure, (options, point))
        rows.append({"n_mux": speed.shown(point), "loaded_MiB": loaded, "peak_MiB": peak})
    for row in rows:
        row["peak_ratio"] = row["peak_MiB"] / rows[0]["peak_MiB"]
        row["added_MiB"] = row["peak_MiB"] - row["loaded_MiB"]
        row["added_ratio"] = row["added_MiB"] / rows[0]["added_MiB"]
    whose = "a GPU" if torch.cuda.is_available() else "a process"
    report(
        f"peak memory of {whose} that predicts {args.batch_size} mixtures of {args.length} "
        f"tokens, {args.layers} layers x {args.width}, {args.multiplexer}",
        rows,
        args,
    )
    return 0


def measure(options: dict[str, Any], point: Point) -> tuple[float, float]:
    """Return MiB held by a loaded model, and at the peak of predicting one batch.

    The memory is that of the GPU where there is one, else of the process.
    """
    args = Namespace(**options)
    texts = synthetic_texts(200, (args.length, args.length))
    module = speed.build(args, point, texts).module_
    model = module.for_inference(getattr(torch, args.dtype))
    n_rows = args.batch_size * point.n_mux
    device = next(module.parameters()).device
    ids = torch.randint(3, model_vocab(model), (n_rows, args.length), device=device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.inference_mode():
        model(ids[: point.n_mux], mask[: point.n_mux])  # what is set up once
        loaded = _reset_peak()
        for _ in range(3):
            model(ids, mask)
    return loaded, _peak()


def model_vocab(model: Any) -> int:
    """Return the number of tokens that a model prepared for inference knows."""
    if model.folded is not None:
        return model.folded.vocab_size
    return model.encoder.embedding.num_embeddings


def _reset_peak() -> float:
    """Make the peak start from what is held now, where the system can; returns MiB held."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return _peak()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return _peak()


def _peak() -> float:
    if torch.cuda.is_available():  # the GPU's memory is what is short there
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
