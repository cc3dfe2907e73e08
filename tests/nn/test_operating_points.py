"""What networks whose batch statistics are kept apart for each point have in common."""

import torch
from torch import nn

from muxlearn.nn.trunks import MuxTrunkClassifier


def make():
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.9), nn.Conv2d(4, 6, 3))
    tail = [nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)]
    return MuxTrunkClassifier(trunk.extend(tail), 2, 2, bind_after="0", unbind_before="6").eval()


def test_statistics_are_recalibrated_without_dropout():
    model, images = make(), torch.randn(8, 3, 8, 8)
    dropout, norm = model.trunk[1], model.trunk[3]
    dropout.train()  # a mode that the rest has not
    model.recalibrate([images])
    assert dropout.training
    assert not norm.training
    with_dropout = norm.running_var.clone()
    dropout.p = 0.0
    model.recalibrate([images])
    torch.testing.assert_close(norm.running_var, with_dropout)
