"""`MuxTextClassifier(architecture="mimoformer")`."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from muxlearn import MuxTextClassifier
from muxlearn.architectures import MIMOFormer
from muxlearn.architectures._mimoformer import IsometryObjective
from muxlearn.metrics import retrieval_score
from muxlearn.nn.favor import GridAttention
from muxlearn.nn.mimoformer_layers import SoftmaxAttention
from muxlearn.training.trainer import Trainer

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
TREES = ["ash", "oak"]
SEASONS = ["snow and ice", "sun and sand"] * 12
NAMES = ["winter", "summer"] * 12
PERFORMER = {"n_mux": 1}


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    def make(**params):
        network = MIMOFormer(head_dim=8, n_features=16)
        return tiny_classifier(**{"architecture": network, "n_mux": 4, **params})

    return make


@pytest.fixture(scope="module")
def untrained(tiny):
    return lambda **params: tiny(max_epochs=0, warm_up=None, **params).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def fitted(tiny):
    return tiny(lr=1e-2, max_epochs=2).fit(TEXTS, LABELS)


class Points(Callback):
    """Notes how many rows share a mixture in each training step."""

    def initialize(self):
        self.seen_ = []
        return self

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training:
            self.seen_.append(batch[0]["input_ids"].shape[1])


def loud(clf):
    """The same model with weights at which rows differ more than after an epoch."""
    torch.manual_seed(0)
    nn.init.normal_(clf.module_.embedding.weight)
    return clf


def same_proba(first, second, X=TEXTS):
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-6)


# Learning


@pytest.mark.parametrize("variant", ["att", "att+mlp"])
def test_it_learns_what_is_easy(tiny, variant):
    clf = tiny(lr=1e-2, max_epochs=8, architecture__variant=variant).fit(SEASONS, NAMES)
    assert clf.score(SEASONS, NAMES) == 1


@pytest.mark.parametrize(
    "params",
    [
        PERFORMER,
        {"n_mux": 1, "architecture__attention": "softmax", "architecture__n_features": 256},
    ],
    ids=str,
)
def test_the_twins_are_in_the_same_class(tiny, params):
    clf = tiny(lr=1e-2, max_epochs=6, **params).fit(SEASONS, NAMES)
    attention = clf.module_.layers[0].attention
    assert isinstance(attention, GridAttention if params == PERFORMER else SoftmaxAttention)
    assert clf.module_.grid == (1, 1)
    assert clf.score(SEASONS, NAMES) == 1


def test_pairs_are_read_apart_and_compared(tiny):
    pairs = [(a, b) for a in TREES for b in TREES] * 8
    labels = [a == b for a, b in pairs]
    clf = tiny(lr=2e-2, max_epochs=12, n_mux=2, backbone__tokenizer="word").fit(pairs, labels)
    assert clf.module_.n_texts == 2
    assert clf.score(pairs, labels) == 1


def test_each_text_of_a_pair_has_max_length_tokens(untrained, tiny):
    pairs = [("a" * 40, "b"), ("c", "d" * 40)] * 4
    clf = tiny(max_epochs=0, warm_up=None, n_mux=2, backbone__tokenizer="byte").fit(
        pairs, [0, 1] * 4
    )
    table = clf.predictor_.reader.table(pairs)
    ids, mask = table.inputs(np.array([[0, 1]])).values()
    assert ids.shape == (1, 2, 2, 16)
    assert mask.sum(-1).tolist() == [[[16, 1], [1, 16]]]


@pytest.mark.parametrize(("first", "other"), [(TEXTS, "pairs of texts"), (None, "single texts")])
def test_pairs_and_single_texts_are_not_mixed_up(tiny, first, other):
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    clf = tiny(max_epochs=0, warm_up=None).fit(first or pairs, LABELS)
    with pytest.raises(ValueError, match=f"`X` holds {other}, but `fit` was given"):
        clf.predict(pairs if first else TEXTS)


# The grid


@pytest.mark.parametrize(
    ("params", "grid"),
    [
        ({"n_mux": 1}, (1, 1)),
        ({"n_mux": 4}, (2, 2)),
        ({"n_mux": 10}, (5, 2)),
        ({"n_mux": 7}, (7, 1)),
        ({"n_mux": 16}, (4, 4)),
        ({"n_mux": 6, "architecture__grid": (2, 3)}, (2, 3)),
        ({"n_mux": 6, "architecture__grid": [1, 6]}, (1, 6)),
    ],
    ids=str,
)
def test_the_grid_is_the_one_given_or_the_most_square(untrained, params, grid):
    module = untrained(**params).module_
    assert module.grid == grid
    assert module.n_mux == params["n_mux"]


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_parts_that_divide_the_grid_predict(fitted, n_mux):
    assert fitted.predict_proba(TEXTS[:7], n_mux=n_mux).shape == (7, 2)


def test_other_numbers_are_rounded_down_to_a_part_of_the_grid(untrained):
    clf = loud(untrained(n_mux=16))
    at = {n_mux: clf.predict_proba(TEXTS, n_mux=n_mux) for n_mux in (4, 7, 8)}
    np.testing.assert_array_equal(at[7], at[4])
    assert np.abs(at[8] - at[4]).max() > 1e-4
    assert [clf.module_.round_n_mux(n_mux) for n_mux in (1, 3, 5, 15, 16)] == [1, 2, 4, 8, 16]
    with pytest.raises(
        ValueError, match=r"`n_mux` .* at most 16, got 17.*; this model was built with 16"
    ):
        clf.predict(TEXTS, n_mux=17)


def test_training_takes_turns_at_the_operating_points(tiny):
    points = Points()
    clf = tiny(operating_points=(1, 2, 4), max_epochs=2, callbacks=[("points", points)])
    seen = dict(clf.fit(TEXTS, LABELS).net_.callbacks_)["points"].seen_
    assert set(seen) == {1, 2, 4}


def test_the_warm_up_runs_on_half_of_the_grid_before(tiny, monkeypatch):
    points, own = Points().initialize(), Trainer._own_callbacks
    monkeypatch.setattr(points, "initialize", lambda: points)
    with_points = lambda *args: [*own(*args), ("points", points)]  # noqa: E731
    monkeypatch.setattr(Trainer, "_own_callbacks", with_points)
    clf = tiny(n_mux=16, warm_up=2, early_stopping=True).fit(TEXTS, LABELS)
    steps = -(-len(TEXTS) // 8)
    assert points.seen_[: 2 * steps] == [4] * (2 * steps)
    assert set(points.seen_[2 * steps :]) == {16}
    assert (len(clf.warm_up_history_), clf.n_iter_) == (2, 1)
    assert "valid_loss" not in clf.warm_up_history_[0]


@pytest.mark.parametrize("params", [{"n_mux": 1}, {"warm_up": None}, {"warm_up": 0}])
def test_where_there_is_no_warm_up(tiny, params):
    assert tiny(**params).fit(TEXTS, LABELS).warm_up_history_ is None


def test_a_warm_up_grid_that_does_not_divide_the_grid_is_lowered(tiny):
    clf = tiny(n_mux=25, max_epochs=0).fit(TEXTS, LABELS)
    assert clf.module_.warm_up_n_mux == 4
    assert len(clf.warm_up_history_) == 1


def test_an_interrupted_warm_up_ends_the_fit(tiny, monkeypatch):
    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    own = Trainer._own_callbacks
    monkeypatch.setattr(Trainer, "_own_callbacks", lambda *args: [*own(*args), Stop()])
    with pytest.warns(ConvergenceWarning):
        clf = tiny().fit(TEXTS, LABELS)
    assert clf.n_iter_ == 0
    assert len(clf.predict(TEXTS)) == 24


def test_warm_start_goes_on_without_another_warm_up(tiny):
    clf = tiny(warm_start=True).fit(TEXTS, LABELS)
    history = clf.warm_up_history_
    clf.fit(TEXTS, LABELS)
    assert clf.n_iter_ == 2
    assert clf.warm_up_history_ is history
    with pytest.raises(
        ValueError,
        match=r"goes on with architecture__grid=None, but `architecture__grid` is \(4, 1\)",
    ):
        clf.set_params(architecture__grid=(4, 1)).fit(TEXTS, LABELS)


def test_the_regulariser_brings_weights_nearer_to_isometries(tiny):
    errors = [
        tiny(lr=1e-2, max_epochs=3, architecture__isometry_weight=weight)
        .fit(TEXTS, LABELS)
        .module_.isometry_regularizer()
        .item()
        for weight in (0.0, 0.1)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_the_regulariser_is_added_by_its_weight(untrained):
    clf, logits = untrained(), torch.randn(4, 2)
    rest = logits, torch.tensor([0, 1, 1, 0]), torch.ones(4)
    without, with_it = (
        IsometryObjective(clf.net_.objective.task, weight).loss(clf.module_, *rest)[0]
        for weight in (0.0, 0.5)
    )
    term = clf.module_.isometry_regularizer()
    torch.testing.assert_close((with_it - without).double(), 0.5 * term, rtol=1e-4, atol=0)


# Prediction


def test_prediction_is_that_of_the_module(fitted):
    ids, mask = fitted.predictor_.reader.table(TEXTS[:1]).gather(np.zeros(1, np.int64))
    rows = torch.from_numpy(ids).repeat(4, 1), torch.from_numpy(mask).repeat(4, 1)
    with torch.no_grad():
        expected = fitted.module_(*rows).softmax(-1)[:1].numpy()
    np.testing.assert_allclose(fitted.predict_proba(TEXTS[:1]), expected, atol=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"architecture__pooling": "cls"},
        {"architecture__attention": "softmax", "architecture__n_features": 256},
    ],
    ids=str,
)
def test_padding_tells_nothing(untrained, params):
    clf = loud(untrained(n_mux=1, backbone__tokenizer="byte", **params))
    alone = clf.predict_proba(TEXTS[:1])
    beside = clf.predict_proba([TEXTS[0], "a text of as many tokens as there may be"])
    np.testing.assert_allclose(beside[:1], alone, atol=1e-5)


def test_rows_in_a_mixture_do_not_see_how_far_it_is_padded(untrained):
    module = loud(untrained()).module_
    ids, mask = torch.randint(9, (4, 8)), torch.arange(8) < torch.tensor([[8], [3], [5], [1]])
    longer = [nn.functional.pad(part, (0, 6)) for part in (ids, mask)]
    torch.testing.assert_close(module(*longer), module(ids, mask), atol=1e-5, rtol=1e-4)


def test_bfloat16_predicts_nearly_the_same(untrained):
    clf = loud(untrained())
    exact = clf.predict_proba(TEXTS)
    rounded = clf.set_params(dtype="bfloat16").predict_proba(TEXTS)
    assert 0 < np.abs(rounded - exact).max() < 0.05
    assert clf._copies._model.embedding.weight.dtype is torch.bfloat16
    assert clf._copies._model.layers[0].attention.folded is not None


# Saving, cloning, searching


@pytest.mark.parametrize(
    "params",
    [
        {},
        {
            "architecture__grid": (4, 1),
            "architecture__variant": "att+mlp",
            "architecture__pooling": "cls",
            "architecture__tied_layers": True,
        },
        {
            "n_mux": 1,
            "architecture__attention": "softmax",
            "architecture__n_features": 256,
            "architecture__positions": "sinusoidal",
        },
        {
            "architecture__kernel": "exp",
            "backbone__num_hidden_layers": 2,
            "backbone__intermediate_size": 24,
        },
    ],
    ids=str,
)
def test_save_and_load(untrained, params, tmp_path):
    clf = loud(untrained(**params))
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    same_proba(loaded, clf)
    assert loaded.get_params() == clf.get_params()


def test_a_warm_up_is_saved(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.warm_up_history_[:, "train_loss"] == fitted.warm_up_history_[:, "train_loss"]


def test_pairs_are_saved_as_such(tiny, tmp_path):
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    clf = tiny(max_epochs=0, warm_up=None).fit(pairs, LABELS)
    clf.save(tmp_path)
    same_proba(MuxTextClassifier.load(tmp_path), clf, pairs)


def test_pickles_and_copies_predict_the_same(fitted):
    same_proba(pickle.loads(pickle.dumps(fitted)), fitted)
    same_proba(copy.deepcopy(fitted), fitted)


def test_clones_are_not_fitted_and_have_its_parameters(fitted):
    other = clone(fitted)
    assert not hasattr(other, "net_")
    assert other.get_params() == fitted.get_params()


def test_a_grid_search_chooses_among_its_parameters(tiny):
    grid = {"architecture__grid": [None, (4, 1)], "architecture__variant": ["att", "att+mlp"]}
    search = GridSearchCV(tiny(warm_up=None), grid, cv=2, error_score="raise")
    search.fit(TEXTS, LABELS)
    assert search.best_params_.keys() == grid.keys()


def test_a_search_over_architectures_needs_no_other_parameter(tiny):
    search = GridSearchCV(tiny(), {"architecture": ["tmux", "mimoformer"]}, cv=2)
    assert np.isfinite(search.fit(TEXTS, LABELS).cv_results_["mean_test_score"]).all()


# Parameters


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"architecture__grid": (2, 3)},
            "`grid` (2, 3) has 6 places, but `n_mux` is 4; set n_mux=6",
        ),
        (
            {"architecture__grid": (2, 0)},
            "`grid` must be None or two whole numbers of at least 1",
        ),
        ({"architecture__grid": (4,)}, "two whole numbers of at least 1, such as (2, 2), got (4,)"),
        ({"architecture__variant": "mlp"}, "`variant` must be one of 'att', 'att+mlp'"),
        (
            {"architecture__attention": "softmax", "architecture__n_features": 256},
            "cannot run in superposition, but `n_mux` is 4; set n_mux=1",
        ),
        ({"architecture__kernel": "rely"}, "did you mean 'relu'"),
        ({"architecture__pooling": "max"}, "`pooling` must be one of 'mean', 'cls'"),
        ({"architecture__positions": "learnt"}, "did you mean 'learned'"),
        (
            {"backbone__hidden_size": 15, "architecture__positions": "sinusoidal"},
            "need an even `hidden_size`, got 15",
        ),
        ({"architecture__n_features": 0}, "`n_features`"),
        ({"architecture__head_dim": 0}, "`head_dim`"),
        ({"architecture__isometry_weight": -1}, "`isometry_weight`"),
        (
            {"operating_points": (1, 3)},
            "holds 3, but rows fill a part that divides the grid (2, 2)",
        ),
        ({"multiplexer": "hadamard"}, "`multiplexer` is 'hadamard', but architecture='mimoformer'"),
        ({"demultiplexer": "index"}, "leave it at 'auto', or take architecture='tmux'"),
        ({"backbone": "some/model"}, "`backbone` is 'some/model', but architecture='mimoformer'"),
        ({"warm_up": "grid"}, "`warm_up` must be None or 'auto' or a whole number of at least 0"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_and_leaves_nothing_fitted(tiny, params, message):
    clf = tiny(**params)
    before = set(vars(clf))
    with pytest.raises(ValueError, match=re.escape(message)):
        clf.fit(TEXTS, LABELS)
    assert set(vars(clf)) == before


@pytest.mark.parametrize("name", ["grid", "pooling", "kernel"])
def test_tmux_has_none_of_its_choices(tiny_classifier, name):
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}' for estimator TMUX"):
        tiny_classifier(**{f"architecture__{name}": 1})
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        MuxTextClassifier(**{name: 1})


def test_random_features_are_no_choice_of_softmax(tiny):
    clf = tiny(n_mux=1, architecture=MIMOFormer(attention="softmax", kernel="exp"))
    with pytest.raises(ValueError, match="attention='softmax' has no random features"):
        clf.fit(TEXTS, LABELS)


def test_the_number_of_heads_need_not_divide_the_width(tiny):
    clf = tiny(max_epochs=0, warm_up=None, backbone__num_attention_heads=3).fit(TEXTS, LABELS)
    np.testing.assert_allclose(clf.predict_proba(TEXTS).sum(axis=1), 1, rtol=1e-5)


def test_a_mark_is_a_token_of_its_own(tiny):
    clf = tiny(architecture__pooling="cls")
    module = clf.architecture.network(clf._setting(), 10, 2, 1, max_length=clf.max_length)
    assert module.embedding.num_embeddings == 11


def test_there_is_nothing_to_retrieve(untrained):
    with pytest.raises(TypeError, match="MIMOFormer has no retrieval task"):
        retrieval_score(untrained(), TEXTS)
