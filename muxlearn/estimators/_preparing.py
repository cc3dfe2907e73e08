"""The start of a pre-training: tokenizer, module and the teacher's answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from sklearn.base import clone
from torch import nn

from muxlearn.architectures import OWN_SIZE, TMUX, Built
from muxlearn.backbones import Corpus, Scratch, Start, cutting, load_backbone
from muxlearn.estimators._texts import backbone_of
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.nn.multiplex import start_from_components
from muxlearn.training.corruption import ReplacedTokens
from muxlearn.training.distillation import Distillation
from muxlearn.training.pretraining_tasks import make_pretraining_task, with_mask
from muxlearn.training.teacher import TeacherAnswers, ask_teacher, check_vocabulary

if TYPE_CHECKING:
    from muxlearn.rows import RowTable, TokenTable

__all__ = ["ask_about", "prepare_pretraining"]


def prepare_pretraining(
    estimator: Any, rows: list[str]
) -> tuple[Built, RowTable, TeacherAnswers | None]:
    """Build tokenizer and module, and ask the teacher.

    Parameters
    ----------
    estimator : MuxTextPretrainer
    rows : list of str

    Returns
    -------
    built : Built
    table : RowTable
        The rows' tokens.
    answers : TeacherAnswers or None
        None without a teacher.
    """
    task = make_pretraining_task(estimator.objective)
    if estimator.teacher is None:
        built = _with_heads(_build_for_words(estimator, rows), task)
        return built, built.reader.table(rows), None
    backbone = backbone_of(estimator)
    if isinstance(backbone, Scratch):
        backbone.check_heads()
    teacher, tokenizer = load_backbone(estimator.teacher, dropout=0.0, parameter="teacher")
    if isinstance(backbone, Scratch):
        architecture, setting = estimator._make_architecture(), estimator._setting()
        assert isinstance(architecture, TMUX)
        encoder = backbone.encoder(
            teacher.embedding.num_embeddings,
            max_length=estimator.max_length,
            n_prefix=architecture.n_prefix(setting),
            dropout=estimator.dropout,
        )
        start_from_components(encoder.embedding, teacher.embedding.weight)
        start = Start(encoder, cutting(tokenizer, estimator.max_length))
        built = architecture.build_around(setting, start, teacher.hidden_size)
        built = built._replace(reader=estimator._kind.wrap(estimator, built.reader, built.module))
    else:
        built = estimator._kind.build(estimator, rows, teacher.hidden_size)
        check_vocabulary(estimator.teacher, tokenizer, built.reader.tokenizer, backbone.label)
    built = _with_heads(built, task)
    with_tokens = cast(Distillation, task).token_weight > 0
    tokenizer = built.reader.tokenizer
    table, answers = ask_about(estimator, teacher, tokenizer, rows, with_tokens=with_tokens)
    return built, table, answers


def _with_heads(built: Built, task: Any) -> Built:
    """Give the module the heads of what is learned, and no other."""
    module = cast(MuxSequenceEmbedder, built.module)
    if isinstance(task, Distillation) and not task.retrieval_weight:
        module.retrieval = None
    if isinstance(task, ReplacedTokens):
        module.replacement_head = nn.Linear(module.encoder.hidden_size, 1)
    return built


def _build_for_words(estimator: Any, rows: list[str]) -> Built:
    """Build tokenizer and module; a new tokenizer gets a token for masks, for a later stage too."""
    backbone = backbone_of(estimator)
    if not isinstance(backbone, Scratch):
        return estimator._kind.build(estimator, rows, OWN_SIZE)
    corpus, setting = Corpus(rows), estimator._setting()
    tokenizer = with_mask(backbone.learn_reader(corpus, estimator.max_length))
    masking = clone(backbone).set_params(tokenizer=tokenizer)
    setting = replace(setting, params={**setting.params, "backbone": masking})
    built = estimator._make_architecture().build(setting, corpus, OWN_SIZE)
    return built._replace(reader=estimator._kind.wrap(estimator, built.reader, built.module))


def ask_about(
    estimator: Any,
    teacher: PretrainedEncoder,
    tokenizer: Any,
    rows: list[str],
    *,
    with_tokens: bool,
) -> tuple[TokenTable, TeacherAnswers]:
    """Let a pretrainer's teacher read rows; see `ask_teacher`.

    Parameters
    ----------
    estimator : MuxTextPretrainer
        Says where answers are kept, on what device the teacher runs, and what is shown meanwhile.
    teacher : PretrainedEncoder
    tokenizer : tokenizers.Tokenizer
    rows : list of str
    with_tokens : bool
        Whether the teacher's vectors of tokens are asked for too.

    Returns
    -------
    table : TokenTable
    answers : TeacherAnswers
    """
    return ask_teacher(
        teacher,
        tokenizer,
        rows,
        with_tokens=with_tokens,
        cache=estimator.cache,
        device=estimator._device(),
        verbose=estimator.verbose,
    )
