"""Checkpoints that the authors of DataMUX and MUX-PLMs have published, or in their layout."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muxlearn._params import Constraint, Instance, Integer, ListOf, OneOf, check_parameters
from muxlearn._warnings import warn
from muxlearn.backbones import cutting
from muxlearn.nn.module import MuxModule
from muxlearn.nn.reference import (
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    MuxElectraSequenceClassifier,
    MuxElectraTokenClassifier,
    ReferenceModel,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
    rename_duplicates,
    with_sizes,
)
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.persistence import (
    TOKENIZER_FILES,
    FormatError,
    bounded_by,
    check_sizes,
    find_folder,
    read_tokenizer,
    read_weights,
    refuse_code,
    told_as_format_error,
)
from muxlearn.rows import is_missing

__all__ = [
    "FAMILIES",
    "LOADERS",
    "LoadedCheckpoint",
    "build_model",
    "checked_length",
    "copied",
    "described",
    "family_of",
    "fit_tokenizer",
    "labels_of",
    "load_datamux",
    "make_reader",
    "open_checkpoint",
    "read_authors_config",
    "sort_classes",
    "task_of",
]

CONFIG = "config.json"

#: Tokens of a row, padding included, in all scripts of the authors.
_LENGTH = 128


@dataclass(frozen=True)
class _Family:
    """The common properties of the checkpoints of one paper."""

    name: str
    tokenizer: str
    sequence: type[ReferenceModel]
    token: type[ReferenceModel]


FAMILIES = {
    "roberta.": _Family(
        "DataMUX", "roberta-base", ReferenceSequenceClassifier, ReferenceTokenClassifier
    ),
    "bert.": _Family(
        "MUX-BERT", "bert-base-uncased", MuxBertSequenceClassifier, MuxBertTokenClassifier
    ),
    "electra.": _Family(
        "MUX-ELECTRA",
        "bert-base-uncased",
        MuxElectraSequenceClassifier,
        MuxElectraTokenClassifier,
    ),
}
LOADERS = {"sequence": "MuxTextClassifier", "token": "MuxTokenTagger"}

_TEXT = Instance((str,), "a text")

#: What some entries of a configuration may be.
_ENTRIES: dict[str, Constraint] = {
    "architectures": OneOf(None, ListOf(_TEXT)),
    "id2label": OneOf(None, Instance((dict,), "an object")),
    "pad_token_id": Integer(0),
}

# Parts of the names of the reference's classes.
_ARCHITECTURES = {
    "SequenceClassification": "sequence",
    "TokenClassification": "token",
    "MaskedLM": "words",
    "PreTraining": "words",
}

# The reference's names, and ours in the arguments of a model's class and of an estimator.
_KEYS = {
    "gaussian_hadamard": "vector",
    "binary_hadamard": "vector",
    "random_ortho": "matrix",
    "random_ortho_low_rank": "matrix",
    "gaussian_attention_v2": "contextual",
}
_MULTIPLEXERS = {"vector": "hadamard", "matrix": "orthogonal", "contextual": "contextual"}
_DEMULTIPLEXERS = {"index": "index", "mlp": "mlp", "index_pos": "rsa"}


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A published model, ready for an estimator.

    Parameters
    ----------
    module : MuxModule
    tokenizer : tokenizers.Tokenizer or IntegerReader
        Cuts off what is too long. None for images.
    classes : ndarray of shape (n_classes,) or None
        The labels, sorted as the module's outputs are; None of a regression.
    params : dict
        The estimator's parameters that describe the model.
    """

    module: MuxModule
    tokenizer: Any
    classes: NDArray | None
    params: dict[str, Any]


def load_datamux(
    folder: Path,
    task: str,
    *,
    tokenizer: Any,
    classes: Iterable[Any] | None,
    numbers: bool,
    max_length: int | None,
    **hub: Any,
) -> LoadedCheckpoint:
    """Load a checkpoint of DataMUX or MUX-PLMs.

    Parameters
    ----------
    folder : Path
        From `open_checkpoint`.
    task : {"sequence", "token"}
        What is to be classified.
    tokenizer : str, path, tokenizers.Tokenizer, tokenizer of transformers or None
        None takes the folder's.
    classes : sequence of labels or None
        In the order of the checkpoint's outputs; None takes the configuration's.
    numbers : bool
        Whether it is to be a regression, with one output.
    max_length : int or None
        Tokens that a row is cut off or padded to; None stands for 128 at most.
    **hub
        Arguments of `huggingface_hub.snapshot_download`, for a tokenizer that is named.

    Returns
    -------
    LoadedCheckpoint

    Raises
    ------
    OSError
        There is no such tokenizer, locally or on the hub.
    ValueError
        The folder holds no such checkpoint, or one whose files contradict each other.
    """
    config = read_authors_config(folder)
    tensors = read_weights(folder)
    start, family = family_of(folder, tensors)
    _check_task(folder, config, tensors, task)
    advice = (
        f"give tokenizer={family.tokenizer!r}, a folder that holds it, or a tokenizers.Tokenizer"
    )
    reader = make_reader(folder, tokenizer, family, advice, hub)
    model, config, kinds = build_model(folder, config, tensors, start, family, task)
    length = checked_length(folder, model, max_length)
    labels = None
    if numbers:
        _check_regression(folder, kinds["n_classes"], classes)
    else:
        labels = labels_of(folder, config, kinds["n_classes"], classes)
    fit_tokenizer(folder, reader, model.backbone.config.vocab_size, length)
    module = ReferenceTextModule(model, config, kinds, length)
    if labels is not None:
        labels = sort_classes(module, labels)
    if config.get("task_loss_coeff") == 0:
        warn(
            f"{str(folder)!r} was trained with task_loss_coeff=0, on the retrieval task alone: "
            "its classes mean nothing before `fit` with warm_start=True",
        )
    return LoadedCheckpoint(module, reader, labels, described(module, kinds))


def open_checkpoint(name: str | os.PathLike, **hub: Any) -> Path:
    """Return the folder of a checkpoint, which may be downloaded.

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    """
    return find_folder(
        name, (CONFIG, *TOKENIZER_FILES), parameter="name_or_folder", weights=True, **hub
    )


def read_authors_config(folder: Path, needed: str = "num_attention_heads") -> dict[str, Any]:
    """Return the configuration of a checkpoint, which has an entry that no tensor shows."""
    file = folder / CONFIG
    if not file.is_file():
        raise FormatError(f"{str(folder)!r} is no checkpoint: it has no {CONFIG}")
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: {error}") from None
    if not isinstance(config, dict):
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: it holds no object")
    if config.get("format") == "muxlearn":
        raise FormatError(
            f"{str(folder)!r} was saved by muxlearn; load it with "
            f"{config.get('estimator', 'the estimator')}.load"
        )
    refuse_code(config, repr(str(folder)))
    check_parameters(config, {name: _ENTRIES[name] for name in _ENTRIES.keys() & config.keys()})
    if needed not in config:
        raise FormatError(f"{CONFIG} in {str(folder)!r} lacks {needed!r}")
    return config


def family_of(folder: Path, tensors: Mapping[str, Tensor]) -> tuple[str, _Family]:
    """Return the prefix of the backbone's tensor names, and the family of the checkpoint."""
    start = next((s for s in FAMILIES if any(name.startswith(s) for name in tensors)), None)
    if start is not None and "instance_embedding" in tensors:
        return start, FAMILIES[start]
    shown = ", ".join(list(tensors)[:3]) + (", …" if len(tensors) > 3 else "")
    raise ValueError(
        f"{str(folder)!r} holds no checkpoint of DataMUX or MUX-PLMs, which has tensors "
        f"instance_embedding and roberta.*, bert.* or electra.*; here are {shown or 'none'}. An "
        "encoder of transformers is given as `backbone`"
    )


def _check_task(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], task: str
) -> None:
    found = task_of(config, tensors)
    if found == "words":
        raise ValueError(
            f"{str(folder)!r} holds a masked language model, which has no classes; give it as "
            "`backbone` to train it for a task, or a checkpoint that is fine-tuned for one here"
        )
    if found is not None and found != task:
        raise ValueError(
            f"{str(folder)!r} holds a {found} classifier, not a {task} classifier; load it with "
            f"{LOADERS[found]}.from_reference"
        )


def task_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str | None:
    """Return "sequence", "token" or "words", None where nothing tells."""
    (architecture,) = (config.get("architectures") or [""])[:1]
    # Classifiers of rows and of tokens may have tensors of the same names and shapes.
    for mark, task in _ARCHITECTURES.items():
        if mark in str(architecture):
            return task
    if "demultiplexer.decoder.weight" in tensors:
        return "token"
    if "classifier.out_proj.weight" in tensors:
        return "sequence"
    has_head = "classifier.weight" in tensors or "demultiplexer.out_proj.weight" in tensors
    return None if has_head else "words"


def build_model(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    start: str,
    family: _Family,
    task: str,
    n_classes: int | None = None,
) -> tuple[ReferenceModel, dict[str, Any], dict[str, Any]]:
    """Return the model, its configuration, and what else its class takes.

    `n_classes` asks for a new head.
    """
    model_class = family.token if task == "token" else family.sequence
    given, _ = rename_duplicates(tensors, model_class.duplicates)
    kinds = model_class.read_kinds(given, n_classes)
    sizes = with_sizes({}, given, start)
    problems = _contradictions(config, _shown(kinds) | sizes)
    config = {**config, **sizes}
    shapes = [tensor.shape for tensor in tensors.values()]
    try:
        check_sizes(config, shapes)
        with bounded_by(shapes), told_as_format_error(f"the files in {str(folder)!r}", ValueError):
            model = model_class.from_state_dict(config, tensors, n_classes)
    except ValueError as error:
        raise ValueError("\n  ".join([f"{str(folder)!r}: {error}", *problems])) from None
    if problems:
        raise ValueError("\n  ".join([f"{str(folder)!r} contradicts itself:", *problems]))
    return model, config, kinds


def _shown(kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tensors show of a model under the names of a configuration."""
    shown = {"num_instances": kinds["n_mux"], "demuxing_variant": kinds["demultiplexer"]}
    if kinds["demultiplexer"] == "index_pos":
        shown["num_hidden_demux_layers"] = kinds["n_demux_layers"]
    return shown | {"muxing_variant": _kind_of_keys(kinds)}


def _kind_of_keys(kinds: Mapping[str, Any]) -> str:
    return kinds.get("multiplexer") or ("matrix" if kinds["orthogonal"] else "vector")


def _contradictions(config: Mapping[str, Any], shown: Mapping[str, Any]) -> list[str]:
    """List the contradictions between the configuration and the tensors."""
    problems = []
    for name, value in shown.items():
        said = config.get(name)
        if name == "muxing_variant":
            # One kind of tensor may come of several variants; those unknown here are let pass.
            value = [variant for variant, kind in _KEYS.items() if kind == value]
            agrees = said in value or said not in _KEYS
        else:
            agrees = said is None or said == value
        if not agrees:
            problems.append(f"{CONFIG}: {name} is {said!r}, the tensors show {value!r}")
    return problems


def labels_of(
    folder: Path, config: Mapping[str, Any], n_classes: int, classes: Iterable[Any] | None
) -> NDArray:
    """Return the labels in the order of the outputs."""
    if n_classes == 1:
        raise ValueError(
            f"{str(folder)!r} holds a model with one output, a regression; load it with "
            "MuxTextRegressor.from_reference"
        )
    if classes is not None:
        labels, source = list(classes), "`classes`"
    else:
        names = config.get("id2label")
        if not names:
            return np.arange(n_classes)
        if odd := [key for key in names if not str(key).isdecimal()]:
            raise ValueError(
                f"`id2label` in {CONFIG} of {str(folder)!r} has the key {odd[0]!r}, which is no "
                "number of an output; give `classes`"
            )
        labels = [names[key] for key in sorted(names, key=int)]
        source = f"id2label in {CONFIG} of {str(folder)!r}"
    if len(labels) != n_classes:
        raise ValueError(
            f"{source} has {len(labels)} labels, but the tensors show {n_classes} classes; give "
            f"`classes`, {n_classes} labels in the order of the outputs"
        )
    if classes is None and labels == [f"LABEL_{i}" for i in range(n_classes)]:
        return np.arange(n_classes)  # what transformers writes where nobody has said anything
    if any(map(is_missing, labels)) or len({isinstance(label, str) for label in labels}) > 1:
        raise TypeError(f"{source} must be strings, or numbers, got {labels}")
    if len(set(labels)) < n_classes:
        raise ValueError(f"{source} holds a label twice: {labels}; give `classes`, all different")
    return np.array(labels)


def sort_classes(module: MuxModule, labels: NDArray) -> NDArray:
    """Sort labels, and the outputs with them."""
    order = np.argsort(labels, kind="stable")
    module.order_classes(torch.from_numpy(order))
    return labels[order]


def _check_regression(folder: Path, n_outputs: int, classes: Iterable[Any] | None) -> None:
    if classes is not None:
        raise ValueError("`classes` names labels, which a regression has none of; leave it out")
    if n_outputs != 1:
        raise ValueError(
            f"{str(folder)!r} holds a classifier of {n_outputs} classes, not a regression, which "
            "has one output; load it with MuxTextClassifier.from_reference"
        )


def make_reader(
    folder: Path, tokenizer: Any, family: _Family, advice: str, hub: dict[str, Any]
) -> Any:
    """Return a tokenizer of our own, to be changed."""
    advice = (
        f"the published {family.name} models were trained with that of {family.tokenizer}: {advice}"
    )
    if tokenizer is None or isinstance(tokenizer, str | os.PathLike):
        source = folder
        if tokenizer is not None:
            source = find_folder(
                tokenizer, (CONFIG, *TOKENIZER_FILES), parameter="tokenizer", **hub
            )
        found = read_tokenizer(source)
        if found is None:
            raise ValueError(
                f"{str(source)!r} has no tokenizer (none of {', '.join(TOKENIZER_FILES[:3])}); "
                f"{advice}"
            )
        return found
    return copied(tokenizer, advice)


def copied(tokenizer: Any, advice: str = "give a tokenizers.Tokenizer") -> Any:
    """Return a copy of a tokenizer, of one of transformers too."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        raise TypeError(f"`tokenizer` is of type {type(tokenizer).__name__}; {advice}")
    return Tokenizer.from_str(backend.to_str())


def fit_tokenizer(folder: Path, tokenizer: Any, vocab_size: int, max_length: int) -> None:
    n_tokens = tokenizer.get_vocab_size()
    if n_tokens > vocab_size:
        raise ValueError(
            f"the tokenizer has {n_tokens} tokens, but the model in {str(folder)!r} has vectors "
            f"for {vocab_size}; they do not belong together"
        )
    cutting(tokenizer, max_length)


def checked_length(folder: Path, model: ReferenceModel, max_length: int | None) -> int:
    available = model.max_length - model.n_prefix
    if max_length is None:
        return min(_LENGTH, available)
    if max_length > available:
        prefix = f", {model.n_prefix} of them for the prefix" if model.n_prefix else ""
        raise ValueError(
            f"`max_length` is {max_length}, but the model in {str(folder)!r} has "
            f"{model.max_length} positions{prefix}; lower it to {available} or less"
        )
    return max_length


def described(module: ReferenceTextModule, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the estimator's parameters that describe the model exactly or most closely.

    Those of `TMUX` and of `Scratch` are dicts.
    """
    multiplexer = _MULTIPLEXERS[_kind_of_keys(kinds)]
    keys = module.model.get_parameter("multiplexer.keys")
    if multiplexer == "hadamard" and bool(((keys == 0) | (keys == keys.max())).all()):
        multiplexer = "binary"
    backbone = module.model.backbone.config
    sizes = (
        *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        "vocab_size",
    )
    return {
        "n_mux": module.n_mux,
        "architecture": {
            # The reference's task leaves out the last of these hidden layers.
            "demux_layers": max(1, kinds.get("n_demux_layers", 0) - 1),
            "learn_keys": module.model.multiplexer.learn_keys,
        },
        "multiplexer": multiplexer,
        "demultiplexer": _DEMULTIPLEXERS[kinds["demultiplexer"]],
        "backbone": {name: getattr(backbone, name) for name in sizes},
        "max_length": module.length,
        "dropout": backbone.hidden_dropout_prob,
    }
