import json
from argparse import ArgumentTypeError
from functools import partial

import numpy as np
import pytest

from muxlearn.benchmark import lra
from muxlearn.benchmark.__main__ import main

TINY = [
    *("--layers", "1", "--width", "16", "--mlp", "16", "--heads", "1", "--head-dim", "8"),
    *("--features", "16", "--batch-rows", "8", "--steps", "16", "--repeats", "1"),
]


def read_rows(path):
    return json.loads(path.read_text())["rows"]


def test_listops_sets_each_grid_beside_the_performer_and_keeps_the_models(tmp_path):
    out, models = tmp_path / "lra.json", tmp_path / "models"
    lengths = ["--min-length", "5", "--max-length", "16", "--n-train", "64", "--n-test", "16"]
    which = ["--grid", "2x2", "--variant", "att", "att+mlp", "--softmax"]
    command = ["lra", *TINY, *lengths, *which, "--json", str(out), "--models", str(models)]
    assert main(command) == 0
    rows = read_rows(out)
    assert [(row["task"], row["variant"], row["grid"]) for row in rows] == [
        ("listops", "performer", "1x1"),
        ("listops", "softmax", "1x1"),
        ("listops", "att", "2x2"),
        ("listops", "att+mlp", "2x2"),
    ]
    assert float(rows[0]["delta"]) == 0
    assert rows[0]["speed_up"] == 1
    drop = float(rows[2]["accuracy"]) - float(rows[0]["accuracy"])
    assert float(rows[2]["delta"]) == pytest.approx(drop, abs=2e-4)
    assert 0 < float(rows[0]["majority"]) < 1
    # Of 32 steps each: one epoch of warm-up and, at the least, one of training.
    assert [row["steps"] for row in rows] == [16, 16, 64, 64]
    # A second run takes the models as they are.
    assert main(command) == 0
    again = read_rows(out)
    assert [(row["fit_s"], row["steps"], row["accuracy"]) for row in again] == [
        (row["fit_s"], row["steps"], row["accuracy"]) for row in rows
    ]


def test_pathfinder_is_read_as_pixels(tmp_path):
    out = tmp_path / "lra.json"
    sizes = ["--size", "16", "--path-length", "3", "--n-train", "16", "--n-test", "8"]
    assert main(["lra", "--task", "pathfinder", *TINY, *sizes, "--json", str(out)]) == 0
    assert [row["grid"] for row in read_rows(out)] == ["1x1", "2x2"]
    assert "up to 256 tokens" in json.loads(out.read_text())["title"]


@pytest.fixture
def options():
    from argparse import ArgumentParser

    parser = ArgumentParser()
    lra.add_arguments(parser)
    return lambda *args: parser.parse_args([*args, "--n-train", "6", "--n-test", "4"])


def test_fetched_rows_are_shuffled_and_grey_values_known(options, monkeypatch):
    grey = {"train": np.arange(40).reshape(10, 4), "test": np.full((10, 4), 255)}
    monkeypatch.setattr(lra, "fetch_lra_image", lambda source, split: (grey[split], np.arange(10)))
    split = lra.read_task(options("--task", "image"), 0)
    assert len(split.X_train) == len(split.y_train) == 6
    assert len(split.X_test) == 4
    np.testing.assert_array_equal(split.X_train[:, 0], 4 * split.y_train)
    assert split.y_train.tolist() != list(range(6))
    assert split.X_test.max() == split.X_train.max()
    assert split.max_length == 4


def test_reviews_are_read_as_bytes(options, monkeypatch):
    texts = [f"review {i}" for i in range(10)]
    monkeypatch.setattr(lra, "fetch_lra_text", lambda source, split: (texts, np.arange(10)))
    args = options("--task", "text", "--max-length", "9")
    split = lra.read_task(args, 0)
    assert split.tokenizer == "byte"
    assert [f"review {i}" for i in split.y_train] == split.X_train
    clf = lra.build(args, lra.list_models(args)[1], split, 0)
    assert (clf.n_mux, clf.architecture.grid, clf.max_length) == (4, (2, 2), 9)


def test_papers_are_read_from_a_folder(options, tmp_path):
    for part, n_rows in (("train", 8), ("test", 5)):
        lines = [f"{i % 2}\ta\tb\tfirst {i}\tsecond {i}\n" for i in range(n_rows)]
        (tmp_path / f"new_aan_pairs.{part}.tsv").write_text("".join(lines))
    split = lra.read_task(options("--task", "retrieval", "--data", str(tmp_path)), 0)
    assert len(split.X_train) == 6
    assert all(row[0][6:] == row[1][7:] for row in split.X_train)
    with pytest.raises(SystemExit, match="give --data FOLDER"):
        lra.read_task(options("--task", "retrieval"), 0)


def test_every_model_learns_from_as_many_rows(options):
    args = options("--batch-rows", "32", "--steps", "600", "--mux-steps", "1200", "--grid", "4x4")
    split = lra.Split([[0]] * 320, None, [], None, 1)
    performer, mux = map(partial(lra.build, args, split=split, seed=0), lra.list_models(args))
    assert (performer.batch_size, performer.max_epochs) == (32, 60)
    assert (mux.batch_size, mux.max_epochs) == (2, 8)  # 7.5 epochs of 160 steps


@pytest.mark.parametrize("text", ["2", "2x", "2x0", "ax2", "2x2x2"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="is no grid"):
        lra._grid(text)
