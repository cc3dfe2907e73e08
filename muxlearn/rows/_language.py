"""Whether texts are in the language of a tokenizer of English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LOOKED_AT", "other_language"]

#: Rows to look at.
LOOKED_AT = 500

#: The share of broken pieces that is too many, and by how many pieces they must exceed it: English
#: has 0.1, tweets 0.2, Spanish and French 0.4, German 0.5, Chinese 1.
_TOO_MANY, _EXCESS = 0.4, 10


def other_language(tokenizer: Any, tokens: NDArray[np.int32]) -> str | None:
    """Return a warning where the pieces of texts show that they are not in English.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        A WordPiece tokenizer of English.
    tokens : ndarray of int32, shape (n_tokens,)
        The tokens of the texts.

    Returns
    -------
    str or None
        None for English, for texts without words, and for a few words of any language.
    """
    n_pieces, n_broken = 0, 0
    for token, count in zip(*np.unique(tokens, return_counts=True), strict=True):
        piece = tokenizer.id_to_token(int(token))
        bare = piece.removeprefix("##")
        if piece == "[UNK]" or bare.isalpha():
            n_pieces += count
            alone = len(bare) == 1 and bare not in ("a", "i")
            n_broken += count * (alone or piece != bare or piece == "[UNK]")
    if n_broken <= _TOO_MANY * n_pieces + _EXCESS:
        return None
    return (
        f"{n_broken / n_pieces:.0%} of the pieces of `X` are fragments or unknown to the packaged "
        "encoder, which reads English: expect little of it. Give a `backbone` that reads this "
        "language, or backbone='scratch'"
    )
