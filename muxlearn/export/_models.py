"""Exported models, one class for each kind of estimator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from muxlearn._docs import fill_docs
from muxlearn.estimators import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextRegressor,
    MuxTokenTagger,
)
from muxlearn.export import _methods
from muxlearn.export._model import OnnxModel
from muxlearn.points import PointLike

__all__ = ["OnnxMuxClassifier", "OnnxMuxRegressor", "OnnxMuxTagger"]


@fill_docs()
class OnnxMuxClassifier(OnnxModel):
    """A `MuxTextClassifier` or `MuxImageClassifier` that predicts by onnxruntime.

    Made by `OnnxMuxClassifier.load` of what `export_onnx` has written. Plans, checks and labels are
    those of the estimator; its network runs in onnxruntime, and no torch module is built. It cannot
    be fitted. Pickles hold the graphs.

    Attributes
    ----------
    {classes_}

    {exported.operating_points}

    {exported.n_mux_attribute}

    {exported.dtype}

    Examples
    --------
    >>> from muxlearn.export import OnnxMuxClassifier, export_onnx
    >>> export_onnx(clf, "folder")  # doctest: +SKIP
    >>> OnnxMuxClassifier.load("folder").predict(X_new)  # doctest: +SKIP
    """

    _estimators = (MuxTextClassifier, MuxImageClassifier)

    predict_proba = _methods.predict_proba

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> NDArray:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        {exported.X}

        {exported.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        return self.predictor_.predict(
            X, n_mux, groups, n_passes, "decision_function", patch_size=patch_size
        )


@fill_docs(labels="tags")
class OnnxMuxTagger(OnnxModel):
    """A `MuxTokenTagger` that predicts by onnxruntime.

    Made by `OnnxMuxTagger.load` of what `export_onnx` has written; see `OnnxMuxClassifier`. The
    sequences of tags are decoded as the tagger's `decode` says.

    Attributes
    ----------
    {classes_}

    {exported.operating_points}

    {exported.n_mux_attribute}

    {exported.dtype}
    """

    _estimators = (MuxTokenTagger,)

    predict_proba = _methods.predict_proba


@fill_docs()
class OnnxMuxRegressor(OnnxModel):
    """A `MuxTextRegressor` or `MuxImageRegressor` that predicts by onnxruntime.

    Made by `OnnxMuxRegressor.load` of what `export_onnx` has written; see `OnnxMuxClassifier`. The
    graphs answer with standardised targets, and `predict` with targets as they were in `fit`.

    Attributes
    ----------
    {exported.operating_points}

    {exported.n_mux_attribute}

    {exported.dtype}
    """

    _estimators = (MuxTextRegressor, MuxImageRegressor)
