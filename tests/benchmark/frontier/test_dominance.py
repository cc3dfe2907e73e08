from muxlearn.benchmark.frontier._dominance import Place, beaten_by, best_as_fast, frontier

PLACES = {
    "slow": Place(0.9, 10.0),
    "middle": Place(0.85, 100.0),
    "worse": Place(0.84, 90.0),
    "fast": Place(0.7, 1000.0),
    "worst": Place(0.6, 5.0),
}


def test_a_model_is_beaten_where_another_is_better_in_both():
    beaten = beaten_by(PLACES)
    assert beaten["worse"] == "middle"
    assert [name for name, winner in beaten.items() if winner is None] == ["slow", "middle", "fast"]


def test_of_several_winners_the_most_accurate_is_named():
    assert beaten_by(PLACES)["worst"] == "slow"


def test_equal_in_one_and_better_in_the_other_beats():
    places = {"a": Place(0.9, 10.0), "b": Place(0.9, 20.0), "c": Place(0.8, 20.0)}
    assert beaten_by(places) == {"a": "b", "b": None, "c": "b"}


def test_twins_do_not_beat_each_other():
    places = {"a": Place(0.9, 10.0), "b": Place(0.9, 10.0)}
    assert beaten_by(places) == {"a": None, "b": None}


def test_the_frontier_runs_from_the_slowest_to_the_fastest():
    assert frontier(PLACES) == ["slow", "middle", "fast"]
    assert frontier({}) == []


def test_best_of_those_that_are_as_fast():
    assert best_as_fast(PLACES, "worse", PLACES) == "middle"
    assert best_as_fast(PLACES, "worse", ["fast", "slow"]) == "fast"
    assert best_as_fast(PLACES, "fast", PLACES) is None
