"""The command runs on each kind of rows, and says what it ran; figures are not judged."""

import json
from argparse import ArgumentParser

import numpy as np
import pytest

from muxlearn.benchmark.__main__ import main
from muxlearn.benchmark.frontier import _command
from muxlearn.benchmark.frontier._command import smaller_sizes
from muxlearn.benchmark.frontier._data import read_task
from muxlearn.benchmark.frontier._estimators import Size
from muxlearn.benchmark.frontier._job import Job
from muxlearn.benchmark.frontier._stack import _Stack

TEXTS = [
    *("TF-IDF", "TF-IDF, two words", "static vectors", "static vectors, SIF", "TF-IDF + static"),
    *("plain", "plain 1x16", "words", "(1, 1)", "(2, 1)", "(1, 2)"),
]
SENTENCES = [
    "most frequent tag",
    "window, linear",
    "plain",
    "plain 1x16",
    "words",
    "(1, 1)",
    "(2, 1)",
    "(1, 2)",
]


def run(data, out, *options):
    assert main(["frontier", "--data", str(data), "--quick", "--json", str(out), *options]) == 0
    return {row["model"]: row for row in json.loads(out.read_text())["rows"]}


@pytest.mark.parametrize(
    ("kind", "names", "metric"),
    [
        ("texts", TEXTS, "accuracy"),
        ("pairs", TEXTS, "accuracy"),
        ("sentences", SENTENCES, "entity_f1"),
    ],
)
def test_all_neighbours_stand_in_one_table(write_task, tmp_path, kind, names, metric):
    out, plot = tmp_path / "table.json", tmp_path / "plot.png"
    rows = run(write_task(kind), out, "--plot", str(plot), "--seeds", "0")
    assert sorted(rows) == sorted(names)
    assert rows["plain"]["ratio"] == 1.0
    speeds = [row["rows_per_s"] for row in rows.values()]
    assert speeds == sorted(speeds)
    unbeaten = [name for name, row in rows.items() if row["beaten_by"] is None]
    assert unbeaten[-1] == list(rows)[-1]  # nobody beats the fastest
    assert f"tiny, {metric}" in json.loads(out.read_text())["title"]
    assert plot.stat().st_size > 1000


def test_the_options_of_the_pages_are_taken(write_task, tmp_path, bert):
    rows = ["--max-train", "60", "--max-valid", "30", "--max-test", "30", "--timed-rows", "16"]
    epochs = ["--epochs", "1", "--shared-epochs", "1", "--max-length", "16", "--no-int8"]
    epochs += ["--warm-up-epochs", "1", "--dtype", "bfloat16", "--repeats", "1"]
    chosen = ["--models", "plain", "shared", "--points", "words", "1,1", "--plain", "1x16"]
    options = [*rows, *epochs, *chosen, "--teacher", str(bert), "--backbone", str(bert)]
    table = run(write_task("texts"), tmp_path / "table.json", *options)
    assert {"words", "(1, 1)", "plain"} < set(table)
    assert any(name.startswith("plain 1x16") for name in table)


@pytest.mark.slow
def test_half_of_the_packaged_encoder_stands_beside_the_whole(write_task, tmp_path):
    options = ["--models", "shared", "--points", "1,2", "--backbone", "packaged"]
    rows = run(write_task("texts"), tmp_path / "table.json", *options, "--max-train", "40")
    assert sorted(rows) == ["(1, 2)", "(1, 2), 3 layers"]


@pytest.mark.slow
def test_points_of_some_layers_stand_beside_those_of_the_whole(write_task, tmp_path):
    data, out = write_task("texts"), tmp_path / "table.json"
    options = ["--models", "shared", "--points", "words", "1,2", "--backbone", "packaged"]
    more = ["--max-train", "40", "--layers", "all", "1", "--alone", "2,2"]
    rows = run(data, out, *options, *more)
    names = ["(1, 2)", "(2, 2) alone", "words"]
    assert sorted(rows) == sorted([*names, *(f"{name}, 1 layer" for name in names)])
    with pytest.raises(SystemExit, match="--layers is for the packaged encoder"):
        run(data, out, "--layers", "1")


def test_another_measure_may_be_asked_for(write_task, tmp_path):
    out = tmp_path / "table.json"
    rows = run(write_task("sentences"), out, "--models", "tags", "--metric", "token_accuracy")
    assert "tiny, token_accuracy:" in json.loads(out.read_text())["title"]
    assert rows["window, linear"]["score"] > 0.5


def test_each_operating_point_may_have_a_model_of_its_own(write_task, tmp_path):
    data, out = write_task("texts"), tmp_path / "table.json"
    rows = run(data, out, "--models", "plain", "--points", "words", "1,1", "--alone", "2,2", "2")
    assert sorted(rows) == ["(2, 1) alone", "(2, 2) alone", "plain", "plain 1x16"]
    assert [rows[f"(2, {n}) alone"]["kind"] for n in (1, 2)] == ["rows", "both"]
    with pytest.raises(SystemExit, match="--alone is for points that run the encoder"):
        run(data, out, "--alone", "words")
    with pytest.raises(SystemExit, match="--points has the words alone"):
        run(data, out, "--points", "words")


@pytest.mark.parametrize("kind", ["texts", "pairs"])
def test_each_network_may_be_stacked_with_words(write_task, tmp_path, kind):
    options = ["--models", "plain", "shared", "--points", "words", "1,2", "--stack"]
    rows = run(write_task(kind), tmp_path / "table.json", *options)
    networks = ["(1, 2)", "plain", "plain 1x16", "words"]
    assert sorted(rows) == sorted([*networks, *(f"{name} + TF-IDF" for name in networks)])
    for name in networks:
        assert rows[f"{name} + TF-IDF"]["kind"] == rows[name]["kind"]
        assert rows[f"{name} + TF-IDF"]["fit_cpu_s"] > rows[name]["fit_cpu_s"]


def test_a_stack_trusts_whoever_is_right():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    right, noise = np.eye(3)[y], rng.dirichlet(np.ones(3), 300)
    tables = {"right": right, "noise": noise}
    for order in (("right", "noise"), ("noise", "right")):
        stack = _Stack(*(lambda X, name=name: tables[name][X] for name in order))
        stack.fit(np.arange(150), y[:150])
        np.testing.assert_array_equal(stack.predict(np.arange(150, 300)), y[150:])


def test_a_cascade_runs_over_the_points_of_the_shared_model(write_task, tmp_path):
    data = write_task("texts")
    valid = write_task("texts", n_train=220)
    options = ["--models", "shared", "cascade", "--valid", str(valid), "--points", "words", "1,1"]
    work = tmp_path / "work"
    rows = run(data, tmp_path / "table.json", *options, "--work", str(work))
    after = ["cascade after TF-IDF", "cascade after static vectors"]
    assert sorted(rows) == ["(1, 1)", "cascade", *after, "words"]
    assert rows["cascade"]["over_words"] is not None
    # Both take one model.
    assert [folder.name for folder in (work / "seed-0" / "models").iterdir()] == [
        "points-words-1-1"
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:thresholds are learned from:UserWarning")
def test_rows_without_labels_are_labelled_by_the_plain_model_for_all_others(write_task, tmp_path):
    data, work = write_task("texts"), tmp_path / "work"
    more = ["--unlabeled", "30", "--made", "1"]
    options = ["--max-train", "40", *more, "--points", "words", "1,1", "1,2"]
    models = ["--models", "linear", "plain", "shared", "cascade", "--seeds", "0"]
    rows = run(data, tmp_path / "a.json", *options, *models, "--work", str(work))
    assert {"TF-IDF", "plain", "plain 1x16", "(1, 2)", "cascade"} <= set(rows)
    title = json.loads((tmp_path / "a.json").read_text())["title"]
    assert "40 rows to learn from, 70 more without labels" in title
    args = read_options("--data", str(data), "--quick", *options)
    task = read_task(data, max_train=40, n_unlabeled=30, n_made=1)
    job = Job(args, task, 0, work / "seed-0")
    assert (work / "seed-0" / "models" / "plain" / "fit_time.json").exists()
    plain, _ = job.reference
    assert list(job.lesson.X) == [*task.train.X, *task.unlabeled]
    assert job.lesson.y[:40].idxmax(axis=1).tolist() == list(task.train.y)
    np.testing.assert_allclose(job.lesson.y[40:], plain.predict_proba(task.unlabeled), atol=1e-6)


def test_there_must_be_rows_without_labels(write_task):
    with pytest.raises(ValueError, match="`max_train` is None: none is left; lower `max_train`"):
        read_task(write_task("texts"), n_unlabeled=5)
    with pytest.raises(ValueError, match="holds tagged sentences; only texts and pairs"):
        read_task(write_task("sentences"), max_train=10, n_unlabeled=5)


def test_texts_are_made_of_those_to_learn_from(write_task):
    task = read_task(write_task("texts"), max_train=20, n_unlabeled=5, n_made=3)
    known = {word.lower() for text in task.train.X for word in text.split()}
    assert len(task.unlabeled) == 5 + 60
    assert {word.lower() for text in task.unlabeled[5:] for word in text.split()} <= known
    assert len(set(task.unlabeled[5:]) - set(task.train.X)) > 50


def test_texts_alone_are_made(write_task):
    with pytest.raises(ValueError, match=r"`n_made` is 2, but '.*' holds pairs; only texts are"):
        read_task(write_task("pairs"), n_made=2)


def test_a_run_goes_on_where_it_was_killed(write_task, tmp_path, monkeypatch):
    data, out, work = write_task("texts"), tmp_path / "table.json", tmp_path / "work"
    options = ["--work", str(work), "--models", "linear", "plain"]
    first = run(data, out, *options)
    record = work / "seed-0" / "results" / "plain-1x16.json"
    record.unlink()
    monkeypatch.delitem(_command.NEIGHBOURS, "shared")
    second = run(data, out, *options, "--seeds", "0")
    assert record.exists()
    assert all(second[name]["fit_cpu_s"] == first[name]["fit_cpu_s"] for name in TEXTS[:6])
    # Another seed joins those that are there.
    both = run(data, out, *options, "--seeds", "0", "1")
    assert {row["n_seeds"] for row in both.values()} == {2}


def test_results_of_other_options_are_not_mixed(write_task, tmp_path):
    data, work = write_task("texts"), tmp_path / "work"
    options = ["--work", str(work), "--models", "linear"]
    run(data, tmp_path / "a.json", *options)
    with pytest.raises(SystemExit, match="max_length: 128, now 16"):
        run(data, tmp_path / "a.json", *options, "--max-length", "16")
    with pytest.raises(SystemExit, match="words: True, now False"):
        run(data, tmp_path / "a.json", *options, "--points", "1,1", "2")


def test_a_model_that_fails_leaves_the_others_alone(write_task, tmp_path, capsys):
    options = ["--quick", "--models", "plain", "shared", "--plain", "2x7", "--points", "1"]
    data, out = str(write_task("texts")), tmp_path / "table.json"
    broken = ["--backbone", "scratch", "--lr", "-1"]
    assert main(["frontier", "--data", data, *options, *broken, "--json", str(out)]) == 1
    printed = capsys.readouterr()
    assert "`lr`" in printed.err
    assert "failed, see above: plain of seed 0" in printed.out


def read_options(*given):
    parser = ArgumentParser()
    _command.add_arguments(parser)
    args = parser.parse_args(["--data", "train.tsv", *given])
    _command.choose_defaults(args)
    return args


def test_quick_keeps_what_is_given():
    # Also a value that is the usual default.
    for given in (["--quick", "--epochs", "3"], ["--epochs", "3", "--quick"]):
        args = read_options(*given, "--penalties", "2")
        assert (args.epochs, args.shared_epochs, args.penalties) == (3, None, [2.0])
        assert args.max_train == 200
        assert _command.describe(args.points) == "words (1, 1) (2, 1) (1, 2)"
    assert (read_options("--quick").epochs, read_options().epochs) == (1, 3)
    assert (read_options("--quick").int8, read_options().int8) == (False, True)


def test_an_encoder_that_cannot_be_had_ends_the_command_before_any_training(write_task, capsys):
    command = ["frontier", "--data", str(write_task("texts")), "--quick"]
    with pytest.raises(SystemExit):
        main([*command, "--teacher", "packaged"])
    assert "'packaged' is no teacher; give a folder or 'minilm'" in capsys.readouterr().err
    for name in ("--teacher", "--backbone"):
        with pytest.raises(SystemExit, match=f"{name}: there is no folder 'nowhere'"):
            main([*command, name, "nowhere"])


def test_smaller_sizes_are_shallower_narrower_and_both():
    sizes = ["3x384", "1x384", "6x192", "6x128", "6x96", "1x192", "1x96"]
    assert list(map(str, smaller_sizes(Size(6, 384), 32))) == sizes
    sizes = ["2x256", "1x256", "4x128", "4x64", "1x128", "1x64"]
    assert list(map(str, smaller_sizes(Size(4, 256), 32))) == sizes
    assert list(map(str, smaller_sizes(Size(1, 32), 32))) == ["1x16", "1x10", "1x8"]
