"""How long a training and its warm-up last where users leave that to us."""

import numpy as np
import pytest

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Packaged, Scratch
from muxlearn.estimators._fitting import _warm_up_epochs, make_trainer


@pytest.mark.parametrize(
    ("backbone", "given", "max_epochs", "expected"),
    [
        (Scratch(), "auto", 3, 5),
        (Packaged(), "auto", 1, 1),
        (Packaged(), "auto", 6, 2),
        (Packaged(), "auto", 100, 5),
        (Packaged(), "auto", 0, 5),  # the warm-up is all there is
        (Packaged(), 7, 1, 7),
        (Packaged(), None, 100, 0),
    ],
)
def test_the_warm_up_of_a_trained_encoder_is_a_fifth_of_the_epochs(
    backbone, given, max_epochs, expected
):
    clf = MuxTextClassifier(backbone=backbone, warm_up=given, max_epochs=max_epochs)
    assert _warm_up_epochs(clf) == expected


@pytest.mark.parametrize(("given", "patience"), [(True, 3), (np.True_, 3), (1, 1), (7, 7)])
def test_early_stopping_waits_for_three_epochs(tiny_classifier, given, patience):
    clf = tiny_classifier(max_epochs=0, warm_up=None).fit(["a", "b"], [0, 1])
    clf.set_params(early_stopping=given)
    architecture = clf._architecture_of(clf.module_)
    assert make_trainer(clf, clf._setting(), architecture, clf.module_).patience == patience
