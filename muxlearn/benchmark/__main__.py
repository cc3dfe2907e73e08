"""Entry point of ``python -m muxlearn.benchmark``."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from pathlib import Path

COMMANDS = {
    "speed": "speed-up of the forward pass and of predict over n_mux=1",
    "multiplexing": "cost of folding texts into mixtures beside embedding one",
    "mimoformer": "speed-up of a layer of MIMOFormer over the Performer's",
    "memory": "peak memory of a batch against n_mux=1",
    "pipeline": "predict at n_mux=1 against transformers.pipeline",
    "retrieval": "tokens recovered after the warm-up",
    "embedding": "vectors of texts: rows/s, nearness to the teacher, relatedness, linear probes",
    "frontier": "accuracy and rows/s on a task of yours beside honest neighbours",
    "answers": "numbers and several labels for a text: scores and rows/s beside linear neighbours",
    "revmux": "RevMUX beside the trained encoder: accuracy, rows/s, sizes on BBC News",
    "image": "images: speed over the plain network, accuracy and rows/s on MNIST",
    "pixels": "images: pixels that share a position, smaller images, narrower networks, rows",
    "scale": "memory of a stream, searches and bulk prediction with several workers",
    "export": "onnxruntime, int8, bfloat16 and torch.compile: accuracy and rows/s",
    "serving": "HTTP requests gathered into mixtures: rows/s and latency against n_mux=1",
    "companions": "labels that an adversary's companions flip, and those with groups or patches",
    "tenants": "what the rows of others do to a group's predictions, by every way to predict",
    "fuzz": "odd inputs for every public entry, and folders in which an entry has changed",
    "gpu": "texts, images and long texts on a GPU: rows/s, memory, against their plain twins",
    "reproduce": "a paper's experiment: its recipe, or the same code at a small scale",
    "parity": "errors against recorded outputs of the reference implementation",
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one benchmark.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m muxlearn.benchmark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        command.add_argument("--json", type=Path, default=None, help="also write the table there")
        if name in argv[:1]:
            module = importlib.import_module(f"muxlearn.benchmark.{name}")
            module.add_arguments(command)
            command.set_defaults(main=module.main)
    args = parser.parse_args(argv)
    for name in ("json", "plot"):
        file = getattr(args, name, None)
        if isinstance(file, Path) and (file.is_dir() or not file.parent.is_dir()):
            what = "is a folder" if file.is_dir() else "is in a folder that is not there"
            parser.error(f"--{name} {str(file)!r} {what}; give the name of a file")
    try:
        return args.main(args)
    except ModuleNotFoundError as error:
        parser.exit(2, f"{error.name} is missing; install muxlearn[benchmark]\n")
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, OSError) or _is_ours(error):
            raise SystemExit(f"{args.command}: {error}") from error
        raise


def _is_ours(error: Exception) -> bool:
    """Return whether this library has raised an error, which then says what to change."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    own = Path(__file__).resolve().parents[1]
    return own in Path(frame.filename).resolve().parents and str(frame.line).startswith("raise")


if __name__ == "__main__":
    sys.exit(main())
