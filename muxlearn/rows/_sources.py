"""Data sets larger than the memory: `datasets`, Parquet and CSV files, window by window."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Source", "Window", "check_column", "open_source"]

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}
_HASHED_BYTES = 1 << 20
_HASHED_ROWS = 10_000
#: A value of a CSV file is shorter than this.
_CSV_BLOCK = 1 << 23
_WHOLE_NUMBER = "^(0|-?[1-9][0-9]{0,17})$"


class Window(NamedTuple):
    """Some consecutive rows.

    Attributes
    ----------
    values : dict of str to list
        By name of the column.
    kept : pyarrow.Table
        The columns to copy to the output.
    """

    values: dict[str, list[Any]]
    kept: Any


class Source:
    """Rows in columns.

    Attributes
    ----------
    schema : pyarrow.Schema
    n_rows : int or None
        None where only reading tells.
    """

    schema: Any
    n_rows: int | None

    def settle(self, keep: Sequence[str]) -> None:
        """Find the types of columns that are only copied, where a file does not say them."""

    def windows(
        self, columns: Sequence[str], keep: Sequence[str], size: int, first_row: int
    ) -> Iterator[Window]:
        """Iterate over the rows from `first_row` on, `size` at a time."""
        raise NotImplementedError

    def fingerprint(self, columns: Sequence[str]) -> str:
        """Return a digest of the content."""
        raise NotImplementedError


class _DatasetSource(Source):
    """A `datasets.Dataset`, whose rows stay on the disk."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.schema = dataset.features.arrow_schema
        self.n_rows = len(dataset)

    def windows(
        self, columns: Sequence[str], keep: Sequence[str], size: int, first_row: int
    ) -> Iterator[Window]:
        plain = self._dataset.with_format(None).select_columns(list(dict.fromkeys(columns)))
        arrow = self._dataset.select_columns(list(keep)).with_format("arrow")
        for start in range(first_row, len(plain), size):
            rows = slice(start, start + size)
            yield Window(plain[rows], arrow[rows] if keep else None)

    def fingerprint(self, columns: Sequence[str]) -> str:
        # `datasets` has a fingerprint of its own, which the age of a file in its cache is part of.
        digest = hashlib.sha256()
        arrow = self._dataset.select_columns(list(columns)).with_format("arrow")
        for table in arrow.iter(_HASHED_ROWS):
            for batch in table.combine_chunks().to_batches():
                digest.update(batch.serialize())
        return f"{len(arrow)} rows, sha256 {digest.hexdigest()}"


class _FileSource(Source):
    """Files of one kind, one after the other."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def windows(
        self, columns: Sequence[str], keep: Sequence[str], size: int, first_row: int
    ) -> Iterator[Window]:
        names = list(dict.fromkeys([*columns, *keep]))
        for table in _cut(self._batches(names, size, first_row), size):
            values = {name: table.column(name).to_pylist() for name in columns}
            yield Window(values, table.select(list(keep)) if keep else None)

    def fingerprint(self, columns: Sequence[str]) -> str:
        digest = hashlib.sha256()
        for file in self._files:
            with file.open("rb") as stream:
                while block := stream.read(_HASHED_BYTES):
                    digest.update(block)
        n_bytes = sum(file.stat().st_size for file in self._files)
        return f"{len(self._files)} files of {n_bytes} bytes, sha256 {digest.hexdigest()}"

    def _batches(self, names: list[str], size: int, first_row: int) -> Iterator[Any]:
        raise NotImplementedError

    def _check_schemas(self, schemas: Iterable[Any]) -> Any:
        """Return the schema that all files have."""
        schemas = [schema.remove_metadata() for schema in schemas]
        for file, schema in zip(self._files, schemas, strict=True):
            if schema.equals(schemas[0]):
                continue
            first, other = (
                ", ".join(f"{field.name}: {field.type}" for field in s)
                for s in (schemas[0], schema)
            )
            raise ValueError(
                f"`dataset` has files of several schemas: {str(self._files[0])!r} has ({first}), "
                f"but {str(file)!r} has ({other}); give files with the same columns and types"
            )
        return schemas[0]


class _ParquetSource(_FileSource):
    def __init__(self, files: list[Path]) -> None:
        import pyarrow.parquet as pq

        super().__init__(files)
        metadata = [_explain(file, pq.read_metadata) for file in files]
        self.schema = self._check_schemas(entry.schema.to_arrow_schema() for entry in metadata)
        self._n_rows = [entry.num_rows for entry in metadata]
        self.n_rows = sum(self._n_rows)

    def _batches(self, names: list[str], size: int, first_row: int) -> Iterator[Any]:
        import pyarrow.parquet as pq

        for path, n_rows in zip(self._files, self._n_rows, strict=True):
            if first_row >= n_rows:
                first_row -= n_rows
                continue
            with pq.ParquetFile(path) as file:
                groups: list[int] = []
                for group in range(file.num_row_groups):
                    n_of_group = file.metadata.row_group(group).num_rows
                    if groups or first_row < n_of_group:
                        groups.append(group)
                    else:
                        first_row -= n_of_group
                batches = file.iter_batches(size, row_groups=groups, columns=names)
                for batch in _explained(path, batches):
                    skipped = min(first_row, batch.num_rows)
                    first_row -= skipped
                    yield batch.slice(skipped)


class _CsvSource(_FileSource):
    """CSV files with a line of names; all columns are text until they are settled."""

    def __init__(self, files: list[Path]) -> None:
        import pyarrow as pa

        super().__init__(files)
        self.schema = self._check_schemas(
            pa.schema([(name, pa.string()) for name in _explain(file, self._names)])
            for file in files
        )
        self.n_rows = None

    def _names(self, file: Path) -> list[str]:
        with self._reader(file, None) as reader:
            return reader.schema.names

    def settle(self, keep: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = set(keep)
        for batch in self._batches(list(keep), 0, 0) if keep else ():
            for name in list(whole):
                # As they would be written again: no zero in front, nothing empty, 64 bits.
                numbers = pc.match_substring_regex(batch.column(name), _WHOLE_NUMBER)
                if not pc.all(numbers, min_count=0).as_py():
                    whole.remove(name)
            if not whole:
                return
        fields = [f.with_type(pa.int64()) if f.name in whole else f for f in self.schema]
        self.schema = pa.schema(fields)

    def _reader(self, file: Path, names: list[str] | None) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        return csv.open_csv(
            pa.input_stream(str(file), compression="detect"),
            csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                include_columns=names,
                column_types={name: self.schema.field(name).type for name in names or []},
            ),
        )

    def _batches(self, names: list[str], size: int, first_row: int) -> Iterator[Any]:
        for file in self._files:
            with _explain(file, lambda path: self._reader(path, names)) as reader:
                for batch in _explained(file, reader):
                    skipped = min(first_row, batch.num_rows)
                    first_row -= skipped
                    yield batch.slice(skipped)


def _explained(file: Path, batches: Iterator[Any]) -> Iterator[Any]:
    """Iterate over the batches of a file; an error names it."""
    while (batch := _explain(file, lambda _: next(batches, None))) is not None:
        yield batch


def _explain(file: Path, read: Callable[[Path], Any]) -> Any:
    """Read from a file; an error names it."""
    from pyarrow import ArrowException

    try:
        return read(file)
    except ArrowException as error:
        raise ValueError(f"{str(file)!r} of `dataset` cannot be read: {error}") from error
    except OSError as error:  # also of data that cannot be unpacked
        raise OSError(error.errno, f"{str(file)!r} of `dataset` cannot be read: {error}") from error


def _cut(batches: Iterable[Any], size: int) -> Iterator[Any]:
    """Cut record batches into tables of `size` rows; the last one may be shorter."""
    import pyarrow as pa

    held: list[Any] = []
    n_held = 0
    for batch in batches:
        while n_held + len(batch) >= size:
            missing = size - n_held
            yield pa.Table.from_batches([*held, batch.slice(0, missing)])
            batch, held, n_held = batch.slice(missing), [], 0
        if len(batch):
            held.append(batch)
            n_held += len(batch)
    if held:
        yield pa.Table.from_batches(held)


def open_source(dataset: Any) -> Source:
    """Open what `predict_dataset` takes.

    Parameters
    ----------
    dataset : datasets.Dataset, str, path, or list of str or path

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        There is nothing to read, or nothing that can be; the files differ in their columns.
    """
    if hasattr(dataset, "features") and hasattr(dataset, "select_columns"):
        if not hasattr(dataset, "__len__"):
            raise TypeError(
                "`dataset` is an IterableDataset, which a job cannot be resumed on; use "
                "predict_iter, or a datasets.Dataset"
            )
        return _DatasetSource(dataset)
    if isinstance(dataset, dict):
        raise TypeError(
            f"`dataset` is a {type(dataset).__name__}; choose one of {', '.join(map(str, dataset))}"
        )
    if isinstance(dataset, str | os.PathLike):
        files = _find(Path(dataset))
    elif isinstance(dataset, list | tuple) and all(
        isinstance(entry, str | os.PathLike) and _kind(Path(entry)) for entry in dataset
    ):
        files = [file for entry in dataset for file in _find(Path(entry))]
    else:
        raise TypeError(
            "`dataset` must be a datasets.Dataset, a Parquet or CSV file, a folder of such or a "
            f"list of them, got an instance of {type(dataset).__name__}; rows in memory go to "
            "predict, a stream of rows to predict_iter"
        )
    if not files:
        raise ValueError("`dataset` is an empty list; give at least one file")
    kinds = {_kind(file) for file in files}
    if len(kinds) != 1:
        raise ValueError(f"`dataset` {dataset!r} has both Parquet and CSV files; give one kind")
    return _ParquetSource(files) if kinds == {"parquet"} else _CsvSource(files)


def _kind(file: Path) -> str | None:
    return next((kind for end, kind in _SUFFIXES.items() if file.name.endswith(end)), None)


def _find(path: Path) -> list[Path]:
    """Return the files that a path stands for, in the order of their names."""
    if path.is_dir():
        hidden = (".", "_")
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(hidden)]
        # Spark names a folder of parts as others name a file.
        found = sorted(entry for entry in entries if _kind(entry) and entry.is_file())
        if not found:
            raise FileNotFoundError(f"there is no Parquet or CSV file in {str(path)!r}")
        return found
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    if _kind(path) is None:
        raise ValueError(
            f"`dataset` {str(path)!r} is of an unknown kind; its name must end in "
            f"{', '.join(_SUFFIXES)}"
        )
    return [path]


def check_column(schema: Any, name: str, parameter: str, kind: str | None = None) -> None:
    """Check that there is a column, of the kind that an estimator reads.

    Parameters
    ----------
    schema : pyarrow.Schema
    name : str
    parameter : str
        What to call it in an error.
    kind : {"texts", "integers", "tokens"}, default=None
        None takes any.

    Raises
    ------
    TypeError, ValueError
    """
    from pyarrow import types

    if name not in schema.names:
        raise ValueError(
            f"`{parameter}` {name!r} is not a column of `dataset`, which has "
            f"{', '.join(map(repr, schema.names))}"
        )
    if schema.names.count(name) > 1:
        raise ValueError(
            f"`{parameter}` {name!r} is the name of several columns of `dataset`; rename them"
        )
    given = schema.field(name).type
    checks = {"texts": _is_text, "integers": _is_integers, "tokens": _is_tokens}
    wanted = {"texts": "text", "integers": "lists of integers", "tokens": "lists of str"}
    # The type of an empty frame's objects is unknown.
    if kind is not None and not types.is_null(given) and not checks[kind](given):
        lists = ", or a Parquet file, since CSV has no lists" if _is_text(given) else ""
        raise TypeError(
            f"`{parameter}` {name!r} holds values of type {given}, but the model reads "
            f"{wanted[kind]}; give another column{lists}"
        )


def _is_text(given: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(given):
        given = given.value_type
    return any(
        check(given) for check in (types.is_string, types.is_large_string, types.is_string_view)
    )


def _item_type(given: Any) -> Any:
    from pyarrow import types

    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return given.value_type if any(check(given) for check in checks) else None


def _is_integers(given: Any) -> bool:
    from pyarrow import types

    item = _item_type(given)
    return item is not None and types.is_integer(item)


def _is_tokens(given: Any) -> bool:
    item = _item_type(given)
    return item is not None and _is_text(item)
