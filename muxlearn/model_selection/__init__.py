"""Choose between accuracy and speed, for all rows or row by row."""

from muxlearn.model_selection._cascade import CascadeClassifier
from muxlearn.model_selection._fastest import fastest_within, throughput_score

__all__ = ["CascadeClassifier", "fastest_within", "throughput_score"]
