"""Odd values of every kind, drawn from a generator of random numbers."""

from __future__ import annotations

import datetime
import decimal
import fractions
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

__all__ = [
    "Draw",
    "answers",
    "count",
    "groups",
    "integer_rows",
    "labels",
    "odd",
    "pictures",
    "sentences",
    "settings",
    "texts",
]

#: Takes a generator, and returns what it has drawn.
Draw = Callable[[np.random.Generator], Any]

_PIECES = (
    *("rain", "Goal!", " ", "", "\n", "\t", "\x0b", "\x00", "\x7f", "\ud800", "\udfff"),
    *("\ude00\ud83d", "\u200b", "\u200d", "\ufeff", "\u202e", "\u05d0\u05d1", "\u0627\u0644"),
    *("\u0e33", "a\u0301", "\u0345", "\ufffe", "\uffff", "\ue000", "\U0010ffff", "\U000e0041"),
    *("\U0001f468\u200d\U0001f469", "ﬃ", "İ", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "##a"),
    *("Ġ", "▁", "<s>", "{}", "%s", "\\", "1e999"),
)

_SETTINGS: tuple[Any, ...] = (
    *(None, 0, 1, 2, 3, -1, 10**30, True, False, 1.0, 0.5, float("nan"), float("inf"), 2 + 0j, ""),
    *("words", "auto", "1", "\ud800", b"1", (), (1,), (1, 1), (1, 2), (2, 1), (2, 2), [1, 1]),
    *((0, 1), (1, 0), (1, 2, 3), (2**70, 1), ("1", 1), ("words",), {}, {1: 2}, {1, 2}, object()),
    *(int, np.int64(2), np.uint8(1), np.float32(2), np.bool_(True), np.array(2), np.array([1, 2])),
    *(np.array([]), np.array("words"), np.datetime64("nat"), np.ma.masked, np.str_("words")),
    *(torch.tensor(2), torch.tensor([1, 1]), fractions.Fraction(2), decimal.Decimal(2), ...),
    range(1, 3),
)

_ODD: tuple[Any, ...] = (
    *(None, ..., True, 0, -1, 10**30, 0.5, float("nan"), float("inf"), 1j, b"rain"),
    *(bytearray(b"a"), object(), int, np.nan, np.float32("nan"), np.datetime64("nat")),
    *(np.ma.masked, np.array(3), (), [], {}, set(), {"a": 1}, {1}, frozenset(), range(3), [[]]),
    *([None], ("a",), ("a", "b", "c"), ["a", ["b"]], np.array([]), np.array(["a", None], object)),
    *(np.ones((2, 2, 2)), np.void(b"ab"), decimal.Decimal("nan"), fractions.Fraction(1, 3)),
    *(datetime.date(2026, 1, 1), torch.tensor([1]), torch.ones(2, 3), torch.tensor(float("nan"))),
    *(memoryview(b"ab"), np.str_("rain"), slice(3)),
)

_DTYPES = (
    *("bool", "i1", "u1", "i2", "i8", "u8", "f2", "f4", "f8", "c8", "O", "U3", "S3", "M8[s]"),
    *("m8[s]", "V2", "i4,f4", ">i4", ">f8", "g"),
)


class _Wrong:
    """Says of itself what is not so."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __len__(self) -> int:
        return {"endless": 2**62, "empty": 0}.get(self.what, 3)

    def __iter__(self) -> Iterator[str]:
        yield "rain"
        if self.what == "short":
            return
        yield from ("a goal", "snow")


def _pick(rng: np.random.Generator, options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def texts(rng: np.random.Generator) -> Any:
    """Draw what may be texts."""
    return _rows(rng, _text_or_pair)


def _text_or_pair(rng: np.random.Generator) -> Any:
    if rng.random() < 0.05:
        return _text(rng), _text(rng)
    return _text(rng)


def _text(rng: np.random.Generator) -> Any:
    text = "".join(_pick(rng, _PIECES) for _ in range(int(rng.integers(8))))
    if rng.random() < 0.001:
        text = (text or "a") * (1_000_000 // len(text or "a"))
    return np.str_(text) if rng.random() < 0.05 else text


def sentences(rng: np.random.Generator) -> Any:
    """Draw what may be sentences."""
    return _rows(rng, _sentence)


def _sentence(rng: np.random.Generator) -> Any:
    tokens = [_text(rng) for _ in range(int(rng.integers(6)))]
    if rng.random() < 0.03 and tokens:
        tokens[0] = _pick(rng, _ODD)
    return _contain(rng, tokens) if rng.random() < 0.1 else tokens


def integer_rows(rng: np.random.Generator) -> Any:
    """Draw what may be sequences of integers."""
    if rng.random() < 0.3:
        return _array(rng)
    return _rows(rng, _integers)


def _integers(rng: np.random.Generator) -> Any:
    row = rng.integers(0, 12, int(rng.integers(7)))
    if rng.random() < 0.1:
        return row.astype(_pick(rng, _DTYPES[:11]))
    return row if rng.random() < 0.5 else row.tolist()


def pictures(rng: np.random.Generator) -> Any:
    """Draw what may be pictures of 8 x 8 pixels."""
    chance = rng.random()
    if chance < 0.3:
        return _array(rng)
    if chance < 0.6:
        shape = _pick(
            rng, ((3, 8, 8), (1, 8, 8), (2, 64), (2, 1, 8, 8), (2, 8, 8, 1), (8, 8), (2, 8, 7))
        )
        pixels = rng.random(shape) * _pick(rng, (1, 16, 255, 1e38, -1, float("nan")))
        return _convert(rng, pixels.astype(_pick(rng, ("f8", "f4", "f2"))))
    return _rows(
        rng, lambda rng: rng.random(_pick(rng, ((8, 8), (8, 8), (64,), (7, 8), (8, 8, 1), ())))
    )


def _array(rng: np.random.Generator) -> Any:
    shape = tuple(rng.integers(0, 5, int(rng.integers(0, 5))).tolist())
    dtype = np.dtype(_pick(rng, _DTYPES))
    values = rng.integers(0, 10, shape)
    array = np.zeros(shape, dtype) if dtype.kind == "V" else values.astype(dtype)
    return _convert(rng, array)


def _convert(rng: np.random.Generator, array: Any) -> Any:
    chance = rng.random()
    if chance < 0.1:
        return np.ma.masked_array(array, np.ones(np.shape(array), bool))
    if chance < 0.2:
        return np.asfortranarray(array)[::-1] if np.ndim(array) else array
    if chance < 0.4:
        kinds = (
            lambda t: t,
            lambda t: t.to_sparse(),
            lambda t: t.to("meta"),
            lambda t: t[..., None],
        )
        try:
            return _pick(rng, kinds)(torch.from_numpy(np.array(array)))
        except (RuntimeError, TypeError, ValueError):  # there are no tensors of its kind
            return array
    return array.tolist() if chance < 0.5 else array


def _rows(rng: np.random.Generator, row: Draw) -> Any:
    """Draw rows in a container of some kind; a few are something else, and so is the container."""
    if rng.random() < 0.05:
        return _pick(rng, (*_ODD, *map(_Wrong, ("endless", "empty", "short"))))
    rows = [row(rng) for _ in range(int(rng.integers(0, 6)))]
    if rows and rng.random() < 0.2:
        rows[int(rng.integers(len(rows)))] = _pick(rng, _ODD)
    if rng.random() < 0.01:
        rows.append(rows)
    return _contain(rng, rows)


def _contain(rng: np.random.Generator, rows: list[Any]) -> Any:
    import pandas as pd

    chance = rng.random()
    if chance < 0.6:
        return rows
    array = np.empty(len(rows), object)
    array[:] = rows
    makers: tuple[Callable[[], Any], ...] = (
        *(lambda: tuple(rows), lambda: deque(rows), lambda: iter(rows), lambda: array),
        *(lambda: array[:, None], lambda: pd.Series(array), lambda: pd.DataFrame({"a": array})),
        *(
            lambda: pd.DataFrame({"a": array, "b": array}),
            lambda: pd.Series(array).astype("category"),
        ),
        *(lambda: np.array(rows), lambda: dict(enumerate(rows)), lambda: pd.Index(array)),
    )
    try:
        return _pick(rng, makers)()
    except Exception:  # not all rows fit all containers
        return rows


def settings(rng: np.random.Generator) -> Any:
    """Draw what may be `n_mux`, `patch_size`, `n_passes` or a method."""
    return _pick(rng, _SETTINGS)


def count(X: Any) -> int:
    """Return how many rows there are, as far as they can be counted."""
    try:
        return min(len(X), 100)
    except TypeError:
        return 3


def odd(rng: np.random.Generator) -> Any:
    """Draw what may be no name of a file."""
    value = _pick(rng, (*_ODD, *_SETTINGS))
    # These are names of files that can be made.
    return None if isinstance(value, str) else value


def answers(rng: np.random.Generator, X: Any) -> Any:
    """Draw what may be the labels of rows, or the tags of sentences."""
    n_rows = count(X)
    if rng.random() < 0.5 and isinstance(X, list) and all(isinstance(row, list) for row in X):
        return [labels(rng, len(row)) for row in X]
    return labels(rng, n_rows)


def labels(rng: np.random.Generator, n_rows: int) -> Any:
    """Draw what may be labels of some rows."""
    kinds = (lambda: _pick(rng, "ab"), lambda: int(rng.integers(3)), lambda: _text(rng))
    kind = _pick(rng, (*kinds, lambda: _pick(rng, _ODD)))
    n_labels = n_rows if rng.random() < 0.8 else int(rng.integers(6))
    drawn = [kind() for _ in range(n_labels)]
    return _contain(rng, drawn) if rng.random() < 0.9 else _pick(rng, _ODD)


def groups(rng: np.random.Generator, n_rows: int) -> Any:
    """Draw what may be groups of some rows."""
    return None if rng.random() < 0.4 else labels(rng, n_rows)
