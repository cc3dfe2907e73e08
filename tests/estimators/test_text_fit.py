import copy
import random
import re
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping

from muxlearn import MuxTextClassifier
from muxlearn.training.trainer import Trainer

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
SEASONS = ["snow and ice", "sun and sand"] * 20
NAMES = ["winter", "summer"] * 20


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return partial(tiny_classifier, max_epochs=2)


def weights(clf):
    return {name: tensor.clone() for name, tensor in clf.module_.state_dict().items()}


def same_weights(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Raise(Callback):
    """Raises at the first training batch of the warm-up or of the task."""

    def __init__(self, error, in_warm_up=False):
        self.error = error
        self.in_warm_up = in_warm_up

    def on_batch_end(self, net, training=None, **kwargs):
        if training and (net.objective.task_weight == 0) == self.in_warm_up:
            raise self.error


def interrupt(monkeypatch, callback):
    """Let `callback` take part in the warm-up, too, where the user's do not."""
    own = Trainer._own_callbacks
    monkeypatch.setattr(Trainer, "_own_callbacks", lambda *args: [*own(*args), callback])


class Snapshots(Callback):
    """Keeps the weights after each epoch."""

    def initialize(self):
        self.weights_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append(copy.deepcopy(net.module_.state_dict()))


# Weights of rows and classes


@pytest.mark.parametrize(
    ("class_weight", "least", "most"),
    [
        (None, 0, 0.25),
        ("balanced", 0.35, 0.65),
        ({"rare": 5.0, "common": 0.5}, 0.35, 0.65),
        ({"rare": 10}, 0.35, 0.65),
    ],
    ids=str,
)
def test_class_weight_makes_up_for_a_rare_class(tiny, class_weight, least, most):
    texts, labels = ["always the same"] * 40, ["rare"] * 4 + ["common"] * 36
    clf = tiny(class_weight=class_weight, lr=1e-2, max_epochs=15, warm_up=None)
    rare = clf.fit(texts, labels).predict_proba(texts[:2])[0, 1]
    assert least < rare < most


def test_rows_of_weight_zero_teach_nothing(tiny):
    clf = tiny(lr=1e-2, max_epochs=10)
    clf.fit(SEASONS, NAMES, sample_weight=[name == "winter" for name in NAMES])
    assert set(clf.predict(SEASONS)) == {"winter"}
    assert set(clf.fit(SEASONS, NAMES).predict(SEASONS)) == {"winter", "summer"}


@pytest.mark.parametrize(
    ("class_weight", "sample_weight", "message"),
    [
        ({"q": 1}, None, "`class_weight` names the label 'q', which is not in `y`"),
        ({"x": -1}, None, r"`class_weight['x']` must be a number of at least 0, got -1"),
        ({"x": float("nan")}, None, "`class_weight['x']` must be a number"),
        ({"x": 0, "y": 0}, None, "make zero for every row; nothing could be learned"),
        ({"x": 0}, [0, 1] * 6 + [1, 0] * 6, None),
        ({"y": 0}, [0, 1] * 12, "make zero for every row"),
        (None, [1] * 23, "sample_weight"),
        (None, [-1] * 24, "sample_weight"),
        (None, [0] * 24, "non-zero number|zero for every row"),
    ],
)
def test_weights_that_cannot_be_are_refused(tiny, class_weight, sample_weight, message):
    clf = tiny(class_weight=class_weight, max_epochs=0, warm_up=None)
    if message is None:
        clf.fit(TEXTS, LABELS, sample_weight=sample_weight)
        return
    pattern = message if "|" in message else re.escape(message)
    with pytest.raises(ValueError, match=pattern):
        clf.fit(TEXTS, LABELS, sample_weight=sample_weight)


# Few rows, few classes


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_fewer_rows_than_n_mux_are_enough(tiny, n_rows):
    clf = tiny(n_mux=8).fit(TEXTS[:n_rows], LABELS[:n_rows])
    assert clf.predict_proba(TEXTS[:3]).shape == (3, min(n_rows, 2))


def test_one_class_is_always_predicted(tiny):
    clf = tiny().fit(TEXTS, ["only"] * 24)
    assert set(clf.predict(TEXTS)) == {"only"}
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), np.ones((24, 1)))
    assert clf.decision_function(TEXTS).shape == (24, 1)


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([None, *LABELS[1:]], id="None"),
        pytest.param([float("nan"), *LABELS[1:]], id="NaN among strings"),
        pytest.param([float("nan"), *[0, 1] * 11, 0], id="NaN among numbers"),
        pytest.param(np.array([np.nan] + [1.0] * 23), id="NaN in an array"),
        pytest.param(pd.Series([None, *LABELS[1:]], dtype="string"), id="NA in a string column"),
        pytest.param(pd.Series([None, *[0, 1] * 11, 0], dtype="Int64"), id="NA in a number column"),
    ],
)
def test_a_missing_label_is_refused_by_its_row(tiny, labels):
    with pytest.raises(ValueError, match=r"row 0 of `y` is missing .*drop it or give it a label"):
        tiny().fit(TEXTS, labels)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (None, ValueError, "`y` is None"),
        (LABELS[:-1], ValueError, "`X` has 24 rows and `y` has 23"),
        (["a", 1] * 12, TypeError, "`y` mixes labels of types int, str; give labels of one type"),
        (np.linspace(0, 1, 24), ValueError, "continuous"),
        (np.ones((24, 2, 2)), ValueError, "one label for each row"),
        ([{"a"}, np.array(3)] * 12, TypeError, r"row 1 of `y` is array\(3\)"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(tiny, labels, error, message):
    with pytest.raises(error, match=message):
        tiny().fit(TEXTS, labels)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pd.Series([1, 0] * 12, dtype="Int64"), [0, 1]),
        (pd.Series(LABELS, dtype="category"), ["x", "y"]),
        (pd.Series([True, False] * 12, dtype="boolean"), [False, True]),
        (torch.tensor([3, 1] * 12), [1, 3]),
    ],
    ids=["nullable integers", "categories", "nullable booleans", "a tensor"],
)
def test_labels_of_other_array_types_keep_their_kind(tiny, labels, classes):
    clf = tiny(max_epochs=0, warm_up=None).fit(TEXTS, labels)
    assert clf.classes_.tolist() == classes
    assert type(clf.classes_.tolist()[0]) is type(classes[0])


# Parameters


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_mux": 0}, ValueError, "`n_mux` must be 'auto' or a whole number of at least 1, got 0"),
        ({"n_mux": -2}, ValueError, "`n_mux`"),
        ({"n_mux": 2.0}, TypeError, "`n_mux`"),
        ({"n_mux": True}, TypeError, "`n_mux`"),
        ({"n_mux": 17}, ValueError, "width 16 hold at most 16 slots; lower `n_mux` or raise"),
        ({"architecture": "tmx"}, ValueError, "did you mean 'tmux'"),
        ({"multiplexer": "subspce"}, ValueError, "did you mean 'subspace'"),
        ({"demultiplexer": "rsaa"}, ValueError, "did you mean 'rsa'"),
        ({"architecture__learn_keys": 1}, TypeError, "`learn_keys`"),
        ({"backbone": 3}, TypeError, "`backbone`"),
        (
            {"backbone__hidden_size": 15},
            ValueError,
            "15 cannot be divided by `num_attention_heads` 2",
        ),
        ({"backbone__hidden_size": 0}, ValueError, "`hidden_size`"),
        ({"backbone__num_hidden_layers": 0}, ValueError, "`num_hidden_layers`"),
        ({"backbone__num_attention_heads": 1.5}, TypeError, "`num_attention_heads`"),
        ({"backbone__intermediate_size": 0}, ValueError, "`intermediate_size`"),
        ({"backbone__vocab_size": 258}, ValueError, "`vocab_size` .* at least 259"),
        ({"max_length": 3}, ValueError, "`max_length` .* at least 4"),
        ({"dropout": 1.0}, ValueError, "`dropout` .* below 1"),
        ({"warm_up": "autom"}, ValueError, "did you mean 'auto'"),
        ({"warm_up": -1}, ValueError, "`warm_up`"),
        ({"architecture__retrieval_weight": float("inf")}, ValueError, "`retrieval_weight`"),
        ({"architecture__retrieval_samples": 0}, ValueError, "`retrieval_samples`"),
        ({"operating_points": (1, 3)}, ValueError, "holds 3, which is above n_mux=2"),
        ({"operating_points": ()}, ValueError, "`operating_points`"),
        ({"max_epochs": -1}, ValueError, "`max_epochs`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"lr": 0}, ValueError, "`lr` must be 'auto' or a number above 0"),
        ({"lr": float("nan")}, ValueError, "`lr`"),
        ({"optimizer": 3}, TypeError, "`optimizer`"),
        ({"optimizer": "AdamX"}, ValueError, "names 'AdamX', which torch.optim does not have"),
        ({"class_weight": "balance"}, ValueError, "did you mean 'balanced'"),
        ({"early_stopping": "yes"}, TypeError, "`early_stopping`"),
        ({"validation_fraction": 1.0}, ValueError, "`validation_fraction`"),
        ({"early_stopping": 0}, ValueError, "`early_stopping`"),
        ({"warm_start": 1}, TypeError, "`warm_start`"),
        ({"dtype": "float"}, ValueError, "`dtype`"),
        ({"dtype": "float16", "device": "cpu"}, ValueError, "'float16' needs a GPU"),
        ({"device": "gpu"}, ValueError, "'gpu' is not a torch device"),
        ({"device": "meta"}, ValueError, "cannot compute on such a device"),
        ({"device": "cuda:99"}, ValueError, "cannot compute on such a device"),
        ({"device": 0}, TypeError, "`device`"),
        ({"compile": 1}, TypeError, "`compile`"),
        ({"callbacks": [3]}, TypeError, "`callbacks` .* a list of skorch callbacks"),
        ({"random_state": "seed"}, TypeError, "`random_state`"),
        ({"verbose": -1}, ValueError, "`verbose`"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_and_leaves_nothing_fitted(tiny, params, error, message):
    clf = tiny(**params)
    before = set(vars(clf))
    with pytest.raises(error, match=message):
        clf.fit(TEXTS, LABELS)
    assert set(vars(clf)) == before


# What training does


def test_max_epochs_0_builds_without_training(tiny):
    clf = tiny(max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    assert clf.n_iter_ == len(clf.history_) == 0
    assert clf.warm_up_history_ is None
    assert clf.predict(TEXTS).shape == (24,)


def test_the_warm_up_learns_to_retrieve_and_is_not_counted(tiny):
    clf = tiny(max_epochs=1, warm_up=6, lr=1e-2).fit(TEXTS, LABELS)
    accuracies = clf.warm_up_history_[:, "retrieval_acc"]
    assert accuracies[-1] > accuracies[0] + 0.2
    assert clf.n_iter_ == 1


def test_there_is_no_warm_up_where_nothing_is_mixed(tiny):
    assert tiny(n_mux=1).fit(TEXTS, LABELS).warm_up_history_ is None


def test_unlabeled_texts_train_tokenizer_and_warm_up(tiny):
    unlabeled = ["zyzzyva zyzzyva"] * 50
    clf = tiny(max_epochs=0).fit(TEXTS, LABELS, unlabeled=unlabeled)
    assert len(clf.warm_up_history_[0]["batches"]) == -(-50 // 8)
    with_it = len(clf.tokenizer_.encode("zyzzyva").ids)
    without = len(clf.fit(TEXTS, LABELS).tokenizer_.encode("zyzzyva").ids)
    assert with_it < without
    assert len(clf.warm_up_history_[0]["batches"]) == 24 // 8


@pytest.mark.parametrize(
    ("unlabeled", "message"),
    [([], "`unlabeled` has 0 rows"), (["a", None], "row 1 of `unlabeled` is missing")],
)
def test_bad_unlabeled_texts_are_refused_by_their_name(tiny, unlabeled, message):
    with pytest.raises(ValueError, match=message):
        tiny().fit(TEXTS, LABELS, unlabeled=unlabeled)


def test_early_stopping_keeps_the_best_weights(tiny):
    noise = np.random.default_rng(0).permutation(NAMES)
    texts = [f"text number {i}" for i in range(40)]
    clf = tiny(
        validation_fraction=0.25,
        early_stopping=2,
        max_epochs=50,
        lr=2e-2,
        warm_up=None,
        callbacks=[("snapshots", Snapshots())],
    ).fit(texts, noise)
    best = int(np.argmin(clf.history_[:, "valid_loss"]))
    assert clf.n_iter_ == best + 3 < 50
    snapshots = dict(clf.net_.callbacks_)["snapshots"].weights_
    assert same_weights(weights(clf), snapshots[best])
    assert not same_weights(weights(clf), snapshots[-1])


def test_early_stopping_needs_a_row_to_set_aside(tiny):
    with pytest.raises(ValueError, match="`early_stopping` sets rows aside, but `X` has only one"):
        tiny(early_stopping=True).fit(TEXTS[:1], LABELS[:1])


def test_training_is_reproducible_from_random_state(tiny):
    first, second, other = (
        tiny(random_state=seed, early_stopping=True).fit(TEXTS, LABELS) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.predict_proba(TEXTS), second.predict_proba(TEXTS))
    assert np.abs(first.predict_proba(TEXTS) - other.predict_proba(TEXTS)).max() > 1e-4


def test_global_random_generators_are_left_alone(tiny):
    of_numpy = np.random.mtrand._rand.get_state
    states = torch.get_rng_state(), of_numpy()[1].copy(), random.getstate()
    tiny().fit(TEXTS, LABELS).predict(TEXTS, n_passes=2)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(of_numpy()[1], states[1])
    assert random.getstate() == states[2]


def test_nothing_is_printed_unless_it_is_asked_for(tiny, capfd):
    tiny().fit(TEXTS, LABELS).predict(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_verbose_2_prints_the_table_of_epochs(tiny, capfd):
    tiny(verbose=2).fit(TEXTS, LABELS)
    assert "train_loss" in capfd.readouterr().out


# Callbacks and interruption


def test_callbacks_are_passed_through_as_copies(tiny):
    given = [Snapshots(), ("named", Snapshots())]
    clf = tiny(callbacks=given).fit(TEXTS, LABELS)
    used = dict(clf.net_.callbacks_)
    assert len(used["Snapshots"].weights_) == len(used["named"].weights_) == 2
    assert not hasattr(given[0], "weights_")
    assert not hasattr(given[1][1], "weights_")
    assert clf.callbacks is given


def test_skorch_early_stopping_works_beside_a_warm_up(tiny):
    stopping = EarlyStopping(patience=1, sink=lambda message: None)
    clf = tiny(early_stopping=True, callbacks=[("mine", stopping)]).fit(TEXTS, LABELS)
    assert clf.warm_up_history_
    assert "valid_loss" in clf.history_[-1]


def test_a_parameter_set_after_fit_is_checked_by_predict(tiny):
    clf = tiny(max_epochs=0).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1"):
        clf.set_params(batch_size=0).predict(TEXTS)


@pytest.mark.parametrize("in_warm_up", [True, False])
def test_an_interruption_leaves_a_usable_estimator(tiny, in_warm_up, tmp_path, monkeypatch):
    interrupt(monkeypatch, Raise(KeyboardInterrupt(), in_warm_up))
    with pytest.warns(ConvergenceWarning, match="before the first epoch .* learned nothing"):
        clf = tiny().fit(TEXTS, LABELS)
    monkeypatch.undo()
    assert clf.n_iter_ == 0  # epochs that have ended
    expected = clf.predict_proba(TEXTS)
    clf.save(tmp_path)
    np.testing.assert_array_equal(MuxTextClassifier.load(tmp_path).predict_proba(TEXTS), expected)
    clf.set_params(warm_start=True).fit(TEXTS, LABELS)
    assert clf.n_iter_ == 2


def test_an_interruption_after_an_epoch_leaves_that_epoch(tiny, recwarn):
    class InSecondEpoch(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    clf = tiny(callbacks=[InSecondEpoch()]).fit(TEXTS, LABELS)
    assert clf.n_iter_ == 1
    assert not [w for w in recwarn if w.category is ConvergenceWarning]


@pytest.mark.parametrize("in_warm_up", [True, False])
def test_an_error_in_training_leaves_nothing_fitted(tiny, in_warm_up, monkeypatch):
    interrupt(monkeypatch, Raise(RuntimeError("stop"), in_warm_up))
    clf = tiny()
    before = set(vars(clf))
    with pytest.raises(RuntimeError, match="stop"):
        clf.fit(TEXTS, LABELS)
    assert set(vars(clf)) == before


@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize("failure", ["bad text", "error in training"])
def test_a_failed_refit_leaves_the_former_fit_intact(tiny, warm_start, failure):
    clf = tiny(warm_start=warm_start).fit(TEXTS, LABELS)
    expected, before, module = clf.predict_proba(TEXTS), dict(vars(clf)), weights(clf)
    texts = [*TEXTS[:-1], None] if failure == "bad text" else TEXTS
    clf.set_params(callbacks=[Raise(RuntimeError("stop"))])
    with pytest.raises((RuntimeError, ValueError)):
        clf.fit(texts, LABELS)
    clf.set_params(callbacks=None)
    assert dict(vars(clf)) == before
    assert same_weights(weights(clf), module)
    assert not clf.module_.training
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), expected)


# Warm start


def test_warm_start_goes_on_where_the_last_fit_ended(tiny):
    clf = tiny(warm_start=True, lr=1e-2, max_epochs=4).fit(SEASONS, NAMES)
    tokenizer, warm_up, loss = clf.tokenizer_, clf.warm_up_history_, clf.history_[-1, "train_loss"]
    clf.fit(SEASONS, NAMES)
    assert clf.n_iter_ == len(clf.history_) == 8
    assert clf.tokenizer_ is tokenizer
    assert clf.warm_up_history_ is warm_up
    assert clf.history_[4, "train_loss"] < clf.history_[0, "train_loss"]
    assert clf.history_[-1, "train_loss"] < loss


def test_warm_start_goes_on_from_a_loaded_estimator(tiny, tmp_path):
    tiny(warm_start=True).fit(TEXTS, LABELS).save(tmp_path)
    clf = MuxTextClassifier.load(tmp_path).fit(TEXTS, LABELS)
    assert clf.n_iter_ == 4
    assert len(clf.history_[:, "train_loss"]) == 4


def test_without_warm_start_fit_begins_anew(tiny):
    clf = tiny().fit(TEXTS, LABELS)
    tokenizer, expected = clf.tokenizer_, clf.predict_proba(TEXTS)
    clf.fit(TEXTS, LABELS)
    assert clf.tokenizer_ is not tokenizer
    assert clf.n_iter_ == 2
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_mux": 3}, "`warm_start` goes on with n_mux=2, but `n_mux` is 3 now"),
        ({"backbone__hidden_size": 32}, "`warm_start` goes on with backbone__hidden_size=16"),
        ({"backbone": "some/model"}, "`warm_start` goes on with backbone='scratch'"),
    ],
)
def test_warm_start_refuses_another_model(tiny, params, message):
    clf = tiny(warm_start=True, max_epochs=0, warm_up=None).fit(TEXTS, LABELS).set_params(**params)
    with pytest.raises(ValueError, match=message):
        clf.fit(TEXTS, LABELS)


def test_warm_start_refuses_other_classes(tiny):
    clf = tiny(warm_start=True, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match=r"goes on with the classes \['x', 'y'\], but `y` holds"):
        clf.fit(TEXTS, ["x", "z"] * 12)


def test_a_callback_that_cannot_be_copied_deeply_is_used_all_the_same(tiny_classifier):
    class Writes(Callback):
        def __init__(self, lock):
            self.lock = lock

        def on_train_end(self, net, **kwargs):
            self.ended_ = self.lock.locked()

    callback = Writes(threading.Lock())
    clf = tiny_classifier(callbacks=[("writes", callback)]).fit(TEXTS, LABELS)
    assert dict(clf.net_.callbacks_)["writes"].ended_ is False
    assert not hasattr(callback, "ended_")


def test_callbacks_hear_of_the_epoch_after_which_early_stopping_ends(tiny_classifier):
    class Count(Callback):
        def on_train_begin(self, net, **kwargs):
            self.n_ = 0

        def on_epoch_end(self, net, **kwargs):
            self.n_ += 1

    clf = tiny_classifier(
        callbacks=[("count", Count())],
        validation_fraction=0.3,
        early_stopping=1,
        max_epochs=40,
        lr=0.5,
    ).fit(TEXTS, LABELS)
    assert clf.n_iter_ < 40
    assert dict(clf.net_.callbacks_)["count"].n_ == clf.n_iter_
