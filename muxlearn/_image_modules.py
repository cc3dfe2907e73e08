"""The networks of the image classifier by the name of their architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from muxlearn._params import Choice
from muxlearn.nn.binding import BINDINGS
from muxlearn.nn.image_multiplex import IMAGE_MULTIPLEXERS
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.module import MuxModule
from muxlearn.nn.vision import MuxVisionCNN, MuxVisionMLP

__all__ = ["build_module", "check_architecture", "statistics_points"]

#: The multiplexers of each architecture; the first is meant by "auto".
_MULTIPLEXERS: dict[str, tuple[str, ...]] = {
    name: (first, *(other for other in others if other != first))
    for name, first, others in (
        ("mimoconv", "subspace", BINDINGS),
        ("mlp", "orthogonal", IMAGE_MULTIPLEXERS),
        ("cnn", "expanded_nonlinear", IMAGE_MULTIPLEXERS),
        ("trunk", "subspace", BINDINGS),
    )
}
# Images larger than this, in pixels a side, are photographs to MIMOConv.
_MAX_SMALL_IMAGE = 64


def check_architecture(params: Mapping[str, Any]) -> None:
    """Check the parameters that an architecture restricts.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.

    Raises
    ------
    TypeError, ValueError
        The architecture is not known, or does not have the multiplexer or the depth.
    """
    kind = _kind(params["architecture"])
    allowed = Choice("auto", *_MULTIPLEXERS[kind])
    if not allowed.accepts(params["multiplexer"]):
        error = allowed.complain("multiplexer", params["multiplexer"])
        raise type(error)(f"{error}, for architecture={params['architecture']!r}")
    depth = params["depth"]
    if kind == "mimoconv" and (depth < 10 or depth % 6 != 4):
        raise ValueError(f"`depth` must be 6 k + 4 with k >= 1, such as 10, 16 or 28, got {depth}")
    if kind != "trunk":
        own = [name for name in ("weights", "bind_after", "unbind_before") if params[name]]
        if own:
            raise ValueError(f"`{own[0]}` is for a torchvision classifier or a module alone")


def _kind(architecture: Any) -> str:
    """Return which row of `_MULTIPLEXERS` an architecture belongs to."""
    if isinstance(architecture, nn.Module):
        return "trunk"
    if architecture in ("mimoconv", "mlp", "cnn"):
        return architecture
    from muxlearn.nn.trunks import list_trunks

    allowed = Choice("mimoconv", "mlp", "cnn", *list_trunks())
    if not allowed.accepts(architecture):
        raise allowed.complain("architecture", architecture)
    return "trunk"


def statistics_points(params: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the numbers of images in a mixture that get batch statistics of their own.

    Those of the training, and the capacity halved again and again, so that a prediction with
    fewer images in a mixture never uses statistics that are far off.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.

    Returns
    -------
    tuple of int
        Descending.
    """
    n_mux = params["n_mux"]
    halves = {n_mux >> k for k in range(n_mux.bit_length())}
    return tuple(sorted(halves | set(params["operating_points"] or ()), reverse=True))


def build_module(
    params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int
) -> MuxModule:
    """Build a network.

    Parameters
    ----------
    params : mapping of str to object
        Those of the estimator.
    shape : tuple of int
        Channels, height and width of an image.
    n_classes : int

    Returns
    -------
    MuxModule
        Takes `images` of shape (n_rows, channels, height, width) and `n_mux`.

    Raises
    ------
    ValueError
        The parameters do not fit each other or the images.
    """
    kind, n_mux, multiplexer = (
        _kind(params["architecture"]),
        params["n_mux"],
        params["multiplexer"],
    )
    if n_mux == 1:
        multiplexer = "identity"
    elif multiplexer == "auto":
        multiplexer = _MULTIPLEXERS[kind][0]
    if kind == "mimoconv":
        return _build_mimoconv(params, shape, n_classes, multiplexer)
    if kind == "trunk":
        return _build_trunk(params, shape, n_classes, multiplexer)
    vision: type[MuxVisionMLP] | type[MuxVisionCNN]
    vision = MuxVisionMLP if kind == "mlp" else MuxVisionCNN
    return vision(
        n_classes,
        n_mux,
        image_shape=shape,
        multiplexer=multiplexer,
        learn_keys=bool(params["learn_keys"]),
    )


def _build_mimoconv(
    params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int, binding: str
) -> MuxWideResNet:
    names = ("depth", "width", "initial_width", "activation", "skip_init", "dirac_init")
    try:
        return MuxWideResNet(
            n_classes,
            params["n_mux"],
            in_channels=shape[0],
            n_stages=3 if max(shape[1:]) <= _MAX_SMALL_IMAGE else 4,
            binding=binding,
            learn_keys=bool(params["learn_keys"]),
            operating_points=statistics_points(params),
            **{name: params[name] for name in names},
        )
    except ValueError as error:
        if "slots" not in str(error):
            raise
        raise ValueError(
            f"{error}; lower `n_mux` or raise `initial_width`, which is {params['initial_width']}"
        ) from error


def _build_trunk(
    params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int, binding: str
) -> MuxModule:
    from muxlearn.nn.trunks import MuxTrunkClassifier

    module = MuxTrunkClassifier(
        params["architecture"],
        n_classes,
        params["n_mux"],
        binding=binding,
        weights=params["weights"],
        in_channels=shape[0],
        stem=params["bind_after"],
        classifier=params["unbind_before"],
        learn_keys=bool(params["learn_keys"]),
        operating_points=statistics_points(params),
    )
    try:
        # A trunk may need images of a certain size, and says so only when it runs.
        with torch.no_grad():
            module.eval()(torch.zeros(params["n_mux"], *shape))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"images of shape {shape} (channels, height, width) do not fit `architecture` "
            f"({error}); `image_size` resizes them"
        ) from error
    return module.train()
