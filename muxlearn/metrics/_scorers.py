"""The measures of tags as scorers, by object and by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from types import FunctionType, ModuleType

from sklearn.metrics import make_scorer

from muxlearn.metrics._tagging import (
    entity_f1_score,
    entity_precision_score,
    entity_recall_score,
    token_accuracy_score,
)

__all__ = [
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "register_scorers",
    "token_accuracy",
]

entity_f1 = make_scorer(entity_f1_score)
entity_precision = make_scorer(entity_precision_score)
entity_recall = make_scorer(entity_recall_score)
token_accuracy = make_scorer(token_accuracy_score)

_SCORERS = {
    "entity_f1": entity_f1,
    "entity_precision": entity_precision,
    "entity_recall": entity_recall,
    "token_accuracy": token_accuracy,
}


def register_scorers() -> None:
    """Make the names of the scorers known to scikit-learn, as ``scoring="entity_f1"``.

    Without scikit-learn's private table of scorers this does nothing; the scorers themselves can
    still be given as `scoring`.
    """
    # scikit-learn (1.6 to 1.9) has no public way to add a scorer, and looks names up here only.
    table = getattr(sys.modules.get("sklearn.metrics._scorer"), "_SCORERS", None)
    if not isinstance(table, dict):
        return
    for name, scorer in _SCORERS.items():
        table.setdefault(name, scorer)
    # What was imported before, such as sklearn.model_selection, has made its own list of names.
    for options in _allowed_names():
        options.update(_SCORERS)


def _allowed_names() -> Iterator[set[str]]:
    """Find the names that scikit-learn's functions and classes allow for `scoring`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("sklearn.") and isinstance(module, ModuleType):
            members = list(vars(module).values())
            yield from chain.from_iterable(map(_names_of, members))


def _names_of(member: object) -> Iterator[set[str]]:
    if not isinstance(member, type | FunctionType):
        return
    for attribute in ("_parameter_constraints", "_skl_parameter_constraints"):
        constraints = getattr(member, attribute, None)
        if isinstance(constraints, dict):
            scoring = constraints.get("scoring")
            for constraint in scoring if isinstance(scoring, list) else ():
                options = getattr(constraint, "options", None)
                if isinstance(options, set) and "accuracy" in options:
                    yield options
