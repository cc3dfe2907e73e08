"""Batches of a training: shares of operating points, and worker processes."""

import numpy as np
import pytest
import torch

from muxlearn.points import Point
from muxlearn.rows import RowTable
from muxlearn.training.data import MixtureData, TrainingBatches


class Numbers(RowTable):
    """Rows that are their own numbers, with what their seed draws."""

    def __init__(self, n_rows):
        self.lengths = np.ones(n_rows, np.int64)

    def training_inputs(self, rows, seed):
        return {"rows": rows, "drawn": np.random.default_rng(seed).random(rows.shape)}


def batches(points, shares=None, **options):
    targets, weights = np.zeros(60, np.int64), np.ones(60, np.float32)
    return TrainingBatches(
        MixtureData(Numbers(60), targets, weights), points, 6, 0, shares=shares, **options
    )


def shown(epoch):
    return [(inputs["rows"].tolist(), inputs["drawn"].tolist()) for inputs, _ in epoch]


def test_each_point_gets_its_share_of_an_epoch_s_steps():
    points = Point(1, 1), Point(4, 1), Point(4, 2)
    made = batches(points, (0.2, 0.3, 0.5))
    for _ in range(3):
        sizes = [(i["rows"].shape[1], i["patch_size"]) for i, _ in made]
        assert [sizes.count(point) for point in points] == [2, 3, 5]


def test_a_small_share_gets_its_turn_in_the_long_run():
    made = batches((Point(1), Point(2)), (0.05, 0.95))
    counts = [sum(i["rows"].shape[1] == 1 for i, _ in made) for _ in range(40)]
    assert set(counts) == {0, 1}
    assert 12 <= sum(counts) <= 28


@pytest.mark.parametrize("n_parts", [1, 3])
def test_a_training_goes_on_at_any_step(n_parts):
    points = Point(2, 1), Point(2, 2)
    whole = batches(points)
    whole.shard(0, 1, n_parts)
    epochs = [shown(whole) for _ in range(3)]
    n_steps = len(epochs[0])
    for first_step in (0, 4, n_steps, n_steps + 3):
        epoch, step = divmod(first_step, n_steps)
        rest = batches(points, first_step=first_step)
        rest.shard(0, 1, n_parts)
        assert shown(rest) == epochs[epoch][step:]
        assert shown(rest) == epochs[epoch + 1]


def test_each_batch_of_each_epoch_and_process_draws_numbers_of_its_own():
    drawn = []
    for share in range(2):
        made = batches((Point(2),))
        made.shard(share, 2)
        drawn += [numbers[0][0] for _ in range(2) for _, numbers in shown(made)]
    assert len(set(drawn)) == len(drawn) == 20


@pytest.mark.parametrize("first_step", [0, 14])
def test_workers_form_the_same_batches(first_step):
    state = torch.get_rng_state()
    made = [batches((Point(2),), first_step=first_step, n_workers=n) for n in (0, 2)]
    for _ in range(2):
        assert shown(made[0]) == shown(made[1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("n_shares", [1, 2, 11])
def test_every_row_is_in_a_share_of_an_epoch_and_shares_are_of_one_size(n_shares):
    shares = []
    for share in range(n_shares):
        made = batches((Point(2),))
        made.shard(share, n_shares)
        shares.append(np.concatenate([rows for rows, _ in shown(made)]))
    assert len({len(rows) for rows in shares}) == 1
    assert set(np.concatenate(shares).ravel()) == set(range(60))


def test_parts_of_a_batch_are_those_of_a_larger_one():
    whole, parts = batches((Point(2),)), batches((Point(2),))
    whole.shard(0, 3)
    parts.shard(0, 1, 3)
    firsts = [rows for rows, _ in shown(whole)]
    assert [rows for rows, _ in shown(parts)][::3] == firsts


def test_the_training_forms_other_mixtures_than_the_warm_up(tiny_classifier, monkeypatch):
    formed, batch = [], MixtureData.batch

    def noted(data, rows, *args, **options):
        formed.append(rows)
        return batch(data, rows, *args, **options)

    monkeypatch.setattr(MixtureData, "batch", noted)
    tiny_classifier(n_mux=2, max_epochs=1, warm_up=1).fit([*"abcdefgh"] * 4, [0, 1] * 16)
    in_warm_up, in_training = np.split(np.array(formed), 2)
    assert (in_warm_up != in_training).any((1, 2)).all()
