"""The packaged encoder says what it was not made for."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from muxlearn import MuxTextClassifier, MuxTextEmbedder, MuxTokenTagger
from muxlearn.backbones import Corpus, Packaged, make_backbone
from muxlearn.backbones._packaged import load_packaged

WANTED = {
    "n_mux": 2,
    "multiplexer": "subspace",
    "demultiplexer": "rsa",
    "n_prefix": 0,
    "max_length": 32,
    "dropout": 0.0,
}

GERMAN = [
    "Die Bundesregierung hat am Mittwoch ein neues Gesetz beschlossen.",
    "Ich habe gestern im Supermarkt Brot und Milch gekauft.",
    "Das Wetter wird morgen wieder schlechter.",
    "Die Mannschaft gewann das Spiel mit drei zu eins.",
    "Meine Schwester wohnt seit zwei Jahren in Hamburg.",
    "Sehr schlechter Kundenservice, nie wieder!",
    "Wie komme ich zum Bahnhof?",
]
CHINESE = [
    "今天天气很好，我们去公园散步。",
    "中国政府宣布了一项新的法律。",
    "这个产品的质量很差。",
    "他昨天在超市买了面包和牛奶。",
    "球队以三比一赢得了比赛。",
] * 2
RUSSIAN = ["Сегодня хорошая погода.", "Правительство объявило о новом законе."] * 3
TWEETS = [
    "@user omg so happy rn!!! #blessed #tbt 😂😂 http://t.co/abc",
    "RT @VirginAmerica: worst flight ever smh, 3 hrs delayed",
    "gr8 deal @ walmart!!! $5.99 #sale, who's coming w me?",
    "idk tbh, the new iPhone is kinda meh lol",
    "@SouthwestAir thx u rock, made my day 👍",
    "Boeing adds 10 orders for week, loses 737 request http://url",
] * 3
TAGGED = [
    "SOCCER - JAPAN GET LUCKY WIN , CHINA IN SURPRISE DEFEAT .",
    "Nadim Ladki",
    "AL-AIN , United Arab Emirates 1996-12-06",
    "Rugby union - Cuttitta back for Italy after a year .",
    "Brian Shimer piloted USA III to a surprise victory in a World Cup bobsleigh race on Sunday .",
    "CRICKET - LARA ENDURES ANOTHER MISERABLE DAY .",
    "1. FC Cologne 15 7 3 5 31 27 24",
] * 3


def start(texts, **wanted):
    return Packaged().start(Corpus(texts), **WANTED | wanted)


@pytest.mark.parametrize("texts", [GERMAN, CHINESE, RUSSIAN], ids=["German", "Chinese", "Russian"])
def test_texts_that_are_not_english_are_told(texts):
    with pytest.warns(UserWarning, match=r"% of the pieces of `X` are fragments or unknown"):
        start(texts)


@pytest.mark.parametrize(
    "texts",
    [TWEETS, TAGGED, [("It rained in London.", "The sun shone.")] * 40, ["12 34 56"] * 99, ["Ω"]],
    ids=["tweets", "entities", "pairs", "numbers", "few pieces"],
)
def test_english_and_what_is_no_language_raise_no_alarm(texts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(texts)


@pytest.fixture(scope="module")
def estimators(tmp_path_factory):
    """Estimators of the packaged encoder, as built, and one as loaded."""
    options = {"max_epochs": 0, "max_length": 32, "random_state": 0}
    embedder = MuxTextEmbedder(max_length=32).fit()
    folder = tmp_path_factory.mktemp("embedder")
    embedder.save(folder)
    return {
        "classifier": MuxTextClassifier(**options).fit(["rain", "sun"], [0, 1]),
        "tagger": MuxTokenTagger(**options).fit([["rain"], ["sun"]], [["A"], ["B"]]),
        "embedder": embedder,
        "loaded": MuxTextEmbedder.load(folder),
    }


def _answer(estimator, texts):
    if isinstance(estimator, MuxTextClassifier):
        return estimator.predict(texts)
    if isinstance(estimator, MuxTokenTagger):
        return estimator.predict([text.split() for text in texts])
    return estimator.transform(texts)


@pytest.mark.parametrize(
    "name",
    [
        "embedder",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("classifier", "tagger", "loaded")),
    ],
)
def test_a_prediction_of_other_languages_warns_once(estimators, name):
    estimator = estimators[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _answer(estimator, CHINESE)
    assert [str(warning.message)[:4] for warning in caught] == ["100%"]


@pytest.mark.parametrize("name", ["classifier", "tagger", "embedder", "loaded"])
@pytest.mark.parametrize("texts", [TWEETS, TAGGED, ["", " "], ["!!! 12"] * 40])
def test_a_prediction_of_english_does_not_warn(estimators, name, texts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _answer(estimators[name], texts)


def test_a_classifier_with_another_encoder_does_not_warn(tiny_classifier):
    classifier = tiny_classifier(max_epochs=0, warm_up=None).fit(CHINESE, [0, 1] * 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(CHINESE)


def test_more_rows_than_it_was_warmed_up_for_are_told():
    most = load_packaged().most_rows
    with pytest.warns(UserWarning, match=f"up to {most} rows, but `n_mux` is {most + 1}"):
        assert start(["it rains"], n_mux=most + 1).load_into is None
    assert make_backbone(None).kinds(most + 1) is None


def test_the_first_layers_are_those_of_the_whole():
    whole = start(["it rains"]).encoder
    first = Packaged(num_hidden_layers=2).start(Corpus(["it rains"]), **WANTED).encoder
    assert len(first.layers) == 2 < len(whole.layers)
    for own, given in zip(first.layers, whole.layers, strict=False):
        assert all(map(torch.equal, own.parameters(), given.parameters()))
    assert len(start(["it rains"]).encoder.layers) == len(whole.layers)  # they are still there


def test_a_model_of_the_first_layers_comes_back_from_a_folder(tmp_path):
    classifier = MuxTextClassifier(
        n_mux=1, patch_size=2, backbone=Packaged(num_hidden_layers=1), max_epochs=0, random_state=0
    )
    classifier.fit(["rain and wind", "a late goal"] * 4, ["weather", "sport"] * 4)
    assert len(classifier.module_.encoder.layers) == 1
    classifier.save(tmp_path / "model")
    loaded = MuxTextClassifier.load(tmp_path / "model")
    assert loaded.backbone == classifier.backbone
    texts = ["wind", "the goal of the day"]
    np.testing.assert_array_equal(loaded.predict_proba(texts), classifier.predict_proba(texts))


def test_the_number_of_layers_can_be_searched():
    classifier = MuxTextClassifier(backbone=Packaged())
    searched = clone(classifier).set_params(backbone__num_hidden_layers=3)
    assert searched.backbone == Packaged(num_hidden_layers=3) != classifier.backbone


@pytest.mark.parametrize(
    ("n_layers", "message"),
    [
        (0, "`num_hidden_layers` must be .* at least 1"),
        (7, "`num_hidden_layers` is 7, but the packaged encoder has 6 layers"),
    ],
)
def test_layers_that_are_not_there_are_refused(n_layers, message):
    classifier = MuxTextClassifier(backbone=Packaged(num_hidden_layers=n_layers))
    with pytest.raises(ValueError, match=message):
        classifier.fit(["rain", "goal"], [0, 1])


def test_an_embedder_takes_all_layers():
    with pytest.raises(ValueError, match="vectors of the packaged encoder are those of its last"):
        MuxTextEmbedder(backbone=Packaged(num_hidden_layers=2)).fit()
