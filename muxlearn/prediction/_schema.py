"""The values that the entries of `config.json` may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muxlearn._params import Boolean, Choice, Constraint, Instance, Integer, ListOf, Number, OneOf
from muxlearn.rows import READERS
from muxlearn.tasks import TASKS

__all__ = ["check_entries"]

_OBJECT = Instance((dict,), "an object")
_TEXT = Instance((str,), "a text")
_EPOCHS = ListOf(_OBJECT)
_COUNT = Integer(1, 2**31 - 1)

#: An entry may be absent where what reads it says so. Parameters are checked with their estimator.
_ENTRIES: dict[str, Constraint] = {
    "params": _OBJECT,
    "params.batch_size": _COUNT,
    "params.compile": Boolean(),
    "params.device": _TEXT,
    "params.dtype": Choice("auto", "float32", "bfloat16", "float16", "float64"),
    "params.verbose": OneOf(Boolean(), Integer(0)),
    "structure": _OBJECT,
    "structure.n_mux": _COUNT,
    "structure.max_length": _COUNT,
    "structure.dropout": Number(0, 1, open_high=True),
    "structure.architecture": _TEXT,
    "reader": _OBJECT,
    "task": _OBJECT,
    "labels": OneOf(None, _OBJECT),
    "labels.dtype": _TEXT,
    "labels.values": Instance((list,), "a list"),
    "plan_seed": Integer(0, 2**63),
    "planner": _OBJECT,
    "planner.in_order": Boolean(),
    "planner.window_rows": _COUNT,
    "history": _EPOCHS,
    "warm_up_history": OneOf(None, _EPOCHS),
    "measured_points": OneOf(None, _OBJECT),
    "vocab_size": _COUNT,
    "n_texts": Integer(1, 2),
    "n_blocks": _COUNT,
    "vector_size": _COUNT,
    "patch_sizes": ListOf(_COUNT),
    "aligned_points": ListOf(_TEXT),
    "words": Boolean(),
    "warmed_up": Boolean(),
    "backbone_sha256": _TEXT,
    "reference": _OBJECT,
    "reference.model": _TEXT,
    "reference.config": _OBJECT,
    "reference.kinds": _OBJECT,
    "reference.length": _COUNT,
    "backbone": _OBJECT,
    "encoder": _OBJECT,
    **{
        f"encoder.{size}": _COUNT
        for size in (
            *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
            *("intermediate_size", "max_length"),
        )
    },
}


#: Entries that a part has, where it is there.
_REQUIRED = {
    "params": ("batch_size",),
    "structure": ("n_mux", "architecture"),
    "labels": ("dtype", "values"),
    "task": ("name",),
    "reference": ("model", "config", "kinds", "length"),
}


def check_entries(config: Mapping[str, Any]) -> None:
    """Raise for the first entry that is of the wrong type, or out of its range.

    Parameters
    ----------
    config : mapping of str to object
        All of a folder, also of an earlier version.

    Raises
    ------
    TypeError, ValueError
        Names the entry.
    """
    for path, constraint in _ENTRIES.items():
        part, _, name = path.rpartition(".")
        entries = config.get(part) if part else config
        if entries and name in entries:
            constraint.check(path, entries[name])
    for part, names in _REQUIRED.items():
        lost = [name for name in names if name not in (config.get(part) or names)]
        if lost or config.get(part) == {}:
            raise ValueError(f"`{part}` lacks {', '.join(lost or names)}")
    for part, known, key in (("reader", READERS, "kind"), ("task", TASKS, "name")):
        entries = config.get(part, {})
        # Built here, not in `_ENTRIES`: users may register readers and tasks after this module is
        # imported.
        if key in entries:
            Choice(*known).check(f"{part}.{key}", entries[key])
        constraints = known[entries[key]].constraints if key in entries else {}
        for name, constraint in constraints.items():
            if name in entries:
                constraint.check(f"{part}.{name}", entries[name])
