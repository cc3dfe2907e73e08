"""Ratios, tables and the machine, which all benchmarks report."""

from __future__ import annotations

import json
import os
import platform
import statistics
from argparse import Namespace
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import muxlearn
from muxlearn._timing import paired_seconds

__all__ = [
    "describe_machine",
    "median_ratio",
    "paired_seconds",
    "print_table",
    "report",
    "synthetic_texts",
    "write_json",
]


def median_ratio(baseline: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over the rounds of ``baseline / other``."""
    return statistics.median(b / o for b, o in zip(baseline, other, strict=True))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print dicts with the same keys as an aligned table."""
    if not rows:
        return
    cells = [list(rows[0])] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value)


def describe_machine() -> dict[str, Any]:
    """Return what a reader needs to place the figures."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "muxlearn": muxlearn.__version__,
        **{name: version(name) for name in ("torch", "transformers", "scikit-learn")},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def report(
    title: str, rows: Sequence[dict[str, Any]], args: Namespace, notes: Sequence[str] = ()
) -> None:
    """Print a table with its machine, and write it as JSON where ``--json`` asks for it.

    Parameters
    ----------
    title : str
    rows : list of dict
    args : argparse.Namespace
        The arguments that ``python -m muxlearn.benchmark`` parsed.
    notes : sequence of str, default=()
        The foot of the table.
    """
    print(f"\n{title}")
    machine = describe_machine().items()
    print(", ".join(f"{name} {value}" for name, value in machine if value is not None))
    print_table(rows)
    for note in notes:
        print(f"* {note}")
    write_json(title, rows, args, notes)


def write_json(
    title: str, rows: Sequence[dict[str, Any]], args: Namespace, notes: Sequence[str] = ()
) -> None:
    """Write a table as JSON where ``--json`` asks for it; parameters are those of `report`."""
    if args.json is None:
        return
    # Of a path its name: where somebody's files lie is nobody else's business.
    options = {k: _named(value) for k, value in vars(args).items() if k not in ("json", "main")}
    result = {"title": title, "machine": describe_machine(), "options": options, "rows": list(rows)}
    if notes:
        result["notes"] = list(notes)
    args.json.write_text(json.dumps(result, indent=1) + "\n")


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    return value.name if isinstance(value, Path) else value


def synthetic_texts(n_texts: int, lengths: tuple[int, int]) -> list[str]:
    """Make texts of pseudo-words with the skewed frequencies of a language.

    Parameters
    ----------
    n_texts : int
    lengths : (int, int)
        Least and greatest number of words, drawn evenly.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        The least number is greater than the greatest.
    """
    if lengths[0] > lengths[1]:
        raise ValueError(f"from {lengths[0]} to {lengths[1]} words is no range; exchange the two")
    rng = np.random.default_rng(0)
    syllables = [c + v for c in "bcdfghklmnprstvw" for v in "aeiou"]
    words = ["".join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(4000)]
    frequencies = 1 / np.arange(1, len(words) + 1)
    frequencies /= frequencies.sum()
    n_words = rng.integers(lengths[0], lengths[1] + 1, n_texts)
    return [" ".join(rng.choice(words, n, p=frequencies)) for n in n_words]
