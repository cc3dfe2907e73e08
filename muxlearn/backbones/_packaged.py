"""The encoder that comes with this library."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from muxlearn.backbones._base import Corpus, Start
from muxlearn.backbones._warmed_up import Pretrained
from muxlearn.box import read_box
from muxlearn.persistence import TOKENIZER
from muxlearn.points import Point
from muxlearn.rows import LOOKED_AT, other_language

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Packaged", "load_packaged"]


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
    encodings = tokenizer.encode_batch(list(islice(texts, LOOKED_AT)))
    tokens = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32)
    if (warning := other_language(tokenizer, tokens)) is not None:
        warnings.warn(warning, stacklevel=2)
