"""The base class of the image estimators: images as tables of numbers, and their variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import _get_feature_names, check_is_fitted

from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn.architectures import Built
from muxlearn.estimators._base import MuxEstimator
from muxlearn.rows import ImageReader, RandomCrops, Transform, collect_images, learn_reader

__all__ = ["MuxImageEstimator"]


class MuxImageEstimator(MuxEstimator):
    """Base class of the estimators that read images."""

    augment: Any
    channels: str | None
    image_shape: tuple[int, ...] | None
    image_size: int | tuple[int, int] | None
    warm_start: bool

    _task_name = "image"
    _structure_names: ClassVar[tuple[str, ...]] = ("n_mux", "multiplexer", "operating_points")
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxEstimator._constraints,
        "channels": OneOf(None, Choice("first", "last")),
        "n_workers": Integer(0),
        "mixup": Number(0),
    }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def _read(self, X: Any, y: Any, what: str) -> tuple[NDArray[Any], ImageReader, Any]:
        """Return images as a table, what reads them, and the targets of `y` or of a data set.

        Parameters
        ----------
        X, y : object
            As `fit` is given them.
        what : str
            What a target is called, for the error.
        """
        images, targets = collect_images(X)
        y = targets if y is None else y
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                f"one {what} for each image, or a dataset of (image, {what}) pairs as `X`"
            )
        if self.warm_start and self.__sklearn_is_fitted__():
            return self._reader.read(images), self._reader, y
        reader, rows = learn_reader(
            images,
            image_shape=self.image_shape,
            image_size=self.image_size,
            channels=self.channels,
            feature_names=_get_feature_names(X),
        )
        return rows, reader, y

    @property
    def image_shape_(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the module takes it."""
        check_is_fitted(self)
        return self._reader.shape

    @property
    def mean_(self) -> NDArray[np.float64]:
        """Mean of the training images' pixels by channel."""
        check_is_fitted(self)
        return np.array(self._reader.mean)

    @property
    def std_(self) -> NDArray[np.float64]:
        """Standard deviation of the training images' pixels by channel, 1 in place of 0."""
        check_is_fitted(self)
        return np.array(self._reader.std)

    @property
    def n_features_in_(self) -> int:
        """Number of pixels; only where `fit` was given flat images."""
        check_is_fitted(self)
        if not self._reader.flat:
            raise AttributeError("`fit` was not given flat images, which alone have features")
        return int(np.prod(self._reader.given_shape))

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Names of the columns; only where `fit` was given a frame."""
        check_is_fitted(self)
        if self._reader.feature_names is None:
            raise AttributeError("`fit` was not given a frame, whose columns alone have names")
        return np.array(self._reader.feature_names, object)

    # What the shared parts ask for

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, low, high in (("image_shape", 2, 3), ("image_size", 2, 2)):
            value = getattr(self, name)
            if name == "image_size" and Integer(1).accepts(value):
                continue
            if value is not None and not _are_sizes(value, low, high):
                wanted = "one or two" if low == high else "two or three"
                raise ValueError(
                    f"`{name}` must be {wanted} whole numbers of at least 1, or None, got {value!r}"
                )
        presets = Choice("none", "crop", "crop-flip")
        if not callable(self.augment) and not presets.accepts(self.augment):
            error = presets.complain("augment", self.augment)
            raise type(error)(f"{error}; or give a transform of torchvision.transforms.v2")

    def _transform(self) -> Transform | None:
        if callable(self.augment):
            return self.augment
        return None if self.augment == "none" else RandomCrops(flip=self.augment == "crop-flip")

    def _build(self, rows: NDArray[Any], extra: ImageReader, n_classes: int) -> Built:
        reader = extra.with_statistics(rows)
        return self._make_architecture().build(self._setting(), reader, n_classes)


def _are_sizes(value: object, low: int, high: int) -> bool:
    return (
        isinstance(value, Sequence)
        and low <= len(value) <= high
        and all(Integer(1).accepts(side) for side in value)
    )
