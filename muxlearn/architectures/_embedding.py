"""A network that embeds rows with the weights that a backbone has, and trains nothing."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from muxlearn.architectures._base import Built, Setting
from muxlearn.architectures._checks import check_fits
from muxlearn.architectures._published import find_checkpoint
from muxlearn.architectures._start import load_start
from muxlearn.architectures._tmux import OWN_SIZE, TMUX
from muxlearn.backbones import Corpus, Packaged, Scratch, Start, make_backbone
from muxlearn.nn.embedding import MuxSequenceEmbedder

__all__ = ["build_embedder"]


def build_embedder(setting: Setting, most_tokens: int | None = None) -> Built:
    """Build tokenizer and module around the encoder that `backbone` names.

    Parameters
    ----------
    setting : Setting
        The settings of the task "vector". A prediction starts with their rows and tokens in a
        position. All other tokens that the backbone was warmed up for are points as well.
    most_tokens : int, default=None
        The limit of the tokens in a position. A prediction starts with the most that the backbone
        was warmed up for, up to this. None leaves them to the setting.

    Returns
    -------
    Built

    Raises
    ------
    OSError
        The backbone cannot be loaded.
    ValueError
        It has learned nothing, or nothing of mixtures that are asked for.
    """
    architecture = TMUX()
    backbone = make_backbone(setting.params["backbone"])
    if isinstance(backbone, Scratch):
        raise ValueError(
            "`backbone` is 'scratch', whose weights are random, and an embedder trains none; give "
            "None, the packaged encoder, or a folder"
        )
    if isinstance(backbone, Packaged) and backbone.num_hidden_layers is not None:
        raise ValueError(
            f"`num_hidden_layers` is {backbone.num_hidden_layers}, but the vectors of the packaged "
            "encoder are those of its last layer, and an embedder trains no other; leave it out"
        )
    if find_checkpoint(backbone) is not None:
        raise ValueError(
            f"{backbone.label} is a published multiplexed model, which has learned no vectors; "
            "give it to a MuxTextClassifier"
        )
    setting = architecture.settle(setting)
    n_prefix = architecture.n_prefix(setting)
    start = load_start(setting, Corpus(()), n_prefix)
    own, vectors = setting.patch_size, start.vectors
    if most_tokens is not None:
        own = max(size for size in vectors.patch_sizes if size <= most_tokens)
    _check_learned(setting.n_mux, own, start, backbone.label)
    check_fits(setting, start.encoder, n_prefix)
    module = architecture._assemble(
        setting,
        start.encoder,
        OWN_SIZE if vectors.size is None else vectors.size,
        n_blocks=start.n_blocks,
        patch_sizes=(own, *sorted({*vectors.patch_sizes} - {own})),
        words=vectors.words,
    )
    assert isinstance(module, MuxSequenceEmbedder)
    module.retrieval = module.token_head = None
    if start.load_into is None:
        module.lexical_mean = None
    else:
        start.load_into(module)
    if vectors.size is None:
        _pass_on(cast(nn.Linear, module.head))
    return Built(start.reader, module, architecture)


def _check_learned(n_mux: int, patch_size: int, start: Start, label: str) -> None:
    """Raise for rows or tokens in a position that nothing was trained for."""
    if start.load_into is None and n_mux > 1:
        raise ValueError(
            f"`n_mux` is {n_mux}, but {label} has not learned to read as many rows from a "
            "mixture, and an embedder trains nothing; lower it, or warm the encoder up with a "
            "MuxTextPretrainer"
        )
    known = start.vectors.patch_sizes
    if patch_size not in known:
        raise ValueError(
            f"`patch_size` is {patch_size}, but {label} was trained for "
            f"{', '.join(map(str, sorted(known)))}, and an embedder trains nothing; take one of "
            "these, or warm the encoder up with a MuxTextPretrainer"
        )


@torch.no_grad()
def _pass_on(head: nn.Linear) -> None:
    """Let a head return what it reads."""
    nn.init.eye_(head.weight)
    nn.init.zeros_(head.bias)
