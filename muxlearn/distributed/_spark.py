"""Bulk prediction on Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from muxlearn._docs import fill_docs
from muxlearn.distributed._predictor import check_dataset, open_folder, require
from muxlearn.points import PointLike
from muxlearn.prediction import result_name

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

__all__ = ["predict_spark"]


@fill_docs()
def predict_spark(
    dataset: DataFrame,
    folder: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    method: str = "predict",
) -> DataFrame:
    """Add the predictions of a saved model to a Spark DataFrame.

    Each batch that Spark hands over is predicted as ``predict`` would predict it alone: mixtures
    are planned inside of at most ``spark.sql.execution.arrow.maxRecordsPerBatch`` rows of a
    partition, 10,000 unless set.

    Parameters
    ----------
    dataset : pyspark.sql.DataFrame
        The rows to predict, in one or two columns.

    {engine.folder}

    {dataset.column}

    {dataset.groups}

    {engine.n_mux}

    {predict.n_passes}

    {engine.method}

    Returns
    -------
    pyspark.sql.DataFrame
        Lazy. A task whose worker dies is tried again, as often as ``spark.task.maxFailures``
        says; a `local[2]` session tries once, `local[2,4]` four times.

    Raises
    ------
    ModuleNotFoundError
        Spark's Python package is not installed.
    FileNotFoundError
        There is no model in `folder`; from a worker as a `PythonException`, when the frame is
        computed.
    TypeError, ValueError
        A parameter or a column is invalid.

    Examples
    --------
    >>> frame = spark.read.parquet("texts")  # doctest: +SKIP
    >>> predict_spark(frame, "model").write.parquet("labels")  # doctest: +SKIP
    """
    require("pyspark.sql", "spark")
    check_dataset(dataset, ["mapInPandas"], "a DataFrame of Spark")
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField, StructType

    predictor = open_folder(
        folder,
        pa.schema([(field.name, _arrow_type(field.dataType)) for field in dataset.schema.fields]),
        column=column,
        groups=groups,
        n_mux=n_mux,
        n_passes=n_passes,
        method=method,
    )
    result = result_name(method).lower()  # names of Spark are the same in either case
    if taken := [name for name in dataset.columns if name.lower() == result]:
        raise ValueError(f"`dataset` has a column {taken[0]!r} already; rename it or drop it")
    added = StructField(result_name(method), from_arrow_type(predictor.result_type()))

    def predict(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        return map(predictor, batches)

    return dataset.mapInPandas(predict, StructType([*dataset.schema.fields, added]))


def _arrow_type(given: Any) -> Any:
    """Return Arrow's type of a column, of times with a zone where the session's does not count."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_type

    try:
        return to_arrow_type(given)
    except AssertionError:  # times, alone or within others: no model reads them
        return pa.timestamp("us", "UTC")
