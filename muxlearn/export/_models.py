"""Exported models, one class for each kind of estimator."""

from __future__ import annotations

from typing import Any

from muxlearn._docs import fill_docs
from muxlearn.estimators import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
    transform,
    transform_iter,
)
from muxlearn.export._model import OnnxModel, OnnxPredictor

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

    predict = MuxTextClassifier.predict
    predict_proba = MuxTextClassifier.predict_proba
    predict_log_proba = MuxTextClassifier.predict_log_proba
    decision_function = MuxTextClassifier.decision_function
    predict_iter = MuxTextClassifier.predict_iter
    score = MuxTextClassifier.score


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

    predict: Any = MuxTokenTagger.predict
    predict_proba: Any = MuxTokenTagger.predict_proba
    predict_iter: Any = MuxTokenTagger.predict_iter
    score: Any = MuxTokenTagger.score


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

    predict = MuxTextRegressor.predict
    predict_iter = MuxTextRegressor.predict_iter
    score = MuxTextRegressor.score


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

    transform = transform
    transform_iter = transform_iter
