"""Compare the cost of folding N texts into a mixture with that of embedding a single text.

Time of embedding and multiplexing a batch, as prediction does it, and the table entries that are
read for one position of a mixture. A folded subspace multiplexer reads N short vectors where
plain embedding reads a whole one.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.nn.multiplex import (
    MULTIPLEXERS,
    FoldedSubspaces,
    IdentityMultiplexer,
    SubspaceMultiplexer,
    embed_and_multiplex,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--n-mux", type=positive, nargs="+", default=[2, 10, 40])
    add("--multiplexer", nargs="+", default=["subspace", "hadamard", "orthogonal"])
    add("--width", type=positive, default=384)
    add("--length", type=positive, default=64)
    add("--vocab-size", type=positive, default=30000)
    add("--mixtures", type=positive, default=32)
    add("--repeats", type=positive, default=9)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    if unknown := [name for name in args.multiplexer if name not in MULTIPLEXERS]:
        raise ValueError(
            f"--multiplexer has {unknown[0]!r}, which is none of {', '.join(MULTIPLEXERS)}"
        )
    embedding = nn.Embedding(args.vocab_size, args.width)
    plain = IdentityMultiplexer(1, args.width)
    runs = {("embedding", 1): _prepare(partial(embed_and_multiplex, embedding, plain), args)}
    read = {("embedding", 1): args.width}
    for name in args.multiplexer:
        for n_mux in args.n_mux:
            multiplexer = MULTIPLEXERS[name](n_mux, args.width)
            if isinstance(multiplexer, SubspaceMultiplexer):
                folded = FoldedSubspaces(embedding, multiplexer)
                mix: Any = folded
                read[name, n_mux] = n_mux * folded.table.shape[1]
            else:
                mix = partial(embed_and_multiplex, embedding, multiplexer)
                read[name, n_mux] = n_mux * args.width
            runs[name, n_mux] = _prepare(mix, args, n_mux)
    seconds = paired_seconds(runs, args.repeats)
    plain_seconds = seconds["embedding", 1]
    rows = [
        {
            "what": name,
            "n_mux": n_mux,
            "numbers_read": read[name, n_mux],
            "ms": 1000 * statistics.median(times),
            "time_over_embedding": 1 / median_ratio(plain_seconds, times),
        }
        for (name, n_mux), times in seconds.items()
    ]
    report(
        f"embedding and multiplexing {args.mixtures} mixtures of {args.length} tokens, "
        f"width {args.width}; numbers read from tables for one position",
        rows,
        args,
    )
    return 0


def _prepare(mix: Any, args: Namespace, n_mux: int = 1) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (args.mixtures, n_mux, args.length)
    ids = torch.randint(args.vocab_size, shape, generator=generator)
    return torch.inference_mode()(partial(mix, ids, torch.ones(shape, dtype=torch.bool)))
