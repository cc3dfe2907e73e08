"""Data sets larger than the memory, predicted into folders of parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import issparse

from muxlearn._params import Choice, Integer, PathName
from muxlearn.points import PointLike
from muxlearn.prediction._parts import PartFolder
from muxlearn.prediction._predictor import Predictor
from muxlearn.rows import Source, check_column, check_groups, open_source

__all__ = [
    "Recipe",
    "arrow_column",
    "choose_columns",
    "predict_dataset",
    "predict_parts",
    "result_name",
    "result_type",
    "rows_of",
]


_OUTPUT = PathName("the name of a folder")


def predict_dataset(
    predictor: Predictor,
    dataset: Any,
    output: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None = None,
    groups: str | None = None,
    keep: Sequence[str] = (),
    n_mux: PointLike | None = None,
    n_passes: int = 1,
    method: Literal["predict", "predict_proba", "transform"] = "predict",
    form: Literal["parquet", "csv"] = "parquet",
    rows_per_part: int = 100_000,
    patch_size: int | None = None,
) -> Path:
    """Predict a data set into a folder of parts; an interrupted run can continue.

    The parameters are those of `MuxTextClassifier.predict_dataset`.
    """
    methods = Choice(*(name for name in predictor.task.methods if name in _RESULT_NAMES))
    methods.check("method", method)
    predictor.check(method, n_passes)
    point = predictor.resolve_point(n_mux, patch_size)
    recipe = Recipe(
        predict=partial(predictor.predict_windows, point=point, n_passes=n_passes, method=method),
        check=predictor.reader.check,
        column_kind=predictor.reader.column_kind,
        example=predictor.task.example(method),
        method=method,
        window_rows=predictor.window_size(point.n_mux),
        described={
            "model": predictor.fingerprint(),
            "n_mux": point.n_mux if point.patch_size == 1 else str(point),
            "n_passes": int(n_passes),
        },
    )
    return predict_parts(
        recipe,
        dataset,
        output,
        column=column,
        groups=groups,
        keep=keep,
        form=form,
        rows_per_part=rows_per_part,
    )


#: The column that the results of a method are written to.
_RESULT_NAMES = {
    "predict": "prediction",
    "predict_proba": "probabilities",
    "transform": "vector",
}


class Recipe(NamedTuple):
    """Prediction of the windows of a data set.

    Attributes
    ----------
    predict : callable
        Takes windows, as `Predictor.predict_windows` does, and as keywords `total` and `n_done`,
        numbers of rows. Yields each window with its results.
    check : callable
        Takes rows and, as a keyword, `first_row`, the number of the first one.
    column_kind : str or None
        As in `check_column`.
    example : object
        A result as Arrow takes it, of which the type counts: a label, a number or a list of such.
    method : {"predict", "predict_proba", "transform"}
    window_rows : int
    described : dict of str to object
        What the results depend on beside the data, as JSON keeps it.
    """

    predict: Callable[..., Iterator[Any]]
    check: Callable[..., Any]
    column_kind: str | None
    example: Any
    method: str
    window_rows: int
    described: dict[str, Any]


def predict_parts(
    recipe: Recipe,
    dataset: Any,
    output: str | os.PathLike,
    *,
    column: str | tuple[str, str] | None,
    groups: str | None,
    keep: Sequence[str],
    form: str,
    rows_per_part: int,
) -> Path:
    """Predict a data set into a folder of parts, as a recipe says.

    The other parameters are those of `MuxTextClassifier.predict_dataset`.
    """
    for name, value, options in (
        ("form", form, Choice("parquet", "csv")),
        ("rows_per_part", rows_per_part, Integer(1)),
        ("output", output, _OUTPUT),
    ):
        options.check(name, value)
    result = result_name(recipe.method)
    if form == "csv" and isinstance(recipe.example, list):
        raise ValueError(
            f"a {result} is a list here, which `form` 'csv' cannot hold; use form='parquet'"
        )
    source = open_source(dataset)
    columns = choose_columns(source.schema, column, recipe.column_kind)
    keep = _check_keep(source.schema, keep, result, form)
    if groups is not None:
        check_column(source.schema, groups, "groups")
    source.settle([name for name in keep if name not in (*columns, groups)])
    window = recipe.window_rows
    rows_per_part = -(-int(rows_per_part) // window) * window
    used = [*columns, *([groups] if groups is not None else [])]
    job = {
        # Before the data set, whose fingerprint is one of these columns: an error names the first.
        "column": columns,
        "groups": groups,
        "keep": keep,
        "dataset": source.fingerprint(list(dict.fromkeys([*used, *keep]))),
        **recipe.described,
        "method": recipe.method,
        "form": form,
        "rows_per_window": window,
        "rows_per_part": rows_per_part,
    }
    parts = PartFolder(Path(output), form, job)
    if not parts.complete:
        _Job(recipe, source, parts, columns, groups, keep).run(rows_per_part)
    return Path(output)


@dataclass
class _Job:
    """Predicts the missing parts of a data set."""

    recipe: Recipe
    source: Source
    parts: PartFolder
    columns: list[str]
    groups: str | None
    keep: list[str]

    def run(self, rows_per_part: int) -> None:
        """Predict window by window."""
        n_done = self.parts.n_leading() * rows_per_part
        if self.source.n_rows is not None:
            n_done = min(n_done, self.source.n_rows)
        # A CSV file must be read from its start to know how many rows it has.
        self._n_read = 0 if self.source.n_rows is None else n_done
        predicted = self.recipe.predict(
            self._windows(rows_per_part), total=self.source.n_rows, n_done=n_done
        )
        number, tables = 0, []
        for (_, _, number, end, kept), results in predicted:
            tables.append(self._table(results, kept))
            if end % rows_per_part == 0:
                self._write(number, tables)
        if tables:
            self._write(number, tables)
        if not self._n_read:
            self._write(0, [self._nothing()])
        self.parts.finish(self._n_read)

    def _windows(self, rows_per_part: int) -> Iterator[tuple[Any, Any, int, int, Any]]:
        """Yield rows, groups, the part's number, where they end, and what is kept of them."""
        columns = [*self.columns, *([self.groups] if self.groups is not None else [])]
        size, is_there = self.recipe.window_rows, False
        for window in self.source.windows(columns, self.keep, size, self._n_read):
            first_row, number = self._n_read, self._n_read // rows_per_part
            n_rows = len(window.values[columns[0]])
            self._n_read += n_rows
            if first_row % rows_per_part == 0:
                # Once a part: another run may write it while this one is half way through.
                is_there = self.parts.path(number).exists()
            if is_there:
                continue
            rows = self.recipe.check(rows_of(window.values, self.columns), first_row=first_row)
            codes = None
            if self.groups is not None:
                codes = check_groups(window.values[self.groups], n_rows)
            yield rows, codes, number, self._n_read, window.kept

    @property
    def _result(self) -> str:
        return result_name(self.recipe.method)

    def _table(self, result: Any, kept: Any) -> Any:
        import pyarrow as pa

        column = arrow_column(result, result_type(self.recipe.example))
        if kept is None:
            return pa.table({self._result: column})
        return kept.append_column(self._result, column)

    def _nothing(self) -> Any:
        """Return the table of no row."""
        import pyarrow as pa

        fields = [self.source.schema.field(name) for name in self.keep]
        return pa.schema([*fields, (self._result, result_type(self.recipe.example))]).empty_table()

    def _write(self, number: int, tables: list[Any]) -> None:
        import pyarrow as pa

        self.parts.write(number, pa.concat_tables(tables))
        tables.clear()


def result_type(example: Any) -> Any:
    """Return the Arrow type of the results.

    Parameters
    ----------
    example : object
        As `Task.example` returns it.

    Returns
    -------
    pyarrow.DataType
    """
    import pyarrow as pa

    return pa.array([example]).type


def result_name(method: str) -> str:
    """Return the name of the column that a method's results are written to.

    Parameters
    ----------
    method : {"predict", "predict_proba", "transform"}

    Returns
    -------
    str
    """
    return _RESULT_NAMES[method]


def rows_of(values: dict[str, list[Any]], columns: Sequence[str]) -> list[Any]:
    """Return the rows of some columns: the values of one, pairs of two.

    Parameters
    ----------
    values : dict of str to list
        By name of the column.
    columns : sequence of str
        One name or two.

    Returns
    -------
    list
    """
    if len(columns) == 1:
        return values[columns[0]]
    return list(zip(*(values[name] for name in columns), strict=True))


def choose_columns(schema: Any, column: str | Sequence[str] | None, kind: str | None) -> list[str]:
    """Return the names of the columns that hold the rows.

    Parameters
    ----------
    schema : pyarrow.Schema
    column : str, pair of str or None
        The column of the rows, or two for pairs of texts. None takes the only column, or "text".
    kind : str or None
        What the reader reads; see `check_column`.

    Returns
    -------
    list of str
        One name, or two for pairs.
    """
    if column is None:
        names = schema.names
        if len(names) != 1 and "text" not in names:
            raise ValueError(
                "`dataset` has several columns and none of them is called 'text'; name one as "
                f"`column`: {', '.join(map(repr, names))}"
            )
        column = names[0] if len(names) == 1 else "text"
        if any(mark in column for mark in ";\t"):
            raise ValueError(
                f"the only column of `dataset` is called {column!r}: its lines are probably "
                "divided by semicolons or tabs, which CSV files here must not be; name it as "
                "`column` if it is one"
            )
    columns: list[Any] = list(column) if isinstance(column, list | tuple) else [column]
    if not all(isinstance(name, str) for name in columns):
        raise TypeError(f"`column` must be one name, or two for pairs of texts, got {column!r}")
    if (len(columns) == 2 and kind not in ("texts", None)) or len(columns) not in (1, 2):
        raise ValueError(f"`column` must be one name, or two for pairs of texts, got {column!r}")
    for name in columns:
        check_column(schema, name, "column", kind)
    return columns


def _check_keep(schema: Any, keep: Any, result: str, form: str) -> list[str]:
    if isinstance(keep, str):
        raise TypeError(f"`keep` is a single str; give a list of columns, [{keep!r}]")
    if not isinstance(keep, list | tuple) or not all(isinstance(name, str) for name in keep):
        raise TypeError(f"`keep` must be a list of names of columns, got {keep!r}")
    for name in keep:
        check_column(schema, name, "keep")
        if form == "csv" and not _csv_holds(given := schema.field(name).type):
            raise ValueError(
                f"`keep` has {name!r}, whose values of type {given} `form` 'csv' cannot hold; use "
                "form='parquet'"
            )
        if name == result:
            raise ValueError(f"`keep` has {name!r}, which is the name of the results; rename it")
    if len(set(keep)) < len(keep):
        raise ValueError(f"`keep` must name each column once, got {list(keep)}")
    return list(keep)


def _csv_holds(given: Any) -> bool:
    """Return whether a CSV file can hold values of an Arrow type."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        csv.write_csv(pa.schema([("", given)]).empty_table(), pa.BufferOutputStream())
    except pa.ArrowException:
        return False
    return True


def arrow_column(results: Any, listed: Any = None) -> Any:
    """Return what a task says of some rows as an Arrow array, of lists where that is several.

    Parameters
    ----------
    results : ndarray, sparse matrix or list
        What `predict`, `predict_proba` or `transform` returns.
    listed : pyarrow.DataType, default=None
        The type of a list of results, whose items may all be empty; None infers it.

    Returns
    -------
    pyarrow.Array
    """
    import pyarrow as pa

    if issparse(results):
        results = results.toarray()
    try:
        if isinstance(results, list):
            return pa.array([_listed(row) for row in results], listed)
        return pa.array(results if results.ndim == 1 else list(results))
    except UnicodeError as error:
        raise ValueError(
            f"a label holds half of a surrogate pair, which no data set does ({error}); fit to "
            "labels without"
        ) from error


def _listed(row: Any) -> list[Any]:
    """Return tags, labels or arrays of one row as a list."""
    if isinstance(row, set):
        return sorted(row)
    return row.tolist() if isinstance(row, np.ndarray) else list(row)
