"""Saving and loading of fitted estimators."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import OneOf, ParameterObject, check_parameters
from muxlearn._version import __version__
from muxlearn.architectures import flatten, unflatten
from muxlearn.backbones import Scratch
from muxlearn.persistence import (
    decode_params,
    encode_params,
    read_folder,
    told_as_format_error,
    write_folder,
)
from muxlearn.points import WORDS, OperatingPoints, PointLike, as_point, point_from_name
from muxlearn.prediction import (
    ARRAY,
    Measured,
    TorchRunner,
    check_moved,
    complete_config,
    own_names,
    predictor_config,
    restore_module,
    restore_predictor,
)
from muxlearn.rows import TOKENIZERS

__all__ = ["load", "save", "saved_config", "write_estimator"]


def save(self: Any, folder: str | os.PathLike) -> None:
    """Save the fitted estimator to a folder, as data without code.

    Parameters
    ----------
    folder : str or path
        The folder for `config.json`, `model.safetensors` and, for a text estimator,
        `tokenizer.json`. A model in it is replaced in one step: it can be loaded at any moment, and
        if the process is killed or the disk is full, the former model is still there. Other files
        stay. Callbacks, transforms of images and the state of a random number generator are not
        saved.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to save.
    TypeError
        A label is neither a string, a number nor a bool, or the module was given as an object,
        which is code.
    FileExistsError
        The folder holds another library's ``config.json``, such as that of a `transformers`
        encoder, or a model exported to ONNX. Nothing in it is overwritten.
    OSError
        The folder cannot be written, a ``config.json`` in it cannot be read, or the disk is full.
    """
    write_estimator(self, folder)


def write_estimator(
    estimator: Any, folder: str | os.PathLike, beside: Mapping[str, bytes] | None = None
) -> None:
    """Save the fitted estimator, and files beside it in the same step.

    Parameters
    ----------
    estimator : MuxEstimator
    folder : str or path
    beside : mapping of str to bytes, default=None
        By the files' names.
    """
    check_is_fitted(estimator)
    config = saved_config(estimator)
    module = estimator.module_
    once = own_names(module)
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in module.state_dict().items()
        if name in once
    }
    tensors |= {
        ARRAY + name: torch.tensor(array) for name, array in estimator._task.arrays().items()
    }
    write_folder(folder, config, tensors, estimator._reader.files(), beside)


def saved_config(estimator: Any) -> dict[str, Any]:
    """Return what `config.json` says of a fitted estimator.

    Parameters
    ----------
    estimator : MuxEstimator

    Returns
    -------
    dict of str to object
        As JSON keeps it.
    """
    structure = encode_params(estimator._structure)
    lost = [name for name in estimator._structure if name not in structure]
    if lost:
        raise TypeError(
            f"`{lost[0].partition('__')[0]}` is an object, which a saved folder cannot keep: "
            "use joblib.dump, or give a name in its place"
        )
    return {
        "estimator": type(estimator).__name__,
        "muxlearn_version": __version__,
        "params": encode_params(flatten(estimator.get_params(deep=False))),
        "structure": structure,
        "measured_points": _named_points(estimator._measured),
        **encode_params({"trained_points": estimator.trained_points_}),
        "history": _epochs(estimator.history_),
        "warm_up_history": estimator._warm_up_history and _epochs(estimator._warm_up_history),
        **predictor_config(estimator.predictor_),
        **estimator._module_config(),
    }


@fill_docs()
def load(cls: Any, folder: str | os.PathLike, **moved: Any) -> Any:
    """Load an estimator that `save` has written; nothing is unpickled.

    Parameters
    ----------
    folder : str or path
        The folder that `save` or `save_pretrained` has written.

    {load.moved}

    Returns
    -------
    estimator
        The fitted estimator, on the device that its `device` parameter names if there is one.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    muxlearn.persistence.FormatError
        The folder holds something else, a newer format, another estimator, or damaged files.
    """
    config, tensors, files = read_folder(folder, cls.__name__)
    check_moved(f"{cls.__name__}.load", config, folder, moved)
    with told_as_format_error(f"the files in {str(folder)!r}"):
        return _restore(cls, config, tensors, files, moved)


def _restore(
    cls: Any,
    config: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    files: Mapping[str, str],
    moved: Mapping[str, Any],
) -> Any:
    from skorch.history import History

    config = complete_config(config, files)
    estimator = cls(**unflatten({**decode_params(config["params"]), **moved}))
    structure = {**decode_params(config["structure"]), **moved}
    # A folder of an earlier version keeps some of these among the parameters alone.
    params = estimator.get_params(deep=False)
    kept = {name: params[name] for name in cls._kind.structure_names if name not in structure}
    as_built = _as_built(cls, {**kept, **unflatten(structure)})
    for given in (estimator, as_built):
        params = given.get_params(deep=False)
        check_parameters(params, cls._constraints)
        for value in params.values():
            if isinstance(value, ParameterObject):
                _without_description(value).check_parameters()
    estimator._settle_device()
    # A folder of an earlier version lacks parameters that have come since.
    structure = {**as_built._structure_params(), **structure}
    settled = {name: getattr(as_built, name) for name in cls._kind.settled}
    built_of = {**as_built.get_params(deep=False), **settled}
    module, arrays = restore_module(built_of, config, tensors)
    runner = TorchRunner(module, by_words=as_point(estimator.n_mux) == WORDS)
    predictor = restore_predictor(runner, config, files, arrays)
    predictor.resolve_point()  # raises if there is none
    net = estimator._idle_net(module, predictor.task)
    net.history = History(config["history"])
    warm_up = config["warm_up_history"]
    estimator._set_fitted(
        reader=predictor.reader,
        task=predictor.task,
        net=net,
        history=net.history,
        warm_up_history=None if warm_up is None else History(warm_up),
        plan_seed=config["plan_seed"],
        structure=structure,
    )
    estimator._measured = _read_points(config.get("measured_points"))
    if "trained_points" in config:  # unknown to earlier versions
        trained = decode_params({"trained_points": config["trained_points"]})
        check_parameters(trained, {"trained_points": OneOf(None, OperatingPoints())})
        estimator._trained_points = trained["trained_points"]
    estimator._kind.complete_loaded(estimator)
    return estimator


def _as_built(cls: Any, structure: dict[str, Any]) -> Any:
    """Return an estimator with the parameters that its module was built with."""
    settled = {name: structure.pop(name) for name in cls._kind.settled if name in structure}
    estimator = cls(**structure)
    for name, value in settled.items():
        setattr(estimator, name, value)
    return estimator


def _without_description(value: Any) -> Any:
    """Return an object without what a folder says of a tokenizer that is in a file of its own."""
    tokenizer = value.tokenizer if isinstance(value, Scratch) else None
    if isinstance(tokenizer, str) and tokenizer not in TOKENIZERS:
        value = copy.copy(value)
        value.tokenizer = None
    return value


def _named_points(measured: Measured | None) -> dict[str, dict[str, float]] | None:
    """Return measured operating points by their names: the keys of JSON are strings."""
    if measured is None:
        return None
    # A name such as "5x1" keeps what was a pair a pair.
    return {
        "x".join(map(str, p)) if isinstance(p, tuple) else str(p): row
        for p, row in measured.items()
    }


def _read_points(saved: Mapping[str, Mapping[str, float]] | None) -> Measured | None:
    """Undo `_named_points`."""
    if saved is None:
        return None
    return {
        _read_point(point): {
            "score": float(row["score"]),
            "rows_per_second": float(row["rows_per_second"]),
            **({"n_rows": int(row["n_rows"])} if "n_rows" in row else {}),
            **{name: float(row[name]) for name in ("low", "high") if name in row},
        }
        for point, row in saved.items()
    }


def _read_point(name: str) -> PointLike:
    if "x" in name:
        return point_from_name(name)
    return name if name == str(WORDS) else int(name)


def _epochs(history: Any) -> list[dict[str, Any]]:
    """Return the epochs of a skorch history without their batches."""
    return [
        {name: entry for name, entry in epoch.items() if name != "batches"} for epoch in history
    ]
