"""A warning names the line of the user."""

import warnings

import numpy as np
import pytest

from muxlearn import MuxImageClassifier
from muxlearn._warnings import warn
from muxlearn.architectures import MIMOConv

TEXTS = ["rain", "sun", "snow and ice", "wind"]


@pytest.fixture
def lines():
    """Return a function that calls another, and returns the files that its warnings name."""

    def warned(call, *args):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(*args)
        return [item.filename for item in caught if "sklearn" not in item.filename]

    return warned


def test_a_classifier_names_the_line_of_its_fit(lines, tiny_classifier):
    assert lines(tiny_classifier().fit, TEXTS, ["x"] * 4) == [__file__]


def test_a_tagger_names_the_line_of_its_score(lines, tiny_tagger):
    X, y = [["a", "b"], ["c"]], [["x", "y"], ["x"]]
    tagger = tiny_tagger(max_epochs=0).fit(X, y)
    assert lines(tagger.score, X, [["z", "y"], ["x"]]) == [__file__]


def test_images_of_another_scale_name_each_line_that_predicts(lines):
    X = np.random.default_rng(0).integers(0, 256, (8, 8, 8)).astype(np.uint8)
    clf = MuxImageClassifier(2, architecture=MIMOConv(width=1, depth=10), max_epochs=0)
    clf.fit(X, [0, 1] * 4)
    dark = np.full((1, 8, 8), 0.5)
    assert lines(clf.predict, dark) == [__file__]
    assert lines(clf.predict, dark) == [__file__]


def test_a_call_from_outside_names_itself(lines):
    assert lines(warn, "mind the gap") == [__file__]
