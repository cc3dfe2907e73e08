"""Encoders that this library has warmed up, as the start of a classifier or tagger."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.exceptions import NotFittedError
from torch import Tensor

from muxlearn._warnings import warn
from muxlearn.backbones._base import Corpus, Start, Vectors, cutting
from muxlearn.backbones._transformers import encoder_from_config
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import NESTED
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import (
    TOKENIZER,
    FormatError,
    bounded_by,
    check_sizes,
    decode_params,
    parse_config,
    read_folder,
    told_as_format_error,
)
from muxlearn.points import Point

__all__ = [
    "Pretrained",
    "Pretrainer",
    "describe_folder",
    "is_ours",
    "is_pretrainer",
    "read_pretrained",
]

_ESTIMATOR = "MuxTextPretrainer"
_KEYS_OF_ROWS = ("multiplexer.keys", "demultiplexer.keys")


@dataclass(eq=False)
class Pretrained:
    """The result of a warm-up, from which other estimators start.

    Attributes
    ----------
    name : str
        The name that error messages use.
    n_mux : int
        Number of slots, its capacity.
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
    patch_sizes : tuple of int
        Neighbouring tokens that may share a position.
    words : bool
        Whether the words alone can answer.
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
    patch_sizes: tuple[int, ...] = (1,)
    words: bool = False

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
            patch_sizes=tuple(config.get("patch_sizes", (1,))),
            words=bool(config.get("words")),
        )

    def fits(self, n_mux: int, multiplexer: str, demultiplexer: str) -> bool:
        """Return whether multiplexer and demultiplexer, beside the encoder, can start from here.

        Parameters
        ----------
        n_mux : int
        multiplexer, demultiplexer : str
            What is to be built.

        Returns
        -------
        bool
        """
        if (multiplexer, demultiplexer) != (self.multiplexer, self.demultiplexer):
            return False
        if multiplexer == NESTED:
            return n_mux <= self.n_mux
        return n_mux == self.n_mux if self.n_blocks is None else n_mux <= self.n_blocks

    @property
    def most_rows(self) -> int:
        """The most rows in a mixture that it was warmed up for."""
        return self.n_blocks or self.n_mux

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the kinds of its multiplexer and demultiplexer if they serve `n_mux` rows."""
        kinds = self.multiplexer, self.demultiplexer
        return kinds if self.fits(n_mux, *kinds) else None

    def auto_point(self, factor: int) -> Point:
        """Return the best of its operating points; see `Backbone`."""
        return _best_point(self.n_mux, self.patch_sizes, factor)

    def encoder(self, dropout: float) -> CompactEncoder | PretrainedEncoder:
        """Build the encoder.

        Raises
        ------
        muxlearn.persistence.FormatError
            Its sizes are not those of the weights.
        """
        encoder: CompactEncoder | PretrainedEncoder
        tensors = {
            name.removeprefix("encoder."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith("encoder.")
        }
        shapes = [tensor.shape for tensor in tensors.values()]
        with told_as_format_error(f"the files of {self.name}"), bounded_by(shapes):
            check_sizes({"encoder": self.sizes, "backbone": self.transformers_config}, shapes)
            if self.sizes is not None:
                encoder = CompactEncoder(**self.sizes, dropout=dropout)
            else:
                assert self.transformers_config is not None
                encoder = encoder_from_config(self.transformers_config, dropout)
            encoder.load_state_dict(tensors)
        return encoder

    def start(
        self,
        *,
        n_mux: int,
        multiplexer: str,
        demultiplexer: str,
        max_length: int,
        dropout: float,
        **_: Any,
    ) -> Start:
        """Return encoder and tokenizer, and the rest where it fits what is to be built."""
        from tokenizers import Tokenizer

        if n_mux > self.most_rows:
            warn(
                f"{self.name} was warmed up for mixtures of up to {self.most_rows} rows, but "
                f"`n_mux` is {n_mux}: the encoder alone starts there, the parts around it from "
                "scratch, which takes a warm-up and costs accuracy; set "
                f"n_mux={self.most_rows} or less",
            )
        encoder = self.encoder(dropout)
        reader = cutting(Tokenizer.from_str(self.tokenizer), max_length)
        if self.fits(n_mux, multiplexer, demultiplexer):
            head = self.tensors.get("head.weight")
            vectors = Vectors(self.patch_sizes, self.words, None if head is None else len(head))
            return Start(encoder, reader, self.n_blocks, self.load_into, vectors)
        return Start(encoder, reader)

    def load_into(self, module: MuxTextModule) -> None:
        """Start the rest of a module's weights from here, all those that have a counterpart.

        Parameters
        ----------
        module : MuxTextModule
        """
        parts = (
            *("multiplexer.", "demultiplexer.", "prefix_embedding."),
            *("lexical_mean.", "retrieval.", "patches.", "patch_reader."),
            *("head.", "token_head."),  # of vectors; those of tasks have other names
        )
        known = module.state_dict()
        tensors = {}
        for name, tensor in self.tensors.items():
            if not name.startswith(parts) or name not in known:
                continue
            if name in _KEYS_OF_ROWS and self.multiplexer == NESTED:
                tensor = tensor[: len(known[name])]  # n rows take the first n keys
            # A tagger reads patches by vectors of another size, which are new.
            if tensor.shape == known[name].shape:
                tensors[name] = tensor
        module.load_state_dict(tensors, strict=False)
        new_maps = [name for name in known if name.startswith("patches.") and name not in tensors]
        module.warmed_up = not new_maps


def _best_point(n_mux: int, patch_sizes: tuple[int, ...], factor: int) -> Point:
    """Share a position among as many tokens of one row as there are maps for, then among rows."""
    patch_size = max((size for size in patch_sizes if size <= factor), default=1)
    return Point(min(n_mux, factor // patch_size), patch_size)


def is_pretrainer(backbone: Any) -> bool:
    """Return whether a parameter is a `MuxTextPretrainer`, or a frozen one."""
    return hasattr(getattr(backbone, "estimator", backbone), "as_pretrained")


def is_ours(folder: str | os.PathLike) -> bool:
    """Return whether a folder was written by this library."""
    try:
        parse_config(Path(folder))
    except FormatError:
        return False
    return True


def describe_folder(folder: str | os.PathLike) -> Pretrained | None:
    """Return what a `MuxTextPretrainer` was saved to, without its weights and its tokenizer.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    Pretrained or None
        None if it holds something else.
    """
    try:
        return Pretrained.from_saved(str(folder), parse_config(Path(folder)), {}, "")
    except (FormatError, KeyError, TypeError, ValueError):
        return None  # `read_pretrained` says why


def read_pretrained(folder: str | os.PathLike) -> Pretrained:
    """Read what a `MuxTextPretrainer` was saved to.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    Pretrained

    Raises
    ------
    muxlearn.persistence.FormatError
        The folder holds something else, or damaged files.
    """
    found = parse_config(Path(folder)).get("estimator")
    if isinstance(found, str) and found != _ESTIMATOR:
        # An embedder trains nothing.
        then = "" if found == "MuxTextEmbedder" else " and train it on with warm_start=True"
        raise FormatError(
            f"`backbone` {str(folder)!r} holds a {found}, not a {_ESTIMATOR}, and a model of one "
            "task is no backbone of another; give the backbone that it started from, or load it "
            f"with {found}.load{then}"
        )
    config, tensors, files = read_folder(folder, _ESTIMATOR)
    with told_as_format_error(f"the files in {str(folder)!r}"):
        name = f"`backbone` {str(folder)!r}"
        return Pretrained.from_saved(name, config, tensors, files[TOKENIZER])


class Pretrainer:
    """A fitted `MuxTextPretrainer` as a backbone.

    Parameters
    ----------
    value : MuxTextPretrainer or FrozenEstimator
    """

    label = "`backbone`"
    from_scratch = False
    packaged = False

    def __init__(self, value: Any) -> None:
        self.value = getattr(value, "estimator", value)  # a FrozenEstimator holds it

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the kinds that it was warmed up with; see `Backbone`."""
        fitted = self.value.__sklearn_is_fitted__()
        return self.value.as_pretrained().kinds(n_mux) if fitted else None

    def auto_point(self, factor: int) -> Point | None:
        """Return the best point that it was warmed up for; see `Backbone`."""
        if not self.value.__sklearn_is_fitted__():
            return None
        module = self.value.module_
        return _best_point(module.n_mux, module.patch_sizes, factor)

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Take over what the warm-up has left; see `Backbone`."""
        if not self.value.__sklearn_is_fitted__():
            raise NotFittedError(
                "`backbone` is a MuxTextPretrainer that is not fitted, as scikit-learn's clone "
                "makes them; give FrozenEstimator(pretrainer), or the folder it was saved to"
            )
        return self.value.as_pretrained().start(**wanted)
