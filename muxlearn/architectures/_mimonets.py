"""Checkpoints in the layout of the authors of MIMONets: MIMOConv and MIMOFormer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from muxlearn.architectures._base import Setting
from muxlearn.architectures._checkpoints import (
    Published,
    copied,
    fit_tokenizer,
    labels_of,
    load_published,
    open_checkpoint,
    read_config,
)
from muxlearn.architectures._image import statistics_points
from muxlearn.architectures._mimoconv import MIMOConv
from muxlearn.architectures._mimoformer import MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.nn import mimoformer
from muxlearn.nn.mimoconv import MuxWideResNet, read_options
from muxlearn.nn.module import MuxModule
from muxlearn.persistence import bounded_by, read_shapes, read_tokenizer, read_weights
from muxlearn.rows import IntegerReader

__all__ = ["load_mimoconv", "load_reference"]

#: A tensor that every MIMOFormer has.
_MIMOFORMER_HEAD = "seq_classifer.mlpblock.0.weight"


def load_reference(
    name: str | os.PathLike,
    task: str,
    *,
    tokenizer: Any = None,
    classes: Iterable[Any] | None = None,
    numbers: bool = False,
    max_length: int | None = None,
    **hub: Any,
) -> Published:
    """Load a checkpoint of texts: a MIMOFormer, or what `load_published` loads.

    Raises
    ------
    OSError, ValueError
    """
    folder = open_checkpoint(name, **hub)
    if _MIMOFORMER_HEAD not in read_shapes(folder):
        given: dict[str, Any] = {"tokenizer": tokenizer, "classes": classes, "numbers": numbers}
        return load_published(name, task, max_length=max_length, **given, **hub)
    if task != "sequence" or numbers:
        raise ValueError(
            f"{str(folder)!r} holds a MIMOFormer, which classifies texts; load it with "
            "MuxTextClassifier.from_reference"
        )
    return _load_mimoformer(folder, tokenizer, classes, max_length)


def load_mimoconv(
    name: Any, setting: Setting, classes: Iterable[Any] | None, **hub: Any
) -> Published:
    """Load a MIMOConv network.

    Parameters
    ----------
    name : str or path
        A folder, or a name on the hub.
    setting : Setting
        Names the operating points that have batch statistics.
    classes : sequence of labels or None
        In the order of the outputs; None numbers them.
    **hub
        Arguments of `open_checkpoint`.

    Returns
    -------
    Published
        Without a reader; its parameters say what the network is.

    Raises
    ------
    OSError
        There is no such folder.
    ValueError
        It holds something else, or tensors that do not fit.
    """
    folder = open_checkpoint(name, **hub)
    config, tensors = read_config(folder, "architecture"), read_weights(folder)
    try:
        options = read_options(config, tensors)
        own = {"n_mux": options["n_mux"], "operating_points": setting.params["operating_points"]}
        points = statistics_points(Setting.of("image", {**setting.params, **own}, {}))
        with bounded_by([tensor.shape for tensor in tensors.values()]):
            module = MuxWideResNet.from_state_dict(config, tensors, points)
    except ValueError as error:
        raise ValueError(f"{str(folder)!r}: {error}") from None
    same = ("depth", "width", "initial_width", "activation", "skip_init", "learn_keys")
    architecture = MIMOConv(**{name: options[name] for name in same})
    # What parameters cannot say of it.
    module.authors = {
        name: options[name] for name in ("binding", "n_stages", "batch_norm", "activated_skip")
    }
    module.in_order = True
    labels = _sort_classes(module, labels_of(folder, config, options["n_classes"], classes))
    params = {
        "n_mux": options["n_mux"],
        "multiplexer": options["binding"],
        "architecture": architecture,
    }
    return Published(module, None, labels, params)


def _load_mimoformer(
    folder: Path, tokenizer: Any, classes: Iterable[Any] | None, max_length: int | None
) -> Published:
    """Load a MIMOFormer.

    Parameters
    ----------
    folder : Path
        From `open_checkpoint`.
    tokenizer : tokenizers.Tokenizer, tokenizer of transformers or None
        None takes the folder's, or reads sequences of integers as they are.
    classes : sequence of labels or None
        In the order of the outputs; None numbers them.
    max_length : int or None
        Tokens that a row is cut off and padded to; None stands for all positions.

    Returns
    -------
    Published

    Raises
    ------
    ValueError
        It holds something else, or tensors that do not fit.
    """
    config, tensors = read_config(folder, "attn_type"), read_weights(folder)
    try:
        with bounded_by([tensor.shape for tensor in tensors.values()]):
            module = mimoformer.MIMOFormer.from_state_dict(config, tensors, reference_padding=True)
    except ValueError as error:
        raise ValueError(f"{str(folder)!r}: {error}") from None
    options = module.options
    if max_length is not None and max_length > module.max_length:
        raise ValueError(
            f"`max_length` is {max_length}, but the model in {str(folder)!r} has "
            f"{module.max_length} positions; lower it"
        )
    module.pad_to = max_length or module.max_length
    module.in_order = True
    module.authors = {"max_length": module.max_length, "pad_to": module.pad_to}
    n_tokens = options["vocab_size"] - (options["pooling"] == "cls")
    reader: Any = IntegerReader(n_tokens, module.pad_to)
    tokenizer = read_tokenizer(folder) if tokenizer is None else copied(tokenizer)
    if tokenizer is not None:
        fit_tokenizer(folder, tokenizer, n_tokens, module.pad_to)
        reader = tokenizer
    elif module.n_texts == 2:
        raise ValueError(
            f"{str(folder)!r} holds a network for pairs of texts, which need a tokenizer: give "
            "`tokenizer`"
        )
    labels = labels_of(folder, config, options["n_classes"], classes)
    same = ("grid", "variant", "attention", "head_dim", "positions", "pooling", "tied_layers")
    params = {name: options[name] for name in same}
    if options["attention"] == "favor":
        params |= {"kernel": options["kernel"], "n_features": options["n_features"]}
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    described = {
        "n_mux": module.n_mux,
        "architecture": MIMOFormer(**params),
        "backbone": Scratch(**{name: options[name] for name in sizes}),
        "max_length": module.pad_to,
        "dropout": options["dropout"],
    }
    return Published(module, reader, _sort_classes(module, labels), described)


def _sort_classes(module: MuxModule, labels: np.ndarray) -> np.ndarray:
    """Sort labels, and the outputs with them."""
    order = np.argsort(labels, kind="stable")
    module.order_classes(torch.from_numpy(order))
    return labels[order]
