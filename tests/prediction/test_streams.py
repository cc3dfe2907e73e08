import copy
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from itertools import count

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.prediction._parts import PartFolder
from muxlearn.rows import TextReader
from muxlearn.rows._groups import group_windows
from tests.prediction.streams import (
    N_ROWS,
    as_csv,
    as_dataset,
    as_parquet_files,
    as_zipped_csv,
    texts_of,
)

pytestmark = pytest.mark.usefixtures("small_windows")


@pytest.mark.parametrize("write", [as_parquet_files, as_csv, as_zipped_csv, as_dataset])
def test_every_row_is_predicted_once_in_order(fitted, frame, tmp_path, write):
    (tmp_path / "in").mkdir()
    dataset = write(frame, tmp_path / "in")
    output = fitted.predict_dataset(dataset, tmp_path / "out", keep=["id"], rows_per_part=60)
    assert len(list(output.glob("part-*"))) == 3
    read = pd.read_parquet(output)
    assert read["id"].tolist() == frame["id"].tolist()
    assert read["prediction"].tolist() == list(fitted.predict_iter(frame["text"]))


def test_columns_of_csv_files_are_kept_as_they_are(fitted, tmp_path):
    kept = pd.DataFrame(
        {"id": [3, -40], "zip": ["00501", "10001"], "gap": ["7", ""], "late": ["1", "x"]}
    )
    for part, rows in enumerate((kept[:1], kept[1:])):
        rows.assign(text="a cat", number=7).to_csv(tmp_path / f"{part}.csv", index=False)
    keep = [*kept.columns, "text", "number"]
    output = fitted.predict_dataset(
        tmp_path, tmp_path / "out", column="text", groups="number", keep=keep
    )
    read = pd.read_parquet(output)
    assert read[list(kept.columns)].to_dict("list") == kept.to_dict("list")
    assert read["id"].dtype == "int64"
    assert read["number"].tolist() == ["7", "7"]  # its values are names of groups


def test_probabilities_are_written_as_lists(fitted, frame, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out", method="predict_proba", n_mux=1)
    expected = list(fitted.predict_iter(frame["text"], method="predict_proba", n_mux=1))
    np.testing.assert_array_equal(list(pd.read_parquet(output)["probabilities"]), expected)


def test_a_job_that_failed_before_its_first_part_binds_nobody(fitted, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(ValueError, match="row 1 of `X` is missing"):
        fitted.predict_dataset(datasets.Dataset.from_dict({"text": ["a", None]}), output)
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"]})
    assert len(pd.read_parquet(fitted.predict_dataset(dataset, output))) == 2


def test_a_job_that_another_has_replaced_writes_no_part(tmp_path):
    first = PartFolder(tmp_path / "out", "parquet", {"rows": 1})
    PartFolder(tmp_path / "out", "parquet", {"rows": 2})
    with pytest.raises(ValueError, match=r"parts of another job, .* its rows was 2 and is 1 now"):
        first.write(0, pa.table({"a": [1]}))


def test_another_run_may_write_a_part_that_is_half_read(fitted, parquet, tmp_path, monkeypatch):
    output, inner, n_tables = tmp_path / "out", TextReader.table, count()

    def table(*args):
        if next(n_tables) == 2:  # half of the second part of two windows
            fitted.predict_dataset(parquet, output, rows_per_part=64)
        return inner(*args)

    monkeypatch.setattr(TextReader, "table", table)
    fitted.predict_dataset(parquet, output, rows_per_part=64)
    monkeypatch.setattr(TextReader, "table", inner)
    alone = fitted.predict_dataset(parquet, tmp_path / "alone", rows_per_part=64)
    for part in sorted(alone.glob("part-*")):
        pd.testing.assert_frame_equal(pd.read_parquet(output / part.name), pd.read_parquet(part))


def test_a_job_goes_on_with_other_batches(fitted, parquet, tmp_path, set_window_rows):
    set_window_rows(MuxTextClassifier, 64)
    output = fitted.predict_dataset(parquet, tmp_path / "out", rows_per_part=64)
    before = pd.read_parquet(output)
    (output / "part-000001.parquet").unlink()
    copy.deepcopy(fitted).set_params(batch_size=1).predict_dataset(
        parquet, output, rows_per_part=64
    )
    assert pd.read_parquet(output).equals(before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"keep": None}, TypeError, "`keep` must be a list of names of columns, got None"),
        ({"keep": iter(["id"])}, TypeError, "`keep` must be a list of names of columns"),
        ({"column": 0}, TypeError, "`column` must be one name, or two for pairs of texts, got 0"),
        ({"column": "twice"}, ValueError, "`column` 'twice' is the name of several columns"),
        ({"keep": ["x"], "form": "csv"}, ValueError, "`keep` has 'x'.*use form='parquet'"),
    ],
)
def test_arguments_that_are_no_columns(fitted, tmp_path, arguments, error, message):
    names = ["text", "id", "twice", "twice", "x"]
    table = pa.table([["a"], [1], [1], [2], [[1]]], names=names)
    pq.write_table(table, tmp_path / "texts.parquet")
    with pytest.raises(error, match=message):
        fitted.predict_dataset(tmp_path / "texts.parquet", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_an_empty_list_of_files_is_refused(fitted, tmp_path):
    with pytest.raises(ValueError, match="`dataset` is an empty list"):
        fitted.predict_dataset([], tmp_path / "out")


def test_a_column_is_kept_once(fitted, parquet, tmp_path):
    with pytest.raises(ValueError, match="`keep` must name each column once"):
        fitted.predict_dataset(parquet, tmp_path / "out", keep=["id", "id"])
    assert not (tmp_path / "out").exists()


def test_results_as_csv(fitted, frame, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out", form="csv", keep=["id", "text"])
    read = pd.concat(map(pd.read_csv, sorted(output.glob("*.csv"))))
    assert read["prediction"].tolist() == list(fitted.predict_iter(frame["text"]))


def test_groups_are_a_column_and_stay_apart(fitted, frame, tmp_path):
    frame.to_parquet(tmp_path / "before.parquet")
    others = frame["tenant"] > 0
    frame.loc[others, "text"] = "something else altogether"
    frame.to_parquet(tmp_path / "after.parquet")
    probabilities = [
        np.stack(
            pd.read_parquet(
                fitted.predict_dataset(
                    tmp_path / f"{name}.parquet",
                    tmp_path / name,
                    groups="tenant",
                    method="predict_proba",
                )
            )["probabilities"]
        )
        for name in ("before", "after")
    ]
    before, after = probabilities
    np.testing.assert_allclose(before[~others], after[~others], atol=1e-6)
    assert abs(before[others] - after[others]).max() > 1e-3


def test_pairs_come_in_two_columns(tiny_classifier, frame, tmp_path):
    pairs = list(zip(frame["text"], reversed(frame["text"]), strict=True))
    clf = tiny_classifier(warm_up=None, max_epochs=0).fit(pairs, ["x", "y"] * 75)
    table = pd.DataFrame(pairs, columns=["premise", "hypothesis"])
    table.to_parquet(tmp_path / "pairs.parquet")
    output = clf.predict_dataset(
        tmp_path / "pairs.parquet", tmp_path / "out", column=("premise", "hypothesis")
    )
    assert pd.read_parquet(output)["prediction"].tolist() == list(clf.predict_iter(pairs))


def test_tags_of_sentences_come_as_lists(tiny_tagger, tmp_path):
    sentences = [["Ada", "sings"], [], ["It", "rained", "all", "day"]] * 8
    tags = [["A", "B"], [], ["B", "B", "A", "A"]] * 8
    tagger = tiny_tagger(warm_up=None, max_epochs=0).fit(sentences, tags)
    dataset = datasets.Dataset.from_dict({"tokens": sentences, "id": range(24)})
    output = tagger.predict_dataset(dataset, tmp_path / "out", column="tokens")
    read = [row.tolist() for row in pd.read_parquet(output)["prediction"]]
    assert read == tagger.predict(sentences)
    with pytest.raises(ValueError, match="`form` 'csv' cannot hold; use form='parquet'"):
        tagger.predict_dataset(dataset, tmp_path / "csv", column="tokens", form="csv")
    assert isinstance(tagger, MuxTokenTagger)


def test_no_row_gives_a_table_without_rows(fitted, frame, tmp_path):
    frame[:0].astype({"text": "str"}).to_csv(tmp_path / "none.csv", index=False)
    output = fitted.predict_dataset(tmp_path / "none.csv", tmp_path / "out", keep=["id"])
    read = pq.read_table(output)
    assert read.schema.names == ["id", "prediction"]
    assert read.num_rows == 0


# Resuming


JOB = """
import sys
from muxlearn import MuxTextClassifier
from muxlearn.rows import TextReader
type(MuxTextClassifier._kind).window_rows = 1
clf = MuxTextClassifier.load(sys.argv[1])
inner = TextReader.table
def slow(*args):
    import time
    time.sleep(0.1)
    return inner(*args)
TextReader.table = slow
clf.predict_dataset(sys.argv[2], sys.argv[3], keep=["id"], rows_per_part=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_parquet_files, as_csv])
def test_a_killed_job_goes_on_without_a_lost_or_a_doubled_row(fitted, tmp_path, write):
    n_rows = 1500
    frame = pd.DataFrame({"id": range(n_rows), "text": texts_of(n_rows, 2)})
    (tmp_path / "in").mkdir()
    source, output = write(frame, tmp_path / "in"), tmp_path / "out"
    fitted.save(tmp_path / "model")
    command = [sys.executable, "-c", JOB, *map(str, (tmp_path / "model", source, output))]
    with subprocess.Popen(command) as job:
        while len(list(output.glob("part-*"))) < 3:
            assert job.poll() is None
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
    before = {file: file.stat().st_mtime_ns for file in output.glob("part-*")}
    assert 3 <= len(before) < 47
    fitted.predict_dataset(source, output, keep=["id"], rows_per_part=1)
    assert all(file.stat().st_mtime_ns == age for file, age in before.items())
    read = pd.read_parquet(output)
    assert read["id"].astype(int).tolist() == list(range(n_rows))
    assert read["prediction"].tolist() == list(fitted.predict_iter(frame["text"]))
    assert not list(output.glob(".*"))


def test_a_part_that_is_missing_is_made_again(fitted, frame, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out", rows_per_part=1)
    (output / "part-000001.parquet").unlink()
    (output / "part-000003.parquet").unlink()
    fitted.predict_dataset(parquet, output, rows_per_part=1)
    assert pd.read_parquet(output)["prediction"].tolist() == list(
        fitted.predict_iter(frame["text"])
    )


def test_a_job_that_is_done_is_not_done_again(fitted, parquet, tmp_path, monkeypatch):
    output = fitted.predict_dataset(parquet, tmp_path / "out")
    monkeypatch.setattr(TextReader, "table", None)
    assert fitted.predict_dataset(parquet, output) == output


def change_input(clf, frame, parquet):
    frame.assign(text=frame["text"].where(frame["id"] != 7, "new")).to_parquet(parquet)
    return clf, {}


def change_model(clf, frame, parquet):
    other = MuxTextClassifier(**clf.get_params(deep=False))
    return other.fit(texts_of(60, 5), ["x", "y", "z"] * 20), {}


def change_arguments(clf, frame, parquet):
    return clf, {"n_mux": 1}


def change_passes(clf, frame, parquet):
    return clf, {"n_passes": 2}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (change_input, "dataset"),
        (change_model, "model"),
        (change_arguments, "n_mux"),
        (change_passes, "n_passes"),
    ],
)
def test_a_job_is_not_resumed_with_something_else(fitted, frame, parquet, tmp_path, change, what):
    output = fitted.predict_dataset(parquet, tmp_path / "out")
    clf, arguments = change(fitted, frame, parquet)
    with pytest.raises(ValueError, match=f"parts of another job.*its {what} was"):
        clf.predict_dataset(parquet, output, **arguments)


def test_a_loaded_model_resumes_the_job_of_the_saved_one(fitted, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out")
    fitted.save(tmp_path / "model")
    assert MuxTextClassifier.load(tmp_path / "model").predict_dataset(parquet, output) == output


def test_a_dataset_is_known_by_its_content(fitted, frame, tmp_path):
    first = datasets.Dataset.from_pandas(frame)
    output = fitted.predict_dataset(first, tmp_path / "out")
    assert fitted.predict_dataset(as_dataset(frame, tmp_path), output) == output
    with pytest.raises(ValueError, match="its dataset was"):
        fitted.predict_dataset(first.select(range(149)), output)
    with pytest.raises(ValueError, match=r"its keep was \[\] and is \['id'\] now"):
        fitted.predict_dataset(first, output, keep=["id"])


def test_a_full_disk_keeps_whole_parts_and_the_job_goes_on(fitted, frame, parquet, tmp_path):
    output = tmp_path / "out"
    arguments = {"keep": ["text"], "rows_per_part": 96}
    whole = fitted.predict_dataset(parquet, tmp_path / "whole", **arguments)
    sizes = [(whole / f"part-00000{number}.parquet").stat().st_size for number in (0, 1)]
    assert sizes[0] > sizes[1] + 10
    # The manifest and the second part would find room, the first one does not.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[0] - 1, limits[1]))
    try:
        with pytest.raises(OSError, match="the disk of `output` is full") as caught:
            fitted.predict_dataset(parquet, output, **arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert [file.name for file in output.iterdir()] == ["_manifest.json"]
    fitted.predict_dataset(parquet, output, **arguments)
    assert pq.read_table(output) == pq.read_table(whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk_that_is_full(fitted, frame, parquet, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="the disk of `output` is full") as caught:
            fitted.predict_dataset(parquet, disk / "out", keep=["text"], rows_per_part=1)
        assert caught.value.errno == errno.ENOSPC
        parts = sorted((disk / "out").glob("part-*"))
        assert [pq.read_table(part).num_rows for part in parts] == [32] * len(parts)
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        output = fitted.predict_dataset(parquet, disk / "out", keep=["text"], rows_per_part=1)
        assert pd.read_parquet(output)["text"].tolist() == frame["text"].tolist()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_manifest_says_what_was_counted(fitted, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out", rows_per_part=1)
    manifest = json.loads((output / "_manifest.json").read_text())
    assert (manifest["n_rows"], manifest["n_parts"]) == (N_ROWS, 5)


def test_a_job_that_was_killed_before_it_was_marked_as_complete(fitted, parquet, tmp_path):
    manifest = tmp_path / "out" / "_manifest.json"
    fitted.predict_dataset(parquet, manifest.parent, rows_per_part=64)
    marked = manifest.read_text()
    job = {k: v for k, v in json.loads(marked).items() if k not in ("n_rows", "n_parts", "n_bytes")}
    manifest.write_text(json.dumps(job))
    fitted.predict_dataset(parquet, manifest.parent, rows_per_part=64)
    assert manifest.read_text() == marked


# Groups and windows


def test_the_rows_of_other_groups_do_not_move_a_groups_companions(fitted):
    texts = texts_of(100, 3)
    alone = fitted.predict_proba(texts, groups=["a"] * 100)
    others = texts_of(37, 4)
    groups = ["b"] * 37 + ["a"] * 100
    beside = fitted.predict_proba(others + texts, groups=groups)[37:]
    np.testing.assert_allclose(beside, alone, atol=1e-6)


def test_windows_of_groups_have_every_row_once_and_are_no_larger_than_asked():
    codes = np.random.default_rng(0).choice(4, 200, p=[0.7, 0.1, 0.1, 0.1])
    windows = group_windows(codes, 200, 32)
    np.testing.assert_array_equal(np.sort(np.concatenate(windows)), np.arange(200))
    assert max(map(len, windows)) <= 32


@pytest.mark.parametrize(
    ("n_of_groups", "expected"), [([32, 32], [32, 32]), ([16, 16, 5], [32, 5]), ([70], [32, 32, 6])]
)
def test_groups_fill_a_window_to_its_last_row(n_of_groups, expected):
    codes = np.repeat(np.arange(len(n_of_groups)), n_of_groups)
    assert list(map(len, group_windows(codes, len(codes), 32))) == expected


def test_windows_without_groups_follow_the_order_of_the_rows():
    windows = group_windows(None, 70, 32)
    assert [window.tolist() for window in windows] == [
        list(range(32)),
        list(range(32, 64)),
        list(range(64, 70)),
    ]
