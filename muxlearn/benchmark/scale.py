"""Measure streams, searches and bulk prediction on engines, each in a table of its own."""

from __future__ import annotations

from functools import partial

from muxlearn.benchmark import _scale_bulk, _scale_search, _scale_stream
from muxlearn.benchmark._parts import add_parts, run_parts

_PARTS = {"stream": _scale_stream, "search": _scale_search, "bulk": _scale_bulk}

add_arguments = partial(add_parts, _PARTS)
main = partial(run_parts, _PARTS)
