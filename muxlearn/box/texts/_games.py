"""Read what is said and described in free games."""

from __future__ import annotations

import json
import re
from pathlib import Path

from muxlearn.box.texts._archives import read_texts
from muxlearn.box.texts._documents import Documents, collect_strings

__all__ = [
    "read_cataclysm",
    "read_crawl",
    "read_endless_sky",
    "read_flare",
    "read_lua",
    "read_wesnoth",
]

#: Where Cataclysm keeps what a player reads.
_SAID_WORDS = """
description text str dynamic_line yes no message desc lore snippet offer accepted advice inquire
success failure describe rejected responses effect info prompt mission_desc messages
"""
_SAID = frozenset(_SAID_WORDS.split())
_LUA = re.compile(
    r'_\s*\(?\s*(?:\[\[(.*?)\]\]|"((?:[^"\\\n]|\\.)*)")|dialogStr\("([^"]*)"\)', re.DOTALL
)


def read_wesnoth(archive: Path) -> Documents:
    """Yield what is said in each scenario of a campaign of Battle for Wesnoth."""
    for text in read_texts(archive, r"/data/.*\.cfg$"):
        said = re.findall(r'_ ?"((?:[^"]|"")+)"', text)
        yield [_plain(part) for part in said]


def read_lua(archive: Path) -> Documents:
    """Yield the texts of scripts in Lua that are marked for translation."""
    for text in read_texts(archive, r"/(?!(?:demo_)?dialogs_(?!en))\w[^/]*\.lua$"):
        yield [_plain("".join(parts)) for parts in _LUA.findall(text)]
    for text in read_texts(archive, r"/dat/(?:ships|assets|spob|outfits|ssys)/.*\.xml$"):
        yield [_plain(part) for part in re.findall(r"<(?:desc|bar|description)\w*>([^<]+)<", text)]


def read_endless_sky(archive: Path) -> Documents:
    """Yield the paragraphs and answers of the conversations and descriptions of Endless Sky."""
    for text in read_texts(archive, r"/endless-sky/data/.*"):
        for part in re.split(r"\n(?=\w)", text):
            yield [_plain(said) for said in re.findall(r"`([^`]+)`", part)]


def read_crawl(archive: Path) -> Documents:
    """Yield the descriptions and quotations of Dungeon Crawl."""
    for text in read_texts(archive, r"/dat/(descript|database)/\w+\.txt$|/docs/crawl_manual.*txt$"):
        for entry in re.split(r"\n%%%%\n", text):
            if "{{" not in entry:
                yield [_plain(part) for part in entry.split("\n\n")[1:] or [entry]]


def read_flare(archive: Path) -> Documents:
    """Yield the dialogues and books of Flare."""
    for text in read_texts(archive, r"/mods/.*(npcs|quests|books|maps)/.*\.txt$"):
        yield [
            _plain(part)
            for part in re.findall(
                r"^(?:him|her|you|npc\w*|quest_text|text|msg|desc|topic)=(.*)$", text, re.MULTILINE
            )
        ]


def read_cataclysm(archive: Path) -> Documents:
    """Yield the descriptions, snippets and dialogues of Cataclysm: Dark Days Ahead."""
    for text in read_texts(archive, r"/cataclysm-dda/(json|core|mods)/.*\.json$"):
        try:
            page = json.loads(text)
        except json.JSONDecodeError:  # a few files hold more than one value
            continue
        yield [_plain(part) for part in collect_strings(page, _SAID)]


def _plain(text: str) -> str:
    """Leave out the marks of colours, keys and variables."""
    text = re.sub(r'<[^>]*>|\[/?\w+\]|""|\\"|[$#@]\w+@?|\\n|&[\w]+;', _mark, text)
    return " ".join(text.split())


def _mark(found: re.Match[str]) -> str:
    return '"' if '"' in found[0] else " "
