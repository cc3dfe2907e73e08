"""Checkpoints in the layout of the authors of MIMONets: MIMOConv and MIMOFormer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from muxlearn.architectures._base import Setting
from muxlearn.architectures._checkpoints import (
    LoadedCheckpoint,
    copied,
    fit_tokenizer,
    labels_of,
    open_checkpoint,
    read_authors_config,
    sort_classes,
)
from muxlearn.architectures._image import statistics_points
from muxlearn.architectures._mimoconv import MIMOConv
from muxlearn.architectures._mimoformer import MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.nn import mimoformer
from muxlearn.nn.mimoconv import MuxWideResNet, read_options
from muxlearn.persistence import bounded_by, read_tokenizer, read_weights
from muxlearn.rows import IntegerReader

__all__ = ["load_mimoconv", "load_mimoformer"]


def load_mimoconv(
    name: Any, setting: Setting, classes: Iterable[Any] | None, **hub: Any
) -> LoadedCheckpoint:
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
    LoadedCheckpoint
        Without a reader; its parameters say what the network is.

    Raises
    ------
    OSError
        There is no such folder.
    ValueError
        It holds something else, or tensors that do not fit.
    """
    folder = open_checkpoint(name, **hub)
    config, tensors = read_authors_config(folder, "architecture"), read_weights(folder)
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
    labels = sort_classes(module, labels_of(folder, config, options["n_classes"], classes))
    params = {
        "n_mux": options["n_mux"],
        "multiplexer": options["binding"],
        "architecture": architecture,
    }
    return LoadedCheckpoint(module, None, labels, params)


def load_mimoformer(
    folder: Path, tokenizer: Any, classes: Iterable[Any] | None, max_length: int | None
) -> LoadedCheckpoint:
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
    LoadedCheckpoint

    Raises
    ------
    ValueError
        It holds something else, or tensors that do not fit.
    """
    config, tensors = read_authors_config(folder, "attn_type"), read_weights(folder)
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
    return LoadedCheckpoint(module, reader, sort_classes(module, labels), described)
