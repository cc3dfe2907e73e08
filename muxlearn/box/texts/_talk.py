"""Conversations, messages, and short sentences of every day."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from muxlearn.box.texts._archives import read_members, read_texts
from muxlearn.box.texts._documents import Documents

__all__ = [
    "read_aiml",
    "read_chatterbot",
    "read_conversations",
    "read_fortunes",
    "read_messages",
    "read_translations",
]


def read_messages(archive: Path) -> Documents:
    """Yield editorials, product reviews and tweets; the film reviews there are left out."""
    for _, inner in read_members(archive, r"hutto_ICWSM_2014\.tar\.gz$"):
        with tarfile.open(fileobj=io.BytesIO(inner)) as study:
            for kind in ("amazonReview", "nytEditorial", "tweets"):
                (name,) = (n for n in study.getnames() if re.search(f"{kind}.*GroundTruth", n))
                file = study.extractfile(name)
                assert file is not None
                lines = file.read().decode("utf-8", "replace").splitlines()
                yield from _group(line.split("\t") for line in lines if line.count("\t") >= 2)


def _group(rows: Iterator[list[str]]) -> Documents:
    """Put rows together whose numbers ``12_3`` begin alike."""
    document: list[str] = []
    last = ""
    for number, _, text, *_ in rows:
        text_of, _, part = number.partition("_")
        if document and (not part or text_of != last):
            yield document
            document = []
        document.append(text)
        last = text_of
    yield document


def read_translations(archive: Path) -> Documents:
    """Yield the English sentences of Tatoeba's Japanese and English pairs, one a document."""
    (table,) = read_texts(archive, r"/SENTENCES$")
    fields = (line.split("\t") for line in table.splitlines())
    for english in sorted({english for _, _, english, *_ in fields}):
        yield [english]


def read_conversations(archive: Path) -> Documents:
    """Yield conversations of two strangers who were asked to chat."""
    for text in read_texts(archive, r"/dataset\.json$"):
        for conversation in json.loads(text).values():
            yield [conversation.get("prompt", "")] + [
                utterance["text"]
                for turn in conversation["messages"]
                for utterance in (turn if isinstance(turn, list) else [turn])
            ]


def read_aiml(archive: Path) -> Documents:
    """Yield what is said to a chatting program and what it answers."""
    category = re.compile(
        r"<pattern>(.*?)</pattern>.*?<template>(.*?)</template>", re.DOTALL | re.IGNORECASE
    )
    for text in read_texts(archive, r"/(alice|standard)/.*\.aiml$"):
        for pattern, template in category.findall(text):
            said = re.sub(r"<[^>]*>", "", pattern).lower()
            answers = re.findall(r"<li>(.*?)</li>", template, re.DOTALL) or [template]
            exchange = [] if re.search(r"[*_]", said) else [said.strip() + "."]
            for answer in answers[:3]:
                if not re.search(r"<(srai|star|get|bot|sr|that|condition|input)\b", answer):
                    answer = re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL)
                    exchange.append(re.sub(r"<[^>]*>", " ", answer))
            if len(exchange) > 1 or not re.search(r"[*_]", said):
                yield exchange


def read_chatterbot(archive: Path) -> Documents:
    """Yield short exchanges: what is said, and the answers."""
    for text in read_texts(archive, r"/data/english/\w+\.yml$"):
        exchange: list[str] = []
        for line in text.splitlines():
            if begins := re.match(r"- - (.*)", line):
                yield exchange
                exchange = [begins[1]]
            elif goes_on := re.match(r"  - (.*)", line):
                exchange.append(goes_on[1])
        yield exchange


def read_fortunes(archive: Path) -> Documents:
    """Yield sayings, quotations and jokes."""
    for text in read_texts(archive, r"/games/fortunes/[\w-]+$"):
        for fortune in text.split("\n%\n"):
            said = re.split(r"\n\s*--", fortune)[0]
            yield re.split(r"\n(?=[A-Z]:|\s*\n)", said)
