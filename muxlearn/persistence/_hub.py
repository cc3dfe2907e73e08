"""Folders on the hub, and the tokenizers and weights in a folder that others wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from muxlearn._params import PathName
from muxlearn.persistence._config import FormatError

__all__ = [
    "TOKENIZER_FILES",
    "find_folder",
    "first_line",
    "quiet_transformers",
    "read_shapes",
    "read_tokenizer",
    "read_weights",
    "refuse_code",
]

#: What a tokenizer may be kept in; a folder with none of the first three has no tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)

_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"


def find_folder(
    name: str | os.PathLike,
    files: Sequence[str],
    *,
    parameter: str,
    settings: str = "`cache_dir` or the environment variable HF_HOME",
    weights: bool = False,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """Return a local folder, or one of the hub's cache, downloaded if needed.

    Parameters
    ----------
    name : str or path
        A folder, or the name of a repository on the hub.
    files : sequence of str
        What to bring.
    parameter : str
        What to call `name` in an error.
    settings : str
        What there names another cache.
    weights : bool, default=False
        Whether to bring the weights too, in one form if there are two.
    revision, cache_dir, local_files_only, token
        Arguments of `huggingface_hub.snapshot_download`; not used for a folder.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        `name` can only be meant as a folder and is not one.
    OSError
        There is no such folder, locally or on the hub.
    TypeError, ValueError
        `name` is neither a path nor a name.
    """
    PathName().check(parameter, name)
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise NotADirectoryError(
            f"`{parameter}` {str(name)!r} is a file; give the folder that it is in"
        )
    if (
        isinstance(name, os.PathLike)
        or name.startswith((".", "~", os.sep))
        or name.count("/") > 1
        or "\\" in name
    ):
        raise FileNotFoundError(f"`{parameter}`: there is no folder {str(name)!r}")
    from huggingface_hub import constants, snapshot_download

    cache = cache_dir or constants.HF_HUB_CACHE
    wanted = [*files, _SAFE] if weights else list(files)
    download = partial(
        snapshot_download,
        name,
        revision=revision,
        cache_dir=cache,
        local_files_only=local_files_only,
        token=token,
    )
    try:
        found = Path(download(allow_patterns=wanted))
        if weights and not (found / _SAFE).is_file():
            wanted[-1] = _PICKLED
            found = Path(download(allow_patterns=wanted))
    except Exception as error:  # of the network, the hub and the cache: of many libraries
        if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set"
        elif local_files_only:
            reason = "`local_files_only` is True"
        else:
            reason = f"{type(error).__name__}: {first_line(error)}"
        at = "" if revision is None else f" at revision {revision!r}"
        raise OSError(
            f"`{parameter}` {name!r}{at} was not found: there is no such folder, and neither the "
            f"hub nor its cache {str(cache)!r} has it ({reason}). With a network, leave "
            "HF_HUB_OFFLINE unset; without one, give a folder, or name a cache that holds it by "
            f"{settings}"
        ) from None
    return found


def read_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of a checkpoint's tensors, and no tensor.

    Parameters
    ----------
    folder : Path
        A folder with ``model.safetensors`` or otherwise ``pytorch_model.bin``.

    Returns
    -------
    dict of str to tuple of int
        Empty where there is no file of weights that can be read.
    """
    file = _weights_file(folder)
    if file is None:
        return {}
    try:
        if file.name == _SAFE:
            from safetensors import safe_open

            with safe_open(file, "pt") as tensors:
                names = tensors.keys()
                return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
        loaded = torch.load(file, map_location="meta", weights_only=True)
        return {name: tuple(tensor.shape) for name, tensor in loaded.items()}
    except Exception:  # the one who reads the file as what it should be says what is wrong
        return {}


def _weights_file(folder: Path) -> Path | None:
    return next((folder / n for n in (_SAFE, _PICKLED) if (folder / n).is_file()), None)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors; nothing but tensors is unpickled.

    Parameters
    ----------
    folder : Path
        A folder with ``model.safetensors`` or otherwise ``pytorch_model.bin``.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    muxlearn.persistence.FormatError
        There is no such file, or it is not one of tensors by name.
    """
    file = _weights_file(folder)
    if file is None:
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise FormatError(
            f"{str(folder)!r} has no weights: neither {_SAFE} nor {_PICKLED} is there, but {there}"
        )
    try:
        if file.name == _SAFE:
            from safetensors.torch import load_file

            tensors = load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch, zipfile and pickle raise their own
        raise FormatError(
            f"{file.name} in {str(folder)!r} is damaged or no file of weights "
            f"({type(error).__name__}: {first_line(error)}); no code in it was run"
        ) from None
    odd = (
        [key for key, value in tensors.items() if not torch.is_tensor(value)]
        if isinstance(tensors, dict)
        else [type(tensors).__name__]
    )
    if odd:
        raise FormatError(
            f"{file.name} in {str(folder)!r} does not hold tensors by name, but {odd[0]!r}; save "
            "the model's state_dict() alone"
        )
    return tensors


def read_tokenizer(folder: Path) -> Any:
    """Read a folder's tokenizer.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    tokenizers.Tokenizer or None
        None if there is none.

    Raises
    ------
    muxlearn.persistence.FormatError
        There is one that cannot be read, that has no fast form, or that comes with its own code.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    if not any((folder / name).is_file() for name in TOKENIZER_FILES[:3]):
        return None
    fast = folder / TOKENIZER_FILES[0]
    try:
        described = get_tokenizer_config(str(folder), local_files_only=True)
        refuse_code(described, f"the tokenizer in {str(folder)!r}")
        if fast.is_file():
            return Tokenizer.from_file(str(fast))
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        return tokenizer.backend_tokenizer
    except FormatError:
        raise
    except Exception as error:  # tokenizers raises bare exceptions
        raise FormatError(
            f"the tokenizer in {str(folder)!r} cannot be read "
            f"({type(error).__name__}: {first_line(error)})"
        ) from None


def first_line(error: Exception) -> str:
    """Return what an error says on its first line that says something.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def refuse_code(config: Any, where: str) -> None:
    """Raise where a configuration names Python code that transformers would load from its folder.

    Parameters
    ----------
    config : dict
        The configuration of a model or a tokenizer.
    where : str
        Where it is, for the error.

    Raises
    ------
    muxlearn.persistence.FormatError
        It names code.
    """
    if isinstance(config, dict) and config.get("auto_map"):
        raise FormatError(
            f"{where} names Python code of its own, which loading it would run "
            f"(`auto_map`: {config['auto_map']!r}); muxlearn runs no code of a model. Take a model "
            "whose network is part of transformers"
        )


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' own progress bars and advice off the terminal."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
