"""Exported models, one class for each kind of estimator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from muxlearn.estimators import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.export._model import OnnxModel

__all__ = ["OnnxMuxClassifier", "OnnxMuxTagger"]


class OnnxMuxClassifier(OnnxModel):
    """A `MuxTextClassifier` or `MuxImageClassifier` that predicts by onnxruntime.

    Made by `OnnxMuxClassifier.load` of what `export_onnx` has written. Plans, checks and labels are
    those of the estimator; its network runs in onnxruntime, and no torch module is built. It cannot
    be fitted. Pickles hold the graphs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    operating_points : tuple of int
        The `n_mux` that were exported, descending.

    n_mux : int
        The largest of them.

    dtype : {"float32", "int8"}
        Of the weights.

    Examples
    --------
    >>> from muxlearn.export import OnnxMuxClassifier, export_onnx
    >>> export_onnx(clf, "folder")  # doctest: +SKIP
    >>> OnnxMuxClassifier.load("folder").predict(X_new)  # doctest: +SKIP
    """

    _estimators = (MuxTextClassifier, MuxImageClassifier)

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        return self.predictor_.predict(X, n_mux, groups, n_passes, "decision_function")


class OnnxMuxTagger(OnnxModel):
    """A `MuxTokenTagger` that predicts by onnxruntime.

    Made by `OnnxMuxTagger.load` of what `export_onnx` has written; see `OnnxMuxClassifier`. The
    sequences of tags are decoded as the tagger's `decode` says.

    Attributes
    ----------
    classes_ : ndarray of shape (n_tags,)
        The tags, sorted.

    operating_points : tuple of int
        The `n_mux` that were exported, descending.

    n_mux : int
        The largest of them.

    dtype : {"float32", "int8"}
        Of the weights.
    """

    _estimators = (MuxTokenTagger,)
