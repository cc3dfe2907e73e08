"""The theory of multiplexing, as functions that can be checked by running them.

It has a self-attention layer for sequences in superposition in closed form (after DataMUX), bounds
on their interference in MIMOFormer's scores and values, and the number of slots that a mixture can
hold. For each statement there is a function that measures it.
"""

from muxlearn.theory._attention import (
    SelfAttention,
    construction_error,
    multiplex_attention,
    share_attention,
)
from muxlearn.theory._capacity import (
    CAPACITY_KINDS,
    capacity,
    capacity_estimate,
    measure_retrieval_error,
    retrieval_cosine,
    retrieval_error,
)
from muxlearn.theory._features import (
    kernel_interference,
    kernel_tail,
    relu_feature_moments,
    simulate_kernel,
)
from muxlearn.theory._interference import (
    Interference,
    draw_flat_vectors,
    flat_score_interference,
    score_interference,
    simulate_scores,
    simulate_values,
    value_interference,
)
from muxlearn.theory._keys import (
    KEY_KINDS,
    bundle,
    cross_talk,
    draw_keys,
    dual_keys,
    unbind,
)

__all__ = [
    "CAPACITY_KINDS",
    "KEY_KINDS",
    "Interference",
    "SelfAttention",
    "bundle",
    "capacity",
    "capacity_estimate",
    "construction_error",
    "cross_talk",
    "draw_flat_vectors",
    "draw_keys",
    "dual_keys",
    "flat_score_interference",
    "kernel_interference",
    "kernel_tail",
    "measure_retrieval_error",
    "multiplex_attention",
    "relu_feature_moments",
    "retrieval_cosine",
    "retrieval_error",
    "score_interference",
    "share_attention",
    "simulate_kernel",
    "simulate_scores",
    "simulate_values",
    "unbind",
    "value_interference",
]
