"""Measure a warm-up by distillation: nearness to the teacher on texts that it has not seen.

The cosine between the vectors of texts in mixtures and what the teacher says of each text alone,
with the lexical path and without it, and how often a text's own vector is the nearest of 240.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from muxlearn.backbones import cutting, load_backbone
from muxlearn.benchmark._report import report
from muxlearn.benchmark.retrieval import read_lines
from muxlearn.box import packaged_minilm
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training.teacher import ask_teacher

_CROWD = 240


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--pretrainer", type=Path, required=True, help="what `save` has written")
    parser.add_argument(
        "--data", type=Path, required=True, help="texts, one a line; may be gzipped"
    )
    parser.add_argument("--teacher", default=None, help="folder of the teacher; default MiniLM")
    parser.add_argument("--n-mux", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--n-texts", type=int, default=2400)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    lines = read_lines(args.data)
    chosen = np.random.default_rng(0).permutation(len(lines))[: args.n_texts]
    texts = [lines[i] for i in chosen]
    pretrainer = MuxTextPretrainer.load(args.pretrainer)
    teacher, tokenizer = load_backbone(args.teacher or packaged_minilm(), dropout=0.0)
    tokenizer = cutting(tokenizer, pretrainer.max_length)
    _, answers = ask_teacher(teacher, tokenizer, texts, with_tokens=False)
    targets = np.asarray(answers.rows, np.float64)
    mixed = MuxTextPretrainer.load(args.pretrainer)
    assert isinstance(mixed.module_, MuxSequenceEmbedder)
    mixed.module_.lexical_mean = None
    rows = [_row(pretrainer, mixed, texts, targets, n_mux) for n_mux in args.n_mux]
    report(f"{len(texts)} texts of {args.data.name} in mixtures, beside their teacher", rows, args)
    return 0


def _row(
    pretrainer: MuxTextPretrainer,
    mixed: MuxTextPretrainer,
    texts: list[str],
    targets: Any,
    n_mux: int,
) -> dict[str, Any]:
    vectors = pretrainer.transform(texts, n_mux=n_mux)
    alone = mixed.transform(texts, n_mux=n_mux)
    nearest = (vectors[:_CROWD] @ targets[:_CROWD].T).argmax(1)
    return {
        "n_mux": n_mux,
        "cosine": float((vectors * targets).sum(1).mean()),
        "without_lexical_path": float((alone * targets).sum(1).mean()),
        f"nearest_of_{_CROWD}": float((nearest == np.arange(len(nearest))).mean()),
    }
