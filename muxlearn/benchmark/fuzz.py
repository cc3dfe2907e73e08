"""Odd inputs for every public entry, and folders in which any entry has changed.

The status says whether one has found something.
"""

from __future__ import annotations

from functools import partial

from muxlearn.benchmark import _fuzz_folders, _fuzz_inputs
from muxlearn.benchmark._parts import add_parts, run_parts

_PARTS = {"inputs": _fuzz_inputs, "folders": _fuzz_folders}

add_arguments = partial(add_parts, _PARTS)
main = partial(run_parts, _PARTS)
