"""The best sequence of tags, given scores of tags and of the steps between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["StepScores", "transition_scores", "viterbi_many"]

Scores = NDArray[np.float64]

# Sentences decoded together: enough that numpy's calls cost little, few enough for the cache.
_CHUNK = 1024


class StepScores(NamedTuple):
    """Scores of steps between tags, in the order in which `viterbi_many` takes them.

    Attributes
    ----------
    transitions : ndarray of float64, shape (n_tags, n_tags)
        Entry ``[i, j]``: tag j after tag i.
    start, end : ndarray of float64, shape (n_tags,)
        A sentence's first and last tag.
    """

    transitions: Scores
    start: Scores
    end: Scores

    @classmethod
    def zeros(cls, n_tags: int) -> StepScores:
        """Return scores that prefer no step to another."""
        return cls(np.zeros((n_tags, n_tags)), np.zeros(n_tags), np.zeros(n_tags))


def viterbi_many(
    log_proba: ArrayLike,
    lengths: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
) -> NDArray[np.int64]:
    """Find the best sequence of tags for each of many sentences.

    The best sequence has the highest sum of the scores of its tags and steps, ends included
    (Viterbi, IEEE Transactions on Information Theory 13, 1967). Minus infinity forbids. Where
    every sequence is forbidden, the best of those that break the fewest bans is returned.

    Parameters
    ----------
    log_proba : array-like of shape (n_tokens, n_tags)
        Scores of the tags, for all sentences one after the other; finite or minus infinity, as
        all scores here.
    lengths : array-like of int, shape (n_sentences,)
        Tokens of each sentence; may be 0.
    transitions : array-like of shape (n_tags, n_tags)
        Entry ``[i, j]``: tag j after tag i.
    start, end : array-like of shape (n_tags,)
        A sentence's first and last tag.

    Returns
    -------
    ndarray of int64, shape (n_tokens,)
        The numbers of the tags.
    """
    emissions, lengths = np.asarray(log_proba, dtype=np.float64), np.asarray(lengths, np.int64)
    if lengths.sum() != len(emissions):
        raise ValueError(
            f"`lengths` adds up to {lengths.sum()} tokens, but `log_proba` has {len(emissions)}"
        )
    steps = StepScores(*(np.asarray(s, dtype=np.float64) for s in (transitions, start, end)))
    best = np.empty(len(emissions), dtype=np.int64)
    if len(best) == 0:
        return best
    emissions, steps = _without_infinity(emissions, steps, int(lengths.max()))
    first_tokens = lengths.cumsum() - lengths
    longest_first = np.argsort(-lengths, kind="stable")
    for at in range(0, len(lengths), _CHUNK):
        chunk = longest_first[at : at + _CHUNK]
        _decode(emissions, first_tokens[chunk], lengths[chunk], steps, best)
    return best


def transition_scores(
    tag_sequences: Sequence[Sequence[str]],
    tags: Sequence[str],
    weights: NDArray[np.float64],
) -> StepScores:
    """Learn the scores of steps from the tags of a training set.

    Parameters
    ----------
    tag_sequences : sequence of sequences of str, length n_sentences
        Tags of each sentence; empty ones teach nothing.
    tags : sequence of str, length n_tags
        All tags, in the order of the scores.
    weights : ndarray of float64, shape (n_sentences,)
        What the steps of a sentence count.

    Returns
    -------
    StepScores
        Log conditional frequencies, of counts that are each one higher. What follows a tag is
        another one or the end of the sentence: for each tag, the exponentials of its row of
        `transitions` and of its entry of `end` add up to 1, and so do those of `start`.
    """
    number = {tag: code for code, tag in enumerate(tags)}
    border = len(tags)  # stands before the first and behind the last tag of each sentence
    codes = [border]
    for sequence in tag_sequences:
        if len(sequence):
            codes += [number[tag] for tag in sequence] + [border]
    path, n_states = np.array(codes), border + 1
    n_steps = [len(sequence) + 1 if len(sequence) else 0 for sequence in tag_sequences]
    of_steps = np.repeat(weights, n_steps)
    counts = np.bincount(path[:-1] * n_states + path[1:], of_steps, minlength=n_states**2)
    frequencies = counts.reshape(n_states, n_states) + 1
    frequencies[border, border] = 0  # no sentence is empty
    with np.errstate(divide="ignore"):
        scores = np.log(frequencies / frequencies.sum(1, keepdims=True))
    return StepScores(scores[:-1, :-1], scores[-1, :-1], scores[:-1, -1])


def _without_infinity(
    emissions: Scores, steps: StepScores, max_length: int
) -> tuple[Scores, StepScores]:
    """Replace bans by a cost that is higher than any gain of a sequence."""
    spreads = [_spread(scores) for scores in (emissions, *steps)]
    penalty = 1 + max_length * (spreads[0] + spreads[1]) + spreads[2] + spreads[3]
    allow = [np.where(np.isneginf(scores), -penalty, scores) for scores in (emissions, *steps)]
    return allow[0], StepScores(*allow[1:])


def _spread(scores: Scores) -> float:
    finite = np.where(np.isneginf(scores), 0, scores)
    return float(finite.max(initial=0) - finite.min(initial=0))


def _decode(
    emissions: Scores,
    first_tokens: NDArray[np.int64],
    lengths: NDArray[np.int64],
    steps: StepScores,
    best: NDArray[np.int64],
) -> None:
    """Write the tags of some sentences, the longest first, into `best`."""
    positions = range(lengths[0])
    n_active = [int(np.searchsorted(-lengths, -t)) for t in positions]  # longer than t
    tokens = [first_tokens[:n] + t for t, n in zip(positions, n_active, strict=True)]
    scores = _forward(emissions, tokens, steps)
    # Behind its last token a sentence is at the end, one more state.
    arrivals = np.column_stack([steps.transitions, steps.end])  # (n_tags, n_tags + 1)
    state = np.full(len(lengths), len(steps.end))
    for t in reversed(positions):
        n = n_active[t]
        state[:n] = (scores[t] + arrivals[:, state[:n]]).argmax(0)
        best[tokens[t]] = state[:n]


def _forward(emissions: Scores, tokens: list[NDArray[np.int64]], steps: StepScores) -> list[Scores]:
    """Score the best way to each tag at each position, each (n_tags, n_active).

    Sentences run along the last axis: numpy works on long contiguous rows.
    """
    scores = [emissions[tokens[0]].T + steps.start[:, None]] if tokens else []
    for rows in tokens[1:]:
        last = scores[-1][:, : len(rows)]
        reached = last[0] + steps.transitions[0][:, None]
        way = np.empty_like(reached)
        for tag in range(1, len(last)):
            np.add(last[tag], steps.transitions[tag][:, None], out=way)
            np.maximum(reached, way, out=reached)
        reached += emissions[rows].T
        scores.append(reached)
    return scores
