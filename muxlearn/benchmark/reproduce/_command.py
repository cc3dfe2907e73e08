"""The command line of ``reproduce``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muxlearn.benchmark._arguments import DTYPES, positive
from muxlearn.benchmark._models import check_options
from muxlearn.benchmark._report import report
from muxlearn.benchmark.reproduce._images import datamux_vision, mimoconv_cifar
from muxlearn.benchmark.reproduce._long import mimoformer_lra
from muxlearn.benchmark.reproduce._plot import plot
from muxlearn.benchmark.reproduce._recipe import SCALES, Recipe
from muxlearn.benchmark.reproduce._runner import run
from muxlearn.benchmark.reproduce._texts import (
    datamux_mnli,
    datamux_ner,
    mux_plm_glue,
    revmux_glue,
)

__all__ = ["RECIPES", "add_arguments", "main"]

#: The experiments: each takes a scale and returns its recipe.
RECIPES: dict[str, Callable[[str], Recipe]] = {
    "datamux-mnli": datamux_mnli,
    "datamux-ner": datamux_ner,
    "datamux-vision": datamux_vision,
    "mux-plm-glue": mux_plm_glue,
    "mimoconv-cifar": mimoconv_cifar,
    "mimoformer-lra": mimoformer_lra,
    "revmux-glue": revmux_glue,
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("name", choices=RECIPES)
    add("--scale", choices=SCALES, required=True)
    add("--data", type=Path, help="folder of the tasks' files")
    add("--texts", type=Path, help="texts to warm up on, one a line; may be gzipped")
    add("--tasks", nargs="+", help="default: all of the experiment")
    add("--only", nargs="+", help="models, by name or family")
    add("--n-mux", type=positive, nargs="+", help="models of so many rows, and their twin")
    add("--seeds", type=int, nargs="+", default=[0])
    add("--state", type=Path, help="keeps models and states; default NAME-SCALE")
    add("--plot", type=Path, help="draw scores over n_mux there")
    add("--dtype", choices=DTYPES, default="auto", help="of the training")
    add("--device", default="auto")
    add("--repeats", type=positive, default=5)


def main(args: Namespace) -> int:
    """Run an experiment and print its table."""
    recipe = RECIPES[args.name](args.scale)
    args.state = args.state or Path(f"{args.name}-{args.scale}")
    files = {name: getattr(args, name) for name in ("data", "texts")}
    options = {name: str(getattr(args, name)) for name in ("name", "scale", "dtype")}
    options |= {name: Path(file).name if file else "" for name, file in files.items()}
    check_options(args.state, options, "--state")
    rows = run(recipe, args)
    notes = [f"The paper: {recipe.paper}", *(f"Differs: {text}" for text in recipe.deviations)]
    report(recipe.title, _shown(rows), args, notes)
    if args.plot is not None:
        plot(args.plot, rows, recipe)
    return 0


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out columns in which nothing stands."""
    empty = {name for name in rows[0] if all(row[name] in ("", None) for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]
