"""The packaged encoder, the default `backbone` of text estimators.

An English encoder, MiniLM's own layers, warmed up for patches of 2, 5 and 10 tokens and for
mixtures of 1 to 20 texts. MODEL_CARD.md, in this folder, says what it is and how it was made;
``python -m muxlearn.box`` makes it again.
"""

from typing import Any

from muxlearn.box._files import pack, packaged_minilm, read_box

__all__ = ["pack", "packaged_minilm", "read_box"]


def __getattr__(name: str) -> Any:
    if name == "load_box":
        raise ImportError(
            "`load_box` is gone; `read_box` returns the files of the packaged encoder, and "
            "`backbone=None` of an estimator starts from it"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
