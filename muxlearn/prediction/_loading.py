"""A predictor from a folder, without an estimator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from numpy.typing import NDArray

from muxlearn.architectures import (
    TEXT_ARCHITECTURES,
    Setting,
    make_architecture,
    unflatten,
)
from muxlearn.nn.module import MuxModule
from muxlearn.persistence import (
    bounded_by,
    check_sizes,
    decode_params,
    read_folder,
    told_as_format_error,
    told_with_sizes,
)
from muxlearn.points import WORDS, as_point
from muxlearn.prediction._predictor import Predictor
from muxlearn.prediction._runner import TorchRunner
from muxlearn.prediction._saved import complete_config, restore_predictor, restore_task
from muxlearn.training.devices import available, choose_device, choose_dtype, seeded

__all__ = ["ARRAY", "check_moved", "load_predictor", "own_names", "restore_module"]

#: What the names of arrays that do not belong to the module start with in a saved file.
ARRAY = "estimator."

#: The entries of a configuration that hold sizes of the module.
_SIZED = (
    *("structure", "encoder", "backbone", "reference", "reader"),
    *("vocab_size", "n_blocks", "vector_size", "n_texts", "patch_sizes"),
)


def load_predictor(folder: str | os.PathLike, *, device: Any = None, **moved: Any) -> Predictor:
    """Load what predicts out of a folder that an estimator was saved to.

    Parameters
    ----------
    folder : str or path
    device : str or torch.device, default=None
        None takes the device that the estimator was saved with, or "auto" where that is not here.
    **moved
        Parameters that name another place now, such as the `backbone` of "revmux".

    Returns
    -------
    Predictor

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    muxlearn.persistence.FormatError
        The folder holds something else, a newer format, or damaged files.
    TypeError, ValueError
        There is no such argument, or the model carries its own encoder.
    """
    config, tensors, files = read_folder(folder)
    check_moved("load_predictor", config, folder, moved)
    with told_as_format_error(f"the files in {str(folder)!r}"):
        config = complete_config(config, files)
        params = unflatten({**decode_params(config["params"]), **moved})
        structure = unflatten({**decode_params(config["structure"]), **moved})
        module, arrays = restore_module({**params, **structure}, config, tensors)
        if device is None:
            device = params["device"]
        else:
            choose_device(device)  # raises; one that was saved gives way
        device, dtype = available(device, params["dtype"])
        place = choose_device(device)
        runner = TorchRunner(
            module,
            dtype=choose_dtype(dtype, place),
            device=place,
            compile=bool(params["compile"]),
            by_words=as_point(params.get("n_mux")) == WORDS,
        )
        predictor = restore_predictor(runner, config, files, arrays)
        predictor.resolve_point()  # raises if there is none
        return predictor


def check_moved(
    loader: str, config: Mapping[str, Any], folder: str | os.PathLike, moved: Mapping[str, Any]
) -> None:
    """Check the parameters that are said to name another place now.

    Parameters
    ----------
    loader : str
        What to call the function in an error.
    config : mapping of str to object
        The folder's configuration.
    folder : str or path
    moved : mapping of str to object
        The parameters.

    Raises
    ------
    TypeError
        No model has such a parameter.
    ValueError
        The folder itself holds what it names.
    """
    movable = sorted({name for kind in TEXT_ARCHITECTURES.values() for name in kind.movable})
    if unknown := [name for name in moved if name not in movable]:
        known = " and ".join(["the folder", *(f"`{name}`" for name in movable)])
        raise TypeError(f"{loader} has no argument `{unknown[0]}`; it takes {known}")
    structure = config.get("structure")
    architecture = structure.get("architecture") if isinstance(structure, dict) else None
    if not isinstance(architecture, str):
        return  # damaged, as whoever reads it will say
    kept = getattr(TEXT_ARCHITECTURES.get(architecture), "movable", ())
    for name in moved.keys() - set(kept):
        raise ValueError(
            f"`{name}` is {str(moved[name])!r}, but the model in {str(folder)!r} carries its own "
            "encoder; leave it out"
        )


def restore_module(
    params: Mapping[str, Any], config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> tuple[MuxModule, dict[str, NDArray]]:
    """Build the module that a folder keeps, with its weights.

    Parameters
    ----------
    params : mapping of str to object
        The estimator's parameters, with those at `fit` for what decides on the module.
    config : mapping of str to object
        From `complete_config`.
    tensors : mapping of str to Tensor

    Returns
    -------
    module : MuxModule
    arrays : dict of str to ndarray
        Those of the task.

    Raises
    ------
    TypeError, ValueError
        A parameter of the architecture is invalid, a size contradicts the tensors, or tensors are
        missing or too many.
    """
    arrays, weights = {}, {}
    for name, tensor in tensors.items():
        if name.startswith(ARRAY):
            arrays[name.removeprefix(ARRAY)] = tensor.numpy()
        else:
            weights[name] = tensor
    task = restore_task(config, arrays)
    of_images = config["reader"]["kind"] == "images"
    # Rows that are images make another architecture.
    setting = Setting.of("image" if of_images else task.level, params, {})
    n_outputs = config["vector_size"] if task.level == "vector" else task.n_outputs
    architecture = make_architecture(params["architecture"], image=of_images)
    architecture.check_parameters()
    shapes = [tensor.shape for tensor in tensors.values()]
    sized = {name: config[name] for name in _SIZED if config.get(name)}
    check_sizes(sized, shapes)
    with (
        seeded(0, torch.device("cpu")),
        bounded_by(shapes),
        told_with_sizes(sized),
    ):
        module = architecture.rebuild(setting, config, n_outputs)
    module.link = task.link
    for part in module.optional:
        if not any(name.startswith(f"{part}.") for name in weights):
            setattr(module, part, None)
    with told_with_sizes(sized):
        lost, unknown = module.load_state_dict(weights, strict=False)
        if odd := sorted({*lost} & own_names(module)) + unknown:
            raise ValueError(f"tensors are missing or too many: {', '.join(odd)}")
    return module, arrays


def own_names(module: MuxModule) -> set[str]:
    """Name each tensor of a module that is its own once, though parts may share it.

    Parameters
    ----------
    module : MuxModule

    Returns
    -------
    set of str
    """
    names = (name for name, _ in chain(module.named_parameters(), module.named_buffers()))
    return {name for name in names if not name.startswith(module.kept_elsewhere)}
