import argparse
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from muxlearn.benchmark import parity

CASE = Path(__file__).parents[1] / "data" / "datamux_seqcls_gaussian_hadamard_mlp_N2.json"


@pytest.fixture
def folder(tmp_path):
    for path in (CASE, CASE.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path


def run_main(folder):
    parser = argparse.ArgumentParser()
    parity.add_arguments(parser)
    return parity.main(parser.parse_args(["--golden", str(folder)]))


def test_all_is_well(folder, capsys):
    assert run_main(folder) == 0
    assert "12 of 12 quantities within 2e-05" in capsys.readouterr().out


@pytest.mark.parametrize("change", [1e-4, float("nan")])
def test_a_number_that_is_off_fails(folder, capsys, change):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    tensors["output.logits"][0, 0] += change
    save_file(tensors, path)
    assert run_main(folder) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert [line.split()[1] for line in failed] == ["logits"]


def test_a_shape_that_is_off_fails(folder):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    tensors["output.loss"] = tensors["output.loss"].expand(3).clone()
    save_file(tensors, path)
    assert [row["quantity"] for row in parity.run(folder) if not row["ok"]] == ["loss"]


@pytest.mark.parametrize(
    ("official_class", "reason"),
    [("x.SomethingMuxed", "no counterpart of SomethingMuxed"), (None, "names no official_class")],
)
def test_what_is_not_covered_is_listed(folder, capsys, official_class, reason):
    path = folder / CASE.name
    case = json.loads(path.read_text()) | {"official_class": official_class}
    path.write_text(json.dumps(case))
    assert run_main(folder) == 1
    assert f"skipped: {reason}" in capsys.readouterr().out


def test_nothing_found_fails(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert run_main(tmp_path) == 1
    assert "no case below" in capsys.readouterr().out
