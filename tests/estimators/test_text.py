import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from muxlearn import MuxTextClassifier
from muxlearn.rows._tokenizing import tokenize

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
ODD_TEXTS = {
    "empty": "",
    "whitespace": " \t\n\u2003",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈",
    "control characters": "\x00\x07\x1b[0m\x7f\u200b\ufeff",
    "half a surrogate pair": "\ud83d",
    "one word of 100,000 letters": "x" * 100_000,
    "50,000 words": "a " * 50_000,
}


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return partial(tiny_classifier, warm_up=None, batch_size=16, backbone__hidden_size=32)


@pytest.fixture(scope="module")
def learner(tiny):
    return partial(tiny, max_epochs=6, lr=3e-3, dropout=0.0, max_length=12)


def which_comes_first(n_texts, seed=0):
    """Texts of the same words in either order: nothing for a bag of words."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n_texts):
        words = list(rng.choice(["of", "in", "on", "at", "by", "up", "to"], rng.integers(2, 5)))
        pair = ["fox", "owl"] if rng.random() < 0.5 else ["owl", "fox"]
        places = np.sort(rng.choice(len(words) + 1, 2, replace=False))
        for place, word in zip(places[::-1], pair[::-1], strict=True):
            words.insert(place, word)
        texts.append(" ".join(words))
        labels.append(pair[0])
    return texts, labels


def same_or_not(n_pairs, seed=0):
    rng = np.random.default_rng(seed)
    trees = rng.choice(["ash", "oak", "elm", "fir"], (n_pairs, 2))
    trees[::2, 1] = trees[::2, 0]
    return [tuple(map(str, pair)) for pair in trees], [bool(a == b) for a, b in trees]


def through_module(clf, texts):
    """Probabilities of the fitted torch module for rows in this order."""
    ids, mask = tokenize(clf.tokenizer_, texts).gather(np.arange(len(texts)))
    with torch.no_grad():
        logits = clf.module_(torch.from_numpy(ids), torch.from_numpy(mask))
    return logits.softmax(-1).numpy()


@pytest.fixture(scope="module")
def fitted(tiny):
    """Not trained well, so that predictions hang on the companions."""
    return tiny().fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def owls(learner):
    return learner().fit(*which_comes_first(800))


# Learning


def test_learns_the_order_of_words_from_mixtures_of_two(owls):
    texts, labels = which_comes_first(300, seed=1)
    assert owls.score(texts, labels) > 0.9


@pytest.mark.slow
def test_learns_the_order_of_words_without_mixing(learner):
    clf = learner(n_mux=1, max_epochs=10).fit(*which_comes_first(800))
    assert clf.score(*which_comes_first(300, seed=1)) > 0.9


@pytest.mark.slow
def test_learns_to_compare_the_texts_of_a_pair(learner):
    clf = learner(max_epochs=15).fit(*same_or_not(600))
    assert clf.score(*same_or_not(200, seed=1)) > 0.9


@pytest.mark.slow
def test_one_model_learns_to_serve_all_its_operating_points(learner):
    clf = learner(n_mux=4, operating_points=(1, 2, 4), max_epochs=8)
    clf.fit(*which_comes_first(800))
    test = which_comes_first(300, seed=1)
    assert min(clf.score(*test, n_mux=n_mux) for n_mux in (1, 2, 3, 4)) > 0.9


# Prediction


def test_predicts_one_label_a_row_for_any_number_of_rows_and_n_mux(tiny):
    clf = tiny(n_mux=3).fit(TEXTS, LABELS)
    for n_rows in range(1, 8):
        for n_mux in (1, 2, 3):
            assert clf.predict(TEXTS[:n_rows], n_mux=n_mux).shape == (n_rows,)


def test_predictions_stay_in_the_order_of_the_rows(owls):
    texts, labels = which_comes_first(101, seed=2)
    order = np.random.default_rng(0).permutation(101)
    predicted = owls.predict([texts[i] for i in order])
    assert np.mean(predicted == np.array(labels)[order]) > 0.9


def test_a_prediction_depends_on_its_companion_unless_n_mux_is_1(fitted):
    alone = [fitted.predict_proba([text, other], n_mux=1)[0] for text, other in _companions()]
    mixed = [fitted.predict_proba([text, other])[0] for text, other in _companions()]
    np.testing.assert_allclose(alone[0], alone[1], atol=1e-6)
    assert np.abs(mixed[0] - mixed[1]).max() > 1e-4


def test_another_random_state_gives_rows_other_companions(tiny, fitted):
    other = tiny(random_state=1).fit(TEXTS, LABELS)
    other.module_.load_state_dict(fitted.module_.state_dict())
    alone, mixed = (
        np.abs(other.predict_proba(TEXTS, n_mux) - fitted.predict_proba(TEXTS, n_mux)).max()
        for n_mux in (1, 2)
    )
    assert alone < 1e-6
    assert mixed > 1e-4


def _companions():
    return [(TEXTS[0], TEXTS[1]), (TEXTS[0], "something else entirely")]


def test_texts_of_another_group_have_no_influence(fitted):
    groups = ["mine", "theirs"] * 12
    mine = np.arange(0, 24, 2)
    changed = list(TEXTS)
    for i in range(1, 24, 2):
        changed[i] = f"a longer one: {TEXTS[i]}"
    before = fitted.predict_proba(TEXTS, groups=groups)
    after = fitted.predict_proba(changed, groups=groups)
    np.testing.assert_allclose(after[mine], before[mine], atol=1e-6)
    assert np.abs(after[1::2] - before[1::2]).min() > 1e-4
    without_groups = fitted.predict_proba(changed) - fitted.predict_proba(TEXTS)
    assert np.abs(without_groups[mine]).max() > 1e-4


def test_groups_that_numpy_would_merge_stay_apart(fitted):
    first = fitted.predict_proba(TEXTS[:2], groups=[1, "1"])
    second = fitted.predict_proba([TEXTS[0], TEXTS[13]], groups=[1, "1"])
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([0] * 23, ValueError, "one label for each of the 24 rows of `X`, got 23"),
        (np.zeros((24, 1)), ValueError, r"got an array of shape \(24, 1\)"),
        (3, TypeError, "got an instance of int"),
        ("a" * 24, TypeError, "got an instance of str"),
        ([[0]] * 24, TypeError, "must be hashable"),
        (set(range(24)), TypeError, "got an instance of set"),
        ([*range(23), None], ValueError, r"is missing \(None\)"),
        (np.array([*range(23), np.nan]), ValueError, r"is missing \(nan\)"),
    ],
)
def test_groups_that_do_not_fit_the_rows_are_refused(fitted, groups, error, message):
    with pytest.raises(error, match=f"`groups`.*{message}"):
        fitted.predict(TEXTS, groups=groups)


def test_a_missing_group_of_a_stream_is_refused(fitted, small_windows):
    with pytest.raises(ValueError, match="row 479 of `groups` is missing"):
        list(fitted.predict_iter(TEXTS * 20, groups=iter([*range(479), None])))


def test_new_weights_are_used_however_they_came(fitted):
    clf = copy.deepcopy(fitted)
    clf.predict(TEXTS)
    parameters = list(clf.module_.parameters())
    nothing = torch.zeros(sum(parameter.numel() for parameter in parameters))
    torch.nn.utils.vector_to_parameters(nothing, parameters)
    np.testing.assert_allclose(clf.predict_proba(TEXTS), 0.5, atol=1e-6)


def test_trainings_in_threads_do_not_draw_from_each_other(tiny):
    def answer(_):
        return tiny(max_epochs=2, dropout=0.2).fit(TEXTS, LABELS).predict_proba(TEXTS)

    alone = answer(0)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(answer, range(3)):
            np.testing.assert_allclose(found, alone, atol=1e-5)
    assert torch.rand(1) == expected


def test_n_passes_averages_probabilities_over_regroupings(fitted):
    clf = copy.deepcopy(fitted)
    with torch.no_grad():  # so that the place of a text matters much
        clf.module_.head.out.weight.mul_(10)
    pair = [TEXTS[13], TEXTS[0]]
    in_front, behind = through_module(clf, pair)[0, 0], through_module(clf, pair[::-1])[1, 0]
    average = clf.predict_proba(pair, n_passes=8)[0, 0]
    times_in_front = 8 * (average - behind) / (in_front - behind)
    assert abs(in_front - behind) > 0.2
    assert times_in_front == pytest.approx(round(times_in_front), abs=1e-3)
    assert 0 < round(times_in_front) < 8


@pytest.mark.parametrize("n_passes", [0, -1, 1.5, True, None])
def test_n_passes_must_be_a_whole_number_from_1(fitted, n_passes):
    with pytest.raises((TypeError, ValueError), match="`n_passes` must be a whole number"):
        fitted.predict(TEXTS, n_passes=n_passes)


@pytest.mark.parametrize("n_mux", [0, -1, 3, 2.0, True, "2"])
def test_predict_time_n_mux_lies_within_the_capacity(fitted, n_mux):
    with pytest.raises((TypeError, ValueError), match=r"`n_mux` .* at most 2.*with 2 slots"):
        fitted.predict(TEXTS, n_mux=n_mux)


def test_module_returns_logits_of_mixtures_in_row_order(owls):
    texts, labels = which_comes_first(20, seed=3)
    proba = through_module(owls, texts)
    assert np.mean(owls.classes_[proba.argmax(1)] == labels) > 0.9
    alone = through_module(owls, texts[4:6])
    np.testing.assert_allclose(proba[4:6], alone, atol=1e-5)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_texts_get_a_prediction(fitted, text):
    assert fitted.predict([text]).shape == (1,)
    proba = fitted.predict_proba([text, *TEXTS[:4]])
    np.testing.assert_allclose(proba.sum(1), 1)


def test_odd_texts_can_be_learned_from(tiny):
    texts = list(ODD_TEXTS.values())
    clf = tiny(warm_up=1).fit(texts, range(len(texts)))
    assert np.isfinite(clf.predict_proba(texts)).all()


def test_bfloat16_predicts_nearly_what_float32_does(owls):
    texts = which_comes_first(50, seed=4)[0]
    full = owls.predict_proba(texts)
    rounded = copy.deepcopy(owls).set_params(dtype="bfloat16").predict_proba(texts)
    assert 0 < np.abs(rounded - full).max() < 0.1
    assert np.abs(rounded - full).mean() < 0.01


# Streams


@pytest.fixture
def small_windows(set_window_rows):
    """Windows of 8 * batch_size * n_mux rows, however few they are."""
    set_window_rows(MuxTextClassifier, 1)


def test_predict_iter_yields_what_predict_returns(fitted):
    assert list(fitted.predict_iter(iter(TEXTS))) == fitted.predict(TEXTS).tolist()
    proba = list(fitted.predict_iter(TEXTS, n_mux=1, method="predict_proba"))
    np.testing.assert_array_equal(proba, fitted.predict_proba(TEXTS, n_mux=1))


@pytest.mark.parametrize("n_groups", [None, 1, 3, 1000])
def test_predict_returns_rows_in_order_across_windows(owls, small_windows, n_groups):
    texts, labels = which_comes_first(1000, seed=7)
    groups = n_groups and np.random.default_rng(0).integers(n_groups, size=1000)
    assert np.mean(owls.predict(texts, groups=groups) == labels) > 0.9


def test_predict_iter_yields_in_order_across_windows(owls, small_windows):
    texts, labels = which_comes_first(1000, seed=5)
    predicted = np.array(list(owls.predict_iter(texts)))
    assert len(predicted) == 1000
    for window in np.split(predicted == labels, 4):
        assert window.mean() > 0.9


def test_predict_iter_reads_two_windows_ahead_and_keeps_no_rows(fitted, small_windows):
    window = 8 * fitted.batch_size * fitted.n_mux

    class Row(str):
        made = alive = 0

        def __init__(self, _):
            Row.made += 1
            Row.alive += 1

        def __del__(self):
            Row.alive -= 1

    results = fitted.predict_iter(Row(f"text {i}") for i in range(4 * window))
    assert Row.made == 0
    for n_yielded, _ in enumerate(results):
        assert Row.made <= n_yielded + 2 * window
        assert Row.alive <= 2 * window + 1
    assert Row.made == n_yielded + 1 == 4 * window


def test_predict_iter_keeps_groups_apart_across_windows(fitted, small_windows):
    texts = TEXTS * 30
    groups = list(range(len(texts)))
    alone = fitted.predict_proba(TEXTS, groups=range(24))
    rows = fitted.predict_iter(iter(texts), groups=iter(groups), method="predict_proba")
    np.testing.assert_allclose(list(rows), np.tile(alone, (30, 1)), atol=1e-6)


def test_an_error_in_a_stream_gives_the_row_number_of_the_stream(fitted, small_windows):
    results = fitted.predict_iter([*TEXTS * 20, None])
    with pytest.raises(ValueError, match="row 480 of `X` is missing"):
        list(results)


@pytest.mark.parametrize(
    ("n_groups", "message"), [(479, "ends after 479 labels"), (481, "goes on after its 480 rows")]
)
def test_groups_of_a_stream_must_be_as_many_as_its_rows(fitted, small_windows, n_groups, message):
    results = fitted.predict_iter(iter(TEXTS * 20), groups=iter(range(n_groups)))
    with pytest.raises(ValueError, match=f"`groups` needs one label for each row.*{message}"):
        list(results)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": "abc"}, TypeError, "`X` is a single str"),
        ({"X": {"text": ["a"]}}, TypeError, "got an instance of dict"),
        ({"X": TEXTS, "method": "predict_prob"}, ValueError, "did you mean 'predict_proba'"),
        ({"X": TEXTS, "n_mux": 3}, ValueError, "at most 2"),
        ({"X": TEXTS, "n_passes": 0}, ValueError, "`n_passes`"),
        ({"X": TEXTS, "groups": 3}, TypeError, "`groups`"),
    ],
)
def test_predict_iter_refuses_bad_arguments_when_called(fitted, arguments, error, message):
    with pytest.raises(error, match=message):
        fitted.predict_iter(**arguments)


def test_predict_iter_of_nothing_yields_nothing(fitted):
    assert list(fitted.predict_iter([])) == []


# The house


def test_importing_the_library_imports_no_heavy_dependency():
    code = "import sys, muxlearn; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "muxlearn" in loaded
    assert loaded.isdisjoint({"transformers", "datasets", "skorch", "torchvision", "tokenizers"})


@pytest.mark.slow
def test_compiled_predictions_are_the_same(owls):
    pytest.importorskip("torch._inductor")
    texts = which_comes_first(6, seed=6)[0]
    expected = owls.predict_proba(texts)
    compiled = copy.deepcopy(owls).set_params(compile=True)
    np.testing.assert_allclose(compiled.predict_proba(texts), expected, atol=1e-4)


def test_the_warning_of_one_class_stands_where_fit_is_called(tiny):
    with pytest.warns(UserWarning, match="one class alone") as caught:
        tiny(max_epochs=0).fit(TEXTS, ["x"] * len(TEXTS))
    assert {warning.filename for warning in caught} == {__file__}
