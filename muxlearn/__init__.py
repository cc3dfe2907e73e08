"""Multiplexed neural networks behind scikit-learn's interface."""

from muxlearn._version import __version__ as __version__
from muxlearn.estimators import (
    MuxImageClassifier,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTokenTagger,
)

__all__ = ["MuxImageClassifier", "MuxTextClassifier", "MuxTextEmbedder", "MuxTokenTagger"]
