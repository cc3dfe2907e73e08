"""The configuration of a folder: what it holds, and the checksums of its files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from muxlearn.persistence._atomic import open_file
from muxlearn.persistence._version1 import upgrade

__all__ = [
    "CONFIG",
    "FORMAT",
    "FORMATS",
    "FORMAT_VERSION",
    "FormatError",
    "check_config",
    "digest_of",
    "existing_folder",
    "is_ours",
    "parse_config",
    "parse_json",
    "read_config",
    "read_file",
    "seal",
    "told_as_format_error",
]

#: The entry "format" of a model that was saved.
FORMAT = "muxlearn"

#: What that entry may be: saved, exported to ONNX.
FORMATS = (FORMAT, "muxlearn-onnx")

#: Incremented whenever older versions of the library cannot read new folders.
FORMAT_VERSION = 3

#: The name of the file that describes the others.
CONFIG = "config.json"


class FormatError(ValueError):
    """A folder is not a model of this library, or not a whole one."""


@contextlib.contextmanager
def told_as_format_error(files: str, *passed: type[Exception]) -> Iterator[None]:
    """Turn what is raised while a model is built from files into a `FormatError`.

    Parameters
    ----------
    files : str
        What to call them.
    *passed : type of Exception
        What is raised as it is, beside errors of the disk and of packages that are missing.
    """
    as_it_is: tuple[type[Exception], ...] = (FormatError, ImportError, OSError, *passed)
    try:
        yield
    except as_it_is:
        raise
    except Exception as error:  # libraries raise their own
        raise FormatError(
            f"{files} do not make up a model ({type(error).__name__}: {error})"
        ) from error


def existing_folder(folder: str | os.PathLike) -> Path:
    """Return the path of a folder that must be there.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such folder.
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"`folder` must be the name of a folder, got an instance of {type(folder).__name__}"
        )
    folder = Path(folder)
    if folder.is_file():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the folder that was saved")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}")
    return folder


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
    if config["format"] != FORMAT:
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
    if config["format_version"] > 1:
        return config
    try:
        return upgrade(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{CONFIG} in {str(folder)!r} is damaged ({type(error).__name__}: {error})"
        ) from error


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
    config = parse_json(folder)
    if not is_ours(config):
        raise FormatError(
            f"{str(folder)!r} is not a model saved by muxlearn: its {CONFIG} is of another "
            "library; a transformers encoder is given as `backbone`, and a model that the authors "
            "of DataMUX or MUX-PLMs have published to `from_reference`"
        )
    return config


def parse_json(folder: Path) -> Any:
    """Read a configuration, which may be of another library.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    object
        As JSON gives it.

    Raises
    ------
    FormatError
        There is none, or it is damaged.
    """
    data = read_file(folder, CONFIG)
    if data is None:
        raise FormatError(f"{str(folder)!r} is not a model saved by muxlearn: it has no {CONFIG}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{CONFIG} in {str(folder)!r} is damaged: {error}") from error


def is_ours(config: Any) -> bool:
    """Return whether a configuration is of this library, in whichever of its formats.

    Parameters
    ----------
    config : object
        From `parse_json`.

    Returns
    -------
    bool
    """
    return isinstance(config, dict) and config.get("format") in FORMATS


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
    if CONFIG in config["sha256"] and config["sha256"][CONFIG] != digest_of(config):
        raise FormatError(
            f"{CONFIG} in {str(folder)!r} is not the file that was saved (wrong checksum): it was "
            "changed; copy the folder anew"
        )


def seal(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with its own checksum beside those of the other files.

    Parameters
    ----------
    config : mapping of str to object
        As JSON gives it back.

    Returns
    -------
    dict
    """
    others = {name: value for name, value in config["sha256"].items() if name != CONFIG}
    return {**config, "sha256": {CONFIG: digest_of(config), **others}}


def digest_of(config: Mapping[str, Any]) -> str:
    """Return the checksum of a configuration, without its own entry, whatever its layout.

    Parameters
    ----------
    config : mapping of str to object

    Returns
    -------
    str
    """
    others = {name: value for name, value in config["sha256"].items() if name != CONFIG}
    text = json.dumps({**config, "sha256": others}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
