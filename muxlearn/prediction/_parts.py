"""A folder of results in parts, each written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from muxlearn.persistence import sync

__all__ = ["PartFolder"]

#: Readers of Parquet folders leave out names that start with an underscore or a dot.
_MANIFEST = "_manifest.json"
_FORMAT_VERSION = 1


class PartFolder:
    """Parts of a job that may be killed and taken up again.

    Parameters
    ----------
    folder : Path
        The folder, created if needed.
    form : {"parquet", "csv"}
    job : dict of str to object
        What the results depend on, as JSON keeps it. A folder only continues with the same job.

    Attributes
    ----------
    complete : bool
        Whether a former run came to the end, and all its parts are still there.

    Raises
    ------
    FileExistsError
        The folder holds something else.
    NotADirectoryError
        It is a file.
    ValueError
        It holds the parts of a job that differs.
    """

    def __init__(self, folder: Path, form: str, job: dict[str, Any]) -> None:
        self._folder = folder
        self._form = form
        self._job = {"format": "muxlearn parts", "format_version": _FORMAT_VERSION, **job}
        self.complete = False
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"`output` {str(folder)!r} is a file; give a folder")
        if (folder / _MANIFEST).exists():
            found = self._found()
            # Of a job that failed before its first part there is nothing to mix up with another.
            if "n_parts" in found or any(folder.glob("part-*")):
                self._compare(found)
                self.complete = found.get("n_parts") == self.n_leading()
                if self.complete and isinstance(n_bytes := found.get("n_bytes"), list):
                    self._check_sizes(n_bytes)
            elif found != self._job:
                self._write(_MANIFEST, self._manifest())
            return
        if folder.exists() and any(not _is_temporary(entry) for entry in folder.iterdir()):
            raise FileExistsError(
                f"`output` {str(folder)!r} holds other files; give a new or an empty folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._write(_MANIFEST, self._manifest())

    def _manifest(self, **more: Any) -> bytes:
        return (json.dumps({**self._job, **more}, indent=1) + "\n").encode()

    def _compare(self, found: dict[str, Any]) -> None:
        for name, value in self._job.items():
            if found.get(name) != value:
                raise ValueError(
                    f"`output` {str(self._folder)!r} holds the parts of another job, which cannot "
                    f"be resumed: its {name} was {found.get(name)!r} and is {value!r} now; go on "
                    "with what it was begun with, or give a new folder"
                )

    def _found(self) -> dict[str, Any]:
        file = self._folder / _MANIFEST
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(
                f"{str(file)!r}, which says what the parts of `output` are of, is damaged; give a "
                "new folder"
            )
        return found

    def _check_sizes(self, n_bytes: list[int]) -> None:
        for number, wanted in enumerate(n_bytes):
            if (size := self.path(number).stat().st_size) != wanted:
                raise ValueError(
                    f"{str(self.path(number))!r} has {size} bytes and was written with {wanted}: "
                    "it is damaged; delete it and call again, which writes it anew"
                )

    def path(self, number: int) -> Path:
        """Return where a part is, or will be."""
        return self._folder / f"part-{number:06d}.{self._form}"

    def n_leading(self) -> int:
        """Return how many parts there are before the first that is missing."""
        number = 0
        while self.path(number).exists():
            number += 1
        return number

    def write(self, number: int, table: Any) -> None:
        """Write a part; it is there whole, or not at all.

        Parameters
        ----------
        number : int
        table : pyarrow.Table

        Raises
        ------
        OSError
            The disk is full, or cannot be written.
        ValueError
            Another job has begun in the folder meanwhile.
        """
        import pyarrow as pa

        self._compare(self._found())
        sink = pa.BufferOutputStream()
        if self._form == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, sink)
        else:
            from pyarrow import csv

            csv.write_csv(table, sink)
        self._write(self.path(number).name, sink.getvalue())

    def finish(self, n_rows: int) -> None:
        """Mark the output as complete, and remove what killed runs have left."""
        n_parts = self.n_leading()
        n_bytes = [self.path(number).stat().st_size for number in range(n_parts)]
        self._write(_MANIFEST, self._manifest(n_rows=n_rows, n_parts=n_parts, n_bytes=n_bytes))
        for file in self._folder.iterdir():
            if _is_temporary(file):
                file.unlink(missing_ok=True)

    def _write(self, name: str, content: Any) -> None:
        # A name of its own: another run may be at the same part.
        temporary = self._folder / f".{name}.{uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = "is full" if full else "cannot be written"
            raise OSError(
                error.errno,
                f"the disk of `output` {reason} ({error.strerror}); the parts that are there are "
                "whole: make room and call again with the same arguments to go on",
                str(self._folder / name),
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync(self._folder)


def _is_temporary(file: Path) -> bool:
    return file.name.startswith(".") and file.name.endswith(".tmp")
