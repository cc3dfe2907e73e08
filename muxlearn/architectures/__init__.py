"""Architectures: everything that one network needs to be trained and rebuilt.

The parameter `architecture` of the estimators takes one of these objects, or the string that stands
for its defaults. They are cloned and searched with the estimator: ``architecture__grid``.
"""

from muxlearn.architectures._base import Architecture, Built, Setting, WarmUp
from muxlearn.architectures._base import ParamGroups as ParamGroups
from muxlearn.architectures._embedding import build_embedder as build_embedder
from muxlearn.architectures._image import ImageArchitecture
from muxlearn.architectures._mimoconv import MIMOConv
from muxlearn.architectures._mimoformer import MIMOFormer
from muxlearn.architectures._mimonets import load_mimoconv as load_mimoconv
from muxlearn.architectures._nested import as_object as as_object
from muxlearn.architectures._nested import check_registered as check_registered
from muxlearn.architectures._nested import flatten as flatten
from muxlearn.architectures._nested import unflatten as unflatten
from muxlearn.architectures._registry import (
    IMAGE_ARCHITECTURES,
    TEXT_ARCHITECTURES,
    make_architecture,
    make_image_architecture,
    make_text_architecture,
)
from muxlearn.architectures._revmux import RevMUX
from muxlearn.architectures._text_checkpoints import load_text_checkpoint as load_text_checkpoint
from muxlearn.architectures._tmux import OWN_SIZE as OWN_SIZE
from muxlearn.architectures._tmux import TMUX
from muxlearn.architectures._trunk import Trunk
from muxlearn.architectures._vision import CNN, MLP

__all__ = [
    "CNN",
    "IMAGE_ARCHITECTURES",
    "MLP",
    "TEXT_ARCHITECTURES",
    "TMUX",
    "Architecture",
    "Built",
    "ImageArchitecture",
    "MIMOConv",
    "MIMOFormer",
    "RevMUX",
    "Setting",
    "Trunk",
    "WarmUp",
    "make_architecture",
    "make_image_architecture",
    "make_text_architecture",
]
