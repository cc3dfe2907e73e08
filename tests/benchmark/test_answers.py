import json
import os
import re
from argparse import Namespace

import pytest

from muxlearn.benchmark import answers
from muxlearn.benchmark.__main__ import main
from muxlearn.box import packaged_minilm

WORDS = ["rain", "wind", "goal", "match", "Ada", "Turin", "fog", "team"]
LINEAR = ["TF-IDF", "TF-IDF, two words", "static vectors", "TF-IDF + static"]


def run(data, tmp_path, *more):
    out = tmp_path / "table.json"
    small = ["--backbone", "scratch", "--points", "words", "1,1", "2", "--epochs", "1"]
    small += ["--max-train", "30", "--max-test", "8", "--threads", "1"]
    options = [*small, "--timed-rows", "4", "--repeats", "1", "--json", str(out), *more]
    assert main(["answers", "--data", str(data), *options]) == 0
    return json.loads(out.read_text())["rows"]


def write_numbers(tmp_path, n_texts):
    for role, n_rows in (("train", 40), ("test", 10)):
        lines = [
            "\t".join([str(i % 5), *(f"{WORDS[i % 5]} {WORDS[i * j % 8]}" for j in range(n_texts))])
            for i in range(n_rows)
        ]
        (tmp_path / f"numbers-{role}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "numbers-train.tsv"


@pytest.mark.parametrize("n_texts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_numbers_are_predicted_beside_linear_neighbours(tmp_path, n_texts):
    rows = run(write_numbers(tmp_path, n_texts), tmp_path)
    assert [row["model"] for row in rows] == ["words", "(1, 1)", "(2, 1)", *LINEAR]
    assert all(-1 <= row[name] <= 1 for row in rows for name in ("pearson", "spearman"))
    assert all(row["spearman"] > 0.8 for row in rows if row["model"] in LINEAR)


@pytest.mark.slow
def test_the_trained_model_is_judged_whether_it_was_kept_or_not(tmp_path):
    data, kept = write_numbers(tmp_path, 1), ["--work", str(tmp_path / "kept")]
    first, second = (run(data, tmp_path, *kept) for _ in range(2))
    scores = [[row["pearson"] for row in rows] for rows in (first, second)]
    assert scores[0] == pytest.approx(scores[1])


def test_the_training_rows_are_never_the_test(tmp_path):
    data = write_numbers(tmp_path, 1).rename(tmp_path / "numbers.tsv")
    with pytest.raises(SystemExit, match="--test is missing"):
        run(data, tmp_path)


@pytest.mark.slow
def test_kinds_of_entities_are_labels_of_their_sentence(tmp_path):
    for role, n_rows in (("train", 40), ("test", 10)):
        tags = {"Ada": "B-PER", "Turin": "B-LOC"}
        sentences = [[WORDS[i % 8], WORDS[(3 * i + 1) % 8]] for i in range(n_rows)]
        text = "\n".join(
            "".join(f"{word}\t{tags.get(word, 'O')}\n" for word in words) for words in sentences
        )
        (tmp_path / f"tagged-{role}.txt").write_text(text)
    rows = run(tmp_path / "tagged-train.txt", tmp_path)
    assert [row["model"] for row in rows] == ["words", "(1, 1)", "(2, 1)", *LINEAR]
    assert all(0 <= row[name] <= 1 for row in rows for name in ("micro_f1", "macro_f1"))
    assert all(row["micro_f1"] > 0.8 for row in rows if row["model"] in LINEAR)


def test_a_kind_has_the_same_column_in_both_files(tmp_path):
    for role, kinds in (("train", ["LOC", "ORG", "PER"] * 4), ("test", ["ORG", "PER"])):
        text = "\n".join(f"Ada\tB-{kind}\nwind\tO\n" for kind in kinds)
        (tmp_path / f"tagged-{role}.txt").write_text(text)
    args = Namespace(data=tmp_path / "tagged-train.txt", test=None, max_train=None, max_test=None)
    task = answers._read(args)
    assert task.test[1].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert task.train[1].shape[1] == 3


def test_the_encoder_may_be_minilm_and_threads_are_limited(tmp_path, monkeypatch):
    class Built(Exception):
        pass

    def stop(model, *_):
        raise Built(model.backbone)

    monkeypatch.setattr(answers, "load_or_fit", stop)
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    with pytest.raises(Built, match=re.escape(packaged_minilm())):
        run(write_numbers(tmp_path, 1), tmp_path, "--backbone", "minilm")
    assert os.environ["RAYON_NUM_THREADS"] == "1"  # tokenizers run in as many threads as the rest
