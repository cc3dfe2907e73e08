"""Data sets of the hub, or copies of them in folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn._params import Constraint, OneOf, PathName, check_parameters

__all__ = ["column_of", "label_numbers", "load_hub", "names_of"]


def load_hub(
    source: str | os.PathLike[str],
    split: str,
    cache_dir: str | os.PathLike[str] | None,
    *,
    part: str | None = None,
    revision: str | None = None,
) -> Any:
    """Load one split of a data set.

    Parameters
    ----------
    source : str or path
        A name on the hub or a folder.
    split : str
    cache_dir : str or path or None
    part : str, default=None
        The configuration, and the folder of its files in a copy of the hub's folder.
    revision : str, default=None
        A branch on the hub; not of a folder.

    Returns
    -------
    datasets.Dataset

    Raises
    ------
    ConnectionError, FileNotFoundError, TypeError, ValueError
        The hub can't be reached, there is no such data set, a parameter is not allowed, or the
        data have no such split.
    """
    from datasets import load_dataset  # type: ignore[import-untyped]

    constraints: dict[str, Constraint] = {
        "source": PathName("a folder or the name of a data set on the hub"),
        "split": PathName("the name of a split"),
        "cache_dir": OneOf(PathName("the name of a folder"), None),
    }
    check_parameters({"source": source, "split": split, "cache_dir": cache_dir}, constraints)
    name = os.fspath(source)
    branch = f" --revision {revision}" if revision else ""
    advice = (
        "`source` is a name on the hub or a folder. To get data for a machine without a "
        f"connection, run `hf download {name} --repo-type dataset{branch} --local-dir FOLDER` on "
        "one that has one, copy FOLDER and give its path as `source`"
    )
    where: dict[str, Any] = {"path": name, "name": part, "revision": revision}
    if (folder := Path(name)).is_dir():
        files = _files_by_split(folder / part) if part is not None else {}
        where = {"path": "parquet", "data_files": files} if files else {"path": name}
    try:
        return load_dataset(
            **where, split=split, cache_dir=None if cache_dir is None else str(cache_dir)
        )
    except ConnectionError as error:
        raise ConnectionError(
            f"'{name}' can't be fetched from the hub ({error}). {advice}"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"'{name}' is not found ({error}). {advice}") from error


def _files_by_split(folder: Path) -> dict[str, list[str]]:
    """Return the files of a part, ``SPLIT-….parquet``: `datasets` guesses some splits wrongly."""
    files: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.parquet")):
        files.setdefault(file.name.partition("-")[0], []).append(str(file))
    return files


def column_of(data: Any, source: object, *names: str) -> str:
    """Return the first of some names that a column has.

    Raises
    ------
    ValueError
        No column has one of them.
    """
    for name in names:
        if name in data.column_names:
            return name
    raise ValueError(
        f"'{source}' has the columns {data.column_names}, but it needs "
        f"{' or '.join(map(repr, names))}; rename one"
    )


def label_numbers(data: Any, source: object) -> NDArray[np.int64]:
    """Return the column "label", as numbers."""
    return np.array(list(data[column_of(data, source, "label")]), np.int64)


def names_of(feature: Any) -> list[str] | None:
    """Return the names that a column's numbers stand for, None where it holds none."""
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if hasattr(inner, "names") else None
