"""The benchmarks run and say what they ran; what they measure is not judged here."""

import json

import pytest

from muxlearn.benchmark.__main__ import COMMANDS, main
from muxlearn.benchmark._report import median_ratio, paired_seconds, synthetic_texts

TINY = [
    *("--layers", "1", "--width", "16", "--heads", "2", "--length", "8", "--vocab-size", "300"),
    *("--n-mux", "2", "--batch-size", "2", "--repeats", "1"),
]


def read_rows(path):
    return json.loads(path.read_text())["rows"]


@pytest.mark.parametrize("extra", [[], ["--from-strings"]])
def test_speed_reports_the_twin_and_each_n_mux(tmp_path, extra):
    out = tmp_path / "speed.json"
    assert main(["speed", *TINY, *extra, "--min-rows", "4", "--json", str(out)]) == 0
    rows = read_rows(out)
    assert [row["n_mux"] for row in rows] == [1, 2]
    assert rows[0]["speed_up"] == 1.0


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


def test_retrieval_scores_each_combination(tmp_path, capsys):
    data, out = tmp_path / "texts.txt", tmp_path / "retrieval.json"
    data.write_text("\n".join(synthetic_texts(2040, (2, 4))))
    options = ["--data", str(data), "--n-mux", "2", "--epochs", "1", "--json", str(out)]
    assert main(["retrieval", *options]) == 0
    assert 0 <= read_rows(out)[0]["recovered"] <= 1


def test_json_names_machine_and_options(tmp_path):
    out = tmp_path / "speed.json"
    main(["speed", *TINY, "--json", str(out)])
    written = json.loads(out.read_text())
    assert written["machine"]["torch"]
    assert written["options"]["n_mux"] == [2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert COMMANDS[command].split()[0] in capsys.readouterr().out


def test_paired_runs_take_turns():
    calls = []
    seconds = paired_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3  # one round before the two that count
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_the_median_over_pairs():
    assert median_ratio([2.0, 4.0, 9.0], [1.0, 1.0, 1.0]) == 4.0


def test_synthetic_texts_have_the_lengths_asked_for():
    assert {len(text.split()) for text in synthetic_texts(50, (3, 4))} == {3, 4}
