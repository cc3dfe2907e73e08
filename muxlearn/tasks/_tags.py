"""One tag for each token of a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from muxlearn._params import Choice, Constraint
from muxlearn._warnings import warn
from muxlearn.metrics import entity_f1_score
from muxlearn.rows import (
    check_sequences,
    check_tags,
    check_tags_fit,
    check_weights,
    end_mask,
    n_illegal_steps,
    number_tags,
    row_weights,
    start_mask,
    tag_scheme,
    take_rows,
    training_order,
    transition_mask,
)
from muxlearn.tasks._classes import METHODS, log_probabilities, mean_probability, values_of
from muxlearn.tasks._task import Task, TrainingSet
from muxlearn.tasks._viterbi import StepScores, transition_scores, viterbi_many

__all__ = ["TagsTask"]


@dataclass(frozen=True, eq=False)
class TagsTask(Task):
    """Tag tokens: the answers are log-probabilities of the tags of one sentence after the other.

    Parameters
    ----------
    classes : ndarray of shape (n_tags,)
        The tags, sorted.
    steps : StepScores
        How much more often than by chance one tag followed another in training.
    log_frequencies : ndarray of float64, shape (n_tags,)
        How often a tag came in training.
    regular : bool
        Whether the steps of training obeyed the tags' scheme.
    decode : {"legal", "learned", None}, default=None
        None takes the most probable tag of each token, the others the best sequence: "legal" of
        those that the scheme allows, "learned" with scores of the steps besides.
    """

    classes: NDArray
    steps: StepScores
    log_frequencies: NDArray[np.float64]
    regular: bool
    decode: str | None = None

    name: ClassVar[str] = "tags"
    constraints: ClassVar[dict[str, Constraint]] = {"decode": Choice("legal", "learned", None)}
    nested: ClassVar[bool] = True
    level: ClassVar[str] = "token"
    methods: ClassVar[tuple[str, ...]] = METHODS

    @classmethod
    def learn(
        cls,
        rows: list[list[str]],
        y: Any,
        sample_weight: ArrayLike | None = None,
        class_weight: dict[Any, float] | str | None = None,
    ) -> tuple[TagsTask, TrainingSet]:
        """Check tags and weights, and make targets of them.

        Parameters
        ----------
        rows : list of list of str, length n_rows
            Checked sentences.
        y : sequence of sequences of tags
        sample_weight : array-like of shape (n_rows,), default=None
        class_weight : dict, "balanced" or None, default=None

        Returns
        -------
        task : TagsTask
        training_set : TrainingSet
            Without empty sentences, which teach nothing.

        Raises
        ------
        TypeError, ValueError
            A tag or a weight is not valid, tokens and tags differ in number, or there is no
            token at all.
        """
        tags = check_tags(y, rows)
        order, left = training_order(rows, tags, check_weights(sample_weight, len(rows)))
        rows, tags = take_rows(rows, order), take_rows(tags, order)
        of_rows = check_weights(left, len(rows))
        classes, values = number_tags(tags)
        n_tokens = np.fromiter(map(len, rows), np.int64, len(rows))
        full = np.flatnonzero(n_tokens)
        frequencies = np.bincount(values, np.repeat(of_rows, n_tokens), minlength=len(classes))
        scheme = _scheme(classes)
        task = cls(
            classes,
            transition_scores(tags, classes.tolist(), of_rows),
            np.log(frequencies / frequencies.sum()),
            # In IOB1, an older form with the same tags, an entity begins with I-.
            regular=n_illegal_steps(tags, scheme) <= 0.01 * len(values) if scheme else False,
        )
        return task, TrainingSet(
            rows=[rows[i] for i in full],
            true=[tags[i] for i in full],
            values=values,
            weights=row_weights(np.repeat(of_rows, n_tokens), class_weight, classes, values),
            n_of_row=n_tokens[full],
            strata=np.zeros(len(full), np.int64),
            sources=order[full],
            row_weights=None if left is None else left[full],
        )

    @classmethod
    def without_training(cls, classes: NDArray) -> TagsTask:
        """Return the task of a model whose training tags are unknown."""
        n_tags = len(classes)
        regular = _scheme(classes) is not None
        uniform = np.full(n_tags, -np.log(n_tags))
        return cls(classes, StepScores.zeros(n_tags), uniform, regular)

    @cached_property
    def scheme(self) -> str | None:
        """The form of the tags where they mark entities, None for other tags."""
        return _scheme(self.classes)

    @property
    def score_name(self) -> str:
        return "accuracy of tokens" if self.scheme is None else "F1 of entities"

    # Prediction

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        return log_probabilities(outputs)

    def merge(self, passes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return mean_probability(passes)

    def results(self, method: str, rows: list[Any], answers: NDArray[np.float64]) -> list[Any]:
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ends = np.cumsum(lengths)
        if method != "predict":
            return np.split(values_of(method, answers), ends[:-1])
        if self.decode is not None:
            codes = viterbi_many(answers - self._prior(), lengths, *self.step_scores())
        else:
            codes = answers.argmax(1)
        tags = self.classes[codes].tolist()
        spans = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
        return [tags[start:end] for start, end in spans]

    def step_scores(self) -> StepScores:
        """Return the scores of steps that `decode` asks for."""
        names = self.classes.tolist()
        steps = self.steps if self.decode == "learned" else StepScores.zeros(len(names))
        if not self.regular:
            return steps
        allowed = (mask(names, self.scheme) for mask in (transition_mask, start_mask, end_mask))
        return StepScores(*(np.where(a, s, -np.inf) for a, s in zip(allowed, steps, strict=True)))

    def _prior(self) -> NDArray[np.float64] | float:
        # A step's score says how often a tag comes at all, as the network's answer does.
        return self.log_frequencies if self.decode == "learned" else 0.0

    # Score

    def check_true(self, rows: Any, y: Any) -> list[list[Any]]:
        tags = check_tags(y, rows)
        if self.scheme is not None:
            check_tags_fit(check_sequences(tags, "y"), None, "y")
        known = set(self.classes.tolist())
        unknown = Counter(tag for tag in chain.from_iterable(tags) if tag not in known)
        if unknown:
            ((tag, count),) = unknown.most_common(1)
            warn(
                f"`y` holds tags that the tagger was not fitted with and never predicts, most "
                f"often {tag!r} ({count} of {unknown.total()} such tokens); they count as wrong",
            )
        return tags

    def score(self, true: Any, predicted: Any, sample_weight: ArrayLike | None = None) -> float:
        weights = check_weights(sample_weight, len(true))
        if self.scheme is not None:
            return float(entity_f1_score(true, predicted, sample_weight=weights))
        of_tokens = np.repeat(weights, [len(row) for row in true])
        if not of_tokens.any():
            raise ValueError(
                "no token counts: the sentences of `X` are empty, or their `sample_weight` is 0"
            )
        pairs = zip(chain.from_iterable(true), chain.from_iterable(predicted), strict=True)
        return float(np.average([tag == said for tag, said in pairs], weights=of_tokens))

    # Folders

    def to_config(self) -> dict[str, Any]:
        return {"name": self.name, "decode": self.decode}

    def arrays(self) -> dict[str, NDArray]:
        return {
            **self.steps._asdict(),
            "log_frequencies": self.log_frequencies,
            "regular": np.array(self.regular),
        }

    @classmethod
    def from_saved(
        cls,
        config: Mapping[str, Any],
        classes: NDArray | None,
        arrays: Mapping[str, NDArray],
    ) -> TagsTask:
        assert classes is not None
        return cls(
            classes,
            StepScores(*(arrays[name] for name in StepScores._fields)),
            arrays["log_frequencies"],
            bool(arrays["regular"]),
            config.get("decode"),
        )


def _scheme(classes: NDArray) -> str | None:
    """Return the form of tags that mark entities, None for other tags."""
    tags = classes.tolist()
    return tag_scheme(tags) if all(isinstance(tag, str) for tag in tags) else None
