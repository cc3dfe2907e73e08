"""Multiplexed neural networks behind scikit-learn's interface.

The estimators are loaded when they are first used, as torch and scikit-learn take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from muxlearn._version import __version__ as __version__

if TYPE_CHECKING:
    from muxlearn.estimators import (
        MuxImageClassifier,
        MuxImageRegressor,
        MuxTextClassifier,
        MuxTextEmbedder,
        MuxTextRegressor,
        MuxTokenTagger,
    )

__all__ = [
    "MuxImageClassifier",
    "MuxImageRegressor",
    "MuxTextClassifier",
    "MuxTextEmbedder",
    "MuxTextRegressor",
    "MuxTokenTagger",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("muxlearn.estimators"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
