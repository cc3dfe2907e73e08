"""The fastest of the accurate candidates of a search."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from muxlearn._docs import fill_docs
from muxlearn._params import (
    Boolean,
    Choice,
    Constraint,
    Instance,
    Integer,
    Number,
    check_parameters,
)
from muxlearn._timing import paired_seconds

__all__ = ["fastest_within", "throughput_score"]

_METRIC = Instance((str,), "the name of a metric, a key of the search's `scoring`")

_CONSTRAINTS: dict[str, Constraint] = {
    "drop": Number(0),
    "of": Choice("best", "n_mux=1"),
    "metric": _METRIC,
    "speed": _METRIC,
    "standard_error": Boolean(),
}


@fill_docs()
def throughput_score(estimator: Any, X: Any, y: Any = None, *, repeats: int = 5) -> float:
    """Rows per second of `predict`, a scorer for ``scoring`` beside one of accuracy.

    A search with ``n_jobs`` above 1 times candidates while others keep the processor busy. Few
    rows fill few batches: what is measured is the speed on a fold, not that on a million rows.

    Parameters
    ----------
    estimator : estimator
        Fitted, with `predict`.
    X : sequence of length n_samples
        Rows to predict.
    y : None
        Not used: scorers are called with it.
    {measure.repeats}

    Returns
    -------
    float
        The higher the faster.

    Examples
    --------
    >>> from functools import partial
    >>> from muxlearn.model_selection import throughput_score
    >>> scoring = {
    ...     "score": "accuracy",
    ...     "rows_per_second": partial(throughput_score, repeats=9),
    ... }
    """
    Integer(1).check("repeats", repeats)
    seconds = paired_seconds({"predict": partial(estimator.predict, X)}, repeats)["predict"]
    return _num_samples(X) / statistics.median(seconds)


def fastest_within(
    drop: float = 0.02,
    *,
    of: str = "best",
    metric: str = "score",
    speed: str = "rows_per_second",
    standard_error: bool = False,
) -> FastestWithin:
    """Return a `refit` for a search that selects the fastest of the accurate candidates.

    The search needs two metrics, one of them of speed (see the example). Candidates whose `fit`
    failed are ignored.

    Parameters
    ----------
    drop : float, default=0.02
        How far a candidate's mean test score may be below the reference, in units of the score.
    of : {"best", "n_mux=1"}, default="best"
        The reference: the best candidate, or the best of those without multiplexing.
    metric : str, default="score"
        The score, the higher the better: a key of `scoring`.
    speed : str, default="rows_per_second"
        The speed, the higher the better: a key of `scoring`, with `throughput_score` as its value.
    standard_error : bool, default=False
        Add one standard error of the reference's mean score to `drop`. With ``drop=0`` this is
        the rule of one standard error [1]_.

    Returns
    -------
    callable
        Takes ``cv_results_`` and returns the index of a candidate; of equally fast ones, that
        with the higher score. It can be pickled.

    Raises
    ------
    TypeError, ValueError
        A parameter is invalid. The callable raises ValueError where `cv_results_`
        lacks a metric, a score that is a number, a candidate with ``n_mux=1`` that `of` asks for,
        or the second split that a standard error takes.

    Notes
    -----
    ``search.score`` then takes `metric`.

    References
    ----------
    .. [1] L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and Regression
       Trees", 1984, section 3.4.3.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.model_selection import fastest_within, throughput_score
    >>> search = GridSearchCV(
    ...     MuxTextClassifier(),
    ...     {"n_mux": [1, 2, 5, 10]},
    ...     scoring={"score": "accuracy", "rows_per_second": throughput_score},
    ...     refit=fastest_within(0.02, of="n_mux=1"),
    ... )
    """
    params = {
        "drop": drop,
        "of": of,
        "metric": metric,
        "speed": speed,
        "standard_error": standard_error,
    }
    check_parameters(params, _CONSTRAINTS)
    return FastestWithin(**params)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class FastestWithin:
    """The callable that `fastest_within` returns; it equals the name of its metric."""

    drop: float
    of: str
    metric: str
    speed: str
    standard_error: bool

    # `GridSearchCV.score` looks up the scorer under the key `refit`, callable or not.
    def __eq__(self, other: object) -> bool:
        if isinstance(other, FastestWithin):
            return astuple(self) == astuple(other)
        return self.metric == other

    def __hash__(self) -> int:
        return hash(self.metric)

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        """Return the index of the chosen candidate.

        Parameters
        ----------
        cv_results : dict of str to array of shape (n_candidates,)
            As in `GridSearchCV.cv_results_`.

        Returns
        -------
        int
        """
        scores = self._means(cv_results, self.metric)
        rates = self._means(cv_results, self.speed)
        usable = np.isfinite(scores) & np.isfinite(rates)
        if not usable.any():
            raise ValueError(
                f"all {len(scores)} candidates lack a mean of {self.metric!r} or of "
                f"{self.speed!r}: their fits or scorers failed; search with error_score='raise' "
                "to see why"
            )
        reference = self._reference(cv_results, np.where(usable, scores, np.nan))
        tolerance = self.drop
        if self.standard_error:
            tolerance += self._standard_error(cv_results, reference)
        lowest = scores[reference] - tolerance
        # 0.95 - 0.02 is not quite 0.93.
        good = usable & ((scores >= lowest) | np.isclose(scores, lowest, rtol=0, atol=1e-9))
        candidates = np.flatnonzero(good)
        return int(max(candidates, key=lambda i: (rates[i], scores[i])))

    def _means(self, cv_results: Mapping[str, Any], name: str) -> NDArray[np.float64]:
        key = f"mean_test_{name}"
        if key not in cv_results:
            prefix = "mean_test_"
            measured = [k.removeprefix(prefix) for k in cv_results if k.startswith(prefix)]
            raise ValueError(
                f"the search measured {measured}, but not {name!r}; give it a dict such as "
                f"scoring={{{self.metric!r}: 'accuracy', {self.speed!r}: throughput_score}}, with "
                "`throughput_score` from muxlearn.model_selection, or name its metrics by "
                "`metric` and `speed`"
            )
        return np.asarray(cv_results[key], np.float64)

    def _reference(self, cv_results: Mapping[str, Any], scores: NDArray[np.float64]) -> int:
        """Return the index of the candidate that others are measured against."""
        if self.of == "best":
            return int(np.nanargmax(scores))
        alone = [i for i, params in enumerate(cv_results["params"]) if _is_alone(params)]
        if not alone:
            raise ValueError(
                "`of` is 'n_mux=1', but no candidate of the search has n_mux=1; add it to the "
                "values of `n_mux`, or take of='best'"
            )
        if np.isnan(scores[alone]).all():
            raise ValueError(
                f"`of` is 'n_mux=1', but each such candidate lacks a mean of {self.metric!r} or "
                f"of {self.speed!r}: its fits or scorers failed; search with error_score='raise' "
                "to see why, or take of='best'"
            )
        return alone[int(np.nanargmax(scores[alone]))]

    def _standard_error(self, cv_results: Mapping[str, Any], candidate: int) -> float:
        ending = f"_test_{self.metric}"
        splits = [
            float(values[candidate])
            for key, values in cv_results.items()
            if key.startswith("split") and key.endswith(ending)
        ]
        if len(splits) < 2:
            raise ValueError(
                f"`standard_error` takes two splits or more, but the search has {len(splits)}; "
                "raise its `cv`, or take standard_error=False"
            )
        return statistics.stdev(splits) / len(splits) ** 0.5


def _is_alone(params: Mapping[str, Any]) -> bool:
    """Return whether a candidate is not multiplexed, as an estimator or as a pipeline's step."""
    return any(name.split("__")[-1] == "n_mux" and value == 1 for name, value in params.items())
