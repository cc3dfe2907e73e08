"""Compare our numbers with those that the reference implementations gave.

A case is ``<name>.safetensors`` (weights, inputs, outputs) with ``<name>.json`` (configuration)
beside it, made by running the authors' code on a small random model.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from muxlearn.nn.reference import ReferenceSequenceClassifier

__all__ = ["TOLERANCE", "add_arguments", "check_case", "load_case", "main", "run"]

TOLERANCE = 2e-5


def load_case(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Read one case.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    config : dict
        The model's configuration.
    state_dict : dict of str to Tensor
    tensors : dict of str to Tensor
        The case's ``input.*`` and ``output.*``.
    """
    case = json.loads(path.read_text(encoding="utf-8"))
    tensors = load_file(path.with_suffix(".safetensors"))
    state_dict = {
        name.removeprefix("weight."): tensor
        for name, tensor in tensors.items()
        if name.startswith("weight.")
    }
    for name, n_rows in case.get("sparse_rows", {}).items():
        # Stored by rows: all others are 0.
        rows = tensors[f"weight_rows.{name}"]
        state_dict[name] = rows.new_zeros(n_rows, *rows.shape[1:])
        state_dict[name][tensors[f"weight_ids.{name}"]] = rows
    recorded = {k: v for k, v in tensors.items() if k.startswith(("input.", "output."))}
    return case["config"], state_dict, recorded


def run(golden: Path) -> list[dict[str, Any]]:
    """Check all cases below a folder.

    Parameters
    ----------
    golden : Path

    Returns
    -------
    list of dict
        One row for each quantity of a case: `case`, `quantity`, `error` (the largest absolute
        one), `ok` (whether it is at most `TOLERANCE`). A case that is not covered has one row
        whose `error` and `ok` are None and whose `quantity` says why.
    """
    paths = [p for p in sorted(golden.rglob("*.json")) if p.with_suffix(".safetensors").exists()]
    return [row for path in paths for row in check_case(path)]


def check_case(path: Path) -> list[dict[str, Any]]:
    """Check one case.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    list of dict
        As from `run`.
    """
    reason = _why_not_covered(path)
    if reason is not None:
        return [{"case": path.stem, "quantity": reason, "error": None, "ok": None}]
    return [
        {"case": path.stem, "quantity": quantity, "error": error, "ok": error <= TOLERANCE}
        for quantity, error in _errors(path).items()
    ]


def _why_not_covered(path: Path) -> str | None:
    official_class = json.loads(path.read_text(encoding="utf-8")).get("official_class")
    if official_class is None:
        return "skipped: names no official_class"
    name = official_class.rpartition(".")[2]
    covered = name == "RobertaSequenceClassificationMuxed"
    return None if covered else f"skipped: no counterpart of {name} yet"


def _errors(path: Path) -> dict[str, float]:
    config, state_dict, tensors = load_case(path)
    model = ReferenceSequenceClassifier.from_state_dict(config, state_dict)
    computed = _compute(model, tensors)
    return {name: _max_error(ours, tensors[f"output.{name}"]) for name, ours in computed.items()}


@torch.no_grad()
def _compute(model: ReferenceSequenceClassifier, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return all quantities under their recorded names."""
    stages: dict[str, Tensor] = {}

    def watch(module: nn.Module, name: str, pick: Callable[[Any, Any], Tensor]) -> None:
        # The embedding layer runs twice; the later run, on the mixture, stays.
        module.register_forward_hook(lambda _, args, out: stages.update({name: pick(args, out)}))

    multiplexer, embeddings = model.multiplexer, model.backbone.embeddings
    watch(multiplexer, "instance_embeddings_before_mux", lambda args, _: args[0].flatten(0, 1))
    watch(multiplexer, "mux_embedding", lambda _, out: out)
    watch(embeddings, "embeddings_after_backbone_embedding_layer", lambda _, out: out)
    watch(model.backbone, "sequence_output", lambda _, out: out.last_hidden_state)
    ids = tensors["input.input_ids"]
    logits_without_labels = model(ids).logits
    output = model(ids, tensors["input.labels"], tensors["output.retrieval_instance_labels"])
    names = ("demuxed", "logits", "task_loss", "retrieval_loss", "loss")
    some_ids = tensors["output.retrieval_logits_ids"]
    return {
        **stages,
        **{name: getattr(output, name) for name in names},
        "logits_without_labels": logits_without_labels,
        "retrieval_logits_at_ids": output.retrieval_logits[..., some_ids],
        "retrieval_logsumexp": output.retrieval_logits.logsumexp(-1),
    }


def _max_error(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item() if ours.shape == theirs.shape else math.inf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.add_argument(
        "--golden",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the recorded cases, searched with its subfolders",
    )


def main(args: argparse.Namespace) -> int:
    """Print a table.

    Returns
    -------
    int
        1 if an error is above the tolerance or no case was checked, else 0.
    """
    rows = run(args.golden)
    width = max((len(row["case"]) for row in rows), default=0)
    for row in rows:
        if row["ok"] is None:
            print(f"{row['case']:{width}}  {row['quantity']}")
            continue
        verdict = "ok" if row["ok"] else "FAILED"
        print(f"{row['case']:{width}}  {row['quantity']:41}  {row['error']:.1e}  {verdict}")
    checked = [row["ok"] for row in rows if row["ok"] is not None]
    if not checked:
        print(f"no case below {args.golden} that could be checked")
        return 1
    print(f"{sum(checked)} of {len(checked)} quantities within {TOLERANCE:.0e}")
    return 0 if all(checked) else 1
