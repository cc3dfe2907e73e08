"""Save what a training has left as a backbone: ``python -m muxlearn.box.save PARTS FOLDER``.

PARTS is the output folder of ``python -m muxlearn.box.train``; a training that was cut off has left
its last checkpoint there. FOLDER is then a `backbone` of the text estimators::

    MuxTextClassifier(n_mux=2, patch_size=5, backbone=FOLDER)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from muxlearn._version import __version__
from muxlearn.box._files import packaged_minilm
from muxlearn.box._student import read_parts, read_points
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.multiplex import NESTED
from muxlearn.persistence import TOKENIZER, encode_params, write_folder
from muxlearn.points import WORDS, Point


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and save.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box.save", description=__doc__)
    parser.add_argument("parts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--tokenizer", type=Path, default=None, help="tokenizer.json; default that of MiniLM"
    )
    args = parser.parse_args(argv)
    try:
        student, points = read_parts(args.parts), read_points(args.parts)
    except FileNotFoundError as error:
        parser.error(str(error))
    tokenizer = args.tokenizer or Path(packaged_minilm(), "tokenizer.json")
    save_student(student, points, tokenizer.read_text(encoding="utf-8"), args.folder)
    print(f"{args.folder}: a backbone, {NESTED} in rows and tokens")
    return 0


def save_student(
    student: MuxSequenceEmbedder,
    points: tuple[Point, ...],
    tokenizer: str,
    folder: str | os.PathLike,
) -> None:
    """Write a student as `MuxTextPretrainer.save` writes a pretrainer.

    Parameters
    ----------
    student : MuxSequenceEmbedder
        From `make_student`, trained.
    points : tuple of Point
        What it was trained for, beside the words alone.
    tokenizer : str
        The teacher's tokenizer as JSON.
    folder : str or path
    """
    encoder = student.encoder
    assert isinstance(encoder, CompactEncoder)
    max_length = encoder.position_embedding.num_embeddings
    sizes = {"n_mux": student.n_mux, "patch_size": 1, "max_length": max_length, "dropout": 0.1}
    kinds = {"multiplexer": NESTED, "demultiplexer": NESTED, "backbone": "scratch"}
    structure: dict[str, Any] = {**sizes, **kinds, "architecture": "tmux"}
    params = {
        **structure,
        "operating_points": (*map(tuple, points), str(WORDS)),
        "batch_size": 32,
    }
    config = {
        "estimator": "MuxTextPretrainer",
        "muxlearn_version": __version__,
        "params": encode_params(params),
        "structure": encode_params(structure),
        "labels": None,
        "task": {"name": "vectors"},
        "reader": {"kind": "texts", "pairs": False, "apart": False},
        "plan_seed": 0,
        "planner": {"in_order": False, "window_rows": 8192},
        "measured_points": None,
        "history": [],
        "warm_up_history": None,
        "vocab_size": encoder.embedding.num_embeddings,
        "encoder": encoder.sizes,
        "patch_sizes": list(student.patch_sizes),
        "words": True,
        "warmed_up": False,
        "vector_size": student.vector_size,
    }
    write_folder(folder, config, student.state_dict(), {TOKENIZER: _cutting(tokenizer, max_length)})


def _cutting(tokenizer: str, max_length: int) -> str:
    """Return a tokenizer that cuts off what the encoder has no positions for."""
    made = json.loads(tokenizer)
    made["padding"] = None
    made["truncation"] = {
        "direction": "Right",
        "max_length": max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    return json.dumps(made)


if __name__ == "__main__":
    sys.exit(main())
