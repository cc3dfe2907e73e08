"""Methods that only some exported models have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike

from muxlearn._docs import fill_docs
from muxlearn.export._model import OnnxPredictor
from muxlearn.points import PointLike

__all__ = ["predict_log_proba", "predict_proba"]


@fill_docs()
def predict_proba(
    self: OnnxPredictor,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> Any:
    """Predict probabilities as the exported estimator does.

    Parameters
    ----------
    {exported.X}

    {exported.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples, n_classes), or of a tagger a list of (n_tokens, n_tags)
    """
    return self.predictor_.predict(
        X, n_mux, groups, n_passes, "predict_proba", patch_size=patch_size
    )


@fill_docs()
def predict_log_proba(
    self: OnnxPredictor,
    X: Iterable[Any],
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> Any:
    """Predict logarithms of probabilities as the exported estimator does.

    Parameters
    ----------
    {exported.X}

    {exported.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    return self.predictor_.predict(
        X, n_mux, groups, n_passes, "predict_log_proba", patch_size=patch_size
    )
