"""The command line of ``reproduce``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muxlearn.benchmark._arguments import positive
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
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--scale", choices=SCALES, required=True)
    parser.add_argument("--data", type=Path, default=None, help="folder of the tasks' files")
    parser.add_argument(
        "--texts", type=Path, default=None, help="texts to warm up on, one a line; may be gzipped"
    )
    parser.add_argument("--tasks", nargs="+", default=None, help="default: all of the experiment")
    parser.add_argument("--only", nargs="+", default=None, help="models, by name or family")
    parser.add_argument(
        "--n-mux",
        type=positive,
        nargs="+",
        default=None,
        help="models of so many rows, and their twin",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--state", type=Path, default=None, help="keeps models and states; default NAME-SCALE"
    )
    parser.add_argument("--plot", type=Path, default=None, help="draw scores over n_mux there")
    parser.add_argument("--dtype", default="auto", help="of the training")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=positive, default=5)


def main(args: Namespace) -> int:
    """Run an experiment and print its table."""
    recipe = RECIPES[args.name](args.scale)
    args.state = args.state or Path(f"{args.name}-{args.scale}")
    args.state.mkdir(parents=True, exist_ok=True)
    files = {name: getattr(args, name) for name in ("data", "texts")}
    options = {name: str(getattr(args, name)) for name in ("name", "scale", "dtype")}
    options |= {name: Path(file).name if file else "" for name, file in files.items()}
    check_options(args.state / "options.json", options, "--state")
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
