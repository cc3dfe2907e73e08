"""Backbones: where the encoder of a text model comes from.

The parameter `backbone` of the text estimators takes a name, a folder or one of these objects.
Those that have parameters are searched with the estimator, as ``backbone__hidden_size``.
"""

from __future__ import annotations

import os
from typing import Any

from muxlearn._params import Constraint, PathName
from muxlearn.backbones._base import Backbone, Corpus, Start, Vectors
from muxlearn.backbones._base import Encoder as Encoder
from muxlearn.backbones._base import cutting as cutting
from muxlearn.backbones._named import Named as Named
from muxlearn.backbones._packaged import Packaged
from muxlearn.backbones._packaged import load_packaged as load_packaged
from muxlearn.backbones._published import Published
from muxlearn.backbones._published import find_published as find_published
from muxlearn.backbones._scratch import SCRATCH, Scratch
from muxlearn.backbones._transformers import encoder_from_config as encoder_from_config
from muxlearn.backbones._transformers import load_backbone as load_backbone
from muxlearn.backbones._transformers import max_positions as max_positions
from muxlearn.backbones._warmed_up import Pretrained as Pretrained
from muxlearn.backbones._warmed_up import Pretrainer as Pretrainer
from muxlearn.backbones._warmed_up import is_pretrainer as is_pretrainer

__all__ = [
    "SCRATCH",
    "Backbone",
    "Corpus",
    "Packaged",
    "Published",
    "Scratch",
    "Start",
    "Vectors",
    "make_backbone",
]


class BackboneChoice(Constraint):
    """The allowed values of the parameter `backbone`."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is allowed."""
        objects = isinstance(value, Packaged | Scratch | Published) or is_pretrainer(value)
        return value is None or objects or PathName().accepts(value)

    def is_of_type(self, value: object) -> bool:
        """Return whether a value that is not allowed is of an allowed type."""
        return PathName().is_of_type(value)

    def __str__(self) -> str:
        return (
            "None, a folder or the name of a model on the hub, Packaged(…), Scratch(…), "
            "Published(…) or a MuxTextPretrainer"
        )


def make_backbone(value: Any) -> Backbone:
    """Return the backbone that a parameter stands for.

    Parameters
    ----------
    value : None, str, path, Packaged, Scratch, Published or MuxTextPretrainer
        None stands for ``Packaged()`` and "scratch" for ``Scratch()``.

    Returns
    -------
    Backbone
    """
    if value is None:
        return Packaged()
    if isinstance(value, Packaged | Scratch | Published):
        return value
    if isinstance(value, str | os.PathLike):
        return Scratch() if value == SCRATCH else Named(value)
    return Pretrainer(value)
