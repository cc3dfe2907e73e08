r"""The number of slots that a mixture can hold while its rows can still be told apart.

Retrieval without learning: unbind a slot by the adjoint of its key and take the token of the
vocabulary whose vector has the largest cosine to the result. Tokens' vectors are normally
distributed. The theory is our own; measurement runs this package's multiplexers and bindings.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor
from torch.nn import functional as F

from muxlearn._params import Choice, Constraint, Integer, Number, RandomState, check_parameters
from muxlearn.nn.binding import HRRBinding
from muxlearn.nn.multiplex import (
    HadamardMultiplexer,
    Multiplexer,
    OrthogonalMultiplexer,
    SubspaceMultiplexer,
)

__all__ = [
    "CAPACITY_KINDS",
    "capacity",
    "capacity_estimate",
    "measure_retrieval_error",
    "retrieval_cosine",
    "retrieval_error",
]

_MULTIPLEXERS: dict[str, type[Multiplexer]] = {
    "hadamard": HadamardMultiplexer,
    "orthogonal": OrthogonalMultiplexer,
    "subspace": SubspaceMultiplexer,
}

CAPACITY_KINDS = ("hadamard", "orthogonal", "hrr", "subspace")

_CONSTRAINTS: dict[str, Constraint] = {
    "n_mux": Integer(1),
    "width": Integer(8),
    "vocab_size": Integer(2),
    "kind": Choice(*CAPACITY_KINDS),
    "noise": Number(0),
}


def retrieval_cosine(
    n_mux: int, width: int, kind: str = "orthogonal", *, noise: float = 0.0
) -> tuple[float, float]:
    r"""Cosine between a slot's token and what is unbound for it.

    Parameters
    ----------
    n_mux : int
        Number of slots, `N`.
    width : int
        Dimensions of a mixture, `d`, at least 8; four a slot for "subspace", even for "hrr".
    kind : {"hadamard", "orthogonal", "hrr", "subspace"}, default="orthogonal"
        Keys: normal variables, multiplied elementwise (`HadamardMultiplexer`); uniform orthogonal
        matrices (`OrthogonalMultiplexer`); normal variables, convolved circularly (`HRRBinding`,
        whose keys are uniform: the same from some tens of dimensions on); or ``d // N`` dimensions
        for each slot (`SubspaceMultiplexer`).
    noise : float, default=0.0
        Variance of white noise on the mixture, relative to the mixture's own.

    Returns
    -------
    mean : float
        The mean in the limit of many dimensions, :math:`\rho`.
    variance : float
        The variance, to first order in ``1 / width``.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    Ours. With token `x`, key `k` and everything else in the mixture `h`, unbinding gives `y`.
    The cosine is a ratio of means over coordinates,
    :math:`\overline{xy} / \sqrt{\overline{x^2}\, \overline{y^2}}`, which for independent
    coordinates tends to :math:`\rho = \mathbb{E} xy / \sqrt{\mathbb{E} x^2\, \mathbb{E} y^2}`
    with the variance that the delta method gives from the fourth moments of `x` and `y`.
    Let :math:`\sigma^2` be the noise.

    - "orthogonal": :math:`y = x + h`, `h` normal of variance :math:`N - 1 + N \sigma^2`:
      :math:`\rho^2 = 1 / (N (1 + \sigma^2))`. Random signs would do as well.
    - "hadamard": :math:`y = k^2 x + k h`. As :math:`\mathbb{E} k^4 = 3`,
      :math:`\rho^2 = 1 / (N (1 + \sigma^2) + 2)`: normal keys cost as much as two more slots.
    - "hrr": the same for every frequency of the Fourier transform, where `k` is complex with
      :math:`\mathbb{E} |k|^4 = 2`: :math:`\rho^2 = 1 / (N (1 + \sigma^2) + 1)`, one more slot.
    - "subspace": :math:`y = x + h` with `h` the noise alone, in ``d // N`` dimensions:
      :math:`\rho^2 = 1 / (1 + \sigma^2)`, or a little more where `N` does not divide `d`.
    """
    _check(n_mux, width, kind, noise)
    means, squares, n_samples = _moments(n_mux, width, kind, noise)
    rho = means[1] / math.sqrt(means[0] * means[2])
    slope = np.array([-0.5, 1.0, -0.5]) / means
    return rho, float(rho**2 * slope @ squares @ slope / n_samples)


def retrieval_error(
    n_mux: int,
    width: int,
    vocab_size: int,
    kind: str = "orthogonal",
    *,
    noise: float = 0.0,
) -> float:
    r"""Probability that the token of a slot is not the one retrieved.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    width : int
        Dimensions of a mixture.
    vocab_size : int
        Number of tokens, `V`.
    kind : {"hadamard", "orthogonal", "hrr", "subspace"}, default="orthogonal"
        The kind of keys, see `retrieval_cosine`.
    noise : float, default=0.0
        Variance of white noise on the mixture, relative to the mixture's own.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    Ours. The vectors of the other tokens are independent of what is unbound and of each other, so
    that the largest of their :math:`V - 1` cosines to it has the distribution function
    :math:`F^{V - 1}`, `F` being that of the cosine between uniform directions, with density in
    proportion to :math:`(1 - c^2)^{(d - 3) / 2}`. With the density `f` of the true token's cosine,

    .. math::
        P = 1 - \int_{-1}^{1} F(c)^{V - 1} f(c) \, \mathrm{d}c .

    For "orthogonal" and "subspace" token and noise are normal, and `f` is that of the correlation
    of a normal sample with mean zero (Hotelling, JRSS B 15, 1953, with one sample more for the
    known mean),

    .. math::
        f(c) \propto (1 - c^2)^{(n - 3)/2} (1 - \rho c)^{1/2 - n}
        {}_2F_1\bigl(\tfrac12, \tfrac12; n + \tfrac12; \tfrac{1 + \rho c}{2}\bigr),

    with `n` the dimensions, a slot's for "subspace": nothing is approximated but for tokens of
    other slots, which for "orthogonal" are a little nearer than the rest. Without noise subspaces
    are retrieved exactly. For "hadamard" and "hrr" `n` is such that the variance is that of
    `retrieval_cosine`. To first order only, it overstates the error of few slots of few
    dimensions: 0.149 and 0.066 for two slots of 64 dimensions, noise 0.5 and 200 tokens,
    where 0.127 and 0.055 are measured; 0.331 and 0.242 for four slots and noise 0.2, against
    0.317 and 0.234.
    """
    _check(n_mux, width, kind, noise)
    _CONSTRAINTS["vocab_size"].check("vocab_size", vocab_size)
    rho, variance = retrieval_cosine(n_mux, width, kind, noise=noise)
    if rho > 1 - 1e-12:
        return 0.0
    dims = width // n_mux if kind == "subspace" else width
    # As many normal samples as have the variance; the number itself where they are normal.
    n_samples = (1 - rho**2) ** 2 / variance
    reach = math.atanh(rho) + 12 / math.sqrt(max(min(n_samples, dims) - 2, 1))
    z = np.linspace(-reach, reach, 20001)
    log_cosh = np.logaddexp(z, -z) - math.log(2)
    # A uniform direction's z has the density 1 / cosh(z) ** (d - 1).
    above = _share_to_the_right(np.exp((1 - dims) * log_cosh))
    one_is_nearer = -np.expm1((vocab_size - 1) * np.log1p(-np.minimum(above, 1 - 1e-15)))
    log_density = (1 - n_samples) * log_cosh - (n_samples - 0.5) * np.log1p(-rho * np.tanh(z))
    log_density += np.log(_hypergeometric(n_samples + 0.5, (1 + rho * np.tanh(z)) / 2))
    weights = np.exp(log_density - log_density.max())
    return float((weights * one_is_nearer).sum() / weights.sum())


def capacity(
    width: int,
    vocab_size: int,
    kind: str = "orthogonal",
    *,
    max_error: float = 0.01,
    noise: float = 0.0,
) -> int:
    """Return the most slots that a width holds at a given error of retrieval.

    Parameters
    ----------
    width : int
        Dimensions of a mixture.
    vocab_size : int
        Number of tokens, `V`.
    kind : {"hadamard", "orthogonal", "hrr", "subspace"}, default="orthogonal"
        The kind of keys, see `retrieval_cosine`.
    max_error : float, default=0.01
        Largest error, above 0 and below 1.
    noise : float, default=0.0
        Variance of white noise on the mixture, relative to the mixture's own.

    Returns
    -------
    int
        The largest `n_mux` for which `retrieval_error` is at most `max_error`; 0 if a
        single slot exceeds it. Never above `width`, nor, for "subspace", above ``width // 4``.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Examples
    --------
    >>> from muxlearn.theory import capacity
    >>> {kind: capacity(256, 1000, kind, noise=0.2) for kind in ("hadamard", "subspace")}
    {'hadamard': 5, 'subspace': 15}
    """
    Number(0, 1, True, True).check("max_error", max_error)
    _check(1, width, kind, noise)
    low, high = 0, width // 4 if kind == "subspace" else width
    while low < high:
        middle = (low + high + 1) // 2
        if retrieval_error(middle, width, vocab_size, kind, noise=noise) <= max_error:
            low = middle
        else:
            high = middle - 1
    return low


def capacity_estimate(
    width: int, vocab_size: int, kind: str = "orthogonal", *, noise: float = 0.0
) -> float:
    r"""Slots at which retrieval breaks down, in closed form.

    Parameters
    ----------
    width : int
        Dimensions of a mixture.
    vocab_size : int
        Number of tokens, `V`.
    kind : {"hadamard", "orthogonal", "hrr", "subspace"}, default="orthogonal"
        The kind of keys, see `retrieval_cosine`.
    noise : float, default=0.0
        Variance of white noise on the mixture, relative to the mixture's own.

    Returns
    -------
    float
        For "subspace" without noise infinite: nothing interferes.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.

    Notes
    -----
    Ours, by Shannon's argument for random codes. A uniform direction exceeds a cosine
    :math:`\rho` with probability :math:`(1 - \rho^2)^{d/2}` up to factors that are not exponential
    in `d`; among `V` tokens one does as soon as
    :math:`2 \ln V > -d \ln(1 - \rho^2)`. Solved for the number of slots, with
    :math:`\rho` of `retrieval_cosine` and :math:`g = 1 / (1 - V^{-2/d})`,

    .. math::
        N = \frac{g - e}{1 + \sigma^2}, \qquad
        e = 0 \text{ (orthogonal)},\ 1 \text{ (hrr)},\ 2 \text{ (hadamard)},

    which is about :math:`d / (2 (1 + \sigma^2) \ln V)`, and for the subspaces, each of
    :math:`d / N` dimensions, :math:`N = d \ln(1 + 1 / \sigma^2) / (2 \ln V)`. That is never
    less, as :math:`\ln(1 + 1/\sigma^2) \ge 1 / (1 + \sigma^2)`: to treat the other slots as
    noise loses against keeping them apart. At a small error the capacity is well below these
    (`capacity`).
    """
    _check(1, width, kind, noise)
    _CONSTRAINTS["vocab_size"].check("vocab_size", vocab_size)
    if kind == "subspace":
        if noise == 0:
            return math.inf
        return width * math.log1p(1 / noise) / (2 * math.log(vocab_size))
    lost = {"orthogonal": 0, "hrr": 1, "hadamard": 2}[kind]
    gain = -1 / math.expm1(-2 * math.log(vocab_size) / width)
    return (gain - lost) / (1 + noise)


def measure_retrieval_error(
    n_mux: int,
    width: int,
    vocab_size: int,
    kind: str = "orthogonal",
    *,
    noise: float = 0.0,
    n_mixtures: int = 64,
    n_draws: int = 4,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """Measure the error of retrieval from mixtures of this package's multiplexers.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    width : int
        Dimensions of a mixture.
    vocab_size : int
        Number of tokens, `V`.
    kind : {"hadamard", "orthogonal", "hrr", "subspace"}, default="orthogonal"
        The kind of keys, see `retrieval_cosine`.
    noise : float, default=0.0
        Variance of white noise on the mixture, relative to the mixture's own.
    n_mixtures : int, default=64
        Mixtures of tokens drawn at random, for each draw.
    n_draws : int, default=4
        Draws of keys and vocabularies.
    random_state : int, RandomState or None, default=None
        The generators of numpy and of torch are left as they are.

    Returns
    -------
    float
        Share of all slots' tokens that are not retrieved.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    _check(n_mux, width, kind, noise)
    check_parameters(
        {
            "vocab_size": vocab_size,
            "n_mixtures": n_mixtures,
            "n_draws": n_draws,
            "random_state": random_state,
        },
        {
            "vocab_size": _CONSTRAINTS["vocab_size"],
            "n_mixtures": Integer(1),
            "n_draws": Integer(1),
            "random_state": RandomState(),
        },
    )
    rng = check_random_state(random_state)
    n_wrong = 0
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for _ in range(n_draws):
            torch.manual_seed(rng.randint(2**31 - 1))
            n_wrong += _count_errors(n_mux, width, vocab_size, kind, noise, n_mixtures)
    return n_wrong / (n_draws * n_mixtures * n_mux)


def _count_errors(
    n_mux: int, width: int, vocab_size: int, kind: str, noise: float, n_mixtures: int
) -> int:
    """Fill some mixtures with random tokens and count those that are not retrieved."""
    vectors = torch.randn(vocab_size, width)
    tokens = torch.randint(vocab_size, (n_mixtures, n_mux))
    mix = _mixing(kind, n_mux, width)
    x = vectors[tokens].requires_grad_()
    mixture = mix(x)
    deviation = math.sqrt(noise) * mixture.detach().square().mean().sqrt()
    noisy = mixture.detach() + deviation * torch.randn_like(mixture)
    # Mixing is linear: the gradient of its product with the mixture is the adjoint's value.
    (unbound,) = torch.autograd.grad(mixture, x, noisy)
    seen = _seen_by_slots(mix, n_mux, vectors) if kind == "subspace" else vectors[:, None]
    directions = F.normalize(seen, dim=2).expand(-1, n_mux, -1)
    cosines = torch.einsum("bnd,vnd->bnv", unbound, directions)
    return int((cosines.argmax(2) != tokens).sum())


def _mixing(kind: str, n_mux: int, width: int) -> Callable[[Tensor], Tensor]:
    """Return what maps (n_mixtures, n_mux, width) to (n_mixtures, width), with keys of its own."""
    if kind == "hrr":
        binding = HRRBinding(n_mux, width, learn_keys=False)
        return lambda x: binding(x[..., None, None])[..., 0, 0]
    multiplexer = _MULTIPLEXERS[kind](n_mux, width, learn_keys=False)
    return lambda x: multiplexer(x[:, :, None])[:, 0]


def _seen_by_slots(mix: Callable[[Tensor], Tensor], n_mux: int, vectors: Tensor) -> Tensor:
    """Project vectors onto the dimensions that each slot keeps, (vocab_size, n_mux, width)."""
    # Subspaces do not interfere, so that one mixture shows all slots' shares.
    x = vectors[:, None].repeat(1, n_mux, 1).requires_grad_()
    mixture = mix(x)
    return torch.autograd.grad(mixture, x, mixture.detach())[0]


def _moments(
    n_mux: int, width: int, kind: str, noise: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Moments of x², xy and y² of one coordinate, x a token's entry of variance 1.

    Returns the means, shape (3,), the means of products, shape (3, 3), and the coordinates.
    """
    if kind == "subspace":
        slot_width = width // n_mux
        # Dimensions that are left over lower the mixture's variance, and with it the noise.
        return *_normal_moments(noise * n_mux * slot_width / width), slot_width
    others = n_mux - 1
    rest = others + n_mux * noise  # variance of h, of which `others` is a sum of products
    if kind == "orthogonal":
        return *_normal_moments(rest), width
    if kind == "hadamard":
        fourth = 3 * rest**2 + 6 * others  # of h; a product of two normal variables has 9
        means = np.array([1, 1, 3 + rest])
        squares = np.array(
            [
                [3, 3, 9 + rest],
                [3, 9 + rest, 45 + 9 * rest],
                [9 + rest, 45 + 9 * rest, 315 + 90 * rest + 3 * fourth],
            ]
        )
        return means, squares, width
    # |x|², Re(x* y) and |y|² of a frequency; of normal variables E |k|^2j = j!.
    fourth = 2 * rest**2 + 2 * others
    means = np.array([1, 1, 2 + rest])
    squares = np.array(
        [
            [2, 2, 4 + rest],
            [2, 4 + rest / 2, 12 + 4 * rest],
            [4 + rest, 12 + 4 * rest, 48 + 24 * rest + 2 * fourth],
        ]
    )
    return means, squares, width / 2


def _normal_moments(rest: float) -> tuple[np.ndarray, np.ndarray]:
    """Moments as above of y = x + h with a normal `h` of variance `rest`."""
    total = 1 + rest
    means = np.array([1, 1, total])
    squares = np.array(
        [
            [3, 3, 2 + total],
            [3, 2 + total, 3 * total],
            [2 + total, 3 * total, 3 * total**2],
        ]
    )
    return means, squares


def _share_to_the_right(density: np.ndarray) -> np.ndarray:
    """Share of a density on an even grid that lies beyond each point."""
    pieces = (density[1:] + density[:-1]) / 2
    beyond = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
    return beyond / beyond[0]


def _hypergeometric(c: float, x: np.ndarray) -> np.ndarray:
    """Sum the series 2F1(1/2, 1/2; c; x) for `x` from 0 to 1 and `c` of at least 2."""
    term, total = np.ones_like(x), np.ones_like(x)
    for k in range(200):
        term = term * (k + 0.5) ** 2 / ((c + k) * (k + 1)) * x
        total += term
        if term.max() < 1e-16:
            break
    return total


def _check(n_mux: int, width: int, kind: str, noise: float) -> None:
    given = {"n_mux": n_mux, "width": width, "kind": kind, "noise": noise}
    check_parameters(given, {name: _CONSTRAINTS[name] for name in given})
    if kind == "hrr" and width % 2:
        raise ValueError(f"`width` must be even for hrr, got {width}")
    most = width // 4 if kind == "subspace" else width
    if n_mux > most:
        raise ValueError(f"`n_mux` must be at most {most} for {kind} of width {width}, got {n_mux}")
