"""Fits the classifiers of a cascade to a part of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import _check_method_params, check_is_fitted, has_fit_parameter

from muxlearn._warnings import warn
from muxlearn.model_selection._stages import OWN, is_frozen

__all__ = ["fit_to_rows", "params_of_fit", "set_aside"]


def set_aside(
    codes: NDArray[np.int64], weights: NDArray[np.float64], fraction: float, seed: int
) -> NDArray[np.int64]:
    """Choose rows to learn thresholds from, of each class its share.

    Parameters
    ----------
    codes : ndarray of int64, shape (n_rows,)
        The numbers of the classes.
    weights : ndarray of shape (n_rows,)
        Rows of weight 0 are not chosen.
    fraction : float
    seed : int

    Returns
    -------
    ndarray of int64
        Numbers of rows, ascending. At least one row of each class is left over.

    Raises
    ------
    ValueError
        There are too few rows.
    """
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(weights > 0))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    counts = np.bincount(codes[rows])
    rank = np.arange(len(rows)) - (counts.cumsum() - counts)[codes[rows]]
    place = np.where(rank > 0, (rank + 0.5) / counts[codes[rows]], -1.0)
    n_aside = min(max(1, round(fraction * len(rows))), np.count_nonzero(rank > 0))
    if not n_aside:
        raise ValueError(
            f"no row can be set aside to learn thresholds from: n_samples={len(rows)} without rows "
            f"of weight 0, and one row of each of the {np.count_nonzero(counts)} classes is left "
            "to the classifiers; give more rows, or fitted classifiers in "
            "sklearn.frozen.FrozenEstimator"
        )
    return np.sort(rows[np.argsort(-place, kind="stable")[:n_aside]])


def params_of_fit(
    owner: Any,
    classifiers: Mapping[str, Any],
    sample_weight: ArrayLike | None,
    fit_params: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Return what the `fit` of each classifier is given.

    Parameters
    ----------
    owner : estimator
        The meta-estimator, which routes.
    classifiers : mapping of str to classifier
        By name; "estimator" is given `fit_params` where metadata routing is off.
    sample_weight : array-like of shape (n_rows,) or None
    fit_params : mapping of str to object

    Returns
    -------
    dict of str to dict
        By name.
    """
    if sklearn.get_config()["enable_metadata_routing"]:
        routed = process_routing(owner, "fit", sample_weight=sample_weight, **fit_params)
        return {name: dict(routed[name].get("fit", {})) for name in classifiers}
    given: dict[str, dict[str, Any]] = {name: {} for name in classifiers}
    given[OWN].update(fit_params)
    for name, classifier in classifiers.items() if sample_weight is not None else ():
        if has_fit_parameter(classifier, "sample_weight"):
            given[name]["sample_weight"] = sample_weight
        elif not is_frozen(classifier):
            warn(
                f"the `fit` of {name!r}, a {type(classifier).__name__}, takes no `sample_weight`: "
                "it is fitted without weights, which then only count for the thresholds",
            )
    return given


def fit_to_rows(
    classifier: Any, X: Any, y: NDArray, rows: NDArray[np.int64], params: Mapping[str, Any]
) -> Any:
    """Return a copy of a classifier that is fitted to some rows, or a frozen one as it is.

    Parameters
    ----------
    classifier : classifier
    X : sequence of length n_rows
    y : ndarray of shape (n_rows,)
    rows : ndarray of int64
        Numbers of the rows to fit to.
    params : mapping of str to object
        What else `fit` is given, for all rows.

    Returns
    -------
    classifier

    Raises
    ------
    sklearn.exceptions.NotFittedError
        What is frozen is not fitted.
    """
    if is_frozen(classifier):
        check_is_fitted(classifier)
        return classifier
    params = _check_method_params(X, params, indices=rows)
    return clone(classifier).fit(_safe_indexing(X, rows), y[rows], **params)
