"""Multiplexed neural networks behind scikit-learn's interface."""

__version__ = "0.1.0"

from muxlearn._image import MuxImageClassifier
from muxlearn._tagging import MuxTokenTagger
from muxlearn._text import MuxTextClassifier

__all__ = ["MuxImageClassifier", "MuxTextClassifier", "MuxTokenTagger"]
