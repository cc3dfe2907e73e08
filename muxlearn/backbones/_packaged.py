"""The encoder that comes with this library."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from muxlearn.backbones._base import Corpus, Start
from muxlearn.backbones._warmed_up import Pretrained
from muxlearn.box import read_box
from muxlearn.persistence import TOKENIZER
from muxlearn.points import Point

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Packaged", "load_packaged"]

#: Texts to look at, pieces of words that they must hold to be judged, and the share of broken ones
#: that is too many: English has 0.1, tweets 0.2, Spanish and French 0.4, German 0.5, Chinese 1.
_LOOKED_AT, _ENOUGH, _TOO_MANY = 500, 100, 0.4


@functools.cache
def load_packaged() -> Pretrained:
    """Load the packaged encoder.

    Returns
    -------
    Pretrained
        The same each time: not to be changed.

    Raises
    ------
    muxlearn.persistence.FormatError
        A file is missing or is not the one that was packaged.
    """
    config, tensors, files = read_box()
    return Pretrained.from_saved(Packaged.label, config, tensors, files[TOKENIZER])


class Packaged:
    """The packaged encoder, warmed up for mixtures."""

    label = "the packaged encoder"
    from_scratch = False
    packaged = True

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the kinds that it was warmed up with; see `Backbone`."""
        return load_packaged().kinds(n_mux)

    def auto_point(self, factor: int) -> Point | None:
        """Return the best point that it was warmed up for; see `Backbone`."""
        return load_packaged().auto_point(factor)

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Take over what the warm-up has left; see `Backbone`."""
        start = load_packaged().start(**wanted)
        _warn_of_other_languages(start.reader, corpus.as_texts(corpus.rows))
        return start


def _warn_of_other_languages(tokenizer: Tokenizer, texts: Iterable[Any]) -> None:
    n_pieces, n_broken = 0, 0
    for encoding in tokenizer.encode_batch(list(islice(texts, _LOOKED_AT))):
        for piece in encoding.tokens:
            bare = piece.removeprefix("##")
            if piece == "[UNK]" or bare.isalpha():
                n_pieces += 1
                alone = len(bare) == 1 and bare not in ("a", "i")
                n_broken += alone or piece != bare or piece == "[UNK]"
    if n_pieces >= _ENOUGH and n_broken > _TOO_MANY * n_pieces:
        warnings.warn(
            f"{n_broken / n_pieces:.0%} of the pieces of `X` are fragments or unknown to the "
            "packaged encoder, which reads English: expect little of it. Give a `backbone` that "
            "reads this language, or backbone='scratch'",
            stacklevel=2,
        )
