"""Rows in, answers out, in order."""

from muxlearn.prediction._ahead import prepare_ahead
from muxlearn.prediction._datasets import (
    arrow_column,
    choose_columns,
    predict_dataset,
    result_name,
    window_rows,
)

__all__ = [
    "arrow_column",
    "choose_columns",
    "predict_dataset",
    "prepare_ahead",
    "result_name",
    "window_rows",
]
