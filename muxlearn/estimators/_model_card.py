"""The model card of a fitted estimator: what the hub shows, and indexes, of a model."""

from __future__ import annotations

import inspect
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sklearn
import torch

from muxlearn._version import __version__
from muxlearn.architectures import flatten, unflatten
from muxlearn.backbones import SCRATCH
from muxlearn.estimators._card_scores import (
    HUB_METRICS,
    SPEEDS,
    Figures,
    Scores,
    arguments_of,
    check_scores,
    checked,
    measured_figures,
)
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import FORMAT_VERSION, decode_params, encode_params
from muxlearn.points import as_points, speed_rank
from muxlearn.tasks import LabelsTask, NumbersTask

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard


__all__ = ["CARD", "Scores", "is_generated", "model_card"]


#: The name of the file that holds a card.
CARD = "README.md"

#: Stands in a card as long as nobody has made it their own.
_MARK = "<!-- Written by muxlearn, which replaces this file. Without this line it is kept. -->"

#: Parameters that may name a folder.
_FOLDERS = ("backbone", "teacher", "cache", "checkpoint")
_NESTED_FOLDERS = ("backbone__checkpoint",)

#: Labels that a card names.
_SHOWN_LABELS = 20

#: Characters of a parameter's value that a card shows.
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class _Phrases:
    """The texts of cards that depend on the estimator."""

    pipeline_tag: str
    answer: str
    of: str
    rows: str
    example: str
    remark: str
    method: str = "predict"

    @property
    def task(self) -> str:
        return f"{self.answer} for each {self.of}"


_TEXTS = _Phrases(
    "text-classification",
    "one label",
    "text, or pair of texts",
    "texts",
    '["a text", "another one"]',
    "Only the first {max_length} tokens of a text are read.",
)
_IMAGES = _Phrases(
    "image-classification",
    "one label",
    "image",
    "images",
    "images",
    "Images are given in the same range of pixel values as in training.",
)

#: By what the module answers.
_PHRASES = {
    "sequence": _TEXTS,
    "token": _Phrases(
        "token-classification",
        "one tag",
        "token of a sentence",
        "sentences",
        '[["One", "sentence"], ["and", "another", "one"]]',
        "Sentences of more than {max_length} tokens are read in overlapping windows.",
    ),
    "vector": replace(
        _TEXTS,
        pipeline_tag="feature-extraction",
        answer="one vector",
        of="text",
        method="transform",
    ),
    "image": _IMAGES,
}

#: What is answered in place of one label. The hub has no task of numbers:
#: regressors are among the classifiers.
_ANSWERS = {LabelsTask.name: "any number of labels", NumbersTask.name: "numbers"}


def _of_sequences(phrases: _Phrases) -> _Phrases:
    """Return the texts of an estimator that reads sequences of integers in place of texts."""
    return replace(
        phrases,
        pipeline_tag="other",
        of="sequence of integers",
        rows="sequences",
        example="[[3, 1, 4], [1, 5]]",
        remark="Only the first {max_length} integers of a sequence are read.",
    )


def model_card(
    estimator: Any,
    name: str,
    *,
    scores: Scores | None = None,
    dataset: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Describe a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    name : str
        What it is loaded by: the name of a repository on the hub, or of a folder.
    scores : mapping or muxlearn.inspection.TradeoffDisplay, default=None
        By `n_mux` and name, such as ``{10: {"accuracy": 0.91, "rows_per_second": 4100}}``; pairs
        ``(n_mux, patch_size)`` and "words" name points as well. None shows the
        estimator's `measured_points_`, if it has any.
    dataset : str, default=None
        What `scores` were measured on, best by its name on the hub.
    metadata : mapping of str to object, default=None
        More entries of the front matter, such as ``{"license": "mit", "language": "en"}``. They
        replace entries of the same name, but tags are added.

    Returns
    -------
    huggingface_hub.ModelCard

    Raises
    ------
    TypeError, ValueError
        Scores are not by `n_mux` and name, or not finite numbers; or an argument is of the wrong
        type.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from yaml import YAMLError, safe_load  # type: ignore[import-untyped]

    figures = check_scores(scores, estimator.predictor_.resolve_point())
    # Those of a validation split are not for the hub's index, which compares models on test data.
    shown = measured_figures(estimator) if scores is None else figures
    given = dict(checked("metadata", metadata, Mapping, "a mapping") or {})
    checked("dataset", dataset, str, "the name of a dataset")
    phrases = _phrases_for(estimator)
    results = _eval_results(figures, dataset, phrases.pipeline_tag)
    if odd := [key for key in given if not isinstance(key, str)]:
        raise TypeError(f"`metadata` must have names that are str, got {odd[0]!r}")
    data = ModelCardData(
        **{
            "library_name": "muxlearn",
            "pipeline_tag": phrases.pipeline_tag,
            "base_model": _base_model(estimator),
            "metrics": _hub_metrics(shown) or None,
            "model_name": name.rpartition("/")[2] if results else None,
            "eval_results": results or None,
            **given,
            "tags": ["multiplexing", "scikit-learn", *_listed(given.get("tags"))],
        }
    )
    try:
        front = data.to_yaml()
        safe_load(front)
    except YAMLError as error:
        raise TypeError(
            f"`metadata` holds what a card cannot ({error}); give texts, numbers, lists and dicts"
        ) from error
    parts = [
        f"---\n{front}\n---",
        _MARK,
        f"# {name}",
        *_model(estimator, phrases),
        *_table(shown, _measured_on(dataset, own=scores is None)),
        *_use(estimator, phrases, name),
        *_limits(estimator, phrases),
        *_origin(estimator),
    ]
    return ModelCard("\n\n".join(parts) + "\n")


def is_generated(file: Path) -> bool:
    """Return whether a card is generated and may be replaced.

    Parameters
    ----------
    file : Path

    Returns
    -------
    bool
    """
    return _MARK in file.read_text(encoding="utf-8", errors="replace")


# The front matter


def _phrases_for(estimator: Any) -> _Phrases:
    phrases, predictor = _PHRASES[estimator._kind.level], estimator.predictor_
    if phrases.rows == "texts" and predictor.reader.column_kind == "integers":
        phrases = _of_sequences(phrases)
    return replace(phrases, answer=_ANSWERS.get(predictor.task.name, phrases.answer))


def _base_model(estimator: Any) -> str | None:
    """Return the backbone where it is one of the hub's."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    backbone = estimator._structure.get("backbone")
    if not isinstance(backbone, str) or backbone == SCRATCH or _is_local(backbone):
        return None
    try:
        validate_repo_id(backbone)
    except HFValidationError:
        return None
    return backbone


def _is_local(name: str) -> bool:
    return name.startswith((".", "~")) or os.path.isabs(name) or Path(name).is_dir()


def _hub_metrics(scores: Figures) -> list[str]:
    columns = [HUB_METRICS.get(column) for row in scores.values() for column in row]
    return list(dict.fromkeys(metric for metric in columns if metric is not None))


def _eval_results(scores: Figures, dataset: str | None, task: str) -> list[EvalResult]:
    """Return what the hub's index of models takes; a score without a dataset is none."""
    from huggingface_hub import EvalResult

    if dataset is None:
        return []
    return [
        EvalResult(
            task_type=task,
            dataset_type=dataset,
            dataset_name=dataset,
            metric_type=HUB_METRICS[column],
            metric_value=value,
            metric_name=f"{column} at n_mux={point}",
            metric_args=arguments_of(point),
        )
        for point, row in scores.items()
        for column, value in row.items()
        if column in HUB_METRICS
    ]


# The text


def _model(estimator: Any, phrases: _Phrases) -> list[str]:
    module, capacity = estimator.module_, estimator.module_.n_mux
    structure = estimator._structure
    network = f"`architecture` {_code(repr(structure.get('architecture', 'tmux')))}"
    if isinstance(module, ReferenceTextModule):
        network += ", computed as by the code of its authors (DataMUX, MUX-PLMs)"
    elif isinstance(module, MuxTextModule) and structure.get("backbone", SCRATCH) is None:
        network += " around the encoder that comes with muxlearn"
    elif structure.get("backbone") not in (None, SCRATCH):
        network += f" around {_code(_public(structure['backbone']))}"
    if module.kept_elsewhere:
        network += ", which is frozen and not among these files"
    trained = as_points(estimator.trained_points_ or [estimator.predictor_.resolve_point()])
    n_weights = sum(
        weights.numel()
        for name, weights in module.named_parameters()
        if not name.startswith(module.kept_elsewhere)
    )
    return [
        f"A multiplexed network: it folds up to {capacity} {phrases.rows} into one pass and gives "
        f"each its own {'prediction' if phrases.method == 'predict' else 'vector'}."
        if capacity > 1
        else f"A network that reads {phrases.rows} one by one (`n_mux` is 1).",
        "\n".join(
            [
                f"- Task: {phrases.task}",
                f"- Estimator: `{type(estimator).__name__}` of muxlearn",
                f"- Network: {network}; {n_weights:,} weights",
                f"- `n_mux`, {phrases.rows} in one pass: 1 to {capacity}; trained at "
                + ", ".join(map(str, sorted(trained, key=speed_rank))),
                *([f"- Labels: {_labels(estimator)}"] if hasattr(estimator, "classes_") else []),
            ]
        ),
    ]


def _labels(estimator: Any) -> str:
    labels = estimator.classes_.tolist()
    shown = ", ".join(_code(_cut(repr(label))) for label in labels[:_SHOWN_LABELS])
    more = len(labels) - _SHOWN_LABELS
    return f"{len(labels)}, {shown}" + (f" and {more} more" if more > 0 else "")


def _measured_on(dataset: str | None, *, own: bool) -> str:
    if own:
        return (
            ", measured on rows that `fit` has set aside or that `measure_operating_points` was "
            "given"
        )
    return "" if dataset is None else f", measured on {_code(dataset)}"


def _table(scores: Figures, where: str) -> list[str]:
    if not scores:
        return []
    columns = list(dict.fromkeys(column for row in scores.values() for column in row))
    by_rows = all(point.patch_size == 1 for point in scores)
    first = "`n_mux`" if by_rows else "`n_mux` x `patch_size`"
    by = "rows in one pass" if by_rows else "rows, and of tokens of a row, in one position"
    heads = [first, *(_cell("rows/s" if column in SPEEDS else column) for column in columns)]
    rows = [
        [str(point), *(_figure(row[column]) if column in row else "" for column in columns)]
        for point, row in scores.items()
    ]
    lines = [heads, ["---:"] * len(heads), *rows]
    machine = " Speed depends on the machine." if set(columns) & set(SPEEDS) else ""
    return [
        "## Scores",
        f"By the number of {by}{where}.{machine}",
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
    ]


def _use(estimator: Any, phrases: _Phrases, name: str) -> list[str]:
    cls = type(estimator)
    smaller = (
        f"model.{phrases.method}({phrases.example}, n_mux=1)  # one by one: slower, more accurate\n"
        if estimator.module_.n_mux > 1
        else ""
    )
    return [
        "## Use",
        f"```python\nfrom {_importable(cls)} import {cls.__name__}\n\n"
        f"model = {cls.__name__}.from_pretrained({name!r})\n"
        f"model.{phrases.method}({phrases.example})\n{smaller}```",
        "The files are data: loading them runs no code of theirs.",
    ]


def _importable(cls: type) -> str:
    """Return where a class is imported from; the front door, if it is there."""
    is_there = getattr(sys.modules["muxlearn"], cls.__name__, None) is cls
    return "muxlearn" if is_there else cls.__module__


def _limits(estimator: Any, phrases: _Phrases) -> list[str]:
    limits = []
    if estimator.module_.n_mux > 1:
        limits = [
            f"A prediction depends on the other {phrases.rows} of its mixture. The same row can "
            "get another answer among others, and what one row says can touch what is said of "
            "another.",
            "`groups=` keeps rows of different groups (tenants, say) out of each other's "
            "mixtures, `n_mux=1` reads each row alone, and `n_passes=` averages over several "
            "mixtures.",
            "More rows in a mixture are faster and less accurate. Compare the values of `n_mux` on "
            "rows of your own before you choose one.",
        ]
    n_read = getattr(estimator.predictor_.reader, "max_length", 0)
    reads_on = n_read > estimator._structure.get("max_length", n_read)
    if hasattr(estimator, "classes_"):
        several = estimator.predictor_.task.name == LabelsTask.name
        gives = "any number of them to a row" if several else "one of them to any row"
        limits.append(f"It knows only its own labels and gives {gives}.")
    limits += [
        phrases.remark.format(**estimator._structure),
        *(
            [f"It uses tokens beyond that, up to {n_read:,}, as a bag of words."]
            if reads_on
            else []
        ),
        "Its files do not say what it was trained on.",
    ]
    return ["## Limits", "\n".join(f"- {limit}" for limit in limits)]


def _origin(estimator: Any) -> list[str]:
    cls = type(estimator)
    flat = decode_params(encode_params(flatten(estimator.get_params(deep=False))))
    for name in _NESTED_FOLDERS:
        if flat.get(name) is not None:
            flat[name] = _public(flat[name])
    params = unflatten(flat)
    for name in _FOLDERS:
        if isinstance(params.get(name), str):
            params[name] = _public(params[name])
    lines = [
        f"    {name}={_cut(' '.join(repr(params[name]).split()))},\n"
        for name, parameter in inspect.signature(cls).parameters.items()
        if name in params and repr(params[name]) != repr(parameter.default)
    ]
    call = f"{cls.__name__}(\n{''.join(lines)})" if lines else f"{cls.__name__}()"
    return [
        "## Parameters",
        "Those that are not the defaults:",
        f"```python\n{call}\n```",
        "## Versions",
        f"muxlearn {__version__} (format {FORMAT_VERSION}), "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}",
    ]


# Small print


def _listed(tags: Any) -> list[str]:
    tags = [tags] if isinstance(tags, str) else tags or []
    if not isinstance(tags, list | tuple):
        raise TypeError(f"`metadata` has tags {tags!r}; give a list of texts")
    return list(tags)


def _public(folder: str | os.PathLike) -> str:
    """Return a name for a public page, without the folders of the machine that it may hold."""
    name = str(folder)
    return f"…/{Path(name).name}" if _is_local(name) else name


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _code(text: str) -> str:
    """Set text as code in Markdown, whatever it holds."""
    text = " ".join(text.split())
    runs = re.findall("`+", text)
    fence = "`" * (1 + max(map(len, runs), default=0))
    space = " " if runs else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _figure(value: float) -> str:
    size = abs(value)
    return f"{value:.3f}" if size <= 1 else f"{value:.1f}" if size < 100 else f"{value:,.0f}"
