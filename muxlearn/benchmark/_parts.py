"""A command of several parts, each a module with options and a table of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from copy import copy
from typing import Any

__all__ = ["add_parts", "run_parts"]

#: Modules by name, with `add_arguments` and `main` as a command has.
Parts = Mapping[str, Any]


def add_parts(parts: Parts, parser: ArgumentParser) -> None:
    """Declare the options of all parts."""
    help = "of several, each writes to a file of its own, FILE-PART"
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts), help=help)
    for name, part in parts.items():
        part.add_arguments(parser.add_argument_group(name, part.__doc__))


def run_parts(parts: Parts, args: Namespace) -> int:
    """Run the parts that are asked for; the status is that of all together."""
    status = 0
    for name in args.part:
        of_part = copy(args)
        if args.json is not None and len(args.part) > 1:
            of_part.json = args.json.with_stem(f"{args.json.stem}-{name}")
        status |= parts[name].main(of_part)
    return status
