"""Any image classifier as the trunk: bound after its stem, unbound before its classifier.

A foreign network runs as its authors wrote it. A hook behind one of its modules binds the images'
feature maps, so that all that follows runs once for each mixture; a hook before another unbinds,
so that what is left runs for each image again. Its tensors keep their names.
"""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torchvision import models  # type: ignore[import-untyped]

from muxlearn.nn.binding import BINDINGS, Binding, Unbinding
from muxlearn.nn.operating_points import OperatingPointModule
from muxlearn.nn.wideresnet import OperatingPointNorm

__all__ = ["MuxTrunkClassifier", "TrunkNorm", "list_trunks"]

# Of the pass under way: images in a mixture, and the number of the operating point. A trunk calls
# its modules with what it knows, which is neither; threads have contexts of their own.
_MIXTURES: ContextVar[tuple[int, int]] = ContextVar("mixtures")


def list_trunks() -> list[str]:
    """Return the names of torchvision's classifiers, which `MuxTrunkClassifier` knows.

    Returns
    -------
    list of str
    """
    return models.list_models(module=models)


class TrunkNorm(OperatingPointNorm):
    """Stands in a trunk for a batch normalisation and keeps statistics for every operating point.

    Parameters
    ----------
    norm : nn.BatchNorm2d
        Its scale and shift are shared; every operating point starts from a copy of its statistics.
    n_points : int, default=1
        Number of operating points.
    """

    def __init__(self, norm: nn.BatchNorm2d, n_points: int = 1) -> None:
        super().__init__(norm.num_features, n_points)
        statistics = cast(Tensor, norm.running_mean)
        self.to(device=statistics.device, dtype=statistics.dtype)
        self.eps, self.momentum = norm.eps, norm.momentum
        if norm.affine:
            self.weight, self.bias = norm.weight, norm.bias
        else:
            for parameter in (self.weight, self.bias):
                parameter.requires_grad_(False)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            getattr(self, name).copy_(getattr(norm, name).expand_as(getattr(self, name)))

    def forward(self, x: Tensor, point: int | None = None) -> Tensor:
        """Normalise by the statistics numbered `point`; None stands for those of the pass."""
        return super().forward(x, _MIXTURES.get()[1] if point is None else point)


class MuxTrunkClassifier(OperatingPointModule):
    """Classify the images of mixtures by any image classifier.

    The stem sees every image, a binding folds the images' feature maps into one, the rest of the
    trunk runs once for each mixture, what reaches its classifier is unbound, and the classifier
    sees each image's features. The bindings and the unbinding are those of `MuxWideResNet`. With
    one slot and the identity binding it is the trunk as it is.

    Parameters
    ----------
    trunk : str or nn.Module
        The name of a classifier of torchvision, such as "resnet18", "mobilenet_v3_small",
        "efficientnet_b0", "convnext_tiny" or "vit_b_16" (`list_trunks` has all), or a network that
        maps (n_rows, channels, height, width) to (n_rows, n_outputs), which is copied.
    n_classes : int
        Where the trunk's last layer has another number of outputs, a new one takes its place.
    n_mux : int, default=1
        Number of slots, the capacity.
    binding : {"hrr", "mbat", "subspace", "identity"}, default="hrr"
    weights : str, WeightsEnum or mapping of str to Tensor, default=None
        Weights of a named trunk: torchvision's name of pretrained weights, which it downloads, or
        the tensors themselves. None starts from random weights.
    in_channels : int, default=None
        Channels of an image; None stands for those of the trunk. If they differ, the kernels of
        the first convolution are averaged over their input channels and scaled, so that a trunk
        for colours sees a grey image as if it stood in all three.
    bind_after : str, default=None
        The name of the module after which images are bound, as in `nn.Module.named_modules`. It
        returns (n_rows, channels, height, width) or, as tokens, (n_rows, length, channels). None
        is allowed for networks of torchvision's classes.
    unbind_before : str, default=None
        The name of the module before which images are unbound, likewise. It takes
        (n_rows, features) or (n_rows, features, height, width), which is unbound at each position.
    learn_keys : bool, default=True
        Whether the binding's keys are trained.
    operating_points : sequence of int, default=None
        The `n_mux` that have batch statistics of their own, in every `nn.BatchNorm2d` of the
        trunk. Any other uses those of the nearest, of the larger one if two are. None stands for
        the capacity alone.

    Attributes
    ----------
    trunk : nn.Module
    operating_points : tuple of int

    Raises
    ------
    ValueError
        For an unknown trunk, weights that it does not have or that do not fit, modules that it does
        not have, and bindings or operating points that are not allowed.

    Notes
    -----
    VGG, AlexNet and SqueezeNet classify feature maps that are not pooled to one vector. The first
    two are unbound before their last layer, whose 4096 inputs make 17 million weights for each
    slot; SqueezeNet at each position. Vision transformers are bound token by token before their
    first layer. Auxiliary classifiers (GoogLeNet, Inception) are removed.
    """

    def __init__(
        self,
        trunk: str | nn.Module,
        n_classes: int,
        n_mux: int = 1,
        *,
        binding: str = "hrr",
        weights: str | models.WeightsEnum | Mapping[str, Tensor] | None = None,
        in_channels: int | None = None,
        bind_after: str | None = None,
        unbind_before: str | None = None,
        learn_keys: bool = True,
        operating_points: Sequence[int] | None = None,
    ) -> None:
        super().__init__(n_mux, operating_points)
        if binding not in BINDINGS:
            raise ValueError(f"binding={binding!r} is not one of {sorted(BINDINGS)}")
        self.trunk = _make_trunk(trunk, n_classes, weights)
        _remove_auxiliary_classifiers(self.trunk)
        places = _find_places(self.trunk, bind_after, unbind_before)
        self._output = places.output
        if in_channels is not None:
            _set_in_channels(self.trunk, in_channels)
        _set_n_classes(self.trunk, places.output, n_classes)
        for name, module in list(self.trunk.named_modules()):
            if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                _replace(self.trunk, name, TrunkNorm(module, len(self.operating_points)))
        self.binding: Binding = BINDINGS[binding](n_mux, places.channels, learn_keys)
        # As in MuxWideResNet: wherever there are keys, for a single slot too.
        unbind = n_mux > 1 or binding in ("hrr", "mbat")
        self.unbinding = Unbinding(n_mux, places.features) if unbind else None
        self.trunk.get_submodule(places.stem).register_forward_hook(self._bind)
        self.trunk.get_submodule(places.classifier).register_forward_pre_hook(self._unbind)

    @property
    def _last_layer(self) -> nn.Linear | nn.Conv2d:
        return cast("nn.Linear | nn.Conv2d", self.trunk.get_submodule(self._output))

    def start_from(self, outputs: Tensor) -> None:
        """Leave the last layer as it is: it may have been trained before, or a ReLU follows it."""

    def _bind(self, module: nn.Module, args: Any, x: Tensor) -> Tensor:
        tokens = x.ndim == 3
        if tokens:
            x = x.transpose(1, 2).unsqueeze(-1)  # (n_rows, channels, length, 1)
        if x.ndim != 4 or x.shape[1] != self.binding.channels:
            raise ValueError(
                f"the stem returns {tuple(x.shape)}; to be bound it must be (n_rows, "
                f"{self.binding.channels}, height, width): name another module as `bind_after`"
            )
        mixed = self.binding(x.unflatten(0, (-1, _MIXTURES.get()[0])))
        return mixed.squeeze(-1).transpose(1, 2) if tokens else mixed

    def _unbind(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.unbinding is None:
            return None
        mixed = args[0].movedim(1, -1)  # (n_mixtures, …, features)
        images = self.unbinding(mixed.flatten(0, -2), _MIXTURES.get()[0])
        images = images.unflatten(0, mixed.shape[:-1]).movedim(-2, 1).flatten(0, 1)
        images = images.movedim(-1, 1)
        if images.requires_grad:
            # A classifier that begins with an in-place dropout would overwrite what the gradient of
            # the unbinding needs.
            images = images.clone()
        return (images, *args[1:])

    def forward(self, images: Tensor, n_mux: int | None = None) -> Tensor:
        """Classify.

        Parameters
        ----------
        images : Tensor of shape (n_mixtures * n_mux, in_channels, height, width)
            Images ``b * n_mux`` to ``(b + 1) * n_mux - 1`` share mixture `b`.
        n_mux : int, default=None
            Images in a mixture, at most the capacity, which None stands for. Of fewer images each
            fills several slots, and the features that its slots recover are averaged.

        Returns
        -------
        Tensor of shape (n_mixtures * n_mux, n_classes)
            The images' logits, in order.

        Raises
        ------
        ValueError
            If `n_mux` exceeds the capacity or does not divide the number of images, or the trunk
            does not bind where it was told to.
        """
        n_places = self._places(images.shape[0], n_mux, "images")
        _MIXTURES.set((n_places, self.nearest_point(n_places)))
        logits = self.trunk(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[0] != images.shape[0]:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"of {len(images)} images the trunk made {got}, not one row of logits for each: "
                "`bind_after` and `unbind_before` must name modules that run once, in this order"
            )
        return logits

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load tensors, also those without the versions that safetensors does not keep.

        Parameters
        ----------
        state_dict : Mapping of str to Tensor
        strict, assign : bool
            Options of `nn.Module.load_state_dict`.

        Returns
        -------
        NamedTuple
            The missing and the unexpected names.
        """
        # MNASNet refuses tensors of an unknown version.
        return super().load_state_dict(_with_versions(state_dict, self), strict, assign)

    def for_inference(self, dtype: torch.dtype | None = None) -> MuxTrunkClassifier:
        """Return a copy that predicts only, in `dtype`; on a CPU channels come last in memory.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxTrunkClassifier
            In `eval` mode; shares no memory with this model.
        """
        model = copy.deepcopy(self).eval().requires_grad_(False)
        model.binding = model.binding.for_inference()
        if dtype is not None:
            model = model.to(dtype)
        if next(model.parameters()).device.type == "cpu":
            model = model.to(memory_format=torch.channels_last)
        return model


class _Family(NamedTuple):
    stem: str | Callable[[nn.Module], str]
    classifier: str


def _vgg_stem(trunk: nn.Module) -> str:
    first = trunk.get_submodule("features.1")
    return "features.2" if isinstance(first, nn.BatchNorm2d) else "features.1"


_FAMILIES: dict[type[nn.Module], _Family] = {
    models.AlexNet: _Family("features.2", "classifier.6"),
    models.ConvNeXt: _Family("features.0", "classifier"),
    models.DenseNet: _Family("features.pool0", "classifier"),
    models.EfficientNet: _Family("features.0", "classifier"),
    models.GoogLeNet: _Family("maxpool1", "fc"),
    models.Inception3: _Family("maxpool1", "fc"),
    models.MaxVit: _Family("stem", "classifier.3"),
    models.MNASNet: _Family("layers.2", "classifier"),
    models.MobileNetV2: _Family("features.0", "classifier"),
    models.MobileNetV3: _Family("features.0", "classifier"),
    models.RegNet: _Family("stem", "fc"),
    models.ResNet: _Family("maxpool", "fc"),
    models.ShuffleNetV2: _Family("maxpool", "fc"),
    models.SqueezeNet: _Family("features.2", "classifier"),
    # The channels come last behind the convolution.
    models.SwinTransformer: _Family("features.0.0", "head"),
    models.VGG: _Family(_vgg_stem, "classifier.6"),
    # What comes before the encoder remembers how many images there were.
    models.VisionTransformer: _Family("encoder.dropout", "heads"),
}


# Modules of GoogLeNet and Inception that only training sees.
_AUXILIARY = ("aux1", "aux2", "AuxLogits")


class _Places(NamedTuple):
    """Names of modules, and how wide the feature maps and vectors are there."""

    stem: str
    classifier: str
    output: str
    channels: int
    features: int


def _find_places(trunk: nn.Module, bind_after: str | None, unbind_before: str | None) -> _Places:
    """Find out where to bind, where to unbind and which layer has the logits."""
    family = next((f for kind, f in _FAMILIES.items() if isinstance(trunk, kind)), None)
    names = [name for name, _ in trunk.named_modules() if name]
    if family is not None:
        stem = family.stem if isinstance(family.stem, str) else family.stem(trunk)
        bind_after, unbind_before = bind_after or stem, unbind_before or family.classifier
    if not bind_after or not unbind_before:
        raise ValueError(
            f"a trunk of class {type(trunk).__name__} is not of a known family "
            f"({', '.join(sorted(kind.__name__ for kind in _FAMILIES))}); name the module after "
            "which images are bound by `bind_after`, and the one before which they are unbound by "
            f"`unbind_before`; its first modules are {[n for n in names if '.' not in n]}"
        )
    for what, name in (("bind_after", bind_after), ("unbind_before", unbind_before)):
        if name not in names:
            raise ValueError(
                f"`{what}` is {name!r}, which is not a module of the trunk{_hint(name, names)}"
            )
    modules = [(name, trunk.get_submodule(name)) for name in names]
    until_stem = max(i for i, name in enumerate(names) if f"{name}.".startswith(f"{bind_after}."))
    convolutions = [m for _, m in modules[: until_stem + 1] if isinstance(m, nn.Conv2d)]
    layers = [
        (name, m)
        for name, m in modules[names.index(unbind_before) :]
        if isinstance(m, (nn.Linear, nn.Conv2d))
    ]
    if not convolutions or not layers:
        raise ValueError(
            f"`bind_after` {bind_after!r} must be or follow a Conv2d, and `unbind_before` "
            f"{unbind_before!r} must be "
            "or precede a Linear or Conv2d"
        )
    first = layers[0][1]
    features = first.in_features if isinstance(first, nn.Linear) else first.in_channels
    return _Places(
        bind_after, unbind_before, layers[-1][0], convolutions[-1].out_channels, features
    )


def _make_trunk(
    trunk: str | nn.Module,
    n_classes: int,
    weights: str | models.WeightsEnum | Mapping[str, Tensor] | None,
) -> nn.Module:
    if isinstance(trunk, nn.Module):
        if weights is not None:
            raise ValueError("weights are for a trunk given by name: load them into the module")
        return copy.deepcopy(trunk)
    if trunk not in (known := list_trunks()):
        raise ValueError(
            f"trunk={trunk!r} is not a classifier of torchvision{_hint(trunk, known)}; known are "
            f"{', '.join(known)}"
        )
    if weights is None:
        return _build(trunk, num_classes=n_classes)
    if not isinstance(weights, Mapping):
        if isinstance(weights, str):
            names = [str(entry.name) for entry in models.get_model_weights(trunk)]
            if weights.rpartition(".")[2] not in (*names, "DEFAULT"):
                raise ValueError(f"weights={weights!r} of {trunk}: it has {names} and DEFAULT")
        return models.get_model(trunk, weights=weights)
    model = _build(trunk, num_classes=n_classes)
    output = _find_places(model, None, None).output
    last = weights.get(f"{output}.weight")
    if last is not None and len(last) != n_classes:
        model = _build(trunk, num_classes=len(last))
    _remove_auxiliary_classifiers(model)
    auxiliary = tuple(f"{name}." for name in _AUXILIARY)
    tensors = _with_versions(weights, model)
    for name in [name for name in tensors if name.startswith(auxiliary)]:
        del tensors[name]
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"weights do not fit {trunk}: {error}") from error
    return model


def _with_versions(tensors: Mapping[str, Tensor], model: nn.Module) -> OrderedDict[str, Tensor]:
    """Copy a state dict; what it lacks of the versions beside the tensors is that of `model`."""
    given = OrderedDict(tensors)
    versions = getattr(model.state_dict(), "_metadata", None)
    given._metadata = getattr(tensors, "_metadata", versions)  # type: ignore[attr-defined]
    return given


def _build(name: str, **options: Any) -> nn.Module:
    with warnings.catch_warnings():
        # Of two old families, which warn that they may start differently some day.
        warnings.simplefilter("ignore", FutureWarning)
        return models.get_model(name, weights=None, **options)


def _remove_auxiliary_classifiers(trunk: nn.Module) -> None:
    if isinstance(trunk, (models.GoogLeNet, models.Inception3)):
        trunk.aux_logits = False
        for name in _AUXILIARY:
            if hasattr(trunk, name):
                setattr(trunk, name, None)


def _set_in_channels(trunk: nn.Module, in_channels: int) -> None:
    conv = next(module for module in trunk.modules() if isinstance(module, nn.Conv2d))
    if conv.in_channels == in_channels:
        return
    if getattr(trunk, "transform_input", False):
        raise ValueError(
            f"in_channels={in_channels} does not fit a trunk with transform_input=True, which "
            "reads three"
        )
    scale = conv.in_channels / in_channels
    weight = conv.weight.detach().mean(1, keepdim=True) * scale
    conv.weight = nn.Parameter(weight.repeat(1, in_channels, 1, 1))
    conv.in_channels = in_channels


def _set_n_classes(trunk: nn.Module, output: str, n_classes: int) -> None:
    layer = trunk.get_submodule(output)
    new: nn.Module
    if isinstance(layer, nn.Linear):
        if layer.out_features == n_classes:
            return
        new = nn.Linear(layer.in_features, n_classes, bias=layer.bias is not None)
    else:
        assert isinstance(layer, nn.Conv2d)
        if layer.out_channels == n_classes:
            return
        size, bias = layer.kernel_size, layer.bias is not None
        new = nn.Conv2d(layer.in_channels, n_classes, size, bias=bias)  # type: ignore[arg-type]
    _replace(trunk, output, new.to(layer.weight))


def _replace(trunk: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(trunk.get_submodule(parent), last, module)


def _hint(given: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(given, known, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
