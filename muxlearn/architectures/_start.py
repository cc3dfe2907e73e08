"""The encoder that a setting asks for."""

from __future__ import annotations

from muxlearn.architectures._base import Setting
from muxlearn.backbones import Corpus, Start, make_backbone

__all__ = ["load_start"]


def load_start(setting: Setting, corpus: Corpus, n_prefix: int = 0) -> Start:
    """Load or build the encoder that `backbone` names, with its reader.

    Parameters
    ----------
    setting : Setting
        Without "auto" for multiplexer and demultiplexer.
    corpus : Corpus
    n_prefix : int, default=0
        Positions that the demultiplexer takes.

    Returns
    -------
    Start

    Raises
    ------
    OSError, ValueError
        See `Backbone.start`.
    """
    params = setting.params
    return make_backbone(params["backbone"]).start(
        corpus,
        n_mux=setting.n_mux,
        multiplexer=params["multiplexer"],
        demultiplexer=params["demultiplexer"],
        n_prefix=n_prefix,
        max_length=params["max_length"],
        dropout=params["dropout"],
    )
