"""Published checkpoints as a start: multiplexer, encoder and demultiplexer, and a head to train."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from muxlearn._hub import TOKENIZER_FILES, find_folder, read_names, read_weights
from muxlearn._published import (
    _CONFIG,
    _FAMILIES,
    _LOADERS,
    _build,
    _checked_length,
    _family,
    _fit_tokenizer,
    _params,
    _read_config,
    _task_of,
    _tokenizer,
)
from muxlearn.nn.reference.module import ReferenceTextModule

__all__ = ["find_published", "start_from_published"]


def find_published(name: str | os.PathLike) -> Path | None:
    """Look whether a `backbone` is a checkpoint of DataMUX or of MUX-PLMs.

    Its tensors tell, whatever its configuration says.

    Parameters
    ----------
    name : str or path
        A folder, or a name on the hub, whose weights are brought here.

    Returns
    -------
    Path or None
        The folder; None where it holds something else, or nothing that can be read.

    Raises
    ------
    OSError
        There is no such folder, neither here nor to be had from the hub.
    """
    folder = find_folder(
        name,
        (_CONFIG, *TOKENIZER_FILES),
        parameter="backbone",
        settings="the environment variable HF_HOME",
        weights=True,
    )
    return folder if "instance_embedding" in read_names(folder) else None


def start_from_published(
    folder: Path,
    task: str,
    *,
    n_classes: int,
    n_mux: int,
    tokenizer: Any,
    max_length: int,
    dropout: float,
    learn_keys: bool,
) -> tuple[Any, ReferenceTextModule, dict[str, Any]]:
    """Build a model that starts from a published checkpoint and has a new head.

    Parameters
    ----------
    folder : Path
        As `find_published` returns it.
    task : {"sequence", "token"}
        What is to be classified.
    n_classes : int
    n_mux : int
        Has to be that of the checkpoint.
    tokenizer : tokenizers.Tokenizer or None
        None takes the folder's.
    max_length : int
        Tokens that a row is cut off or padded to.
    dropout : float
        Takes the place of the checkpoint's own.
    learn_keys : bool
        Whether the multiplexer's keys may be trained; they are if the checkpoint's were.

    Returns
    -------
    tokenizer : tokenizers.Tokenizer
        Cuts off what is too long.
    module : ReferenceTextModule
    params : dict
        The estimator's parameters that describe the model.

    Raises
    ------
    ValueError
        The checkpoint is one of another task or of another number of slots, or its files are
        missing or contradict each other.
    """
    config, tensors = _read_config(folder), read_weights(folder)
    start, family = _family(folder, tensors)
    _check_start(folder, config, tensors, start, task)
    advice = (
        f"save it there with transformers.AutoTokenizer.from_pretrained({family.tokenizer!r})"
        ".save_pretrained(folder)"
    )
    if task == "sequence":
        advice += ", or give it as `tokenizer`, a tokenizers.Tokenizer"
    reader = _tokenizer(folder, tokenizer, family, advice, {})
    config = {
        **config,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": 0.0,
        "learn_muxing": bool(config.get("learn_muxing")) and learn_keys,
    }
    model, config, kinds = _build(folder, config, tensors, start, family, task, n_classes)
    if n_mux != model.n_mux:
        raise ValueError(
            f"`n_mux` is {n_mux}, but the checkpoint in {str(folder)!r} was trained with "
            f"{model.n_mux} slots; set n_mux={model.n_mux}, and predict with fewer if you like"
        )
    length = _checked_length(folder, model, max_length)
    _fit_tokenizer(folder, reader, model.backbone.config.vocab_size, length)
    module = ReferenceTextModule(model, config, kinds, length)
    return reader, module, _params(module, kinds)


def _check_start(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    start: str,
    task: str,
) -> None:
    """Refuse a classifier of another task.

    DataMUX's warm-up left sequence classifiers behind, which say nothing of the task to come.
    """
    found = _task_of(config, tensors)
    warm_up = _FAMILIES[start].name == "DataMUX" and found == "sequence"
    if found in (None, "words", task) or warm_up:
        return
    raise ValueError(
        f"`backbone` {str(folder)!r} holds a {found} classifier, from which no {task} classifier "
        "can start; give a checkpoint that is pre-trained alone, or load this one with "
        f"{_LOADERS[found]}.from_reference"
    )
