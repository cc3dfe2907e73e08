"""Short runs of the fuzzers: what they look for is not there, and they would find it."""

import json

import pytest

from muxlearn.benchmark import _fuzz_folders, _fuzz_inputs
from muxlearn.benchmark.__main__ import main


@pytest.mark.slow
def test_odd_inputs_get_an_answer_or_an_error_of_ours(tmp_path):
    out = tmp_path / "inputs.json"
    options = ["--part", "inputs", "--seed", "7", "--inputs", "3000", "--json", str(out)]
    assert main(["fuzz", *options]) == 0
    *rows, total = json.loads(out.read_text())["rows"]
    assert total["answers"] + total["errors"] == 3000
    assert total["others"] == 0
    assert all(row["errors"] for row in rows)
    assert sum(row["answers"] > 0 for row in rows) > len(rows) / 2


def raise_in_numpy(X):
    return float("no number")


def answer_once(X):
    return ["one"]


@pytest.mark.parametrize(
    ("call", "told"), [(raise_in_numpy, "could not convert"), (answer_once, "1 answers to 2 rows")]
)
def test_what_is_neither_is_told(call, told):
    entry = _fuzz_inputs.Entry("a call", call, lambda rng: ((["a", "b"],), {}), counted=True)
    outcome, details = _fuzz_inputs.try_input(entry, 0, 0)
    assert outcome == "other"
    assert told in details


def test_the_same_seed_and_number_draw_the_same(monkeypatch):
    drawn = []
    entry = _fuzz_inputs.Entry("a call", lambda X: drawn.append(repr(X)), draw_texts)
    for number in (5, 6, 5):
        _fuzz_inputs.try_input(entry, 3, number)
    assert drawn[0] == drawn[2] != drawn[1]


def draw_texts(rng):
    return ([float(value) for value in rng.random(3)],), {}


@pytest.mark.slow
def test_folders_in_which_an_entry_changes_are_refused_or_predict_the_same(tmp_path):
    out = tmp_path / "folders.json"
    options = ["--part", "folders", "--seed", "7", "--mutations", "8", "--json", str(out)]
    assert main(["fuzz", *options]) == 0
    rows = {row["kind"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == set(_fuzz_folders.KINDS)
    for row in rows.values():
        assert row["errors"] + row["equal"] + row["models"] == 8
        assert row["errors"] > 0
        assert row["more_MiB"] < 100


def test_each_entry_of_a_configuration_gets_each_value_but_for_the_checksums():
    config = {"a": {"b": [1, 2, 3]}, "sha256": {"file": "x"}}
    changes = list(_fuzz_folders.mutations(config))
    paths = {path for path, _ in changes}
    assert paths == {("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1)}
    assert len(changes) == len(paths) * len(_fuzz_folders.VALUES)
