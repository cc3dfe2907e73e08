"""Checks and encoding of classifiers' labels and weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from muxlearn._params import Number
from muxlearn.rows._columns import as_list
from muxlearn.rows._lengths import check_n_rows
from muxlearn.rows._tensors import as_plain
from muxlearn.rows._texts import is_missing, ranges

__all__ = [
    "as_plain_str",
    "check_class_weight",
    "check_labels",
    "check_weights",
    "class_weights",
    "distinct_rows",
    "ends_in_nul",
    "relative_weights",
    "row_weights",
    "split_rows",
    "training_order",
]

# Copies for one row, on average, that stand for weights.
_MOST_COPIES = 10


def check_labels(y: Any, n_rows: int) -> tuple[NDArray, NDArray[np.int64]]:
    """Check labels and number them.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        One label for each row: strings, numbers or bools.
    n_rows : int

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    targets : ndarray of int64, shape (n_rows,)
        The number of each row's label.

    Raises
    ------
    TypeError, ValueError
        `y` is None, has another number of rows, or holds something other than labels of one type.
    """
    if y is None:
        raise ValueError("`y` is None; a classifier needs one label for each row of `X`")
    if isinstance(y, str):
        raise TypeError(
            f"`y` must hold one label for each row, got the text {y[:50]!r}; a column of a table "
            f"is given as `table[{y[:50]!r}]`"
        )
    y = as_plain(y, "`y`")
    if not isinstance(getattr(y, "dtype", None), np.dtype):
        y = as_list(y)
    if isinstance(y, list | tuple):
        y = list(map(as_plain_str, y))
        _check_label_list(y)
    elif getattr(getattr(y, "dtype", None), "kind", None) == "T":  # numpy's StringDType
        y = y.astype(object)
    try:
        labels = column_or_1d(y, warn=True)
    except (RuntimeError, TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"`y` must hold one label for each row: {error}") from error
    if labels.dtype.kind == "V":
        raise TypeError(f"`y` is of {labels.dtype}; labels must be strings, numbers or bools")
    check_n_rows(n_rows, len(labels))
    _check_label_list(labels.tolist())
    if labels.dtype == object and all(isinstance(label, Real | np.bool_) for label in labels):
        narrow = np.array(labels.tolist())
        labels = narrow if narrow.dtype.kind in "biuf" else labels
    elif labels.dtype == object:
        labels = np.array(list(map(as_plain_str, labels)), object)
    try:
        check_classification_targets(labels)
    except (TypeError, ValueError) as error:
        label = labels.tolist()[0]
        advice = "; a regressor predicts numbers" if isinstance(label, float) else ""
        raise type(error)(
            f"{error} (Labels in `y` must be strings, whole numbers or bools; row 0 is {label!r}, "
            f"of type {type(label).__name__}{advice})"
        ) from error
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"the labels of `y` cannot be put in order ({error})") from error


def as_plain_str(label: Any) -> Any:
    """Return a text as a plain one, and anything else as it is.

    Of a subclass, such as a member of an enumeration of texts, numpy would keep another text.

    Parameters
    ----------
    label : object

    Returns
    -------
    object
    """
    return str.__str__(label) if isinstance(label, str) else label


def ends_in_nul(label: object) -> bool:
    """Return whether a label ends in NUL, which arrays of numpy drop: they keep another label.

    Parameters
    ----------
    label : object

    Returns
    -------
    bool
    """
    return isinstance(label, str) and label.endswith("\0")


def _check_label_list(labels: Iterable[Any]) -> None:
    for row, label in enumerate(labels):
        if is_missing(label):
            raise ValueError(f"row {row} of `y` is missing ({label!r}); drop it or give it a label")
        if ends_in_nul(label):
            raise ValueError(f"row {row} of `y` is {label!r}; a label must not end in NUL")
        if isinstance(label, float) and math.isinf(label):
            raise ValueError(f"row {row} of `y` is infinite")
    if len({isinstance(label, str) for label in labels}) > 1:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(f"`y` mixes labels of types {', '.join(kinds)}; give labels of one type")


def check_weights(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Check one weight for each row; None stands for ones.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or None
    n_rows : int

    Returns
    -------
    ndarray of float64, shape (n_rows,)

    Raises
    ------
    TypeError, ValueError
        They are no numbers of at least 0 with a finite sum, or of another shape.
    """
    sample_weight = as_plain(sample_weight, "`sample_weight`")
    try:
        weights = _check_sample_weight(
            sample_weight, np.empty((n_rows, 0)), dtype=np.float64, ensure_non_negative=True
        )
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"`sample_weight` must be one number for each row, at least 0 and not all 0: {error}"
        ) from error
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(f"`sample_weight` must add up to a finite number, got {total}")
    return weights


def row_weights(
    sample_weight: ArrayLike | None,
    class_weight: dict[Any, float] | str | None,
    classes: NDArray,
    targets: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return what each row counts in the loss, 1 on average.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or None
    class_weight : dict, "balanced" or None
    classes : ndarray of shape (n_classes,)
    targets : ndarray of int64, shape (n_rows,)

    Returns
    -------
    ndarray of float32, shape (n_rows,)
    """
    weights = check_weights(sample_weight, len(targets))
    totals = np.bincount(targets, weights, minlength=len(classes)).astype(np.float64)
    weights = weights * class_weights(class_weight, classes, totals)[targets]
    return relative_weights(weights, "`sample_weight` and `class_weight` make")


def class_weights(
    class_weight: dict[Any, float] | str | None, classes: NDArray, totals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what each class counts.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    classes : ndarray of shape (n_classes,)
    totals : ndarray of float64, shape (n_classes,)
        Weight of the rows of each class, which "balanced" makes equal.

    Returns
    -------
    ndarray of float64, shape (n_classes,)
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, dict):
        labels = classes.tolist()
        check_class_weight(class_weight, labels)
        return np.array([float(class_weight.get(label, 1.0)) for label in labels])
    # No row has a class whose total is 0: any weight will do, but for infinity.
    return totals.sum() / (len(totals) * np.where(totals > 0, totals, 1.0))


def relative_weights(
    weights: NDArray[np.float64], source: str = "`sample_weight` is"
) -> NDArray[np.float32]:
    """Return what each row counts in the loss, 1 on average.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_rows,)
    source : str, default="`sample_weight` is"
        Where they come from, with a verb, for the error.

    Returns
    -------
    ndarray of float32, shape (n_rows,)

    Raises
    ------
    ValueError
        All weights are zero, or so large that their sum is not finite.
    """
    with np.errstate(over="ignore"):
        mean = weights.mean()  # of numbers that are all but 0 it is 0
    if not np.isfinite(mean):
        raise ValueError(f"{source} numbers whose sum is not finite; scale them down")
    if not mean > 0:
        raise ValueError(f"{source} zero for every row; nothing could be learned")
    return (weights / mean).astype(np.float32)


def check_class_weight(class_weight: dict[Any, Any], labels: list[Any]) -> None:
    """Raise for a label that is not there while another has no weight, and for a bad weight.

    Parameters
    ----------
    class_weight : dict of label to float
    labels : list
    """
    unknown = [label for label in class_weight if label not in labels]
    # A rare label may be absent from a fold of the data; a misspelt one leaves another without.
    if unknown and any(label not in class_weight for label in labels):
        raise ValueError(
            f"`class_weight` names the label {unknown[0]!r}, which is not in `y`; the labels are "
            f"{labels}"
        )
    for label, weight in class_weight.items():
        Number(0).check(f"class_weight[{label!r}]", weight)


def training_order(
    rows: Sequence[Any] | NDArray[Any],
    answers: Sequence[Any] | NDArray[Any],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Order training rows by what they hold, each as often as its weight says.

    The same rows in another order, or copied in the place of weighted, are then the same
    training, which is what scikit-learn asks of weights. Rows of weight 0 are left out.

    Parameters
    ----------
    rows : sequence of length n_rows
        Checked: texts, pairs, sentences or arrays.
    answers : sequence of length n_rows
        What belongs to them: labels, tags.
    weights : ndarray of float64, shape (n_rows,)

    Returns
    -------
    order : ndarray of int64, shape (n_copies,)
        Numbers of rows.
    weights : ndarray of float64, shape (n_copies,), or None
        What is left to weigh: None where weights are whole numbers, and not so large that copies
        would be many times the rows.
    """
    digests = list(map(_digest, rows, answers))
    order = np.array(sorted(range(len(rows)), key=digests.__getitem__))
    n_rows = len(order)
    if (weights > 0).any():  # else whoever scales them says what is wrong
        order = order[weights[order] > 0]
    weights = weights[order]
    if (weights % 1).any() or not 0 < weights.sum() <= _MOST_COPIES * n_rows:
        return order, weights
    return np.repeat(order, weights.astype(np.int64)), None


def _digest(row: Any, answer: Any) -> bytes:
    if isinstance(row, np.ndarray) and row.dtype == np.uint8:
        row = row.astype(np.float32)  # as pixels of all other types are kept
    content = row.tobytes() if isinstance(row, np.ndarray) else repr(row).encode()
    return blake2b(content + repr(answer).encode()).digest()


def distinct_rows(
    sources: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the place of the first copy of each row, in order, and how many copies follow it.

    Parameters
    ----------
    sources : ndarray of int64, shape (n_copies,)
        The row that each is a copy of; copies of a row stand together.

    Returns
    -------
    first, n_copies : ndarray of int64, shape (n_rows,)
    """
    first = np.flatnonzero(np.diff(sources, prepend=-1))
    return first, np.diff(first, append=len(sources))


def split_rows(
    targets: NDArray[np.int64], sources: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Set rows aside for early stopping, every class in its share where that is possible.

    Parameters
    ----------
    targets : ndarray of int64, shape (n_copies,)
    sources : ndarray of int64, shape (n_copies,)
        The row that each is a copy of, of at least two; copies of a row stand together, and are
        set aside together.
    fraction : float
        The share of the rows to set aside; at least one is.
    seed : int

    Returns
    -------
    train, valid : ndarray of int64
        Numbers of copies.
    """
    first, n_copies = distinct_rows(sources)
    targets = targets[first]
    n_valid = min(max(1, round(fraction * len(first))), len(first) - 1)
    counts = np.bincount(targets)
    counts = counts[counts > 0]  # a soft label's class may be the likeliest of no row
    divisible = counts.min() >= 2 and len(counts) <= min(n_valid, len(first) - n_valid)
    parts = train_test_split(
        np.arange(len(first)),
        test_size=n_valid,
        random_state=seed,
        stratify=targets if divisible else None,
    )
    train, valid = (ranges(first[part], n_copies[part]) for part in parts)
    return train, valid
