"""Exported models, one class for each kind of estimator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muxlearn._docs import fill_docs
from muxlearn.estimators import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
)
from muxlearn.export import _methods
from muxlearn.export._model import OnnxModel, OnnxPredictor
from muxlearn.points import PointLike

__all__ = ["OnnxMuxClassifier", "OnnxMuxEmbedder", "OnnxMuxRegressor", "OnnxMuxTagger"]


@fill_docs()
class OnnxMuxClassifier(OnnxPredictor):
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
    predict_log_proba = _methods.predict_log_proba

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
class OnnxMuxTagger(OnnxPredictor):
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
class OnnxMuxRegressor(OnnxPredictor):
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


@fill_docs(row="text", rows="texts")
class OnnxMuxEmbedder(OnnxModel):
    """A `MuxTextEmbedder` that embeds by onnxruntime.

    Made by `OnnxMuxEmbedder.load` of what `export_onnx` has written; see `OnnxMuxClassifier`.

    Attributes
    ----------
    {exported.operating_points}

    {exported.n_mux_attribute}

    {exported.dtype}
    """

    _estimators = (MuxTextEmbedder,)

    def transform(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """Embed texts as the exported estimator does.

        Parameters
        ----------
        {exported.X}

        {exported.n_mux}

        {predict.groups}

        {transform.n_passes}

        {predict.patch_size}

        Returns
        -------
        ndarray of float32, shape (n_samples, n_features)
        """
        return self.predictor_.predict(
            X, n_mux, groups, n_passes, "transform", patch_size=patch_size
        )

    def transform_iter(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Embed a stream of texts of any length in constant memory.

        Parameters
        ----------
        X : iterable
            The texts, read as vectors are requested, up to two windows of some thousand ahead.

        {exported.n_mux}

        {stream.groups}

        {transform.n_passes}

        {predict.patch_size}

        Returns
        -------
        iterator
            One vector for each text, in order.
        """
        return self.predictor_.predict_iter(
            X, n_mux, groups, n_passes, "transform", patch_size=patch_size
        )
