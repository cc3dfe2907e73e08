"""What a user of skorch expects of a net works on mixtures."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
)

from muxlearn.training import Optimizer
from muxlearn.training.data import MixtureData

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
SENTENCES = [text.split() for text in TEXTS]
TAGS = [[word[0] for word in sentence] for sentence in SENTENCES]


@pytest.fixture(scope="module")
def stopping(tiny_classifier):
    """Make a classifier of mixtures that three of seven validation rows do not fill."""

    def make(*callbacks, **params):
        params = {"n_mux": 4, "warm_up": None, "max_epochs": 3, "lr": 1e-2, **params}
        params = {"early_stopping": 9, "validation_fraction": 0.3, **params}
        return tiny_classifier(callbacks=list(callbacks), **params)

    return make


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("on_train", [False, True])
def test_scores_of_epochs(stopping, use_caching, on_train):
    name = "train_accuracy" if on_train else "own_accuracy"
    scoring = EpochScoring(
        "accuracy", name=name, lower_is_better=False, use_caching=use_caching, on_train=on_train
    )
    clf = stopping(scoring).fit(TEXTS, LABELS)
    scores = clf.history_[:, name]
    n_rows = 17 if on_train else 7
    if not (on_train and use_caching):  # those are gathered over batches, with rows twice
        assert all(score * n_rows == pytest.approx(round(score * n_rows)) for score in scores)
    if not on_train:
        best = int(np.argmin(clf.history_[:, "valid_loss"]))
        assert scores[best] == pytest.approx(clf.measured_points_[4]["score"])


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (BatchScoring("accuracy"), "holds BatchScoring.*; take skorch.callbacks.EpochScoring"),
        (BatchScoring, "holds BatchScoring.*; take skorch.callbacks.EpochScoring"),
        (("named", InputShapeSetter()), "holds InputShapeSetter.*; leave it out"),
        (("named", InputShapeSetter), "holds InputShapeSetter.*; leave it out"),
    ],
    ids=["BatchScoring", "its class", "InputShapeSetter", "its class by a name"],
)
def test_callbacks_that_read_rows_in_a_batch_are_refused(stopping, callback, message):
    with pytest.raises(ValueError, match=message):
        stopping(callback).fit(TEXTS, LABELS)


@pytest.mark.parametrize("scoring", ["f1_macro", "neg_log_loss", "roc_auc"])
def test_scores_that_ask_for_probabilities(stopping, scoring):
    clf = stopping(EpochScoring(scoring, name="own", lower_is_better=False)).fit(TEXTS, LABELS)
    assert np.isfinite(clf.history_[:, "own"]).all()


@pytest.mark.parametrize("random_state", [0, 2])
def test_scores_of_tags_count_each_token_once(tiny_tagger, random_state):
    scoring = EpochScoring("accuracy", lower_is_better=False)
    tagger = tiny_tagger(
        n_mux=4,
        early_stopping=9,
        validation_fraction=0.3,
        callbacks=[scoring],
        max_epochs=4,
        lr=1e-2,
        random_state=random_state,
    ).fit(SENTENCES, TAGS)
    best = int(np.argmin(tagger.history_[:, "valid_loss"]))
    score = tagger.history_[best, "accuracy"]
    assert score == pytest.approx(tagger.measured_points_[4]["score"])


@pytest.mark.parametrize(
    ("points", "expected"),
    [([(1, 2), (4, 1), (4, 2), (2, 2)], (4, 2)), ([(1, 2), (4, 1)], (4, 1))],
)
def test_rows_are_validated_where_they_are_most_crowded(tiny_classifier, points, expected):
    net = tiny_classifier(n_mux=4, patch_size=2, operating_points=points).fit(TEXTS, LABELS).net_
    table = net.get_dataset(TEXTS).table
    data = MixtureData(table, np.zeros(24, np.int64), np.ones(24, np.float32))
    seen = [
        (inputs["input_ids"].shape[1], inputs["patch_size"])
        for inputs, _ in net.get_iterator(data, training=False)
    ]
    assert set(seen) == {expected}


def test_each_row_counts_alike_in_a_validation(stopping):
    log_loss = EpochScoring("neg_log_loss", name="log_loss", lower_is_better=False)
    clf = stopping(log_loss, validation_fraction=0.2, batch_size=1).fit(TEXTS, LABELS)
    for epoch in clf.history_:
        # Of the five rows, four stand in the first batch and one in the second.
        assert [batch["valid_batch_size"] for batch in epoch["batches"][-2:]] == [4, 1]
        hits = 5 * epoch["valid_acc"]
        assert hits == pytest.approx(round(hits))
        assert epoch["valid_loss"] == pytest.approx(-epoch["log_loss"], rel=1e-4)


def test_a_checkpoint_keeps_the_best_weights(stopping, tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path, monitor="valid_loss_best", f_pickle=None)
    clf = stopping(("checkpoint", checkpoint)).fit(TEXTS, LABELS)
    weights = torch.load(tmp_path / "params.pt", weights_only=True)
    for name, tensor in clf.module_.state_dict().items():  # those of the best epoch, too
        assert torch.equal(weights[name], tensor), name


def test_a_scheduler_takes_the_place_of_ours(stopping):
    class Rates(EpochScoring):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("rate", net.optimizer_.param_groups[0]["lr"])

    halving = LRScheduler("StepLR", step_size=1, gamma=0.5)
    clf = stopping(Rates("accuracy"), halving, lr=0.25).fit(TEXTS, LABELS)
    assert clf.history_[:, "rate"] == [0.25, 0.125, 0.0625]


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")
def test_a_scheduler_may_be_a_class(stopping):
    clf = stopping(LRScheduler).fit(TEXTS, LABELS)
    assert sum(isinstance(own, LRScheduler) for _, own in clf.net_.callbacks_) == 1


def test_half_precision_is_that_of_the_training_too(tiny_classifier):
    full, half = (
        tiny_classifier(dtype=dtype, warm_up=None).fit(TEXTS, LABELS).history_[0, "train_loss"]
        for dtype in ("float32", "bfloat16")
    )
    assert full != half == pytest.approx(full, rel=0.02)


def test_gradients_are_clipped_unless_a_callback_clips_them(tiny_classifier):
    class Norms(Callback):
        def on_grad_computed(self, net, **kwargs):
            norms = [weights.grad.norm() for weights in net.module_.parameters()]
            net.history.record("norm", torch.stack(norms).norm().item())

    def longest(*given):
        callbacks = [*given, Norms()]
        clf = tiny_classifier(callbacks=callbacks, warm_up=None, max_epochs=3, lr=0.3)
        return max(clf.fit(TEXTS, LABELS).history_[:, "norm"])

    assert longest() == pytest.approx(1, rel=1e-3)
    assert longest(GradientNormClipping(1e9)) > 1.1


def test_what_is_frozen_stays(tiny_classifier):
    start = tiny_classifier(warm_up=None, max_epochs=0).fit(TEXTS, LABELS).module_.state_dict()
    clf = tiny_classifier(warm_up=None, lr=1e-1, callbacks=[Freezer("encoder.*")])
    after = clf.fit(TEXTS, LABELS).module_.state_dict()
    frozen = {name for name in start if torch.equal(start[name], after[name])}
    assert {name for name in start if name.startswith("encoder.")} <= frozen
    assert "head.out.weight" in start.keys() - frozen


def test_a_callback_predicts_rows_of_its_own(tiny_classifier):
    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("watched", net.predict_proba(TEXTS[:3]).tolist())

    clf = tiny_classifier(callbacks=[Watch()], max_epochs=2, lr=1e-2, warm_up=None)
    clf.fit(TEXTS, LABELS)
    first, last = clf.history_[:, "watched"]
    assert first != last
    np.testing.assert_allclose(last, clf.predict_proba(TEXTS[:3]), atol=1e-5)


def test_the_net_of_a_fitted_estimator_learns_nothing_more(tiny_classifier):
    clf = tiny_classifier(max_epochs=2, warm_up=None).fit(TEXTS, LABELS)
    for train in (clf.net_.partial_fit, clf.net_.fit):
        with pytest.raises(TypeError, match="call that, which goes on with the weights"):
            train(TEXTS, LABELS)
    clf.net_.initialize()
    assert len(clf.history_) == clf.n_iter_ == 2


def test_the_net_can_be_cloned(tiny_classifier):
    net = tiny_classifier(warm_up=None).fit(TEXTS, LABELS).net_
    assert clone(net).objective is not None


@pytest.mark.parametrize("n_rows", [1, 7, 24])
def test_the_net_predicts_texts(tiny_classifier, n_rows):
    clf = tiny_classifier(n_mux=4, lr=1e-2).fit(TEXTS, LABELS)
    rows = TEXTS[:n_rows]
    np.testing.assert_allclose(clf.net_.predict_proba(rows), clf.predict_proba(rows), atol=1e-5)
    assert clf.classes_[clf.net_.predict(rows)].tolist() == clf.predict(rows).tolist()
    assert accuracy_score(clf.classes_[clf.net_.predict(TEXTS)], clf.predict(TEXTS)) == 1


def test_the_net_predicts_the_tokens_of_sentences(tiny_tagger):
    tagger = tiny_tagger(n_mux=4, lr=1e-2).fit(SENTENCES, TAGS)
    expected = [tag for tags in tagger.predict(SENTENCES) for tag in tags]
    assert tagger.classes_[tagger.net_.predict(SENTENCES)].tolist() == expected


def test_a_pickle_s_net_predicts_as_well(tiny_classifier):
    import pickle

    clf = pickle.loads(pickle.dumps(tiny_classifier().fit(TEXTS, LABELS)))
    assert clf.net_.predict(TEXTS).shape == (24,)


@pytest.mark.parametrize(
    "optimizer",
    ["SGD", torch.optim.SGD, Optimizer("SGD", momentum=0.9), Optimizer(torch.optim.RMSprop)],
    ids=str,
)
def test_any_optimizer_trains(tiny_classifier, optimizer):
    clf = tiny_classifier(optimizer=optimizer, warm_up=None, max_epochs=2).fit(TEXTS, LABELS)
    assert type(clf.net_.optimizer_).__name__ in ("SGD", "RMSprop")
    assert np.isfinite(clf.history_[:, "train_loss"]).all()


def test_parameters_of_the_optimizer_are_searched(tiny_classifier):
    clf = tiny_classifier(warm_up=None).set_params(optimizer__weight_decay=0.3)
    assert clf.optimizer == Optimizer(weight_decay=0.3)
    groups = clf.fit(TEXTS, LABELS).net_.optimizer_.param_groups
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
