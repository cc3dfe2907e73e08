"""Encoders that are named: a folder, or a model on the hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from muxlearn.backbones._base import Corpus, Start, cutting
from muxlearn.backbones._published import point_of_published
from muxlearn.backbones._transformers import load_backbone
from muxlearn.backbones._warmed_up import describe_folder, is_ours, read_pretrained
from muxlearn.points import Point

__all__ = ["Named"]


class Named:
    """A folder or a name on the hub: an encoder of this library or of `transformers`.

    Parameters
    ----------
    name : str or path
    """

    from_scratch = False
    packaged = False

    def __init__(self, name: str | os.PathLike) -> None:
        self.name = name

    @property
    def label(self) -> str:
        """The name that error messages use."""
        return f"`backbone` {str(self.name)!r}"

    @property
    def is_ours(self) -> bool:
        """Whether this is a folder that this library has written."""
        return is_ours(Path(self.name))

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the kinds that a folder of ours was warmed up with; see `Backbone`."""
        known = describe_folder(self.name)
        return None if known is None else known.kinds(n_mux)

    def auto_point(self, factor: int) -> Point | None:
        """Return the best point that a folder was warmed up for; see `Backbone`."""
        known = describe_folder(self.name)
        return point_of_published(self.name) if known is None else known.auto_point(factor)

    def start(self, corpus: Corpus, *, max_length: int, dropout: float, **wanted: Any) -> Start:
        """Load the encoder; see `Backbone`."""
        if self.is_ours:
            pretrained = read_pretrained(self.name)
            return pretrained.start(max_length=max_length, dropout=dropout, **wanted)
        encoder, tokenizer = load_backbone(self.name, dropout)
        return Start(encoder, cutting(tokenizer, max_length))
