"""The authors' numbers, from our parts, and the command that compares them."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from muxlearn.benchmark import _parity_case, _parity_text, parity
from muxlearn.benchmark.__main__ import main
from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    ReferenceSequenceClassifier,
)

DATA = Path(__file__).parents[1] / "data"
CASE = DATA / "datamux_seqcls_gaussian_hadamard_mlp_N2.json"
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
ABSENT = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")


def recorded(pattern):
    paths = sorted(GOLDEN.glob(pattern))
    return [pytest.param(p, id=p.stem) for p in paths] or [
        pytest.param(None, id="none", marks=ABSENT)
    ]


# Parity.


@pytest.mark.parametrize(
    "path",
    # MUX-ELECTRA's cases have other outputs; tests/nn/reference has them.
    sorted([*DATA.glob("datamux*.json"), *DATA.glob("muxbert*.json")]),
    ids=lambda path: path.stem,
)
def test_parity_on_the_copied_cases(path):
    rows = parity.check_case(path)
    assert len(rows) >= 11
    assert [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize("path", [*recorded("datamux/*.json"), *recorded("muxbert/*.json")])
def test_parity_on_all_recorded_cases(path):
    rows = parity.check_case(path)
    assert len(rows) >= 14
    assert [row for row in rows if not row["ok"]] == []


CHECKPOINTS = [
    (
        "ckpt_datamux_seqcls_index_N2",
        ReferenceSequenceClassifier,
        "datamux/datamux_seqcls_gaussian_hadamard_index_N2",
    ),
    (
        "ckpt_muxbert_seqcls_index_pos_N2",
        MuxBertSequenceClassifier,
        "muxbert/muxbert_seqcls_gaussian_hadamard_index_pos_N2",
    ),
    (
        "ckpt_muxbert_mlm_contextual_index_pos_N2",
        MuxBertMaskedLM,
        "muxbert/muxbert_mlm_gaussian_attention_v2_index_pos_N2",
    ),
]


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no recorded cases")
@pytest.mark.parametrize(("folder", "model_class", "case"), CHECKPOINTS)
def test_saved_checkpoints_give_their_cases_numbers(folder, model_class, case):
    config = json.loads((GOLDEN / folder / "config.json").read_text())
    tensors = torch.load(GOLDEN / folder / "pytorch_model.bin", weights_only=True)
    model = model_class.from_state_dict(config, tensors)
    _, _, expected = parity.load_case(GOLDEN / f"{case}.json")
    ids, labels, mask = (
        expected[f"input.{name}"] for name in ("input_ids", "labels", "attention_mask")
    )
    logits = model(ids, labels, attention_mask=mask).logits
    torch.testing.assert_close(logits, expected["output.logits"], rtol=0, atol=2e-5)


def test_both_demultiplexers_and_both_levels_are_copied():
    names = " ".join(path.stem for path in DATA.glob("*mux*.json"))
    assert all(kind in names for kind in ("mlp", "index_N", "index_pos", "seqcls", "tokcls"))


# The command.


@pytest.fixture
def folder(tmp_path):
    for path in (CASE, CASE.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path


def change(folder, **tensors):
    path = folder / CASE.with_suffix(".safetensors").name
    save_file(load_file(path) | {f"output.{k}": v for k, v in tensors.items()}, path)


def run_main(folder, *options):
    return main(["parity", "--golden", str(folder), *options])


def test_all_is_well(folder, capsys, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "parity.json"
    assert run_main(folder, "--json", str(out)) == 0
    assert "14 of 14 quantities within 2e-05" in capsys.readouterr().out
    assert [row["ok"] for row in json.loads(out.read_text())["rows"]] == [True] * 14


@pytest.mark.parametrize("difference", [1e-4, float("nan")])
def test_a_number_that_is_off_fails(folder, capsys, difference):
    _, _, expected = parity.load_case(CASE)
    expected["output.logits"][0, 0] += difference
    change(folder, logits=expected["output.logits"])
    assert run_main(folder) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert [line.split()[1] for line in failed] == ["logits"]


def test_a_shape_that_is_off_fails(folder):
    change(folder, loss=torch.zeros(3))
    assert [row["quantity"] for row in parity.run(folder) if not row["ok"]] == ["loss"]


def test_a_quantity_that_nobody_computes_fails(folder):
    change(folder, surprise=torch.zeros(3))
    failed = [row for row in parity.run(folder) if not row["ok"]]
    assert [(row["quantity"], row["error"]) for row in failed] == [("surprise", float("inf"))]


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


def test_every_counterpart_is_covered():
    for name in _parity_text.COUNTERPARTS:
        assert _parity_text.covers({"official_class": f"models.{name}"})


# Errors.


@pytest.mark.parametrize(
    ("ours", "theirs", "error"),
    [
        ([1.0, 2.0], [1.5, 2.0], 0.5),
        ([float("nan"), 1.0], [float("nan"), 1.0], 0.0),
        ([1, 2], [1, 4], 2.0),
        ([True, False], [True, True], 1.0),
        ([], [], 0.0),
        ([1.0], [1.0, 2.0], float("inf")),
    ],
)
def test_the_error_is_the_largest(ours, theirs, error):
    assert _parity_case.max_error(torch.tensor(ours), torch.tensor(theirs)) == error


def test_a_nan_on_one_side_is_no_match():
    error = _parity_case.max_error(torch.tensor([float("nan")]), torch.ones(1))
    assert not error <= parity.TOLERANCE
