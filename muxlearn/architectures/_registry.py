"""The architectures by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from muxlearn._params import Choice
from muxlearn.architectures._base import Architecture
from muxlearn.architectures._image import ImageArchitecture
from muxlearn.architectures._mimoconv import MIMOConv
from muxlearn.architectures._mimoformer import MIMOFormer
from muxlearn.architectures._revmux import RevMUX
from muxlearn.architectures._tmux import TMUX
from muxlearn.architectures._trunk import Trunk
from muxlearn.architectures._vision import CNN, MLP

__all__ = [
    "IMAGE_ARCHITECTURES",
    "TEXT_ARCHITECTURES",
    "make_architecture",
    "make_image_architecture",
    "make_text_architecture",
]

#: The architectures of text estimators, by the strings that stand for their defaults.
TEXT_ARCHITECTURES: dict[str, type[Architecture]] = {
    architecture.name: architecture for architecture in (TMUX, MIMOFormer, RevMUX)
}

#: Likewise those of the image classifier; other strings are names of torchvision's classifiers.
IMAGE_ARCHITECTURES: dict[str, type[ImageArchitecture]] = {
    architecture.name: architecture for architecture in (MIMOConv, MLP, CNN)
}


def make_architecture(value: Any, *, image: bool = False) -> Architecture:
    """Return the architecture that an estimator's parameter stands for.

    Parameters
    ----------
    value : str, Architecture or torch.nn.Module
    image : bool, default=False
        Whether the estimator is one of images.

    Returns
    -------
    Architecture

    Raises
    ------
    TypeError, ValueError
        There is no such architecture.
    """
    return make_image_architecture(value) if image else make_text_architecture(value)


def make_text_architecture(value: Any) -> Architecture:
    """Return the architecture that a text estimator's parameter stands for.

    Parameters
    ----------
    value : str or Architecture

    Returns
    -------
    Architecture

    Raises
    ------
    TypeError, ValueError
        There is no such architecture.
    """
    if isinstance(value, Architecture) and not isinstance(value, ImageArchitecture):
        return value
    names = Choice(*TEXT_ARCHITECTURES)
    if not names.accepts(value):
        raise names.complain("architecture", value)
    return TEXT_ARCHITECTURES[value]()


def make_image_architecture(value: Any) -> ImageArchitecture:
    """Return the architecture that an image estimator's parameter stands for.

    Parameters
    ----------
    value : str, ImageArchitecture or torch.nn.Module
        Other strings than those of `IMAGE_ARCHITECTURES` are names of torchvision's classifiers;
        these and modules stand for `Trunk`.

    Returns
    -------
    ImageArchitecture

    Raises
    ------
    TypeError, ValueError
        There is no such architecture.
    """
    if isinstance(value, ImageArchitecture):
        return value
    if isinstance(value, nn.Module):
        return Trunk(value)
    if isinstance(value, str) and value in IMAGE_ARCHITECTURES:
        return IMAGE_ARCHITECTURES[value]()
    from muxlearn.nn.trunks import list_trunks  # imports torchvision

    names = Choice(*IMAGE_ARCHITECTURES, *list_trunks())
    if not names.accepts(value):
        raise names.complain("architecture", value)
    return Trunk(value)
