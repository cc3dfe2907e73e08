"""Rows in, answers out, in order."""

from muxlearn.prediction._datasets import (
    Recipe,
    arrow_column,
    choose_columns,
    predict_dataset,
    predict_parts,
    result_name,
    result_type,
    rows_of,
)
from muxlearn.prediction._loading import (
    ARRAY,
    check_moved,
    load_predictor,
    own_names,
    restore_module,
)
from muxlearn.prediction._onnx import OnnxRunner, make_session
from muxlearn.prediction._planner import Planner
from muxlearn.prediction._points import (
    Measured,
    choose_points,
    fastest_point,
    label_of,
    measure_points,
    resolve_points,
)
from muxlearn.prediction._predictor import Predictor
from muxlearn.prediction._runner import Copies, Run, Runner, TorchRunner
from muxlearn.prediction._saved import complete_config, predictor_config, restore_predictor

__all__ = [
    "ARRAY",
    "Copies",
    "Measured",
    "OnnxRunner",
    "Planner",
    "Predictor",
    "Recipe",
    "Run",
    "Runner",
    "TorchRunner",
    "arrow_column",
    "check_moved",
    "choose_columns",
    "choose_points",
    "complete_config",
    "fastest_point",
    "label_of",
    "load_predictor",
    "make_session",
    "measure_points",
    "own_names",
    "predict_dataset",
    "predict_parts",
    "predictor_config",
    "resolve_points",
    "restore_module",
    "restore_predictor",
    "result_name",
    "result_type",
    "rows_of",
]
