"""All texts of all packages, as documents of sentences."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from muxlearn.box.texts._clean import Cleaner
from muxlearn.box.texts._sources import SOURCES, Source, find_source

__all__ = ["gather_documents", "read_excluded"]


def gather_documents(
    folder: Path,
    sources: Iterable[Source] = SOURCES,
    excluded: Iterable[str] = (),
) -> Iterator[tuple[Source, list[str]]]:
    """Read the archives and make clean documents of them, without repeated sentences.

    Parameters
    ----------
    folder : Path
        Where `fetch_archives` has put them.
    sources : iterable of Source, default=SOURCES
        Which packages, in this order.
    excluded : iterable of str, default=()
        Texts that must not be among them.

    Yields
    ------
    source : Source
        The package of the document.
    document : list of str
        The sentences of the document, in their order.

    Raises
    ------
    FileNotFoundError
        An archive is missing.
    """
    cleaner = Cleaner(excluded)
    for source in sources:
        rng = random.Random(0)
        for paragraphs in source.read(find_source(source, folder)):
            if source.share < 1 and rng.random() >= source.share:
                continue
            if document := cleaner.clean(paragraphs, strict=source.strict):
                yield source, document


def read_excluded(path: Path) -> Iterator[str]:
    """Yield the texts of a data set: those that an encoder is evaluated on, to be excluded.

    Parameters
    ----------
    path : Path
        A table with tabs (``.tsv``) or sentences with a word and its tags in each line and an
        empty line after each (``.txt``), or either of them compressed (``.gz``).

    Yields
    ------
    str
        Each field of two words or more, or each sentence.
    """
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    if ".tsv" in path.suffixes:
        for line in text.splitlines():
            yield from (field for field in line.split("\t") if " " in field)
    else:
        for block in text.split("\n\n"):
            yield " ".join(line.split()[0] for line in block.splitlines() if line.split())
