"""From paragraphs to sentences that are English, differ from each other and are no code."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Iterator

__all__ = ["Cleaner", "split_sentences", "strip_markup"]

_END = re.compile(r"(?<=[.!?…])[\"'”\u2019)\]]{0,2}\s+(?=[\"'“\u2018(\[]?[A-Z0-9])")
#: What ends with a period and not with the sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|Prof|Rev|Hon|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep|Jr|Sr"
    r"|Messrs|Mt|No|vol|Vol|ch|Ch|Fig|fig|cf|vs|etc|e\.g|i\.e|viz|approx|ca|c|p|pp|Inc|Ltd|Co"
    r"|Corp|U\.S|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.$"
)
_BLOCK = re.compile(
    r"</?(?:p|div|li|dd|dt|dl|h\d|td|th|tr|ul|ol|table|br|hr|blockquote|section|article|title"
    r"|para|listitem|entry|note|item|steps|page|desc|figure|figcaption|header|footer|nav|head|body"
    r"|aside|main|tip|screen|info)\b[^>]*>",
    re.IGNORECASE,
)
_DROPPED = re.compile(
    r"<(script|style|pre|table|code-block|programlisting|screen|literallayout|nav|head|svg)\b"
    r".*?</\1\s*>|<!--.*?-->",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"<[^<>]*>")
_URL = re.compile(r"\(?(?:https?|ftp)://\S+|\bwww\.\S+|\S+@\S+\.\w+")
_CODE = re.compile(
    r"[{}\\|<>^~`]|[=:]=|::|->|\w_\w|\w\(\)|--\w|[$%&#]\w|\w/\w+/|\w\.\w+\.\w|[;*=] ?[*=]|\.{4}|__"
)
_QUOTES = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "“": '"', "”": '"', "\u00a0": " ", "\u00ad": None}
)
_COMMON_WORDS = """
the a an of to and in is it you that he was for on are with as i his they be at one have this
from or had by not but what all were we when your can said there use each which she do how their
if will up about out many then them these so some her would make like him into has look more who
its my no me our any may don't it's i'm just very
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def split_sentences(paragraph: str) -> Iterator[str]:
    """Cut a paragraph where a sentence ends and another begins."""
    begin = 0
    for end in _END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph, begin, end.start()):
            yield paragraph[begin : end.end()].strip()
            begin = end.end()
    if rest := paragraph[begin:].strip():
        yield rest


def strip_markup(page: str) -> Iterator[str]:
    """Yield the blocks of a page of HTML or XML as plain text, without code and tables."""
    for block in _BLOCK.split(_DROPPED.sub(" ", page)):
        text = " ".join(html.unescape(_TAG.sub("", block)).split())
        if text:
            yield text


class Cleaner:
    """Makes sentences of paragraphs and remembers which it has seen.

    Parameters
    ----------
    excluded : iterable of str, default=()
        Texts that must not appear, nor their sentences: what models are evaluated on.
    """

    def __init__(self, excluded: Iterable[str] = ()):
        self.seen = {_key(part) for text in excluded for part in (text, *split_sentences(text))}

    def clean(self, paragraphs: Iterable[str], *, strict: bool = False) -> list[str]:
        """Return the sentences of a document that are worth reading.

        Parameters
        ----------
        paragraphs : iterable of str
            The text of the document.
        strict : bool, default=False
            Whether a sentence must end like one, as is useful for pages with headings, menus and
            lists.

        Returns
        -------
        list of str
            Sentences of three words or more that no document had before.
        """
        kept = []
        for paragraph in paragraphs:
            text = " ".join(_URL.sub(" ", paragraph.translate(_QUOTES)).split())
            for sentence in split_sentences(text):
                if _is_english(sentence, strict):
                    key = _key(sentence)
                    if key not in self.seen:
                        self.seen.add(key)
                        kept.append(sentence)
        return kept


def _is_english(sentence: str, strict: bool) -> bool:
    n_words = sentence.count(" ") + 1
    if n_words < 3 or len(sentence) > 12 * n_words or n_words > 400:
        return False
    if strict and (n_words < 5 or sentence[-1] not in ".!?:\"')" or _CODE.search(sentence)):
        return False
    letters = sum(map(str.isalpha, sentence))
    if letters + n_words < 0.85 * len(sentence):
        return False
    if not sentence.isascii() and sum(map(str.isascii, sentence)) < 0.97 * len(sentence):
        return False
    if n_words < 6 and not strict:
        return True
    return not _COMMON.isdisjoint(sentence.lower().split())


def _key(sentence: str) -> bytes:
    """Return the letters and digits of a sentence, as eight bytes."""
    plain = "".join(filter(str.isalnum, sentence.lower()))
    return hashlib.blake2b(plain.encode(), digest_size=8).digest()
