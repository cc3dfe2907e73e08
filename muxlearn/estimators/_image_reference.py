"""Image networks in the layout of the authors of MIMONets, as fitted estimators."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from muxlearn._docs import fill_docs
from muxlearn._params import check_parameters
from muxlearn.architectures import load_mimoconv
from muxlearn.rows import MOST_OF_FRACTIONS, collect_images, learn_reader
from muxlearn.tasks import ClassesTask

__all__ = ["from_reference"]


@fill_docs()
def from_reference(
    cls: Any,
    name_or_folder: str | os.PathLike,
    images: Any,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Iterable[Any] | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    device: Any = "auto",
    dtype: str = "auto",
    **params: Any,
) -> Any:
    """Load a MIMOConv network that the code of its authors (MIMONets) has trained.

    The model computes the same as their code does with the batch statistics of the training. Images
    share mixtures in the order in which they come, and an incomplete mixture is filled up with
    other images of the same call, which count once.

    Parameters
    ----------
    name_or_folder : str or path
        A folder, or a name on the hub, with ``config.json``, whose entry ``architecture`` is such
        as "MIMONet-28", and ``pytorch_model.bin`` or ``model.safetensors``, their state dict. All
        their bindings and blocks are supported. Only tensors are unpickled.

    images : array-like, tensor, list of images or dataset
        Some images as `predict` will get them, from which the model learns their shape and what
        to normalise by; best those of the training.

    mean, std : sequence of float, default=None
        Mean and standard deviation of the pixels by channel. None takes those of `images`.

    classes : sequence of labels, default=None
        The labels, in the order of the model's outputs. None takes those of the configuration, or
        ``0, 1, …`` if it has none.

    {hub.revision}

    {hub.cache_dir}

    {hub.local_files_only}

    device, dtype, **params
        Parameters of the estimator. `n_mux`, `architecture` and `multiplexer` are read from the
        model.

    Returns
    -------
    estimator
        The fitted estimator. With ``warm_start=True``, `fit` trains the model further.

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    TypeError, ValueError
        The folder holds no such checkpoint, tensors do not fit, or an argument or an image is not
        valid.
    """
    if odd := [name for name in ("architecture", "multiplexer", "n_mux") if name in params]:
        raise ValueError(f"`{odd[0]}` is read from the model; leave it out")
    estimator = cls(device=device, dtype=dtype, **params)
    check_parameters(estimator.get_params(deep=False), cls._constraints)
    published = load_mimoconv(
        name_or_folder,
        estimator._setting(),
        classes,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )
    estimator.set_params(**published.params)
    estimator._check_parameters()
    collected, _ = collect_images(images)
    reader, rows = learn_reader(
        collected,
        image_shape=estimator.image_shape,
        image_size=estimator.image_size,
        channels=estimator.channels,
    )
    reader = reader.with_statistics(rows)
    module: Any = published.module
    n_channels = module.stem.conv.in_channels
    given = {name: value for name, value in (("mean", mean), ("std", std)) if value is not None}
    for name, size in [("images", reader.shape[0]), *((n, len(v)) for n, v in given.items())]:
        if size != n_channels:
            raise ValueError(
                f"`{name}` has {size} channels, but the model in {str(name_or_folder)!r} takes "
                f"images of {n_channels}"
            )
    statistics: dict[str, Any] = {n: tuple(map(float, value)) for n, value in given.items()}
    check_parameters(statistics, {name: reader.constraints[name] for name in statistics})
    if max(map(max, statistics.values()), default=2.0) <= 1 and reader.highest > MOST_OF_FRACTIONS:
        raise ValueError(
            f"`mean` and `std` are of pixels from 0 to 1, but those of `images` go up to "
            f"{reader.highest:g}; divide `images` by 255, or give both of pixels up to 255"
        )
    reader = replace(reader, **statistics)
    assert published.classes is not None
    estimator._set_trained_elsewhere(reader, ClassesTask(published.classes), module)
    return estimator
