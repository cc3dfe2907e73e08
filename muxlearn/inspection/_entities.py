"""Sentences with their tags marked in colour."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from muxlearn._params import Boolean, Constraint, PathName, check_parameters
from muxlearn.rows import are_entity_tags, check_same_lengths, check_sequences, entity_spans

__all__ = ["EntityDisplay"]

# Paul Tol, "Colour Schemes", technical note SRON/EPS/TN/09-002, scheme "light": to fill what
# carries black text, told apart with any colour vision.
_COLOURS = (
    "#77AADD",
    "#99DDFF",
    "#44BB99",
    "#BBCC33",
    "#AAAA00",
    "#EEDD88",
    "#EE8866",
    "#FFAABB",
    "#DDDDDD",
)

# With this start value the usual types of CoNLL 2003, of OntoNotes, the open word classes of
# Universal Dependencies and the phrases of CoNLL 2000 get different colours among themselves.
_COLOUR_SEED = 6583

# A notebook with thousands of sentences is slow; `to_html` and `save` write them all.
_SHOWN = 50

_STYLE = """\
.mux-tags p { line-height: 2.4; margin: 0.4em 0; }
.mux-tags mark { color: #111; border: 2px solid transparent; border-radius: 0.35em;
  padding: 0.15em 0.35em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.mux-tags mark.wrong { border: 2px dashed #111; }
.mux-tags mark small { font-size: 0.72em; font-weight: bold; margin-inline-start: 0.4em; }
.mux-tags p.truth { margin-inline-start: 2em; }
.mux-tags .note { font-size: 0.85em; font-style: italic; }
"""

_PAGE = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font-family: system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class _Mark(NamedTuple):
    """A stretch of tokens with a label; without one, tokens that are not marked."""

    start: int
    stop: int
    label: str | None
    wrong: bool = False


class EntityDisplay:
    """Sentences with their entities, or other tags, marked in colour.

    Create it with `from_estimator` or `from_predictions`. In a notebook it shows itself, and
    ``print(display)`` shows it in a terminal.

    Tags of entities (IOB1, IOB2, IOBES) are shown as whole entities, read as
    `muxlearn.metrics.entity_f1_score` reads them without a scheme. If not all tags of a display
    are such, every token gets its own label; "O" is never marked. A type has the same colour in
    every display.

    Parameters
    ----------
    sentences : sequence of sequences of str
        The tokens of each sentence.
    tags : sequence of sequences of str
        One tag for each token.
    probabilities : sequence of sequences of float, default=None
        The probability of each tag; appears when the pointer rests on a mark.
    true_tags : sequence of sequences of str, default=None
        Where the marks of tags and true tags differ, they are dashed, and the true ones follow
        in a line of their own.

    Attributes
    ----------
    sentences, tags : list of list of str
    probabilities : list of ndarray of float64, or None
    true_tags : list of list of str, or None

    Raises
    ------
    TypeError
        Strings stand where lists of them belong, or something is no string.
    ValueError
        The arguments have different lengths, or a probability is not between 0 and 1.

    Examples
    --------
    >>> from muxlearn.inspection import EntityDisplay
    >>> sentences = [["Ada", "Lovelace", "was", "in", "Turin"]]
    >>> tags = [["B-PER", "I-PER", "O", "O", "B-LOC"]]
    >>> EntityDisplay.from_predictions(sentences, tags)
    [Ada Lovelace | PER] was in [Turin | LOC]
    """

    def __init__(
        self,
        sentences: Any,
        tags: Any,
        *,
        probabilities: Any = None,
        true_tags: Any = None,
    ) -> None:
        self.sentences = check_sequences(sentences, "sentences", "token")
        self.tags = check_sequences(tags, "tags")
        check_same_lengths(self.sentences, self.tags, ("sentences", "tags"))
        self.true_tags = None
        if true_tags is not None:
            self.true_tags = check_sequences(true_tags, "true_tags")
            check_same_lengths(self.sentences, self.true_tags, ("sentences", "true_tags"))
        self.probabilities = None
        if probabilities is not None:
            self.probabilities = [np.asarray(row, dtype=np.float64) for row in probabilities]
            self._check_probabilities(self.probabilities)
        inventory = set(chain.from_iterable([*self.tags, *(self.true_tags or [])]))
        self._marks_entities = are_entity_tags(inventory)

    @classmethod
    def from_predictions(
        cls,
        sentences: Any,
        tags: Any,
        *,
        probabilities: Any = None,
        true_tags: Any = None,
    ) -> EntityDisplay:
        """Show tags that are there already.

        Parameters
        ----------
        sentences : sequence of sequences of str
        tags : sequence of sequences of str
        probabilities : sequence of sequences of float, default=None
        true_tags : sequence of sequences of str, default=None
            Where the marks of tags and true tags differ, they are dashed, and the true ones
            follow in a line of their own.

        Returns
        -------
        EntityDisplay
        """
        return cls(sentences, tags, probabilities=probabilities, true_tags=true_tags)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        sentences: Any,
        *,
        probabilities: bool = True,
        true_tags: Any = None,
    ) -> EntityDisplay:
        """Predict and show the tags.

        Parameters
        ----------
        estimator : tagger
            Fitted, with `predict`.
        sentences : sequence of sequences of str
        probabilities : bool, default=True
            Whether to ask for probabilities, too: one more prediction. Left out for estimators
            without `predict_proba`.
        true_tags : sequence of sequences of str, default=None
            Where the marks of tags and true tags differ, they are dashed, and the true ones
            follow in a line of their own.

        Returns
        -------
        EntityDisplay
        """
        Boolean().check("probabilities", probabilities)
        sentences = check_sequences(sentences, "sentences", "token")
        tags = estimator.predict(sentences)
        of_tags: list[Any] | None = None
        if probabilities and hasattr(estimator, "predict_proba"):
            column = {tag: at for at, tag in enumerate(estimator.classes_)}
            of_tags = [
                np.asarray(rows)[np.arange(len(row)), [column[tag] for tag in row]] if row else []
                for rows, row in zip(estimator.predict_proba(sentences), tags, strict=True)
            ]
        return cls(sentences, tags, probabilities=of_tags, true_tags=true_tags)

    def to_html(self, full_page: bool = False) -> str:
        """Return all sentences as HTML, without scripts.

        Parameters
        ----------
        full_page : bool, default=False
            A page of its own and not a part of one. It follows the reader's light or dark theme;
            a part takes on the colours around it.

        Returns
        -------
        str
        """
        Boolean().check("full_page", full_page)
        body = self._html(len(self.sentences))
        if not full_page:
            return body
        return _PAGE.format(title="Entities" if self._marks_entities else "Tags", body=body)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all sentences as an HTML page.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced.
        """
        constraints: dict[str, Constraint] = {"path": PathName("the name of a file")}
        check_parameters({"path": path}, constraints)
        # Half of a surrogate pair cannot be written.
        Path(path).write_text(self.to_html(full_page=True), encoding="utf-8", errors="replace")

    def __repr__(self) -> str:
        lines = [line for row in range(self._n_shown) for line in self._text_lines(row)]
        return "\n".join(lines + self._left_out(self._n_shown))

    def _repr_html_(self) -> str:
        return self._html(self._n_shown)

    @property
    def _n_shown(self) -> int:
        return min(_SHOWN, len(self.sentences))

    def _left_out(self, n_shown: int) -> list[str]:
        n_more = len(self.sentences) - n_shown
        return [f"… {n_more} more; `to_html` and `save` write them all"] if n_more else []

    # Marks

    def _marks(self, row: int) -> list[_Mark]:
        """Divide sentence `row` into what is marked and what is not."""
        found = self._labelled(self.tags[row])
        if self.true_tags is None:
            return self._fill_gaps(row, found, found)
        return self._fill_gaps(row, found, self._labelled(self.true_tags[row]))

    def _true_marks(self, row: int) -> list[_Mark]:
        """Do so with the true tags; nothing where these are the predicted ones."""
        if self.true_tags is None:
            return []
        found, true = self._labelled(self.tags[row]), self._labelled(self.true_tags[row])
        return self._fill_gaps(row, true, found) if found != true else []

    def _labelled(self, tags: Sequence[str]) -> list[tuple[int, int, str]]:
        if self._marks_entities:
            return entity_spans(tags)
        return [(at, at + 1, tag) for at, tag in enumerate(tags) if tag != "O"]

    def _fill_gaps(
        self, row: int, spans: list[tuple[int, int, str]], expected: list[tuple[int, int, str]]
    ) -> list[_Mark]:
        marks, at, right = [], 0, set(expected)
        for span in spans:
            if at < span[0]:
                marks.append(_Mark(at, span[0], None))
            marks.append(_Mark(*span, wrong=span not in right))
            at = span[1]
        if at < len(self.tags[row]):
            marks.append(_Mark(at, len(self.tags[row]), None))
        return marks

    # Text

    def _text_lines(self, row: int) -> list[str]:
        lines = [" ".join(self._as_text(row, mark) for mark in self._marks(row))]
        true = " ".join(self._as_text(row, mark) for mark in self._true_marks(row))
        return [*lines, f"  true: {true}"] if true else lines

    def _as_text(self, row: int, mark: _Mark) -> str:
        words = " ".join(self.sentences[row][mark.start : mark.stop])
        if mark.label is None:
            return words
        sign = " ✗" if mark.wrong else ""
        return f"[{words} | {mark.label}{sign}]"

    # HTML

    def _html(self, n_shown: int) -> str:
        parts = [part for row in range(n_shown) for part in self._paragraphs(row)]
        parts += [f'<p class="note">{escape(line)}</p>' for line in self._left_out(n_shown)]
        if any(self._true_marks(row) for row in range(n_shown)):
            note = "Dashed and ✗: differs from the true tags, which stand in the indented line."
            parts.append(f'<p class="note">{note}</p>')
        body = "\n".join(parts)
        return f'<div class="mux-tags">\n<style>\n{_STYLE}</style>\n{body}\n</div>'

    def _paragraphs(self, row: int) -> list[str]:
        marks = " ".join(self._as_html(row, mark, shows_p=True) for mark in self._marks(row))
        # The direction of the text is that of the tokens: `bdi` has no part in it.
        paragraphs = [f'<p dir="auto">{marks}</p>']
        true = " ".join(self._as_html(row, mark) for mark in self._true_marks(row))
        if true:
            paragraphs.append(
                f'<p dir="auto" class="truth"><bdi class="note">true:</bdi> {true}</p>'
            )
        return paragraphs

    def _as_html(self, row: int, mark: _Mark, shows_p: bool = False) -> str:
        words = escape(" ".join(self.sentences[row][mark.start : mark.stop]))
        if mark.label is None:
            return words
        classes = ' class="wrong"' if mark.wrong else ""
        sign = " ✗" if mark.wrong else ""
        title = self._title(row, mark) if shows_p else ""
        return (
            f'<mark{classes} style="background: {_colour(mark.label)}"{title}>{words}'
            f"<small>{escape(mark.label)}{sign}</small></mark>"
        )

    def _title(self, row: int, mark: _Mark) -> str:
        if self.probabilities is None:
            return ""
        here = slice(mark.start, mark.stop)
        pairs = zip(self.tags[row][here], self.probabilities[row][here], strict=True)
        text = ", ".join(f"{tag}: p = {p:.3f}" for tag, p in pairs)
        return f' title="{escape(text)}"'

    def _check_probabilities(self, probabilities: list[np.ndarray]) -> None:
        for number, row in enumerate(probabilities):
            if row.ndim != 1:
                raise ValueError(
                    f"sentence {number} of `probabilities` has shape {row.shape}; one number for "
                    "each token is needed, the probability of its tag"
                )
            outside = row[~((row >= 0) & (row <= 1))]
            if len(outside):
                raise ValueError(
                    f"sentence {number} of `probabilities` has {outside[0]}, which is not "
                    "between 0 and 1"
                )
        check_same_lengths(self.sentences, probabilities, ("sentences", "probabilities"))


def _colour(label: str) -> str:
    return _COLOURS[zlib.crc32(label.encode(errors="replace"), _COLOUR_SEED) % len(_COLOURS)]
