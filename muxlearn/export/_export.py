"""From a fitted estimator to a folder of graphs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal

import torch
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import Choice
from muxlearn.estimators import (
    MuxEstimator,
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
    saved_config,
)
from muxlearn.export._graph import Sizes, check_supported, export_graph, quantize
from muxlearn.export._model import (
    ARRAYS,
    FORMAT,
    FORMAT_VERSION,
    graph_name,
    require,
)
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import check_new_folder, write_contents
from muxlearn.points import Point, PointLike, as_points, speed_rank
from muxlearn.prediction import label_of, resolve_points
from muxlearn.training.devices import plain_torch

__all__ = ["export_onnx"]


@plain_torch()
def export_onnx(
    estimator: MuxEstimator,
    folder: str | os.PathLike,
    *,
    n_mux: PointLike | Iterable[PointLike] | None = None,
    dtype: Literal["float32", "int8"] = "float32",
) -> None:
    """Export a fitted estimator to ONNX.

    Each graph is the network for prediction, with the tables of the subspace multiplexer folded. It
    takes `input_ids` (int64) and `attention_mask` (bool) of shape (n_mixtures, n_mux, length), or
    `images` (float32, normalised) of shape (n_mixtures, n_mux, channels, height, width). The
    number of mixtures and the length are free. The graph returns `logits` of shape (n_mixtures,
    n_mux, n_classes); of a regressor these are its standardised targets, of an embedder the
    vectors, not brought to length 1. A tagger's graph also takes `tagged`, True at the pieces that
    need a tag, and only returns their logits, row by row: (n_tagged, n_classes). Before the graphs
    are written, their outputs are compared with torch's.

    Parameters
    ----------
    estimator : MuxTextClassifier, MuxTextRegressor, MuxTokenTagger, MuxTextEmbedder, \
            MuxImageClassifier or MuxImageRegressor
        The fitted estimator.

    folder : str or path
        The folder for `n_mux_10.onnx`, `n_mux_2x5.onnx` and the like, `config.json` (labels,
        parameters, the seed of the plan, checksums) and the files of the reader, such as
        `tokenizer.json`.

    n_mux : int, "words" or iterable of operating points, default=None
        Numbers of rows in a mixture, pairs ``(n_mux, patch_size)`` or "words"; a single pair stands
        in a list. Each point gets its own graph with all weights. None stands for the model's own
        point and all points that it was trained for.

    dtype : {"float32", "int8"}, default="float32"
        "int8" quantizes the weights of matrix products and the token tables, and activations
        dynamically. The graph is smaller, faster and less exact. Only for texts and sentences.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to export.
    TypeError
        The estimator is of another kind, or has a network that no graph can hold; the message
        says which.
    ValueError
        `n_mux` or `dtype` is invalid.
    ModuleNotFoundError
        A package of the extra ``muxlearn[onnx]`` is missing.
    RuntimeError
        Torch's exporter fails, or a graph's outputs differ from torch's.

    See Also
    --------
    OnnxMuxClassifier, OnnxMuxRegressor, OnnxMuxTagger, OnnxMuxEmbedder : Run what was exported.
    """
    kinds = (
        *(MuxTextClassifier, MuxTextRegressor, MuxTokenTagger, MuxTextEmbedder),
        *(MuxImageClassifier, MuxImageRegressor),
    )
    if not isinstance(estimator, kinds):
        raise TypeError(
            f"`estimator` must be a {', '.join(kind.__name__ for kind in kinds[:-1])} or "
            f"{kinds[-1].__name__}, got an instance of {type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    Choice("float32", "int8").check("dtype", dtype)
    if dtype == "int8" and isinstance(estimator, MuxImageClassifier | MuxImageRegressor):
        raise ValueError(
            "`dtype` 'int8' quantizes matrix products, but a network on images is made of "
            "convolutions; take 'float32'"
        )
    check_supported(estimator.module_)
    require("onnx", "onnxscript", "onnxruntime")
    points = _check_points(estimator, n_mux)
    check_new_folder(folder, FORMAT)  # before the graphs, which take long, are made for nothing
    described, predictor = saved_config(estimator), estimator.predictor_
    module = estimator.module_.for_inference(torch.float32).cpu()
    if isinstance(module, MuxTextModule):
        module.folded_patches = None  # each graph would hold a token table for every place
    sizes = _sizes(estimator)
    graphs = {point: export_graph(module, point, sizes) for point in points}
    if dtype == "int8":
        graphs = {point: quantize(graph) for point, graph in graphs.items()}
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **described,
        "dtype": dtype,
        "operating_points": [label_of(point, predictor.runner) for point in points],
    }
    contents = {graph_name(point): graph for point, graph in graphs.items()}
    if arrays := predictor.task.arrays():
        from safetensors.numpy import save

        contents[ARRAYS] = save(arrays)
    write_contents(folder, config, contents, predictor.reader.files())


def _check_points(
    estimator: MuxEstimator, n_mux: PointLike | Iterable[PointLike] | None
) -> list[Point]:
    predictor = estimator.predictor_
    own = predictor.resolve_point()
    if n_mux is None:
        n_mux = [own, *as_points(estimator.trained_points_ or ())]
    points = resolve_points(n_mux, predictor.runner)
    if not points:
        raise ValueError("`n_mux` is empty; give one number of rows at least")
    others = sorted(points - {own}, key=speed_rank, reverse=True)
    # The first is what the exported model predicts at where nothing else is said.
    return [*points & {own}, *others]


def _sizes(estimator: MuxEstimator) -> Sizes:
    if isinstance(estimator, MuxImageClassifier | MuxImageRegressor):
        return Sizes(image_shape=estimator.image_shape_)
    reader: Any = estimator.predictor_.reader
    module: Any = estimator.module_
    return Sizes(reader.max_length, module.encoder.embedding.num_embeddings)
