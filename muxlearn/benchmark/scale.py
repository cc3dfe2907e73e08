"""Measure streams, searches and bulk prediction on engines, each in a table of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from copy import copy
from typing import Any

from muxlearn.benchmark import _scale_bulk, _scale_search, _scale_stream

#: What prints each table; has `add_arguments` and `main`, as a command has.
PARTS: dict[str, Any] = {
    "stream": _scale_stream,
    "search": _scale_search,
    "bulk": _scale_bulk,
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    for name, part in PARTS.items():
        part.add_arguments(parser.add_argument_group(name, part.__doc__))


def main(args: Namespace) -> int:
    """Run the benchmark; of several tables, each goes to a file of its own."""
    for name in args.part:
        of_part = copy(args)
        if args.json is not None and len(args.part) > 1:
            of_part.json = args.json.with_stem(f"{args.json.stem}-{name}")
        PARTS[name].main(of_part)
    return 0
