"""
The capacity of a mixture
=========================

How often is the wrong token read from a slot? Draw this error against the number of slots, for four
ways to mark the slots, as computed from theory and as measured with the layers of the library.
About ten seconds on one core.
"""

# %%
# The mixture has width 256. White noise of a fifth of its variance stands for the error of a
# backbone. The vector of a slot is unbound, and the token whose vector is nearest in angle is
# retrieved, out of 1,000 random ones.

import matplotlib.pyplot as plt
import numpy as np

from muxlearn.theory import (
    capacity,
    capacity_estimate,
    measure_retrieval_error,
    retrieval_error,
)

width, vocab_size, noise, max_error = 256, 1000, 0.2, 0.01
names = {
    "hadamard": "normal Hadamard keys",
    "hrr": "HRR (circular convolution)",
    "orthogonal": "orthogonal keys",
    "subspace": "subspaces",
}

# %%
# For each slot, all other slots are noise. Random keys add to it by their own spread, as if there
# were one more slot for circular convolution and two for elementwise products. Slots with
# dimensions of their own see only the white noise. Errors that occurred fewer than about ten times
# are left out.

figure, axes = plt.subplots(figsize=(7, 4.8), layout="constrained")
slots = np.arange(1, 41)
some_slots, n_tokens = [2, 4, 6, 8, 12, 16, 24, 32], 1500
for colour, (kind, name) in zip(("C1", "C4", "C0", "C2"), names.items(), strict=True):
    theory = [retrieval_error(n, width, vocab_size, kind, noise=noise) for n in slots.tolist()]
    measured = np.array(
        [
            measure_retrieval_error(
                n,
                width,
                vocab_size,
                kind,
                noise=noise,
                n_mixtures=n_tokens // n,
                n_draws=4,
                random_state=0,
            )
            for n in some_slots
        ]
    )
    held = capacity(width, vocab_size, kind, max_error=max_error, noise=noise)
    estimate = capacity_estimate(width, vocab_size, kind, noise=noise)
    print(f"{name}: {held} slots at an error of {max_error:.0%}, breakdown near {estimate:.1f}")
    axes.semilogy(slots, theory, color=colour, label=f"{name}: {held} slots")
    axes.semilogy(some_slots, np.where(measured > 2e-3, measured, np.nan), "o", color=colour)
axes.axhline(max_error, color="gray", lw=0.8, ls=":")
axes.annotate("capacity is read off here", (39.5, max_error), ha="right", va="bottom", fontsize=8)
axes.set(
    title=f"Width {width}, {vocab_size:,} tokens, noise {noise}: theory and measurement (dots)",
    xlabel="slots in a mixture",
    ylabel="error of retrieval",
    ylim=(1e-4, 1.1),
)
axes.grid(alpha=0.3)
axes.legend(title="held at an error of 1 %", loc="lower right", fontsize=8)
plt.show()
