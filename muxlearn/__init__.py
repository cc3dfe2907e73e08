"""Multiplexed neural networks behind scikit-learn's interface."""

from muxlearn._image import MuxImageClassifier
from muxlearn._tagging import MuxTokenTagger
from muxlearn._text import MuxTextClassifier
from muxlearn._version import __version__ as __version__

__all__ = ["MuxImageClassifier", "MuxTextClassifier", "MuxTokenTagger"]
