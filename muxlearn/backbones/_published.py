"""Checkpoints that the authors of DataMUX and of MUX-PLMs have published, as a start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from muxlearn._params import Constraint, ParameterObject, PathName
from muxlearn.backbones._base import Corpus, Start
from muxlearn.persistence import TOKENIZER_FILES, find_folder, read_shapes
from muxlearn.rows import fingerprint

__all__ = ["Published", "find_published"]


class Published(ParameterObject):
    """A published multiplexed checkpoint with a tokenizer.

    If the folder includes a tokenizer, its name alone is the same as a `backbone`.

    Parameters
    ----------
    checkpoint : str or path
        A folder, or a name on the hub.

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

    @property
    def label(self) -> str:
        """The name that error messages use."""
        return f"`backbone` {str(self.checkpoint)!r}"

    def structure(self) -> dict[str, Any]:
        """Return the parameters as data."""
        return {"checkpoint": str(self.checkpoint), "tokenizer": fingerprint(self.tokenizer)}

    def kinds(self, n_mux: int) -> None:
        """Return None: nothing comes with the encoder; see `Backbone`."""

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Raise ValueError: a checkpoint that is none cannot stand in for an encoder."""
        raise ValueError(
            f"{self.label} is no multiplexed checkpoint, and comes with its own tokenizer; give "
            "its name alone as `backbone`"
        )


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
    return folder if "instance_embedding" in read_shapes(folder) else None
