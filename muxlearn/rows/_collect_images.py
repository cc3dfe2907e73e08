"""From images as users bring them to arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_array

from muxlearn.rows._tensors import as_plain

__all__ = ["Images", "collect_images", "iterate_images"]

Images = NDArray[Any] | list[NDArray[Any]]


def collect_images(X: Any, first_row: int = 0) -> tuple[Images, list[Any] | None]:
    """Bring images into arrays.

    Parameters
    ----------
    X : array-like, tensor, list of PIL images or of arrays, or torch dataset
    first_row : int, default=0
        Number of the first row, for the parts of a stream.

    Returns
    -------
    images : ndarray of shape (n_rows, ...), or list of ndarray if their shapes differ
    labels : list or None
        Those of a dataset of (image, label) pairs.

    Raises
    ------
    TypeError, ValueError
        There is no image, or something is not one; the message says which row.
    """
    items, labels = X, None
    if isinstance(X, Iterator | torch.utils.data.DataLoader):
        raise TypeError(
            f"`X` is an instance of {type(X).__name__}, which is read once: give a list, an array "
            "or a dataset, or predict a stream of images by predict_iter"
        )
    if isinstance(X, torch.utils.data.Dataset):
        items, labels = _dataset_items(X)
    elif isinstance(X, Sequence) and not isinstance(X, str | bytes):
        items = list(X)  # a column of a `datasets.Dataset`, say
    if isinstance(items, list) and len(items) and not _is_nested(items[0]):
        arrays = [_as_array(item, first_row + i) for i, item in enumerate(items)]
        if len({array.shape for array in arrays}) > 1:
            return arrays, labels
        items = _stack(arrays)
    else:
        items = as_plain(items, "`X`")
    array = _check_numbers(items)
    if array.ndim < 2:
        raise ValueError(
            f"`X` has shape {array.shape}, but images are wanted. Reshape your data: X[None] is "
            "one image, X.reshape(n, -1) are n of them as rows of numbers"
        )
    return array, labels


def _stack(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    try:
        return np.stack(arrays)
    except TypeError as error:
        dtypes = ", ".join(sorted({array.dtype.name for array in arrays}))
        raise TypeError(f"images of `X` are of types that do not mix: {dtypes}") from error


def _check_numbers(items: Any) -> NDArray[Any]:
    try:
        return check_array(
            items, dtype="numeric", ensure_all_finite=False, ensure_2d=False, allow_nd=True
        )
    except Exception as error:  # of scikit-learn, or of what `__array__` of any library raises
        kind = type(error) if isinstance(error, TypeError | ValueError) else TypeError
        raise kind(f"`X` cannot become an array of images: {error}") from error


def iterate_images(X: Any) -> Iterator[Any]:
    """Iterate over images as the user gives them, not yet checked.

    Parameters
    ----------
    X : array, frame, iterable or torch.utils.data.Dataset

    Returns
    -------
    iterator
    """
    if isinstance(X, torch.utils.data.Dataset):
        return iter(_one_item(X, i)[0] for i in range(_dataset_length(X)))
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):  # a table of Arrow
        X = X.to_pandas()
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):  # a frame iterates over its columns
        X = X.to_numpy()
    X = as_plain(X, "`X`")
    if not isinstance(X, Iterable) or getattr(X, "shape", None) == ():
        raise TypeError(f"`X` must be images, got an instance of {type(X).__name__}")
    return iter(X)


def _is_nested(item: Any) -> bool:
    """Return whether it belongs to nested lists of numbers, which numpy understands."""
    return isinstance(item, list | tuple | int | float | complex | str | np.generic)


def _dataset_items(dataset: Any) -> tuple[list[Any], list[Any] | None]:
    pairs = [_one_item(dataset, i) for i in range(_dataset_length(dataset))]
    images = [image for image, _ in pairs]
    if not pairs or any(len(label) == 0 for _, label in pairs):
        return images, None
    labels = [label[0] for _, label in pairs]
    if all(isinstance(label, torch.Tensor | np.ndarray) and label.ndim == 1 for label in labels):
        labels = [np.asarray(label).tolist() for label in labels]  # several for each image
    return images, labels


def _dataset_length(dataset: Any) -> int:
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"`X` is a {type(dataset).__name__}, a dataset without a length; collect its images "
            "into a list"
        )
    return len(dataset)


def _one_item(dataset: Any, row: int) -> tuple[Any, tuple[Any, ...]]:
    item = dataset[row]
    if not isinstance(item, list | tuple):
        return item, ()
    label = item[1] if len(item) > 1 else None
    if isinstance(label, torch.Tensor | np.generic) and label.ndim == 0:
        label = label.item()
    return item[0], () if label is None else (label,)


def _as_array(item: Any, row: int) -> NDArray[Any]:
    from PIL.Image import Image

    if isinstance(item, Image):
        if item.mode in ("L", "I", "F", "RGB", "RGBA") or item.mode.startswith("I;16"):
            return np.asarray(item)
        try:
            return np.asarray(item.convert("L" if item.mode == "1" else "RGB"))
        except ValueError as error:
            raise TypeError(f"row {row} of `X` cannot become RGB: {error}") from error
    if isinstance(item, torch.Tensor):
        return as_plain(item, f"row {row} of `X`")
    if isinstance(item, np.ndarray):
        if item.dtype.kind in "biuf" and np.ma.is_masked(item):
            raise ValueError(
                f"row {row} of `X` has a masked pixel; leave the image out, or fill it"
            )
        return np.asarray(item)
    raise TypeError(
        f"row {row} of `X` must be an image (a PIL image, an array or a tensor), got an "
        f"instance of {type(item).__name__}"
    )
