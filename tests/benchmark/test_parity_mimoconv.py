"""The numbers of MIMOConv's reference. The data: see `muxlearn.benchmark._parity_mimoconv`."""

import math
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from muxlearn.benchmark import _parity_mimoconv, parity
from muxlearn.benchmark.__main__ import main

DATA = Path(__file__).parents[1] / "data"
CASE = DATA / "mimoconv_mimonet-2stage_hrr_n2_1x28.json"
COPIED = [CASE, DATA / "binding_micro.json"]
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
ABSENT = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
RECORDED = [
    pytest.param(path, id=path.stem) for path in sorted((GOLDEN / "mimoconv").glob("*.json"))
] or [pytest.param(None, id="none", marks=ABSENT)]


def assert_parity(path):
    rows = parity.check_case(path)
    assert rows
    assert [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize("path", COPIED, ids=lambda path: path.stem)
def test_parity_on_the_copied_cases(path):
    assert_parity(path)


@pytest.mark.parametrize("path", RECORDED)
def test_parity_on_all_recorded_cases(path):
    assert_parity(path)


def test_every_quantity_is_compared():
    names = {"logits_sup1", "logits_sup2", "binding_reg", "isometry_reg"}
    names |= {"logits_sup1, folded", "logits_sup2, folded"}
    assert _parity_mimoconv.errors(CASE).keys() == names | {f"float64 {name}" for name in names}


@pytest.fixture
def folder(tmp_path):
    for path in (CASE, CASE.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path


def show(folder):
    return main(["parity", "--golden", str(folder)]) == 0


def test_all_is_well(folder, capsys):
    assert show(folder)
    *lines, summary = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert all(line.endswith("  ok") for line in lines)
    assert summary.startswith("12 of 12 quantities")


def test_double_precision_must_be_nearer(folder):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    tensors["output64.logits_sup1"][0, 0] += 1e-7
    save_file(tensors, path)
    failed = {row["quantity"] for row in parity.run(folder) if not row["ok"]}
    assert failed == {"float64 logits_sup1", "float64 logits_sup1, folded"}


@pytest.mark.parametrize("change", [1e-4, math.nan])
@pytest.mark.parametrize("name", ["output.logits_sup2", "output64.logits_sup1"])
def test_a_number_that_is_off_fails(folder, capsys, change, name):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    tensors[name][0, 0] += change
    save_file(tensors, path)
    assert not show(folder)
    assert capsys.readouterr().out.count("FAILED") == 2


def test_a_slot_order_that_is_off_fails(folder):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    tensors["weight.channelConv.weight"] = tensors["weight.channelConv.weight"].flip(0)
    save_file(tensors, path)
    failed = {row["quantity"] for row in parity.check_case(folder / CASE.name) if not row["ok"]}
    assert {"logits_sup2", "float64 logits_sup2"} <= failed


TRAINED = sorted((GOLDEN / "mimoconv").glob("train*.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem) for path in TRAINED]
    or [pytest.param(None, id="none", marks=ABSENT)],
)
def test_training_that_is_off_fails_however_often_it_is_repeated(path, tmp_path):
    shutil.copy(path, tmp_path)
    tensors = load_file(path.with_suffix(".safetensors"))
    name = next(name for name in tensors if name.startswith("after.") and tensors[name].ndim > 1)
    tensors[name] = tensors[name] + 5e-5
    save_file(tensors, tmp_path / path.with_suffix(".safetensors").name)
    failed = {row["quantity"] for row in parity.run(tmp_path) if not row["ok"]}
    assert failed == {"final state"}
