"""Images as users bring them: checks, one form for all of them, and what is learned of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch.utils.data import Dataset

from muxlearn._params import Boolean, Choice, Constraint, Instance, Integer, ListOf, Number, OneOf
from muxlearn._warnings import warn
from muxlearn.rows._collect_images import Images, collect_images, iterate_images
from muxlearn.rows._image_table import ImageTable
from muxlearn.rows._reader import Reader
from muxlearn.rows._variants import MOST_OF_FRACTIONS

__all__ = [
    "ImageReader",
    "learn_reader",
]

# A longer row of pixels is probably a picture without its `image_shape`.
_MAX_ROW_OF_PIXELS = 256
_USUAL_CHANNELS = (1, 3, 4)
# Of the mean, what rounding alone makes of pixels that are all the same, where they are resized.
_ROUNDING = 1e-6
_AXES = {"gray": "(height, width)", "first": "(channels, height, width)"}
_AXES["last"] = "(height, width, channels)"


# scikit-learn's check of columns wants an estimator, which it names in its errors.
_Columns: Any = type("ImageReader", (BaseEstimator,), {})


@dataclass(frozen=True)
class ImageReader(Reader):
    """Turns a user's images into the network's input, by what `fit` has learned.

    Parameters
    ----------
    layout : {"gray", "first", "last"}
        Whether an image has an axis of channels, and where.
    shape : tuple of int
        Channels, height and width of what the network sees.
    given_shape : tuple of int
        Shape of an image as the user gives it, before it is resized; of flat images that of the
        picture.
    flat : bool
        Whether the user gives an image as a row of numbers.
    resized : bool
        Whether images are resized to `shape`.
    highest : float
        Highest pixel of the training images.
    mean, std : tuple of float
        Mean and standard deviation of the training pixels by channel; 0 deviation counts as 1.
    feature_names : tuple of str, default=None
        Names of the columns, of flat images that came in a frame.
    """

    layout: str
    shape: tuple[int, int, int]
    given_shape: tuple[int, ...]
    flat: bool
    resized: bool
    highest: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    feature_names: tuple[str, ...] | None = None

    kind: ClassVar[str] = "images"
    constraints: ClassVar[dict[str, Constraint]] = {
        "layout": Choice(*_AXES),
        "shape": ListOf(Integer(1), 3),
        "given_shape": ListOf(Integer(1)),
        "flat": Boolean(),
        "resized": Boolean(),
        "highest": Number(),
        "mean": ListOf(Number()),
        "std": ListOf(Number(0, open_low=True)),
        "feature_names": OneOf(None, ListOf(Instance((str,), "a text"))),
    }

    def iterate(self, X: Any) -> Iterator[Any]:
        return iterate_images(X)

    def check(self, X: Any, *, first_row: int = 0) -> NDArray[Any]:
        images, _ = collect_images(X, first_row)
        self.check_columns(X, images)
        return self.read(images, first_row)

    def check_columns(self, X: Any, images: Images) -> None:
        """Check flat images, and the names of their columns, against those of `fit`.

        Parameters
        ----------
        X : object
            As the user gives it.
        images : ndarray or list of ndarray
            From `collect_images`.

        Raises
        ------
        ValueError
            There are more columns or fewer, or they have other names or another order.
        """
        # A window of a stream is a list, which has lost the names of columns.
        flat = isinstance(images, np.ndarray) and images.ndim == 2
        if self.flat and flat and not isinstance(X, list | Dataset):
            columns = _Columns()
            columns.n_features_in_ = math.prod(self.given_shape)
            if self.feature_names is not None:
                columns.feature_names_in_ = np.array(self.feature_names, object)
            validate_data(columns, X, reset=False, skip_check_array=True)

    def table(self, rows: NDArray[Any]) -> ImageTable:
        """Make checked images ready to be mixed.

        Parameters
        ----------
        rows : ndarray of uint8 or float32, shape (n_rows, channels, height, width)
            As `check` returns them.

        Returns
        -------
        ImageTable
        """
        return ImageTable(rows, self.normalise)

    def read(self, images: Images, first_row: int = 0) -> NDArray[Any]:
        """Check images and bring them into one form.

        Parameters
        ----------
        images : ndarray or list of ndarray
            From `collect_images`.
        first_row : int, default=0
            Number of the first one, for the parts of a stream.

        Returns
        -------
        ndarray of uint8 or float32, shape (n_rows, channels, height, width)

        Raises
        ------
        ValueError
            An image is of another shape than in `fit`, or has a pixel that is not finite; or the
            pixels are on another scale.
        """
        self._check_scale(images)
        return self._read(images, first_row)

    def _read(self, images: Images, first_row: int) -> NDArray[Any]:
        if isinstance(images, list):
            parts = [self._read(image[None], first_row + i) for i, image in enumerate(images)]
            if len({part.dtype for part in parts}) > 1:
                parts = [part.astype(np.float32) for part in parts]
            return np.concatenate(parts)
        if images.dtype.kind not in "biuf":
            raise TypeError(
                f"image {first_row} of `X` holds values of type {images.dtype}, not numbers"
            )
        images = self._channels_first(images, first_row)
        with np.errstate(over="ignore"):  # the check that follows says which image it is
            images = np.ascontiguousarray(images, np.uint8 if _is_byte(images) else np.float32)
        _check_finite(images, first_row)
        return _resize(images, self.shape[1:]) if self.resized else images

    def normalise(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Bring pixels of shape (..., channels, height, width) to mean 0 and variance 1."""
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.std))
        return (images - mean) / std

    def with_statistics(self, rows: NDArray[Any]) -> ImageReader:
        """Return a reader that has learned of training images what to normalise by.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, channels, height, width)
            As `read` returns them.

        Returns
        -------
        ImageReader
        """
        mean, std = _statistics(rows)
        return replace(self, highest=float(rows.max()), mean=mean, std=std)

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], files: Mapping[str, str]) -> ImageReader:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
            if name != "kind"
        }
        reader = cls(**fields)
        if not len(reader.mean) == len(reader.std) == reader.shape[0]:
            raise ValueError(
                f"`reader.shape` has {reader.shape[0]} channels, but `reader.mean` and "
                f"`reader.std` have {len(reader.mean)} and {len(reader.std)}"
            )
        return reader

    def _channels_first(self, images: NDArray[Any], first_row: int) -> NDArray[Any]:
        n_rows, shape = len(images), images.shape[1:]
        if self.flat and shape == (math.prod(self.given_shape),):
            images = images.reshape(n_rows, *self.given_shape)
        for layout in dict.fromkeys([self.layout, "gray", "first", "last"]):
            moved = _move_channels(images, layout)
            if moved is not None and self._fits(moved.shape[1:]):
                return moved
        expected: tuple[int, ...] = self.given_shape
        if self.flat:
            expected = (math.prod(expected),)
        where = f"image {first_row} of `X`" if n_rows == 1 else "an image of `X`"
        hint = " (one image alone needs a first axis: X[None])" if images.ndim < 3 else ""
        size = ", of any height and width" if self.resized else ""
        raise ValueError(
            f"{where} has shape {shape}, but this model was fitted on images of shape "
            f"{expected}{size}{hint}"
        )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return shape[0] == self.shape[0] if self.resized else shape == self.shape

    def _check_scale(self, images: Images) -> None:
        """Raise if one has pixels from 0 to 255 and the other from 0 to 1; an empty `mean`: fit."""
        parts = images if isinstance(images, list) else [images]
        parts = [part for part in parts if part.size and part.dtype.kind in "biuf"]
        if not self.mean or not parts:
            return
        if self.highest <= 1 and any(
            (1 if _is_byte(part) else MOST_OF_FRACTIONS) < part.max() < math.inf for part in parts
        ):
            given, wanted, how = "255", "1", "divide them by 255"
        elif self.highest > MOST_OF_FRACTIONS and all(map(_is_fraction, parts)):
            given, wanted, how = "1", f"{self.highest:g}", "give both on one scale"
        else:
            return
        message = (
            f"the pixels of `X` go from 0 to {given}, but this model was fitted on pixels up to "
            f"{wanted}; {how}"
        )
        if given == "1" and len(images) == 1:
            # One image may be so dark, and gets the answer that it gets among others.
            warn(message)
            return
        raise ValueError(message)


def learn_reader(
    images: Images,
    *,
    image_shape: Sequence[int] | None = None,
    image_size: int | Sequence[int] | None = None,
    channels: str | None = None,
    feature_names: Sequence[str] | None = None,
) -> tuple[ImageReader, NDArray[Any]]:
    """Learn what training images look like, and read them.

    Parameters
    ----------
    images : ndarray or list of ndarray
        From `collect_images`.
    image_shape : sequence of int, default=None
        Shape of an image, with or without channels; needed where images come as rows of numbers.
    image_size : int or (int, int), default=None
        Height and width to resize to.
    channels : {"first", "last"}, default=None
        The axis of the channels; None infers it.
    feature_names : sequence of str, default=None
        Names of the columns of a frame.

    Returns
    -------
    reader : ImageReader
        Without statistics; see `ImageReader.with_statistics`.
    rows : ndarray of uint8 or float32, shape (n_rows, channels, height, width)

    Raises
    ------
    ValueError
        Images differ in shape, their shape cannot be told, or a pixel is not finite.
    """
    flat, given = _given_shape(images, image_shape, image_size is not None)
    layout = _layout(given, channels)
    moved = _move_channels(np.empty((1, *given), bool), layout)
    assert moved is not None
    if 0 in moved.shape:
        raise ValueError(f"the images of `X` have shape {given}: there is no pixel in them")
    size = moved.shape[2:] if image_size is None else tuple(np.broadcast_to(image_size, 2).tolist())
    plain = ImageReader(
        layout, (moved.shape[1], *size), given, flat, resized=image_size is not None
    )
    rows = plain.read(images)
    names = None if feature_names is None else tuple(feature_names)
    return replace(plain, feature_names=names), rows


def _given_shape(
    images: Images, image_shape: Sequence[int] | None, resized: bool
) -> tuple[bool, tuple[int, ...]]:
    """Return whether images are flat, and the shape of one."""
    if isinstance(images, list):
        other = next(i for i, image in enumerate(images) if image.shape != images[0].shape)
        same_rank = len({image.ndim for image in images}) == 1
        if not resized or not same_rank or images[0].ndim == 1:
            advice = "give `image_size` to resize them" if same_rank else "give all the same axes"
            raise ValueError(
                f"image 0 of `X` has shape {images[0].shape} and image {other} "
                f"{images[other].shape}; {advice}"
            )
        return False, images[0].shape
    shape, wanted = images.shape[1:], None if image_shape is None else tuple(image_shape)
    if len(shape) > 1:
        if wanted is not None and wanted != shape:
            raise ValueError(
                f"the images of `X` have shape {shape}, but `image_shape` is {wanted}; leave it "
                "out where images do not come as rows of numbers"
            )
        if len(shape) > 3:
            raise ValueError(
                f"`X` has shape {images.shape}; images have two axes, or three with channels, so "
                "that `X` has four at most"
            )
        return False, shape
    n_features = shape[0]
    if wanted is None:
        return True, _guess_shape(n_features)
    if math.prod(wanted) != n_features:
        raise ValueError(
            f"`image_shape` {wanted} has {math.prod(wanted)} pixels, but the rows of `X` have "
            f"{n_features}"
        )
    return True, wanted


def _guess_shape(n_features: int) -> tuple[int, int]:
    side = math.isqrt(n_features)
    if side**2 == n_features and side >= 8:
        return side, side
    if n_features <= _MAX_ROW_OF_PIXELS:
        return 1, n_features
    raise ValueError(
        f"the rows of `X` have {n_features} pixels, which are no square: give `image_shape`, such "
        "as (32, 32, 3)"
    )


def _layout(shape: tuple[int, ...], channels: str | None) -> str:
    if len(shape) == 2:
        return "gray"
    if channels is not None:
        return channels
    first, last = (shape[i] in _USUAL_CHANNELS for i in (0, -1))
    if first == last:
        problem = "either end could hold the channels" if first else "no axis looks like channels"
        raise ValueError(
            f"the images of `X` have shape {shape}, where {problem}: say channels='first' or "
            "channels='last'"
        )
    return "first" if first else "last"


def _move_channels(images: NDArray[Any], layout: str) -> NDArray[Any] | None:
    """Return images of a layout as (n_rows, channels, height, width), None if they are not."""
    if images.ndim != (3 if layout == "gray" else 4):
        return None
    if layout == "gray":
        return images[:, None]
    return np.moveaxis(images, -1, 1) if layout == "last" else images


def _is_byte(images: NDArray[Any]) -> bool:
    return images.dtype in (np.uint8, np.bool_)


def _is_fraction(images: NDArray[Any]) -> bool:
    """Whether pixels go from 0 to 1: bools do, whole numbers of another type may be dark bytes."""
    if images.dtype.kind != "f":
        return images.dtype == np.bool_
    return bool(images.min() >= 0 and images.max() <= 1 and (images % 1).any())


def _check_finite(images: NDArray[Any], first_row: int) -> None:
    if _is_byte(images) or np.isfinite(images).all():
        return
    row = int(np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))[0])
    what = "NaN" if np.isnan(images[row]).any() else "inf, or too large for single precision"
    raise ValueError(f"image {first_row + row} of `X` has a pixel that is {what}")


def _resize(images: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]

    if images.shape[2:] == size:
        return images
    parts = torch.from_numpy(images).split(256)
    return torch.cat([F.resize(part, list(size), antialias=True) for part in parts]).numpy()


def _statistics(rows: NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    def parts() -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(rows), 1024):
            yield rows[start : start + 1024].astype(np.float64)

    n_values = rows.size / rows.shape[1]
    mean = sum(part.sum((0, 2, 3)) for part in parts()) / n_values
    squares = (((part - mean[:, None, None]) ** 2).sum((0, 2, 3)) for part in parts())
    variance = sum(squares) / n_values
    std = np.sqrt(variance)
    varies = std > _ROUNDING * np.abs(mean)
    return tuple(mean.tolist()), tuple(np.where(varies, std, 1.0).tolist())
