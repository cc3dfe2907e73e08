"""Parts that estimators of whole texts, or of sequences of integers, share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from muxlearn._docs import fill_docs
from muxlearn.backbones import Scratch
from muxlearn.estimators._texts import TextKind, backbone_of
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.module import MuxModule
from muxlearn.nn.text import MuxSequenceClassifier
from muxlearn.points import PointLike
from muxlearn.rows import (
    TOKENIZERS,
    Reader,
    TextReader,
    check_rows,
    copy_tokenizer,
    holds_integers,
)

__all__ = ["SequenceKind", "check_given", "score"]


class SequenceKind(TextKind):
    """The kind of an estimator that answers once for each text; see `Kind`."""

    level = "sequence"

    def wrap(self, estimator: Any, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of a module, which may be a reader itself."""
        if isinstance(tokenizer, Reader):
            return tokenizer
        if isinstance(module, MIMOFormer):
            paired = module.n_texts == 2
            return TextReader(tokenizer, pairs=paired, apart=paired)
        if isinstance(module, MuxSequenceClassifier) and module.pair_comparison is not None:
            return TextReader(tokenizer, pairs=True, marks_second=True)
        reader = TextReader(tokenizer)
        # The encoder only reads the beginning, which would be the first of two long texts.
        is_cut = reader.max_length > estimator.max_length
        return replace(reader, pairs=False) if is_cut else reader

    def complete_loaded(self, estimator: Any) -> None:
        """Give a loaded estimator the tokenizer that its parameters name."""
        backbone, tokenizer = estimator.backbone, estimator._structure.get("backbone__tokenizer")
        if isinstance(backbone, Scratch) and tokenizer not in (None, *TOKENIZERS):
            # The parameter was an object, which a configuration cannot hold.
            backbone.tokenizer = copy_tokenizer(estimator.tokenizer_)


def check_given(
    estimator: Any, X: Iterable[Any], unlabeled: Iterable[Any] | None
) -> tuple[Any, Any]:
    """Check what `fit` is given to read.

    Returns
    -------
    rows : list or ndarray
        Those of the task.
    unlabeled : list, ndarray or None
        Those that tokenizer and warm-up learn from as well.

    Raises
    ------
    TypeError, ValueError
        A row is not valid, or integers meet an encoder that reads texts.
    """
    continued = estimator.warm_start and estimator.__sklearn_is_fitted__()
    rows = estimator._reader.check(X) if continued else check_rows(X)
    if unlabeled is not None:
        unlabeled = check_rows(unlabeled, name="unlabeled")
    numbers = holds_integers(rows)
    if unlabeled is not None and numbers != holds_integers(unlabeled):
        raise TypeError("`X` and `unlabeled` must be of one kind, texts or sequences of integers")
    backbone = backbone_of(estimator)
    if numbers and not backbone.from_scratch:
        raise ValueError(
            f"{backbone.label} reads texts, but `X` holds sequences of integers; set "
            "backbone='scratch'"
        )
    if numbers and backbone.tokenizer is not None:
        raise ValueError(
            "`backbone__tokenizer` reads texts, but `X` holds sequences of integers; set "
            "backbone='scratch'"
        )
    return rows, unlabeled


@fill_docs(row="text", rows="texts")
def score(
    self: Any,
    X: Iterable[Any],
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    n_mux: PointLike | None = None,
    groups: ArrayLike | None = None,
    n_passes: int = 1,
    patch_size: int | None = None,
) -> float:
    """Return the accuracy of predicted labels, or the R^2 of predicted numbers.

    Parameters
    ----------
    {predict.X}

    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The true labels or numbers; several labels in any form that `fit` takes.

    {score.sample_weight}

    {predict.n_mux}

    {predict.groups}

    {predict.n_passes}

    {predict.patch_size}

    Returns
    -------
    float
        Of several labels the share of texts whose labels are all right, of several numbers the
        mean R^2.
    """
    return self.predictor_.score(
        X, y, sample_weight, n_mux, groups, n_passes, patch_size=patch_size
    )
