"""Tables of the benchmarks mark what another row beats."""

import importlib.util
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(scope="module")
def table():
    pytest.importorskip("docutils")
    spec = importlib.util.spec_from_file_location("table", EXTENSIONS / "benchmark_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("places", "beaten"),
    [
        ([(0.9, 10), (0.8, 5), (0.95, 1)], [False, True, False]),
        ([(0.9, 10), (0.9, 10)], [False, False]),  # neither is better
        ([(0.9, 10), (0.9, 5), (0.8, 10)], [False, True, True]),
    ],
)
def test_a_row_that_another_one_beats_is_marked(table, places, beaten):
    rows = [{"model": "m", "score": score, "speed": speed} for score, speed in places]
    marked = table.mark_beaten(rows, "score speed")
    assert [bool(row["beaten_by"]) for row in marked] == beaten


def test_without_columns_the_file_says_what_is_beaten(table):
    rows = [{"model": "m", "beaten_by": "n"}]
    assert table.mark_beaten(rows, None) == rows


def test_a_beaten_row_has_a_dagger_and_a_class(table):
    made = table._table(["model"], [["a"], ["b"]], [False, True])
    texts = [row.astext() for row in made.findall(table.nodes.row)]
    assert texts == ["model", "a", "b †"]
    assert [row["classes"] for row in made.findall(table.nodes.row)] == [[], [], ["beaten"]]


def test_a_summary_sorts_models_by_their_median_speed_and_leaves_gaps(table):
    def row(score, ratio, beaten=None):
        return {"score": score, "ratio": ratio, "beaten_by": beaten}

    tables = {
        "one": {"fast": row(0.5, 9.0), "slow": row(0.75, 1.0)},
        "two": {"fast": row(0.25, 11.0, "slow"), "slow": row(0.5, 30.0), "slowest": row(1.0, 0.5)},
    }
    assert table.summarise(tables, "") == [
        ["slowest", "0.5", "", "1.000"],
        ["fast", "10.0", "0.500", "0.250 †"],
        ["slow", "15.5", "0.750", "0.500"],
    ]
    assert [line[0] for line in table.summarise(tables, "slow|fast")] == ["fast", "slow"]
