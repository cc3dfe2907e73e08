"""Keys that mark the sequences of a mixture, and what they leave of cross-talk.

Row vectors throughout: a key ``K_i`` of shape (mixture_width, width) takes a token `x` to
``x K_i.T`` and reads it back off the mixture by ``m K_i``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from muxlearn._params import Choice, Constraint, Integer, RandomState, check_parameters

__all__ = ["KEY_KINDS", "bundle", "cross_talk", "draw_keys", "dual_keys", "unbind"]

KEY_KINDS = ("orthogonal", "rotation", "sign", "gaussian")

_SIZES: dict[str, Constraint] = {
    "n_mux": Integer(1),
    "width": Integer(1),
    "mixture_width": Integer(1),
}


def draw_keys(
    n_mux: int,
    width: int,
    mixture_width: int,
    kind: str = "orthogonal",
    *,
    random_state: int | np.random.RandomState | None = None,
) -> Tensor:
    """Draw keys that take vectors of one width to mixtures of another.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    width : int
        Dimensions of a token.
    mixture_width : int
        Dimensions of a mixture, at least `width`.
    kind : {"orthogonal", "rotation", "sign", "gaussian"}, default="orthogonal"
        "orthogonal": ``K_i.T K_j`` is the identity for ``i = j`` and zero else, which takes
        ``n_mux * width <= mixture_width``. "rotation": independent uniform frames, DataMUX's
        "Ortho" (section 3.1) on tokens of a subspace. "sign" and "gaussian": the same uniform
        frame for all slots, multiplied elementwise by random signs or by normal variables, the
        latter DataMUX's "Hadamard".
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Tensor of float64, shape (n_mux, mixture_width, width)

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above.
    """
    check_parameters(
        {
            "n_mux": n_mux,
            "width": width,
            "mixture_width": mixture_width,
            "kind": kind,
            "random_state": random_state,
        },
        _SIZES | {"kind": Choice(*KEY_KINDS), "random_state": RandomState()},
    )
    needed = _check_room(n_mux, width, mixture_width, kind)
    rng = check_random_state(random_state)
    if kind == "orthogonal":
        frame = _frames(rng, 1, mixture_width, needed)[0]
        return frame.view(mixture_width, n_mux, width).transpose(0, 1)
    if kind == "rotation":
        return _frames(rng, n_mux, mixture_width, width)
    marks = draw_normal(rng, n_mux, mixture_width, 1)
    return (marks.sign() if kind == "sign" else marks) * _frames(rng, 1, mixture_width, width)


def dual_keys(keys: Tensor) -> Tensor:
    """Return the readers that take any independent keys apart without cross-talk.

    They are the rows of the pseudoinverse of all keys side by side, so that ``R_i.T K_j`` is the
    identity for ``i = j`` and zero else. Orthogonal keys are their own readers.

    Parameters
    ----------
    keys : Tensor of shape (n_mux, mixture_width, width)
        Linearly independent, for which ``n_mux * width`` may not exceed `mixture_width`.

    Returns
    -------
    Tensor of shape (n_mux, mixture_width, width)

    Raises
    ------
    ValueError
        The keys are too many for the mixture.
    """
    n_mux, mixture_width, width = check_keys(keys)
    if n_mux * width > mixture_width:
        raise ValueError(
            f"{n_mux} keys of width {width} are not independent in {mixture_width} dimensions; "
            f"they need {n_mux * width}"
        )
    stacked = keys.transpose(0, 1).flatten(1)  # (mixture_width, n_mux * width)
    return torch.linalg.pinv(stacked).T.unflatten(1, (n_mux, width)).transpose(0, 1)


def bundle(x: Tensor, keys: Tensor) -> Tensor:
    """Bind every sequence by its key and add them up.

    Parameters
    ----------
    x : Tensor of shape (..., n_mux, length, width)
    keys : Tensor of shape (n_mux, mixture_width, width)

    Returns
    -------
    Tensor of shape (..., length, mixture_width)

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    n_mux, _, width = check_keys(keys)
    if x.ndim < 3 or x.shape[-3] != n_mux or x.shape[-1] != width:
        raise ValueError(
            f"`x` must be of shape (..., {n_mux}, length, {width}) for these keys, "
            f"got {tuple(x.shape)}"
        )
    return torch.einsum("...nld,nwd->...lw", x, keys)


def unbind(mixture: Tensor, readers: Tensor) -> Tensor:
    """Read every sequence off a mixture.

    Parameters
    ----------
    mixture : Tensor of shape (..., length, mixture_width)
    readers : Tensor of shape (n_mux, mixture_width, width)
        The keys, or their duals.

    Returns
    -------
    Tensor of shape (..., n_mux, length, width)

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    _, mixture_width, _ = check_keys(readers)
    if mixture.ndim < 2 or mixture.shape[-1] != mixture_width:
        raise ValueError(
            f"`mixture` must be of shape (..., length, {mixture_width}) for these readers, "
            f"got {tuple(mixture.shape)}"
        )
    return torch.einsum("...lw,nwd->...nld", mixture, readers)


def cross_talk(n_mux: int, width: int, mixture_width: int, kind: str = "rotation") -> float:
    r"""Error of bundling and unbinding alone, without a layer between.

    Parameters
    ----------
    n_mux, width, mixture_width : int
    kind : {"orthogonal", "rotation", "sign", "gaussian"}, default="rotation"
        The kind of keys; `draw_keys` describes them.

    Returns
    -------
    float
        Root of the mean square of what the keys add to a slot's vector, relative to the vector,
        for vectors of equal length in all slots. The mean is over the keys.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above, or there are no such keys: the mixture is too narrow.

    Notes
    -----
    Ours. A uniform frame's projection keeps :math:`d / D` of a vector's square, hence
    :math:`(N - 1) d / D` for "rotation". For a single frame `E` with rows :math:`e_r` and
    independent marks :math:`s_r` of mean 0 and variance 1,

    .. math::
        \mathbb{E} \lVert E^\top \operatorname{diag}(s) E x \rVert^2
        = \mathbb{E} \sum_r \lVert e_r \rVert^2 (e_r x)^2 = \frac{d + 2}{D + 2} \lVert x \rVert^2,

    by the moments of a uniform unit vector. Of another slot's key the marks are products of
    signs or of normal variables: :math:`N - 1` times that. Normal keys also miss their own
    slot, by :math:`v^2 - 1` of variance 2: :math:`N + 1` times in all.
    """
    check_parameters(
        {"n_mux": n_mux, "width": width, "mixture_width": mixture_width, "kind": kind},
        _SIZES | {"kind": Choice(*KEY_KINDS)},
    )
    _check_room(n_mux, width, mixture_width, kind)
    squares = {
        "orthogonal": 0.0,
        "rotation": (n_mux - 1) * width / mixture_width,
        "sign": (n_mux - 1) * (width + 2) / (mixture_width + 2),
        "gaussian": (n_mux + 1) * (width + 2) / (mixture_width + 2),
    }
    return math.sqrt(squares[kind])


def _check_room(n_mux: int, width: int, mixture_width: int, kind: str) -> int:
    """Return the least width of a mixture that keys need, or raise if this one is less."""
    needed = n_mux * width if kind == "orthogonal" else width
    if mixture_width < needed:
        raise ValueError(
            f"`mixture_width` must be at least {needed} for {kind} keys of {n_mux} slots of "
            f"width {width}, got {mixture_width}"
        )
    return needed


def draw_normal(rng: np.random.RandomState, *shape: int) -> Tensor:
    """Draw standard normal variables in double precision."""
    return torch.from_numpy(rng.standard_normal(shape))


def _frames(rng: np.random.RandomState, n: int, rows: int, columns: int) -> Tensor:
    """Draw uniform orthonormal frames, shape (n, rows, columns)."""
    q, r = torch.linalg.qr(draw_normal(rng, n, rows, columns))
    # The signs make the distribution uniform (Mezzadri, Notices of the AMS 54, 2007).
    return q * r.diagonal(dim1=1, dim2=2).sign()[:, None]


def check_keys(keys: Tensor) -> torch.Size:
    """Return the shape (n_mux, mixture_width, width), or raise if it is none."""
    if keys.ndim != 3:
        raise ValueError(
            "keys and readers must be of shape (n_mux, mixture_width, width), "
            f"got {tuple(keys.shape)}"
        )
    return keys.shape
