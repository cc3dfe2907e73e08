"""The loss of the task, of recovering tokens, and of the words alone."""

import numpy as np
import pytest
import torch

from muxlearn.architectures._retrieval import RetrievalObjective
from muxlearn.nn.text import MuxTrainingOutput
from muxlearn.tasks import ClassesTask


def test_the_words_alone_weigh_less_than_a_point_that_runs_the_encoder():
    task = ClassesTask(np.array([0, 1]))
    objective = RetrievalObjective(task, retrieval_weight=0.0, with_words=True)
    logits, words = torch.tensor([[3.0, -1.0]]), torch.tensor([[-2.0, 2.0]])
    targets, weights = torch.tensor([0]), torch.ones(1)
    of_point = task.loss(logits, targets, weights)
    of_words = task.loss(words, targets, weights)
    output = MuxTrainingOutput(logits, None, None, words)
    loss, _ = objective.loss(None, output, targets, weights)
    assert loss.item() == pytest.approx((of_point + of_words / 4).item())
    assert of_words > of_point > 0
