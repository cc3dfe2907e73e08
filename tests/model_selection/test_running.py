"""What decides where a row of a cascade stops, and what is noted of it."""

import numpy as np
import pytest

from muxlearn.model_selection._running import Cascade, answer
from muxlearn.model_selection._stages import Stage
from tests.model_selection.columns import Column, draw

ROWS = draw(10)


def test_a_row_right_at_its_threshold_stops():
    own = [Stage(i, Column(i).fit(*ROWS)) for i in (0, 1)]
    row = np.array([[2.0, -1.0]])
    sure = np.array([stage.classifier.predict_proba(row).max(axis=1) for stage in own])
    found = Cascade(own, sure[0], np.ones(2), np.array(["no", "yes"]))
    assert found.predict_proba(row).argmax(axis=1).tolist() == [1]
    assert [share.tolist() for share in found.shares(sure, np.ones(1))] == [[1, 0], [1, 0]]


def test_a_digest_tells_apart_all_that_decides_a_prediction():
    given = {"name": "a", "n_mux": 4, "digest": "x", "threshold": 0.9, "temperature": 1.0}

    def digest(name, n_mux, digest, threshold, temperature):
        own = [Stage(name, None, n_mux, digest)]
        return Cascade(own, np.array([threshold]), np.array([temperature]), ROWS[1]).fingerprint()

    changes = {"name": "b", "n_mux": 2, "digest": "y", "threshold": 0.8, "temperature": 2.0}
    others = {digest(**{**given, name: value}) for name, value in changes.items()}
    assert len({digest(**given), *others}) == 6


class Odd(Column):
    def predict_proba(self, X):
        return np.array([[0.5, np.nan], [np.inf, 0.0], [0.5, 0.5]])


def test_a_single_probability_that_is_none_is_enough_to_refuse():
    with pytest.raises(ValueError, match=r"the stage 'odd' .* for 2 of 3 rows"):
        answer(Stage("odd", Odd()), np.zeros((3, 1)))
