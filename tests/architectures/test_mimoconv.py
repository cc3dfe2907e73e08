"""The losses and limits of `MIMOConv`."""

import numpy as np
import pytest
import torch

from muxlearn import MuxImageClassifier
from muxlearn.architectures import MIMOConv
from muxlearn.architectures._mimoconv import RegularisedObjective
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer
from muxlearn.tasks import ClassesTask

LOGITS, TARGETS = torch.tensor([[0.0, 1], [2, 0]]), torch.tensor([0, 1])


@pytest.fixture
def network():
    network = MuxWideResNet(2, 2, depth=10, width=1, initial_width=1, binding="hrr")
    torch.nn.init.normal_(network.binding.keys)
    return network


def loss(network, isometry_weight, binding_weight):
    task = ClassesTask(np.arange(2))
    objective = RegularisedObjective(task, 0.0, isometry_weight, binding_weight)
    return objective.loss(network, LOGITS, TARGETS, torch.ones(2))[0]


def test_the_isometry_of_the_convolutions_counts_by_its_weight(network):
    term = isometry_regularizer(network.trunk.convolutions())
    added = loss(network, 0.5, 0.0) - loss(network, 0.0, 0.0)
    torch.testing.assert_close(added, (0.5 * term).to(added), rtol=1e-4, atol=1e-5)


def test_the_keys_count_by_their_weight(network):
    term = binding_regularizer(network.binding)
    added = loss(network, 0.0, 0.5) - loss(network, 0.0, 0.0)
    torch.testing.assert_close(added, (0.5 * term).to(added), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("multiplexer", ["auto", "subspace"])
def test_more_slots_than_channels_are_refused(multiplexer):
    clf = MuxImageClassifier(
        n_mux=17, architecture=MIMOConv(initial_width=1), multiplexer=multiplexer
    )
    message = (
        "`n_mux` is 17, but 16 channels hold at most 16 slots; lower `n_mux` or raise "
        "`initial_width`, which is 1"
    )
    with pytest.raises(ValueError, match=message):
        clf.fit(np.zeros((4, 8, 8), np.float32), [0, 1, 0, 1])
