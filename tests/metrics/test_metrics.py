import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.metrics import accuracy_score, get_scorer, get_scorer_names
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.metrics import (
    entity_f1,
    entity_f1_score,
    entity_precision,
    entity_precision_recall_fscore_support,
    entity_precision_score,
    entity_recall,
    entity_recall_score,
    retrieval_score,
    token_accuracy,
    token_accuracy_score,
)
from muxlearn.metrics._scorers import register_scorers

WORDS = ["red", "green", "blue", "white", "black", "grey", "pink", "brown"]


def texts(n_texts, seed=0):
    return [" ".join(words) for words in np.random.default_rng(seed).choice(WORDS, (n_texts, 5))]


def warmed_up(rows=None, **params):
    """The warm-up alone, of a word-level vocabulary."""
    defaults = {
        "n_mux": 2,
        "backbone": Scratch(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=300
        ),
        "max_length": 12,
        "warm_up": 10,
        "max_epochs": 0,
        "batch_size": 16,
        "lr": 5e-3,
        "dropout": 0.0,
        "random_state": 0,
    }
    rows = rows or texts(400)
    return MuxTextClassifier(**(defaults | params)).fit(rows, [0] * len(rows))


def test_a_warm_up_teaches_to_recover_nearly_every_token():
    assert retrieval_score(warmed_up(), texts(100, seed=1)) > 0.95


def test_without_a_warm_up_few_tokens_are_recovered():
    clf = warmed_up(multiplexer="hadamard", warm_up=None)
    assert 0 <= retrieval_score(clf, texts(100, seed=1)) < 0.3


@pytest.mark.slow
def test_without_a_mark_a_mixture_does_not_say_which_token_was_whose():
    clf = warmed_up(multiplexer="identity", demultiplexer="mlp", n_mux=4)
    assert retrieval_score(clf, texts(100, seed=1)) < 0.7


@pytest.mark.slow
def test_fewer_rows_in_a_mixture_are_recovered_more_often():
    clf = warmed_up(n_mux=4, operating_points=(1, 2, 4), multiplexer="hadamard", warm_up=5)
    scores = [retrieval_score(clf, texts(100, seed=1), n_mux) for n_mux in (4, 3, 1)]
    assert sorted(scores) == scores
    assert scores[0] == retrieval_score(clf, texts(100, seed=1))
    assert scores[-1] > scores[0]


@pytest.mark.parametrize("n_rows", [1, 3])
def test_rows_that_fill_no_mixture_are_scored_too(n_rows):
    clf = warmed_up(warm_up=1)
    score = retrieval_score(clf, texts(n_rows))
    n_tokens = sum(len(clf.tokenizer_.encode(text).ids) for text in texts(n_rows))
    assert 0 <= score <= 1
    assert score * n_tokens == pytest.approx(round(score * n_tokens))


def test_a_row_that_fills_a_second_mixture_counts_once():
    clf = warmed_up(warm_up=1)
    unread = "zzz qqq"  # of tokens that the warm-up has not met
    rows = ["red green", unread, "blue"]
    n_right = retrieval_score(clf, rows) * sum(len(clf.tokenizer_.encode(row).ids) for row in rows)
    assert n_right == pytest.approx(round(n_right))
    assert 0 < retrieval_score(clf, rows) < 1  # a share of more or fewer tokens would differ


def test_both_texts_of_a_pair_are_recovered_from_patches_of_their_own():
    words = zip(texts(200), texts(200, seed=3), strict=True)
    rows = [
        (" ".join(first.split()[: 1 + number % 4]), " ".join(second.split()[: 1 + number % 3]))
        for number, (first, second) in enumerate(words)
    ]
    fixed = {"n_mux": 1, "patch_size": 2, "max_length": 16}
    clf = warmed_up(rows, **fixed)
    assert retrieval_score(clf, rows) > 0.95


def test_scoring_leaves_the_predictions_as_they_were():
    clf = warmed_up(warm_up=1)
    expected = clf.predict_proba(texts(5))
    retrieval_score(clf, texts(20))
    np.testing.assert_array_equal(clf.predict_proba(texts(5)), expected)
    assert not clf.module_.training


def test_an_estimator_that_is_not_fitted_has_no_score():
    with pytest.raises(NotFittedError):
        retrieval_score(MuxTextClassifier(), texts(2))


def test_bad_texts_are_refused_by_their_row():
    with pytest.raises(ValueError, match="row 1 of `X` is missing"):
        retrieval_score(warmed_up(warm_up=None), ["a", None])


# Entities

SCHEMES = {None: "BIES", "IOB2": "BI", "IOE2": "IE", "IOBES": "BIES", "BILOU": "BILU"}
SCORES = {
    "f1_score": entity_f1_score,
    "precision_score": entity_precision_score,
    "recall_score": entity_recall_score,
}
Y_TRUE = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
Y_PRED = [["B-PER", "I-PER", "O", "B-PER"], ["B-ORG", "I-ORG"]]


@st.composite
def tagged_pairs(draw, scheme):
    """True and predicted tags in any order, legal or not; the second like the first in part."""
    tags = ["O", *(f"{prefix}-{kind}" for prefix in SCHEMES[scheme] for kind in ("PER", "LOC"))]
    both = st.tuples(st.sampled_from(tags), st.sampled_from(tags), st.booleans())
    rows = draw(st.lists(st.lists(both, max_size=9), min_size=1, max_size=4))
    y_true = [[true for true, _, _ in row] for row in rows]
    y_pred = [[true if same else other for true, other, same in row] for row in rows]
    return y_true, y_pred


def seqevals_results(name, y_true, y_pred, scheme, **params):
    metrics = pytest.importorskip("seqeval.metrics")
    if scheme is not None:
        schemes = pytest.importorskip("seqeval.scheme")
        params |= {"mode": "strict", "scheme": getattr(schemes, scheme)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mean over no types
        return getattr(metrics, name)(y_true, y_pred, **params)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data(), average=st.sampled_from(["micro", "macro", "weighted"]))
def test_averages_are_those_of_seqeval(scheme, data, average):
    y_true, y_pred = data.draw(tagged_pairs(scheme))
    undefined = data.draw(st.sampled_from([0, 1]))
    for name, score in SCORES.items():
        ours = score(y_true, y_pred, scheme=scheme, average=average, zero_division=undefined)
        theirs = seqevals_results(
            name, y_true, y_pred, scheme, average=average, zero_division=undefined
        )
        # Over no types at all seqeval's mean is NaN; ours is the value that was asked for.
        assert ours == pytest.approx(undefined if np.isnan(theirs) else theirs)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_values_of_each_type_are_those_of_seqeval(scheme, data):
    y_true, y_pred = data.draw(tagged_pairs(scheme))
    for name, score in SCORES.items():
        ours = score(y_true, y_pred, scheme=scheme, average=None)
        theirs = seqevals_results(name, y_true, y_pred, scheme, average=None, zero_division=0)
        np.testing.assert_allclose(ours, theirs)


@given(data=st.data(), beta=st.sampled_from([0.5, 1, 3]))
@pytest.mark.parametrize("average", [None, "macro"])
def test_the_four_measures_at_once_are_those_of_seqeval(average, data, beta):
    y_true, y_pred = data.draw(tagged_pairs(None))
    assume(any(tag != "O" for row in y_true for tag in row))
    labelling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    theirs = labelling.precision_recall_fscore_support(
        y_true, y_pred, average=average, beta=beta, zero_division=0
    )
    ours = entity_precision_recall_fscore_support(y_true, y_pred, average=average, beta=beta)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other)


@given(data=st.data(), average=st.sampled_from(["micro", "macro", "weighted", None]))
def test_a_weight_is_a_number_of_repetitions(data, average):
    y_true, y_pred = data.draw(tagged_pairs(None))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(y_true), max_size=len(y_true)))
    assume(any(weights))
    repeated = [
        [row for row, weight in zip(rows, weights, strict=True) for _ in range(weight)]
        for rows in (y_true, y_pred)
    ]
    for score in SCORES.values():
        weighted = score(y_true, y_pred, average=average, sample_weight=weights)
        np.testing.assert_allclose(weighted, score(*repeated, average=average))


def test_an_entity_is_right_as_a_whole_only():
    assert entity_precision_score(Y_TRUE, Y_PRED) == pytest.approx(1 / 3)
    assert entity_recall_score(Y_TRUE, Y_PRED) == pytest.approx(1 / 3)
    np.testing.assert_array_equal(entity_recall_score(Y_TRUE, Y_PRED, average=None), [0, 0, 1])
    support = entity_precision_recall_fscore_support(Y_TRUE, Y_PRED)[3]
    np.testing.assert_array_equal(support, [1, 1, 1])


def test_the_support_is_what_true_entities_weigh():
    tags, weights = [["B-PER"], ["B-PER"], ["B-LOC"]], [0.5, 1.25, 2]
    measures = entity_precision_recall_fscore_support(tags, tags, sample_weight=weights)
    np.testing.assert_array_equal(measures[3], [2, 1.75])


def test_no_entity_goes_on_in_the_next_sentence():
    assert entity_recall_score([["B-X"], ["I-X"]], [["B-X"], ["O"]]) == 0.5


def test_arrays_of_arrow_are_read():
    pa = pytest.importorskip("pyarrow")
    tags = [["B-X", "O"], []]
    assert entity_f1_score(pa.array(tags), pa.chunked_array([tags])) == 1


def test_only_a_scheme_minds_a_stray_tag():
    assert entity_f1_score([["I-X", "O"]], [["B-X", "O"]]) == 1
    assert entity_f1_score([["I-X", "O"]], [["B-X", "O"]], scheme="IOB2") == 0


def test_what_is_undefined_can_be_chosen():
    nothing = [["O", "O"]]
    assert entity_f1_score(nothing, nothing) == 0
    assert entity_f1_score(nothing, nothing, zero_division=1) == 1
    assert entity_precision_score(Y_TRUE[:1], [["O"] * 4], zero_division=0.5) == 0.5
    assert len(entity_f1_score(nothing, nothing, average=None)) == 0


def test_what_is_undefined_can_give_a_warning():
    with pytest.warns(UndefinedMetricWarning, match="precision of entities is ill-defined"):
        assert entity_precision_score(Y_TRUE, [["O"] * 4, ["O"] * 2], zero_division="warn") == 0


def test_arrays_and_tuples_hold_tags_too():
    y_pred = tuple(np.array(row, dtype=object) for row in Y_TRUE)
    assert entity_f1_score(pd.Series(Y_TRUE), y_pred) == 1


@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        (Y_TRUE, Y_PRED[:1], ValueError, "`y_true` has 2 sentences and `y_pred` has 1"),
        (Y_TRUE, [Y_PRED[0], ["O"]], ValueError, "sentence 1 has length 2 in `y_true` and 1 in"),
        ([], [], ValueError, "`y_true` has 0 sentences"),
        ("O", "O", TypeError, "`y_true` must be a list with a list of tags"),
        (["B-PER"], [["B-PER"]], TypeError, "sentence 0 of `y_true` must be a list of tags"),
        ([["O", None]], [["O", "O"]], ValueError, "tag 1 of sentence 0 of `y_true` is missing"),
    ],
)
@pytest.mark.parametrize("score", [entity_f1_score, token_accuracy_score])
def test_tags_that_do_not_pair_up_are_refused(score, y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        score(y_true, y_pred)


def test_only_entities_need_tags_that_are_strings():
    with pytest.raises(TypeError, match="tag 1 of sentence 0 of `y_pred` must be a str"):
        entity_f1_score([["O", "O"]], [["O", 3]])
    assert token_accuracy_score([[1, 2], [True]], [[1, 3], [True]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("score", [entity_f1_score, token_accuracy_score])
def test_weights_that_are_no_numbers_are_refused_by_name(score):
    with pytest.raises(TypeError, match="`sample_weight` must be one number for each row"):
        score(Y_TRUE, Y_TRUE, sample_weight=np.array([frozenset(), frozenset()], object))


@pytest.mark.parametrize(
    ("tag", "scheme", "hint"),
    [("NN", None, "accuracy"), ("U-PER", None, "'BILOU'"), ("E-PER", "IOB2", "'IOBES'")],
)
def test_a_tag_of_another_kind_is_refused_with_a_hint(tag, scheme, hint):
    with pytest.raises(ValueError, match=f"sentence 1 of `y_pred` has the tag '{tag}'.*{hint}"):
        entity_f1_score([["O"], ["O"]], [["O"], [tag]], scheme=scheme)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"scheme": "IOB"}, "`scheme` must be one of None, 'IOB2'"),
        ({"average": "samples"}, "`average`"),
        ({"zero_division": 2}, "`zero_division`"),
        ({"sample_weight": [1]}, "sample_weight"),
        ({"sample_weight": [1, -1]}, "sample_weight"),
    ],
)
def test_bad_parameters_are_refused_by_name(params, message):
    with pytest.raises(ValueError, match=message):
        entity_f1_score(Y_TRUE, Y_PRED, **params)


# Tokens


@given(tagged_pairs(None))
def test_token_accuracy_is_that_of_all_tokens_in_a_row(pair):
    y_true, y_pred = ([tag for row in rows for tag in row] for rows in pair)
    assume(len(y_true) > 0)
    assert token_accuracy_score(*pair) == pytest.approx(accuracy_score(y_true, y_pred))


def test_token_accuracy_weights_the_tokens_of_a_sentence():
    assert token_accuracy_score([["a", "b"], ["c"]], [["a", "x"], ["c"]]) == pytest.approx(2 / 3)
    weighted = token_accuracy_score([["a", "b"], ["c"]], [["a", "x"], ["c"]], sample_weight=[1, 3])
    assert weighted == pytest.approx(4 / 5)


@pytest.mark.parametrize(("rows", "weight"), [([[], []], None), ([["a"], []], [0, 1])])
def test_token_accuracy_of_no_token_is_refused(rows, weight):
    with pytest.raises(ValueError, match="no token counts"):
        token_accuracy_score(rows, rows, sample_weight=weight)


# Scorers

SENTENCES = [["Ada", "met", "Bo"], ["Bo", "slept"], ["in", "Rome"], ["Rome", "slept"]] * 3
TAGS = [["B-PER", "O", "B-PER"], ["B-PER", "O"], ["O", "B-LOC"], ["B-LOC", "O"]] * 3
NAMES = {
    "entity_f1": entity_f1,
    "entity_precision": entity_precision,
    "entity_recall": entity_recall,
    "token_accuracy": token_accuracy,
}


def memory_tagger():
    """A tagger that remembers, of a class that travels to other processes by value."""

    class Memory(BaseEstimator):
        def __init__(self, default="O"):
            self.default = default

        def fit(self, X, y):
            pairs = [pair for row in zip(X, y, strict=True) for pair in zip(*row, strict=True)]
            self.tag_of_ = dict(pairs)
            return self

        def predict(self, X):
            return [[self.tag_of_.get(token, self.default) for token in row] for row in X]

        def score(self, X, y):
            return entity_f1_score(y, self.predict(X))

    return Memory()


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_scorer_is_known_to_scikit_learn(name):
    assert name in get_scorer_names()
    tagger = memory_tagger().fit(SENTENCES[:2], TAGS[:2])
    expected = NAMES[name](tagger, SENTENCES, TAGS)
    assert get_scorer(name)(tagger, SENTENCES, TAGS) == expected
    assert 0 < expected < 1 or name == "entity_precision"


@pytest.mark.parametrize("scorer", NAMES.values())
def test_a_scorer_can_be_pickled(scorer):
    tagger = memory_tagger().fit(SENTENCES, TAGS)
    assert pickle.loads(pickle.dumps(scorer))(tagger, SENTENCES, TAGS) == 1


def test_a_scorer_takes_weights():
    tagger = memory_tagger().fit(SENTENCES[:2], TAGS[:2])
    assert entity_recall(tagger, SENTENCES[:4], TAGS[:4], sample_weight=[1, 1, 0, 0]) == 1


def test_names_work_in_a_grid_search():
    search = GridSearchCV(
        memory_tagger(),
        {"default": ["B-LOC", "O"]},
        scoring=list(NAMES),
        refit="entity_f1",
        cv=KFold(2),
    ).fit(SENTENCES, TAGS)
    assert search.best_score_ == 1
    assert all(f"mean_test_{name}" in search.cv_results_ for name in NAMES)


@pytest.mark.slow
def test_names_work_in_other_processes_a_search_within_them_too():
    search = GridSearchCV(memory_tagger(), {"default": ["O"]}, scoring="entity_f1", cv=KFold(2))
    scores = cross_val_score(
        search, SENTENCES, TAGS, scoring="token_accuracy", cv=KFold(2), n_jobs=2
    )
    np.testing.assert_array_equal(scores, [1, 1])


@pytest.mark.parametrize(
    "imported",
    [GridSearchCV._parameter_constraints, cross_val_score._skl_parameter_constraints],
    ids=["class", "function"],
)
def test_names_become_known_to_what_was_imported_before(imported):
    (names,) = (option.options for option in imported["scoring"] if hasattr(option, "options"))
    names.difference_update(NAMES)
    register_scorers()
    assert names >= set(NAMES)


def test_without_the_table_of_scorers_nothing_is_registered(monkeypatch):
    monkeypatch.delattr("sklearn.metrics._scorer._SCORERS")
    register_scorers()
