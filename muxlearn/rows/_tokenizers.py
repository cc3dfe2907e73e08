"""Tokenizers other than the one that is trained by default: bytes, characters, words."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from muxlearn._params import Choice, Constraint, OneOf
from muxlearn.rows._texts import SPECIAL_TOKENS, Text, split_pairs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TOKENIZERS", "TokenizerChoice", "copy_tokenizer", "fingerprint", "make_tokenizer"]

TOKENIZERS = ("byte", "char", "word")

_UNKNOWN = "[UNK]"


class _TokenizerObject(Constraint):
    """A `tokenizers.Tokenizer`; without importing that library."""

    def accepts(self, value: object) -> bool:
        library = sys.modules.get("tokenizers")
        return library is not None and isinstance(value, library.Tokenizer)

    def __str__(self) -> str:
        return "a tokenizers.Tokenizer"


#: What the parameter `tokenizer` may be.
TokenizerChoice = OneOf(None, Choice(*TOKENIZERS), _TokenizerObject())


def make_tokenizer(kind: str | Tokenizer, rows: Iterable[Text], vocab_size: int) -> Tokenizer:
    """Make the tokenizer that the parameter `tokenizer` names.

    Parameters
    ----------
    kind : {"byte", "char", "word"} or tokenizers.Tokenizer
        The bytes of UTF-8, characters, or words. A word ends at whitespace and at punctuation, and
        each sign is a word of its own. The most frequent characters or words of `rows` are known,
        in Unicode's composed form (NFC). A tokenizer is copied as it is.
    rows : iterable of str or of (str, str)
        What characters and words are learned from.
    vocab_size : int
        At most this many tokens. Bytes and a tokenizer do not use it.

    Returns
    -------
    tokenizers.Tokenizer
        With nothing in front of a text, and ``[SEP]`` between the texts of a pair. The names of
        special tokens within a text stand for no such token.
    """
    if not isinstance(kind, str):
        return copy_tokenizer(kind)
    from tokenizers import processors

    tokenizer = {"byte": _bytes, "char": _characters, "word": _words}[kind](
        split_pairs(rows), vocab_size
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A",
        pair="$A [SEP] $B",
        special_tokens=[("[SEP]", SPECIAL_TOKENS.index("[SEP]"))],
    )
    return tokenizer


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate([*SPECIAL_TOKENS, *tokens])}


def _bytes(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = Tokenizer(models.BPE(_numbered(sorted(byte_level.alphabet())), []))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _characters(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    composed = normalizers.NFC()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(composed.normalize_str(text))
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    known = _numbered([_UNKNOWN, *ranked[: vocab_size - len(SPECIAL_TOKENS) - 1]])
    tokenizer = Tokenizer(models.BPE(known, [], unk_token=_UNKNOWN))
    tokenizer.normalizer = composed
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _words(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    def with_words(model: models.WordLevel) -> Tokenizer:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    learner = with_words(models.WordLevel())
    n_words = vocab_size - len(SPECIAL_TOKENS) - 1
    trainer = trainers.WordLevelTrainer(vocab_size=n_words, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    vocabulary = learner.get_vocab()
    known = _numbered([_UNKNOWN, *sorted(vocabulary, key=vocabulary.__getitem__)])
    return with_words(models.WordLevel(known, _UNKNOWN))


def copy_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy that neither pads nor cuts off.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer

    Returns
    -------
    tokenizers.Tokenizer

    Raises
    ------
    ValueError
        It has no vocabulary, or one with gaps.
    """
    n_tokens = tokenizer.get_vocab_size()
    if not n_tokens:
        raise ValueError("`tokenizer` has an empty vocabulary; train it before")
    if (last := max(tokenizer.get_vocab().values())) >= n_tokens:
        raise ValueError(
            f"`tokenizer` numbers its {n_tokens} tokens up to {last}; give one without gaps"
        )
    copied = type(tokenizer).from_str(tokenizer.to_str())
    copied.no_padding()
    copied.no_truncation()
    return copied


def fingerprint(tokenizer: Any) -> Any:
    """Return what a tokenizer is known by where two are compared: a name as it is, or a digest.

    Parameters
    ----------
    tokenizer : str, tokenizer of a library, or None

    Returns
    -------
    str or None
    """
    if tokenizer is None or isinstance(tokenizer, str):
        return tokenizer
    digest = hashlib.sha256(copy_tokenizer(tokenizer).to_str().encode()).hexdigest()
    return f"tokenizers.Tokenizer {digest[:16]}"
