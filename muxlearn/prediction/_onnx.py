"""Runs graphs of ONNX in the place of a torch module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from muxlearn.prediction._runner import Run

__all__ = ["OnnxRunner", "make_session"]


class OnnxRunner:
    """Runs graphs of a module by onnxruntime, one for each number of rows in a mixture.

    A pickle holds the graphs; sessions are opened anew.

    Parameters
    ----------
    graphs : mapping of int to bytes
        By the number of rows in a mixture.
    n_threads : int, default=None
        Threads of a product; None takes all cores.
    """

    def __init__(self, graphs: Mapping[int, bytes], n_threads: int | None = None) -> None:
        self.graphs = dict(graphs)
        self.n_threads = n_threads
        self._sessions: dict[int, Any] = {}

    @property
    def n_mux(self) -> int:
        """Rows in a mixture at most."""
        return max(self.graphs)

    def round_n_mux(self, n_mux: int) -> int:
        """Return a number of rows that there is a graph for."""
        if n_mux not in self.graphs:
            points = sorted(self.graphs, reverse=True)
            raise ValueError(
                f"`n_mux` is {n_mux}, but this model was exported for "
                f"{', '.join(map(str, points))}; export it with n_mux={sorted({*points, n_mux})}"
            )
        return n_mux

    def session(self, n_mux: int) -> Any:
        """Return the session of a graph, opened when it is first asked for."""
        if n_mux not in self._sessions:
            self._sessions[n_mux] = make_session(self.graphs[n_mux], self.n_threads)
        return self._sessions[n_mux]

    def start(self, n_mux: int) -> Run:
        """Return a function that runs a graph on batches of mixtures of `n_mux` rows."""
        session = self.session(n_mux)

        def run(inputs: Mapping[str, NDArray[Any]]) -> Tensor:
            (logits,) = session.run(None, dict(inputs))
            return torch.from_numpy(logits.reshape(-1, logits.shape[-1]))

        return run

    def fingerprint(self) -> str:
        """Return a digest of the graphs."""
        digest = hashlib.sha256()
        for n_mux, graph in sorted(self.graphs.items()):
            digest.update(str(n_mux).encode() + graph)
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
