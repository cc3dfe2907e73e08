"""Encoders that this library has warmed up, as the start of a classifier or tagger."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.persistence import (
    TOKENIZER,
    FormatError,
    decode_params,
    parse_config,
    read_folder,
)

__all__ = ["SCRATCH", "Pretrained", "find_pretrained", "is_ours", "is_pretrainer"]

#: What `backbone` is for an encoder that is trained from nothing.
SCRATCH = "scratch"

_ESTIMATOR = "MuxTextPretrainer"


@dataclass(eq=False)
class Pretrained:
    """What a warm-up leaves to others.

    Attributes
    ----------
    name : str
        What to call it in an error.
    n_mux : int
        Its capacity.
    n_blocks : int or None
        Blocks that rows share, so that fewer rows get more of them each; None without such.
    multiplexer, demultiplexer : str
        The kinds that its weights are of.
    sizes : dict of str to int, or None
        What `CompactEncoder` takes, None for an encoder of the `transformers` library.
    transformers_config : dict or None
        What an encoder of the `transformers` library is built from.
    tensors : dict of str to Tensor
        Weights, by their names in a `MuxTextModule`.
    tokenizer : str
        The tokenizer as JSON.
    """

    name: str
    n_mux: int
    n_blocks: int | None
    multiplexer: str
    demultiplexer: str
    sizes: dict[str, Any] | None
    transformers_config: dict[str, Any] | None
    tensors: dict[str, Tensor] = field(repr=False)
    tokenizer: str = field(repr=False)

    @classmethod
    def from_saved(
        cls,
        name: str,
        config: dict[str, Any],
        tensors: dict[str, Tensor],
        tokenizer: str,
    ) -> Pretrained:
        """Make one of what a `MuxTextPretrainer` has saved."""
        structure = decode_params(config["structure"])
        return cls(
            name=name,
            n_mux=structure["n_mux"],
            n_blocks=config.get("n_blocks"),
            multiplexer=structure["multiplexer"],
            demultiplexer=structure["demultiplexer"],
            sizes=config.get("encoder"),
            transformers_config=config.get("backbone"),
            tensors=tensors,
            tokenizer=tokenizer,
        )

    def fits(self, n_mux: int, multiplexer: str, demultiplexer: str) -> bool:
        """Whether multiplexer and demultiplexer can start from here, and not the encoder alone.

        Parameters
        ----------
        n_mux : int
        multiplexer, demultiplexer : str
            What is to be built.

        Returns
        -------
        bool
        """
        same = (multiplexer, demultiplexer) == (self.multiplexer, self.demultiplexer)
        return same and (n_mux == self.n_mux if self.n_blocks is None else n_mux <= self.n_blocks)

    def encoder(self, dropout: float) -> CompactEncoder | PretrainedEncoder:
        """Build the encoder."""
        encoder: CompactEncoder | PretrainedEncoder
        if self.sizes is not None:
            encoder = CompactEncoder(**self.sizes, dropout=dropout)
        else:
            from muxlearn._backbone import encoder_from_config

            assert self.transformers_config is not None
            encoder = encoder_from_config(self.transformers_config, dropout)
        encoder.load_state_dict(
            {
                name.removeprefix("encoder."): tensor
                for name, tensor in self.tensors.items()
                if name.startswith("encoder.")
            }
        )
        return encoder

    def load_into(self, module: nn.Module) -> None:
        """Start the rest of a module's weights from here, all those that have a counterpart.

        Parameters
        ----------
        module : MuxTextModule
        """
        parts = (
            *("multiplexer.", "demultiplexer.", "prefix_embedding."),
            *("lexical_mean.", "retrieval."),
        )
        known = module.state_dict()
        tensors = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(parts) and name in known
        }
        module.load_state_dict(tensors, strict=False)


def find_pretrained(backbone: Any) -> Pretrained | None:
    """Return what a parameter `backbone` names, if it is an encoder of this library.

    Parameters
    ----------
    backbone : None, str, path or MuxTextPretrainer
        None names the packaged encoder.

    Returns
    -------
    Pretrained or None
        None for "scratch", and for what may be an encoder of the `transformers` library.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The pretrainer is not fitted.
    muxlearn.persistence.FormatError
        A folder of this library holds something else, or damaged files.
    """
    if backbone is None:
        from muxlearn.box import load_box

        return load_box()
    if is_pretrainer(backbone):
        backbone = getattr(backbone, "estimator", backbone)  # a FrozenEstimator holds it
        if not backbone.__sklearn_is_fitted__():
            raise NotFittedError(
                "`backbone` is a MuxTextPretrainer that is not fitted, as scikit-learn's clone "
                "makes them; give FrozenEstimator(pretrainer), or the folder it was saved to"
            )
        return backbone._as_pretrained()
    if backbone == SCRATCH or not is_ours(Path(backbone)):
        return None
    config, tensors, files = read_folder(backbone, _ESTIMATOR)
    return Pretrained.from_saved(f"`backbone` {str(backbone)!r}", config, tensors, files[TOKENIZER])


def is_pretrainer(backbone: Any) -> bool:
    """Whether a parameter is a `MuxTextPretrainer`, or a frozen one."""
    return hasattr(getattr(backbone, "estimator", backbone), "_as_pretrained")


def is_ours(folder: str | os.PathLike) -> bool:
    """Whether a folder was written by this library."""
    try:
        parse_config(Path(folder))
    except FormatError:
        return False
    return True
