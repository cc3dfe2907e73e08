r"""Cross-talk and random features together: the kernel of a score in superposition.

FAVOR+S compares bundled queries and keys through `R` random features,
:math:`\hat K = \frac1R \sum_r \phi(p_r \cdot S^k_m)\, \phi(p_r \cdot S^q_n)`, with
:math:`\phi` the ReLU. Scaling queries and keys scales :math:`\hat K`, so that unit vectors say all.
Left out: the 0.001 that the model adds to each feature, and that its features are orthogonal in
blocks, where ours are independent rows of standard normal variables.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from muxlearn._params import Integer, Number, RandomState, check_parameters
from muxlearn.theory._interference import (
    Interference,
    bundle_row_and_column,
    check_grid,
    chunks,
    flat_score_interference,
)

__all__ = [
    "kernel_interference",
    "kernel_tail",
    "relu_feature_moments",
    "simulate_kernel",
]


def relu_feature_moments(
    cosine: float, n_features: int, query_norm: float = 1.0, key_norm: float = 1.0
) -> tuple[float, float]:
    r"""Mean and variance of the ReLU kernel of two vectors, over the random features.

    Parameters
    ----------
    cosine : float
        Between the vectors.
    n_features : int
        `R`.
    query_norm, key_norm : float, default=1.0
        Lengths of the vectors.

    Returns
    -------
    mean : float
    variance : float

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    The arc-cosine kernels of orders 1 and 2 (Cho and Saul, "Kernel methods for deep learning",
    NeurIPS 2009, section 2.1). With :math:`\theta` the angle and `x`, `y` unit vectors,

    .. math::
        \mathbb{E}\, \phi(p x) \phi(p y)
        &= \frac{1}{2\pi} \bigl( \sin\theta + (\pi - \theta) \cos\theta \bigr), \\
        \mathbb{E}\, \phi(p x)^2 \phi(p y)^2
        &= \frac{1}{2\pi} \bigl( 3 \sin\theta \cos\theta
        + (\pi - \theta)(1 + 2 \cos^2\theta) \bigr).

    A feature's variance, the second less the square of the first, falls as the angle grows.
    """
    check_parameters(
        {
            "cosine": cosine,
            "n_features": n_features,
            "query_norm": query_norm,
            "key_norm": key_norm,
        },
        {
            "cosine": Number(-1, 1),
            "n_features": Integer(1),
            "query_norm": Number(0),
            "key_norm": Number(0),
        },
    )
    mean, variance = _unit_moments(np.array(cosine, dtype=float))
    scale = query_norm * key_norm
    return float(scale * mean), float(scale**2 * variance / n_features)


def kernel_interference(
    head_dim: int, grid: tuple[int, int], n_features: int, cosine: float = 1.0
) -> tuple[float, float]:
    r"""Mean and variance of a superposed score's ReLU kernel, to first order in ``1 / head_dim``.

    Parameters
    ----------
    head_dim : int
        Dimensions of a head, `D`.
    grid : tuple of int
        `M` and `N`.
    n_features : int
        `R`.
    cosine : float, default=1.0
        Between the slot's query and key, flat unit vectors as the others are.

    Returns
    -------
    mean : float
        Off by terms of order ``1 / head_dim``.
    variance : float
        Over binding keys and features; off by terms of order ``1 / head_dim ** 2`` and
        ``1 / (head_dim * n_features)``.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    Ours. Write `a`, `b` for the squared lengths of the bundled query and key and `c` for their
    product, with means `M`, `N` and the slot's cosine :math:`\rho`: bundling dilutes a cosine to
    :math:`\cos\theta = \rho / \sqrt{M N}`. For flat vectors the same count of products of signs
    as in `score_interference` gives

    .. math::
        \operatorname{Var} c = \frac{M N - 1}{D},\quad
        \operatorname{Var} a = \frac{2 M (M - 1)}{D},\quad
        \operatorname{Var} b = \frac{2 N (N - 1)}{D},

        \operatorname{Cov}(a, c) = \frac{2 (M - 1) \rho}{D},\quad
        \operatorname{Cov}(b, c) = \frac{2 (N - 1) \rho}{D},\quad
        \operatorname{Cov}(a, b) = 0.

    The kernel's derivatives are :math:`(\pi - \theta) / 2\pi` by `c`,
    :math:`\sqrt{b / a} \sin\theta / 4\pi` by `a` and :math:`\sqrt{a / b} \sin\theta / 4\pi` by
    `b`; propagated, they give the share of the keys. The features add what
    `relu_feature_moments` says at the mean. Features do not help against cross-talk, nor
    dimensions against too few features; for the same accuracy both must grow in proportion to
    :math:`M N`.
    """
    check_grid(head_dim, grid, cosine)
    m, n = grid
    diluted = cosine / math.sqrt(m * n)
    mean, of_features = relu_feature_moments(diluted, n_features, math.sqrt(m), math.sqrt(n))
    angle = math.acos(diluted)
    by_norm = math.sin(angle) / (4 * math.pi)
    slope = np.array([math.sqrt(n / m) * by_norm, math.sqrt(m / n) * by_norm, 0.0])
    slope[2] = (math.pi - angle) / (2 * math.pi)
    with_a, with_b = 2 * (m - 1) * cosine, 2 * (n - 1) * cosine
    covariance = np.array(
        [
            [2 * m * (m - 1), 0, with_a],
            [0, 2 * n * (n - 1), with_b],
            [with_a, with_b, m * n - 1],
        ]
    )
    return mean, float(slope @ covariance @ slope / head_dim + of_features)


def kernel_tail(
    threshold: ArrayLike,
    head_dim: int,
    grid: tuple[int, int],
    n_features: int,
    cosine: float = 1.0,
) -> np.ndarray:
    r"""Bound the probability that a superposed score's ReLU kernel is off by a threshold or more.

    Off the kernel of the mean of lengths and product, which `kernel_interference` returns. The
    bound holds for any dimension; it is far above the truth, as it adds up the worst cases.

    Parameters
    ----------
    threshold : array-like of float
        How far the kernel is off, above zero.
    head_dim : int
        Dimensions of a head.
    grid : tuple of int
        Rows and columns of the grid.
    n_features : int
        Number of features.
    cosine : float, default=1.0
        Cosine between the slot's query and key, flat unit vectors as the others are.

    Returns
    -------
    ndarray of float64, shaped as `threshold`
        At most 1.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    Ours, with the names of `kernel_interference`. Take any :math:`\tau > 0` and
    :math:`0 < \alpha < 1`. Unless :math:`|c - \rho| \ge \tau`, :math:`|a - M| \ge \alpha M` or
    :math:`|b - N| \ge \alpha N`, which `Interference.tail` bounds one by one, the lengths and the
    product on the straight way from the means have
    :math:`\cos\theta \le C = (|\rho| + \tau) / ((1 - \alpha) \sqrt{M N})`, and by the kernel's
    derivatives it is off by at most

    .. math::
        \frac{\pi - \arccos C}{2\pi}\, \tau
        + \frac{\alpha}{2\pi} \sqrt{M N \frac{1 + \alpha}{1 - \alpha}}.

    What remains of the threshold is left to the features. By Chebyshev they exceed it with
    probability at most their variance at angle :math:`\arccos C` and lengths
    :math:`\sqrt{(1 + \alpha) M}` and :math:`\sqrt{(1 + \alpha) N}`, divided by its square. The
    bound is the least sum of the four over a table of :math:`\tau` and :math:`\alpha`.
    """
    check_grid(head_dim, grid, cosine)
    Integer(1).check("n_features", n_features)
    t = np.asarray(threshold, dtype=float)
    if not np.all(t > 0):
        raise ValueError(f"`threshold` must be above 0, got {t.min()}")
    m, n = grid
    alpha = np.linspace(0.02, 0.9, 45)
    norms = sum(
        _norm_interference(head_dim, size).tail(alpha * size) for size in grid
    )  # (n_alpha,)
    bounds = [np.ones_like(t)]
    for share in np.linspace(0.1, 3.5, 69):
        tau = share * t[..., None]
        limit = (abs(cosine) + tau) / ((1 - alpha) * math.sqrt(m * n))
        angle = np.arccos(np.minimum(limit, 1))
        off = (math.pi - angle) / (2 * math.pi) * tau
        off = off + alpha / (2 * math.pi) * np.sqrt(m * n * (1 + alpha) / (1 - alpha))
        rest = t[..., None] - off
        _, variance = _unit_moments(np.cos(angle))
        variance = m * n * (1 + alpha) ** 2 * variance / n_features
        of_features = variance / np.maximum(rest, 1e-12) ** 2
        of_scores = flat_score_interference(head_dim, grid, cosine).tail(tau)
        bounds.append((of_scores + norms + of_features).min(-1))
    return np.minimum.reduce(bounds)


def simulate_kernel(
    queries: ArrayLike,
    keys: ArrayLike,
    slot: tuple[int, int] = (0, 0),
    *,
    n_features: int,
    n_draws: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Draw binding keys and random features and compute the kernel that stands for the slot's.

    Parameters
    ----------
    queries : array-like of shape (M, head_dim)
    keys : array-like of shape (N, head_dim)
    slot : tuple of int, default=(0, 0)
        `m` and `n` of the slot.
    n_features : int
    n_draws : int, default=1000
        Each with features of its own.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray of float64, shape (n_draws,)

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    check_parameters(
        {"n_features": n_features, "random_state": random_state},
        {"n_features": Integer(1), "random_state": RandomState()},
    )
    rng = check_random_state(random_state)
    kernels = []
    for bundled_q, bundled_k in bundle_row_and_column(queries, keys, slot, n_draws, rng):
        head_dim = bundled_q.shape[1]
        start = 0
        for n in chunks(len(bundled_q), n_features * head_dim):
            pair = np.stack([bundled_q[start : start + n], bundled_k[start : start + n]], 2)
            features = rng.standard_normal((n, n_features, head_dim)) @ pair
            kernels.append(np.maximum(features, 0).prod(2).mean(1))
            start += n
    return np.concatenate(kernels)


def _unit_moments(cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of one feature's product, for unit vectors."""
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    mean = (sine + (math.pi - angle) * cosine) / (2 * math.pi)
    square = 3 * sine * cosine + (math.pi - angle) * (1 + 2 * cosine**2)
    # Rounding may leave a little less than nothing.
    return mean, np.maximum(square / (2 * math.pi) - mean**2, 0.0)


def _norm_interference(head_dim: int, n_bundled: int) -> Interference:
    """Squared length of a bundle of flat unit vectors, n (n - 1) / 2 products a coordinate."""
    pairs = n_bundled * (n_bundled - 1)
    return Interference(
        float(n_bundled), 2 * pairs / head_dim, pairs / head_dim, n_bundled**4 / head_dim
    )
