"""The tables of `scale` on little data; the engines are tested in tests/distributed."""

import json

import pytest

from muxlearn.benchmark import _scale_stream
from muxlearn.benchmark.__main__ import main

# The texts are made-up words, which the packaged encoder does not know.
pytestmark = pytest.mark.filterwarnings("ignore:.*of the pieces of `X` are fragments")


@pytest.mark.slow
def test_a_stream_is_watched_and_its_rows_are_counted(tmp_path):
    out = tmp_path / "stream.json"
    sizes = ["--rows", "30000", "--slots", "4", "--hidden-size", "8"]
    assert main(["scale", "--part", "stream", *sizes, "--json", str(out)]) == 0
    written = json.loads(out.read_text())
    assert "30000 rows in, 30000 out" in written["title"]
    assert written["rows"][-1]["rows"] == 30000
    assert all(row["peak_MiB"] >= row["median_MiB"] > 0 for row in written["rows"])


def test_rows_that_are_out_of_order_are_not_counted(tmp_path):
    _scale_stream.write_texts(tmp_path / "part-000000.parquet", 10, (2, 3))
    _scale_stream.write_texts(tmp_path / "part-000001.parquet", 10, (2, 3))
    with pytest.raises(AssertionError, match="does not go on"):
        _scale_stream.count_rows(tmp_path)


@pytest.mark.slow
def test_a_search_is_timed_with_one_worker_and_with_two(tmp_path):
    out = tmp_path / "search.json"
    sizes = ["--search-rows", "60", "--search-epochs", "1", "--backends", "loky"]
    assert main(["scale", "--part", "search", *sizes, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [(row["backend"], row["workers"]) for row in rows] == [("none", 1), ("loky", 2)]


@pytest.mark.slow
def test_engines_are_timed_beside_one_process(tmp_path):
    pytest.importorskip("dask.dataframe")
    out = tmp_path / "bulk.json"
    sizes = ["--bulk-rows", "200", "--engines", "dask"]
    assert main(["scale", "--part", "bulk", *sizes, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["engine"] for row in rows] == ["predict, one process", "dask"]
    assert all(row["rows_per_s"] > 0 for row in rows)
