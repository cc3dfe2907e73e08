"""A teacher encoder's vectors of texts, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from muxlearn.nn.module import weights_digest
from muxlearn.persistence import replace_files
from muxlearn.rows import TokenTable, tokenize
from muxlearn.training.progress import progress_bar

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from muxlearn.nn.encoder import PretrainedEncoder

__all__ = ["TeacherAnswers", "as_float", "ask_teacher", "check_vocabulary"]

_BATCH_TOKENS = 4096


@dataclass(eq=False)
class TeacherAnswers:
    """The directions in which a teacher sees texts and their tokens.

    Attributes
    ----------
    rows : ndarray of float16, shape (n_rows, teacher_size)
        The mean of a text's last hidden states, brought to length 1.
    tokens : ndarray of float16, shape (n_tokens, teacher_size), or None
        The last hidden states, brought to length 1, one text after the other.
    starts : ndarray of int64, shape (n_rows,)
        Where the tokens of each text begin.
    teacher : str
        A digest of the teacher's weights.
    """

    rows: NDArray[np.float16]
    tokens: NDArray[np.float16] | None
    starts: NDArray[np.int64]
    teacher: str


def ask_teacher(
    teacher: PretrainedEncoder,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    with_tokens: bool,
    cache: str | os.PathLike | None = None,
    device: torch.device | str = "cpu",
    verbose: int = 0,
) -> tuple[TokenTable, TeacherAnswers]:
    """Let a teacher read texts, each alone.

    Parameters
    ----------
    teacher : PretrainedEncoder
    tokenizer : tokenizers.Tokenizer
        The teacher's, which cuts texts off where it does.
    texts : sequence of str
    with_tokens : bool
        Whether to keep its vector of each token as well.
    cache : str or path, default=None
        A folder that keeps the answers. Those that it has, to the same texts and of the same
        teacher, are read from the disk as they are needed. None keeps them in memory.
    device : torch.device or str, default="cpu"
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    table : TokenTable
        The texts' tokens.
    answers : TeacherAnswers

    Raises
    ------
    OSError
        The disk of `cache` is full, or cannot be written or read.
    """
    table, digest = tokenize(tokenizer, texts), weights_digest(teacher)
    starts = np.cumsum(table.lengths) - table.lengths
    n_tokens, size = int(table.lengths.sum()), teacher.hidden_size
    if cache is None:
        rows = np.empty((len(table), size), np.float16)
        tokens = np.empty((n_tokens, size), np.float16) if with_tokens else None
        _fill(teacher, table, starts, rows, tokens, device, verbose)
        return table, TeacherAnswers(rows, tokens, starts, digest)
    folder = Path(cache) / _fingerprint(digest, table)
    files = {"rows": (len(table), size), "tokens": (n_tokens, size)}
    if not with_tokens:
        del files["tokens"]

    def is_there() -> bool:
        return all((folder / f"{name}.npy").exists() for name in files)

    if not is_there():
        # Another training may ask the same at this moment: the second one waits for its answers.
        with replace_files(folder) as staged:
            if not is_there():
                parts = {
                    name: _map_new_file(staged / f"{name}.npy", shape)
                    for name, shape in files.items()
                }
                _fill(teacher, table, starts, parts["rows"], parts.get("tokens"), device, verbose)
                for part in parts.values():
                    part.flush()
    try:
        kept = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in files}
    except (EOFError, ValueError) as error:
        raise OSError(
            f"`cache` is damaged: {str(folder)!r} cannot be read ({error}); delete that folder"
        ) from error
    return table, TeacherAnswers(kept["rows"], kept.get("tokens"), starts, digest)


def _map_new_file(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Map an array whose space on the disk is taken, as a disk that is full later ends a process.

    Parameters
    ----------
    path : Path
    shape : tuple of int

    Returns
    -------
    memmap of float16

    Raises
    ------
    OSError
        There is no space.
    """
    array = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


@torch.inference_mode()
def _fill(
    teacher: PretrainedEncoder,
    table: TokenTable,
    starts: NDArray[np.int64],
    rows: NDArray[np.float16],
    tokens: NDArray[np.float16] | None,
    device: torch.device | str,
    verbose: int,
) -> None:
    teacher.eval().to(device)
    with progress_bar(len(table), "teacher", show=bool(verbose)) as bar:
        for batch in _batches(table.lengths):
            ids, mask = (torch.from_numpy(a).to(device) for a in table.gather(batch))
            hidden = teacher(teacher.embedding(ids), mask)
            mean = (hidden * mask[..., None]).sum(1)
            rows[batch] = F.normalize(mean, dim=-1).half().cpu().numpy()
            if tokens is not None:
                states = F.normalize(hidden[mask], dim=-1).half().cpu().numpy()
                lengths = table.lengths[batch]
                ends = np.cumsum(lengths)
                for start, end, length in zip(starts[batch], ends, lengths, strict=True):
                    tokens[start : start + length] = states[end - length : end]
            bar.update(len(batch))


def _batches(lengths: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    """Yield rows of similar length, about `_BATCH_TOKENS` tokens at a time, longest first."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + max(1, _BATCH_TOKENS // int(lengths[order[start]]))
        yield order[start:end]
        start = end


def _fingerprint(teacher: str, table: TokenTable) -> str:
    digest = hashlib.sha256(teacher.encode())
    digest.update(table.lengths.tobytes())
    digest.update(table.flatten(np.arange(len(table))).tobytes())
    return digest.hexdigest()[:16]


def as_float(values: NDArray[Any]) -> torch.Tensor:
    """Return stored directions as a tensor to compute with."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def check_vocabulary(
    teacher: str | os.PathLike | None, tokenizer: Tokenizer, own: Tokenizer, backbone: str
) -> None:
    """Raise where a teacher's tokens are not those of the encoder that it teaches.

    Parameters
    ----------
    teacher : str or path
        Where the teacher comes from, for the error.
    tokenizer, own : tokenizers.Tokenizer
        The teacher's and the encoder's.
    backbone : str
        What the error calls the encoder.

    Raises
    ------
    ValueError
        The vocabularies differ.
    """
    if own.get_vocab() != tokenizer.get_vocab():
        raise ValueError(
            f"`teacher` {str(teacher)!r} has another vocabulary than {backbone}; take a teacher "
            "with the same one, such as the encoder itself"
        )
