"""One self-attention layer that does the work of N, on N sequences added up.

DataMUX (Murahari et al., NeurIPS 2022) announces a theoretical construction for multiplexing in
self-attention networks. What stands here is no transcript of theirs: the construction, its proof
and the closed forms of the error are our own, after that idea. They hold for any self-attention
layer and say what every part is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn._params import Choice, Integer, RandomState, check_parameters
from muxlearn.theory._keys import bundle, check_keys, draw_keys, draw_normal, dual_keys, unbind

__all__ = ["SelfAttention", "construction_error", "multiplex_attention", "share_attention"]


@dataclass(frozen=True)
class SelfAttention:
    r"""A self-attention layer, given by its matrices.

    Head `h` of a sequence `x` of shape (length, width) is

    .. math::
        \operatorname{softmax}\bigl(s\, (x Q_h + b^Q_h)(x K_h + b^K_h)^\top\bigr)
        (x V_h + b^V_h)\, O_h

    and the layer is the sum over the heads plus the output's bias.

    Parameters
    ----------
    query, key : Tensor of shape (n_heads, width, head_size)
    value : Tensor of shape (n_heads, width, value_size)
    output : Tensor of shape (n_heads, value_size, width)
    query_bias, key_bias : Tensor of shape (n_heads, head_size)
    value_bias : Tensor of shape (n_heads, value_size)
    output_bias : Tensor of shape (width,)
    scale : float
        Factor of the scores, `s`.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    query_bias: Tensor
    key_bias: Tensor
    value_bias: Tensor
    output_bias: Tensor
    scale: float

    @classmethod
    def draw(
        cls,
        width: int,
        n_heads: int = 1,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> SelfAttention:
        """Draw a layer whose scores and outputs are of order 1 for inputs of order 1.

        Parameters
        ----------
        width : int
            A multiple of `n_heads`.
        n_heads : int, default=1
        random_state : int, RandomState or None, default=None

        Returns
        -------
        SelfAttention
            In double precision, with biases.

        Raises
        ------
        TypeError, ValueError
            A parameter is not of the kind above.
        """
        check_parameters(
            {"width": width, "n_heads": n_heads, "random_state": random_state},
            {"width": Integer(1), "n_heads": Integer(1), "random_state": RandomState()},
        )
        if width % n_heads:
            raise ValueError(
                f"`width` must be a multiple of `n_heads`, got width {width} and {n_heads} heads"
            )
        rng = check_random_state(random_state)
        head_size = width // n_heads
        spread = 1 / math.sqrt(width)
        query, key, value = draw_normal(rng, 3, n_heads, width, head_size) * spread
        output = draw_normal(rng, n_heads, head_size, width) * spread
        biases = 0.1 * draw_normal(rng, 3, n_heads, head_size)
        output_bias = 0.1 * draw_normal(rng, width)
        of_query, of_key, of_value = biases
        return cls(
            query, key, value, output, of_query, of_key, of_value, output_bias, head_size**-0.5
        )

    @classmethod
    def from_module(cls, module: nn.MultiheadAttention) -> SelfAttention:
        """Take the matrices of a layer of torch.

        Parameters
        ----------
        module : nn.MultiheadAttention
            With keys and values as wide as the queries, `bias_k` and `add_zero_attn` unused.

        Returns
        -------
        SelfAttention
            Copies, in the module's precision.

        Raises
        ------
        ValueError
            The module is of another form.
        """
        if module.in_proj_weight is None or module.bias_k is not None or module.add_zero_attn:
            raise ValueError(
                "`module` must be a self-attention layer: keys and values as wide as the "
                "queries, without `add_bias_kv` and `add_zero_attn`"
            )
        n_heads, width, head_size = module.num_heads, module.embed_dim, module.head_dim
        stacked = module.in_proj_weight.detach()  # (3 * width, width), rows are outputs
        query, key, value = stacked.view(3, n_heads, head_size, width).mT.clone()
        output = module.out_proj.weight.detach().T.reshape(n_heads, head_size, width).clone()
        if module.in_proj_bias is None:
            biases = stacked.new_zeros(3, n_heads, head_size)
            output_bias = stacked.new_zeros(width)
        else:
            biases = module.in_proj_bias.detach().view(3, n_heads, head_size).clone()
            output_bias = module.out_proj.bias.detach().clone()
        of_query, of_key, of_value = biases
        return cls(
            query, key, value, output, of_query, of_key, of_value, output_bias, head_size**-0.5
        )

    @property
    def width(self) -> int:
        """Size of a token's vector."""
        return self.query.shape[1]

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return len(self.query)

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor of shape (..., length, width)
        mask : Tensor of bool or None, default=None
            Broadcastable to (..., n_heads, length, length). False where a query (last axis but
            one) must not look at a token (last axis).

        Returns
        -------
        Tensor of shape (..., length, width)

        Raises
        ------
        ValueError
            The vectors are not as wide as the layer.
        """
        if x.ndim < 2 or x.shape[-1] != self.width:
            raise ValueError(
                f"`x` must be of shape (..., length, {self.width}), got {tuple(x.shape)}"
            )
        x = x[..., None, :, :]  # (..., 1, length, width)
        query = x @ self.query + self.query_bias[:, None]
        key = x @ self.key + self.key_bias[:, None]
        value = x @ self.value + self.value_bias[:, None]
        heads = F.scaled_dot_product_attention(query, key, value, mask, scale=self.scale)
        return (heads @ self.output).sum(-3) + self.output_bias


def multiplex_attention(
    layer: SelfAttention, keys: Tensor, readers: Tensor | None = None
) -> SelfAttention:
    r"""Write down the layer that applies another one to every sequence of a mixture.

    Parameters
    ----------
    layer : SelfAttention
        The layer for a single sequence.
    keys : Tensor of shape (n_mux, mixture_width, width)
        Keys of the mixture that the layer reads and of the one that it returns.
    readers : Tensor of shape (n_mux, mixture_width, width) or None, default=None
        Matrices that sequences are read with; None means the keys themselves.

    Returns
    -------
    SelfAttention
        A layer of width `mixture_width`, with ``n_mux * layer.n_heads`` heads; those of slot `i`
        are ``i * layer.n_heads`` to ``(i + 1) * layer.n_heads - 1``. Masks are each head's own, so
        that the padding of one sequence is no matter to the others.

    Raises
    ------
    ValueError
        The keys are not as wide as the layer, or the readers are not shaped as the keys.

    Notes
    -----
    Ours, after the construction that DataMUX announces. With keys :math:`\Phi_i` and
    readers :math:`\Psi_i` of shape :math:`D \times d`, slot `i` gets a copy of every head,

    .. math::
        Q_{ih} = \Psi_i Q_h,\quad K_{ih} = \Psi_i K_h,\quad V_{ih} = \Psi_i V_h,\quad
        O_{ih} = O_h \Phi_i^\top,\quad b = \sum_i b^O \Phi_i^\top,

    and scores keep their scale. If :math:`\Phi_i^\top \Psi_j = \delta_{ij} I`, a mixture
    :math:`m = \sum_j x_j \Phi_j^\top` has :math:`m \Psi_i = x_i`: the heads of slot `i` see the
    scores and the values that the single layer sees, and the sum over all heads is
    :math:`\sum_i y_i \Phi_i^\top`, from which :math:`\Psi_i` reads the layer's output
    :math:`y_i`. Nothing is approximated: the softmax acts on the scores of one sequence at a time.
    That takes :math:`N d \le D`, and as many times the heads.

    One softmax cannot serve two slots. Suppose that two sequences share that of a layer of one
    head, with attention map `P` of shape (length, length). It can then return only
    :math:`P x_i V` and :math:`P x_j V`, and if each sequence's values are linearly independent
    this is right for both only if their own maps are equal (`share_attention`).

    With random keys :math:`\Phi_i^\top \Phi_j` is of order :math:`D^{-1/2}`: the cross-talk
    (`cross_talk`) enters once where the heads read and once where they are read. As the layer is
    differentiable, the relative error falls as :math:`\sqrt{(N - 1) d / D}` times a constant that
    depends on the layer: 1.8 was measured for four sequences and a layer of `SelfAttention.draw`.

    Examples
    --------
    >>> import torch
    >>> from muxlearn.theory import SelfAttention, bundle, draw_keys, multiplex_attention, unbind
    >>> layer = SelfAttention.draw(8, n_heads=2, random_state=0)
    >>> keys = draw_keys(3, 8, mixture_width=24, random_state=0)
    >>> x = torch.randn(3, 5, 8, dtype=torch.float64)
    >>> y = unbind(multiplex_attention(layer, keys)(bundle(x, keys)), keys)
    >>> torch.allclose(y, layer(x), rtol=0, atol=1e-12)
    True
    """
    n_mux, _, _ = check_keys(keys)
    readers = keys if readers is None else readers
    _check_fit(layer, keys, readers)

    def read(matrix: Tensor) -> Tensor:
        return torch.einsum("nwd,hdk->nhwk", readers, matrix).flatten(0, 1)

    return SelfAttention(
        query=read(layer.query),
        key=read(layer.key),
        value=read(layer.value),
        output=torch.einsum("hkd,nwd->nhkw", layer.output, keys).flatten(0, 1),
        query_bias=layer.query_bias.repeat(n_mux, 1),
        key_bias=layer.key_bias.repeat(n_mux, 1),
        value_bias=layer.value_bias.repeat(n_mux, 1),
        output_bias=torch.einsum("d,nwd->w", layer.output_bias, keys),
        scale=layer.scale,
    )


def share_attention(
    layer: SelfAttention, keys: Tensor, readers: Tensor | None = None
) -> SelfAttention:
    """Write down the layer in which all sequences of a mixture share each head's softmax.

    Its scores are the mean of the sequences' own. That is what multiplexing a layer without adding
    heads comes to, and it is exact only for sequences that attend alike; more dimensions
    do not help (ours, see the notes of `multiplex_attention`).

    Parameters
    ----------
    layer : SelfAttention
        The layer for a single sequence.
    keys : Tensor of shape (n_mux, mixture_width, width)
        Keys of the mixture that the layer reads and of the one that it returns.
    readers : Tensor of shape (n_mux, mixture_width, width) or None, default=None
        Matrices that sequences are read with; None means the keys themselves.

    Returns
    -------
    SelfAttention
        A layer of width `mixture_width`, with as many heads as `layer`, each `n_mux` times as wide.

    Raises
    ------
    ValueError
        The keys are not as wide as the layer, or the readers are not shaped as the keys.
    """
    n_mux, _, _ = check_keys(keys)
    readers = keys if readers is None else readers
    _check_fit(layer, keys, readers)

    def read(matrix: Tensor) -> Tensor:
        return torch.einsum("nwd,hdk->hwnk", readers, matrix).flatten(2)

    return SelfAttention(
        query=read(layer.query),
        key=read(layer.key),
        value=read(layer.value),
        output=torch.einsum("hkd,nwd->hnkw", layer.output, keys).flatten(1, 2),
        query_bias=layer.query_bias.repeat(1, n_mux),
        key_bias=layer.key_bias.repeat(1, n_mux),
        value_bias=layer.value_bias.repeat(1, n_mux),
        output_bias=torch.einsum("d,nwd->w", layer.output_bias, keys),
        scale=layer.scale / n_mux,
    )


def construction_error(
    layer: SelfAttention,
    n_mux: int,
    mixture_widths: Sequence[int],
    *,
    kind: str = "rotation",
    readers: str = "keys",
    heads: str = "own",
    length: int = 8,
    n_draws: int = 8,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Measure the error of a multiplexed layer against the number of dimensions.

    Parameters
    ----------
    layer : SelfAttention
        For a single sequence, in double precision.
    n_mux : int
        Number of slots.
    mixture_widths : sequence of int
        Dimensions of a mixture.
    kind : {"orthogonal", "rotation", "sign", "gaussian"}, default="rotation"
        The kind of keys; `draw_keys` describes them.
    readers : {"keys", "dual"}, default="keys"
        Whether sequences are read with the keys or with `dual_keys`.
    heads : {"own", "shared"}, default="own"
        `multiplex_attention` or `share_attention`.
    length : int, default=8
        Tokens in a sequence.
    n_draws : int, default=8
        Draws of keys and of normally distributed sequences for each width.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray of float64, shape (n_widths,)
        Root of the mean square of the difference to `layer` applied to every sequence by itself,
        relative to that of the layer's output.

    Raises
    ------
    TypeError, ValueError
        A parameter is not of the kind above, or keys of this kind do not fit a width.
    """
    check_parameters(
        {"n_mux": n_mux, "readers": readers, "heads": heads, "length": length, "n_draws": n_draws},
        {
            "n_mux": Integer(1),
            "readers": Choice("keys", "dual"),
            "heads": Choice("own", "shared"),
            "length": Integer(1),
            "n_draws": Integer(1),
        },
    )
    RandomState().check("random_state", random_state)
    rng = check_random_state(random_state)
    construct = multiplex_attention if heads == "own" else share_attention
    errors = []
    for mixture_width in mixture_widths:
        squares = np.zeros(2)
        for _ in range(n_draws):
            keys = draw_keys(n_mux, layer.width, mixture_width, kind, random_state=rng)
            read_with = keys if readers == "keys" else dual_keys(keys)
            x = draw_normal(rng, n_mux, length, layer.width)
            expected = layer(x)
            y = unbind(construct(layer, keys, read_with)(bundle(x, keys)), read_with)
            squares += [(y - expected).square().sum().item(), expected.square().sum().item()]
        errors.append(math.sqrt(squares[0] / squares[1]))
    return np.array(errors)


def _check_fit(layer: SelfAttention, keys: Tensor, readers: Tensor) -> None:
    if keys.shape[2] != layer.width:
        raise ValueError(
            f"`keys` must be as wide as the layer, {layer.width}, got width {keys.shape[2]}"
        )
    if readers.shape != keys.shape:
        raise ValueError(
            f"`readers` must be shaped as the keys, {tuple(keys.shape)}, got {tuple(readers.shape)}"
        )
