"""Runs graphs of ONNX in the place of a torch module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from muxlearn.points import WORDS, Point
from muxlearn.prediction._runner import Run

__all__ = ["OnnxRunner", "make_session"]


class OnnxRunner:
    """Runs graphs of a module by onnxruntime, one for each operating point.

    A pickle holds the graphs; sessions are opened anew.

    Parameters
    ----------
    graphs : mapping of Point to bytes
        The first point is the model's own choice.
    n_threads : int, default=None
        Threads of a product; None takes all cores.
    """

    def __init__(self, graphs: Mapping[Point, bytes], n_threads: int | None = None) -> None:
        self.graphs = dict(graphs)
        self.n_threads = n_threads
        self._sessions: dict[Point, Any] = {}

    @property
    def n_mux(self) -> int:
        """Maximum number of rows in a mixture."""
        return max(point.n_mux for point in self.graphs)

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Tokens of a row that may share a position; the first is the model's own choice."""
        sizes = (point.patch_size for point in self.graphs if point != WORDS)
        return tuple(dict.fromkeys(sizes))

    @property
    def own_point(self) -> Point:
        """The point where nothing else is said: the first."""
        return next(iter(self.graphs))

    def round_point(self, point: Point) -> Point:
        """Return a point that there is a graph for."""
        if point not in self.graphs:
            wanted = sorted({*self.graphs, point})
            # A number leaves the model's own patch size as it is, so that it cannot mean (1, 1).
            write = str if {p.patch_size for p in wanted} == {1} else repr
            raise ValueError(
                f"`n_mux` is {write(point)}, but this model was exported for "
                f"{', '.join(map(write, self.graphs))}; export it with "
                f"n_mux=[{', '.join(map(write, wanted))}]"
            )
        return point

    def session(self, point: Point) -> Any:
        """Return the session of a graph, opened when it is first asked for."""
        if point not in self._sessions:
            self._sessions[point] = make_session(self.graphs[point], self.n_threads)
        return self._sessions[point]

    def start(self, point: Point) -> Run:
        """Return a function that runs a graph on batches of mixtures."""
        session = self.session(point)

        def run(inputs: Mapping[str, NDArray[Any]]) -> Tensor:
            (logits,) = session.run(None, dict(inputs))
            return torch.from_numpy(logits.reshape(-1, logits.shape[-1]))

        return run

    def fingerprint(self) -> str:
        """Return a digest of the graphs."""
        digest = hashlib.sha256()
        for point, graph in sorted(self.graphs.items()):
            digest.update(str(point).encode() + graph)
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sessions": {}}


def make_session(graph: bytes, n_threads: int | None) -> Any:
    """Load a graph into onnxruntime, to run on the CPU.

    Parameters
    ----------
    graph : bytes
    n_threads : int or None
        None leaves it to onnxruntime, which takes all cores.

    Returns
    -------
    onnxruntime.InferenceSession
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or 0
    options.log_severity_level = 3  # errors; a warning is about what the exporter could do better
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
