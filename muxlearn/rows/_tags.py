"""Tags that mark entities: schemes, legal steps, and the spans that tags stand for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muxlearn._params import Choice
from muxlearn.rows._texts import is_missing

__all__ = [
    "SCHEME_CHOICE",
    "Spans",
    "are_entity_tags",
    "check_sequences",
    "check_tags_fit",
    "end_mask",
    "entity_spans",
    "find_spans",
    "n_illegal_steps",
    "start_mask",
    "tag_scheme",
    "transition_mask",
]


class _Rules(NamedTuple):
    """The roles of a scheme's prefixes; each field is a string of prefixes."""

    first: str  # begins an entity wherever it stands
    stray: str  # begins one where it continues none
    inner: str  # continues an entity of its own type …
    open: str  # … if that stands at one of these
    last: str  # may end an entity


# None reads whatever a tagger may write, as conlleval does.
_RULES = {
    None: _Rules("BS", "IE", "IE", "BI", "BIES"),
    "IOB2": _Rules("B", "", "I", "BI", "BI"),
    "IOE2": _Rules("", "IE", "IE", "I", "E"),
    "IOBES": _Rules("BS", "", "IE", "BI", "ES"),
    "BILOU": _Rules("BU", "", "IL", "BI", "LU"),
}

#: What the parameter `scheme` may be.
SCHEME_CHOICE = Choice(*_RULES)

# The type of a tag that is a bare prefix.
_NO_TYPE = "_"


class Spans(NamedTuple):
    """Entities of several sentences, in their order.

    Attributes
    ----------
    start, stop : ndarray of int64, shape (n_entities,)
        First token and the one after the last, counted through all sentences.
    kind : ndarray of int64, shape (n_entities,)
        The number of the type in `kinds`.
    kinds : list of str
        Sorted; a type of `kinds` may have no entity.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    kind: NDArray[np.int64]
    kinds: list[str]


# Checks


def check_sequences(
    rows: Any, name: str, what: str = "tag", *, strings: bool = True
) -> list[list[Any]]:
    """Turn what holds a sequence of strings for each sentence into lists.

    Parameters
    ----------
    rows : sequence of sequences of str
    name : str
        What to call it in an error.
    what : str, default="tag"
        What one string is.
    strings : bool, default=True
        Whether to raise for what is no string. Anything but a missing value passes otherwise.

    Returns
    -------
    list of list

    Raises
    ------
    TypeError, ValueError
        Something is no list of strings; the message says which sentence.
    """
    rows = _plain(rows)
    if not _is_sequence(rows):
        raise TypeError(
            f"`{name}` must be a list with a list of {what}s for each sentence, got "
            f"{type(rows).__name__}"
        )
    checked = []
    for number, row in enumerate(rows):
        row = _plain(row)
        if not _is_sequence(row):
            raise TypeError(
                f"sentence {number} of `{name}` must be a list of {what}s, got {row!r:.60} "
                f"({type(row).__name__})"
            )
        checked.append(row := list(row))
        for position, item in enumerate(row):
            if strings and isinstance(item, str):
                continue
            place = f"{what} {position} of sentence {number} of `{name}`"
            if is_missing(item):
                raise ValueError(f"{place} is missing ({item!r})")
            if strings:
                raise TypeError(f"{place} must be a str, got {item!r:.60} ({type(item).__name__})")
    return checked


def _plain(values: Any) -> Any:
    """Return an array of Arrow as a list, whose items are no scalars of its own."""
    return values.to_pylist() if hasattr(values, "to_pylist") else values


def _is_sequence(value: object) -> bool:
    if isinstance(value, str | bytes | Mapping | set) or getattr(value, "ndim", 1) == 0:
        return False
    return isinstance(value, Iterable)


def check_tags_fit(rows: Iterable[Collection[str]], scheme: str | None, name: str) -> None:
    """Raise unless every tag belongs to a scheme.

    Parameters
    ----------
    rows : iterable of collections of str
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None
    name : str
        What to call the rows in an error.

    Raises
    ------
    ValueError
        The message says which tag of which sentence.
    """
    prefixes = _prefixes(scheme)
    known: set[str] = set()
    for number, row in enumerate(rows):
        for tag in set(row) - known:
            if _split(tag, prefixes) is None:
                raise ValueError(_complaint(tag, f"sentence {number} of `{name}`", scheme))
            known.add(tag)


def _complaint(tag: str, place: str, scheme: str | None) -> str:
    prefixes = _prefixes(scheme)
    others = [s for s in _RULES if _split(tag, _prefixes(s)) is not None]
    if others:
        hint = f"; set `scheme` to one that has it: {', '.join(map(repr, others))}"
    else:
        hint = "; for tags that mark no entities, such as parts of speech, measure the accuracy"
    allowed = ", ".join(f"'{prefix}-type'" for prefix in prefixes)
    return f"{place} has the tag {tag!r}, but `scheme={scheme!r}` knows 'O', {allowed}{hint}"


def _prefixes(scheme: str | None) -> str:
    rules = _RULES[scheme]
    return "".join(sorted({*rules.first, *rules.stray, *rules.inner}))


def _split(tag: str, prefixes: str) -> tuple[str, str] | None:
    """Split into prefix and type; None: not a tag of these prefixes."""
    if tag == "O":
        return "O", ""
    prefix, _, kind = tag.partition("-")
    if len(prefix) == 1 and prefix in prefixes:
        return prefix, kind or _NO_TYPE
    return None


# Schemes


def are_entity_tags(tags: Iterable[str]) -> bool:
    """Return whether all tags are "O" or a prefix B, I, E or S with a type, and not all are "O".

    Parameters
    ----------
    tags : iterable of str

    Returns
    -------
    bool
    """
    inventory = set(tags) - {"O"}
    return bool(inventory) and all(len(tag) > 2 and _split(tag, "BIES") for tag in inventory)


def tag_scheme(tags: Iterable[str]) -> str | None:
    """Decide from an inventory of tags in which scheme they mark entities.

    A type whose entities could never begin, or never end, rules a scheme out: such an inventory
    comes from IOB1 or from noise, and decoding by the scheme would lose that type.

    Parameters
    ----------
    tags : iterable of str
        All tags of a task.

    Returns
    -------
    {"IOB2", "IOBES"} or None
        None: no entity tags, such as parts of speech, or those of another scheme. IOB1 whose
        types all have a tag with B is taken for IOB2; see `n_illegal_steps`.
    """
    inventory = set(tags)
    if not are_entity_tags(inventory):
        return None
    kinds: dict[str, set[str]] = {prefix: set() for prefix in "BIES"}
    for tag in inventory - {"O"}:
        kinds[tag[0]].add(tag[2:])
    if not kinds["B"] | kinds["S"] or not kinds["I"] <= kinds["B"]:
        return None
    if not kinds["E"] | kinds["S"]:
        return "IOB2"
    return "IOBES" if kinds["B"] == kinds["E"] else None


def transition_mask(tags: Sequence[str], scheme: str | None) -> NDArray[np.bool_]:
    """Return which tag may follow which.

    Parameters
    ----------
    tags : sequence of str, length n_tags
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None
        None allows everything, whatever the tags are.

    Returns
    -------
    ndarray of bool, shape (n_tags, n_tags)
        True at ``[i, j]`` where ``tags[j]`` may follow ``tags[i]``.
    """
    if scheme is None:
        return np.ones((len(tags), len(tags)), dtype=bool)
    prefixes, kinds = _split_all(tags, scheme)
    continues = np.isin(prefixes, list(_RULES[scheme].inner)) & (kinds[:, None] == kinds)
    from_open = np.isin(prefixes, list(_RULES[scheme].open))
    new = end_mask(tags, scheme)[:, None] & start_mask(tags, scheme)
    return new | (from_open[:, None] & continues)


def start_mask(tags: Sequence[str], scheme: str | None) -> NDArray[np.bool_]:
    """Return which tags a sentence may begin with.

    Parameters
    ----------
    tags : sequence of str, length n_tags
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None

    Returns
    -------
    ndarray of bool, shape (n_tags,)
    """
    if scheme is None:
        return np.ones(len(tags), dtype=bool)
    rules = _RULES[scheme]
    return np.isin(_split_all(tags, scheme)[0], ["O", *rules.first, *rules.stray])


def end_mask(tags: Sequence[str], scheme: str | None) -> NDArray[np.bool_]:
    """Return which tags a sentence may end with.

    Parameters
    ----------
    tags : sequence of str, length n_tags
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None

    Returns
    -------
    ndarray of bool, shape (n_tags,)
    """
    if scheme is None:
        return np.ones(len(tags), dtype=bool)
    return np.isin(_split_all(tags, scheme)[0], ["O", *_RULES[scheme].last])


def n_illegal_steps(rows: Iterable[Sequence[str]], scheme: str | None) -> int:
    """Count the steps of tag sequences that a scheme forbids.

    Annotation in IOB1 has the inventory of IOB2 and breaks its rules at nearly every entity; to
    decode it by the rules of IOB2 would be wrong.

    Parameters
    ----------
    rows : iterable of sequences of str
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None

    Returns
    -------
    int
        Starts and ends of sentences count as steps.
    """
    rows = [row for row in rows if len(row)]
    codes, tags = _encode(rows)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    stops = lengths.cumsum()
    inside = np.ones(len(codes), dtype=bool)
    inside[stops - lengths] = False
    (second,) = inside.nonzero()
    return int(
        (~transition_mask(tags, scheme)[codes[second - 1], codes[second]]).sum()
        + (~start_mask(tags, scheme)[codes[stops - lengths]]).sum()
        + (~end_mask(tags, scheme)[codes[stops - 1]]).sum()
    )


def _split_all(
    tags: Sequence[str], scheme: str | None
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    prefixes = _prefixes(scheme)
    parts = [_split(tag, prefixes) for tag in tags]
    for tag, part in zip(tags, parts, strict=True):
        if part is None:
            raise ValueError(_complaint(tag, "the inventory", scheme))
    pairs = np.array(parts, dtype=str).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


# Entities


def entity_spans(tags: Sequence[str], scheme: str | None = None) -> list[tuple[int, int, str]]:
    """Return the entities of one sentence.

    Parameters
    ----------
    tags : sequence of str
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None, default=None
        None forgives what is ill-formed: an I or E that continues nothing begins an entity, and
        one without its E or S is one all the same. A scheme counts complete entities only.

    Returns
    -------
    list of (int, int, str)
        First token, the one after the last, and type.

    Examples
    --------
    >>> entity_spans(["B-PER", "I-PER", "O", "I-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC')]
    >>> entity_spans(["B-PER", "I-PER", "O", "I-LOC"], scheme="IOB2")
    [(0, 2, 'PER')]
    """
    spans = find_spans([tags], scheme)
    return [
        (int(start), int(stop), spans.kinds[kind])
        for start, stop, kind in zip(spans.start, spans.stop, spans.kind, strict=True)
    ]


def find_spans(rows: Sequence[Sequence[str]], scheme: str | None = None) -> Spans:
    """Find the entities of many sentences at once.

    Parameters
    ----------
    rows : sequence of sequences of str
    scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None, default=None
        None forgives what is ill-formed: an I or E that continues nothing begins an entity, and
        one without its E or S is one all the same. A scheme counts complete entities only.

    Returns
    -------
    Spans

    Raises
    ------
    ValueError
        A tag does not belong to the scheme.
    """
    codes, tags = _encode(rows)
    tag_prefix, tag_kind = _split_all(tags, scheme)
    kinds, kind_of_tag = np.unique(tag_kind, return_inverse=True)
    prefix, kind = tag_prefix[codes], kind_of_tag[codes]
    rules = _RULES[scheme]
    continues = np.zeros(len(codes) + 1, dtype=bool)  # the place behind the last continues nothing
    continues[1:-1] = (
        np.isin(prefix[1:], list(rules.inner))
        & np.isin(prefix[:-1], list(rules.open))
        & (kind[1:] == kind[:-1])
    )
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    continues[lengths.cumsum() - lengths] = False
    begins = np.isin(prefix, list(rules.first))
    begins |= np.isin(prefix, list(rules.stray)) & ~continues[:-1]
    start = begins.nonzero()[0]
    breaks = (~continues).nonzero()[0]
    stop = breaks[np.searchsorted(breaks, start, side="right")]
    complete = np.isin(prefix[stop - 1], list(rules.last))
    start, stop = start[complete], stop[complete]
    return Spans(start, stop, kind[start], kinds.tolist())


def _encode(rows: Sequence[Sequence[str]]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the tags of all rows as numbers, (n_tokens,), and the sorted inventory."""
    tags = sorted(set(chain.from_iterable(rows)))
    number = {tag: code for code, tag in enumerate(tags)}
    codes = [number[tag] for tag in chain.from_iterable(rows)]
    return np.array(codes, dtype=np.int64), tags
