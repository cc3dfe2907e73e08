"""Warm up an encoder for mixtures: ``python -m muxlearn.box.warm_up FOLDER --backbone ENCODER``.

Downloads texts (about 25 MB, with ``npm`` and ``pip``), lets the teacher read them and trains. The
result, in FOLDER/saved, is a `backbone`. FOLDER keeps everything: called again, the training goes
on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from muxlearn.box import packaged_minilm
from muxlearn.box._texts import fetch_archives, gather_texts
from muxlearn.pretraining import MuxTextPretrainer

_POINTS = (1, 2, 5, 10, 20)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and warm the encoder up.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box.warm_up", description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument(
        "--backbone", default="minilm", help="folder of an encoder; default 'minilm'"
    )
    parser.add_argument("--teacher", default=None, help="a sentence encoder; default the backbone")
    parser.add_argument("--operating-points", type=int, nargs="+", default=_POINTS)
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--more-texts", action="store_true", help="twice as many texts (95 MB)")
    parser.add_argument("--n-texts", type=int, default=None, help="default all")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    args = parser.parse_args(argv)
    backbone = packaged_minilm() if args.backbone == "minilm" else args.backbone
    fetch_archives(args.folder / "archives", more=args.more_texts)
    texts = gather_texts(args.folder / "archives", more=args.more_texts)[: args.n_texts]
    print(f"{len(texts)} texts", flush=True)
    pretrainer = MuxTextPretrainer(
        n_mux=max(args.operating_points),
        operating_points=tuple(args.operating_points),
        teacher=args.teacher or backbone,
        backbone=backbone,
        max_length=128,
        batch_size=args.batch_size,
        max_epochs=args.epochs,
        cache=args.folder / "teacher",
        device=args.device,
        dtype=args.dtype,
        random_state=0,
        verbose=2,
    )
    pretrainer.fit(texts, checkpoint=args.folder / "checkpoint")
    pretrainer.save(args.folder / "saved")
    return 0


if __name__ == "__main__":
    sys.exit(main())
