"""Multiplexed neural networks behind scikit-learn's interface."""

__version__ = "0.1.0"

from muxlearn._text import MuxTextClassifier  # noqa: E402  (the version is read by what follows)

__all__ = ["MuxTextClassifier"]
