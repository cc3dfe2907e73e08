"""Checkpoints of texts in the layout of their authors: which of them a folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from muxlearn.architectures._checkpoints import LoadedCheckpoint, load_datamux, open_checkpoint
from muxlearn.architectures._mimonets import load_mimoformer
from muxlearn.persistence import read_shapes

__all__ = ["load_text_checkpoint"]

#: A tensor that every MIMOFormer has.
_MIMOFORMER_HEAD = "seq_classifer.mlpblock.0.weight"


def load_text_checkpoint(
    name: str | os.PathLike,
    task: str,
    *,
    tokenizer: Any = None,
    classes: Iterable[Any] | None = None,
    numbers: bool = False,
    max_length: int | None = None,
    revision: str | None = None,
    **hub: Any,
) -> LoadedCheckpoint:
    """Load a checkpoint of DataMUX, MUX-PLMs or MIMOFormer.

    Parameters
    ----------
    name : str or path
        A folder, or a name on the hub.
    task : {"sequence", "token"}
        What is to be classified.
    tokenizer : str, path, tokenizers.Tokenizer or tokenizer of transformers, default=None
        None takes the folder's.
    classes : sequence of labels, default=None
        In the order of the checkpoint's outputs; None takes the configuration's, or numbers them.
    numbers : bool, default=False
        Whether it is to be a regression, with one output.
    max_length : int, default=None
        Tokens that a row is cut off or padded to; None leaves it to the checkpoint.
    revision : str, default=None
        The version of the checkpoint on the hub; a tokenizer that is named has its own.
    **hub
        Other arguments of `huggingface_hub.snapshot_download`.

    Returns
    -------
    LoadedCheckpoint

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    ValueError
        The folder holds no such checkpoint, or one whose files contradict each other.
    """
    folder = open_checkpoint(name, revision=revision, **hub)
    if _MIMOFORMER_HEAD not in read_shapes(folder):
        given: dict[str, Any] = {"tokenizer": tokenizer, "classes": classes, "numbers": numbers}
        return load_datamux(folder, task, max_length=max_length, **given, **hub)
    if task != "sequence" or numbers:
        raise ValueError(
            f"{str(folder)!r} holds a MIMOFormer, which classifies texts; load it with "
            "MuxTextClassifier.from_reference"
        )
    return load_mimoformer(folder, tokenizer, classes, max_length)
