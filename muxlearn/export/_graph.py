"""From a fitted module to ONNX graphs, one for each operating point."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from muxlearn.nn.demultiplex import MLPDemultiplexer
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.module import MuxModule
from muxlearn.nn.tagging import MuxTokenClassifier
from muxlearn.nn.text import MuxSequenceClassifier
from muxlearn.nn.trunks import MuxTrunkClassifier
from muxlearn.nn.vision import MuxVisionCNN, MuxVisionMLP
from muxlearn.points import WORDS, Point
from muxlearn.prediction import make_session

__all__ = ["Sizes", "check_supported", "export_graph", "quantize"]

#: How far the logits of a graph may be from torch's, over 1 or the largest of them.
TOLERANCE = 1e-4

#: The first version whose exporter takes all our networks.
_LEAST_TORCH = "2.12"

#: Numbers that a table holds at least to be kept as bytes.
_LEAST_TABLE = 2**12

_TEXTS = ("input_ids", "attention_mask")
_INPUTS: dict[type[MuxModule], tuple[str, ...]] = {
    MuxSequenceClassifier: _TEXTS,
    MuxSequenceEmbedder: _TEXTS,
    MuxTokenClassifier: (*_TEXTS, "tagged"),
    MuxWideResNet: ("images",),
    MuxVisionMLP: ("images",),
    MuxVisionCNN: ("images",),
    MuxTrunkClassifier: ("images",),
}


class Sizes(NamedTuple):
    """The parts that examples of a module's inputs are made of.

    Attributes
    ----------
    max_length, vocab_size : int
        Number of tokens of a text, and of those that there are; 0 for images.
    image_shape : tuple of int
        Channels, height and width of an image; empty for texts.
    """

    max_length: int = 0
    vocab_size: int = 0
    image_shape: tuple[int, ...] = ()


def check_supported(module: MuxModule) -> None:
    """Raise unless a module can become a graph.

    Parameters
    ----------
    module : MuxModule

    Raises
    ------
    TypeError
        It cannot; the message says which module it is.
    """
    name = type(module).__name__
    if type(module) not in _INPUTS:
        raise TypeError(
            f"a {name} cannot be exported to ONNX; what can are "
            f"{', '.join(sorted(kind.__name__ for kind in _INPUTS))}. Save it with `save` instead"
        )
    if isinstance(module, MuxTokenClassifier) and isinstance(
        module.demultiplexer, MLPDemultiplexer
    ):
        raise TypeError(
            f"a {name} with a MLPDemultiplexer cannot be exported to ONNX: it sorts tokens by "
            "slot, in sizes that no graph knows before it runs; fit with demultiplexer='rsa' or "
            "'index'"
        )


def _input_names(module: MuxModule) -> tuple[str, ...]:
    compares = isinstance(module, MuxSequenceClassifier) and module.pair_comparison is not None
    return (*_INPUTS[type(module)], "second") if compares else _INPUTS[type(module)]


class _Mixtures(nn.Module):
    """A module at one operating point; the rows of a mixture get an axis of their own."""

    def __init__(self, module: MuxModule, point: Point) -> None:
        super().__init__()
        self.module = module
        self.point = point
        self.names = _input_names(module)
        self.options = {"n_mux": point.n_mux}
        if module.patch_sizes != (1,) or point == WORDS:
            self.options["patch_size"] = point.patch_size

    def forward(self, *inputs: Tensor) -> Tensor:  # torch 2.12 and 2.13 export no `**inputs`
        rows = {n: values.flatten(0, 1) for n, values in zip(self.names, inputs, strict=True)}
        logits = self.module(**rows, **self.options)
        if isinstance(self.module, MuxTokenClassifier):
            return logits
        return logits.unflatten(0, (-1, self.point.n_mux))


def _advice() -> str:
    """Return what to do about an error of an exporter that is too old."""
    own = torch.__version__
    if TorchVersion(own) >= _LEAST_TORCH:
        return ""
    return f"; the export needs torch {_LEAST_TORCH} or newer, and this is {own}: upgrade it"


def export_graph(module: MuxModule, point: Point, sizes: Sizes) -> bytes:
    """Export a module at one operating point, and compare the graph with torch.

    Parameters
    ----------
    module : MuxModule
        As `for_inference` returns it, on the CPU, in float32.
    point : Point
    sizes : Sizes

    Returns
    -------
    bytes
        The serialized graph; the number of mixtures and the length of texts are free.

    Raises
    ------
    RuntimeError
        Torch's exporter gives up, or the graph answers otherwise than torch.
    """
    wrapped = _Mixtures(module, point).eval()
    names = wrapped.names
    # The exporter takes a row of a single patch to be of one patch for ever.
    length = min(3 * max(point.patch_size, 2) + 1, sizes.max_length)
    example = _example(names, 3, point.n_mux, length, sizes)
    axes = {0: "n_mixtures"} if names == ("images",) else {0: "n_mixtures", 2: "length"}
    output = io.BytesIO()
    try:
        # With gradients on, `in_chunks` (muxlearn/nn/_chunks.py) takes all at once. The graph would
        # have as many chunks as the example.
        with _quietly(), torch.enable_grad():
            program = torch.onnx.export(
                wrapped,
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes={"inputs": (axes,) * len(names)},
                input_names=list(names),
                output_names=["logits"],
                verbose=False,
            )
            assert program is not None
            proto = program.model_proto
            _drop_metadata(proto)
            output.write(proto.SerializeToString())
    except Exception as error:  # the exporter's own, and of whatever it calls
        reason = str(getattr(error, "__cause__", None) or error).strip().splitlines()
        raise RuntimeError(
            f"torch cannot export a {type(module).__name__} at n_mux={point}: "
            f"{reason[0] if reason else type(error).__name__}{_advice()}"
        ) from error
    graph = output.getvalue()
    _check_parity(wrapped, graph, sizes)
    return graph


def _drop_metadata(part: Any) -> None:
    """Drop what torch's exporter notes: lines of code, with the paths of files on this machine."""
    if "metadata_props" in part.DESCRIPTOR.fields_by_name:
        del part.metadata_props[:]
    for field, value in part.ListFields():
        if field.message_type is not None:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                _drop_metadata(inner)


def _example(
    names: tuple[str, ...], n_mixtures: int, n_mux: int, length: int, sizes: Sizes, seed: int = 0
) -> dict[str, Tensor]:
    """Make inputs of random content: padded texts or noise."""
    rng = np.random.default_rng(seed)
    if names == ("images",):
        images = rng.standard_normal((n_mixtures, n_mux, *sizes.image_shape)).astype(np.float32)
        return {"images": torch.from_numpy(images)}
    shape = (n_mixtures, n_mux, length)
    ids = rng.integers(0, sizes.vocab_size, shape)
    mask = np.arange(length) < rng.integers(1, length + 1, shape[:2])[..., None]
    tagged = mask & (rng.random(shape) < 0.7)
    tagged[0, 0, 0] = True
    second = mask & (np.arange(length) >= rng.integers(1, length + 1, shape[:2])[..., None])
    made = {"input_ids": ids * mask, "attention_mask": mask, "tagged": tagged, "second": second}
    return {name: torch.from_numpy(made[name]) for name in names}


def _check_parity(wrapped: _Mixtures, graph: bytes, sizes: Sizes) -> None:
    names, session = wrapped.names, make_session(graph, n_threads=1)
    for n_mixtures, length in ((1, 1), (5, sizes.max_length)):
        inputs = _example(names, n_mixtures, wrapped.point.n_mux, length, sizes, seed=n_mixtures)
        with torch.inference_mode():
            expected = wrapped(*inputs.values()).numpy()
        (given,) = session.run(None, {name: values.numpy() for name, values in inputs.items()})
        error = _relative_error(given, expected)
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"the graph of a {type(wrapped.module).__name__} at n_mux={wrapped.point} answers "
                f"otherwise than torch: logits differ by {error:.1e}, and {TOLERANCE:.0e} is "
                f"allowed (of {n_mixtures} mixtures, length {length})"
            )


def _relative_error(given: NDArray[Any], expected: NDArray[Any]) -> float:
    if given.shape != expected.shape:
        return float("inf")
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(given - expected).max(initial=0)) / scale


def quantize(graph: bytes) -> bytes:
    """Quantize the weights of a graph to int8, and the activations of matrix products as they come.

    A row of a table of tokens gets a scale of its own.

    Parameters
    ----------
    graph : bytes

    Returns
    -------
    bytes
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quietly():
        plain, prepared, small = (Path(folder, name) for name in ("plain", "prepared", "small"))
        plain.write_bytes(graph)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(
            str(prepared),
            str(small),
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        return _with_small_tables(small.read_bytes())


def _with_small_tables(graph: bytes) -> bytes:
    """Keep the tables of a graph as bytes with a scale for each row."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_model_from_string(graph)
    nodes, tables = model.graph.node, model.graph.initializer
    looked_up = {node.input[0] for node in nodes if _looks_up(node)}
    # What anything else reads must stay as it is.
    looked_up -= {name for node in nodes for name in node.input[_looks_up(node) :]}
    small = {}
    for table in tables:
        values = numpy_helper.to_array(table) if table.name in looked_up else None
        if values is None or values.dtype != np.float32 or values.ndim != 2:
            continue
        if values.size >= _LEAST_TABLE:
            scale = np.abs(values).max(1, keepdims=True).clip(1e-30) / 127
            small[table.name] = [
                numpy_helper.from_array(
                    np.round(values / scale).astype(np.int8), f"{table.name}.q"
                ),
                numpy_helper.from_array(scale, f"{table.name}.scale"),
            ]
    kept = [table for table in tables if table.name not in small]
    del tables[:]
    tables.extend([*kept, *(part for parts in small.values() for part in parts)])
    renewed = []
    for node in nodes:
        if not _looks_up(node) or node.input[0] not in small:
            renewed.append(node)
            continue
        (name, ids), out = node.input, node.output[0]
        renewed += [
            helper.make_node("Gather", [f"{name}.q", ids], [f"{out}.q"]),
            helper.make_node("Cast", [f"{out}.q"], [f"{out}.whole"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}.scale", ids], [f"{out}.scale"]),
            helper.make_node("Mul", [f"{out}.whole", f"{out}.scale"], [out]),
        ]
    del nodes[:]
    nodes.extend(renewed)
    return model.SerializeToString()


def _looks_up(node: Any) -> bool:
    """Return whether a node takes rows of a table by their numbers."""
    return node.op_type == "Gather" and all(a.name != "axis" or a.i == 0 for a in node.attribute)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to themselves what the exporters say of their own workings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # Without a handler, `logging.info` and its like set up one that stays.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.removeHandler(handler)
        logging.disable(level)
