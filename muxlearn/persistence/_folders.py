"""Folders of saved models, written and read with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from muxlearn.persistence._atomic import changes_of, locked, open_file, write_files
from muxlearn.persistence._encoding import plain
from muxlearn.persistence._version1 import upgrade

__all__ = [
    "CONFIG",
    "FILES",
    "FORMATS",
    "FORMAT_VERSION",
    "TOKENIZER",
    "FormatError",
    "check_config",
    "existing_folder",
    "parse_config",
    "read_config",
    "read_contents",
    "read_file",
    "read_folder",
    "read_whole",
    "write_contents",
    "write_folder",
]

_FORMAT = "muxlearn"

#: What the entry "format" of a configuration may be: saved, exported to ONNX.
FORMATS = (_FORMAT, "muxlearn-onnx")

#: Incremented whenever older versions of the library cannot read new folders.
FORMAT_VERSION = 2

#: The name of the file that holds a tokenizer as JSON.
TOKENIZER = "tokenizer.json"

#: The name of the file that describes the others.
CONFIG = "config.json"

_WEIGHTS = "model.safetensors"

#: The names of all files that a saved model may have.
FILES = (CONFIG, _WEIGHTS, TOKENIZER)

#: How often a reader tries again where others save, before it keeps them from it.
_N_TRIES = 8

T = TypeVar("T")


class FormatError(ValueError):
    """A folder is not a model of this library, or not a whole one."""


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
        The weights, on the CPU.
    files : mapping of str to str
        What else there is, by name: nothing, or `TOKENIZER`.
    beside : mapping of str to bytes, default=None
        As in `write_contents`.
    """
    from safetensors.torch import save

    contents = {_WEIGHTS: save(tensors), **{name: text.encode() for name, text in files.items()}}
    config = {"format": _FORMAT, "format_version": FORMAT_VERSION, **config}
    write_contents(folder, config, contents, beside)


def write_contents(
    folder: str | os.PathLike,
    config: dict[str, Any],
    contents: Mapping[str, bytes],
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
    beside : mapping of str to bytes, default=None
        Files that a user may change, and that have no checksum.

    Raises
    ------
    NotADirectoryError
        `folder` is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the name of a folder")
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    # As a reader sees it: some keys and values become strings.
    config = json.loads(json.dumps({**config, "sha256": checksums}, default=plain))
    checksums = {CONFIG: _digest(config), **checksums}
    described = json.dumps({**config, "sha256": checksums}, indent=1)
    write_files(folder, {**contents, CONFIG: described.encode(), **(beside or {})})


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


def read_file(folder: str | os.PathLike, name: str) -> bytes | None:
    """Read a file, None where there is no such file.

    Parameters
    ----------
    folder : str or path
    name : str

    Returns
    -------
    bytes or None
    """
    file = open_file(folder, name)
    if file is None:
        return None
    with file:
        return file.read()


def read_contents(folder: Path, config: dict[str, Any], names: Iterable[str]) -> dict[str, bytes]:
    """Read files that `write_contents` wrote, and check that they are those.

    Parameters
    ----------
    folder : Path
    config : dict
        The configuration of this folder.
    names : iterable of str
        Names of the files. None of them may be taken from the configuration, which could name
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
        names = [_WEIGHTS, *(name for name in (TOKENIZER,) if name in config["sha256"])]
        return config, read_contents(folder, config, names)

    config, contents = read_whole(folder, read)
    try:
        tensors = load(contents.pop(_WEIGHTS))
    except SafetensorError as error:
        raise FormatError(f"the weights in {str(folder)!r} cannot be read: {error}") from error
    return config, tensors, {name: data.decode() for name, data in contents.items()}


def existing_folder(folder: str | os.PathLike) -> Path:
    """Return the path of a folder that must be there.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such folder.
    """
    folder = Path(folder)
    if folder.is_file():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the folder that was saved")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}")
    return folder


def read_config(folder: Path, estimator: str | None) -> dict[str, Any]:
    """Read what `write_folder` wrote about a model, and nothing else.

    Parameters
    ----------
    folder : Path
    estimator : str or None
        Name of the class that asks; None takes a model of any.

    Returns
    -------
    dict

    Raises
    ------
    FormatError
        The folder holds something else, a newer format, another estimator, or a damaged or
        changed configuration.
    """
    config = parse_config(folder)
    if config["format"] != _FORMAT:
        raise FormatError(
            f"{str(folder)!r} holds a model exported to ONNX, which cannot become a "
            f"{estimator or 'model of torch'} again; load it with a class of muxlearn.export"
        )
    check_config(folder, config, FORMAT_VERSION)
    if estimator is not None and config["estimator"] != estimator:
        raise FormatError(
            f"{str(folder)!r} holds a {config['estimator']}, not a {estimator}; load it with "
            f"{config['estimator']}.load or .from_pretrained"
        )
    return upgrade(config) if config["format_version"] == 1 else config


def parse_config(folder: Path) -> dict[str, Any]:
    """Read a configuration of this library, whichever of its formats it is of.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict
        The configuration, whose entry "format" is one of `FORMATS`; nothing else is checked.

    Raises
    ------
    FormatError
        There is none, or it is damaged or of something else.
    """
    data = read_file(folder, CONFIG)
    if data is None:
        raise FormatError(f"{str(folder)!r} is not a model saved by muxlearn: it has no {CONFIG}")
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("format") not in FORMATS:
        raise FormatError(
            f"{str(folder)!r} is not a model saved by muxlearn: its {CONFIG} is of another "
            "library; a transformers encoder is given as `backbone`, and a model that the authors "
            "of DataMUX or MUX-PLMs have published to `from_reference`"
        )
    return config


def check_config(folder: Path, config: dict[str, Any], newest: int) -> None:
    """Check what every configuration of this library says.

    Parameters
    ----------
    folder : Path
    config : dict
    newest : int
        The newest version of its format that is known.

    Raises
    ------
    FormatError
        It is of a newer version, damaged or changed.
    """
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: its format is {version!r}")
    if version > newest:
        raise FormatError(
            f"{str(folder)!r} is of format {version}, written by a newer muxlearn "
            f"({config.get('muxlearn_version')}); this one reads up to {newest}: update it"
        )
    kinds = {"estimator": str, "params": dict, "sha256": dict}
    absent = [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]
    if absent:
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: it lacks {absent[0]!r}")
    # Folders of earlier versions have no checksum of their configuration.
    if CONFIG in config["sha256"] and config["sha256"][CONFIG] != _digest(config):
        raise FormatError(
            f"{CONFIG} in {str(folder)!r} is not the file that was saved (wrong checksum): it was "
            "changed; copy the folder anew"
        )


def _digest(config: Mapping[str, Any]) -> str:
    """Return the checksum of a configuration, without its own entry, whatever its layout."""
    others = {name: value for name, value in config["sha256"].items() if name != CONFIG}
    text = json.dumps({**config, "sha256": others}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
