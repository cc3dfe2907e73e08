"""Figures of operating points."""

import pytest

from muxlearn.points import Point
from muxlearn.prediction._onnx import OnnxRunner
from muxlearn.prediction._points import measure_points, resolve_point, share_interval


@pytest.mark.parametrize(
    ("share", "n_rows", "low", "high"),
    [
        (1.0, 30, 0.886, 1.0),
        (0.5, 100, 0.404, 0.596),
        (0.0, 10, 0.0, 0.278),
        (0.9, 1000, 0.88, 0.917),
    ],
)
def test_the_interval_of_a_share_is_wilsons(share, n_rows, low, high):
    # As statsmodels' proportion_confint(..., method="wilson") gives them.
    assert share_interval(share, n_rows) == pytest.approx({"low": low, "high": high}, abs=1e-3)


def test_a_score_that_is_no_share_has_no_interval():
    measured = measure_points([1, 2], lambda n_mux: -0.5, lambda n_mux: None, 7, 1)
    assert [set(figures) for figures in measured.values()] == [
        {"score", "rows_per_second", "n_rows"}
    ] * 2


def test_an_exported_model_names_points_so_that_the_export_takes_them():
    runner = OnnxRunner({Point(1, 2): b""})
    message = r"is \(1, 1\), .* for \(1, 2\); export it with n_mux=\[\(1, 1\), \(1, 2\)\]$"
    with pytest.raises(ValueError, match=message):
        resolve_point((1, 1), runner)
