"""The tasks of a pre-training, by the values of the parameter `objective`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tokenizers import Tokenizer

from muxlearn.training.corruption import (
    CorruptionObjective,
    MaskedTokens,
    ReplacedTokens,
    Vocabulary,
)
from muxlearn.training.distillation import Distillation, DistillationObjective
from muxlearn.training.objectives import Objective
from muxlearn.training.teacher import TeacherAnswers

__all__ = [
    "OBJECTIVES",
    "PretrainingTask",
    "check_task",
    "make_objective",
    "make_pretraining_task",
    "with_mask",
]

PretrainingTask = Distillation | MaskedTokens | ReplacedTokens

#: The `retrieval_weight` of ``objective="both"``.
_RETRIEVAL_WEIGHT = 0.1

_BY_NAME: dict[str, Callable[[], PretrainingTask]] = {
    "distillation": Distillation,
    "retrieval": partial(Distillation, retrieval_weight=1.0),
    "both": partial(Distillation, retrieval_weight=_RETRIEVAL_WEIGHT),
    MaskedTokens.name: MaskedTokens,
    ReplacedTokens.name: ReplacedTokens,
}
OBJECTIVES = tuple(_BY_NAME)

#: Names of the token that stands for one to be predicted.
_MASKS = ("[MASK]", "<mask>")


def make_pretraining_task(value: str | PretrainingTask) -> PretrainingTask:
    """Return the object that a value of `objective` stands for."""
    if isinstance(value, PretrainingTask):
        return value
    return _BY_NAME[value]()


def check_task(value: str | PretrainingTask, teacher: object, cache: object = None) -> None:
    """Raise where the parameters of a task are invalid, or the teacher is one too many or missing.

    Parameters
    ----------
    value : str, Distillation, MaskedTokens or ReplacedTokens
    teacher : str, path or None
    cache : str, path or None, default=None
        Where a teacher's answers are kept.

    Raises
    ------
    TypeError, ValueError
    """
    task = make_pretraining_task(value)
    task.check_parameters()
    taught = isinstance(task, Distillation) and value != "retrieval"
    if taught and teacher is None:
        raise ValueError(
            f"`objective` {value!r} needs a `teacher`: give the folder or name of an encoder, or "
            "take objective='retrieval', 'mlm' or 'rtd'"
        )
    if not taught and teacher is not None:
        raise ValueError(
            f"`teacher` is {str(teacher)!r}, but objective={value!r} has none; take "
            "objective='both', or teacher=None"
        )
    if cache is not None and teacher is None:
        raise ValueError(
            f"`cache` is {str(cache)!r}, where the answers of a `teacher` are kept, but there is "
            "none; leave it out"
        )


def make_objective(
    task: PretrainingTask,
    answers: TeacherAnswers | None,
    tokenizer: Tokenizer | None,
    retrieval_samples: int,
    with_words: bool,
) -> Objective:
    """Return what a pre-training minimises.

    Parameters
    ----------
    task : Distillation, MaskedTokens or ReplacedTokens
    answers : TeacherAnswers or None
    tokenizer : tokenizers.Tokenizer or None
        None where nothing is trained.
    retrieval_samples : int
    with_words : bool

    Returns
    -------
    Objective

    Raises
    ------
    ValueError
        The tokenizer has no token for a mask.
    """
    if isinstance(task, Distillation):
        return DistillationObjective(task, answers, retrieval_samples, with_words)
    if tokenizer is None:
        return CorruptionObjective(task, None, retrieval_samples)
    mask = _mask_of(tokenizer)
    if mask is None and isinstance(task, MaskedTokens):
        raise ValueError(
            f"`objective` 'mlm' needs a tokenizer with one of {', '.join(_MASKS)}, but that of "
            "`backbone` has neither; take objective='rtd', or another `backbone`"
        )
    added = tokenizer.get_added_tokens_decoder()
    special = tuple(number for number, token in added.items() if token.special)
    vocabulary = Vocabulary(tokenizer.get_vocab_size(), special, mask)
    return CorruptionObjective(task, vocabulary, retrieval_samples)


def with_mask(tokenizer: Tokenizer) -> Tokenizer:
    """Add a mask token if the tokenizer has none, and return the tokenizer."""
    if _mask_of(tokenizer) is None:
        tokenizer.add_special_tokens([_MASKS[0]])
    return tokenizer


def _mask_of(tokenizer: Tokenizer) -> int | None:
    numbers = (tokenizer.token_to_id(name) for name in _MASKS)
    return next((number for number in numbers if number is not None), None)
