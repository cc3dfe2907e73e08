"""Reader, variants and constraints of the estimators that read images."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import _get_feature_names, check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn.architectures import Built
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._kinds import Kind
from muxlearn.points import PointLike
from muxlearn.rows import (
    ImageReader,
    RandomCrops,
    Transform,
    collect_images,
    learn_reader,
)

__all__ = [
    "IMAGE_CONSTRAINTS",
    "ImageKind",
    "feature_names_in",
    "image_shape",
    "mean",
    "n_features_in",
    "read_images",
    "score",
    "std",
    "variants",
]


class _Sizes(Constraint):
    """None, or sides of an image; one alone is a number, several are a sequence."""

    def __init__(self, *counts: int) -> None:
        self.counts = counts

    def accepts(self, value: object) -> bool:
        if value is None or (1 in self.counts and Integer(1).accepts(value)):
            return True
        several = isinstance(value, Sequence) and len(value) > 1 and len(value) in self.counts
        return several and all(map(Integer(1).accepts, cast(Sequence[Any], value)))

    def is_of_type(self, value: object) -> bool:
        return isinstance(value, Integral | Sequence)

    def __str__(self) -> str:
        counts = " or ".join(("one", "two", "three")[count - 1] for count in self.counts)
        return f"{counts} whole numbers of at least 1, or None"


class _ImageTransform(Constraint):
    """A callable that varies an image."""

    def accepts(self, value: object) -> bool:
        return callable(value)

    def __str__(self) -> str:
        return "a transform of torchvision.transforms.v2"


IMAGE_CONSTRAINTS: dict[str, Constraint] = {
    **MuxEstimator._constraints,
    "augment": OneOf(Choice("none", "crop", "crop-flip"), _ImageTransform()),
    "image_shape": _Sizes(2, 3),
    "image_size": _Sizes(1, 2),
    "channels": OneOf(None, Choice("first", "last")),
    "n_workers": Integer(0),
    "mixup": Number(0),
}


class ImageKind(Kind):
    """The kind of an estimator that reads images; see `Kind`."""

    level = "image"
    structure_names = (
        *("n_mux", "multiplexer", "operating_points"),
        *("image_shape", "image_size", "channels"),
    )

    def mark(self, tags: Tags) -> None:
        """Say in an estimator's tags that it reads images."""
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True

    def structure(self, estimator: Any) -> dict[str, Any]:
        """Return nothing: the architecture's parameters decide alone."""
        return {}

    def starts_from_scratch(self, estimator: Any) -> bool:
        """Return True, as no network on images starts from a trained one."""
        return True

    def build(self, estimator: Any, rows: Any, n_outputs: int, reader: ImageReader) -> Built:
        """Let the reader learn what to normalise by, and build the module."""
        reader = reader.with_statistics(rows)
        return estimator._make_architecture().build(estimator._setting(), reader, n_outputs)


def read_images(self: Any, X: Any, y: Any, what: str) -> tuple[NDArray[Any], ImageReader, Any]:
    """Return images as a table, what reads them, and the targets of `y` or of a data set.

    Parameters
    ----------
    X, y : object
        As `fit` is given them.
    what : str
        What a target is called, for the error.
    """
    images, y = _with_targets(self, X, y, what)
    if self.warm_start and self.__sklearn_is_fitted__():
        self._reader.check_columns(X, images)
        return self._reader.read(images), self._reader, y
    reader, rows = learn_reader(
        images,
        image_shape=self.image_shape,
        image_size=self.image_size,
        channels=self.channels,
        feature_names=_get_feature_names(X),
    )
    return rows, reader, y


def _with_targets(self: Any, X: Any, y: Any, what: str) -> tuple[Any, Any]:
    images, targets = collect_images(X)
    y = targets if y is None else y
    if y is None:
        raise ValueError(
            f"{type(self).__name__} requires y to be passed, but the target y is None: give "
            f"one {what} for each image, or a dataset of (image, {what}) pairs as `X`"
        )
    return images, y


@fill_docs(row="image", rows="images")
def score(
    self: Any,
    X: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> float:
    """Return the accuracy of predicted labels, or the R^2 of predicted numbers.

    Parameters
    ----------
    {predict.X}

    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        The true labels or numbers; several labels in any form that `fit` takes. None takes those
        of a dataset.

    {score.sample_weight}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    float
        Of several labels the share of images whose labels are all right, of several numbers the
        mean R^2.
    """
    if y is None:
        check_is_fitted(self)
        X, y = _with_targets(self, X, y, "target")
    return self.predictor_.score(
        X, y, sample_weight, n_mux, groups, n_passes, patch_size=patch_size
    )


def image_shape(self: Any) -> tuple[int, int, int]:
    """Channels, height and width of an image as the module takes it."""
    check_is_fitted(self)
    return self._reader.shape


def mean(self: Any) -> NDArray[np.float64]:
    """Mean of the training images' pixels by channel."""
    check_is_fitted(self)
    return np.array(self._reader.mean)


def std(self: Any) -> NDArray[np.float64]:
    """Standard deviation of the training images' pixels by channel, 1 in place of 0."""  # noqa: D401
    check_is_fitted(self)
    return np.array(self._reader.std)


def n_features_in(self: Any) -> int:
    """Number of pixels; only where `fit` was given flat images."""  # noqa: D401
    check_is_fitted(self)
    if not self._reader.flat:
        raise AttributeError("`fit` was not given flat images, which alone have features")
    return int(np.prod(self._reader.given_shape))


def feature_names_in(self: Any) -> NDArray[np.object_]:
    """Names of the columns; only where `fit` was given a frame."""
    check_is_fitted(self)
    if self._reader.feature_names is None:
        raise AttributeError("`fit` was not given a frame, whose columns alone have names")
    return np.array(self._reader.feature_names, object)


def variants(estimator: Any) -> Transform | None:
    """Return what varies the images of a training, None where nothing does."""
    augment = estimator.augment
    if callable(augment):
        return augment
    return None if augment == "none" else RandomCrops(flip=augment == "crop-flip")
