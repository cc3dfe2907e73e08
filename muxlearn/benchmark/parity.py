"""Compare our numbers with those that the reference implementations gave.

A case is ``<name>.safetensors`` (weights, inputs, outputs) with ``<name>.json`` (configuration)
beside it, made by running the authors' code on a small random model. A schedule is the latter
alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from muxlearn.benchmark import _parity_mimoconv, _parity_mimoformer, _parity_text
from muxlearn.benchmark._parity_case import load_case
from muxlearn.benchmark._report import write_json

__all__ = ["TOLERANCE", "check_case", "load_case", "run"]

#: The largest absolute error that is let pass, unless a kind of case says otherwise.
TOLERANCE = 2e-5

# What checks a kind of case: modules with ``covers(case: dict) -> bool``, which sees the json file
# with the case's `name` added, ``errors(path) -> dict[str, float]`` and, where some quantities have
# to be nearer than others, ``tolerance(quantity) -> float``.
_KINDS = (_parity_text, _parity_mimoconv, _parity_mimoformer)


def run(golden: Path) -> list[dict[str, Any]]:
    """Check all cases below a folder.

    Parameters
    ----------
    golden : Path

    Returns
    -------
    list of dict
        One row for each quantity of a case: `case`, `quantity`, `error` (the largest absolute
        one), `ok` (whether it is at most `TOLERANCE`, or what its kind allows). A case that is not
        covered has one row whose `error` and `ok` are None and whose `quantity` says why.
    """
    paths = [
        path
        for path in sorted(golden.rglob("*.json"))
        if path.with_suffix(".safetensors").exists() or _find_kind(_read(path)) is not None
    ]
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
        The errors of the case, as `run` returns them.
    """
    case = _read(path)
    kind = _find_kind(case)
    if kind is None:
        official_class = case.get("official_class")
        reason = "skipped: names no official_class"
        if official_class is not None:
            reason = f"skipped: no counterpart of {official_class.rpartition('.')[2]} yet"
        return [{"case": path.stem, "quantity": reason, "error": None, "ok": None}]
    allowed = getattr(kind, "tolerance", lambda quantity: TOLERANCE)
    return [
        {"case": path.stem, "quantity": quantity, "error": error, "ok": error <= allowed(quantity)}
        for quantity, error in kind.errors(path).items()
    ]


def _read(path: Path) -> dict[str, Any]:
    return {**json.loads(path.read_text(encoding="utf-8")), "name": path.stem}


def _find_kind(case: dict[str, Any]) -> Any:
    return next((kind for kind in _KINDS if kind.covers(case)), None)


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
    write_json("errors against the reference implementation", rows, args)
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
    print(
        f"{sum(checked)} of {len(checked)} quantities within {TOLERANCE:.0e}, or nearer where asked"
    )
    return 0 if all(checked) else 1
