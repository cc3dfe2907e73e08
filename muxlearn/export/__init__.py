"""Fitted models that leave torch: ONNX graphs, and predictions by onnxruntime."""

from muxlearn.export._export import export_onnx
from muxlearn.export._models import (
    OnnxMuxClassifier,
    OnnxMuxEmbedder,
    OnnxMuxRegressor,
    OnnxMuxTagger,
)

__all__ = [
    "OnnxMuxClassifier",
    "OnnxMuxEmbedder",
    "OnnxMuxRegressor",
    "OnnxMuxTagger",
    "export_onnx",
]
