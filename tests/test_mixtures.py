import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from muxlearn.mixtures import plan_mixtures, training_batches, turns_of

any_n_mux = st.integers(1, 12)
any_regrouping = st.integers(0, 2)
any_lengths = arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 128))
lengths_and_groups = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 128)),
        arrays(np.int64, n, elements=st.integers(0, 4)),
    )
)


def random_lengths(n_rows, seed=0):
    return np.random.default_rng(seed).integers(1, 100, n_rows)


def n_positions(rows, lengths):
    """Positions the backbone sees: each mixture is as long as its longest row."""
    return lengths[rows].max(1).sum()


def companions(rows):
    """The sets of rows that share a mixture."""
    return {frozenset(mixture) for mixture in rows.tolist()}


def same_batches(a, b):
    return len(a) == len(b) and all(map(np.array_equal, a, b))


# Planning


@given(any_lengths, any_n_mux, any_regrouping)
def test_every_row_has_exactly_one_counted_slot(lengths, n_mux, regrouping):
    plan = plan_mixtures(lengths, n_mux, regrouping=regrouping)
    assert sorted(plan.rows[plan.counted]) == list(range(len(lengths)))


@given(any_lengths, any_n_mux)
def test_there_are_no_more_mixtures_than_needed(lengths, n_mux):
    plan = plan_mixtures(lengths, n_mux)
    assert plan.rows.shape == (-(-len(lengths) // n_mux), n_mux)
    assert plan.n_mux == n_mux


@given(lengths_and_groups, any_n_mux, any_regrouping)
def test_groups_never_share_a_mixture_not_even_through_fillers(given_rows, n_mux, regrouping):
    lengths, groups = given_rows
    plan = plan_mixtures(lengths, n_mux, groups=groups, regrouping=regrouping)
    assert (groups[plan.rows] == groups[plan.rows[:, :1]]).all()


def test_lengths_of_any_type_are_sorted():
    lengths = np.array([1, 2, 200, 0], np.uint8)
    assert lengths[plan_mixtures(lengths, 1).rows[:, 0]].tolist() == [200, 2, 1, 0]


@pytest.mark.parametrize(
    ("name", "value"), [("n_mux", 2.0), ("n_mux", 0), ("seed", None), ("regrouping", -1)]
)
def test_a_parameter_of_a_plan_is_named_where_it_is_wrong(name, value):
    with pytest.raises((TypeError, ValueError), match=f"`{name}` must be a whole"):
        plan_mixtures([1, 2, 3], **{"n_mux": 2, name: value})


def test_a_parameter_of_batches_is_named_where_it_is_wrong():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="`lengths` needs one axis and at least one row"):
        training_batches([], 2, 4, rng)
    with pytest.raises(ValueError, match="`batch_size` must be a whole"):
        training_batches([1], 2, 0, rng)
    with pytest.raises(ValueError, match="`shares` has 1 numbers, but `n_mux` 2; give"):
        training_batches([1, 2], (1, 2), 4, rng, (1.0,))


@given(lengths_and_groups)
def test_rows_that_share_no_mixture_need_no_groups(given_rows):
    lengths, groups = given_rows
    with_groups, without = plan_mixtures(lengths, 1, groups=groups), plan_mixtures(lengths, 1)
    np.testing.assert_array_equal(with_groups.rows, without.rows)


@given(lengths_and_groups, any_n_mux, any_regrouping)
def test_every_row_has_exactly_one_counted_slot_with_groups(given_rows, n_mux, regrouping):
    lengths, groups = given_rows
    plan = plan_mixtures(lengths, n_mux, groups=groups, regrouping=regrouping)
    assert sorted(plan.rows[plan.counted]) == list(range(len(lengths)))


@given(lengths_and_groups, st.integers(2, 12), any_regrouping)
def test_a_group_is_mixed_as_if_it_were_alone(given_rows, n_mux, regrouping):
    lengths, groups = given_rows
    plan = plan_mixtures(lengths, n_mux, groups=groups, regrouping=regrouping)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        alone = plan_mixtures(lengths[members], n_mux, regrouping=regrouping)
        of_group = groups[plan.rows[:, 0]] == group
        np.testing.assert_array_equal(plan.rows[of_group], members[alone.rows])
        np.testing.assert_array_equal(plan.counted[of_group], alone.counted)


def test_groups_may_be_strings():
    groups = np.array(["b", "a", "b", "a", "b"])
    plan = plan_mixtures(np.ones(5), 2, groups=groups)
    assert (groups[plan.rows[:, 0]] == groups[plan.rows[:, 1]]).all()


@given(any_lengths, any_n_mux)
def test_a_mixture_repeats_no_row_while_there_are_others(lengths, n_mux):
    plan = plan_mixtures(lengths, n_mux)
    n_different = [len(set(mixture)) for mixture in plan.rows.tolist()]
    assert n_different == [min(n_mux, len(lengths))] * len(plan)


@given(any_lengths, any_n_mux, any_regrouping)
def test_the_same_arguments_give_the_same_plan(lengths, n_mux, regrouping):
    first, second = (plan_mixtures(lengths, n_mux, seed=3, regrouping=regrouping) for _ in "ab")
    assert np.array_equal(first.rows, second.rows)
    assert np.array_equal(first.counted, second.counted)


def test_another_seed_gives_rows_of_equal_length_other_companions():
    plans = [plan_mixtures(np.ones(40), 4, seed=seed) for seed in (0, 1)]
    assert not companions(plans[0].rows) & companions(plans[1].rows)


@pytest.mark.parametrize("regroupings", [(0, 1), (1, 2)])
def test_another_regrouping_gives_other_companions(regroupings):
    lengths = random_lengths(800)
    plans = [plan_mixtures(lengths, 8, regrouping=regrouping) for regrouping in regroupings]
    assert not companions(plans[0].rows) & companions(plans[1].rows)


def test_another_regrouping_gives_other_places():
    lengths = 2 ** np.arange(20)  # far apart: a regrouping cannot change companions
    plans = [plan_mixtures(lengths, 20, regrouping=regrouping) for regrouping in (0, 1)]
    assert companions(plans[0].rows) == companions(plans[1].rows)
    assert not np.array_equal(plans[0].rows, plans[1].rows)


@given(st.integers(1, 12), any_n_mux, st.randoms(use_true_random=False))
def test_no_other_grouping_is_padded_less(n_mixtures, n_mux, random):
    lengths = random_lengths(n_mixtures * n_mux, random.randrange(1000))
    unsorted = np.array(random.sample(range(len(lengths)), len(lengths))).reshape(-1, n_mux)
    plan = plan_mixtures(lengths, n_mux)
    assert n_positions(plan.rows, lengths) <= n_positions(unsorted, lengths)


@given(any_lengths, any_n_mux)
def test_fillers_lengthen_the_last_mixture_only(lengths, n_mux):
    plan = plan_mixtures(lengths, n_mux)
    before_last = np.sort(lengths)[::-1][::n_mux][:-1].sum()
    assert n_positions(plan.rows[:-1], lengths) == before_last
    assert lengths[plan.rows[-1]].max() <= lengths.max()


def test_a_regrouping_is_padded_little_more():
    lengths = random_lengths(400)
    plain, regrouped = (plan_mixtures(lengths, 8, regrouping=r) for r in (0, 1))
    assert n_positions(regrouped.rows, lengths) <= 1.25 * n_positions(plain.rows, lengths)


@pytest.mark.parametrize("regrouping", [0, 1])
def test_the_longest_mixture_comes_first(regrouping):
    lengths = random_lengths(50)
    longest = lengths[plan_mixtures(lengths, 4, regrouping=regrouping).rows].max(1)
    assert (np.diff(longest) <= 0).all()


@given(any_lengths, any_n_mux, st.integers(1, 70))
def test_batches_cover_the_plan_in_order(lengths, n_mux, batch_size):
    plan = plan_mixtures(lengths, n_mux)
    batches = list(plan.batches(batch_size))
    assert np.array_equal(np.concatenate([b.rows for b in batches]), plan.rows)
    assert np.array_equal(np.concatenate([b.counted for b in batches]), plan.counted)
    assert max(map(len, batches)) <= batch_size


@given(lengths_and_groups, any_n_mux, any_regrouping)
def test_unmix_brings_every_value_home(given_rows, n_mux, regrouping):
    lengths, groups = given_rows
    plan = plan_mixtures(lengths, n_mux, groups=groups, regrouping=regrouping)
    values = np.random.default_rng(0).normal(size=(len(lengths), 3))
    assert np.array_equal(plan.unmix(values[plan.rows]), values)


@given(any_lengths, any_n_mux)
def test_unmix_drops_what_fillers_say(lengths, n_mux):
    plan = plan_mixtures(lengths, n_mux)
    values = np.where(plan.counted, plan.rows, -1)
    assert np.array_equal(plan.unmix(values), np.arange(len(lengths)))


def test_unmix_names_both_shapes_when_they_differ():
    plan = plan_mixtures(np.ones(8), 4)
    with pytest.raises(ValueError, match=r"\(3, 4\).*2 mixtures of 4 rows"):
        plan.unmix(np.zeros((3, 4)))


@pytest.mark.parametrize("lengths", [[], [[1, 2]], 3])
def test_planning_needs_one_axis_and_one_row(lengths):
    with pytest.raises(ValueError, match="one axis and at least one row"):
        plan_mixtures(lengths, 2)


def test_planning_needs_a_group_for_every_row():
    with pytest.raises(ValueError, match=r"`groups` has shape \(3,\), but there are 2 rows"):
        plan_mixtures([1, 2], 2, groups=[0, 0, 1])


# Training


def draw(n_rows, n_mux, batch_size, seed=0):
    rng = np.random.default_rng(seed)
    return training_batches(random_lengths(n_rows), n_mux, batch_size, rng)


@given(st.integers(1, 200), any_n_mux, st.integers(1, 40))
def test_an_epoch_has_as_many_steps_whatever_n_mux(n_rows, n_mux, batch_size):
    assert len(draw(n_rows, n_mux, batch_size)) == -(-n_rows // batch_size)


@given(st.integers(1, 200), any_n_mux, st.integers(1, 40))
def test_every_batch_is_full(n_rows, n_mux, batch_size):
    shapes = {batch.shape for batch in draw(n_rows, n_mux, batch_size)}
    assert shapes == {(min(batch_size, n_rows), n_mux)}


@given(st.integers(1, 200), any_n_mux, st.integers(1, 40))
def test_every_row_is_seen_n_mux_times_or_what_full_batches_add(n_rows, n_mux, batch_size):
    batches = draw(n_rows, n_mux, batch_size)
    seen = np.bincount(np.concatenate(batches).ravel(), minlength=n_rows)
    mean = sum(batch.size for batch in batches) / n_rows
    assert seen.min() >= n_mux
    assert set(seen) <= {int(np.floor(mean)), int(np.ceil(mean))}


@given(st.integers(1, 200), st.sets(any_n_mux, min_size=2, max_size=4), st.integers(1, 40))
def test_operating_points_are_used_equally(n_rows, points, batch_size):
    used = [batch.shape[1] for batch in draw(n_rows, tuple(points), batch_size)]
    counts = [used.count(point) for point in points]
    assert sum(counts) == len(used)
    assert max(counts) - min(counts) <= 1


def test_a_single_turn_is_drawn_by_the_shares():
    drawn = [turns_of((0.3, 0.7), 1, np.random.default_rng(seed)).item() for seed in range(500)]
    assert np.bincount(drawn) / 500 == pytest.approx([0.3, 0.7], abs=0.06)


@given(st.integers(1, 100), any_n_mux, st.integers(1, 40))
def test_the_same_generator_gives_the_same_batches(n_rows, n_mux, batch_size):
    first, second = (draw(n_rows, n_mux, batch_size) for _ in "ab")
    assert same_batches(first, second)


def test_companions_change_between_epochs():
    rng = np.random.default_rng(0)
    first, second = (training_batches(np.ones(200), 8, 10, rng) for _ in "ab")
    assert not companions(np.concatenate(first)) & companions(np.concatenate(second))


def test_companions_change_within_an_epoch():
    mixtures = np.concatenate(draw(200, 8, 10))
    assert len(companions(mixtures)) > 0.95 * len(mixtures)


def test_a_row_is_seen_in_every_slot():
    batches = [batch for seed in range(30) for batch in draw(6, 3, 4, seed)]
    slots = {slot for batch in batches for slot in np.nonzero(batch == 0)[1]}
    assert slots == {0, 1, 2}


def test_copies_of_a_row_stand_in_different_slots():
    (batch,) = draw(40, 8, 40)
    n_slots = [len(set(np.nonzero(batch == row)[1])) for row in range(40)]
    assert np.mean(n_slots) > 4


@given(st.integers(1, 60), any_n_mux, st.integers(1, 40))
def test_copies_of_a_row_land_in_different_mixtures(n_rows, n_mux, batch_size):
    for batch in draw(n_rows, n_mux, batch_size):
        if np.bincount(batch.ravel()).max() <= len(batch):
            assert all(len(set(mixture)) == n_mux for mixture in batch.tolist())


def test_copies_of_few_rows_do_not_fill_a_batch():
    lengths = 2 ** np.arange(40)  # no batch is put together of rows of another length
    for batch in training_batches(lengths, 10, 4, np.random.default_rng(0)):
        assert len(np.unique(batch)) >= batch.size // 2


def test_copies_do_not_fill_a_batch_of_a_point_that_takes_most_of_the_steps():
    lengths, shares = 2 ** np.arange(60), (0.02, 0.02, 0.01, 0.95)
    rng = np.random.default_rng(0)
    for batch in training_batches(lengths, (1, 2, 4, 20), 1, rng, shares):
        assert len(np.unique(batch)) >= batch.size // 3


def test_few_rows_fill_a_mixture_larger_than_they_are():
    (batch,) = draw(3, 8, 32)
    assert batch.shape == (3, 8)
    assert np.bincount(batch.ravel()).tolist() == [8, 8, 8]


def test_training_batches_do_not_come_by_their_length():
    lengths = 2 ** np.arange(60)
    batches = training_batches(lengths, 2, 3, np.random.default_rng(0))
    longest = np.array([lengths[batch].max() for batch in batches])
    assert len(longest) == 20
    assert (np.diff(longest) < 0).sum() > 4


def test_rows_of_similar_length_share_a_training_batch():
    lengths = random_lengths(1000)
    rng = np.random.default_rng(0)
    batches = training_batches(lengths, 4, 10, rng)
    planned = sum(batch.size * lengths[batch].max() for batch in batches)
    shuffled = rng.permutation(np.concatenate(batches).ravel()).reshape(-1, 40)
    unsorted = 40 * n_positions(shuffled, lengths)
    assert planned < 0.7 * unsorted
