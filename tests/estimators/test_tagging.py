import copy

import numpy as np
import pandas as pd
import pytest
import torch

from muxlearn import MuxTokenTagger
from muxlearn.metrics import entity_f1_score

SENTENCES = [
    [subject, *verb.split(), place]
    for subject in ("Ada", "Bo", "Cy")
    for verb in ("lives in", "saw", "has left")
    for place in ("Rome", "Oslo", "San Juan")
]
TAGS = [["B-PER", *["O"] * (len(row) - 2), "B-LOC"] for row in SENTENCES]
ODD_TOKENS = {
    "empty": "",
    "whitespace": " \t\n\u2003",
    "emoji": "👩‍👩‍👧‍👦",
    "control character": "\x00",
    "zero width": "\u200b\ufeff",
    "half a surrogate pair": "\ud83d",
    "two words": "New York",
    "100,000 letters": "x" * 100_000,
}


def who_is_where(n_sentences, seed=0):
    """Names of people and of places are the same: nothing for a list of words."""
    rng = np.random.default_rng(seed)
    names = [["Paris"], ["Jordan"], ["Florence"], ["Georgia", "May"], ["San", "Juan"]]
    sentences, tags = [], []
    for _ in range(n_sentences):
        person, place = (names[i] for i in rng.integers(len(names), size=2))
        of_person = ["B-PER", *["I-PER"] * (len(person) - 1)]
        of_place = ["B-LOC", *["I-LOC"] * (len(place) - 1)]
        if rng.random() < 0.5:
            sentences.append([*person, "lives", "in", *place])
            tags.append([*of_person, "O", "O", *of_place])
        else:
            sentences.append(["in", *place, "lives", *person])
            tags.append(["O", *of_place, "O", *of_person])
    return sentences, tags


def shapes(sentences):
    return [len(row) for row in sentences]


def flat(rows):
    return [item for row in rows for item in row]


def through_module(tagger, sentences):
    """Probabilities of the fitted torch module for sentences in this order, all in one."""
    table = tagger.predictor_.reader.table(sentences)
    inputs = table.inputs(np.arange(len(sentences))[:, None])
    with torch.no_grad():
        logits = tagger.module_(**{k: torch.from_numpy(v[:, 0]) for k, v in inputs.items()})
    return logits.softmax(-1).numpy()


@pytest.fixture(scope="module")
def tiny(tiny_tagger):
    return tiny_tagger


@pytest.fixture(scope="module")
def learner(tiny_tagger):
    def make(**params):
        return tiny_tagger(**{"max_epochs": 8, "lr": 1e-2, "dropout": 0.0} | params)

    return make


@pytest.fixture(scope="module")
def fitted(tiny):
    """Not trained well, so that predictions hang on the companions."""
    return tiny().fit(SENTENCES, TAGS)


@pytest.fixture(scope="module")
def geographer(learner):
    return learner().fit(*who_is_where(160))


# Learning


def test_learns_names_by_their_context_from_mixtures_of_two(geographer):
    assert geographer.score(*who_is_where(100, seed=1)) > 0.9
    assert geographer.scheme_ == "IOB2"


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [{"n_mux": 1}, {"architecture__lexical_size": 0, "max_epochs": 12}, {"label_pieces": "all"}],
)
def test_learns_names_by_their_context(learner, params):
    tagger = learner(**params).fit(*who_is_where(160))
    assert tagger.score(*who_is_where(100, seed=1)) > 0.9


@pytest.mark.slow
def test_one_model_learns_to_serve_all_its_operating_points(learner):
    tagger = learner(n_mux=4, operating_points=(1, 2, 4)).fit(*who_is_where(160))
    test = who_is_where(100, seed=1)
    assert min(tagger.score(*test, n_mux=n_mux) for n_mux in (1, 2, 3, 4)) > 0.9


# Prediction


def test_predicts_one_tag_a_token_for_any_number_of_sentences_and_n_mux(tiny):
    tagger = tiny(n_mux=3).fit(SENTENCES, TAGS)
    for n_rows in range(1, 6):
        for n_mux in (1, 2, 3):
            predicted = tagger.predict(SENTENCES[:n_rows], n_mux=n_mux)
            assert shapes(predicted) == shapes(SENTENCES[:n_rows])
            assert set(flat(predicted)) <= set(tagger.classes_)


def test_probabilities_are_an_array_for_each_sentence(fitted):
    proba = fitted.predict_proba([*SENTENCES[:3], [], ["Ada"]])
    assert isinstance(proba, list)
    assert [p.shape for p in proba] == [(n, 3) for n in (*shapes(SENTENCES[:3]), 0, 1)]
    np.testing.assert_allclose(np.concatenate(proba).sum(1), 1)
    assert fitted.classes_.tolist() == ["B-LOC", "B-PER", "O"]


def test_predicts_the_most_probable_tags(fitted):
    proba, predicted = fitted.predict_proba(SENTENCES), fitted.predict(SENTENCES)
    assert [fitted.classes_[p.argmax(1)].tolist() for p in proba] == predicted


def test_predictions_stay_in_the_order_of_the_sentences(geographer):
    sentences, tags = who_is_where(101, seed=2)
    order = np.random.default_rng(0).permutation(101)
    predicted = geographer.predict([sentences[i] for i in order])
    assert entity_f1_score([tags[i] for i in order], predicted) > 0.9


def test_empty_sentences_stay_in_their_places(geographer):
    sentences, tags = who_is_where(20, seed=3)
    for at in (0, 7, 20, 23):
        sentences.insert(at, [])
        tags.insert(at, [])
    predicted = geographer.predict(sentences)
    assert shapes(predicted) == shapes(sentences)
    assert entity_f1_score(tags, predicted) > 0.9


@pytest.mark.parametrize("X", [[[]], [[], [], []]])
def test_empty_sentences_alone_have_no_tags(fitted, X):
    assert fitted.predict(X) == X
    assert [p.shape for p in fitted.predict_proba(X)] == [(0, 3)] * len(X)
    assert list(fitted.predict_iter(X)) == X


@pytest.mark.parametrize("token", ODD_TOKENS.values(), ids=ODD_TOKENS)
def test_no_token_is_lost(fitted, token):
    sentences = [[token], ["Ada", token, "Rome", token], [token] * 30, ["Bo", "left"]]
    assert shapes(fitted.predict(sentences)) == [1, 4, 30, 2]
    proba = fitted.predict_proba(sentences)
    assert np.isfinite(np.concatenate(proba)).all()


def test_odd_tokens_can_be_learned_from(tiny):
    sentences = [[token, "a"] for token in ODD_TOKENS.values()]
    tagger = tiny().fit(sentences, [["X", "O"]] * len(sentences))
    assert shapes(tagger.predict(sentences)) == shapes(sentences)


@pytest.mark.parametrize("n_mux", [1, 2])
@pytest.mark.parametrize("label_pieces", ["first", "all"])
def test_sentences_of_several_windows_keep_their_shape(fitted, n_mux, label_pieces):
    tagger = copy.deepcopy(fitted).set_params(label_pieces=label_pieces)
    sentences = [SENTENCES[0] * n for n in (1, 2, 3, 50, 300)] + [["x" * 200] * 40]
    assert shapes(tagger.predict(sentences, n_mux=n_mux)) == shapes(sentences)
    proba = tagger.predict_proba(sentences, n_mux=n_mux)
    assert shapes(proba) == shapes(sentences)
    np.testing.assert_allclose(np.concatenate(proba).sum(1), 1)


def test_windows_are_stitched_in_the_order_of_their_tokens(learner):
    """Each token alone decides its tag, so a window's place does not matter."""
    rng = np.random.default_rng(0)
    sentences = [[f"w{i}" for i in rng.integers(6, size=n)] for n in rng.integers(1, 40, size=40)]
    tags = [[int(word[1]) for word in row] for row in sentences]
    tagger = learner(max_length=10, lr=2e-2).fit(sentences[:20], tags[:20])
    assert tagger.score(sentences[20:], tags[20:]) > 0.95
    assert tagger.score([flat(sentences)], [flat(tags)]) > 0.95


def test_a_prediction_depends_on_its_companion_unless_n_mux_is_1(fitted):
    pairs = [(SENTENCES[0], SENTENCES[1]), (SENTENCES[0], ["something", "else", "entirely", "!"])]
    alone = [fitted.predict_proba(pair, n_mux=1)[0] for pair in pairs]
    mixed = [fitted.predict_proba(pair)[0] for pair in pairs]
    np.testing.assert_allclose(alone[0], alone[1], atol=1e-6)
    assert np.abs(mixed[0] - mixed[1]).max() > 1e-4


def test_sentences_of_another_group_have_no_influence(fitted):
    long = [*SENTENCES[0], *SENTENCES[1]] * 6  # of several windows
    mine = [*SENTENCES[:5], long]
    theirs = [
        [row[:6] for row in SENTENCES[5:11]],
        [row[::-1] for row in SENTENCES[11:16]] + [long],
    ]
    groups = ["mine", "theirs"] * 6
    calls = [flat(zip(mine, other, strict=True)) for other in theirs]
    before, after = (fitted.predict_proba(X, groups=groups) for X in calls)
    np.testing.assert_allclose(np.concatenate(after[::2]), np.concatenate(before[::2]), atol=1e-6)
    mixed = [np.concatenate(fitted.predict_proba(X)[::2]) for X in calls]
    assert np.abs(mixed[0] - mixed[1]).max() > 1e-4


def test_groups_must_be_as_many_as_the_sentences_not_as_their_windows(fitted):
    sentences = [SENTENCES[0] * 20, SENTENCES[1]]
    assert shapes(fitted.predict(sentences, groups=[0, 1])) == shapes(sentences)
    with pytest.raises(ValueError, match="one label for each of the 2 rows of `X`, got 3"):
        fitted.predict(sentences, groups=[0, 0, 1])


def test_n_passes_averages_probabilities_over_regroupings(fitted):
    tagger = copy.deepcopy(fitted)
    with torch.no_grad():  # so that the place of a sentence matters much
        tagger.module_.head[1].weight.mul_(10)
    pair = [["Ada"], ["Oslo"]]
    in_front, behind = through_module(tagger, pair)[0, 0], through_module(tagger, pair[::-1])[1, 0]
    average = tagger.predict_proba(pair, n_passes=8)[0][0, 0]
    times_in_front = 8 * (average - behind) / (in_front - behind)
    assert abs(in_front - behind) > 0.1
    assert times_in_front == pytest.approx(round(times_in_front), abs=1e-3)
    assert 0 < round(times_in_front) < 8


@pytest.mark.parametrize("n_mux", [0, 3, 2.0, "2"])
def test_predict_time_n_mux_lies_within_the_capacity(fitted, n_mux):
    with pytest.raises((TypeError, ValueError), match=r"`n_mux` .* at most 2.*with 2 slots"):
        fitted.predict(SENTENCES, n_mux=n_mux)


def test_module_returns_logits_of_tagged_pieces_in_row_order(geographer):
    sentences, tags = who_is_where(20, seed=4)
    predicted = geographer.classes_[through_module(geographer, sentences).argmax(1)]
    assert np.mean(predicted == flat(tags)) > 0.9


def test_max_length_set_after_fit_does_not_move_the_positions_of_the_model(fitted):
    expected = fitted.predict_proba([SENTENCES[0] * 20])[0]
    for max_length in (8, 200):
        tagger = copy.deepcopy(fitted).set_params(max_length=max_length)
        np.testing.assert_array_equal(tagger.predict_proba([SENTENCES[0] * 20])[0], expected)


def test_bfloat16_predicts_nearly_what_float32_does(geographer):
    sentences = who_is_where(50, seed=5)[0]
    full = np.concatenate(geographer.predict_proba(sentences))
    rounded = copy.deepcopy(geographer).set_params(dtype="bfloat16").predict_proba(sentences)
    assert 0 < np.abs(np.concatenate(rounded) - full).max() < 0.1


# Containers


def object_array(rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


@pytest.mark.parametrize(
    "wrap",
    [
        lambda rows: tuple(map(tuple, rows)),
        lambda rows: pd.Series(rows, index=range(len(rows))[::-1]),
        lambda rows: pd.DataFrame({"column": rows}),
        object_array,
        lambda rows: object_array([np.array(row) for row in rows]),
    ],
    ids=["tuples", "Series of lists", "frame", "object array", "object array of arrays"],
)
def test_containers_are_read_as_lists_are(tiny, fitted, wrap):
    tagger = tiny().fit(wrap(SENTENCES), wrap(TAGS))
    assert tagger.classes_.tolist() == fitted.classes_.tolist()
    assert tagger.predict(wrap(SENTENCES)) == fitted.predict(SENTENCES)
    assert tagger.score(wrap(SENTENCES), wrap(TAGS)) == fitted.score(SENTENCES, TAGS)


def test_arrays_of_two_axes_are_sentences_of_equal_length(tiny):
    words, tags = np.array([["a", "b"], ["b", "a"]] * 8), np.array([[0, 1], [1, 0]] * 8)
    predicted = tiny().fit(words, tags).predict(words)
    assert predicted == tiny().fit(words.tolist(), tags.tolist()).predict(words.tolist())
    assert {type(tag) for tag in flat(predicted)} == {int}


def test_columns_of_a_data_set_are_read(tiny, fitted):
    datasets = pytest.importorskip("datasets")
    names = datasets.Sequence(datasets.ClassLabel(names=["O", "B-LOC", "B-PER"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string"))})
    codes = [[names.feature.str2int(tag) for tag in row] for row in TAGS]
    data = datasets.Dataset.from_dict(
        {"tokens": SENTENCES, "tags": codes},
        features=datasets.Features({**features, "tags": names}),
    )
    tagger = tiny().fit(data["tokens"], data["tags"])
    assert tagger.classes_.tolist() == [0, 1, 2]
    assert shapes(tagger.predict(data["tokens"])) == shapes(SENTENCES)
    assert fitted.predict(data["tokens"]) == fitted.predict(SENTENCES)


def test_the_first_prediction_leaves_the_tokenizer_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = MuxTokenTagger.load(tmp_path)
    before = loaded.tokenizer_.encode("[SEP]").ids
    loaded.predict([["a", "[SEP]"]])
    assert loaded.tokenizer_.encode("[SEP]").ids == before


# Streams


@pytest.fixture
def small_windows(set_window_rows):
    """Windows of 8 * batch_size * n_mux sentences, however few they are."""
    set_window_rows(MuxTokenTagger, 1)


def test_predict_iter_yields_what_predict_returns(fitted):
    sentences = [*SENTENCES, [], SENTENCES[0] * 30]
    assert list(fitted.predict_iter(iter(sentences))) == fitted.predict(sentences)
    streamed = fitted.predict_iter(sentences, n_mux=1, method="predict_proba")
    for row, expected in zip(streamed, fitted.predict_proba(sentences, n_mux=1), strict=True):
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("n_groups", [None, 3, 400])
def test_predict_returns_sentences_in_order_across_windows(geographer, small_windows, n_groups):
    sentences, tags = who_is_where(400, seed=6)
    sentences[17] = tags[17] = []
    groups = n_groups and np.random.default_rng(0).integers(n_groups, size=400)
    assert geographer.score(sentences, tags, groups=groups) > 0.9
    streamed = list(geographer.predict_iter(iter(sentences), groups=groups))
    assert entity_f1_score(tags, streamed) > 0.9


def test_an_error_in_a_stream_gives_the_number_in_the_stream(fitted, small_windows):
    results = fitted.predict_iter([*[["a"]] * 300, ["b", None]])
    with pytest.raises(ValueError, match="token 1 of sentence 300 of `X` is missing"):
        list(results)


def test_predict_iter_refuses_one_string_when_called(fitted):
    with pytest.raises(TypeError, match="`X` is a single str; give a list of lists"):
        fitted.predict_iter("Ada lives in Rome")


# Score


def test_score_is_the_f1_of_entities(fitted):
    predicted = fitted.predict(SENTENCES)
    weights = np.arange(len(SENTENCES))
    assert fitted.score(SENTENCES, TAGS) == entity_f1_score(TAGS, predicted)
    assert fitted.score(SENTENCES, TAGS, sample_weight=weights) == entity_f1_score(
        TAGS, predicted, sample_weight=weights
    )


@pytest.mark.parametrize(
    "kinds",
    [
        {"B-PER": "N", "B-LOC": "P", "O": "V"},
        {"B-PER": 3, "B-LOC": 1, "O": 2},
        {"B-PER": True, "B-LOC": True, "O": False},
        {"B-PER": 0.5, "B-LOC": 1.5, "O": 2.5},
        {"B-PER": "é", "B-LOC": "場所", "O": "O"},
    ],
    ids=["strings", "whole numbers", "bools", "numbers", "unicode"],
)
def test_score_of_other_tags_is_the_accuracy_over_tokens(tiny, kinds):
    tags = [[kinds[tag] for tag in row] for row in TAGS]
    tagger = tiny().fit(SENTENCES, tags)
    assert tagger.scheme_ is None
    assert tagger.classes_.tolist() == sorted(set(kinds.values()))
    predicted = tagger.predict(SENTENCES)
    assert {type(tag) for tag in flat(predicted)} == {type(kinds["O"])}
    right = np.array(flat(tags)) == np.array(flat(predicted))
    assert tagger.score(SENTENCES, tags) == pytest.approx(right.mean())
    weights = np.arange(len(SENTENCES))
    expected = np.average(right, weights=np.repeat(weights, shapes(SENTENCES)))
    assert tagger.score(SENTENCES, tags, sample_weight=weights) == pytest.approx(expected)


def test_a_tag_unseen_in_training_is_warned_of_and_counts_as_wrong(geographer):
    sentences, tags = who_is_where(20, seed=7)
    tags = [[tag.replace("PER", "HERO") for tag in row] for row in tags]
    message = (
        r"`y` holds tags .* most often 'B-HERO' \(20 of \d+ such tokens\); they count as wrong"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        score = geographer.score(sentences, tags)
    assert caught[0].filename == __file__
    assert 0.4 < score < 0.6


def test_an_unseen_tag_that_marks_no_entity_counts_as_wrong_too(tiny):
    tagger = tiny().fit([["a", "b"]] * 8, [["A", "A"]] * 8)
    with pytest.warns(UserWarning, match=r"most often 'B' \(1 of 1 such tokens\)"):
        assert tagger.score([["a", "b"]], [["A", "B"]]) == 0.5


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([["a"], ["b"]], [["O"]], "`X` has 2 sentences and `y` has 1"),
        ([["a"], ["b"]], [["O"], ["O", "O"]], "sentence 1 has 1 tokens in `X` and 2 tags in `y`"),
        ([["a"]], [[None]], "tag 0 of sentence 0 of `y` is missing .*drop the sentence or"),
        ([["a"]], None, "`y` is None"),
        ([["a"]], [["NN"]], "sentence 0 of `y` has the tag 'NN'"),
    ],
)
def test_tags_to_score_against_are_checked(fitted, X, y, message):
    with pytest.raises(ValueError, match=message):
        fitted.score(X, y)


def test_an_accuracy_over_no_token_is_refused(tiny):
    tagger = tiny(max_epochs=0, warm_up=None).fit([["a"]], [[1]])
    with pytest.raises(ValueError, match="no token counts: the sentences of `X` are empty"):
        tagger.score([[]], [[]])


# Errors


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("Ada saw Rome", TypeError, "`X` is a single str; give a list of lists"),
        (["Ada saw Rome"], TypeError, r"sentence 0 of `X` is a single str; .*'Ada saw Rome'.split"),
        ([["Ada", None]], ValueError, r"token 1 of sentence 0 of `X` is missing \(None\)"),
        ([["Ada"], ["Bo", 3]], TypeError, "token 1 of sentence 1 of `X` is of type int, not str"),
        (np.array([["Ada", None], ["Bo", "saw"]], object), ValueError, "token 1 of sentence 0"),
        ([], ValueError, "`X` has 0 sentences"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_sentence_is_refused_in_training_and_prediction(tiny, fitted, X, error, message):
    with pytest.raises(error, match=message):
        fitted.predict(X)
    with pytest.raises(error, match=message):
        tiny().fit(X, [["O"] * 2] * len(X))
