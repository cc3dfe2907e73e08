"""Labelled texts, pairs of texts and tagged sentences, from files on disk."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from muxlearn._docs import fill_docs
from muxlearn._params import Boolean, Choice, Constraint, PathName, check_parameters

__all__ = ["load_conll", "load_labelled", "load_pairs"]

#: The first token of a line that begins a document, and is not part of a sentence.
_DOCUMENT = "-DOCSTART-"

_FORMS = {
    2: "label<TAB>text (load_labelled)",
    3: "label<TAB>first text<TAB>second text (load_pairs)",
}


@fill_docs()
def load_labelled(
    path: str | os.PathLike[str], *, target: str = "label", return_X_y: bool = False
) -> Any:
    """Read labelled texts, one row a line: the label, a tab, the text.

    Parameters
    ----------
    {labelled.path}
    {labelled.target}
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of str, length n_samples
            The texts.
        {labelled.targets}

    Raises
    ------
    {labelled.raises}

    Examples
    --------
    >>> from muxlearn.datasets import load_labelled
    >>> X, y = load_labelled("sst2-train.tsv.gz", return_X_y=True)  # doctest: +SKIP
    """
    rows, values = _read_rows(path, 2, target, return_X_y)
    return _bunch([text for (text,) in rows], values, return_X_y)


@fill_docs()
def load_pairs(
    path: str | os.PathLike[str], *, target: str = "label", return_X_y: bool = False
) -> Any:
    """Read labelled pairs of texts, one row a line: the label and the two texts, tabs in between.

    Parameters
    ----------
    {labelled.path}
    {labelled.target}
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of (str, str), length n_samples
            The pairs.
        {labelled.targets}

    Raises
    ------
    {labelled.raises}

    Examples
    --------
    >>> from muxlearn.datasets import load_pairs
    >>> X, y = load_pairs("sick-train.tsv.gz", return_X_y=True)  # doctest: +SKIP
    """
    rows, values = _read_rows(path, 3, target, return_X_y)
    return _bunch([(first, second) for first, second in rows], values, return_X_y)


@fill_docs()
def load_conll(path: str | os.PathLike[str], *, return_X_y: bool = False) -> Any:
    """Read tagged sentences: one token a line, a blank line between sentences.

    The columns of a line are separated by tabs or, where there is none, by spaces. The first is
    the token and the last its tag; those in between are ignored. Lines that begin a document,
    with ``-DOCSTART-`` as their token, are skipped.

    Parameters
    ----------
    path : str or path
        A file in UTF-8, gzipped or not.
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of list of str, length n_samples
            The tokens of each sentence.
        target : list of list of str, length n_samples
            A tag for each token.
        target_names : list of str
            The different tags, sorted. Not in the tuple.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    TypeError, ValueError
        A parameter is not allowed, the file has no sentences, or a line lacks its token or its tag;
        the message gives its number.

    Examples
    --------
    >>> from muxlearn.datasets import load_conll
    >>> X, y = load_conll("conll2003-train.txt.gz", return_X_y=True)  # doctest: +SKIP
    """
    check_parameters(
        {"path": path, "return_X_y": return_X_y},
        {"path": PathName("the name of a file"), "return_X_y": Boolean()},
    )
    sentences: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else line.strip(" ").split(" ")
        if not line.strip() or fields[0] == _DOCUMENT:
            if sentences[-1]:
                sentences.append([])
                tags.append([])
        elif len(fields) < 2:
            raise ValueError(
                f"line {number} of '{path}' has one column, {line[:40]!r}; a line needs a token "
                "and its tag, with a tab or a space between them"
            )
        elif not fields[0].strip() or not fields[-1].strip():
            raise ValueError(
                f"line {number} of '{path}' has an empty first or last column, {line[:40]!r}; a "
                "line begins with a token and ends with its tag"
            )
        else:
            sentences[-1].append(fields[0])
            tags[-1].append(fields[-1])
    if not sentences[-1]:
        del sentences[-1], tags[-1]
    if not sentences:
        raise ValueError(f"'{path}' holds no sentences")
    if return_X_y:
        return sentences, tags
    names = sorted({tag for row in tags for tag in row})
    return Bunch(data=sentences, target=tags, target_names=names)


def _read_rows(
    path: str | os.PathLike[str], n_columns: int, target: str, return_X_y: bool
) -> tuple[list[list[str]], NDArray[Any]]:
    """Return the texts of each row, and the targets."""
    constraints: dict[str, Constraint] = {
        "path": PathName("the name of a file"),
        "target": Choice("label", "number"),
        "return_X_y": Boolean(),
    }
    check_parameters({"path": path, "target": target, "return_X_y": return_X_y}, constraints)
    rows, values = [], []
    for number, line in _lines(path):
        if not line:
            continue
        label, *texts = line.split("\t")
        if len(texts) + 1 != n_columns:
            found = len(texts) + 1
            advice = f"; a line of {found} columns is {_FORMS[found]}" if found in _FORMS else ""
            raise ValueError(
                f"line {number} of '{path}' has {found} columns, but {_FORMS[n_columns]} has "
                f"{n_columns}{advice}"
            )
        rows.append(texts)
        values.append(_number(label, number, path) if target == "number" else label)
    if not rows:
        raise ValueError(f"'{path}' holds no rows")
    return rows, np.array(values)


def _number(value: str, number: int, path: str | os.PathLike[str]) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            f"line {number} of '{path}' begins with {value[:40]!r}, which is not a number; take "
            "target='label'"
        ) from None


def _bunch(data: list[Any], target: NDArray[Any], return_X_y: bool) -> Any:
    if return_X_y:
        return data, target
    names = np.unique(target).tolist() if target.dtype.kind == "U" else []
    return Bunch(data=data, target=target, target_names=names)


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, unzipped and without their ends."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"`path`: there is no file '{file}'")
    with file.open("rb") as start:
        opener = gzip.open if start.read(2) == b"\x1f\x8b" else open
    with opener(file, "rb") as lines:
        # Split at line feeds alone: a text may hold what else Unicode calls the end of a line.
        for number, line in enumerate(_whole(lines, file), 1):
            try:
                # What some editors put in front of a file is no part of its first field.
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"line {number} of '{file}' is not in UTF-8: {error}") from error
            yield number, text.rstrip("\r\n")


def _whole(lines: Iterable[bytes], file: Path) -> Iterator[bytes]:
    """Yield the lines of a file, and name it where it cannot be unzipped to its end."""
    try:
        yield from lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"'{file}' cannot be unzipped: {error}; get it again") from error
