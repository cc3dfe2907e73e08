"""The encoder that comes with this library."""

from __future__ import annotations

import functools
from typing import Any

from muxlearn.backbones._base import Corpus, Start
from muxlearn.backbones._warmed_up import Pretrained
from muxlearn.box import read_box
from muxlearn.persistence import TOKENIZER

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

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Take over what the warm-up has left; see `Backbone`."""
        return load_packaged().start(**wanted)
