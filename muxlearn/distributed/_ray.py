"""Bulk prediction on Ray Data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from muxlearn._docs import fill_docs
from muxlearn._params import Integer
from muxlearn.distributed._predictor import FolderPredictor, check_dataset, open_folder, require
from muxlearn.points import PointLike

if TYPE_CHECKING:
    import pandas as pd
    import ray.data

__all__ = ["predict_ray"]


@fill_docs()
def predict_ray(
    dataset: ray.data.Dataset,
    folder: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    method: str = "predict",
    batch_size: int = 8192,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    **options: Any,
) -> ray.data.Dataset:
    """Add the predictions of a saved model to a Ray dataset.

    Each actor loads the model once. Each batch is predicted as by its own call of ``predict``:
    mixtures are planned within a batch.

    Parameters
    ----------
    dataset : ray.data.Dataset
        The rows to predict, in one or two columns.

    {engine.folder}

    {dataset.column}

    {dataset.groups}

    {engine.n_mux}

    {predict.n_passes}

    {engine.method}

    batch_size : int, default=8192
        Rows of a batch.

    concurrency : int or (int, int), default=1
        Number of actors, or the smallest and the greatest number. Each actor occupies a core until
        it ends. With as many actors as cores, data that must still be read or repartitioned waits
        for ever: leave a core free, or give ``num_cpus=0.5``.

    num_gpus : float, default=0
        GPUs of an actor, which sees no others.

    **options
        For `ray.data.Dataset.map_batches`, such as ``num_cpus``: the cores of an actor, and the
        threads that torch uses there.

    Returns
    -------
    ray.data.Dataset
        Lazy. Rows come in any order, each with its prediction, unless Ray's
        ``DataContext.execution_options.preserve_order`` is set. An actor that dies is started
        anew, and its batches are predicted again.

    Raises
    ------
    ModuleNotFoundError
        Ray is not installed.
    FileNotFoundError
        There is no model in `folder`; also from an actor, when the dataset is executed.
    TypeError, ValueError
        A parameter or a column is invalid.

    Examples
    --------
    >>> dataset = ray.data.read_parquet("texts")  # doctest: +SKIP
    >>> predict_ray(dataset, "model", concurrency=8).write_parquet("labels")  # doctest: +SKIP
    """
    require("ray.data", "ray")
    check_dataset(dataset, ["map_batches"], "a ray.data.Dataset")
    predictor = open_folder(
        folder,
        _arrow_schema(dataset),
        column=column,
        groups=groups,
        n_mux=n_mux,
        n_passes=n_passes,
        method=method,
    )
    return dataset.map_batches(
        _Actor,
        fn_constructor_args=(predictor,),
        batch_format="pandas",
        batch_size=batch_size,
        compute=_pool(concurrency),
        num_gpus=num_gpus,
        **options,
    )


class _Actor:
    """Keeps a loaded model between batches."""

    def __init__(self, predictor: FolderPredictor) -> None:
        predictor.load()
        self._predictor = predictor

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        return self._predictor(frame)


def _pool(concurrency: int | tuple[int, int]) -> ray.data.ActorPoolStrategy:
    """Return Ray's strategy for a number of actors."""
    from ray.data import ActorPoolStrategy

    sizes = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
    if len(sizes) != 2 or not all(map(Integer(1).accepts, sizes)) or sizes[0] > sizes[1]:
        raise ValueError(
            "`concurrency` must be a number of actors of at least 1, or the least and the "
            f"greatest as a pair such as (1, 4), got {concurrency!r}"
        )
    return ActorPoolStrategy(min_size=sizes[0], max_size=sizes[1])


def _arrow_schema(dataset: ray.data.Dataset) -> Any:
    import pyarrow as pa

    schema = dataset.schema()
    if schema is None:
        raise ValueError("`dataset` has no row, and so no columns")
    if isinstance(schema.base_schema, pa.Schema):
        return schema.base_schema
    return pa.schema(
        [
            (name, given if isinstance(given, pa.DataType) else pa.null())
            for name, given in zip(schema.names, schema.types, strict=True)
        ]
    )
