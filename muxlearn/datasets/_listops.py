"""ListOps: nested operations on digits, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from muxlearn._params import Constraint, Integer, Number, RandomState, check_parameters

__all__ = ["make_listops"]

_OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
_END = "]"

# What is grown at once; bounds memory, not the size of the data.
_TOKENS_AT_ONCE = 2_000_000

# The product of two probabilities must stay above the smallest float.
_LEAST_PROBABILITY = 1e-200

_CONSTRAINTS: dict[str, Constraint] = {
    "n_samples": Integer(1),
    "min_length": Integer(1),
    "max_length": Integer(1),
    "max_depth": Integer(1),
    "max_args": Integer(2),
    "operator_probability": Number(0, 1, open_low=True),
    "n_classes": Integer(2),
    "random_state": RandomState(),
}


def make_listops(
    n_samples: int,
    min_length: int = 500,
    max_length: int = 2000,
    *,
    max_depth: int = 10,
    max_args: int = 10,
    operator_probability: float = 0.25,
    n_classes: int = 10,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[list[str], NDArray[np.int64]]:
    """Generate ListOps: find the value of an expression such as ``[MAX 2 9 [MIN 4 7 ] 0 ]``.

    A tree at depth `max_depth` is a digit. One above it is an operator with
    `operator_probability`, else a digit. An operator is one of the four with equal probability,
    and so is its number of arguments from 2 to `max_args`, each a tree one level deeper; the root
    is at depth 1. Of these trees, those with `min_length` to `max_length` tokens are drawn, each
    with its own probability: the law is the one of drawing trees and throwing away the lengths
    that are not asked for. Lengths are drawn first and trees of these lengths then, so that
    nothing is thrown away.

    Parameters
    ----------
    n_samples : int
        Drawn independently of each other.
    min_length, max_length : int, default=500, 2000
        Tokens of a text, both included. A digit is a token, and so are an operator with its
        bracket and the closing bracket. The published generator leaves out both bounds: its
        data are lengths 501 to 1999.
    max_depth : int, default=10
        At most ``max_depth - 1`` operators are nested.
    max_args : int, default=10
        The most arguments of an operator; 5 in the first ListOps.
    operator_probability : float, default=0.25
        In (0, 1].
    n_classes : int, default=10
        Digits are ``0 … n_classes - 1``.
    random_state : int, RandomState instance or None, default=None
        Give an int for the same data in every call.

    Returns
    -------
    texts : list of str, of length n_samples
        The tokens of each expression, with a space between them. The published files hold a
        pair of parentheses around each step of each operator as well, which the models leave
        out.
    y : ndarray of int64, shape (n_samples,)
        The value of each expression: ``[MIN`` and ``[MAX`` give the lowest and the highest
        argument, ``[MED`` the median, rounded down between two, and ``[SM`` the sum modulo
        `n_classes`.

    Raises
    ------
    TypeError, ValueError
        A parameter is not allowed, or there is no tree of the lengths that are asked for.

    References
    ----------
    N. Nangia and S. R. Bowman, ListOps: a diagnostic dataset for latent tree learning (NAACL
    student research workshop 2018). Y. Tay et al., Long Range Arena: a benchmark for efficient
    Transformers (ICLR 2021), section 2.2.1.

    Examples
    --------
    >>> from muxlearn.datasets import make_listops
    >>> texts, y = make_listops(2, 5, 9, random_state=0)
    >>> for text, value in zip(texts, y):
    ...     print(text, "=", value)
    [SM 6 7 7 8 ] = 8
    [MIN 9 8 9 ] = 8
    """
    params = dict(locals())
    check_parameters(params, _CONSTRAINTS)
    _check_lengths(min_length, max_length, max_depth, max_args)
    rng = check_random_state(random_state)
    laws = _length_laws(max_length, max_depth, max_args, operator_probability)
    lengths = _draw_lengths(laws[0][1], min_length, n_samples, rng)
    words = [*map(str, range(n_classes)), *_OPERATORS, _END]
    texts: list[str] = []
    y = []
    for part in _parts(lengths):
        tokens, values = _grow_trees(part, laws, n_classes, rng)
        ends = np.cumsum(part)
        spelled = list(map(words.__getitem__, tokens.tolist()))
        bounds = zip((ends - part).tolist(), ends.tolist(), strict=True)
        texts.extend(" ".join(spelled[start:stop]) for start, stop in bounds)
        y.append(values[ends - part])
    return texts, np.concatenate(y)


def _check_lengths(min_length: int, max_length: int, max_depth: int, max_args: int) -> None:
    if min_length > max_length:
        raise ValueError(
            f"`min_length` is {min_length} and `max_length` {max_length}; it must be at least "
            "`min_length`"
        )
    longest = 1
    for _ in range(max_depth - 1):
        longest = 2 + max_args * longest
        if longest >= min_length:
            return
    if longest < min_length:
        raise ValueError(
            f"`min_length` is {min_length}, but the longest tree with `max_depth`={max_depth} and "
            f"`max_args`={max_args} has {longest} tokens; lower `min_length`, or raise one of the "
            "others"
        )


def _length_laws(
    max_length: int, max_depth: int, max_args: int, operator_probability: float
) -> list[NDArray[np.float64]]:
    """Return how long trees are, by depth.

    Returns
    -------
    list of ndarray of float64, shape (max_args + 1, max_length + 1)
        The entry of depth ``d + 1`` at ``[d][k, length]`` is the probability that `k` trees have
        that length together. All sums are of terms above zero, so that what is impossible has
        probability 0 and what is rare an exact one.
    """
    tree = np.zeros(max_length + 1)
    tree[1] = 1.0
    laws = [_sums(tree, max_args)]
    for _ in range(max_depth - 1):
        tree = np.zeros(max_length + 1)
        tree[1] = 1 - operator_probability
        tree[2:] += operator_probability * laws[-1][2:, : max_length - 1].mean(0)
        laws.append(_sums(tree, max_args))
    return laws[::-1]


def _sums(law: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the laws of the sums of 0 to `n` independent lengths."""
    sums = np.zeros((n + 1, len(law)))
    sums[0, 0] = 1.0
    if not law.any():  # no tree of this depth is so short
        return sums
    longest = int(np.flatnonzero(law)[-1])
    for k in range(1, n + 1):
        stop = min(len(law), (k - 1) * longest + 1)
        product = np.convolve(sums[k - 1, :stop], law[: longest + 1])[: len(law)]
        sums[k, : len(product)] = product
    return sums


def _draw_lengths(
    law: NDArray[np.float64], min_length: int, n_samples: int, rng: np.random.RandomState
) -> NDArray[np.int64]:
    weights = law[min_length:]
    if weights.sum() < _LEAST_PROBABILITY:
        raise ValueError(
            f"no tree, or next to none, has `min_length`={min_length} to "
            f"`max_length`={len(law) - 1} tokens; widen the two, or change `max_depth`, "
            "`max_args` or `operator_probability`"
        )
    return min_length + _draw(weights, n_samples, rng)


def _draw(weights: NDArray[np.float64], n: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    """Draw `n` positions by their weights."""
    bounds = np.cumsum(weights)
    # In (0, 1], so that no position of weight 0 is ever drawn.
    return np.searchsorted(bounds, (1 - rng.random_sample(n)) * bounds[-1])


def _parts(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    number = np.cumsum(lengths) // _TOKENS_AT_ONCE
    yield from np.split(lengths, np.flatnonzero(np.diff(number)) + 1)


@dataclass(frozen=True)
class _Level:
    """The operators at one depth: where they stand, and how long each argument is."""

    starts: NDArray[np.int64]  # (n_nodes,)
    lengths: NDArray[np.int64]  # (n_nodes,), of the whole tree
    n_args: NDArray[np.int64]  # (n_nodes,)
    args: NDArray[np.int64]  # (n_nodes, max_args), 0 where there is none

    def arg_starts(self) -> NDArray[np.int64]:
        """Return where arguments begin, shape (n_nodes, max_args)."""
        return self.starts[:, None] + 1 + np.cumsum(self.args, 1) - self.args


def _grow_trees(
    lengths: NDArray[np.int64],
    laws: list[NDArray[np.float64]],
    n_classes: int,
    rng: np.random.RandomState,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw trees of given lengths, all at once from their roots down, and evaluate them.

    Returns
    -------
    tokens : ndarray of int64, shape (sum of lengths,)
        One tree after the other: digits, then `n_classes` + the number of an operator, then the
        closing bracket.
    values : ndarray of int64, of the same shape
        The value of the tree that begins at a position.
    """
    levels = _draw_shapes(lengths, laws, rng)
    tokens = rng.randint(n_classes, size=int(lengths.sum()), dtype=np.int64)
    for level in levels:
        operators = rng.randint(len(_OPERATORS), size=len(level.starts), dtype=np.int64)
        tokens[level.starts] = n_classes + operators
        tokens[level.starts + level.lengths - 1] = n_classes + len(_OPERATORS)
    values = tokens.copy()
    for level in reversed(levels):
        operators = tokens[level.starts] - n_classes
        values[level.starts] = _evaluate(level, operators, values, n_classes)
    return tokens, values


def _draw_shapes(
    lengths: NDArray[np.int64], laws: list[NDArray[np.float64]], rng: np.random.RandomState
) -> list[_Level]:
    starts = np.cumsum(lengths) - lengths
    levels: list[_Level] = []
    while len(keep := np.flatnonzero(lengths > 1)):
        starts, lengths = starts[keep], lengths[keep]
        n_args, args = _draw_arguments(lengths - 2, laws[len(levels) + 1], rng)
        levels.append(_Level(starts, lengths, n_args, args))
        starts, lengths = levels[-1].arg_starts().ravel(), args.ravel()
    return levels


def _draw_arguments(
    totals: NDArray[np.int64], law: NDArray[np.float64], rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the number of arguments and their lengths, given what they add up to."""
    max_args = len(law) - 1
    bounds = np.cumsum(law[2:, totals], axis=0)  # (max_args - 1, n_nodes)
    thresholds = (1 - rng.random_sample(len(totals))) * bounds[-1]
    n_args = 2 + (bounds < thresholds).sum(0)
    args = np.zeros((len(totals), max_args), np.int64)
    rest = totals.copy()
    for left in range(max_args, 1, -1):
        nodes = np.flatnonzero(n_args >= left)
        if len(nodes):
            drawn = _draw_first(rest[nodes], law[1], law[left - 1], rng)
            args[nodes, n_args[nodes] - left] = drawn
            rest[nodes] -= drawn
    args[np.arange(len(args)), n_args - 1] = rest
    return n_args, args


def _draw_first(
    totals: NDArray[np.int64],
    first: NDArray[np.float64],
    others: NDArray[np.float64],
    rng: np.random.RandomState,
) -> NDArray[np.int64]:
    """Draw the first of some lengths, given their sums and the laws of it and of the others."""
    order = np.argsort(totals, kind="stable")
    borders = np.flatnonzero(np.diff(totals[order])) + 1
    drawn = np.empty_like(totals)
    for group in np.split(order, borders):
        total = int(totals[group[0]])
        weights = first[: total + 1] * others[total::-1]
        drawn[group] = _draw(weights, len(group), rng)
    return drawn


def _evaluate(
    level: _Level, operators: NDArray[np.int64], values: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    given = level.args > 0
    args = values[np.where(given, level.arg_starts(), 0)]
    ordered = np.sort(np.where(given, args, n_classes), axis=1)
    nodes = np.arange(len(ordered))
    low, high = (level.n_args - 1) // 2, level.n_args // 2
    results = [
        ordered[:, 0],
        ordered[nodes, level.n_args - 1],
        (ordered[nodes, low] + ordered[nodes, high]) // 2,
        np.where(given, args, 0).sum(1) % n_classes,
    ]
    return np.choose(operators, results)
