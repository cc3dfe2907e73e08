"""Share of tokens that a warm-up lets the network recover from a full mixture."""

from __future__ import annotations

import gzip
from argparse import ArgumentParser, Namespace
from itertools import product
from pathlib import Path

from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.benchmark._arguments import DTYPES, positive
from muxlearn.benchmark._models import fit
from muxlearn.benchmark._report import report
from muxlearn.metrics import retrieval_score

#: Texts that are set aside.
_N_TEST = 2_000


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="texts, one a line; may be gzipped")
    add("--n-mux", type=positive, nargs="+", default=[5, 10])
    add("--multiplexer", nargs="+", default=["subspace"])
    add("--demultiplexer", nargs="+", default=["rsa"])
    add("--n-texts", type=positive, help="texts to learn from; default: all")
    add("--epochs", type=int, default=1)
    add("--seeds", type=int, nargs="+", default=[0])
    add("--dtype", choices=DTYPES, default="float32")
    add("--verbose", type=int, default=0)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    texts = read_lines(args.data)
    if len(texts) <= _N_TEST:
        raise SystemExit(f"{args.data} has {len(texts)} texts; more than {_N_TEST:,} are needed")
    train, test = train_test_split(texts, test_size=_N_TEST, random_state=0)
    train = train[: args.n_texts]
    rows = []
    chosen = product(args.n_mux, args.multiplexer, args.demultiplexer, args.seeds)
    for n_mux, multiplexer, demultiplexer, seed in chosen:
        model = MuxTextClassifier(
            backbone="scratch",
            n_mux=n_mux,
            multiplexer=multiplexer,
            demultiplexer=demultiplexer,
            warm_up=args.epochs,
            max_epochs=0,
            dtype=args.dtype,
            random_state=seed,
            verbose=args.verbose,
        )
        model, taken = fit(model, train, [0] * len(train))
        row = {
            "n_mux": n_mux,
            "multiplexer": multiplexer,
            "demultiplexer": demultiplexer,
            "seed": seed,
            "minutes": taken.seconds / 60,
            "recovered": retrieval_score(model, test),
        }
        print(row, flush=True)
        rows.append(row)
    report(f"tokens of {len(test)} unseen texts recovered after the warm-up", rows, args)
    return 0


def read_lines(path: Path) -> list[str]:
    """Read the lines that are not empty."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        try:
            return [line.rstrip("\n") for line in file if line.strip()]
        except UnicodeDecodeError as error:
            raise SystemExit(f"{path} is not in UTF-8: {error}") from error
