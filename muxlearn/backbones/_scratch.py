"""Encoders that are trained from scratch."""

from __future__ import annotations

from itertools import chain
from typing import Any, ClassVar

from muxlearn._params import Constraint, Integer, OneOf, ParameterObject
from muxlearn.backbones._base import Corpus, Start, cutting
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.rows import (
    IntegerReader,
    TokenizerChoice,
    fingerprint,
    holds_integers,
    make_tokenizer,
    train_tokenizer,
)

__all__ = ["SCRATCH", "Scratch"]

#: The string that stands for the defaults of `Scratch`.
SCRATCH = "scratch"


class Scratch(ParameterObject):
    """A compact encoder of these sizes, trained from scratch with a tokenizer of its own.

    Parameters
    ----------
    hidden_size : int, default=256
        Width of the encoder.

    num_hidden_layers : int, default=4
        Number of layers of the encoder.

    num_attention_heads : int, default=4
        Number of attention heads of a layer. It must divide `hidden_size`, except with the
        architecture "mimoformer", whose `head_dim` is independent.

    intermediate_size : int, default=None
        Width of the feed-forward layers. None is ``4 * hidden_size``.

    vocab_size : int, default=8000
        Size of the learned vocabulary, at least 259 (the bytes and three special tokens). "byte",
        a tokenizer of your own and rows of integers have no learned one, and ignore it, so that a
        search over `tokenizer` may set it.

    tokenizer : {"byte", "char", "word"} or tokenizers.Tokenizer, default=None
        The tokens of a text, for `MuxTextClassifier` only.

        - None: pieces of words, learned from the texts. Rows may also be sequences of integers.
        - "byte": the bytes of UTF-8.
        - "char": characters, the most frequent `vocab_size` of the training; others are unknown.
        - "word": words and punctuation, the most frequent `vocab_size` of the training.
        - A tokenizer of the `tokenizers` library, which is used as it is.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.backbones import Scratch
    >>> clf = MuxTextClassifier(backbone=Scratch(hidden_size=64, num_hidden_layers=2))
    >>> clf.get_params()["backbone__hidden_size"]
    64
    """

    constraints: ClassVar[dict[str, Constraint]] = {
        "hidden_size": Integer(1),
        "num_hidden_layers": Integer(1),
        "num_attention_heads": Integer(1),
        "intermediate_size": OneOf(None, Integer(1)),
        "vocab_size": Integer(259),
        "tokenizer": TokenizerChoice,
    }

    label: ClassVar[str] = "`backbone` 'scratch'"
    name: ClassVar[str] = SCRATCH
    from_scratch: ClassVar[bool] = True
    packaged: ClassVar[bool] = False

    def __init__(
        self,
        *,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int | None = None,
        vocab_size: int = 8000,
        tokenizer: Any = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.vocab_size = vocab_size
        self.tokenizer = tokenizer

    def structure(self) -> dict[str, Any]:
        """Return the parameters that decide what the encoder looks like, as data."""
        params = self.get_params(deep=False)
        return {**params, "tokenizer": fingerprint(self.tokenizer)}

    @property
    def learns_reader(self) -> bool:
        """Whether the tokens are learned from the rows."""
        return self.tokenizer in (None, "char", "word")

    def learn_reader(self, corpus: Corpus, max_length: int) -> Any:
        """Learn what turns rows into numbers.

        Parameters
        ----------
        corpus : Corpus
        max_length : int
            Maximum number of tokens of a row; the rest is cut off.

        Returns
        -------
        tokenizers.Tokenizer or IntegerReader
        """
        if holds_integers(corpus.rows):
            return IntegerReader.learn(corpus.parts, max_length)
        rows = corpus.as_texts(chain.from_iterable(corpus.parts))
        if self.tokenizer is None:
            return cutting(train_tokenizer(rows, self.vocab_size), max_length)
        return cutting(make_tokenizer(self.tokenizer, rows, self.vocab_size), max_length)

    def check_heads(self) -> None:
        """Raise where the heads do not divide the width."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` {self.hidden_size} cannot be divided by `num_attention_heads` "
                f"{self.num_attention_heads}; change one of them"
            )

    def encoder(
        self, vocab_size: int, *, max_length: int, n_prefix: int, dropout: float
    ) -> CompactEncoder:
        """Build the encoder, at random.

        Parameters
        ----------
        vocab_size : int
            Tokens that the reader knows.
        max_length, n_prefix : int
            Positions of a row, and of a prefix.
        dropout : float

        Returns
        -------
        CompactEncoder
        """
        self.check_heads()
        return CompactEncoder(
            vocab_size,
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size or 4 * self.hidden_size,
            max_length,
            n_prefix,
            dropout,
        )

    def kinds(self, n_mux: int) -> None:
        """Return None: nothing comes with the encoder; see `Backbone`."""

    def auto_point(self, factor: int) -> None:
        """Return None: it was never warmed up; see `Backbone`."""

    def start(
        self,
        corpus: Corpus,
        *,
        n_mux: int,
        multiplexer: str,
        demultiplexer: str,
        n_prefix: int,
        max_length: int,
        dropout: float,
    ) -> Start:
        """Learn a reader and build the encoder; see `Backbone`."""
        reader = self.learn_reader(corpus, max_length)
        encoder = self.encoder(
            reader.get_vocab_size(), max_length=max_length, n_prefix=n_prefix, dropout=dropout
        )
        return Start(encoder, reader)
