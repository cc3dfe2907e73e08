"""Arguments that several commands take."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError

import torch
from threadpoolctl import threadpool_limits

from muxlearn.points import WORDS, Point, PointLike

__all__ = [
    "DTYPES",
    "TORCH_DTYPES",
    "limit_threads",
    "parse_point",
    "positive",
    "rows_or_point",
    "running_point",
]

#: Precisions by torch's names, and those that an estimator takes.
TORCH_DTYPES = "float32", "bfloat16", "float16"
DTYPES = "auto", *TORCH_DTYPES


def limit_threads(n_threads: int) -> None:
    """Give torch, tokenizers and linear algebra so many threads from now on."""
    torch.set_num_threads(n_threads)
    os.environ["RAYON_NUM_THREADS"] = str(n_threads)  # of tokenizers
    threadpool_limits(n_threads)


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def parse_point(text: str) -> Point:
    """Read an operating point: ``5`` is five rows, ``2,5`` two rows of five tokens each."""
    if text == str(WORDS):
        return WORDS
    try:
        point = Point(*map(int, text.split(",")))
    except (TypeError, ValueError):
        point = Point(0, 0)
    if point.factor < 1:
        raise ArgumentTypeError(
            f"{text!r} is not an operating point; give rows (5), rows and tokens (2,5) or words"
        )
    return point


def running_point(text: str) -> Point:
    """Read an operating point that runs the encoder."""
    point = parse_point(text)
    if point == WORDS:
        raise ArgumentTypeError("'words' runs no encoder; give rows (5) or rows and tokens (2,5)")
    return point


def rows_or_point(text: str) -> PointLike:
    """Read an operating point that runs the encoder: rows alone as a number."""
    point = running_point(text)
    return point.n_mux if point.patch_size == 1 else point
