"""Choose between accuracy and speed by cross-validation."""

from muxlearn.model_selection._fastest import fastest_within, throughput_score

__all__ = ["fastest_within", "throughput_score"]
