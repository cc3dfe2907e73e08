"""Train the packaged encoder: ``python -m muxlearn.box.train FOLDER --device cuda --minutes 7``.

FOLDER holds ``teacher.safetensors`` and ``corpus.xz``, which ``python -m muxlearn.box.prepare`` and
``python -m muxlearn.box.texts`` write. Nothing else is read and no network is used, so that the
folder can be carried to a machine with a GPU. The output folder gets a checkpoint every minute and
``log.jsonl``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from muxlearn.box._batches import BatchSampler
from muxlearn.box._corpus import Corpus, read_corpus
from muxlearn.box._student import read_parts
from muxlearn.box._teacher import load_teacher
from muxlearn.box._training import POINTS, Recipe, train
from muxlearn.points import Point

#: Sentences that stay together when texts are held out, and one of how many such blocks is.
_BLOCK, _HELD_OUT = 250, 100


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    defaults = Recipe()
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box.train", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", default="corpus.xz", help="name of the file of texts")
    parser.add_argument("--output", type=Path, default=None, help="default FOLDER/out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), help="of the passes")
    parser.add_argument(
        "--start", type=Path, default=None, help="output folder of a training to go on with"
    )
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--batch-tokens", type=int, default=defaults.batch_tokens)
    parser.add_argument("--lr", type=float, default=defaults.lr)
    parser.add_argument("--new-lr", type=float, default=defaults.new_lr)
    parser.add_argument("--table-lr", type=float, default=defaults.table_lr)
    parser.add_argument("--token-samples", type=int, default=defaults.token_samples)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print what takes the time; give few --minutes, since all of it is kept",
    )
    parser.add_argument(
        "--points", nargs="+", default=None, help="n_mux,patch_size,share of the steps"
    )
    args = parser.parse_args(argv)
    recipe = Recipe(
        minutes=args.minutes,
        batch_tokens=args.batch_tokens,
        lr=args.lr,
        new_lr=args.new_lr,
        table_lr=args.table_lr,
        points=_points(args.points) if args.points else dict(POINTS),
        token_samples=args.token_samples,
        seed=args.seed,
    )
    return run(
        args.folder,
        args.output or args.folder / "out",
        recipe,
        device=args.device,
        dtype=args.dtype,
        start=args.start,
        corpus=args.corpus,
        profiled=args.profile,
    )


def run(
    folder: Path,
    output: Path,
    recipe: Recipe,
    *,
    device: str,
    dtype: str | None = None,
    start: Path | None = None,
    corpus: str = "corpus.xz",
    profiled: bool = False,
) -> int:
    """Train on the texts of a folder, and say on stderr why that cannot be.

    Parameters
    ----------
    folder : Path
        Holds the teacher and the texts.
    output : Path
        Gets the checkpoints and the log.
    recipe : Recipe
    device : str
    dtype : {"bfloat16", "float32"}, default=None
        None stands for bfloat16 on a GPU, float32 elsewhere.
    start : Path, default=None
        Output folder of a training to go on with.
    corpus : str, default="corpus.xz"
        Name of the file of texts.
    profiled : bool, default=False
        Whether to print the operations that take most of the time.

    Returns
    -------
    int
        The exit status.
    """
    place = torch.device(device)
    on_gpu = place.type == "cuda"
    if on_gpu and not torch.cuda.is_available():
        print("no CUDA device: PyTorch sees none; give --device cpu", file=sys.stderr)
        return 2
    for name, writer in (("teacher.safetensors", "prepare"), (corpus, "texts")):
        if not (folder / name).is_file():
            print(
                f"{folder / name} is missing; python -m muxlearn.box.{writer} writes it",
                file=sys.stderr,
            )
            return 2
    try:
        begun = None if start is None else read_parts(start)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    teacher = load_teacher(folder / "teacher.safetensors")
    training, held_out = split_corpus(read_corpus(folder / corpus))
    n_tokens, n_sentences = len(training[0]), len(training[1]) - 1
    print(f"{n_tokens} tokens, {n_sentences} sentences, on {place}", flush=True)
    size = recipe.batch_tokens
    try:
        with _profiling(profiled, place):
            train(
                teacher,
                BatchSampler(*training, place, size, seed=recipe.seed),
                BatchSampler(*held_out, place, min(size, 8192), seed=1),
                output,
                recipe,
                device=place,
                dtype=getattr(torch, dtype or ("bfloat16" if on_gpu else "float32")),
                start=begun,
                log=lambda line: print(line, flush=True),
            )
    except torch.OutOfMemoryError:
        print(
            f"out of memory on {place}: give a smaller --batch-tokens than {size}; the last "
            "checkpoint is kept",
            file=sys.stderr,
        )
        return 1
    return 0


@contextmanager
def _profiling(wanted: bool, device: torch.device) -> Iterator[None]:
    """Print the operations that take most of the time, where that is wanted."""
    if not wanted:
        yield
        return
    activities = [ProfilerActivity.CPU]
    orders = ["self_cpu_time_total"]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        orders.append("self_cuda_time_total")
    with profile(activities=activities) as profiled:
        yield
    for order in orders:
        print(profiled.key_averages().table(sort_by=order, row_limit=20), flush=True)


def _points(texts: list[str]) -> dict[Point, float]:
    points = {}
    for text in texts:
        n_mux, patch_size, share = text.split(",")
        points[Point(int(n_mux), int(patch_size))] = float(share)
    return points


_Texts = tuple[NDArray[np.uint16], NDArray[np.int64]]


def split_corpus(corpus: Corpus) -> tuple[_Texts, _Texts]:
    """Hold out every hundredth block of sentences, so that all sources are judged by.

    Parameters
    ----------
    corpus : Corpus

    Returns
    -------
    training, held_out : (tokens, starts)
        As `BatchSampler` takes them.
    """
    lengths = np.diff(corpus.starts)
    blocks = np.arange(len(lengths)) // _BLOCK
    held_out = blocks % min(_HELD_OUT, max(2, int(blocks[-1]) + 1)) == 1
    if not held_out.any():
        held_out[-max(1, len(held_out) // 10) :] = True
    parts = []
    for kept in (~held_out, held_out):
        tokens = corpus.tokens[np.repeat(kept, lengths)]
        parts.append((tokens, np.concatenate([[0], np.cumsum(lengths[kept])])))
    return parts[0], parts[1]


if __name__ == "__main__":
    sys.exit(main())
