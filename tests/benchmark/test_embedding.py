"""The benchmark of vectors runs on tasks of any kind; what it measures is not judged here."""

import json

import numpy as np
import pytest

from muxlearn.benchmark.__main__ import main

SUBJECTS = "the cat", "my old dog", "it", "a horse"
VERBS = "sleeps", "eats hay", "runs home", "rains"


@pytest.fixture
def data(tmp_path):
    """Write a task of each kind."""
    rng = np.random.default_rng(0)
    texts = [f"{subject} {verb} {i}" for subject in SUBJECTS for verb in VERBS for i in range(3)]
    pairs = list(zip(texts, rng.permutation(texts), strict=True))
    lines = {
        "topics": [f"{'ab'[i // 2 % 2]}\t{text}" for i, text in enumerate(texts)],
        "pairs": [f"{'xyz'[i % 3]}\t{a}\t{b}" for i, (a, b) in enumerate(pairs)],
        "sick-relatedness": [f"{1 + 4 * rng.random():.1f}\t{a}\t{b}" for a, b in pairs],
        "tags": [
            "\n".join(f"{w}\tB-{'PQ'[i // 2 % 2]}" for w in t.split()) + "\n"
            for i, t in enumerate(texts)
        ],
    }
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name, rows in lines.items():
        for role, part in (("train", rows[::2]), ("test", rows[1::2])):
            (tasks / f"{name}-{role}.tsv").write_text("\n".join(part) + "\n")
    return tasks


@pytest.mark.slow
def test_each_point_stands_beside_the_teacher_and_static_vectors(
    data, encoder_folder, bert, tmp_path
):
    out = tmp_path / "embedding.json"
    options = ["--data", str(data), "--backbone", str(encoder_folder), "--teacher", str(bert)]
    options += ["--points", "1,1", "1,2", "3,1", "words", "--n-texts", "8", "--repeats", "1"]
    tasks = "pairs", "sick-relatedness", "tags", "topics"
    options += ["--tasks", *tasks, "--max-train", "24", "--max-test", "24", "--max-pairs", "24"]
    options += ["--max-length", "32", "--json", str(out)]
    assert main(["embedding", *options]) == 0
    result = json.loads(out.read_text())
    assert [(row["model"], row["point"]) for row in result["rows"]] == [
        ("teacher", ""),
        *(("MuxTextEmbedder", point) for point in ("1,1", "1,2", "3,1", "words")),
        *(("MuxTextEmbedder, aligned", point) for point in ("1,2", "3,1", "words")),
        *(("static vectors", ""), ("static vectors, aligned", "")),
        *(("static vectors, SIF", ""), ("static vectors, SIF, aligned", "")),
        ("TF-IDF", ""),
    ]
    for row in result["rows"]:
        assert all(0 <= row[task] <= 1 for task in tasks)
        assert row["rows_per_s"] > 0
        assert -1 <= row["relatedness"] <= 1
    teacher, *_, tfidf = result["rows"]
    assert teacher["cosine"] == pytest.approx(1)
    assert tfidf["cosine"] is None
    assert str(data) not in out.read_text()
