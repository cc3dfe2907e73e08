"""The packaged encoder, the default `backbone` of text estimators.

A compact English encoder of this library, distilled from a sentence encoder and warmed up for
mixtures of 1 to 20 texts. MODEL_CARD.md, in this folder, says what it is and how it was made;
``python -m muxlearn.box`` makes it again.
"""

from muxlearn.box._files import pack, read_box

__all__ = ["pack", "read_box"]
