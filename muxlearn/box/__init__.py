"""The packaged encoder, the default `backbone` of text estimators.

An English encoder, MiniLM's own layers, warmed up for patches of 2, 5 and 10 tokens and for
mixtures of 1 to 20 texts. MODEL_CARD.md, in this folder, says what it is and how it was made;
``python -m muxlearn.box`` makes it again.
"""

from muxlearn.box._files import pack, packaged_minilm, read_box

__all__ = ["pack", "packaged_minilm", "read_box"]
