"""The frontier of models in score and speed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["unbeaten"]


def unbeaten(scores: ArrayLike, rows_per_second: ArrayLike) -> NDArray[np.bool_]:
    """Tell which models no other one beats in both score and speed.

    A model is beaten by one that is no worse in both and better in one of them. The models that
    are not beaten form the frontier: for each wish of speed, the best of them is on it.

    Parameters
    ----------
    scores : array-like of float, shape (n_models,)
        The higher the better.
    rows_per_second : array-like of float, shape (n_models,)

    Returns
    -------
    ndarray of bool, shape (n_models,)

    Raises
    ------
    ValueError
        The two are not of one length, or hold NaN.

    Examples
    --------
    >>> from muxlearn.metrics import unbeaten
    >>> unbeaten([0.84, 0.80, 0.79], [150.0, 700.0, 600.0]).tolist()
    [True, True, False]
    """
    score, speed = np.asarray(scores, np.float64), np.asarray(rows_per_second, np.float64)
    if score.ndim != 1 or score.shape != speed.shape:
        raise ValueError(
            f"`scores` of shape {score.shape} and `rows_per_second` of shape {speed.shape} must be "
            "one number each for every model"
        )
    places = np.stack([score, speed])
    if np.isnan(places).any():
        raise ValueError("`scores` and `rows_per_second` must not hold NaN; leave such models out")
    no_worse = (places[:, :, None] >= places[:, None, :]).all(axis=0)
    better = (places[:, :, None] > places[:, None, :]).any(axis=0)
    beaten: NDArray[np.bool_] = np.any(no_worse & better, axis=0)
    return ~beaten
