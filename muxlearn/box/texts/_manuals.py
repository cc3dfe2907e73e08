"""Manuals and essays: pages of HTML or XML, and of Perl's own format."""

from __future__ import annotations

import re
from pathlib import Path

from muxlearn.box.texts._archives import read_members, read_texts
from muxlearn.box.texts._clean import strip_markup
from muxlearn.box.texts._documents import Documents

__all__ = ["read_pages", "read_pod"]

#: Where a package has several languages, their names are folders or stand before the ending.
_ENGLISH = re.compile(r"/(?:C|en|en-US)/|\.en\.html$|gnucash-(?:help|guide)-en/")
_FOREIGN = re.compile(
    r"/(?:help|html)/(?!C/|en|index)[a-z]{2,3}(?:[-_@]\w+)?/"
    r"|/(?!en)[a-z]{2}(?:[-_][A-Z]{2})?/[\w.-]+$|[._](?!en\b)[a-z]{2}(?:[-_][A-Z]{2})?\.html$|gnucash-\w+-(?!en)\w+/"
)


def read_pages(archive: Path) -> Documents:
    """Yield the pages of a manual, English ones where there are others."""
    pages = dict(read_members(archive, r"\.(?:html|page)$"))
    in_english = [name for name in pages if _ENGLISH.search(name)]
    for name in in_english or [name for name in pages if not _FOREIGN.search(name)]:
        yield list(strip_markup(pages[name].decode("utf-8", "replace")))


def read_pod(archive: Path) -> Documents:
    """Yield the pages of Perl's documentation."""
    for text in read_texts(archive, r"\.pod$"):
        paragraphs = [p for p in text.split("\n\n") if p and not p[0].isspace() and p[0] != "="]
        yield [re.sub(r"[A-Z]<+\s*([^<>|]*)(?:\|[^<>]*)?>+", r"\1", p) for p in paragraphs]
