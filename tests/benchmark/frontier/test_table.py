import pytest

from muxlearn.benchmark.frontier._table import make_table


def result(model, kind, score, own, plain=1.0):
    return {
        "model": model,
        "kind": kind,
        "score": score,
        "fit_s": 1.0,
        "fit_cpu_s": 1.0,
        "seconds_per_row": [own],
        "reference_seconds_per_row": [plain],
    }


@pytest.fixture
def table():
    results = [
        result("plain", "plain", 0.9, 1.1),
        result("plain", "plain", 0.8, 0.9),
        result("small", "plain", 0.7, 0.5),
        result("small", "plain", 0.7, 0.5),
        result("(1, 2)", "tokens", 0.8, 0.5),
        result("(1, 2)", "tokens", 0.76, 1.0, plain=3.0),  # a slow hour
        result("words", "words", 0.6, 0.1),
        result("words", "words", 0.6, 0.1),
        result("TF-IDF", "linear", 0.65, 0.05),
        result("TF-IDF", "linear", 0.65, 0.05),
    ]
    return {row["model"]: row for row in make_table(results)}


def test_scores_are_joined_over_the_seeds(table):
    assert table["plain"]["score"] == pytest.approx(0.85)
    assert (table["plain"]["lowest"], table["plain"]["highest"]) == (0.8, 0.9)
    assert table["plain"]["n_seeds"] == 2


def test_speeds_come_from_turns_with_the_plain_model(table):
    assert table["plain"]["ratio"] == 1.0
    assert table["(1, 2)"]["ratio"] == 2.5
    assert table["(1, 2)"]["rows_per_s"] == pytest.approx(2.5)
    assert list(table) == ["plain", "small", "(1, 2)", "words", "TF-IDF"]


def test_each_row_says_who_beats_it(table):
    winners = {name: row["beaten_by"] for name, row in table.items()}
    assert winners == {
        "plain": None,
        "small": "(1, 2)",
        "(1, 2)": None,
        "words": "TF-IDF",
        "TF-IDF": None,
    }


def test_multiplexed_rows_are_compared_with_the_words_and_plain_networks_as_fast(table):
    row = table["(1, 2)"]
    assert row["over_words"] == pytest.approx(18)
    assert row["over_plain"] is None  # all are slower
    assert table["TF-IDF"]["over_words"] is None


def test_no_results_make_no_table():
    assert make_table([]) == []
