"""Files of a folder that change in one step, whatever ends the process or fills the disk.

New files are written to a folder of their own inside the target, and are on the disk before
anything else happens. Giving that folder the name `_COMMITTED` is the step: from then on a reader
takes a file from there, if it is there. Then each file moves to its place. Whoever is killed leaves
the former files or the new ones, all of them; the next one to write completes what was committed
and removes what was not.

Nothing but `rename` is asked of the file system. To exchange whole folders would ask for more, and
would move the user's own files in them, the working directory, or a mounted volume.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["changes_of", "locked", "open_file", "replace_files", "sync", "write_files"]

#: What the files of a step are in before it, with a number behind it, and after it.
_STAGED, _COMMITTED = ".muxlearn-staged-", ".muxlearn-committed"


def write_files(folder: str | os.PathLike, contents: Mapping[str, bytes]) -> None:
    """Write files to a folder in one step.

    Parameters
    ----------
    folder : str or path
        Created if needed. Other files in it stay.
    contents : mapping of str to bytes
        By the files' names.

    Raises
    ------
    OSError
        The folder cannot be written, or the disk is full. The former files are as they were.
    """
    with replace_files(folder) as staged:
        for name, data in contents.items():
            (staged / name).write_bytes(data)


@contextlib.contextmanager
def replace_files(folder: str | os.PathLike) -> Iterator[Path]:
    """Give a folder whose files become those of another one in one step, at the end.

    An error inside leaves the former files as they were. Processes that write to one folder do it
    one after the other.

    Parameters
    ----------
    folder : str or path
        Created if needed. Other files in it stay.

    Yields
    ------
    Path
        An empty folder. No folders can be made in it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as alone:
        _move_committed(folder)
        if alone:
            for left in folder.glob(f"{_STAGED}*"):
                shutil.rmtree(left, ignore_errors=True)
        staged = folder / f"{_STAGED}{uuid4().hex}"
        staged.mkdir()
        try:
            yield staged
            for file in [*staged.iterdir(), staged]:
                sync(file)
            _commit(staged, folder)
        except BaseException as error:
            shutil.rmtree(staged, ignore_errors=True)
            if isinstance(error, OSError) and error.errno and not error.filename:
                # Of a disk that is full, for example.
                raise OSError(error.errno, error.strerror, str(folder)) from error
            raise
        _move_committed(folder)
        sync(folder)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Keep others that write out of a folder, where the system can.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    bool
        Whether it can.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        alone = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # some network file systems have no locks
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def open_file(folder: str | os.PathLike, name: str) -> BinaryIO | None:
    """Open a file of a folder that is written in steps, None where there is no such file.

    Parameters
    ----------
    folder : str or path
    name : str

    Returns
    -------
    BinaryIO or None
        To be closed by the caller.
    """
    for file in (Path(folder, _COMMITTED, name), Path(folder, name)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return file.open("rb")
    return None


def changes_of(folder: Path, name: str) -> tuple[object, ...]:
    """Return what differs after each step that has written a file.

    Parameters
    ----------
    folder : Path
    name : str

    Returns
    -------
    tuple
    """
    state: list[object] = []
    for path in (folder / _COMMITTED, folder / name):
        try:
            found = path.stat()
        except OSError:
            state.append(None)
        else:
            state.append((found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))
    return tuple(state)


def _commit(staged: Path, folder: Path) -> None:
    committed = folder / _COMMITTED
    while True:
        try:
            staged.rename(committed)
        except OSError as error:
            # Where there are no locks, another process is at it, and may be done by now.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _move_committed(folder)
        else:
            return sync(folder)


def _move_committed(folder: Path) -> None:
    committed = folder / _COMMITTED
    if not committed.is_dir():
        return
    with contextlib.suppress(FileNotFoundError):  # without locks, another process may be as far
        for file in committed.iterdir():
            file.replace(folder / file.name)
    with contextlib.suppress(OSError):
        committed.rmdir()


def sync(path: Path) -> None:
    """Let what was written outlive a power cut, where the system has a way to say so.

    Parameters
    ----------
    path : Path
        A file or a folder.
    """
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems, of networks for example, cannot sync a folder.
        if error.errno not in (errno.EBADF, errno.EINVAL) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
