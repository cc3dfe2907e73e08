"""Estimators of this library for a task: the operating points, and the sizes of encoders."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.backbones import Packaged, Scratch
from muxlearn.box import packaged_minilm
from muxlearn.points import WORDS, Point, PointLike

__all__ = [
    "PLAIN",
    "Size",
    "as_backbone",
    "as_given",
    "backbone",
    "build",
    "describe",
    "kind_of",
    "parse_backbone",
    "parse_size",
    "parse_teacher",
    "scratch",
]

PLAIN = Point(1, 1)


def describe(points: Sequence[Point]) -> str:
    """Name operating points as the table does."""
    return " ".join("words" if p == WORDS else f"({p.n_mux}, {p.patch_size})" for p in points)


def as_given(point: Point) -> PointLike:
    """Return an operating point as users give it to an estimator."""
    return str(point) if point == WORDS else (point.n_mux, point.patch_size)


def kind_of(point: Point) -> str:
    """Say what shares a position."""
    if point == WORDS:
        return "words"
    if point == PLAIN:
        return "plain"
    if point.patch_size == 1:
        return "rows"
    return "tokens" if point.n_mux == 1 else "both"


class Size(NamedTuple):
    """Size of an encoder.

    Attributes
    ----------
    n_layers, width : int
    """

    n_layers: int
    width: int

    def __str__(self) -> str:
        return f"{self.n_layers}x{self.width}"


def parse_size(text: str) -> Size:
    """Read the size of an encoder: ``4x256`` is four layers of width 256."""
    try:
        size = Size(*map(int, text.split("x")))
    except (TypeError, ValueError):
        size = Size(0, 0)
    if min(size) < 1:
        raise ArgumentTypeError(f"{text!r} is not a size; give layers x width, such as 4x256")
    return size


def parse_backbone(text: str) -> str | Path:
    """Read where the encoder comes from: a word, or a folder."""
    return text if text in ("packaged", "scratch", "minilm") else Path(text)


def parse_teacher(text: str) -> str | Path:
    """Read where the teacher of an encoder comes from: MiniLM, or a folder."""
    if text in ("packaged", "scratch"):
        raise ArgumentTypeError(f"{text!r} is no teacher; give a folder or 'minilm'")
    return parse_backbone(text)


def scratch(args: Namespace, size: Size, **params: Any) -> Scratch:
    """Return an encoder from scratch; `width` is made up of heads of one size."""
    heads = max(1, size.width // args.head_size)
    if size.width % heads:
        heads = 1
    return Scratch(
        hidden_size=size.width,
        num_hidden_layers=size.n_layers,
        num_attention_heads=heads,
        vocab_size=args.vocab_size,
        **params,
    )


def as_backbone(given: str | Path) -> Any:
    """Return the encoder that `parse_backbone` has read, as an estimator takes it."""
    if given == "packaged":
        return Packaged()
    return packaged_minilm() if given == "minilm" else given


def backbone(args: Namespace, given: str | Path) -> Any:
    """Return the same; an encoder from scratch has the sizes of the options."""
    return scratch(args, args.scratch) if given == "scratch" else as_backbone(given)


def build(args: Namespace, kind: str, points: Sequence[Point], **params: Any) -> Any:
    """Build an estimator, not fitted.

    Parameters
    ----------
    args : Namespace
        The options of the command.
    kind : {"texts", "pairs", "sentences"}
    points : sequence of Point
        The operating points to train for; the words alone are never the only one.
    **params
        Parameters of the estimator, in place of what the options say.

    Returns
    -------
    MuxTextClassifier or MuxTokenTagger
    """
    estimator = MuxTokenTagger if kind == "sentences" else MuxTextClassifier
    running = [point for point in points if point != WORDS]
    given = {
        "backbone": backbone(args, args.backbone),
        "n_mux": max(point.n_mux for point in running),
        "patch_size": running[0].patch_size,
        "operating_points": tuple(map(as_given, points)),
        "max_length": args.max_length,
        "warm_up": args.warm_up_epochs,
        "max_epochs": args.epochs,
        "batch_size": args.batch_size,
        "lr": args.lr or "auto",
        "dtype": args.dtype,
        "verbose": args.verbose,
    }
    return estimator(**given | params)
