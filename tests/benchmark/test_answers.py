import json

import pytest

from muxlearn.benchmark.__main__ import main

WORDS = ["rain", "wind", "goal", "match", "Ada", "Turin", "fog", "team"]
LINEAR = ["TF-IDF", "TF-IDF, two words", "static vectors", "TF-IDF + static"]


def run(data, tmp_path):
    out = tmp_path / "table.json"
    small = ["--backbone", "scratch", "--points", "words", "1,1", "2", "--epochs", "1"]
    options = [*small, "--timed-rows", "4", "--repeats", "1", "--json", str(out)]
    assert main(["answers", "--data", str(data), *options]) == 0
    return json.loads(out.read_text())["rows"]


@pytest.mark.parametrize("n_texts", [1, 2])
def test_numbers_are_predicted_beside_linear_neighbours(tmp_path, n_texts):
    for role, n_rows in (("train", 40), ("test", 10)):
        lines = [
            "\t".join([str(i % 5), *(f"{WORDS[i % 5]} {WORDS[i * j % 8]}" for j in range(n_texts))])
            for i in range(n_rows)
        ]
        (tmp_path / f"numbers-{role}.tsv").write_text("\n".join(lines) + "\n")
    rows = run(tmp_path / "numbers-train.tsv", tmp_path)
    assert [row["model"] for row in rows] == ["words", "(1, 1)", "(2, 1)", *LINEAR]
    assert all(-1 <= row[name] <= 1 for row in rows for name in ("pearson", "spearman"))
    assert all(row["spearman"] > 0.8 for row in rows if row["model"] in LINEAR)


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
