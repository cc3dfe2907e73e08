"""
A self-attention layer for several sequences at once
====================================================

Construct the weights of a layer that computes the output of another layer for four sequences at
once, from their sum, and measure how exact it is. A few seconds on one core.
"""

# %%
# Start with a layer for one sequence, of width 16 and with two heads.

import matplotlib.pyplot as plt
import numpy as np
import torch

from muxlearn.theory import (
    SelfAttention,
    bundle,
    construction_error,
    cross_talk,
    draw_keys,
    multiplex_attention,
    unbind,
)

layer = SelfAttention.draw(width=16, n_heads=2, random_state=0)
n_mux = 4

# %%
# The keys take each sequence to 16 of the mixture's 64 dimensions, rotated at random. The layer for
# mixtures has two heads for each slot, since a softmax weighs the tokens of one sequence and two
# sequences cannot share one. Demultiplexing then gives the layer's output for each sequence alone.

keys = draw_keys(n_mux, layer.width, mixture_width=64, random_state=0)
multiplexed = multiplex_attention(layer, keys)
sequences = torch.randn(n_mux, 10, layer.width, dtype=torch.float64)
outputs = unbind(multiplexed(bundle(sequences, keys)), keys)
print(f"heads: {layer.n_heads} for one sequence, {multiplexed.n_heads} for {n_mux}")
print(f"largest difference: {(outputs - layer(sequences)).abs().max():.1e}")

# %%
# Keys that are drawn independently overlap a little. The error falls with one over the square root
# of the number of dimensions. The line is the cross-talk of the keys alone. The layer has about
# twice that error, since the keys act on its input and on its output. Readers that are dual to the
# keys make any independent keys exact. A softmax that all sequences share stays wrong at any width
# of the mixture.

widths = 64 * 2 ** np.arange(8)
curves = {
    "one softmax for all sequences": ("orthogonal", "keys", "shared", "C3", "s"),
    "normal Hadamard keys": ("gaussian", "keys", "own", "C1", "^"),
    "random rotations": ("rotation", "keys", "own", "C0", "o"),
    "random rotations, dual readers": ("rotation", "dual", "own", "C0", "x"),
    "orthogonal keys": ("orthogonal", "keys", "own", "C2", "D"),
}
figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 5.6), height_ratios=(3, 1), sharex=True, layout="constrained"
)
for label, (kind, readers, heads, colour, marker) in curves.items():
    errors = construction_error(
        layer,
        n_mux,
        widths.tolist(),
        kind=kind,
        readers=readers,
        heads=heads,
        n_draws=3,
        random_state=0,
    )
    axes = bottom if errors.max() < 1e-10 else top
    axes.loglog(widths, errors, marker, color=colour, label=label)
for kind, colour in (("gaussian", "C1"), ("rotation", "C0")):
    talk = [cross_talk(n_mux, layer.width, width, kind) for width in widths.tolist()]
    top.loglog(widths, talk, color=colour, label="cross-talk of these keys alone")
top.set(
    title=f"{n_mux} sequences in one pass of a self-attention layer",
    ylabel="relative error of the output",
    ylim=(0.05, 6),
)
bottom.set(xlabel="dimensions of the mixture", ylabel="rounding", ylim=(1e-16, 1e-12))
bottom.set_xticks(widths, widths)
for axes in (top, bottom):
    axes.minorticks_off()
    axes.grid(alpha=0.3)
top.legend(fontsize=8)
bottom.legend(fontsize=8, ncols=2)
plt.show()
