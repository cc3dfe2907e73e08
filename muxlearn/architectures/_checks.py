"""Errors for parameters that an architecture does not use, or that leave it no room."""

from __future__ import annotations

from collections.abc import Iterable

from muxlearn.architectures._base import Architecture, Setting
from muxlearn.backbones import Encoder, make_backbone, max_positions
from muxlearn.nn.encoder import CompactEncoder

__all__ = [
    "check_fits",
    "check_width",
    "refuse_without_effect",
]


def refuse_without_effect(architecture: Architecture, names: Iterable[str], where: str) -> None:
    """Raise where one of an architecture's own parameters is not left at its default.

    Parameters
    ----------
    architecture : Architecture
    names : iterable of str
        Those that have no effect.
    where : str
        Where they have none, such as "in a MuxTokenTagger".
    """
    defaults = type(architecture)().get_params()
    for name in names:
        if (value := getattr(architecture, name)) != defaults[name]:
            raise ValueError(f"`{name}` is {value!r}, but has no effect {where}; leave it out")


def check_width(setting: Setting, width: int) -> None:
    """Raise where token vectors have fewer dimensions than a mixture has slots.

    Parameters
    ----------
    setting : Setting
    width : int
    """
    if setting.n_mux > width:
        from_scratch = make_backbone(setting.params["backbone"]).from_scratch
        wider = "raise `hidden_size`" if from_scratch else "take a wider `backbone`"
        raise ValueError(
            f"`n_mux` is {setting.n_mux}, but token vectors of width {width} hold at most "
            f"{width} slots; lower `n_mux` or {wider}"
        )


def check_fits(setting: Setting, encoder: Encoder, n_prefix: int = 0) -> None:
    """Raise ValueError if an encoder is too narrow or has too few positions.

    Parameters
    ----------
    setting : Setting
    encoder : CompactEncoder or PretrainedEncoder
    n_prefix : int, default=0
        Positions that the demultiplexer takes beside `max_length`.
    """
    check_width(setting, encoder.embedding_size)
    if isinstance(encoder, CompactEncoder):
        positions: int | None = encoder.position_embedding.num_embeddings
    else:
        positions = max_positions(encoder)
    max_length = setting.params["max_length"]
    if positions is not None and max_length + n_prefix > positions:
        prefix = f" and a prefix of {n_prefix}" if n_prefix else ""
        label = make_backbone(setting.params["backbone"]).label
        raise ValueError(
            f"`max_length` {max_length}{prefix} takes {max_length + n_prefix} positions, but "
            f"{label} has {positions}; lower `max_length` to {positions - n_prefix} or less"
        )
