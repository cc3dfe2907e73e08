"""The student of a training: made from its teacher, written and read as a checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import nn

from muxlearn.box._teacher import compress, encoder_arguments, expand
from muxlearn.nn.demultiplex import NestedDemultiplexer
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.multiplex import NestedMultiplexer
from muxlearn.persistence import open_file, replace_files
from muxlearn.points import Point

__all__ = ["make_student", "read_parts", "read_points", "write_parts"]

#: How long the words' vector is at the start, beside that of the encoder.
_WORDS_SHARE = 0.3


def make_student(teacher: CompactEncoder, points: Iterable[Point]) -> MuxSequenceEmbedder:
    """Start a student from its teacher's own layers.

    Parameters
    ----------
    teacher : CompactEncoder
    points : iterable of Point
        What it is trained for.

    Returns
    -------
    MuxSequenceEmbedder
        At ``(1, 1)`` it says what the teacher says.
    """
    points, width = list(points), teacher.hidden_size
    n_mux = max(point.n_mux for point in points)
    student = MuxSequenceEmbedder(
        copy.deepcopy(teacher),
        NestedMultiplexer(n_mux, width),
        NestedDemultiplexer(n_mux, width),
        width,
        patch_sizes=sorted({1, *(point.patch_size for point in points)}),
    )
    student.retrieval = None
    lexical = student.lexical_mean
    assert lexical is not None
    with torch.no_grad():
        lexical.norm.load_state_dict(teacher.embedding_norm.state_dict())
        nn.init.eye_(lexical.out.weight).mul_(_WORDS_SHARE)
        for head in (cast(nn.Linear, student.head), cast(nn.Linear, student.token_head)):
            nn.init.eye_(head.weight)
            nn.init.zeros_(head.bias)
    return student


def write_parts(
    student: MuxSequenceEmbedder,
    folder: Path,
    points: Iterable[Point],
    step: int,
    most_bytes: int = 15_000_000,
) -> None:
    """Write a checkpoint in files of a limited size; joined in order, they are one.

    Parameters
    ----------
    student : MuxSequenceEmbedder
    folder : Path
    points : iterable of Point
        What it was trained for.
    step : int
    most_bytes : int, default=15,000,000
        Size of a part.
    """
    encoder = student.encoder
    assert isinstance(encoder, CompactEncoder)
    metadata = {
        "step": str(step),
        "points": json.dumps(list(points)),
        "sizes": json.dumps(encoder_arguments(encoder)),
    }
    content = save(compress(student.state_dict()), metadata=metadata)
    with replace_files(folder) as staged:
        for number, start in enumerate(range(0, len(content), most_bytes)):
            (staged / _name(number)).write_bytes(content[start : start + most_bytes])


def read_parts(folder: Path) -> MuxSequenceEmbedder:
    """Read what `write_parts` has left.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    MuxSequenceEmbedder

    Raises
    ------
    FileNotFoundError
        A part is missing.
    """
    content = _read(folder)
    metadata = _header(content)["__metadata__"]
    student = make_student(CompactEncoder(**json.loads(metadata["sizes"])), _points(metadata))
    student.load_state_dict(expand(load(content)))
    return student


def read_points(folder: Path) -> tuple[Point, ...]:
    """Read what a student in parts was trained for.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    tuple of Point
    """
    return _points(_header(_read(folder))["__metadata__"])


def _name(number: int) -> str:
    return f"encoder.safetensors.{number:02d}"


def _read(folder: Path) -> bytes:
    """Join the parts of the last checkpoint; others may be left of a former, larger one."""
    content, number = b"", 0
    while number == 0 or len(content) < _size(content):
        file = open_file(folder, _name(number))
        if file is None:
            raise FileNotFoundError(
                f"{folder} holds no {_name(number)}; python -m muxlearn.box.train writes it"
            )
        with file:
            content += file.read()
        number += 1
    return content


def _size(content: bytes) -> int:
    """Return the size of a whole safetensors file, from its first part."""
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = (entry for name, entry in _header(content).items() if name != "__metadata__")
    return start + max(tensor["data_offsets"][1] for tensor in tensors)


def _header(content: bytes) -> dict[str, Any]:
    """Read the header of a safetensors file, which is short and stands in the first part."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])


def _points(metadata: dict[str, str]) -> tuple[Point, ...]:
    return tuple(Point(*point) for point in json.loads(metadata["points"]))
