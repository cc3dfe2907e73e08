"""Checks of regressors' targets, and their scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from muxlearn.rows._lengths import check_n_rows
from muxlearn.rows._tensors import as_plain

__all__ = ["check_numbers", "location_and_scale"]


def check_numbers(y: Any, n_rows: int, n_targets: int | None = None) -> NDArray[np.float64]:
    """Check the targets of a regression.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
    n_rows : int
    n_targets : int, default=None
        Numbers of a row that a fitted model predicts; None takes any.

    Returns
    -------
    ndarray of float64, shape of `y`

    Raises
    ------
    TypeError, ValueError
        `y` is None, holds something other than finite numbers, or is of another shape.
    """
    if y is None:
        raise ValueError("`y` is None; a regressor needs one number for each row of `X`")
    y = as_plain(y, "`y`")
    try:
        if np.asarray(y).dtype.kind in "mM":  # would become numbers of whatever unit they have
            raise TypeError(
                "it holds dates or durations; convert them, such as durations to days with "
                "y / np.timedelta64(1, 'D')"
            )
        numbers = check_array(
            y,
            dtype=np.float64,
            ensure_all_finite=False,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=0,
            ensure_min_features=0,
            input_name="y",
        )
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"`y` must hold numbers, as a dense array: {error}") from error
    if numbers.ndim not in (1, 2) or 0 in numbers.shape[1:]:
        raise ValueError(
            f"`y` is of shape {numbers.shape}; give one number for each row, or one row of numbers "
            "of shape (n_samples, n_targets)"
        )
    check_n_rows(n_rows, len(numbers))
    unknown = np.flatnonzero(~np.isfinite(numbers).all(tuple(range(1, numbers.ndim))))
    if len(unknown):
        raise ValueError(
            f"row {unknown[0]} of `y` contains NaN or infinity: {numbers[unknown[0]].tolist()}; "
            "drop the row, or give finite numbers"
        )
    given = 1 if numbers.ndim == 1 else numbers.shape[1]
    if n_targets is not None and given != n_targets:
        raise ValueError(
            f"`y` has {given} numbers for each row, but the model was fitted to {n_targets}"
        )
    return numbers


def location_and_scale(
    numbers: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of some targets, 1 in place of 0.

    Parameters
    ----------
    numbers : ndarray of float64, shape (n_rows, n_targets)
    weights : ndarray of float64, shape (n_rows,)

    Returns
    -------
    mean, scale : ndarray of float64, shape (n_targets,)

    Raises
    ------
    ValueError
        Targets are so large that their variance is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(numbers, axis=0, weights=weights)
        errors = numbers - mean
        # Squares of small numbers would underflow.
        unit = np.abs(errors).max(axis=0)
        unit[(unit == 0) | ~np.isfinite(unit)] = 1.0
        unit = np.minimum(unit, 1.0)
        spread = unit * np.average((errors / unit) ** 2, axis=0, weights=weights) ** 0.5
    if not np.isfinite(spread).all():
        raise ValueError(
            f"`y` holds numbers as large as {np.abs(numbers).max():.3g}, whose variance is too "
            "large for a float; scale them down"
        )
    # Rounding leaves a constant with a spread that is nothing but error.
    constant = spread <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, spread)
