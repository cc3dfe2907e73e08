"""Folders of saved models, written and read with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from muxlearn._params import PathName
from muxlearn.persistence._atomic import changes_of, locked, write_files
from muxlearn.persistence._config import (
    CONFIG,
    FORMAT,
    FORMAT_VERSION,
    FormatError,
    existing_folder,
    is_ours,
    parse_json,
    read_config,
    read_file,
    seal,
    told_as_format_error,
)
from muxlearn.persistence._encoding import plain
from muxlearn.persistence._rows import expand_rows, shrink_rows

__all__ = [
    "TOKENIZER",
    "check_new_folder",
    "file_names",
    "new_folder",
    "read_contents",
    "read_folder",
    "read_whole",
    "write_contents",
    "write_folder",
]

#: The name of the file that holds a tokenizer as JSON.
TOKENIZER = "tokenizer.json"

_WEIGHTS = "model.safetensors"

#: A name of a file in the folder itself, and not a path or a pattern.
_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)

#: How often a reader tries again where others save, before it keeps them from it.
_N_TRIES = 8

_FOLDER = PathName("the name of a folder")

T = TypeVar("T")


def new_folder(folder: str | os.PathLike) -> Path:
    """Return the path of a folder that need not be there.

    Raises
    ------
    TypeError, ValueError
        `folder` is no name of a folder.
    """
    _FOLDER.check("folder", folder)
    return Path(folder)


def write_folder(
    folder: str | os.PathLike,
    config: dict[str, Any],
    tensors: dict[str, Any],
    files: Mapping[str, str],
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model in one step.

    Parameters
    ----------
    folder : str or path
        The folder, created if needed. A model in it is replaced.
    config : dict
        Gets the format's version and the checksums of the other files.
    tensors : dict of str to Tensor
        The weights, on the CPU. Rows that are bytes times a number, as the packaged encoder's,
        take a quarter of the space, and are read as they were.
    files : mapping of str to str
        What else there is, by name, from `Reader.files`: `TOKENIZER` in most cases, or nothing.
    beside : mapping of str to bytes, default=None
        Files that a user may change, and that have no checksum.

    Raises
    ------
    FileExistsError, OSError, TypeError, ValueError
        As of `write_contents`.
    """
    from safetensors.torch import save

    config = {"format": FORMAT, "format_version": FORMAT_VERSION, **config}
    write_contents(folder, config, {_WEIGHTS: save(shrink_rows(tensors))}, files, beside)


def write_contents(
    folder: str | os.PathLike,
    config: dict[str, Any],
    contents: Mapping[str, bytes],
    files: Mapping[str, str] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write files and the configuration, with the checksums of all of them, in one step.

    Parameters
    ----------
    folder : str or path
        The folder, created if needed. Files of the same names in it are replaced, others stay.
    config : dict
    contents : mapping of str to bytes
        By the files' names.
    files : mapping of str to str, default=None
        More files, from `Reader.files`.
    beside : mapping of str to bytes, default=None
        Files that a user may change, and that have no checksum.

    Raises
    ------
    FileExistsError, OSError, TypeError, ValueError
        As of `check_new_folder`; or a name in `files` is a path, or that of another file.
    """
    taken = (CONFIG, *contents, *(beside or ()))
    for name in files or ():
        if name in taken or not _PLAIN.fullmatch(name):
            raise ValueError(
                f"`files` has the name {name!r}; give one of letters, digits, '_', '-' and '.' "
                f"that is none of {', '.join(taken)}, such as 'letters.txt'"
            )
    contents = {**contents, **{name: text.encode() for name, text in (files or {}).items()}}
    folder = check_new_folder(folder, config["format"])
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    # As a reader sees it: some keys and values become strings.
    config = json.loads(json.dumps({**config, "sha256": checksums}, default=plain))
    described = json.dumps(seal(config), indent=1)
    write_files(folder, {**contents, CONFIG: described.encode(), **(beside or {})})


def check_new_folder(folder: str | os.PathLike, form: str) -> Path:
    """Check that a model can be written to a folder, which need not be there.

    Parameters
    ----------
    folder : str or path
    form : str
        The format of the model.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        The folder holds a model in another format, which this one would make useless, or the
        configuration of another library, such as that of a `transformers` encoder.
    NotADirectoryError
        `folder` is a file.
    OSError
        The configuration in it cannot be read, so that it may be of another library.
    TypeError, ValueError
        It is no name of a folder.
    """
    folder = new_folder(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the name of a folder")
    try:
        config = parse_json(folder)
    except FormatError:
        return folder  # there is none, or what is left of a damaged one
    if not is_ours(config):
        raise FileExistsError(
            f"{str(folder)!r} holds a {CONFIG} of another library, which a saved model would "
            "replace with its other files; give another folder"
        )
    if config["format"] != form:
        raise FileExistsError(
            f"{str(folder)!r} holds a model in another format, {config['format']!r}, which "
            f"{form!r} would make useless; give another folder"
        )
    return folder


def read_whole(folder: str | os.PathLike, read: Callable[[], T]) -> T:
    """Read several files of a folder, from the beginning where a save has come between.

    Parameters
    ----------
    folder : str or path
    read : callable
        Takes nothing and returns what it has read; raises a `FormatError` where files do not
        belong together.

    Returns
    -------
    object
        As `read` has returned it.
    """
    folder = Path(folder)
    for _ in range(_N_TRIES):
        before = changes_of(folder, CONFIG)
        try:
            return read()
        except FormatError:
            if changes_of(folder, CONFIG) == before:
                raise
    with locked(folder):
        return read()


def read_contents(folder: Path, config: dict[str, Any], names: Iterable[str]) -> dict[str, bytes]:
    """Read files that `write_contents` wrote, and check that they are those.

    Parameters
    ----------
    folder : Path
    config : dict
        The configuration of this folder.
    names : iterable of str
        Names of the files. Those of a configuration must come from `file_names`, as it could name
        files outside of the folder.

    Returns
    -------
    dict of str to bytes

    Raises
    ------
    FormatError
        A file is missing, cut short or changed.
    """
    contents = {}
    for name in names:
        data = read_file(folder, name)
        if data is None:
            raise FormatError(f"{str(folder)!r} is not complete: {name} is missing")
        contents[name] = data
        if hashlib.sha256(data).hexdigest() != config["sha256"].get(name):
            raise FormatError(
                f"{name} in {str(folder)!r} is not the file that was saved ({len(data)} "
                "bytes, wrong checksum): it was cut short or changed; copy the folder anew"
            )
    return contents


def file_names(config: Mapping[str, Any], needed: Iterable[str] = (_WEIGHTS,)) -> list[str]:
    """Return the names of a model's files, without any that is not of its folder.

    Parameters
    ----------
    config : mapping of str to object
        The configuration of the folder.
    needed : iterable of str
        Files that the model must have; those of a saved one by default.

    Returns
    -------
    list of str
        The configuration's own name first, then what is needed.
    """
    names = [CONFIG, *needed, *filter(_PLAIN.fullmatch, config["sha256"])]
    return list(dict.fromkeys(names))


def read_folder(
    folder: str | os.PathLike, estimator: str | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Read what `write_folder` wrote.

    Parameters
    ----------
    folder : str or path
    estimator : str, default=None
        Name of the class that asks; None takes a model of any.

    Returns
    -------
    config : dict
    tensors : dict of str to Tensor
    files : dict of str to str
        What else was saved, by name.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such folder.
    FormatError
        The folder holds something else, a newer format, another estimator, or files that are
        missing, cut short or changed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = existing_folder(folder)

    def read() -> tuple[dict[str, Any], dict[str, bytes]]:
        config = read_config(folder, estimator)
        return config, read_contents(folder, config, file_names(config)[1:])

    config, contents = read_whole(folder, read)
    try:
        tensors = expand_rows(load(contents.pop(_WEIGHTS)))
    except (KeyError, SafetensorError, ValueError) as error:
        raise FormatError(f"the weights in {str(folder)!r} cannot be read: {error}") from error
    with told_as_format_error(f"the files in {str(folder)!r}"):
        return config, tensors, {name: data.decode() for name, data in contents.items()}
