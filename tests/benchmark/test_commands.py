"""The benchmarks run and say what they ran; what they measure is not judged here."""

import gzip
import json
from argparse import ArgumentParser

import numpy as np
import pytest

from muxlearn.benchmark import pixels, revmux
from muxlearn.benchmark.__main__ import COMMANDS, main
from muxlearn.benchmark._report import median_ratio, paired_seconds, synthetic_texts
from muxlearn.benchmark.image import read_mnist

TINY = [
    *("--layers", "1", "--width", "16", "--heads", "2", "--length", "8", "--vocab-size", "300"),
    *("--n-mux", "2", "--batch-size", "2"),
]


def read_rows(path):
    return json.loads(path.read_text())["rows"]


@pytest.mark.parametrize("extra", [[], ["--from-strings"]])
def test_speed_reports_the_twin_and_each_n_mux(tmp_path, extra):
    out = tmp_path / "speed.json"
    assert (
        main(["speed", *TINY, "--repeats", "1", *extra, "--min-rows", "4", "--json", str(out)]) == 0
    )
    rows = read_rows(out)
    assert [row["n_mux"] for row in rows] == [1, 2]
    assert rows[0]["speed_up"] == 1.0


def test_speed_times_the_tagger_on_sentences_of_tokens(tmp_path):
    out = tmp_path / "speed.json"
    options = ["--tokens", "3", "6", "--min-rows", "4", "--json", str(out)]
    assert main(["speed", *TINY, "--repeats", "1", *options]) == 0
    assert [row["n_mux"] for row in read_rows(out)] == [1, 2]
    assert "from tokens to tags" in json.loads(out.read_text())["title"]


@pytest.mark.slow
def test_memory_measures_each_model_in_its_own_process(tmp_path):
    out = tmp_path / "memory.json"
    assert main(["memory", *TINY, "--json", str(out)]) == 0
    assert all(row["peak_MiB"] >= row["loaded_MiB"] > 0 for row in read_rows(out))


def test_folded_subspaces_read_no_more_than_plain_embedding(tmp_path):
    out = tmp_path / "multiplexing.json"
    sizes = ["--width", "16", "--length", "8", "--vocab-size", "300", "--mixtures", "2"]
    assert main(["multiplexing", *sizes, "--n-mux", "4", "--repeats", "1", "--json", str(out)]) == 0
    read = {row["what"]: row["numbers_read"] for row in read_rows(out)}
    assert read == {"embedding": 16, "subspace": 16, "hadamard": 64, "orthogonal": 64}


@pytest.mark.slow
def test_retrieval_scores_each_combination(tmp_path, capsys):
    data, out = tmp_path / "texts.txt", tmp_path / "retrieval.json"
    data.write_text("\n".join(synthetic_texts(2040, (2, 4))))
    options = ["--data", str(data), "--n-mux", "2", "--epochs", "1", "--json", str(out)]
    assert main(["retrieval", *options]) == 0
    assert 0 <= read_rows(out)[0]["recovered"] <= 1


def test_json_names_machine_and_options(tmp_path):
    out = tmp_path / "speed.json"
    main(["speed", *TINY, "--repeats", "1", "--json", str(out)])
    written = json.loads(out.read_text())
    assert written["machine"]["torch"]
    assert written["options"]["n_mux"] == [2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert COMMANDS[command].split()[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["image", "--depth", "11"], "image: depth=11 is not 6 k"),
        (["image", "--plot", "accuracy.png"], "--plot draws accuracies, .*; give --data too"),
        (["pixels", "--data", "nowhere"], "pixels: .*No such file or directory: 'nowhere"),
        (["frontier", "--data", "nowhere"], "frontier: `path`: there is no file 'nowhere'"),
        (["frontier", "--data", "films", "--kind", "pairs"], "rows of 'films' are texts"),
        (["answers", "--data", "nowhere"], "answers: `path`: there is no file 'nowhere'"),
        (["answers", "--data", "nowhere", "--points", "words"], "--points has the words alone"),
        (["pipeline", "--words", "5", "3"], "pipeline: from 5 to 3 words is no range"),
        (["multiplexing", "--multiplexer", "subspaces"], "'subspaces', which is none of hadamard"),
        (["mimoformer", "--rows", "6", "--sides", "2"], "--rows 6 is no multiple of 4"),
        (["mimoformer", "--length", "8", "--shortest", "9"], "--shortest 9 is longer than"),
        (["embedding", "--data", "nowhere"], "embedding: .*No such file or directory: 'nowhere'"),
    ],
)
def test_an_option_of_a_wrong_value_ends_a_command_without_a_traceback(command, told):
    with pytest.raises(SystemExit, match=told):
        main(command)


@pytest.mark.parametrize(
    "command",
    [
        ["speed", "--batch-size", "8", "0"],
        ["multiplexing", "--n-mux", "-1"],
        ["mimoformer", "--sides", "0"],
        ["serving", "--clients", "0"],
        ["frontier", "--data", "films", "--layers", "0"],
        ["export", "--repeats", "1.5"],
    ],
)
def test_what_is_counted_is_at_least_one(command, capsys):
    with pytest.raises(SystemExit):
        main(command)
    assert f"'{command[-1]}' is not a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["gpu", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["frontier", "--data", "films", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["speed", "--dtype", "auto"], "invalid choice: 'auto'"),
        (["gpu", "--points", "words"], "'words' runs no encoder"),
        (["companions", "--points", "words"], "'words' runs no encoder"),
    ],
)
def test_options_that_no_estimator_checks_are_checked_when_they_are_read(command, told, capsys):
    with pytest.raises(SystemExit):
        main(command)
    assert told in capsys.readouterr().err


def test_an_error_that_nobody_has_foreseen_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("muxlearn.benchmark.multiplexing.main", lambda args: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["multiplexing"])


def test_paired_runs_take_turns():
    calls = []
    seconds = paired_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3  # one round before the two that count
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_the_median_over_pairs():
    assert median_ratio([2.0, 4.0, 9.0], [1.0, 1.0, 1.0]) == 4.0


def test_synthetic_texts_have_the_lengths_asked_for():
    assert {len(text.split()) for text in synthetic_texts(50, (3, 4))} == {3, 4}


def test_mimoformer_sets_grids_beside_the_performer(tmp_path):
    out = tmp_path / "mimoformer.json"
    sizes = ["--length", "8", "--width", "8", "--mlp", "8", "--heads", "1", "--head-dim", "4"]
    options = ["--features", "8", "--rows", "4", "--sides", "2", "--repeats", "1"]
    assert main(["mimoformer", *sizes, *options, "--shortest", "3", "--json", str(out)]) == 0
    rows = read_rows(out)
    names = [(row["variant"], row["grid"]) for row in rows]
    assert names == [("performer", "1x1"), ("att", "2x2"), ("att+mlp", "2x2")]
    assert rows[0]["speed_up"] == 1.0


def test_revmux_gives_every_model_and_its_twin_the_same_budget():
    parser = ArgumentParser()
    revmux.add_arguments(parser)
    args = parser.parse_args(["--backbone", "folder", "--n-mux", "4", "--mux-layer", "1", "2"])
    models = revmux.build(args, seed=0)
    names = ["tmux 1", "tmux 4", "revmux 1", "revmux 4 above 1", "revmux 4 above 2"]
    assert list(models) == names
    budgets = {(m.backbone, m.max_epochs, m.batch_size, m.warm_up) for m in models.values()}
    assert budgets == {("folder", args.epochs, args.batch_size, None)}


# Images


def write_mnist(folder, n_train=96, n_test=20):
    """Write bright squares on one half or the other, in MNIST's form and names."""
    rng = np.random.default_rng(0)
    for name, n in (("train", n_train), ("t10k", n_test)):
        labels = rng.integers(0, 2, n).astype(np.uint8)
        images = rng.integers(0, 30, (n, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[10:18, 14 * label + 3 : 14 * label + 11] += 200
        for kind, values, n_axes in (("images-idx3", images, 3), ("labels-idx1", labels, 1)):
            header = bytes([0, 0, 8, n_axes]) + np.array(values.shape, ">i4").tobytes()
            path = folder / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + values.tobytes()))
    return images, labels


TINY_NETWORK = ["--depth", "10", "--width", "1", "--initial-width", "1", "--repeats", "1"]


def test_image_speed_sets_bindings_beside_the_plain_network(tmp_path):
    out = tmp_path / "speed.json"
    sizes = ["--image-shape", "1", "8", "8", "--images", "8", "--mixtures", "1", "2"]
    assert main(["image", *TINY_NETWORK, *sizes, "--n-mux", "2", "1", "--json", str(out)]) == 0
    rows = read_rows(out)
    assert {(row["network"], row["n_mux"]) for row in rows} == {
        ("plain, initial_width=1", 1),
        *((binding, n_mux) for binding in ("hrr", "mbat", "subspace") for n_mux in (1, 2)),
    }
    assert rows[0]["over_stem_1"] == 1.0


def test_mnist_is_read_from_its_four_files(tmp_path):
    images, labels = write_mnist(tmp_path)
    split = read_mnist(tmp_path, 50)
    assert split.X_train.shape == (50, 28, 28)
    np.testing.assert_array_equal(split.X_test, images)
    np.testing.assert_array_equal(split.y_test, labels)


@pytest.mark.slow
def test_image_accuracy_of_each_model_and_operating_point(tmp_path):
    write_mnist(tmp_path)
    out, plot, models = tmp_path / "image.json", tmp_path / "plot.png", tmp_path / "models"
    what = ["--n-mux", "1", "2", "--operating-points", "1", "2", "--epochs", "2"]
    files = ["--json", str(out), "--plot", str(plot), "--models", str(models)]
    command = ["image", "--data", str(tmp_path), *TINY_NETWORK, *what, *files, "--batch-size", "8"]
    assert main(command) == 0
    rows = read_rows(out)
    assert [(row["model"], row["n_mux"]) for row in rows] == [
        ("identity", 1),
        ("auto", 2),
        ("auto for 1, 2", 1),
        ("auto for 1, 2", 2),
    ]
    assert float(rows[0]["drop"]) == 0
    assert float(rows[0]["accuracy"]) > 0.8
    assert plot.stat().st_size > 1000
    # A second run takes the models as they are.
    assert main(command) == 0
    assert [row["fit_s"] for row in read_rows(out)] == [row["fit_s"] for row in rows]


@pytest.mark.slow
def test_pixels_of_a_position_beside_smaller_images_and_rows(tmp_path):
    write_mnist(tmp_path, 48)
    out = tmp_path / "pixels.json"
    sizes = ["--patch-size", "4", "--width", "2", "--epochs", "4", "--batch-size", "8"]
    run = ["--n-train", "48", "--seeds", "0", "--repeats", "1", "--dtype", "float32"]
    assert main(["pixels", "--data", str(tmp_path), *sizes, *run, "--json", str(out)]) == 0
    rows = {row["model"]: row for row in read_rows(out)}
    assert list(rows) == [
        *("plain", "half as wide", "4 images"),
        *("4x4 averaged", "4x4 pixels", "4x4 pixels of 2 images"),
    ]
    assert rows["plain"]["drop"] == 0
    assert rows["4x4 pixels"]["accuracy"] > 0.8


def test_averaged_pixels():
    images = np.array([[[0, 4, 9, 9], [0, 4, 9, 9]]], np.uint8)
    np.testing.assert_array_equal(pixels.shrink(images, 2), [[[2, 9]]])


# Leaving torch, serving


@pytest.mark.slow
def test_export_sets_engines_beside_each_other(tmp_path, monkeypatch):
    words = {"sport": "goal match team", "weather": "rain wind snow"}
    texts = [f"{a} {b}" for text in words.values() for a in text.split() for b in text.split()]
    topics = [topic for topic in words for _ in range(9)]
    monkeypatch.setattr("muxlearn.benchmark.export.bbc_news", lambda: (texts * 3, topics * 3))
    out = tmp_path / "export.json"
    engines = ["--engines", "torch float32", "onnxruntime float32", "--json", str(out)]
    sizes = ["--compact", "--epochs", "1", "--n-mux", "2", "--repeats", "1", "--batch-size", "4"]
    assert main(["export", *sizes, *engines]) == 0
    rows = read_rows(out)
    assert [(row["n_mux"], row["engine"]) for row in rows] == [
        (n_mux, engine) for n_mux in (1, 2) for engine in engines[1:3]
    ]
    assert rows[0]["speed_up"] == 1.0
    assert rows[0]["accuracy"] == rows[1]["accuracy"]
    assert rows[2]["accuracy"] == rows[3]["accuracy"]


@pytest.mark.slow
def test_serving_measures_each_server_in_turn(tmp_path):
    out = tmp_path / "serving.json"
    load = ["--clients", "2", "--tenants", "2", "--seconds", "0.2", "--json", str(out)]
    assert main(["serving", *TINY, "--repeats", "1", *load]) == 0
    rows = read_rows(out)
    assert [(row["clients"], row["n_mux"]) for row in rows] == [(2, 1), (2, 2)]
    assert rows[0]["speed_up"] == 1.0
    assert all(0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in rows)
