"""
Cross-talk in MIMOFormer: bounds and simulation
===============================================

Compare the errors of superposed attention scores with the bounds of the theory, on several grids.
About ten seconds on one core.
"""

# %%
# MIMOFormer binds M x N sequences with random signs and adds queries up over M and keys over N. The
# score of one query with one key then has an error of `M N - 1` products of signs a dimension. For
# unit vectors its variance is `(M N - 1) / D`.

import matplotlib.pyplot as plt
import numpy as np

from muxlearn.theory import (
    draw_flat_vectors,
    flat_score_interference,
    kernel_interference,
    kernel_tail,
    simulate_kernel,
    simulate_scores,
)

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
head_dims = 2 ** np.arange(4, 10)
for colour, grid in zip(("C0", "C1", "C2"), ((1, 2), (2, 2), (4, 4)), strict=True):
    expected, measured = [], []
    for head_dim in head_dims.tolist():
        queries, keys = draw_flat_vectors(head_dim, grid, cosine=0.5, random_state=0)
        scores = simulate_scores(queries, keys, n_draws=2000, random_state=1)
        measured.append(scores.std())
        expected.append(np.sqrt(flat_score_interference(head_dim, grid).variance))
    axes.loglog(head_dims, expected, color=colour, label=f"theory, {grid[0]} x {grid[1]}")
    axes.loglog(head_dims, measured, "o", color=colour, label="simulation")
axes.set(
    title="Score of two unit vectors",
    xlabel="dimensions of a head",
    ylabel="standard deviation of the cross-talk",
)
axes.set_xticks(head_dims, head_dims)
axes.minorticks_off()
axes.grid(alpha=0.3)
axes.legend(fontsize=8, ncols=3)
plt.show()

# %%
# How often is a score off by more than a threshold? The bound is the smallest of Chebyshev's,
# Hoeffding's and Bernstein's. The model compares queries and keys through random features, which
# add their own noise. The bound with features adds up worst cases and lies far above the
# simulation. The dashed line is closer: it uses the variance, known to first order in the
# dimension, in Chebyshev's inequality.

head_dim, grid, n_features, cosine = 256, (2, 2), 256, 0.5
queries, keys = draw_flat_vectors(head_dim, grid, cosine, random_state=0)
thresholds = np.linspace(0.02, 1.13, 150)


def shares_beyond(values, centre):
    """Share of values that are off by each threshold or more; what was never seen is left out."""
    shares = (np.abs(values - centre) >= thresholds[:, None]).mean(1)
    return np.where(shares > 0, shares, np.nan)


interference = flat_score_interference(head_dim, grid, cosine)
scores = simulate_scores(queries, keys, n_draws=20_000, random_state=1)
figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
axes.semilogy(thresholds, interference.tail(thresholds), "C1", label="score: bound")
axes.semilogy(
    thresholds, shares_beyond(scores, interference.signal), "C1.", label="score: simulation"
)

mean, variance = kernel_interference(head_dim, grid, n_features, cosine)
kernels = simulate_kernel(queries, keys, n_features=n_features, n_draws=2000, random_state=1)
bound = kernel_tail(thresholds, head_dim, grid, n_features, cosine)
axes.semilogy(thresholds, bound, "C4", label="ReLU kernel: bound")
chebyshev = np.minimum(variance / thresholds**2, 1)
axes.semilogy(thresholds, chebyshev, "C4--", lw=1, label="ReLU kernel: variance, first order")
axes.semilogy(thresholds, shares_beyond(kernels, mean), "C4.", label="ReLU kernel: simulation")
axes.set(
    title=f"{grid[0]} x {grid[1]}, {head_dim} dimensions, {n_features} features",
    xlabel="threshold",
    ylabel="probability of being off by more",
    xlim=(0, 1.15),
    ylim=(3e-5, 2),
)
axes.grid(alpha=0.3)
axes.legend(fontsize=8, loc="lower right")
plt.show()
