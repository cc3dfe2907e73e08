"""Models and results that benchmarks keep."""

import numpy as np
import pytest

from muxlearn.benchmark.__main__ import main
from muxlearn.benchmark._models import first_layers, load_or_fit

TEXTS = ["rain again", "a late goal", "sun at last", "a close race"] * 4
LABELS = ["weather", "sport"] * 8


def test_a_kept_model_is_of_the_same_options_and_rows(tiny_classifier, tmp_path):
    folder = tmp_path / "model"
    model, taken = load_or_fit(tiny_classifier(max_epochs=1), TEXTS, LABELS, folder)
    kept, again = load_or_fit(tiny_classifier(max_epochs=1, verbose=1), TEXTS, LABELS, folder)
    assert again == taken
    np.testing.assert_allclose(kept.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-6)
    for asked, rows in ((tiny_classifier(max_epochs=2), TEXTS), (tiny_classifier(), TEXTS[::-1])):
        with pytest.raises(ValueError, match="other options or to other rows"):
            load_or_fit(asked, rows, LABELS, folder)


def test_the_first_layers_are_trained_as_the_whole_is(tiny_classifier):
    asked = tiny_classifier(warm_up=2, max_epochs=3, backbone__num_hidden_layers=2)
    cut = first_layers(asked, 1, TEXTS, LABELS)
    assert (cut.warm_up, cut.max_epochs) == (2, 3)


def test_results_have_a_place_before_anything_is_measured(tmp_path, capsys):
    for file in (tmp_path, tmp_path / "missing" / "x.json"):
        with pytest.raises(SystemExit):
            main(["multiplexing", "--json", str(file)])
        assert "give the name of a file" in capsys.readouterr().err
