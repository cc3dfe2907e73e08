"""The operating point that "auto" stands for."""

import pickle

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from muxlearn import MuxTextClassifier, MuxTextRegressor, MuxTokenTagger
from muxlearn.architectures import TMUX, MIMOFormer
from muxlearn.backbones import Packaged, Scratch
from muxlearn.points import WORDS, Point, choose_own_point
from muxlearn.prediction import load_predictor
from muxlearn.pretraining import MuxTextPretrainer

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 4
LABELS = ["weather", "sport", "weather", "sport"] * 4
TINY = {"max_length": 16, "max_epochs": 1, "batch_size": 8, "random_state": 0}
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}


def tiny(estimator=MuxTextClassifier, **params):
    # A function: the object is a parameter, and must not be shared.
    return estimator(**{"backbone": Scratch(**SIZES), "warm_up": None, **TINY, **params})


@pytest.mark.parametrize(
    ("n_mux", "patch_size", "points", "expected"),
    [
        ("auto", "auto", (), (1, 10)),
        (10, "auto", (), (10, 1)),
        ("auto", 5, (), (1, 5)),
        (2, 5, (), (2, 5)),
        ("auto", "auto", ((1, 1), (1, 5), (2, 5), WORDS), (2, 5)),
        ("auto", "auto", ((1, 1), (2, 1), (5, 1)), (5, 1)),
        ("auto", "auto", ((1, 10), (10, 1)), (10, 1)),
        ("auto", 10, ((1, 10), (10, 1)), (10, 10)),
        (2, "auto", ((1, 2), (2, 1)), (2, 1)),
        (3, "auto", ((1, 2),), (3, 2)),
    ],
)
def test_what_is_given_alone_leaves_the_other_at_one(n_mux, patch_size, points, expected):
    points = tuple(Point(*point) for point in points)
    assert choose_own_point(n_mux, patch_size, points, Point(1, 10)) == expected


def test_a_new_encoder_has_ten_tokens_of_one_text_in_a_position():
    clf = tiny().fit(TEXTS, LABELS)
    assert clf.operating_point_ == clf.predictor_.resolve_point() == (1, 10)
    assert (clf.n_mux, clf.patch_size) == ("auto", "auto")
    # No text depends on another one.
    assert clf.predict(TEXTS[:1]) == clf.predict(TEXTS)[:1]


def test_ten_rows_are_still_asked_for_by_their_number():
    assert tiny(n_mux=10).fit(TEXTS, LABELS).operating_point_ == (10, 1)


def test_a_tagger_has_fewer():
    words = [text.split() for text in TEXTS]
    tagger = tiny(MuxTokenTagger).fit(words, [["X"] * len(row) for row in words])
    assert tagger.operating_point_ == (1, 5)


@pytest.mark.parametrize(
    "params",
    [
        {"architecture": MIMOFormer(head_dim=8, n_features=16), "backbone": None},
        {"multiplexer": "hadamard"},
        {"demultiplexer": "mlp"},
    ],
)
def test_what_is_for_rows_alone_gets_rows(params):
    clf = tiny(**params)
    assert clf.fit(TEXTS, LABELS).operating_point_ == (10, 1)


@pytest.mark.parametrize(
    ("warmed", "expected"),
    [((3, 1), (3, 1)), ((20, 1), (10, 1)), ((2, 4), (2, 4)), ((1, 10), (1, 10)), ((1, 16), (1, 1))],
)
def test_a_warmed_up_encoder_has_what_it_was_warmed_up_for(warmed, expected, tmp_path):
    n_mux, patch_size = warmed
    pretrainer = MuxTextPretrainer(
        n_mux,
        patch_size=patch_size,
        objective="retrieval",
        backbone=Scratch(**SIZES | {"hidden_size": 24}),
        **TINY | {"max_epochs": 0},
    ).fit(TEXTS)
    pretrainer.save(tmp_path)
    for backbone in (pretrainer, tmp_path):
        clf = tiny(backbone=backbone, max_epochs=0, warm_up="auto").fit(TEXTS, LABELS)
        assert clf.operating_point_ == expected
        assert clf.module_.warmed_up or expected == (1, 1)
        assert clf.warm_up_history_ is None


def test_it_survives_clones_pickles_and_folders(tmp_path):
    clf = tiny().fit(TEXTS, LABELS)
    clf.save(tmp_path)
    others = MuxTextClassifier.load(tmp_path), pickle.loads(pickle.dumps(clf))
    for other in others:
        assert other.get_params()["n_mux"] == "auto"
        assert other.operating_point_ == (1, 10)
        assert other.predict(TEXTS).tolist() == clf.predict(TEXTS).tolist()
    assert load_predictor(tmp_path).resolve_point() == (1, 10)
    assert clone(clf).get_params()["patch_size"] == "auto"


def test_a_loaded_model_goes_on_where_its_backbone_is_gone(tmp_path):
    kinds = {"multiplexer": "nested", "demultiplexer": "nested"}
    pretrainer = MuxTextPretrainer(
        4, objective="retrieval", backbone=Scratch(**SIZES), **kinds, **TINY | {"max_epochs": 0}
    ).fit(TEXTS)
    pretrainer.save(tmp_path / "encoder")
    tiny(backbone=tmp_path / "encoder", warm_start=True).fit(TEXTS, LABELS).save(tmp_path / "model")
    (tmp_path / "encoder").rename(tmp_path / "elsewhere")
    loaded = MuxTextClassifier.load(tmp_path / "model")
    assert loaded.fit(TEXTS, LABELS).operating_point_ == (4, 1)


def test_a_search_sets_one_of_both():
    search = GridSearchCV(tiny(), {"n_mux": [1, 2], "architecture": [TMUX()]}, cv=2)
    assert search.fit(TEXTS, LABELS).best_estimator_.operating_point_.patch_size == 1


@pytest.mark.parametrize("name", ["n_mux", "patch_size"])
def test_another_word_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be 'auto' or a whole number"):
        tiny(**{name: "best"}).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    "estimator", [MuxTextClassifier, pytest.param(MuxTextRegressor, marks=pytest.mark.slow)]
)
def test_texts_get_some_layers_of_the_packaged_encoder_with_two_tokens(estimator, tmp_path):
    model = estimator(max_epochs=0, random_state=0).fit(TEXTS, range(len(TEXTS)))
    assert model.operating_point_ == (1, 2)
    assert len(model.module_.encoder.layers) == 3
    assert model.module_.warmed_up
    model.save(tmp_path)
    loaded = estimator.load(tmp_path)
    assert loaded.backbone is None
    assert len(loaded.module_.encoder.layers) == 3
    assert loaded.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


@pytest.mark.parametrize(
    "params",
    [
        {"n_mux": 2},
        {"patch_size": 5},
        {"operating_points": ((1, 5),)},
        {"multiplexer": "nested", "demultiplexer": "nested"},
    ],
)
def test_a_chosen_point_leaves_the_number_of_layers_as_it_is(params):
    for backbone, n_layers in (None, 3), (Packaged(), 6):
        model = MuxTextClassifier(backbone=backbone, max_epochs=0, random_state=0, **params)
        assert len(model.fit(TEXTS, LABELS).module_.encoder.layers) == n_layers


def test_any_part_of_the_packaged_encoder_has_two_tokens():
    model = MuxTextClassifier(backbone=Packaged(num_hidden_layers=1), max_epochs=0)
    assert model.fit(TEXTS, LABELS).operating_point_ == (1, 2)


def test_another_fit_asks_its_own_backbone():
    clf = tiny(max_epochs=0).fit(TEXTS, LABELS)
    clf.set_params(backbone=Packaged(num_hidden_layers=1)).fit(TEXTS, LABELS)
    assert clf.operating_point_ == (1, 2)


def test_a_tagger_gets_the_same_layers_and_tokens():
    words = [text.split() for text in TEXTS]
    tagger = MuxTokenTagger(max_epochs=0).fit(words, [["X"] * len(row) for row in words])
    assert tagger.operating_point_ == (1, 2)
    assert len(tagger.module_.encoder.layers) == 3
