"""What a job on a data set refuses, and what it leaves behind then."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.prediction.streams import as_parquet_files

pytestmark = pytest.mark.usefixtures("small_windows")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"column": "txt"}, ValueError, "`column` 'txt' is not a column.*'id', 'text', 'tenant'"),
        ({"column": "id"}, TypeError, "holds values of type int64, but the model reads text"),
        ({"column": ("text", "text", "text")}, ValueError, "one name, or two"),
        ({"groups": "owner"}, ValueError, "`groups` 'owner' is not a column"),
        ({"keep": "id"}, TypeError, r"\['id'\]"),
        ({"keep": ["nr"]}, ValueError, "`keep` 'nr' is not a column"),
        ({"form": "xlsx"}, ValueError, "`form`"),
        ({"form": "csv", "method": "predict_proba"}, ValueError, "cannot hold"),
        ({"method": "predict_prob"}, ValueError, "did you mean"),
        ({"rows_per_part": 0}, ValueError, "`rows_per_part`"),
        ({"n_mux": 3}, ValueError, "at most 2"),
    ],
)
def test_bad_arguments_leave_nothing_behind(fitted, parquet, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        fitted.predict_dataset(parquet, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["string_view", "binary_view"])
def test_a_kept_column_that_csv_cannot_hold_is_refused_at_once(fitted, tmp_path, kind):
    values = pa.array(["a"], pa.type_for_alias(kind))
    pq.write_table(pa.table({"text": ["a cat"], "kept": values}), tmp_path / "x.parquet")
    data, out = tmp_path / "x.parquet", tmp_path / "out"
    with pytest.raises(ValueError, match=f"`keep` has 'kept', whose values of type {kind}"):
        fitted.predict_dataset(data, out, form="csv", keep=["kept"])
    assert not out.exists()


def test_without_a_column_called_text_one_must_be_named(fitted, frame, tmp_path):
    frame.rename(columns={"text": "body"}).to_parquet(tmp_path / "texts.parquet")
    with pytest.raises(ValueError, match="name one as `column`: 'id', 'body', 'tenant'"):
        fitted.predict_dataset(tmp_path / "texts.parquet", tmp_path / "out")


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (["a text", "another"], TypeError, "rows in memory go to predict"),
        (iter(["a"]), TypeError, "a stream of rows to predict_iter"),
        (datasets.DatasetDict(), TypeError, "choose one"),
        (datasets.Dataset.from_dict({"a": ["b"]}).to_iterable_dataset(), TypeError, "predict_iter"),
        ("nowhere.parquet", FileNotFoundError, "nowhere.parquet"),
        (__file__, ValueError, "its name must end in .parquet"),
        (Path(__file__).parent, FileNotFoundError, "no Parquet or CSV file"),
    ],
)
def test_what_is_no_dataset_is_refused(fitted, tmp_path, dataset, error, message):
    with pytest.raises(error, match=message):
        fitted.predict_dataset(dataset, tmp_path / "out")


def test_lists_of_tokens_are_looked_for_in_other_files_than_csv(tiny_tagger, tmp_path):
    tagger = tiny_tagger(max_epochs=0, warm_up=None).fit([["it", "rains"]], [["A", "B"]])
    (tmp_path / "x.csv").write_text("tokens\n\"['it', 'rains']\"\n")
    with pytest.raises(TypeError, match=r"but the model reads lists of str; .* Parquet"):
        tagger.predict_dataset(tmp_path / "x.csv", tmp_path / "out", column="tokens")


def test_a_folder_with_the_name_of_a_file_is_none(fitted, frame, tmp_path):
    (tmp_path / "spark.parquet").mkdir()
    with pytest.raises(FileNotFoundError, match="no Parquet or CSV file"):
        fitted.predict_dataset(tmp_path, tmp_path / "out")
    frame.to_parquet(tmp_path / "spark.parquet" / "part-0.parquet")
    fitted.predict_dataset(tmp_path / "spark.parquet", tmp_path / "out")
    assert pq.read_table(tmp_path / "out").num_rows == len(frame)


def test_files_of_several_schemas_are_refused(fitted, frame, tmp_path):
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(tenant="t").to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"several schemas.*a\.parquet.*int64.*b\.parquet.*string"):
        fitted.predict_dataset(tmp_path, tmp_path / "out")


def test_a_missing_text_is_named_and_what_stood_before_it_is_kept(fitted, frame, tmp_path):
    texts = [*frame["text"][:100], None]
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    with pytest.raises(ValueError, match="row 100 of `X` is missing"):
        fitted.predict_dataset(tmp_path / "texts.parquet", tmp_path / "out", rows_per_part=1)
    assert len(list((tmp_path / "out").glob("part-*"))) == 3


def test_a_damaged_csv_file_is_named(fitted, tmp_path):
    (tmp_path / "texts.csv").write_text('id,text\n1,a\n2,b,"c"\n')
    with pytest.raises(ValueError, match=r"texts\.csv' of `dataset` cannot be read"):
        fitted.predict_dataset(tmp_path / "texts.csv", tmp_path / "out")


def test_a_folder_of_other_files_is_left_alone(fitted, parquet, tmp_path):
    with pytest.raises(FileExistsError, match="holds other files; give a new or an empty folder"):
        fitted.predict_dataset(parquet, tmp_path)
    with pytest.raises(NotADirectoryError, match="is a file"):
        fitted.predict_dataset(parquet, parquet)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"n_parts": 1', b"\xff"])
def test_a_damaged_manifest_is_named(fitted, parquet, tmp_path, content):
    output = fitted.predict_dataset(parquet, tmp_path / "out")
    (output / "_manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"_manifest.json.* is damaged; give a new folder"):
        fitted.predict_dataset(parquet, output)


def test_a_damaged_part_is_named_and_written_anew(fitted, parquet, tmp_path):
    output = fitted.predict_dataset(parquet, tmp_path / "out", rows_per_part=np.int64(32))
    part = output / "part-000001.parquet"
    before = part.read_bytes()
    part.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"part-000001.* 4 bytes .* delete it and call again"):
        fitted.predict_dataset(parquet, output, rows_per_part=32)
    part.unlink()
    fitted.predict_dataset(parquet, output, rows_per_part=32, n_passes=np.int64(1))
    assert part.read_bytes() == before


def test_a_damaged_file_among_several_is_named(fitted, frame, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    as_parquet_files(frame, folder)
    whole = bytearray((folder / "b.parquet").read_bytes())
    whole[200:700] = bytes(500)
    (folder / "b.parquet").write_bytes(whole)
    with pytest.raises((OSError, ValueError), match=r"b.parquet' of `dataset` cannot be read"):
        fitted.predict_dataset(folder, tmp_path / "out", column="text")


def test_lines_that_are_divided_otherwise_are_told(fitted, tmp_path):
    (tmp_path / "a.csv").write_text("text;id\nsun;1\n")
    with pytest.raises(ValueError, match="'text;id': its lines are probably divided by semicolons"):
        fitted.predict_dataset(tmp_path / "a.csv", tmp_path / "out")
