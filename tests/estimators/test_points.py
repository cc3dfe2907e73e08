"""Patches and the words alone, as users of the estimators meet them."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.architectures import TMUX, MIMOFormer
from muxlearn.backbones import Packaged, Scratch
from muxlearn.estimators import _points
from muxlearn.estimators._model_card import model_card
from muxlearn.export import OnnxMuxClassifier, OnnxMuxTagger, export_onnx
from muxlearn.inspection import InterferenceDisplay, TradeoffDisplay
from muxlearn.metrics import retrieval_score
from muxlearn.points import WORDS, Point
from muxlearn.prediction import Planner, Predictor, load_predictor
from muxlearn.prediction import _points as measuring
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.tasks import ClassesTask

TEXTS = [f"{noun} and {other} {noun}" for noun in ("snow", "sun", "goal") for other in "abcdefghij"]
LABELS = ["weather"] * 20 + ["sport"] * 10
PAIRS = [(text, "x " * (number % 5) + "y") for number, text in enumerate(TEXTS)]
SENTENCES = [text.split() for text in TEXTS]
TAGS = [["NOUN", "CONJ", "NOUN", "NOUN"]] * len(SENTENCES)
POINTS = ((1, 1), (1, 3), (2, 1), (2, 3), "words")


@pytest.fixture(scope="module")
def fitted(tiny_classifier):
    params = {"max_epochs": 25, "lr": 1e-2, "warm_up": None, "early_stopping": True}
    clf = tiny_classifier(n_mux=2, patch_size=3, operating_points=POINTS, **params)
    return clf.fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    params = {"max_epochs": 20, "lr": 1e-2, "warm_up": None}
    return tiny_tagger(
        n_mux=2, patch_size=2, operating_points=((1, 1), (2, 2), "words"), **params
    ).fit(SENTENCES, TAGS)


def test_one_set_of_weights_answers_at_all_points(fitted):
    for point in POINTS:
        assert fitted.score(TEXTS, LABELS, n_mux=point) > 0.9
    np.testing.assert_array_equal(
        fitted.predict_proba(TEXTS), fitted.predict_proba(TEXTS, n_mux=2, patch_size=3)
    )
    np.testing.assert_array_equal(
        fitted.predict_proba(TEXTS, (1, 3)), fitted.predict_proba(TEXTS, 1)
    )
    answers = [fitted.decision_function(TEXTS, point) for point in POINTS]
    for number, answer in enumerate(answers):
        assert all(abs(answer - other).max() > 1e-3 for other in answers[number + 1 :])


@pytest.mark.parametrize("rows", [TEXTS, PAIRS])
@pytest.mark.parametrize("patch_size", [1, 4])
def test_tokens_of_a_row_depend_on_no_other_row(tiny_classifier, rows, patch_size):
    clf = tiny_classifier(n_mux=1, patch_size=patch_size, max_epochs=1, warm_up=1).fit(rows, LABELS)
    together = clf.predict_proba(rows)
    alone = np.vstack([clf.predict_proba([row]) for row in rows])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    backwards = clf.predict_proba(rows[::-1])[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-6)


@pytest.mark.filterwarnings("ignore:the score of n_mux=")
def test_measured_points_are_what_predict_takes(fitted):
    assert list(fitted.measured_points_) == [(1, 1), (2, 1), (1, 3), (2, 3), "words"]
    for point in fitted.measured_points_:
        assert len(fitted.predict(TEXTS[:3], n_mux=point)) == 3
    assert fitted.fastest_point(0.0) in fitted.measured_points_


def test_a_training_that_ends_early_measures_as_well(fitted):
    """It ends as Ctrl-C ends one, which measures nothing."""
    assert len(fitted.history_) < fitted.max_epochs
    assert fitted.measured_points_


def test_a_point_of_rows_alone_is_a_number(tiny_classifier):
    clf = tiny_classifier(n_mux=2, operating_points=(1, 2, "words"), early_stopping=True)
    assert list(clf.fit(TEXTS, LABELS).measured_points_) == [1, 2, "words"]


@pytest.mark.parametrize("rows", [TEXTS, PAIRS])
def test_the_words_alone_know_no_order_and_run_no_encoder(tiny_classifier, rows):
    clf = tiny_classifier(n_mux=1, operating_points=(1, "words"), max_epochs=2).fit(rows, LABELS)
    proba = clf.predict_proba(rows, n_mux="words")
    clf.module_.encoder.forward = None
    np.testing.assert_array_equal(clf.predict_proba(rows, n_mux="words"), proba)
    if rows is TEXTS:
        mixed = [" ".join(text.split()[::-1]) for text in rows]
        np.testing.assert_allclose(clf.predict_proba(mixed, n_mux="words"), proba, atol=1e-6)


def test_words_learn_at_every_step_of_the_others(tiny_classifier):
    params = {"max_epochs": 15, "lr": 1e-2, "n_mux": 1}
    clf = tiny_classifier(operating_points=(1, "words"), **params).fit(TEXTS, LABELS)
    assert clf.score(TEXTS, LABELS, n_mux="words") == 1
    # No step is theirs alone: an epoch is as long as without them.
    plain = tiny_classifier(operating_points=(1,), **params).fit(TEXTS, LABELS)
    steps = [len(model.history_[-1]["batches"]) for model in (clf, plain)]
    assert steps[0] == steps[1]


def test_score_and_speed_are_measured_with_the_groups(fitted, monkeypatch):
    own, planned = Planner.plan, []
    monkeypatch.setattr(Planner, "plan", lambda *args: planned.append(own(*args)) or planned[-1])
    clf = pickle.loads(pickle.dumps(fitted))
    groups = range(len(TEXTS))
    clf.measure_operating_points(TEXTS, LABELS, n_mux=2, groups=groups, repeats=3)
    assert [len(plan) for plan in planned] == [len(TEXTS)] * 4  # each row in a mixture of its own


def test_of_many_rows_only_some_are_timed(fitted, monkeypatch):
    own, time, n_asked = Predictor.predict_checked, measuring.paired_seconds, []

    def watch(self, rows, point):
        n_asked.append(len(rows))
        return own(self, rows, point)

    def take_a_second(runs, repeats, **params):
        return {point: [1.0] for point in time(runs, repeats, **params)}

    monkeypatch.setattr(Predictor, "predict_checked", watch)
    monkeypatch.setattr(measuring, "paired_seconds", take_a_second)
    monkeypatch.setattr(_points, "TIMED_ROWS", 2)
    clf = pickle.loads(pickle.dumps(fitted))
    _, training_set = ClassesTask.learn(TEXTS, LABELS)
    _points.measure_set_aside(clf, training_set, np.arange(len(TEXTS)))
    assert n_asked == [len(TEXTS)] * 5 + [2] * 15
    assert {figures["rows_per_second"] for figures in clf.measured_points_.values()} == {2}


def test_streams_groups_passes_and_net_agree(fitted):
    for point in POINTS:
        labels = list(fitted.predict_iter(iter(TEXTS), n_mux=point))
        np.testing.assert_array_equal(labels, fitted.predict(TEXTS, n_mux=point))
    assert len(fitted.predict(TEXTS, groups=[0, 1] * 15, n_passes=2, patch_size=3)) == len(TEXTS)
    codes = fitted.net_.predict(TEXTS)
    np.testing.assert_array_equal(fitted.classes_[codes], fitted.predict(TEXTS))


@pytest.mark.parametrize("way", ["folder", "pickle", "predictor"])
def test_a_copy_predicts_the_same_at_all_points(fitted, tmp_path, way):
    fitted.save(tmp_path / "model")
    if way == "pickle":
        copy = pickle.loads(pickle.dumps(fitted))
    elif way == "folder":
        copy = MuxTextClassifier.load(tmp_path / "model")
        assert copy.measured_points_ == fitted.measured_points_
        assert copy.get_params()["patch_size"] == 3
    else:
        copy = load_predictor(tmp_path / "model")
    for point in POINTS:
        np.testing.assert_array_equal(copy.predict(TEXTS, point), fitted.predict(TEXTS, point))


def test_warm_start_goes_on_with_the_same_points(tiny_classifier):
    clf = tiny_classifier(n_mux=1, patch_size=2, warm_start=True, max_epochs=1).fit(TEXTS, LABELS)
    before = clf.module_.patches.maps["2"].clone()
    clf.fit(TEXTS, LABELS)
    assert not before.equal(clf.module_.patches.maps["2"])
    with pytest.raises(ValueError, match="patches of 5 tokens, which `operating_points` asks for"):
        clf.set_params(operating_points=((1, 2), (1, 5))).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="answers by the words alone"):
        clf.set_params(operating_points=((1, 2), "words")).fit(TEXTS, LABELS)


def test_a_search_over_patch_sizes(tiny_classifier):
    grid = {"patch_size": [1, 2], "n_mux": [1, 2]}
    search = GridSearchCV(tiny_classifier(max_epochs=1), grid, cv=2).fit(TEXTS, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# Tagger


def test_tags_are_unfolded_from_patches(tagger):
    for point in ((1, 1), (2, 2), (1, 2), "words"):
        tags = tagger.predict(SENTENCES, n_mux=point)
        assert [len(row) for row in tags] == [4] * len(SENTENCES)
        assert tagger.score(SENTENCES, TAGS, n_mux=point) > 0.9


def test_tags_of_a_sentence_depend_on_no_other(tiny_tagger):
    tagger = tiny_tagger(n_mux=1, patch_size=2, max_epochs=1).fit(SENTENCES, TAGS)
    ragged = [sentence[: 1 + number % 4] for number, sentence in enumerate(SENTENCES)]
    together = tagger.predict_proba(ragged)
    for sentence, proba in zip(ragged, together, strict=True):
        np.testing.assert_allclose(tagger.predict_proba([sentence])[0], proba, atol=1e-6)


# Warm-up


def test_tokens_of_a_patch_are_recovered(tiny_classifier):
    texts = [f"{a} {b}" for a in "abcdef" for b in "ghijkl"]
    clf = tiny_classifier(
        n_mux=1, patch_size=2, warm_up=60, max_epochs=0, lr=2e-2, batch_size=36
    ).fit(texts, ["x", "y"] * 18)
    assert clf.warm_up_history_[-1, "retrieval_acc"] > 0.6
    assert retrieval_score(clf, texts) > 0.6


def test_the_words_alone_recover_nothing(fitted):
    with pytest.raises(ValueError, match="share no position"):
        retrieval_score(fitted, TEXTS, n_mux="words")


@pytest.mark.parametrize("kind", ["subspace", "nested"])
def test_a_pretrainer_hands_its_patches_on(kind):
    demux = {"subspace": "rsa"}.get(kind, kind)
    pretrainer = MuxTextPretrainer(
        2,
        patch_size=3,
        multiplexer=kind,
        demultiplexer=demux,
        operating_points=((1, 1), (2, 3)),
        max_epochs=2,
        max_length=32,
        objective="retrieval",
        backbone=Scratch(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300
        ),
    ).fit(TEXTS)
    assert pretrainer.transform(TEXTS[:5], (2, 3)).shape[0] == 5
    shared = {"backbone": pretrainer, "multiplexer": kind, "demultiplexer": demux, "max_epochs": 0}
    clf = MuxTextClassifier(2, patch_size=3, max_length=32, **shared).fit(TEXTS, LABELS)
    theirs, ours = pretrainer.module_.state_dict(), clf.module_.state_dict()
    for name in ("patches.maps.3", "patch_reader.keys.3", "multiplexer.keys"):
        if name in theirs:
            assert theirs[name].equal(ours[name])
    assert clf.module_.warmed_up
    assert clf.warm_up_history_ is None
    other = MuxTextClassifier(2, patch_size=4, max_length=32, warm_up=None, **shared)
    assert not other.fit(TEXTS, LABELS).module_.warmed_up


@pytest.mark.filterwarnings("ignore:.*was warmed up for mixtures of up to")
@pytest.mark.parametrize(
    ("given", "n_mux", "kinds"),
    [
        ({}, 2, ("hadamard", "index")),
        ({}, 3, ("subspace", "rsa")),  # it has keys for two rows
        ({"multiplexer": "hadamard"}, 2, ("hadamard", "index")),
        ({"multiplexer": "binary"}, 2, ("binary", "rsa")),
        ({"demultiplexer": "mlp"}, 2, ("subspace", "mlp")),
        ({"multiplexer": "nested"}, 2, ("nested", "nested")),
    ],
)
@pytest.mark.parametrize("as_folder", [True, False])
def test_auto_takes_what_the_backbone_was_warmed_up_with(
    hadamard, tmp_path, given, n_mux, kinds, as_folder
):
    hadamard.save(tmp_path / "backbone")
    params = {"backbone": tmp_path / "backbone" if as_folder else hadamard, "max_length": 16}
    clf = MuxTextClassifier(n_mux, max_epochs=0, warm_up=None, **params, **given)
    module = clf.fit(TEXTS, LABELS).module_
    named = type(module.multiplexer).__name__, type(module.demultiplexer).__name__
    assert named == (f"{kinds[0].capitalize()}Multiplexer", f"{_DEMUX[kinds[1]]}Demultiplexer")
    assert module.warmed_up == (kinds == ("hadamard", "index"))
    clf.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "backbone")
    loaded = MuxTextClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        {"multiplexer": "hadamard"},
        {"demultiplexer": "mlp"},
        {"multiplexer": "nested", "demultiplexer": "rsa"},
        {"architecture": TMUX(demux_layers=2), "demultiplexer": "rsa"},
    ],
)
def test_a_row_alone_starts_from_the_warm_up_whatever_the_multiplexer(given, tmp_path):
    params = {"n_mux": 1, "patch_size": 5, "max_epochs": 0, "random_state": 0, "warm_start": True}
    params["backbone"] = Packaged(num_hidden_layers=1)
    auto, clf = (MuxTextClassifier(**params, **more).fit(TEXTS, LABELS) for more in ({}, given))
    assert clf.module_.warmed_up
    expected, weights = auto.module_.state_dict(), clf.module_.state_dict()
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), auto.predict_proba(TEXTS))
    loaded.fit(TEXTS, LABELS)


def test_a_row_alone_goes_on_as_it_was_built_where_its_backbone_is_gone(tmp_path):
    kinds = {"multiplexer": "nested", "demultiplexer": "nested"}
    small = Scratch(hidden_size=16, num_attention_heads=2, vocab_size=300)
    MuxTextPretrainer(
        2, objective="retrieval", max_epochs=0, max_length=16, backbone=small, **kinds
    ).fit(TEXTS).save(tmp_path / "encoder")
    params = {"backbone": tmp_path / "encoder", "multiplexer": "hadamard", "max_length": 16}
    clf = MuxTextClassifier(n_mux=1, max_epochs=0, warm_start=True, **params)
    clf.fit(TEXTS, LABELS).save(tmp_path / "model")
    shutil.rmtree(tmp_path / "encoder")
    loaded = MuxTextClassifier.load(tmp_path / "model").fit(TEXTS, LABELS)
    assert type(loaded.module_.multiplexer).__name__ == "NestedMultiplexer"


_DEMUX = {"rsa": "RSA", "mlp": "MLP", "index": "Index", "nested": "Nested"}


@pytest.fixture(scope="module")
def hadamard():
    return MuxTextPretrainer(
        2,
        multiplexer="hadamard",
        demultiplexer="index",
        objective="retrieval",
        max_epochs=1,
        max_length=16,
        backbone=Scratch(hidden_size=16, num_attention_heads=2, vocab_size=300),
    ).fit(TEXTS)


def test_a_nested_row_alone_passes_as_the_encoder_reads_it(tiny_classifier):
    clf = tiny_classifier(
        n_mux=3, multiplexer="nested", demultiplexer="nested", max_epochs=1, warm_up=None
    ).fit(TEXTS, LABELS)
    module = clf.module_.eval()
    table = clf.predictor_.reader.table(TEXTS[:1]).inputs(np.array([[0]]))

    ids = torch.from_numpy(table["input_ids"][0])
    hidden = module.encoder(module.encoder.embedding(ids), None)
    wanted = module.head(hidden.mean(1)).softmax(-1)
    np.testing.assert_allclose(
        clf.predict_proba(TEXTS[:1], n_mux=1), wanted.detach().numpy(), atol=1e-5
    )


# Export, displays


@pytest.mark.slow
def test_exported_graphs_have_the_same_points(fitted, tmp_path):
    points = ((2, 3), (1, 3), "words")
    export_onnx(fitted, tmp_path / "onnx", n_mux=points)
    exported = OnnxMuxClassifier.load(tmp_path / "onnx")
    assert set(exported.operating_points) == {*points}
    assert exported.operating_points[0] == (2, 3)
    np.testing.assert_allclose(
        exported.predict_proba(TEXTS), fitted.predict_proba(TEXTS), atol=1e-4
    )
    for point in points:
        np.testing.assert_allclose(
            exported.predict_proba(TEXTS, point), fitted.predict_proba(TEXTS, point), atol=1e-4
        )
    with pytest.raises(ValueError, match=r"`n_mux` is \(1, 4\), .* exported for \(2, 3\)"):
        exported.predict(TEXTS, n_mux=(1, 4))


@pytest.mark.slow
def test_an_exported_tagger_has_patches(tagger, tmp_path):
    export_onnx(tagger, tmp_path / "onnx", n_mux=[(2, 2), "words"])
    exported = OnnxMuxTagger.load(tmp_path / "onnx")
    for point in ((2, 2), "words"):
        assert exported.predict(SENTENCES, point) == tagger.predict(SENTENCES, point)


def test_displays_name_the_points(fitted):
    display = TradeoffDisplay.from_estimator(fitted, TEXTS, LABELS, repeats=1)
    assert display.n_mux.tolist() == ["1", "2", "1x3", "2x3", "words"]
    changed = InterferenceDisplay.from_estimator(fitted, TEXTS, n_regroupings=2)
    apart = [
        name for name, row in zip(changed.n_mux, changed.changed, strict=True) if row.max() == 0
    ]
    assert {"words", "1", "1x3"} <= set(apart)


def test_a_card_names_all_kinds_of_points(fitted):
    measured = str(model_card(fitted, "user/model"))
    assert "trained at 1, 2, 1x3, 2x3, words" in measured
    rows = [line.split(" | ")[0] for line in measured.splitlines() if line.startswith("| ")]
    assert rows == ["| `n_mux` x `patch_size`", "| ---:", "| words", "| 2x3", "| 1x3", "| 2", "| 1"]

    given = {(2, 3): {"accuracy": 0.9}, "words": {"accuracy": 0.8}}
    card = model_card(fitted, "user/model", scores=given, dataset="user/data")
    assert [result.metric_args for result in card.data.eval_results] == [
        {"n_mux": "words"},
        {"n_mux": 2, "patch_size": 3},
    ]
    display = TradeoffDisplay(["words", (2, 3)], [0.8, 0.9], [9.0, 5.0], score_name="accuracy")
    assert "| 2x3 | 0.9" in str(model_card(fitted, "user/model", scores=display))
    with pytest.raises(ValueError, match="`n_mux`"):
        model_card(fitted, "user/model", scores={(3, 3): {"accuracy": 0.9}})


# Bad input


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"patch_size": 0}, ValueError, "`patch_size`"),
        ({"patch_size": 2.5}, TypeError, "`patch_size`"),
        ({"patch_size": 1000}, ValueError, "`patch_size` is 1000, but .* `max_length`=16 tok"),
        ({"patch_size": 5, "max_length": 4}, ValueError, "`patch_size` is 5, but .*=4 tok"),
        (
            {"operating_points": ((1, 2), (3, 2)), "patch_size": 2},
            ValueError,
            "holds 3x2, which is",
        ),
        (
            {"operating_points": ((1, 2),), "patch_size": 1},
            ValueError,
            "`patch_size` is 1, but no point",
        ),
        ({"operating_points": ("words",)}, ValueError, "the words alone; add a point"),
        (
            {"operating_points": ("wrods", 1)},
            ValueError,
            "must be None or a tuple",
        ),
        ({"operating_points": ((1, 1), 1)}, ValueError, "different operating points"),
        (
            {"operating_points": (2, "words"), "architecture": TMUX(lexical_path=False)},
            ValueError,
            "holds 'words'.*lexical_path=False",
        ),
        ({"multiplexer": "nested", "demultiplexer": "rsa"}, ValueError, "'nested' takes both"),
        (
            {
                "architecture": MIMOFormer(grid=(2, 1)),
                "backbone": Scratch(hidden_size=16),
                "patch_size": 2,
            },
            ValueError,
            "`patch_size` is 2, but architecture='mimoformer' gives every token",
        ),
        (
            {"architecture": MIMOFormer(grid=(2, 1)), "operating_points": (2, "words")},
            ValueError,
            "`operating_points` holds words, but architecture='mimoformer'",
        ),
    ],
)
def test_bad_points_are_refused_before_anything_is_built(tiny_classifier, params, error, message):
    clf = tiny_classifier(n_mux=2).set_params(**params)
    with pytest.raises(error, match=message):
        clf.fit(TEXTS, LABELS)
    assert not hasattr(clf, "net_")


def test_points_that_a_model_has_not_got_are_refused(fitted, tiny_classifier):
    with pytest.raises(ValueError, match=r"for 1, 3; to train .* texts, .* \(2, 2\) among its"):
        fitted.predict(TEXTS, patch_size=2)
    with pytest.raises(ValueError, match="says all of an operating point"):
        fitted.predict(TEXTS, n_mux=(1, 3), patch_size=3)
    with pytest.raises(ValueError, match="2 slots and a `patch_size` of 1 or 3; fit one with"):
        fitted.predict(TEXTS, n_mux=(3, 3))
    plain = tiny_classifier(n_mux=2, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="not trained to answer by the words alone"):
        plain.predict(TEXTS, n_mux="words")
    with pytest.raises(ValueError, match=r"at most 2, got 0 \(int\); .* built with 2 slots$"):
        plain.predict(TEXTS, n_mux=0)
    assert plain.predictor_.resolve_point() == Point(2, 1)
    assert fitted.predictor_.resolve_point("words") == WORDS


def test_images_have_no_patches():
    images, labels = np.random.default_rng(0).random((12, 8, 8)), [0, 1] * 6
    clf = MuxImageClassifier(2, max_epochs=0).fit(images, labels)
    with pytest.raises(ValueError, match="`patch_size` is 2"):
        clf.predict(images, patch_size=2)
