"""Odd inputs for every public entry: an answer or one of our errors, and nothing else.

What comes from inside torch, numpy or tokenizers says nothing to a user. Every input is known by
its seed and its number; `--first` and `--inputs 1` repeat one.
"""

from __future__ import annotations

import itertools
import re
import traceback
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator

from muxlearn import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
)
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch
from muxlearn.benchmark import _fuzz_values as values
from muxlearn.benchmark._report import report
from muxlearn.model_selection import CascadeClassifier
from muxlearn.pretraining import MuxTextPretrainer

__all__ = ["Entry", "add_arguments", "entries", "main", "try_input"]

_SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}
_TEXTS = ["rain and wind", "a goal", "snow in the hills", "a late equaliser"] * 4
_MORE_PASSES_TAKE_LONGER = 3


class Entry(NamedTuple):
    """A public method, and what is given to it.

    Attributes
    ----------
    name : str
    call : callable
        Takes what `draw` has drawn.
    draw : callable
        Takes a generator; returns positional and named arguments.
    counted : bool
        Whether each row has an answer.
    """

    name: str
    call: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple[tuple[Any, ...], dict[str, Any]]]
    counted: bool = False


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--seed", type=int, default=0)
    add("--inputs", type=int, default=100_000, help="of all entries together")
    add("--first", type=int, default=0, help="number of the first input")


def main(args: Namespace) -> int:
    """Run the fuzzer; the status is 1 where something else than an answer or an error came."""
    given = entries()
    counts: dict[str, Counter[str]] = {entry.name: Counter() for entry in given}
    found: dict[str, str] = {}
    for number in range(args.first, args.first + args.inputs):
        entry = given[number % len(given)]
        outcome, details = try_input(entry, args.seed, number)
        counts[entry.name][outcome] += 1
        if details is not None and found.setdefault(_place(details), details) is details:
            told = f"input {number}, {entry.name}:\n{details}"
            print(told.encode(errors="backslashreplace").decode(), flush=True)
    rows: list[dict[str, Any]] = [
        {"entry": name, "answers": n["answer"], "errors": n["error"], "others": n["other"]}
        for name, n in counts.items()
    ]
    total = {name: sum(row[name] for row in rows) for name in ("answers", "errors", "others")}
    report(
        f"odd inputs, seed {args.seed}: answers, errors of ours, and anything else",
        [*rows, {"entry": "all", **total}],
        args,
    )
    return int(total["others"] > 0)


def _place(details: str) -> str:
    """Return where an error came from, by which those of one kind are told once."""
    places = re.findall(r'File "(.*muxlearn[\\/].*)", line (\d+)', details)
    return str(places[-1] if places else details)


def try_input(entry: Entry, seed: int, number: int) -> tuple[str, str | None]:
    """Give an entry one input.

    Parameters
    ----------
    entry : Entry
    seed, number : int

    Returns
    -------
    outcome : {"answer", "error", "other"}
    details : str or None
        The traceback, and what was given, of another outcome.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        args, options = entry.draw(np.random.default_rng([seed, number]))
    known = signature(entry.call).parameters
    options = {name: value for name, value in options.items() if name in known}
    shown = f"{args!r:.500} {options!r:.300}"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            answers = entry.call(*args, **options)
        except Exception as error:
            if _is_ours(error):
                return "error", None
            return "other", f"{traceback.format_exc(chain=False)}given {shown}"
    rows = args[0] if entry.counted and isinstance(args[0], list | tuple | np.ndarray) else answers
    if entry.counted and len(answers) != len(rows):
        return "other", f"{len(answers)} answers to {len(rows)} rows\ngiven {shown}"
    return "answer", None


def _is_ours(error: Exception) -> bool:
    """Whether an error is one that this library, or a check of scikit-learn's, has written."""
    if not isinstance(error, TypeError | ValueError):
        return False
    frame = traceback.extract_tb(error.__traceback__)[-1]
    by_sklearn = "sklearn" in frame.filename and (frame.line or "").startswith("raise")
    return "`" in str(error) or by_sklearn


def entries() -> list[Entry]:
    """Return all entries, with models that have learned nothing."""
    own: dict[str, Any] = {"max_epochs": 0, "warm_up": None, "random_state": 0, "n_mux": 2}
    own |= {"backbone": Scratch(**_SIZES), "max_length": 16}
    points = {"patch_size": 1, "operating_points": ((2, 1), (1, 2), "words")}
    labels = ["weather", "sport"] * 8
    tags = [["O"] * len(text.split()) for text in _TEXTS]
    pairs = list(itertools.pairwise([*_TEXTS, ""]))
    classifier = MuxTextClassifier(**own | points)
    on_numbers = MuxTextClassifier(**own).fit([[1, 2, 3], [4, 5, 11]] * 8, labels)
    tagger = MuxTokenTagger(**own, architecture=TMUX(lexical_size=8)).fit(
        [text.split() for text in _TEXTS], tags
    )
    pixels = np.random.default_rng(0).random((16, 8, 8))
    imager = MuxImageClassifier(2, architecture="mlp", max_epochs=0, random_state=0)
    own_kinds = {name: value for name, value in own.items() if name != "warm_up"}
    pretrainer = MuxTextPretrainer(**own_kinds, objective="retrieval").fit(_TEXTS)
    numbers = np.arange(16.0)
    of_numbers = MuxTextRegressor(**own | points).fit(_TEXTS, numbers)
    of_pixels = MuxImageRegressor(2, architecture="mlp", max_epochs=0, random_state=0)
    embedder = MuxTextEmbedder(backbone=FrozenEstimator(pretrainer), max_length=16)
    stages: list[Any] = ["words", (1, 2)]
    cascade = CascadeClassifier(FrozenEstimator(classifier.fit(_TEXTS, labels)), stages=stages)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few rows are told
        cascade.fit(_TEXTS, labels)
    models: dict[str, tuple[Any, values.Draw]] = {
        "texts": (classifier, values.texts),
        "pairs": (MuxTextClassifier(**own).fit(pairs, labels), values.texts),
        "integers": (on_numbers, values.integer_rows),
        "tagger": (tagger, values.sentences),
        "images": (imager.fit(pixels, labels), values.pictures),
        "pretrainer": (pretrainer, values.texts),
        "numbers": (of_numbers, values.texts),
        "numbers of images": (of_pixels.fit(pixels, numbers), values.pictures),
        "embedder": (embedder.fit(), values.texts),
        "cascade": (cascade, values.texts),
    }
    return [
        entry for name, (model, draw) in models.items() for entry in _entries_of(name, model, draw)
    ]


def _entries_of(name: str, model: Any, draw: values.Draw) -> Iterable[Entry]:
    methods = ("predict", "predict_proba", "decision_function", "predict_iter", "transform")
    for method in methods:
        if hasattr(model, "predict" if method == "predict_iter" else method):
            call = getattr(model, method)
            if method == "predict_iter":
                call = _exhausted(call)
            yield Entry(f"{method}, {name}", call, _prediction(draw), counted=True)
    if hasattr(model, "score"):
        yield Entry(f"score, {name}", model.score, _scoring(draw))
    yield Entry(f"fit, {name}", _fitting(model), _training(draw))
    if not hasattr(model, "load"):
        return
    yield Entry(f"load, {name}", type(model).load, lambda rng: ((values.odd(rng),), {}))
    if hasattr(model, "predict"):
        yield Entry(f"predict_dataset, {name}", model.predict_dataset, _bulk(draw))


def _exhausted(call: Callable[..., Any]) -> Callable[..., list[Any]]:
    @wraps(call)
    def exhausted(*args: Any, **options: Any) -> list[Any]:
        return list(call(*args, **options))

    return exhausted


def _fitting(model: Any) -> Callable[..., Any]:
    def fit(X: Any, y: Any, params: dict[str, Any]) -> None:
        from sklearn.base import clone

        clone(model).set_params(**params).fit(X, y)

    return fit


def _options(rng: np.random.Generator, X: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options["n_mux"] = values.settings(rng)
    if rng.random() < 0.1:
        options["patch_size"] = values.settings(rng)
    if rng.random() < 0.1:
        options["n_passes"] = values.settings(rng)
        if isinstance(options["n_passes"], int) and options["n_passes"] > _MORE_PASSES_TAKE_LONGER:
            del options["n_passes"]
    if rng.random() < 0.4:
        options["groups"] = values.groups(rng, values.count(X))
    return options


def _prediction(draw: values.Draw) -> Any:
    def drawn(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        X = draw(rng)
        return (X,), _options(rng, X)

    return drawn


def _scoring(draw: values.Draw) -> Any:
    def drawn(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        X = draw(rng)
        options = _options(rng, X)
        if rng.random() < 0.2:
            options["sample_weight"] = values.labels(rng, values.count(X))
        return (X, values.answers(rng, X)), options

    return drawn


def _bulk(draw: values.Draw) -> Any:
    def drawn(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        made = {
            "column": values.odd,
            "groups": values.odd,
            "keep": values.odd,
            "rows_per_part": values.settings,
        }
        options = {name: draw_one(rng) for name, draw_one in made.items() if rng.random() < 0.3}
        return (draw(rng), values.odd(rng)), {**options, **_options(rng, None)}

    return drawn


def _training(draw: values.Draw) -> Any:
    def drawn(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        X = draw(rng)
        names = ("n_mux", "batch_size", "lr", "operating_points", "random_state", "max_length")
        params = {str(rng.choice(names)): values.settings(rng)} if rng.random() < 0.3 else {}
        return (X, values.answers(rng, X), params), {}

    return drawn
