"""Checkpoints that the authors of DataMUX and of MUX-PLMs have published, as a start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save
from sklearn.utils import check_random_state
from torch import Tensor

from muxlearn._params import (
    Boolean,
    Choice,
    Constraint,
    Integer,
    Number,
    OneOf,
    ParameterObject,
    PathName,
    check_parameters,
)
from muxlearn.backbones._base import Corpus, Start
from muxlearn.nn.reference import DATAMUX_CONFIG, fresh_datamux, to_state_dict
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.persistence import TOKENIZER, TOKENIZER_FILES, find_folder, read_shapes, write_files
from muxlearn.points import Point
from muxlearn.rows import fingerprint

__all__ = ["Published", "find_published", "point_of_published"]

#: The tensor that tells a published checkpoint from other ones, with a row for each slot.
_SLOTS = "instance_embedding"

#: The authors' names of multiplexers, by ours.
_MUXING = {
    "hadamard": "gaussian_hadamard",
    "binary": "binary_hadamard",
    "orthogonal": "random_ortho",
}

#: The authors' names of classifiers, by ours.
_OFFICIAL = {
    "ReferenceSequenceClassifier": "RobertaSequenceClassificationMuxed",
    "ReferenceTokenClassifier": "RobertaTokenClassificationMuxed",
    "MuxBertSequenceClassifier": "MuxedBertForSequenceClassification",
    "MuxBertTokenClassifier": "MuxedBertForTokenClassification",
    "MuxElectraSequenceClassifier": "MuxedElectraForSequenceClassification",
    "MuxElectraTokenClassifier": "MuxedElectraForTokenClassification",
}


class Published(ParameterObject):
    """A published multiplexed checkpoint with a tokenizer.

    If the folder includes a tokenizer, its name alone is the same as a `backbone`.

    Parameters
    ----------
    checkpoint : str or path, default=""
        A folder, or a name on the hub. `fit` refuses the default: it must be given.

    tokenizer : tokenizers.Tokenizer, default=None
        The tokenizer, such as ``tokenizers.Tokenizer.from_pretrained("bert-base-uncased")``. None
        takes the folder's.
    """

    constraints: ClassVar[dict[str, Constraint]] = {"checkpoint": PathName()}

    name: ClassVar[str] = "published"
    from_scratch: ClassVar[bool] = False
    packaged: ClassVar[bool] = False

    def __init__(self, checkpoint: str | os.PathLike = "", *, tokenizer: Any = None) -> None:
        self.checkpoint = checkpoint
        self.tokenizer = tokenizer

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike,
        tokenizer: Any,
        n_mux: int,
        *,
        multiplexer: str = "hadamard",
        demultiplexer: str = "index",
        key_norm: float = 1.0,
        key_sharing: float = 0.0,
        learn_keys: bool = False,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        vocab_size: int = 50265,
        random_state: int | None = None,
    ) -> Published:
        """Write DataMUX's own network with random weights, and return it as a backbone.

        This is how the paper begins: with the authors' arithmetic and nothing of ours, to be
        warmed up on the recovery of tokens and then trained for a task. The class is read off a
        token in front of the row, not off a mean.

        Parameters
        ----------
        folder : str or path
            Created if needed.
        tokenizer : tokenizers.Tokenizer
            The tokenizer, of at most `vocab_size` tokens; the paper has that of ``roberta-base``.
        n_mux : int
            Number of slots.
        multiplexer : {"hadamard", "binary", "orthogonal"}, default="hadamard"
        demultiplexer : {"index", "mlp"}, default="index"
        key_norm : float, default=1.0
            Length of a key of "hadamard". The authors' warm-up takes 20.
        key_sharing : float, default=0.0
            Part of its dimensions that a slot of "binary" shares with its neighbours, from 0 to 1
            (``binary_hadamard_epsilon``).
        learn_keys : bool, default=False
            Whether keys are trained.
        hidden_size, num_hidden_layers : int, default=768, 12
            Width and number of layers of the encoder, by default the paper's, as the next two.
        num_attention_heads, intermediate_size : int, default=12, 3072
            Attention heads of a layer, and width of the feed-forward layers.
        vocab_size : int, default=50265
            Rows of the token table, by default the paper's; at least 400. Some of the last 400
            also mark slots and summaries.
        random_state : int, default=None
            Seed of the weights.

        Returns
        -------
        Published

        Raises
        ------
        TypeError, ValueError
            A parameter is not allowed.

        Examples
        --------
        >>> from tokenizers import Tokenizer
        >>> from muxlearn import MuxTextClassifier
        >>> from muxlearn.backbones import Published
        >>> roberta = Tokenizer.from_pretrained("roberta-base")  # doctest: +SKIP
        >>> start = Published.create("start", roberta, 10, key_norm=20)  # doctest: +SKIP
        >>> clf = MuxTextClassifier(n_mux=10, backbone=start, warm_up=5)  # doctest: +SKIP
        """
        sizes = {
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "intermediate_size": intermediate_size,
            "vocab_size": vocab_size,
        }
        given = {
            "folder": folder,
            "n_mux": n_mux,
            "multiplexer": multiplexer,
            "demultiplexer": demultiplexer,
            "key_norm": key_norm,
            "key_sharing": key_sharing,
            "learn_keys": learn_keys,
            "random_state": random_state,
            **sizes,
        }
        constraints: dict[str, Constraint] = {
            "folder": PathName(),
            "n_mux": Integer(2),
            "multiplexer": Choice(*_MUXING),
            "demultiplexer": Choice("index", "mlp"),
            "key_norm": Number(0),
            "key_sharing": Number(0, 1),
            "learn_keys": Boolean(),
            "random_state": OneOf(Integer(0), None),
            **dict.fromkeys(sizes, Integer(1)),
            "vocab_size": Integer(400),
        }
        check_parameters(given, constraints)
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"`hidden_size` is {hidden_size}, which {num_attention_heads} attention heads do "
                "not divide"
            )
        # A slot has a key as wide as a vector, and a token that marks it, below the last one.
        if n_mux > (most := min(hidden_size, vocab_size - 1)):
            raise ValueError(
                f"`n_mux` is {n_mux}, but a `hidden_size` of {hidden_size} and a `vocab_size` of "
                f"{vocab_size} have room for {most} slots at most"
            )
        if vocab_size < (n_tokens := tokenizer.get_vocab_size()):
            raise ValueError(f"`vocab_size` is {vocab_size}, but `tokenizer` has {n_tokens} tokens")
        config = {
            **sizes,
            "num_instances": n_mux,
            "muxing_variant": _MUXING[multiplexer],
            "demuxing_variant": demultiplexer,
            "gaussian_hadamard_norm": key_norm,
            "binary_hadamard_epsilon": key_sharing,
            "learn_muxing": learn_keys,
        }
        with torch.random.fork_rng(devices=()):
            if random_state is None:
                random_state = check_random_state(None).randint(2**31 - 1)
            torch.default_generator.manual_seed(random_state)
            model = fresh_datamux(config)
        _write(folder, {**DATAMUX_CONFIG, **config}, to_state_dict(model), tokenizer)
        return cls(folder)

    @classmethod
    def keep(
        cls, folder: str | os.PathLike, module: ReferenceTextModule, tokenizer: Any
    ) -> Published:
        """Write a trained network in the authors' layout, and return it as a backbone.

        Parameters
        ----------
        folder : str or path
            Created if needed.
        module : ReferenceTextModule
            The `module_` of an estimator whose backbone was a `Published`.
        tokenizer : tokenizers.Tokenizer

        Returns
        -------
        Published
        """
        made_by = _OFFICIAL[module.setting["model"]]
        config = {**module.setting["config"], "architectures": [made_by]}
        _write(folder, config, to_state_dict(module.model), tokenizer)
        return cls(folder)

    @property
    def label(self) -> str:
        """The name that error messages use."""
        return f"`backbone` {str(self.checkpoint)!r}"

    def structure(self) -> dict[str, Any]:
        """Return the parameters as data."""
        return {"checkpoint": str(self.checkpoint), "tokenizer": fingerprint(self.tokenizer)}

    def kinds(self, n_mux: int) -> None:
        """Return None: nothing comes with the encoder; see `Backbone`."""

    def auto_point(self, factor: int) -> Point | None:
        """Return the rows that the weights are for; see `Backbone`."""
        return point_of_published(self.checkpoint) or Point(factor)

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Raise ValueError: `checkpoint` holds no multiplexed network."""
        raise ValueError(
            f"{self.label} is no multiplexed checkpoint, and comes with its own tokenizer; give "
            "its name alone as `backbone`"
        )


def _write(
    folder: str | os.PathLike, config: dict[str, Any], tensors: dict[str, Tensor], tokenizer: Any
) -> None:
    """Write a checkpoint with its tokenizer in one step."""
    contents = {
        "config.json": json.dumps(config, indent=1).encode(),
        "model.safetensors": save(tensors),
        TOKENIZER: tokenizer.to_str().encode(),
    }
    write_files(folder, contents)


def find_published(name: str | os.PathLike) -> Path | None:
    """Return the folder of a `backbone` if it is a checkpoint of DataMUX or of MUX-PLMs.

    It is recognised by its tensors, whatever its configuration says.

    Parameters
    ----------
    name : str or path
        A folder, or a name on the hub, whose weights are downloaded.

    Returns
    -------
    Path or None
        The folder; None where it holds something else, or nothing that can be read.

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    """
    folder = find_folder(
        name,
        ("config.json", *TOKENIZER_FILES),
        parameter="backbone",
        settings="the environment variable HF_HOME",
        weights=True,
    )
    return folder if _SLOTS in read_shapes(folder) else None


def point_of_published(folder: str | os.PathLike) -> Point | None:
    """Return the rows that the weights in a folder are for, without a look at the hub.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    Point or None
        None if this is no folder, or holds something else.
    """
    shape = read_shapes(Path(folder)).get(_SLOTS)
    return Point(shape[0]) if shape else None
