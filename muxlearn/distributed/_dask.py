"""Bulk prediction on Dask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from muxlearn._docs import fill_docs
from muxlearn.distributed._predictor import check_dataset, open_folder, require
from muxlearn.points import PointLike

if TYPE_CHECKING:
    import dask.dataframe as dd

__all__ = ["predict_dask"]


@fill_docs()
def predict_dask(
    dataset: dd.DataFrame,
    folder: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    method: str = "predict",
) -> dd.DataFrame:
    """Add the predictions of a saved model to a Dask DataFrame.

    Each partition is predicted as by its own call of ``predict``: mixtures are planned within a
    partition. Use partitions of some thousand rows or more, which fill mixtures best.

    Parameters
    ----------
    dataset : dask.dataframe.DataFrame
        The rows to predict, in one or two columns.

    {engine.folder}

    {dataset.column}

    {dataset.groups}

    {engine.n_mux}

    {predict.n_passes}

    {engine.method}

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy, with the partitions and the index of `dataset`. The partitions of a worker that dies
        are predicted anew by others. For several GPUs in a machine, use a cluster of dask-cuda.

    Raises
    ------
    ModuleNotFoundError
        Dask is not installed.
    FileNotFoundError
        There is no model in `folder`; also from a worker, when the frame is computed.
    TypeError, ValueError
        A parameter or a column is invalid.

    Examples
    --------
    >>> frame = dask.dataframe.read_parquet("texts")  # doctest: +SKIP
    >>> predict_dask(frame, "model").to_parquet("labels")  # doctest: +SKIP

    The type of a column of lists must be left to its values:

    >>> vectors = predict_dask(frame, "embedder", method="transform")  # doctest: +SKIP
    >>> vectors.to_parquet("vectors", schema=None)  # doctest: +SKIP
    """
    require("dask.dataframe", "dask")
    import pyarrow as pa

    check_dataset(dataset, ["map_partitions", "columns"], "a dask.dataframe.DataFrame")
    if odd := [name for name in dataset.columns if not isinstance(name, str)]:
        raise TypeError(
            f"`dataset` has a column called {odd[0]!r}; give columns names that are str"
        )
    empty = dataset._meta
    predictor = open_folder(
        folder,
        pa.Schema.from_pandas(empty, preserve_index=False),
        column=column,
        groups=groups,
        n_mux=n_mux,
        n_passes=n_passes,
        method=method,
    )
    meta: Any = predictor(empty)
    return dataset.map_partitions(predictor, meta=meta)
