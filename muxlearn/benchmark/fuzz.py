"""Odd inputs for every public entry, and folders in which any entry has changed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from copy import copy
from typing import Any

from muxlearn.benchmark import _fuzz_folders, _fuzz_inputs

#: What prints each table; has `add_arguments` and `main`, as a command has.
PARTS: dict[str, Any] = {"inputs": _fuzz_inputs, "folders": _fuzz_folders}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    for name, part in PARTS.items():
        part.add_arguments(parser.add_argument_group(name, part.__doc__))


def main(args: Namespace) -> int:
    """Run the fuzzers; the status says whether one has found something."""
    status = 0
    for name in args.part:
        of_part = copy(args)
        if args.json is not None and len(args.part) > 1:
            of_part.json = args.json.with_stem(f"{args.json.stem}-{name}")
        status |= PARTS[name].main(of_part)
    return status
