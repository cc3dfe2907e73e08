"""What companions and other tenants do is measured, with the ways out beside it."""

import json
from collections import Counter

import numpy as np
import pytest

from muxlearn.benchmark.__main__ import main
from muxlearn.benchmark._report import synthetic_texts
from muxlearn.benchmark.companions import attack
from muxlearn.points import Point


def read_rows(path):
    return json.loads(path.read_text())["rows"]


@pytest.fixture
def files(tmp_path):
    texts = synthetic_texts(60, (2, 5))
    lines = [f"{'ab'[len(text) % 2]}\t{text}\n" for text in texts]
    for name in ("train", "test"):
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
    return [str(tmp_path / "train.tsv"), str(tmp_path / "test.tsv")]


@pytest.mark.slow
def test_an_adversary_reaches_more_than_chance_and_nothing_where_no_rows_are_mixed(files, tmp_path):
    out = tmp_path / "companions.json"
    options = ["--data", *files, "--backbone", "scratch", "--epochs", "1", "--max-length", "16"]
    options += [
        "--train-rows",
        "1000",
        "--points",
        "2",
        "1,2",
        "--victims",
        "20",
        "--queries",
        "20",
        "--json",
        str(out),
    ]
    assert main(["companions", *options]) == 0
    mixed, alone = read_rows(out)
    assert mixed["by_adversary"] >= mixed["by_chance"]
    assert mixed["lost_probability"] > 1e-3
    assert mixed["with_groups"] == 0
    assert (alone["by_chance"], alone["by_adversary"], alone["with_groups"]) == (0, 0, 0)
    assert alone["lost_probability"] < 1e-6


class Copying:
    """Says of a row what the last of its group is, which is a pair."""

    def predict_proba(self, texts, groups):
        assert max(Counter(groups).values()) <= 2
        last = dict(zip(groups, texts, strict=True))
        return np.array([[last[group] == "a", last[group] != "a"] for group in groups], float)


@pytest.mark.parametrize("point", [Point(2, 1), Point(2, 5)])
def test_the_adversary_finds_the_one_companion_that_flips_a_label(point):
    pool = ["a"] * 30 + ["b"]
    found = attack(Copying(), point, ["a"] * 40, pool, 200, np.random.default_rng(0))
    assert found["by_chance"] < 0.2
    assert found["by_adversary"] > 0.9
    assert found["with_groups"] == 0


@pytest.mark.slow
def test_rows_of_others_change_no_label_and_their_number_none_of_predict(tmp_path):
    out = tmp_path / "tenants.json"
    ways = ["predict", "predict_iter", "predict_dataset"]
    sizes = ["--rows", "12000", "--engine-rows", "2000", "--slots", "4"]
    options = [*sizes, "--by", *ways, "--json", str(out)]
    assert main(["tenants", *options]) == 0
    rows = {row["by"]: row for row in read_rows(out)}
    assert all(row["labels_by_content"] == 0 for row in rows.values())
    assert all(row["most_by_content"] < 1e-5 for row in rows.values())
    assert all(rows[way]["labels_by_number"] == 0 for way in ("predict", "predict_iter"))
    assert rows["predict_dataset"]["most_by_number"] > 1e-3


@pytest.mark.slow
def test_each_tenant_of_a_server_gets_the_answer_that_it_gets_alone(tmp_path):
    pytest.importorskip("uvicorn")
    out = tmp_path / "tenants.json"
    options = ["--requests", "1000", "--clients", "16", "--slots", "4", "--json", str(out)]
    assert main(["tenants", "--by", "server", *options]) == 0
    (row,) = read_rows(out)
    assert row["of_the_group"] > 200
    assert row["most_by_content"] < 1e-5
