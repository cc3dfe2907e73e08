r"""Cross-talk between the sequences that MIMOFormer adds up on a grid.

MIMOFormer (MIMONets: Menet et al., NeurIPS 2023) puts ``M * N`` sequences on an M x N grid, each
with a random key :math:`a_{mn} \in \{-1, 1\}^D` for every head. Queries are bundled over M and
keys over N,

.. math::
    S^q_n = \sum_m a_{mn} \circ q_{mn}, \qquad S^k_m = \sum_n a_{mn} \circ k_{mn},

and :math:`S^k_m \cdot S^q_n` stands for the score :math:`k_{mn} \cdot q_{mn}`. The paper says that
it bounds the interference; the bounds in this package are derived here and are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from muxlearn._params import Integer, Number, RandomState, check_parameters

__all__ = [
    "Interference",
    "draw_flat_vectors",
    "flat_score_interference",
    "score_interference",
    "simulate_scores",
    "simulate_values",
    "value_interference",
]

# Numbers that a simulation holds in one array at a time.
CHUNK_ELEMENTS = 2**21


@dataclass(frozen=True)
class Interference:
    r"""A wanted value plus a sum of independent terms of mean zero.

    Parameters
    ----------
    signal : float
        The wanted value, which is the mean.
    variance : float
        Variance of the sum.
    largest : float
        Bound on the size of each term.
    ranges : float
        Sum over the terms of the squared length of the interval that a term lies in.
    """

    signal: float
    variance: float
    largest: float
    ranges: float

    def tail(self, threshold: ArrayLike) -> np.ndarray:
        r"""Bound the probability that the value is off by a threshold or more.

        Parameters
        ----------
        threshold : array-like of float
            Above zero.

        Returns
        -------
        ndarray of float64, shaped as `threshold`
            At most 1.

        Raises
        ------
        ValueError
            A threshold is not above zero.

        Notes
        -----
        The least of three classical bounds, for variance :math:`\sigma^2`, terms of size at most
        `B` and ranges :math:`r_d`: Chebyshev's :math:`\sigma^2 / t^2`, Hoeffding's
        :math:`2 \exp(-2 t^2 / \sum_d r_d^2)` and Bernstein's
        :math:`2 \exp(-t^2 / (2 \sigma^2 + 2 B t / 3))`.
        """
        t = np.asarray(threshold, dtype=float)
        if not np.all(t > 0):
            raise ValueError(f"`threshold` must be above 0, got {t.min()}")
        if self.variance == 0:
            return np.zeros_like(t)
        chebyshev = self.variance / t**2
        hoeffding = 2 * np.exp(-2 * t**2 / self.ranges)
        bernstein = 2 * np.exp(-(t**2) / (2 * self.variance + 2 * self.largest * t / 3))
        return np.minimum.reduce([np.ones_like(t), chebyshev, hoeffding, bernstein])


def score_interference(
    queries: ArrayLike, keys: ArrayLike, slot: tuple[int, int] = (0, 0)
) -> Interference:
    r"""Interference in the score of one query with one key on the grid.

    Parameters
    ----------
    queries : array-like of shape (M, head_dim)
        :math:`q_{m'n}`: those that stand in the slot's column.
    keys : array-like of shape (N, head_dim)
        :math:`k_{mn'}`: those that stand in the slot's row.
    slot : tuple of int, default=(0, 0)
        `m` and `n`.

    Returns
    -------
    Interference
        Over independent uniform signs :math:`a_{mn}`; queries and keys are fixed.

    Raises
    ------
    ValueError
        The shapes do not fit, or the slot isn't on the grid.

    Notes
    -----
    Ours, for the scores of MIMONets' FAVOR+S. Coordinate `d` of
    :math:`S^k_m \cdot S^q_n` is

    .. math::
        \Bigl(\sum_{n'} a_{mn'd}\, k_{mn'd}\Bigr) \Bigl(\sum_{m'} a_{m'nd}\, q_{m'nd}\Bigr)
        = k_{mnd}\, q_{mnd} + X_d, \qquad
        X_d = \sum_{(m', n') \ne (m, n)} a_{mn'd}\, a_{m'nd}\, k_{mn'd}\, q_{m'nd}.

    Row `m` and column `n` of the grid meet in the slot alone, so that the :math:`M N - 1` products
    of signs in :math:`X_d` are of different keys and all pairs of keys are different: the products
    have mean 0 and are uncorrelated. Hence

    .. math::
        \operatorname{Var} = \sum_d \Bigl[ \sum_{n'} k_{mn'd}^2 \sum_{m'} q_{m'nd}^2
        - k_{mnd}^2 q_{mnd}^2 \Bigr], \qquad
        |X_d| \le B_d = \sum_{n'} |k_{mn'd}| \sum_{m'} |q_{m'nd}| - |k_{mnd} q_{mnd}|,

    and the :math:`X_d` are independent of each other.
    """
    q, k, (m, n) = _check_row_and_column(queries, keys, slot)
    signal = k[n] * q[m]
    variance = ((k**2).sum(0) * (q**2).sum(0) - signal**2).sum()
    size = abs(k).sum(0) * abs(q).sum(0) - abs(signal)
    # Where one slot fills the grid, rounding must not leave a rest.
    alone = len(q) == len(k) == 1
    return Interference(
        float(signal.sum()),
        0.0 if alone else float(variance),
        0.0 if alone else float(size.max()),
        0.0 if alone else float(4 * (size**2).sum()),
    )


def flat_score_interference(
    head_dim: int, grid: tuple[int, int], cosine: float = 1.0
) -> Interference:
    r"""`score_interference` of unit vectors whose entries are all of one size.

    Parameters
    ----------
    head_dim : int
        Dimensions of a head, `D`.
    grid : tuple of int
        `M` and `N`.
    cosine : float, default=1.0
        Between the slot's query and key: the signal.

    Returns
    -------
    Interference
        Interference of variance :math:`(M N - 1) / D`. By Bernstein the score is off by `t` or more
        with probability at most :math:`2 \exp(-D t^2 / (2 (M N - 1) (1 + t / 3)))`: exponentially
        rare in the dimension, and a grid takes dimensions in proportion to its slots.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Examples
    --------
    >>> from muxlearn.theory import flat_score_interference
    >>> interference = flat_score_interference(64, (2, 2))
    >>> interference.variance
    0.046875
    >>> interference.tail([0.5, 1.0]).round(4)
    array([0.1875, 0.0007])
    """
    check_grid(head_dim, grid, cosine)
    others = math.prod(grid) - 1
    return Interference(
        float(cosine), others / head_dim, others / head_dim, 4 * others**2 / head_dim
    )


def value_interference(
    values: ArrayLike, read_out: ArrayLike, slot: tuple[int, int] = (0, 0)
) -> Interference:
    r"""Interference in what is read off the bundled values of a grid.

    Parameters
    ----------
    values : array-like of shape (M, N, head_dim)
        :math:`u_{m'n'}`: the sums over positions, weighted by scores, that the accumulator adds up.
    read_out : array-like of shape (head_dim,)
        Direction `r` that the layer after the attention looks in.
    slot : tuple of int, default=(0, 0)
        `m` and `n`.

    Returns
    -------
    Interference
        Over independent uniform signs :math:`a_{mn}`. Values and scores are taken as fixed, though
        the model makes scores with the same signs.

    Raises
    ------
    ValueError
        The shapes do not fit, or the slot isn't on the grid.

    Notes
    -----
    Ours, for the values of MIMONets' FAVOR+S. The head returns
    :math:`a_{mn} \circ \sum_{m'n'} a_{m'n'} \circ u_{m'n'}`, of which `r` reads

    .. math::
        r \cdot u_{mn} + \sum_d \sum_{(m', n') \ne (m, n)}
        r_d\, u_{m'n'd}\, a_{mnd}\, a_{m'n'd}.

    The products of signs are independent uniform signs, so that the terms are independent, the
    variance is :math:`\sum_d r_d^2 \sum u_{m'n'd}^2` and Hoeffding's bound is
    :math:`2 \exp(-t^2 / (2 \operatorname{Var}))`. A single coordinate does not gain from more
    dimensions; a read-out along :math:`u_{mn}` of `D` flat ones does: signal 1 against variance
    :math:`(M N - 1) / D`.
    """
    u, r, place = _check_values(values, read_out, slot)
    terms = r * u  # (M, N, head_dim)
    others = np.ones(u.shape[:2], dtype=bool)
    others[place] = False
    noise = terms[others]
    return Interference(
        float(terms[place].sum()),
        float((noise**2).sum()),
        float(abs(noise).max(initial=0.0)),
        float(4 * (noise**2).sum()),
    )


def simulate_scores(
    queries: ArrayLike,
    keys: ArrayLike,
    slot: tuple[int, int] = (0, 0),
    *,
    n_draws: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Draw binding keys and compute the score that stands for the slot's.

    Parameters
    ----------
    queries : array-like of shape (M, head_dim)
        Those that stand in the slot's column.
    keys : array-like of shape (N, head_dim)
        Those that stand in the slot's row.
    slot : tuple of int, default=(0, 0)
        Row and column on the grid.
    n_draws : int, default=1000
        Number of draws of binding keys.
    random_state : int, RandomState or None, default=None
        Seeds the draws.

    Returns
    -------
    ndarray of float64, shape (n_draws,)

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    parts = bundle_row_and_column(queries, keys, slot, n_draws, random_state)
    return np.concatenate([(bundled_q * bundled_k).sum(1) for bundled_q, bundled_k in parts])


def simulate_values(
    values: ArrayLike,
    read_out: ArrayLike,
    slot: tuple[int, int] = (0, 0),
    *,
    n_draws: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Draw binding keys, bundle the values, unbind the slot's and read it out.

    Parameters
    ----------
    values : array-like of shape (M, N, head_dim)
        The sums over positions, weighted by scores, that the accumulator adds up.
    read_out : array-like of shape (head_dim,)
        Direction that the layer after the attention looks in.
    slot : tuple of int, default=(0, 0)
        Row and column on the grid.
    n_draws : int, default=1000
        Number of draws of binding keys.
    random_state : int, RandomState or None, default=None
        Seeds the draws.

    Returns
    -------
    ndarray of float64, shape (n_draws,)

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    u, r, place = _check_values(values, read_out, slot)
    rng = _check_draws(n_draws, random_state)
    parts = []
    for n in chunks(n_draws, u.size):
        signs = draw_signs(rng, n, *u.shape)
        unbound = signs[:, place[0], place[1]] * (signs * u).sum((1, 2))
        parts.append(unbound @ r)
    return np.concatenate(parts)


def draw_flat_vectors(
    head_dim: int,
    grid: tuple[int, int],
    cosine: float = 1.0,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the queries of a column and the keys of a row for `flat_score_interference`.

    Parameters
    ----------
    head_dim : int
    grid : tuple of int
        `M` and `N`.
    cosine : float, default=1.0
        Between the first query and the first key, up to ``1 / head_dim``.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    queries : ndarray of float64, shape (M, head_dim)
    keys : ndarray of float64, shape (N, head_dim)
        Unit vectors with entries of one size; the slot is (0, 0).

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    check_grid(head_dim, grid, cosine)
    RandomState().check("random_state", random_state)
    rng = check_random_state(random_state)
    queries = draw_signs(rng, grid[0], head_dim) / math.sqrt(head_dim)
    keys = draw_signs(rng, grid[1], head_dim) / math.sqrt(head_dim)
    n_differ = round(head_dim * (1 - cosine) / 2)
    keys[0] = queries[0] * np.where(np.arange(head_dim) < n_differ, -1, 1)
    return queries, keys


def bundle_row_and_column(
    queries: ArrayLike,
    keys: ArrayLike,
    slot: tuple[int, int],
    n_draws: int,
    random_state: int | np.random.RandomState | None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw binding keys; return chunks of the bundled queries and keys, (n, head_dim) each."""
    q, k, (m, n) = _check_row_and_column(queries, keys, slot)
    rng = _check_draws(n_draws, random_state)
    parts = []
    for size in chunks(n_draws, q.size + k.size):
        of_column, of_row = draw_signs(rng, size, *q.shape), draw_signs(rng, size, *k.shape)
        of_row[:, n] = of_column[:, m]  # the slot has one key
        parts.append(((of_column * q).sum(1), (of_row * k).sum(1)))
    return parts


def draw_signs(rng: np.random.RandomState, *shape: int) -> np.ndarray:
    """Draw independent uniform signs."""
    return rng.randint(0, 2, shape) * 2.0 - 1.0


def chunks(n_draws: int, elements_per_draw: int) -> list[int]:
    """Share draws out to chunks of bounded memory."""
    size = max(1, CHUNK_ELEMENTS // elements_per_draw)
    full, rest = divmod(n_draws, size)
    return [size] * full + [rest] * (rest > 0)


def check_grid(head_dim: int, grid: tuple[int, int], cosine: float) -> None:
    """Raise where a dimension, a grid or a cosine is none."""
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise TypeError(f"`grid` must be a pair of whole numbers such as (2, 2), got {grid!r}")
    check_parameters(
        {"head_dim": head_dim, "grid[0]": grid[0], "grid[1]": grid[1], "cosine": cosine},
        {
            "head_dim": Integer(1),
            "grid[0]": Integer(1),
            "grid[1]": Integer(1),
            "cosine": Number(-1, 1),
        },
    )


def _check_draws(
    n_draws: int, random_state: int | np.random.RandomState | None
) -> np.random.RandomState:
    check_parameters(
        {"n_draws": n_draws, "random_state": random_state},
        {"n_draws": Integer(1), "random_state": RandomState()},
    )
    return check_random_state(random_state)


def _check_row_and_column(
    queries: ArrayLike, keys: ArrayLike, slot: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    q, k = np.asarray(queries, dtype=float), np.asarray(keys, dtype=float)
    if q.ndim != 2 or k.ndim != 2 or q.shape[1] != k.shape[1]:
        raise ValueError(
            "`queries` and `keys` must be of shapes (M, head_dim) and (N, head_dim), "
            f"got {q.shape} and {k.shape}"
        )
    return q, k, _check_slot(slot, (len(q), len(k)))


def _check_values(
    values: ArrayLike, read_out: ArrayLike, slot: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    u, r = np.asarray(values, dtype=float), np.asarray(read_out, dtype=float)
    if u.ndim != 3 or r.shape != u.shape[2:]:
        raise ValueError(
            "`values` and `read_out` must be of shapes (M, N, head_dim) and (head_dim,), "
            f"got {u.shape} and {r.shape}"
        )
    return u, r, _check_slot(slot, u.shape[:2])


def _check_slot(slot: tuple[int, int], grid: tuple[int, ...]) -> tuple[int, int]:
    m, n = slot
    if not (0 <= m < grid[0] and 0 <= n < grid[1]):
        raise ValueError(f"`slot` must lie on the grid of {grid[0]} x {grid[1]}, got {slot}")
    return m, n
