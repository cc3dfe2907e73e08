"""Vectors of fast operating points, brought closer to those of the slowest with texts alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from muxlearn.nn.alignment import Alignment
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.points import WORDS, Point
from muxlearn.prediction import Planner, Predictor, TorchRunner
from muxlearn.rows import Reader
from muxlearn.tasks import VectorsTask

__all__ = ["align_points"]

#: Texts that the maps are learned from at most.
_MAX_TEXTS = 5000

#: Penalties of the ridge regression, of which each map takes the best.
_PENALTIES = np.logspace(-2, 2, 9)


def align_points(
    estimator: Any, module: MuxSequenceEmbedder, reader: Reader, texts: Sequence[str]
) -> None:
    """Let a module correct the vectors of all operating points but the slowest.

    Parameters
    ----------
    estimator : MuxTextEmbedder
        Says where and how to compute.
    module : MuxSequenceEmbedder
    reader : Reader
    texts : sequence of str
        Checked texts to learn from.

    Raises
    ------
    ValueError
        There is one point alone, or there are not several different texts.
    """
    sizes = sorted(module.patch_sizes)
    slowest, *fast = [Point(n, size) for n in sorted({1, module.n_mux}) for size in sizes]
    fast += [WORDS] * module.answers_by_words
    if not fast:
        raise ValueError(
            "`align` is True, but the encoder has one operating point alone, whose vectors stay as "
            "they are; leave it out"
        )
    chosen = _spread(texts)
    if len(chosen) < 2:
        raise ValueError(
            f"`align` is True, which takes several different texts, got {len(chosen)}; give `fit` "
            "some hundred, such as those to be embedded, or leave `align` out"
        )
    predictor = _unaligned(estimator, module, reader)
    vectors = {
        point: predictor.predict(chosen, point, method="transform") for point in (slowest, *fast)
    }
    module.add_alignments(map(str, fast))
    for point in fast:
        read = given = vectors[point]
        alignment = cast(Alignment, module.alignments[str(point)])
        if alignment.with_words:
            read = np.hstack([given, vectors[WORDS]])
        # No intercept, which nothing shrinks: the mean of few texts would spoil other vectors.
        ridge = RidgeCV(_PENALTIES, fit_intercept=False).fit(read, vectors[slowest] - given)
        alignment.correction.load_state_dict({"weight": torch.tensor(ridge.coef_)})


def _spread(texts: Sequence[str]) -> list[str]:
    """Return different texts from all parts of a sequence."""
    different = list(dict.fromkeys(texts))
    chosen = np.linspace(0, len(different) - 1, min(len(different), _MAX_TEXTS))
    return [different[number] for number in chosen.round().astype(int)]


def _unaligned(estimator: Any, module: MuxSequenceEmbedder, reader: Reader) -> Predictor:
    """Return what gives the vectors to learn from, of length 1."""
    runner = TorchRunner(
        module,
        dtype=estimator._inference_dtype(),
        device=estimator._device(),
        memory_advice=estimator._kind.memory_advice,
    )
    planner = Planner(0, in_order=module.in_order, window_rows=estimator._kind.window_rows)
    return Predictor(
        runner,
        reader,
        VectorsTask(),
        planner,
        batch_size=int(estimator.batch_size),
        verbose=bool(estimator.verbose),
    )
