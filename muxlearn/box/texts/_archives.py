"""Files inside the packages of PyPI, npm and Debian."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["read_members", "read_texts"]

_AR_MAGIC, _AR_HEADER = b"!<arch>\n", 60


def read_members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a package whose names fit, in the order of their names.

    Parameters
    ----------
    archive : Path
        A wheel or zip file, a tar file, compressed or not, or a Debian package.
    pattern : str
        A regular expression, searched in the names.

    Yields
    ------
    name : str
        The name of the file within the package.
    content : bytes
        What it holds.
    """
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as package:
            for name in sorted(package.namelist()):
                if re.search(pattern, name):
                    yield name, package.read(name)
    elif archive.suffix == ".deb":
        with tarfile.open(fileobj=io.BytesIO(_debian_data(archive))) as package:
            yield from _tar_members(package, pattern)
    else:
        with tarfile.open(archive) as package:
            yield from _tar_members(package, pattern)


def read_texts(archive: Path, pattern: str) -> Iterator[str]:
    """Yield the contents of the files whose names fit, as UTF-8, in the order of their names."""
    for _, content in read_members(archive, pattern):
        yield content.decode("utf-8", "replace")


def _tar_members(package: tarfile.TarFile, pattern: str) -> Iterator[tuple[str, bytes]]:
    contents = {}
    for member in package:
        if member.isfile() and re.search(pattern, member.name):
            file = package.extractfile(member)
            assert file is not None
            contents[member.name] = file.read()
    yield from sorted(contents.items())


def _debian_data(archive: Path) -> bytes:
    """Return the tar file within a Debian package, which is an ar archive."""
    with open(archive, "rb") as file:
        if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
            raise ValueError(f"{archive} is not a Debian package")
        while header := file.read(_AR_HEADER):
            name, size = header[:16].decode().rstrip(" /"), int(header[48:58])
            if name.startswith("data.tar"):
                return file.read(size)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError(f"{archive} holds no files")
