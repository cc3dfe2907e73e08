"""The public data of the Long Range Arena: reviews, papers and small pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muxlearn._params import Choice, Constraint, Integer, OneOf, PathName, check_parameters
from muxlearn.datasets._hub import column_of, label_numbers, load_hub

__all__ = ["fetch_lra_image", "fetch_lra_retrieval", "fetch_lra_text"]

# Weights of red, green and blue, and the rounding, as TensorFlow's `rgb_to_grayscale` has them.
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)
_SCALE = np.float32(255.5 / 255)

_RETRIEVAL_FILES = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
_RETRIEVAL_ARCHIVE = "https://storage.googleapis.com/long-range-arena/lra_release.gz"


def fetch_lra_text(
    source: str | os.PathLike[str] = "stanfordnlp/imdb",
    *,
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
) -> tuple[list[str], NDArray[np.int64]]:
    """Fetch the texts of the Long Range Arena: reviews of films (IMDb), to be read as bytes.

    Parameters
    ----------
    source : str or path, default="stanfordnlp/imdb"
        A name on the hub, or a folder that `datasets.load_dataset` reads: a copy of the hub's
        folder, for example, or what `DatasetDict.save_to_disk` writes.
    split : str, default="train"
        "train" or "test", 25,000 reviews each, or a part, such as "train[:10%]". The Long Range
        Arena has no validation data of its own here.
    cache_dir : str or path, default=None
        Where `datasets` keeps what it has downloaded. None: its own place.

    Returns
    -------
    texts : list of str
        Whole; the Long Range Arena takes the first 4,000 bytes of each, which a classifier with
        bytes as its tokens and that `max_length` does too.
    y : ndarray of int64, shape (n_samples,)
        1 for praise, 0 for blame.

    Raises
    ------
    ConnectionError
        The hub can't be reached; the message says what to do without a connection.
    FileNotFoundError
        There is no such folder or name.
    ValueError
        The data have no such split, or not the columns "text" and "label".

    References
    ----------
    A. L. Maas et al., Learning word vectors for sentiment analysis (ACL 2011). Y. Tay et al., Long
    Range Arena: a benchmark for efficient Transformers (ICLR 2021), section 2.2.2.

    Examples
    --------
    >>> from muxlearn.datasets import fetch_lra_text
    >>> texts, y = fetch_lra_text()  # doctest: +SKIP
    """
    data = load_hub(source, split, cache_dir)
    text = column_of(data, source, "text")
    return list(data[text]), label_numbers(data, source)


def fetch_lra_image(
    source: str | os.PathLike[str] = "uoft-cs/cifar10",
    *,
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fetch the pictures of the Long Range Arena: CIFAR-10 in grey, as sequences of pixels.

    Parameters
    ----------
    source : str or path, default="uoft-cs/cifar10"
        A name on the hub, or a folder that `datasets.load_dataset` reads: a copy of the hub's
        folder, for example, or folders of pictures by class within folders by split.
    split : str, default="train"
        "train" (50,000) or "test" (10,000), or a part: the Long Range Arena trains on
        "train[:90%]" and validates on "train[90%:]".
    cache_dir : str or path, default=None
        Where `datasets` keeps what it has downloaded. None: its own place.

    Returns
    -------
    X : ndarray of uint8, shape (n_samples, height * width)
        Grey values, row by row of a picture; 1,024 of each in CIFAR-10.
    y : ndarray of int64, shape (n_samples,)
        The classes' numbers.

    Raises
    ------
    ConnectionError
        The hub can't be reached; the message says what to do without a connection.
    FileNotFoundError
        There is no such folder or name.
    ValueError
        The data have no such split, not the columns "img" (or "image") and "label", or pictures
        of different sizes.

    References
    ----------
    A. Krizhevsky, Learning multiple layers of features from tiny images (2009). Y. Tay et al.,
    Long Range Arena: a benchmark for efficient Transformers (ICLR 2021), section 2.2.4.

    Examples
    --------
    >>> from muxlearn.datasets import fetch_lra_image
    >>> X, y = fetch_lra_image(split="train[:90%]")  # doctest: +SKIP
    """
    data = load_hub(source, split, cache_dir)
    column = column_of(data, source, "img", "image")
    sequences: list[NDArray[np.uint8]] = []
    for row, picture in enumerate(data[column]):
        coloured = np.asarray(picture.convert("RGB"), np.float32)
        sequences.append((coloured @ _GREY * _SCALE).astype(np.uint8).ravel())
        if len(sequences[-1]) != len(sequences[0]):
            raise ValueError(
                f"picture {row} of '{source}' has {len(sequences[-1])} pixels and picture 0 "
                f"{len(sequences[0])}; sequences must be of one length: resize the pictures"
            )
    return np.array(sequences), label_numbers(data, source)


def fetch_lra_retrieval(
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    max_length: int | None = 4000,
) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
    """Read the pairs of papers of the Long Range Arena; one may cite the other.

    Made from the ACL Anthology Network (AAN). The hub has no official copy; the archive at
    https://storage.googleapis.com/long-range-arena/lra_release.gz has the files
    ``new_aan_pairs.train.tsv``, ``.eval.tsv`` and ``.test.tsv``, with the columns label, id1, id2,
    text1 and text2 and no header.

    Parameters
    ----------
    path : str or path
        The folder of these files.
    split : {"train", "validation", "test"}, default="train"
        "validation" is the file that is called eval.
    max_length : int, default=4000
        Bytes to keep of each text; 4,000 in the Long Range Arena. None keeps all, which is
        several gigabytes of training data.

    Returns
    -------
    pairs : list of (str, str)
    y : ndarray of int64, shape (n_samples,)
        1 where one paper cites the other.

    Raises
    ------
    FileNotFoundError
        The folder lacks the file; the message says where it is published.
    TypeError, ValueError
        A parameter is not allowed, or a line is not of that form.

    References
    ----------
    D. R. Radev et al., The ACL Anthology Network corpus (2013). Y. Tay et al., Long Range Arena: a
    benchmark for efficient Transformers (ICLR 2021), section 2.2.3.

    Examples
    --------
    >>> from muxlearn.datasets import fetch_lra_retrieval
    >>> pairs, y = fetch_lra_retrieval("lra_release/tsv_data")  # doctest: +SKIP
    """
    constraints: dict[str, Constraint] = {
        "path": PathName("the name of a folder"),
        "split": Choice(*_RETRIEVAL_FILES),
        "max_length": OneOf(Integer(1), None),
    }
    check_parameters({"path": path, "split": split, "max_length": max_length}, constraints)
    file = Path(path) / _RETRIEVAL_FILES[split]
    if not file.is_file():
        raise FileNotFoundError(
            f"`path`: there is no file '{file}'; download {_RETRIEVAL_ARCHIVE}, unpack it and "
            f"give the folder with '{file.name}'"
        )
    pairs, labels = [], []
    for label, first, second in _read_pairs(file):
        pairs.append((_cut(first, max_length), _cut(second, max_length)))
        labels.append(label)
    if not pairs:
        raise ValueError(f"'{file}' is empty; download {_RETRIEVAL_ARCHIVE} again")
    return pairs, np.array(labels, np.int64)


def _read_pairs(file: Path) -> Iterator[tuple[int, bytes, bytes]]:
    # Not a csv reader: a quotation mark is a character like any other, a field of any length.
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip(b"\r\n").split(b"\t")
            if len(fields) != 5 or fields[0] not in (b"0", b"1", b"0.0", b"1.0"):
                raise ValueError(
                    f"line {number} of '{file}' has {len(fields)} columns and begins with "
                    f"{fields[0][:20]!r}; it needs the 5 columns label (0 or 1), id1, id2, text1 "
                    "and text2, with tabs between them"
                )
            yield int(float(fields[0])), fields[3], fields[4]


def _cut(text: bytes, max_length: int | None) -> str:
    if max_length is not None and len(text) > max_length:
        return text[:max_length].decode(errors="ignore")  # not with half a character at the end
    return text.decode(errors="replace")
