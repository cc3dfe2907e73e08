"""The base of exported models: graphs that replace a torch module, and their predictions."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray
from sklearn.utils import Tags

from muxlearn._docs import fill_docs
from muxlearn._params import Integer
from muxlearn.estimators import MuxEstimator
from muxlearn.persistence import (
    FormatError,
    check_config,
    existing_folder,
    file_names,
    parse_config,
    read_contents,
    read_whole,
    told_as_format_error,
)
from muxlearn.points import OperatingPoints, Point, PointLike, as_points
from muxlearn.prediction import OnnxRunner, Predictor, complete_config, restore_predictor

__all__ = [
    "ARRAYS",
    "FORMAT",
    "FORMAT_VERSION",
    "OnnxModel",
    "OnnxPredictor",
    "graph_name",
    "require",
]

Self = TypeVar("Self", bound="OnnxModel")

#: The entry "format" of a configuration, and its version.
FORMAT, FORMAT_VERSION = "muxlearn-onnx", 1

#: The name of the file that holds what was learned outside of the network.
ARRAYS = "arrays.safetensors"


def graph_name(point: Point) -> str:
    """Return the name of the file that holds the graph of an operating point."""
    return f"n_mux_{point}.onnx"


def require(*packages: str) -> None:
    """Raise ModuleNotFoundError, with the name of the extra, where a package is missing."""
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"ONNX needs {package}, which is not installed: pip install 'muxlearn[onnx]'",
                name=package,
            ) from error


def _as_label(value: Any) -> PointLike:
    return tuple(value) if isinstance(value, list) else value


@fill_docs()
class OnnxModel:
    """Base class of exported models: a predictor without a torch module."""

    _estimators: ClassVar[tuple[type[MuxEstimator], ...]]

    def __init__(self, predictor: Predictor, config: dict[str, Any]) -> None:
        self.predictor_ = predictor
        self._estimator: str = config["estimator"]
        self.dtype = config["dtype"]
        self.operating_points = tuple(map(_as_label, config["operating_points"]))

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike, *, n_threads: int | None = None) -> Self:
        """Load what `export_onnx` has written; nothing is unpickled.

        Parameters
        ----------
        folder : str or path
            The folder that `export_onnx` has written.

        n_threads : int, default=None
            Threads of a product; None takes all cores.

        Returns
        -------
        OnnxMuxClassifier, OnnxMuxRegressor, OnnxMuxTagger or OnnxMuxEmbedder

        Raises
        ------
        FileNotFoundError
            There is no such folder.
        muxlearn.persistence.FormatError
            The folder holds something else, a newer format, or damaged files.
        ModuleNotFoundError
            onnxruntime is missing.
        """
        if n_threads is not None:
            Integer(1).check("n_threads", n_threads)
        folder = existing_folder(folder)
        config, contents = read_whole(folder, lambda: cls._read(folder))
        require("onnxruntime")
        points = dict.fromkeys(as_points(config["operating_points"]))
        runner = OnnxRunner({point: contents.pop(graph_name(point)) for point in points}, n_threads)
        with told_as_format_error(f"the files in {str(folder)!r}"):
            arrays: dict[str, NDArray] = {}
            if ARRAYS in contents:
                from safetensors.numpy import load

                arrays = load(contents.pop(ARRAYS))
            files = {name: data.decode() for name, data in contents.items()}
            config = complete_config(config, files)
            predictor = restore_predictor(runner, config, files, arrays)
            task, n_wanted = predictor.task, config.get("vector_size")
            if task.level != "vector":
                n_wanted = task.n_outputs
            for point in points:
                session = runner.session(point)
                n_places = session.get_inputs()[0].shape[1]
                if isinstance(n_places, int) and n_places != point.n_mux:
                    raise ValueError(
                        f"{graph_name(point)} takes {n_places} rows at once, not {point.n_mux}"
                    )
                n_outputs = session.get_outputs()[0].shape[-1]
                if isinstance(n_outputs, int) and n_outputs != n_wanted:
                    raise ValueError(
                        f"`{task.name}` are {n_wanted}, but a graph has {n_outputs} outputs"
                    )
            return cls(predictor, config)

    @classmethod
    def _read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
        config = cls._read_config(folder)
        graphs = map(graph_name, as_points(config["operating_points"]))
        return config, read_contents(folder, config, file_names(config, graphs)[1:])

    @classmethod
    def _read_config(cls, folder: Path) -> dict[str, Any]:
        config = parse_config(folder)
        if config["format"] != FORMAT:
            raise FormatError(
                f"{str(folder)!r} holds a saved model, not one exported to ONNX; load it with "
                f"{config.get('estimator')}.load, and give it to export_onnx"
            )
        check_config(folder, config, FORMAT_VERSION)
        points = config.get("operating_points")
        if not isinstance(points, list) or not OperatingPoints().accepts(points):
            raise FormatError(
                f"config.json in {str(folder)!r} is damaged: its `operating_points` are {points!r}"
            )
        if config["estimator"] not in [kind.__name__ for kind in cls._estimators]:
            raise FormatError(
                f"{str(folder)!r} holds a {config['estimator']}, which is not loaded by "
                f"{cls.__name__} but by another class of muxlearn.export"
            )
        return config

    @property
    def n_mux(self) -> int:
        """Maximum number of rows in a mixture."""
        return self.predictor_.runner.n_mux

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        kind = next(kind for kind in self._estimators if kind.__name__ == self._estimator)
        return kind().__sklearn_tags__()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._estimator}, dtype={self.dtype!r}, "
            f"operating_points={self.operating_points})"
        )


@fill_docs()
class OnnxPredictor(OnnxModel):
    """Base class of exported models that predict labels or numbers."""

    @property
    def classes_(self) -> NDArray:
        """The labels, sorted; a regressor has none."""
        classes = self.predictor_.task.classes
        if classes is None:
            raise AttributeError(f"{type(self).__name__} predicts numbers and has no classes")
        return classes
