"""The numbers of MIMOFormer's reference. The data: see `muxlearn.benchmark._parity_mimoformer`."""

import math
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from muxlearn.benchmark import _parity_mimoformer, parity

DATA = Path(__file__).parents[1] / "data"
COPIED = sorted(DATA.glob("mimoformer_*.json"))
CASE = DATA / "mimoformer_attmlp_m2n2_tied.json"
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
ABSENT = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
RECORDED = [
    pytest.param(path, id=path.stem) for path in sorted((GOLDEN / "mimoformer").glob("*.json"))
] or [pytest.param(None, id="none", marks=ABSENT)]


def assert_parity(path):
    rows = parity.check_case(path)
    assert len(rows) >= 7
    assert [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize("path", COPIED, ids=lambda path: path.stem)
def test_parity_on_the_copied_cases(path):
    assert_parity(path)


@pytest.mark.parametrize("path", RECORDED)
def test_parity_on_all_recorded_cases(path):
    assert_parity(path)


def test_both_variants_and_both_kinds_of_positions_are_copied():
    names = " ".join(path.stem for path in COPIED)
    assert all(kind in names for kind in ("att_", "attmlp_", "fixedpos"))


def test_every_quantity_is_compared():
    names = {"tokens", "logits", "loss_per_item", "accuracy_per_item", "isometry_reg"}
    names |= {"tokens, folded", "logits, folded"}
    assert _parity_mimoformer.errors(CASE).keys() == names


@pytest.fixture
def folder(tmp_path):
    for path in (CASE, CASE.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path


def failed_after(folder, change):
    path = folder / CASE.with_suffix(".safetensors").name
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return {row["quantity"] for row in parity.check_case(folder / CASE.name) if not row["ok"]}


@pytest.mark.parametrize("difference", [1e-4, math.nan])
def test_a_number_that_is_off_fails(folder, difference):
    def change(tensors):
        tensors["output.tokens"][0, 0, 0] += difference

    assert failed_after(folder, change) == {"tokens", "tokens, folded"}


@pytest.mark.parametrize("name", ["bindings", "bindings_embedding"])
def test_keys_in_another_order_fail(folder, name):
    def change(tensors):
        key = f"weight.model.transformer.mha.attn.{name}"
        tensors[key] = tensors[key].transpose(1, 2).contiguous()

    assert {"tokens", "tokens, folded"} <= failed_after(folder, change)


def test_a_quantity_that_nobody_computes_fails(folder):
    def change(tensors):
        tensors["output.surprise"] = tensors["output.logits"].clone()

    assert failed_after(folder, change) == {"surprise"}
