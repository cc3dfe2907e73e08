"""What a notebook shows and completes."""

import pytest
from sklearn import config_context

TEXTS = ["snow in the hills", "goal and penalty", "rain"] * 8
LABELS = ["weather", "sport", "weather"] * 8


@pytest.fixture(scope="module")
def fitted(tiny_classifier):
    clf = tiny_classifier(operating_points=(1, 2, "words"), max_epochs=2, warm_up=1)
    return clf.fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def measured(fitted):
    return fitted.measure_operating_points(TEXTS, LABELS, repeats=1)


def test_a_notebook_shows_the_training_below_the_diagram(fitted):
    fitted._measured = None
    shown = fitted._repr_mimebundle_()
    assert "Trained for 2 epochs, loss " in shown["text/html"]
    assert "after a warm-up of 1; 2 classes; 2 slots; 0.0 million weights." in shown["text/html"]
    assert "measure_operating_points(X, y) measures them" in shown["text/html"]
    assert shown["text/html"].startswith("<style>")
    assert "<" not in shown["text/plain"]


def test_a_notebook_shows_each_operating_point(measured):
    shown = measured._repr_html_()
    assert shown.count('<td style="') >= 12
    assert "<caption>measured on 24 rows</caption>" in shown
    for name in (">1 row<", ">2 rows<", ">the words alone<", ">1.0<"):
        assert name in shown
    low, high = (f"{measured.measured_points_[2][name]:.3f}" for name in ("low", "high"))
    assert f"({low} to {high})" in shown


def test_what_is_not_fitted_is_a_diagram_alone(tiny_classifier):
    assert "muxlearn-state" not in tiny_classifier()._repr_html_()


def test_diagrams_can_be_switched_off(fitted):
    with config_context(display="text"):
        assert not hasattr(fitted, "_repr_html_")
        assert list(fitted._repr_mimebundle_()) == ["text/plain"]


def test_completion_offers_what_is_public(fitted):
    names = [name for name in dir(fitted) if not name.startswith("__")]
    assert {"fit", "predict", "n_mux", "classes_", "measure_operating_points"} <= set(names)
    assert [name for name in names if name.startswith("_")] == []
    assert [name for name in names if name.endswith("_request")] == []
    with config_context(enable_metadata_routing=True):
        assert "set_fit_request" in dir(fitted)


def test_a_mistyped_argument_names_the_method_alone(fitted):
    message = r"^(MuxTextClassifier\.)?predict\(\) got an unexpected keyword argument 'nmux'"
    with pytest.raises(TypeError, match=message):
        fitted.predict(TEXTS, nmux=3)


def test_a_parameter_that_is_not_valid_is_shown_all_the_same(fitted):
    device = fitted.device
    fitted.set_params(device="nowhere")
    try:
        assert "device=&#x27;nowhere&#x27;" in fitted._repr_html_()
        assert "nowhere" in fitted._repr_mimebundle_()["text/html"]
    finally:
        fitted.set_params(device=device)
