"""Fitted models that leave torch: ONNX graphs, and predictions by onnxruntime."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, TypeVar

import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from muxlearn._estimator import MuxEstimator
from muxlearn._image import MuxImageClassifier
from muxlearn._onnx_graph import Sizes, check_supported, export_graph, make_session, quantize
from muxlearn._params import Choice, Integer
from muxlearn._tagging import MuxTokenTagger
from muxlearn._text import MuxTextClassifier
from muxlearn.nn.module import MuxModule
from muxlearn.persistence import (
    TOKENIZER,
    FormatError,
    check_config,
    decode_labels,
    decode_params,
    existing_folder,
    parse_config,
    read_contents,
    write_contents,
)

__all__ = ["OnnxMuxClassifier", "OnnxMuxTagger", "export_onnx"]

Self = TypeVar("Self", bound="_OnnxModel")

_FORMAT = "muxlearn-onnx"
_FORMAT_VERSION = 1
_ARRAYS = "arrays.safetensors"


def export_onnx(
    estimator: MuxTextClassifier | MuxTokenTagger | MuxImageClassifier,
    folder: str | os.PathLike,
    *,
    n_mux: int | Iterable[int] | None = None,
    dtype: Literal["float32", "int8"] = "float32",
) -> None:
    """Export a fitted estimator to ONNX.

    Each graph is the network as it predicts, tables of the subspace multiplexer folded. It takes
    `input_ids` (int64) and `attention_mask` (bool) of shape (n_mixtures, n_mux, length) or `images`
    (float32, normalised) of shape (n_mixtures, n_mux, channels, height, width), of any number of
    mixtures and any length, and returns `logits` of shape (n_mixtures, n_mux, n_classes). That of
    a tagger takes `tagged` besides, True at the pieces that want a tag, and returns their logits
    alone, row by row: (n_tagged, n_classes). The graphs are run beside torch before they are
    written.

    Parameters
    ----------
    estimator : MuxTextClassifier, MuxTokenTagger or MuxImageClassifier
        Fitted.

    folder : str or path
        Gets `n_mux_10.onnx` and the like, `config.json` (labels, parameters, the seed of the plan,
        checksums), and `tokenizer.json` where there is a tokenizer.

    n_mux : int or iterable of int, default=None
        Rows in a mixture; each number gets a graph of its own, with all weights. None stands for
        the capacity and the `operating_points` of the estimator.

    dtype : {"float32", "int8"}, default="float32"
        "int8" quantizes the weights of matrix products, and activations as they come; smaller and
        faster, and less exact. Of texts and sentences alone.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to export.
    TypeError
        The estimator is of another kind, or has a network that no graph can hold; the message
        says which.
    ValueError
        `n_mux` or `dtype` is not what it has to be.
    ModuleNotFoundError
        A package of the extra ``muxlearn[onnx]`` is missing.
    RuntimeError
        Torch's exporter gives up, or a graph answers otherwise than torch.

    See Also
    --------
    OnnxMuxClassifier, OnnxMuxTagger : Predict with what was exported.
    """
    kinds = (MuxTextClassifier, MuxTokenTagger, MuxImageClassifier)
    if not isinstance(estimator, kinds):
        raise TypeError(
            f"`estimator` has to be a {', '.join(kind.__name__ for kind in kinds[:-1])} or "
            f"{kinds[-1].__name__}, got an instance of {type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    dtypes = Choice("float32", "int8")
    if not dtypes.accepts(dtype):
        raise dtypes.complain("dtype", dtype)
    if dtype == "int8" and isinstance(estimator, MuxImageClassifier):
        raise ValueError(
            "`dtype` 'int8' quantizes matrix products, but a network on images is made of "
            "convolutions; take 'float32'"
        )
    check_supported(estimator.module_)
    _require("onnx", "onnxscript", "onnxruntime")
    points = _check_points(estimator, n_mux)
    module = estimator.module_.for_inference(torch.float32).cpu()
    sizes = _sizes(estimator)
    graphs = {point: export_graph(module, point, sizes) for point in points}
    if dtype == "int8":
        graphs = {point: quantize(graph) for point, graph in graphs.items()}
    config = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        **estimator._config(),
        "dtype": dtype,
        "operating_points": points,
    }
    contents = {_graph_name(point): graph for point, graph in graphs.items()}
    for name, text in estimator._reader_files().items():
        contents[name] = text.encode()
    if arrays := estimator._arrays():
        from safetensors.numpy import save

        contents[_ARRAYS] = save(arrays)
    write_contents(folder, config, contents)


def _graph_name(n_mux: int) -> str:
    return f"n_mux_{n_mux}.onnx"


def _require(*packages: str) -> None:
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"ONNX needs {package}, which is not installed: pip install 'muxlearn[onnx]'",
                name=package,
            ) from error


def _check_points(estimator: MuxEstimator, n_mux: int | Iterable[int] | None) -> list[int]:
    capacity = estimator.module_.n_mux
    if n_mux is None:
        given = [capacity, *(estimator.operating_points or ())]
    else:
        given = list(n_mux) if isinstance(n_mux, Iterable) else [n_mux]
    if not given:
        raise ValueError("`n_mux` is empty; give one number of rows at least")
    return sorted({estimator._predict_n_mux(point) for point in given}, reverse=True)


def _sizes(estimator: MuxEstimator) -> Sizes:
    if isinstance(estimator, MuxImageClassifier):
        return Sizes(image_shape=estimator.image_shape_)
    return Sizes(estimator._structure["max_length"], estimator._reader.get_vocab_size())


class _OnnxModule(MuxModule):
    """Graphs that onnxruntime runs, in the place of a torch module.

    Torch's tensors are no more than a view of numpy's arrays here.

    Parameters
    ----------
    graphs : mapping of int to bytes
        By the number of rows in a mixture.
    n_threads : int or None
    """

    def __init__(self, graphs: Mapping[int, bytes], n_threads: int | None) -> None:
        super().__init__()
        self.n_mux = max(graphs)
        self.graphs = dict(graphs)
        self.n_threads = n_threads
        self._sessions: dict[int, Any] = {}

    def session(self, n_mux: int) -> Any:
        """Return the session of a graph, loaded when it is first asked for."""
        if n_mux not in self._sessions:
            self._sessions[n_mux] = make_session(self.graphs[n_mux], self.n_threads)
        return self._sessions[n_mux]

    def forward(self, n_mux: int, **inputs: Tensor) -> Tensor:
        """Map rows to logits as the module does that was exported."""
        arrays = {name: values.unflatten(0, (-1, n_mux)).numpy() for name, values in inputs.items()}
        (logits,) = self.session(n_mux).run(None, arrays)
        return torch.from_numpy(logits.reshape(-1, logits.shape[-1]))

    def for_inference(self, dtype: torch.dtype | None = None) -> _OnnxModule:
        """Return itself: there is nothing left to prepare."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sessions": {}}


class _OnnxModel:
    """What exported models share: an estimator without torch's module, and where it may predict."""

    _estimators: ClassVar[tuple[type[MuxEstimator], ...]]

    def __init__(self, estimator: MuxEstimator, config: dict[str, Any]) -> None:
        self._estimator: Any = estimator
        self.dtype = config["dtype"]
        self.operating_points = tuple(config["operating_points"])

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike, *, n_threads: int | None = None) -> Self:
        """Load what `export_onnx` has written; nothing is unpickled.

        Parameters
        ----------
        folder : str or path

        n_threads : int, default=None
            Threads of a product; None takes all cores.

        Returns
        -------
        OnnxMuxClassifier or OnnxMuxTagger

        Raises
        ------
        FileNotFoundError
            There is no such folder.
        muxlearn.persistence.FormatError
            The folder holds something else, a newer format, or damaged files.
        ModuleNotFoundError
            onnxruntime is missing.
        """
        if n_threads is not None and not Integer(1).accepts(n_threads):
            raise Integer(1).complain("n_threads", n_threads)
        folder = existing_folder(folder)
        config = cls._read_config(folder)
        _require("onnxruntime")
        points = config["operating_points"]
        extra = [name for name in (TOKENIZER, _ARRAYS) if name in config["sha256"]]
        contents = read_contents(folder, config, [*map(_graph_name, points), *extra])
        module = _OnnxModule({point: contents[_graph_name(point)] for point in points}, n_threads)
        try:
            for point in points:
                module.session(point)
            return cls(_restore(cls._estimators, config, module, contents), config)
        except Exception as error:  # onnxruntime's own are of no common kind
            raise FormatError(
                f"the files in {str(folder)!r} do not make up a model ({type(error).__name__}: "
                f"{error})"
            ) from error

    @classmethod
    def _read_config(cls, folder: Path) -> dict[str, Any]:
        config = parse_config(folder)
        if config["format"] != _FORMAT:
            raise FormatError(
                f"{str(folder)!r} holds a saved model, not one exported to ONNX; load it with "
                f"{config.get('estimator')}.load, and give it to export_onnx"
            )
        check_config(folder, config, _FORMAT_VERSION)
        points = config.get("operating_points")
        if not isinstance(points, list) or not points or not all(map(Integer(1).accepts, points)):
            raise FormatError(
                f"config.json in {str(folder)!r} is damaged: its `operating_points` are {points!r}"
            )
        if config["estimator"] not in [kind.__name__ for kind in cls._estimators]:
            others = (other for other in (OnnxMuxClassifier, OnnxMuxTagger) if other is not cls)
            raise FormatError(
                f"{str(folder)!r} holds a {config['estimator']}, which is not loaded by "
                f"{cls.__name__} but by {next(others).__name__}"
            )
        return config

    @property
    def classes_(self) -> NDArray:
        """The labels, sorted."""
        return self._estimator.classes_

    @property
    def n_mux(self) -> int:
        """Rows in a mixture where nothing else is said: the largest operating point."""
        return self._estimator.module_.n_mux

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        return self._estimator.__sklearn_tags__()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({type(self._estimator).__name__}, dtype={self.dtype!r}, "
            f"operating_points={self.operating_points})"
        )

    def _check_n_mux(self, n_mux: int | None) -> None:
        # What is no such number at all the estimator says.
        within = isinstance(n_mux, int) and 1 <= n_mux <= self.n_mux
        if within and n_mux not in self.operating_points:
            raise ValueError(
                f"`n_mux` is {n_mux}, but this model was exported for "
                f"{', '.join(map(str, self.operating_points))}; export it with "
                f"n_mux={sorted({*self.operating_points, n_mux})}"
            )

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> Any:
        """Predict labels as the estimator does that was exported, by the same plan of mixtures.

        Parameters
        ----------
        X : sequence of length n_samples
            Rows as the estimator takes them.

        n_mux : int, default=None
            Rows in a mixture, one of `operating_points`; None stands for the largest.

        groups : array-like of shape (n_samples,), default=None
            Rows of different groups (tenants, say) never share a mixture.

        n_passes : int, default=1
            How often to predict, among other companions each time; probabilities are averaged.

        Returns
        -------
        ndarray of shape (n_samples,), or of a tagger a list of lists of tags
        """
        self._check_n_mux(n_mux)
        return self._estimator.predict(X, n_mux, groups, n_passes)

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> Any:
        """Predict probabilities as the estimator does that was exported.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or of a tagger a list of (n_tokens, n_tags)
        """
        self._check_n_mux(n_mux)
        return self._estimator.predict_proba(X, n_mux, groups, n_passes)

    def predict_iter(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: Iterable[Any] | None = None,
        n_passes: int = 1,
        method: Literal["predict", "predict_proba"] = "predict",
    ) -> Iterator[Any]:
        """Predict a stream of rows of any length in constant memory.

        Parameters
        ----------
        X, n_mux, groups, n_passes, method
            As in `MuxTextClassifier.predict_iter`.

        Returns
        -------
        iterator
            One result for each row, in order.
        """
        self._check_n_mux(n_mux)
        return self._estimator.predict_iter(X, n_mux, groups, n_passes, method)

    def score(
        self,
        X: Iterable[Any],
        y: Any,
        sample_weight: ArrayLike | None = None,
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> float:
        """Score predictions as the estimator does that was exported.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        y : sequence of length n_samples
            What is true.

        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        self._check_n_mux(n_mux)
        return self._estimator.score(X, y, sample_weight, n_mux, groups, n_passes)


class OnnxMuxClassifier(_OnnxModel):
    """A `MuxTextClassifier` or `MuxImageClassifier` that predicts by onnxruntime.

    Made by `OnnxMuxClassifier.load` of what `export_onnx` has written. Plans, checks and labels are
    those of the estimator; its network runs in onnxruntime, and no torch module is built. It cannot
    be fitted. Pickles hold the graphs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    operating_points : tuple of int
        The `n_mux` that were exported, descending.

    n_mux : int
        The largest of them.

    dtype : {"float32", "int8"}
        Of the weights.

    Examples
    --------
    >>> from muxlearn.export import OnnxMuxClassifier, export_onnx
    >>> export_onnx(clf, "folder")  # doctest: +SKIP
    >>> OnnxMuxClassifier.load("folder").predict(X_new)  # doctest: +SKIP
    """

    _estimators = (MuxTextClassifier, MuxImageClassifier)

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: int | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
    ) -> NDArray:
        """Return log-probabilities, of two classes the log odds of the second.

        Parameters
        ----------
        X, n_mux, groups, n_passes
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
        """
        self._check_n_mux(n_mux)
        return self._estimator.decision_function(X, n_mux, groups, n_passes)


class OnnxMuxTagger(_OnnxModel):
    """A `MuxTokenTagger` that predicts by onnxruntime.

    Made by `OnnxMuxTagger.load` of what `export_onnx` has written; see `OnnxMuxClassifier`. The
    sequences of tags are decoded as the tagger's `decode` says.

    Attributes
    ----------
    classes_ : ndarray of shape (n_tags,)
        The tags, sorted.

    operating_points : tuple of int
        The `n_mux` that were exported, descending.

    n_mux : int
        The largest of them.

    dtype : {"float32", "int8"}
        Of the weights.
    """

    _estimators = (MuxTokenTagger,)


def _restore(
    kinds: tuple[type[MuxEstimator], ...],
    config: dict[str, Any],
    module: _OnnxModule,
    contents: Mapping[str, bytes],
) -> MuxEstimator:
    """Build an estimator around the graphs."""
    from skorch.history import History

    kind = next(kind for kind in kinds if kind.__name__ == config["estimator"])
    # What was chosen for torch is of no account here.
    plain = {"device": "cpu", "dtype": "float32", "compile": False}
    estimator = kind(**{**decode_params(config["params"]), **plain})
    files = {name: contents[name].decode() for name in (TOKENIZER,) if name in contents}
    warm_up = config["warm_up_history"]
    estimator._set_fitted(
        reader=kind._load_reader(config, files),
        net=SimpleNamespace(module_=module),
        classes=decode_labels(config["labels"]),
        history=History(copy.deepcopy(config["history"])),
        warm_up_history=None if warm_up is None else History(warm_up),
        plan_seed=config["plan_seed"],
        structure=decode_params(config["structure"]),
    )
    arrays: dict[str, NDArray] = {}
    if _ARRAYS in contents:
        from safetensors.numpy import load

        arrays = load(contents[_ARRAYS])
    estimator._set_arrays(arrays)
    return estimator
