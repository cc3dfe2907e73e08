"""Make the packaged encoder: ``python -m muxlearn.box FOLDER --teacher TEACHER``.

Downloads the texts (about 25 MB, with ``npm`` and ``pip``), lets the teacher read them, trains, and
packs. Everything is kept in FOLDER: called again, the training goes on where it was.

With ``--backbone`` an encoder of the transformers library is warmed up on the same texts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from muxlearn.backbones import SCRATCH, Scratch
from muxlearn.box import packaged_minilm
from muxlearn.box._files import pack
from muxlearn.box._texts import fetch_archives, gather_texts
from muxlearn.pretraining import MuxTextPretrainer

#: The operating points and the mixtures in a batch of the packaged encoder.
_POINTS = (1, 2, 5, 10, 20)
_BATCH_SIZE = 48

#: The sizes of the packaged encoder.
_SIZES = {"hidden_size": 256, "num_hidden_layers": 4}

#: What else made it, whatever the defaults of `MuxTextPretrainer` are one day.
_RECIPE: dict[str, Any] = {
    "max_length": 128,
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
    parser.add_argument(
        "--teacher", default=None, help="a sentence encoder; default the backbone, or MiniLM"
    )
    parser.add_argument(
        "--backbone",
        default=SCRATCH,
        help="folder of an encoder to warm up, or 'minilm'; default a new one",
    )
    parser.add_argument("--operating-points", type=int, nargs="+", default=_POINTS)
    parser.add_argument("--batch-size", type=int, default=_BATCH_SIZE)
    parser.add_argument(
        "--more-texts", action="store_true", help="more than the packaged encoder has read (95 MB)"
    )
    parser.add_argument("--n-texts", type=int, default=None, help="default all")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pack", action="store_true", help="put the result into the package")
    args = parser.parse_args(argv)
    if args.pack and args.backbone != SCRATCH:
        parser.error("--pack is for the packaged encoder; leave out --backbone or --pack")
    backbone = packaged_minilm() if args.backbone == "minilm" else args.backbone
    fetch_archives(args.folder / "archives", more=args.more_texts)
    texts = gather_texts(args.folder / "archives", more=args.more_texts)[: args.n_texts]
    print(f"{len(texts)} texts", flush=True)
    pretrainer = MuxTextPretrainer(
        n_mux=max(args.operating_points),
        operating_points=tuple(args.operating_points),
        teacher=args.teacher or (packaged_minilm() if backbone == SCRATCH else backbone),
        backbone=Scratch(**_SIZES) if backbone == SCRATCH else backbone,
        batch_size=args.batch_size,
        max_epochs=args.epochs,
        cache=args.folder / "teacher",
        checkpoint=args.folder / "checkpoint",
        device=args.device,
        dtype=args.dtype,
        lr=1e-3 if backbone == SCRATCH else "auto",
        verbose=2,
        **_RECIPE,
    )
    pretrainer.fit(texts)
    pretrainer.save(args.folder / "saved")
    if args.pack:
        pack(args.folder / "saved")
    return 0


if __name__ == "__main__":
    sys.exit(main())
