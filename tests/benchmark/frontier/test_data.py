from pathlib import Path

import pytest

from muxlearn.benchmark.frontier._data import Part, read_task


def test_the_files_beside_the_training_rows_are_found(write_task):
    data = write_task("texts")
    task = read_task(data)
    assert (task.name, task.kind, task.metric) == ("tiny", "texts", "accuracy")
    assert [len(part.X) for part in (task.train, task.valid, task.test)] == [72, 8, 24]
    assert task.score(task.test.y) == 1.0
    lines = data.with_name("tiny-test.tsv").read_text().split("\n")
    assert [f"{y}\t{x}" for x, y in zip(task.test.X, task.test.y, strict=True)] == lines


def test_rows_to_test_with_are_drawn_where_there_is_no_file(write_task, tmp_path):
    alone = tmp_path / "rows.tsv"
    alone.write_text(write_task("pairs").read_text())
    task = read_task(alone, max_train=20)
    assert [len(part.X) for part in (task.train, task.valid, task.test)] == [20, 6, 16]
    assert task.kind == "pairs"
    assert task.fingerprint == read_task(alone, max_train=20).fingerprint
    assert task.fingerprint != read_task(alone, max_train=19).fingerprint


def test_rows_to_choose_by_come_from_their_file(write_task):
    data = write_task("sentences")
    valid = data.with_name("tiny-valid.tsv")
    valid.write_text("Ada\tB-PER\n\nRome\tB-LOC\n")
    task = read_task(data)
    assert task.valid == Part([["Ada"], ["Rome"]], [["B-PER"], ["B-LOC"]])
    assert len(task.train.X) == 80
    assert task.metric == "entity_f1"


def test_tags_that_mark_no_entities_are_counted(tmp_path):
    data = tmp_path / "pos.tsv"
    data.write_text("a\tDET\ncat\tNOUN\n\nit\tPRON\n\n" * 10)
    assert read_task(data).metric == "token_accuracy"


def test_a_measure_for_other_rows_is_refused(write_task):
    assert read_task(write_task("texts"), metric="matthews").metric == "matthews"
    with pytest.raises(ValueError, match="rows are texts; use accuracy or matthews"):
        read_task(write_task("texts"), metric="entity_f1")


def test_a_file_of_no_known_form_is_refused(tmp_path):
    data = tmp_path / "bad.tsv"
    data.write_text("a\tb\tc\td\te\nword\n")
    with pytest.raises(ValueError, match=r"in no known format:\n.*line 2.*\n.*5 columns"):
        read_task(data)
    with pytest.raises(FileNotFoundError):
        read_task(tmp_path / "missing.tsv")


def test_news_and_films_need_no_file():
    headlines, documents = read_task(Path("headlines")), read_task(Path("documents"))
    assert headlines.name == "headlines"
    assert headlines.test.X[0] == documents.test.X[0].partition("\n")[0]
    assert len(documents.test.X[0]) > len(headlines.test.X[0])
    films = read_task(Path("films"), max_test=10)
    assert films.metric == "accuracy"
    assert set(films.test.y) <= {"negative", "positive"}
