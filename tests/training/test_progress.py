"""Progress in a log, and what is said of a training before it is over."""

import logging

import pytest
import torch

from muxlearn.training import announcements, processes
from muxlearn.training.announcements import Forecast, RowProgress
from muxlearn.training.progress import LogProgress, progress_bar, say

TEXTS = ["the cat sat", "my old dog", "it", "a b c"] * 5
LABELS = ["x", "y"] * 10


class Clock:
    """A clock that somebody else sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines(capsys):
    return capsys.readouterr().err.splitlines()


# Lines of a log


def test_a_log_gets_a_line_every_half_a_minute_and_one_at_the_end(clock, capsys):
    with LogProgress(400, "predict", clock=clock) as bar:
        for bar_now in (10, 31, 40, 65, 70):
            clock.now = bar_now
            bar.update(70)
    assert lines(capsys) == [
        "muxlearn: predict: 140 of 400 rows, 5 rows/s",
        "muxlearn: predict: 280 of 400 rows, 4 rows/s",
        "muxlearn: predict: 350 of 400 rows, 5 rows/s",
    ]


def test_what_is_short_gets_a_line_only_where_it_always_does(clock, capsys):
    for always in (False, True):
        with LogProgress(None, "epoch", n_done=5, always=always, clock=clock) as bar:
            clock.now += 2
            bar.set_postfix(loss="0.5", refresh=False)
            bar.update(10)
    assert lines(capsys) == ["muxlearn: epoch: 15 rows, 5 rows/s, loss 0.5"]


def test_what_nobody_watches_writes_nothing(capsys):
    with progress_bar(3, "predict", show=False, always=True) as bar:
        bar.update(3)
    assert lines(capsys) == []


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_process_without_a_standard_error_trains_and_predicts(
    tiny_classifier, monkeypatch, capsys, verbose
):
    monkeypatch.setattr("sys.stderr", None)  # as with pythonw, or as a service
    clf = tiny_classifier(warm_up=None, verbose=verbose).fit(TEXTS, LABELS)
    assert len(clf.predict(TEXTS)) == len(TEXTS)
    assert capsys.readouterr().out == ""


def test_lines_go_through_logging_where_that_is_set_up(caplog, capsys):
    with caplog.at_level(logging.INFO):
        say("hello")
    assert [record.getMessage() for record in caplog.records] == ["hello"]
    assert lines(capsys) == []


def test_lines_can_be_silenced(caplog, capsys):
    with caplog.at_level(logging.WARNING, logger="muxlearn"):
        say("hello")
    assert lines(capsys) == []


# A training


def test_a_training_that_is_watched_writes_a_line_an_epoch(tiny_classifier, capsys):
    tiny_classifier(max_epochs=2, warm_up=1, verbose=1).fit(TEXTS, LABELS)
    out, err = capsys.readouterr()
    assert out == ""
    written = err.splitlines()
    assert "muxlearn: warm-up: 20 rows, 1 epoch of 3 steps, each row 2 times" in written
    assert "muxlearn: training: 20 rows, 2 epochs of 3 steps, each row 4 times" in written
    epochs = [line for line in written if line.startswith("muxlearn: training ")]
    assert [line.split(": ")[1] for line in epochs] == ["training 1/2", "training 2/2"]
    assert all("rows/s, loss" in line for line in epochs)


def test_a_short_training_that_nobody_watches_says_nothing(tiny_classifier, capsys):
    tiny_classifier(max_epochs=2, warm_up=1).fit(TEXTS, LABELS)
    assert lines(capsys) == []


@pytest.mark.parametrize(
    ("seconds", "asked_for", "said"),
    [
        (1.0, False, []),
        (4.0, False, ["{plan}; about 3 minutes in all; verbose=1 shows the progress"]),
        (0.6, True, ["{plan}", "muxlearn: training: about 30 s in all"]),
        (400.0, True, ["{plan}", "muxlearn: training: about 5.6 hours in all"]),
    ],
)
def test_a_forecast_comes_once_the_first_steps_are_timed(
    clock, capsys, seconds, asked_for, said, tiny_classifier
):
    net = tiny_classifier(max_epochs=0, warm_up=None).fit(TEXTS, LABELS).net_
    net.max_epochs = 10
    forecast = Forecast("training", asked_for, clock)
    forecast.on_train_begin(net, X=range(40))
    for _ in range(30):
        clock.now += seconds
        forecast.on_batch_end(net, training=True)
        forecast.on_batch_end(net, training=False)
    plan = "muxlearn: training: 40 rows, 10 epochs of 5 steps, each row 20 times"
    assert lines(capsys) == [line.format(plan=plan) for line in said]


def test_a_row_comes_as_often_as_the_shares_of_the_points_say(capsys, tiny_classifier):
    shares = {1: 0.2, 2: 0.8}
    clf = tiny_classifier(operating_points=shares, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    clf.net_.max_epochs = 10
    Forecast("training", asked_for=True).on_train_begin(clf.net_, X=range(40))
    (line,) = lines(capsys)
    assert line.endswith("10 epochs of 5 steps, each row 18 times")


def test_several_processes_share_the_steps(capsys, tiny_classifier, monkeypatch):
    net = tiny_classifier(max_epochs=0, warm_up=None).fit(TEXTS, LABELS).net_
    net.max_epochs = 1
    for module in (announcements, processes):
        monkeypatch.setattr(module, "n_processes", lambda: 2)
    Forecast("training", asked_for=True).on_train_begin(net, X=range(48))
    assert "48 rows, 1 epoch of 3 steps" in lines(capsys)[0]
    progress = RowProgress("training")
    progress.on_epoch_begin(net, dataset_train=range(48))
    batch = {"input_ids": torch.zeros(8, 2, 5)}, None
    for _ in range(3):
        progress.on_batch_end(net, batch, training=True, loss=torch.tensor(1.0))
    progress.on_epoch_end(net)
    assert "96 of 96 rows" in lines(capsys)[0]
