"""The GPU benchmark rehearsed on a CPU: every section runs and says what it ran."""

import json

import pytest
import torch

from muxlearn.benchmark import gpu
from muxlearn.benchmark.__main__ import main

TINY = [
    *("--device", "cpu", "--dtype", "float32", "--sizes", "6 x 384", "--length", "12"),
    *("--points", "1,1", "1,3", "2,3", "--batch-rows", "4", "8", "--compile", "0"),
    *("--image-sizes", "10", "1", "--image-batches", "4", "--long", "16", "16"),
    *("--n-texts", "40", "--workers", "1", "--budget", "0.001"),
]


@pytest.fixture(autouse=True)
def _small_models(monkeypatch):
    monkeypatch.setitem(gpu._SIZES, "6 x 384", (1, 24, 2))


@pytest.mark.parametrize(
    ("section", "points"),
    [
        pytest.param("text", ["1,1", "1,3", "2,3"], marks=pytest.mark.slow),
        pytest.param("strings", ["1,1", "1,5", "2,5"], marks=pytest.mark.slow),
        pytest.param(
            "image", ["identity 1", "hrr 1", "hrr 2", "hrr 4", "mbat 4"], marks=pytest.mark.slow
        ),
        ("mimoformer", ["performer 1", "att 2", "att+mlp 2", "att 4", "att+mlp 4"]),
    ],
)
def test_each_section_sets_its_points_beside_their_twin(section, points, tmp_path):
    assert main(["gpu", *TINY, "--sections", section, "--json", str(tmp_path / "gpu.json")]) == 0
    rows = json.loads((tmp_path / f"gpu-{section}.json").read_text())["rows"]
    found = [row["point"] for row in rows if row["point"]]
    assert list(dict.fromkeys(found)) == points
    assert all(row["rows_per_s"] > 0 for row in rows)
    twins = [row["speed_up"] for row in rows if row["point"] == points[0]]
    assert twins == pytest.approx([1.0] * len(twins))


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without CUDA")
def test_without_cuda_it_says_what_else_to_run(capsys):
    assert main(["gpu"]) == 2
    assert "python -m muxlearn.benchmark speed" in capsys.readouterr().out


def test_a_section_that_fails_leaves_the_others(tmp_path, monkeypatch, capsys):
    def fail(*args):
        raise RuntimeError("too much")

    monkeypatch.setattr(gpu, "_image", fail)
    options = ["--sections", "image", "mimoformer", "--json", str(tmp_path / "gpu.json")]
    assert main(["gpu", *TINY, *options]) == 1
    assert "image: RuntimeError: too much" in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu-mimoformer.json").read_text())["rows"]
