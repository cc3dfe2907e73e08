"""Measures of tags: the entities they stand for, and the tags themselves."""

from __future__ import annotations

from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Number, OneOf, check_parameters
from muxlearn._warnings import warn
from muxlearn.rows import (
    SCHEME_CHOICE,
    check_same_lengths,
    check_sequences,
    check_tags_fit,
    check_weights,
    find_spans,
)

__all__ = [
    "entity_f1_score",
    "entity_precision_recall_fscore_support",
    "entity_precision_score",
    "entity_recall_score",
    "token_accuracy_score",
]

Average = Literal["micro", "macro", "weighted"] | None
Floats = NDArray[np.float64]

_CONSTRAINTS: dict[str, Constraint] = {
    "scheme": SCHEME_CHOICE,
    "average": Choice("micro", "macro", "weighted", None),
    "beta": Number(0),
    "zero_division": OneOf(Number(0, 1), Choice("warn")),
}


class _Measures(NamedTuple):
    precision: Any
    recall: Any
    fscore: Any
    support: Any


class _Counts(NamedTuple):
    """Weighted numbers of entities, each (n_types,)."""

    right: Floats
    predicted: Floats
    true: Floats


@fill_docs()
def entity_f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    scheme: str | None = None,
    average: Average = "micro",
    sample_weight: ArrayLike | None = None,
    zero_division: float | str = 0,
) -> float | Floats:
    """Return the harmonic mean of precision and recall of entities.

    An entity is right if its first token, its last token and its type are (Tjong Kim Sang and
    De Meulder, CoNLL 2003, section 3). The results equal those of the package seqeval: with
    ``scheme=None`` those of its default, with a scheme those of its strict mode.

    Parameters
    ----------
    {metrics.tags}
    {metrics.scheme}
    {metrics.average}
    {metrics.sample_weight}
    zero_division : "warn" or a number from 0 to 1, default=0
        The value where a type has neither true nor predicted entities; "warn" is 0 with a warning.

    Returns
    -------
    {metrics.returns}

    Raises
    ------
    {metrics.raises}

    Examples
    --------
    >>> from muxlearn.metrics import entity_f1_score
    >>> y_true = [["B-PER", "I-PER", "O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O", "O"]]
    >>> round(entity_f1_score(y_true, y_pred), 3)
    0.667
    """
    return _measure(
        (y_true, y_pred, sample_weight), scheme, average, zero_division, warn_for=("fscore",)
    ).fscore


@fill_docs()
def entity_precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    scheme: str | None = None,
    average: Average = "micro",
    sample_weight: ArrayLike | None = None,
    zero_division: float | str = 0,
) -> float | Floats:
    """Return the share of predicted entities that are right.

    `entity_f1_score` says what an entity is, and when it is right.

    Parameters
    ----------
    {metrics.tags}
    {metrics.scheme}
    {metrics.average}
    {metrics.sample_weight}
    zero_division : "warn" or a number from 0 to 1, default=0
        The value where no entity is predicted; "warn" is 0 with a warning.

    Returns
    -------
    {metrics.returns}

    Raises
    ------
    {metrics.raises}

    Examples
    --------
    >>> from muxlearn.metrics import entity_precision_score
    >>> y_true = [["B-PER", "I-PER", "O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O", "O"]]
    >>> entity_precision_score(y_true, y_pred)
    1.0
    """
    return _measure(
        (y_true, y_pred, sample_weight), scheme, average, zero_division, warn_for=("precision",)
    ).precision


@fill_docs()
def entity_recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    scheme: str | None = None,
    average: Average = "micro",
    sample_weight: ArrayLike | None = None,
    zero_division: float | str = 0,
) -> float | Floats:
    """Return the share of true entities that are found.

    `entity_f1_score` says what an entity is, and when it is right.

    Parameters
    ----------
    {metrics.tags}
    {metrics.scheme}
    {metrics.average}
    {metrics.sample_weight}
    zero_division : "warn" or a number from 0 to 1, default=0
        The value where there is no true entity; "warn" is 0 with a warning.

    Returns
    -------
    {metrics.returns}

    Raises
    ------
    {metrics.raises}

    Examples
    --------
    >>> from muxlearn.metrics import entity_recall_score
    >>> y_true = [["B-PER", "I-PER", "O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O", "O"]]
    >>> entity_recall_score(y_true, y_pred)
    0.5
    """
    return _measure(
        (y_true, y_pred, sample_weight), scheme, average, zero_division, warn_for=("recall",)
    ).recall


@fill_docs()
def entity_precision_recall_fscore_support(
    y_true: Any,
    y_pred: Any,
    *,
    scheme: str | None = None,
    average: Average = None,
    beta: float = 1.0,
    sample_weight: ArrayLike | None = None,
    zero_division: float | str = 0,
) -> tuple[Any, Any, Any, Any]:
    """Return precision, recall and F-score of entities, and how many true ones there are.

    `entity_f1_score` says what an entity is, and when it is right.

    Parameters
    ----------
    {metrics.tags}
    {metrics.scheme}
    {metrics.average}
    beta : float, default=1.0
        Weight of recall in the F-score relative to precision.
    {metrics.sample_weight}
    zero_division : "warn" or a number from 0 to 1, default=0
        The value of a precision without predicted entities and of a recall without true ones;
        "warn" is 0 with a warning.

    Returns
    -------
    precision, recall, fscore : float, or ndarray of shape (n_types,) if `average` is None
        Between 0 and 1.
    support : int or float, or ndarray of shape (n_types,) if `average` is None
        Number of true entities; with `sample_weight`, what they weigh.

    Raises
    ------
    {metrics.raises}
    """
    return _measure(
        (y_true, y_pred, sample_weight),
        scheme,
        average,
        zero_division,
        warn_for=("precision", "recall"),
        beta=beta,
    )


@fill_docs()
def token_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return the share of tokens with the right tag.

    Parameters
    ----------
    y_true, y_pred : sequence of sequences
        The right tags and the predicted ones, for each sentence one for each token; of any type.
    sample_weight : array-like of shape (n_sentences,), default=None
        Weight of the tokens of each sentence.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError
        Strings stand where lists of them belong.
    ValueError
        Sentences or tags of `y_true` and `y_pred` do not pair up, or no token counts.

    Examples
    --------
    >>> from muxlearn.metrics import token_accuracy_score
    >>> token_accuracy_score([["DT", "NN"], ["VB", "RB"]], [["DT", "VB"], ["VB", "RB"]])
    0.75
    """
    y_true, y_pred, weights = _check_pair(y_true, y_pred, sample_weight, strings=False)
    if not weights.any():
        raise ValueError(
            "no token counts: the sentences of `y_true` are empty, or their `sample_weight` is 0"
        )
    pairs = zip(chain.from_iterable(y_true), chain.from_iterable(y_pred), strict=True)
    right = np.array([true == predicted for true, predicted in pairs])
    return float(np.average(right, weights=weights))


def _measure(
    data: tuple[Any, Any, ArrayLike | None],
    scheme: str | None,
    average: Average,
    zero_division: float | str,
    warn_for: tuple[str, ...],
    beta: float = 1.0,
) -> _Measures:
    """Measure; `data` are the arguments `y_true`, `y_pred` and `sample_weight`."""
    params = {
        "scheme": scheme,
        "average": average,
        "beta": beta,
        "zero_division": zero_division,
    }
    check_parameters(params, _CONSTRAINTS)
    counts = _count(*data, scheme)
    # Without any entity there is no type to average over, but still a value to return.
    if average == "micro" or (average is not None and len(counts.true) == 0):
        counts = _Counts(*(part.sum(keepdims=True) for part in counts))
    undefined = _undefined_value(zero_division, counts, warn_for)
    precision = _divide(counts.right, counts.predicted, undefined)
    recall = _divide(counts.right, counts.true, undefined)
    fscore = _divide((1 + beta**2) * precision * recall, beta**2 * precision + recall, 0.0)
    support = counts.true if data[2] is not None else counts.true.astype(np.int64)
    if average is None:
        return _Measures(precision, recall, fscore, support)
    weights = counts.true if average == "weighted" and counts.true.any() else None
    means = [float(np.average(m, weights=weights)) for m in (precision, recall, fscore)]
    return _Measures(means[0], means[1], means[2], support.sum().item())


def _count(
    y_true: Any, y_pred: Any, sample_weight: ArrayLike | None, scheme: str | None
) -> _Counts:
    y_true, y_pred, weights = _check_pair(y_true, y_pred, sample_weight)
    check_tags_fit(y_true, scheme, "y_true")
    check_tags_fit(y_pred, scheme, "y_pred")
    # One call, so that the types of both get the same numbers.
    spans = find_spans(y_true + y_pred, scheme)
    n_tokens, n_kinds = len(weights), len(spans.kinds)
    is_true = spans.start < n_tokens
    predicted_at, predicted_kind = spans.start[~is_true] - n_tokens, spans.kind[~is_true]
    true_at, true_kind = spans.start[is_true], spans.kind[is_true]
    stop_at, kind_at = np.full((2, n_tokens), -1)
    stop_at[true_at], kind_at[true_at] = spans.stop[is_true], true_kind
    right = (stop_at[predicted_at] == spans.stop[~is_true] - n_tokens) & (
        kind_at[predicted_at] == predicted_kind
    )
    counts = [
        np.bincount(kinds, weights=weights[at], minlength=n_kinds).astype(np.float64)
        for kinds, at in (
            (predicted_kind[right], predicted_at[right]),
            (predicted_kind, predicted_at),
            (true_kind, true_at),
        )
    ]
    present = counts[1] + counts[2] > 0
    return _Counts(*(part[present] for part in counts))


def _check_pair(
    y_true: Any, y_pred: Any, sample_weight: ArrayLike | None, *, strings: bool = True
) -> tuple[list[list[Any]], list[list[Any]], Floats]:
    """Check the data; the weights are those of the tokens, shape (n_tokens,)."""
    true = check_sequences(y_true, "y_true", strings=strings)
    predicted = check_sequences(y_pred, "y_pred", strings=strings)
    check_same_lengths(true, predicted, ("y_true", "y_pred"))
    if not true:
        raise ValueError("`y_true` has 0 sentences; at least 1 is needed")
    weights = check_weights(sample_weight, len(true))
    return true, predicted, np.repeat(weights, [len(row) for row in true])


def _divide(numerator: Floats, denominator: Floats, undefined: float) -> Floats:
    out = np.full_like(denominator, undefined)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _undefined_value(
    zero_division: float | str, counts: _Counts, warn_for: tuple[str, ...]
) -> float:
    if not isinstance(zero_division, str):
        return float(zero_division)
    is_undefined = {
        "precision": counts.predicted == 0,
        "recall": counts.true == 0,
        "fscore": (counts.predicted == 0) & (counts.true == 0),
    }
    for measure in warn_for:
        if is_undefined[measure].any():
            warn(
                f"the {measure} of entities is ill-defined where there are none to divide by, "
                "and counts as 0; set `zero_division` to choose the value",
                UndefinedMetricWarning,
            )
    return 0.0
