"""The losses of a warm-up by distillation, on outputs that are made up."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.demultiplex import DEMULTIPLEXERS
from muxlearn.nn.embedding import EmbeddingTrainingOutput, MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.losses import contrastive_logits, cosine_loss, retrieval_loss
from muxlearn.nn.multiplex import MULTIPLEXERS
from muxlearn.training.distillation import Distillation, DistillationObjective
from muxlearn.training.teacher import TeacherAnswers

LENGTHS, SIZE, VOCAB = [4, 7, 5, 6], 8, 12
#: Two mixtures of two rows, in the order in which they are mixed.
ROWS = torch.tensor([2, 0, 3, 1])
#: The row of each read of each mixture: a row fills two slots.
ROWS_OF_READS = torch.tensor([[2, 0, 2, 0], [3, 1, 3, 1]])


@pytest.fixture
def teacher():
    rng = np.random.default_rng(0)
    rows, tokens = (rng.normal(size=(n, SIZE)).astype(np.float16) for n in (4, sum(LENGTHS)))
    return TeacherAnswers(rows, tokens, np.cumsum([0, *LENGTHS[:-1]]), "")


@pytest.fixture
def positions():
    return torch.randint(min(LENGTHS), (2, 4, 3))


@pytest.fixture
def output(positions):
    """What a module that has learned nothing says."""
    rows, mixed, words = torch.randn(3, 4, SIZE)
    retrieval = torch.randn(2, 4, 3, VOCAB), torch.randint(VOCAB, (2, 4, 3))
    tokens = torch.randn(2, 4, 3, SIZE), positions
    return EmbeddingTrainingOutput(rows, mixed, tokens, retrieval, words)


def loss(output, teacher, **weights):
    objective = DistillationObjective(Distillation(**weights), teacher, 8)
    return objective.loss(None, output, ROWS, torch.ones(4))


def tokens_of_teacher(teacher, positions):
    at = torch.from_numpy(teacher.starts)[ROWS_OF_READS][..., None] + positions
    return torch.from_numpy(teacher.tokens).float()[at]


def test_a_token_learns_from_the_teacher_s_at_its_row_and_position(teacher, positions, output):
    tokens = tokens_of_teacher(teacher, positions), positions
    reported = loss(output._replace(tokens=tokens), teacher)[1]
    assert reported["token_cosine"].item() == pytest.approx(1)


def test_a_row_learns_from_the_teacher_s_with_its_number(teacher, output):
    rows = torch.from_numpy(teacher.rows).float()[ROWS]
    reported = loss(output._replace(rows=rows, mixed_rows=-rows), teacher)[1]
    assert reported["cosine"].item() == pytest.approx(1)
    assert reported["mixed_cosine"].item() == pytest.approx(-1)
    assert reported["chosen_acc"].item() == 1


def test_the_loss_is_the_weighted_sum_of_its_parts(teacher, positions, output):
    rows = torch.from_numpy(teacher.rows).float()[ROWS]
    total, _ = loss(
        output,
        teacher,
        contrast_weight=0.7,
        mixed_weight=0.2,
        token_weight=1.5,
        retrieval_weight=0.4,
    )
    chosen = F.cross_entropy(contrastive_logits(output.rows, rows), torch.arange(4))
    expected = (
        2 * cosine_loss(output.rows, rows)
        + 2 * 0.2 * cosine_loss(output.mixed_rows, rows)
        + 2 * cosine_loss(output.words, rows)
        + 0.7 * chosen
        + 1.5 * cosine_loss(output.tokens[0], tokens_of_teacher(teacher, positions))
        + 0.4 * retrieval_loss(*output.retrieval)
    )
    torch.testing.assert_close(total, expected)


def test_what_was_not_asked_for_adds_nothing(teacher, output):
    bare = output._replace(tokens=None, retrieval=None, words=None)
    total, reported = loss(bare, teacher, contrast_weight=0, mixed_weight=0)
    rows = torch.from_numpy(teacher.rows).float()[ROWS]
    torch.testing.assert_close(total, 2 * cosine_loss(output.rows, rows))
    assert set(reported) == {"cosine", "mixed_cosine", "chosen_acc"}


def test_without_a_teacher_there_is_the_retrieval_alone(output):
    total, reported = loss(output, None, retrieval_weight=0.4)
    torch.testing.assert_close(total, 0.4 * retrieval_loss(*output.retrieval))
    assert set(reported) == {"retrieval_acc"}


@pytest.mark.parametrize("weight", ["token_weight", "retrieval_weight"])
def test_a_module_is_asked_for_what_counts_alone(teacher, weight):
    parts = MULTIPLEXERS["hadamard"](4, 16), DEMULTIPLEXERS["mlp"](4, 16)
    module = MuxSequenceEmbedder(CompactEncoder(VOCAB, 16, 1, 2, 32, 16), *parts, SIZE)
    inputs = {"input_ids": torch.randint(VOCAB, (4, 4))}
    weights = Distillation(**{"token_weight": 0, "retrieval_weight": 0, weight: 1})
    output = DistillationObjective(weights, teacher, 8).run(module, inputs, 2)
    assert (output.tokens is not None) == (weight == "token_weight")
    assert (output.retrieval is not None) == (weight == "retrieval_weight")


def test_a_pickle_leaves_the_teacher_behind(teacher):
    objective = DistillationObjective(Distillation(), teacher, 8)
    assert pickle.loads(pickle.dumps(objective)).teacher is None
