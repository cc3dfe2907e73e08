import copy
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch, load_backbone
from muxlearn.metrics import retrieval_score
from muxlearn.persistence import FormatError
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training.distillation import Distillation
from muxlearn.training.teacher import ask_teacher
from tests.training.interruptions import StopAfter

SUBJECTS = ["the cat", "my old dog", "it"]
TEXTS = [f"{subject} {verb} {end}" for subject in SUBJECTS for verb in "abcd" for end in "efgh"]
UNSEEN = [f"a dog {verb} {end}" for verb in "gh" for end in "abc"]
LABELS = [index % 3 for index in range(len(TEXTS))]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL = Scratch(**SIZES, vocab_size=300)
TINY = {
    "max_length": 16,
    "max_epochs": 2,
    "batch_size": 8,
    "random_state": 0,
}


def distiller(teacher, **params):
    fixed = {**TINY, "backbone": Scratch(**SIZES), "n_mux": 4, "teacher": teacher}
    return MuxTextPretrainer(**{**fixed, **params})


@pytest.fixture(scope="module")
def distilled(bert):
    return distiller(bert, operating_points=(1, 2, 4)).fit(TEXTS)


@pytest.fixture(scope="module")
def retrieved():
    return MuxTextPretrainer(
        backbone=SMALL,
        **TINY,
        n_mux=2,
        objective="retrieval",
        demultiplexer="index",
    ).fit(TEXTS)


@pytest.fixture
def folder(distilled, tmp_path):
    distilled.save(tmp_path / "warm")
    return tmp_path / "warm"


# Training


@pytest.fixture(scope="module")
def long_distilled(bert):
    return distiller(bert, max_epochs=30, lr=3e-3).fit(TEXTS)


@pytest.fixture(scope="module")
def long_retrieved():
    params = {**TINY, "n_mux": 2, "objective": "retrieval", "backbone": SMALL, "lr": 3e-3}
    return MuxTextPretrainer(**params | {"max_epochs": 30}).fit(TEXTS)


def test_rows_come_nearer_to_what_the_teacher_says(long_distilled):
    history = long_distilled.history_
    for name in ("cosine", "mixed_cosine", "token_cosine"):
        assert history[-1, name] > history[0, name] + 0.1


def test_tokens_are_recovered_ever_more_often(long_retrieved):
    history = long_retrieved.history_
    assert history[-1, "retrieval_acc"] > history[0, "retrieval_acc"] + 0.1


def test_both_objectives_at_once(bert):
    history = distiller(bert, objective="both").fit(TEXTS).history_
    assert {"cosine", "retrieval_acc"} <= set(history[-1])


def test_the_token_table_starts_from_the_teacher_s(bert):
    module = distiller(bert, max_epochs=0).fit(TEXTS).module_
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(bert).get_input_embeddings().weight.detach()
    # Of the same width, the components are a rotation: angles stay as they are.
    ours = module.encoder.embedding.weight.detach()
    scale = ours.norm() / theirs.norm()
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T * scale**2, atol=1e-4, rtol=1e-3)


def test_the_same_seed_gives_the_same_vectors(bert, distilled):
    again = distiller(bert, operating_points=(1, 2, 4)).fit(TEXTS)
    np.testing.assert_array_equal(again.transform(TEXTS), distilled.transform(TEXTS))


@pytest.mark.parametrize(
    "params",
    [{"objective": Distillation(token_weight=0.0)}, {"architecture": TMUX(lexical_path=False)}],
)
def test_parts_of_the_loss_can_be_left_out(bert, params):
    assert distiller(bert, **params).fit(TEXTS).transform(TEXTS).shape == (len(TEXTS), 16)


# Vectors


@pytest.mark.parametrize("n_mux", [1, 2, 3, 4, None])
@pytest.mark.parametrize("n_rows", [1, 5, 7])
def test_every_text_gets_a_vector_of_length_one(distilled, n_mux, n_rows):
    vectors = distilled.transform(TEXTS[:n_rows], n_mux=n_mux)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(n_rows), rtol=1e-5)


def test_several_passes_are_averaged_and_brought_to_length_one(distilled):
    vectors = distilled.transform(TEXTS, n_passes=3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(len(TEXTS)), rtol=1e-5)
    assert np.abs(vectors - distilled.transform(TEXTS)).max() > 1e-4


def test_vectors_come_in_the_order_of_the_texts(distilled):
    vectors = distilled.transform(TEXTS, n_mux=1)
    np.testing.assert_allclose(distilled.transform(TEXTS[::-1], n_mux=1), vectors[::-1], atol=1e-5)


def test_it_is_a_step_of_a_pipeline(bert):
    pipeline = make_pipeline(distiller(bert), LogisticRegression()).fit(TEXTS, LABELS)
    assert pipeline.predict(TEXTS[:3]).shape == (3,)


def test_its_features_have_names(distilled):
    names = [f"muxtextpretrainer{i}" for i in range(16)]
    assert distilled.get_feature_names_out().tolist() == names
    with pytest.raises(NotFittedError):
        MuxTextPretrainer().get_feature_names_out()


def test_a_table_of_texts_becomes_a_table_of_features(distilled):
    frame = pd.DataFrame(
        {"text": TEXTS, "price": range(len(TEXTS))}, index=range(5, 5 + len(TEXTS))
    )
    to_features = ColumnTransformer(
        [("text", FrozenEstimator(copy.deepcopy(distilled)), "text")], remainder="passthrough"
    ).set_output(transform="pandas")
    features = to_features.fit_transform(frame)
    assert features.columns.tolist() == [
        *(f"text__muxtextpretrainer{i}" for i in range(16)),
        "remainder__price",
    ]
    assert features.index.equals(frame.index)
    np.testing.assert_array_equal(features.iloc[:, :16], distilled.transform(TEXTS))


# Scores


@pytest.mark.parametrize("n_mux", [1, 3, None])
def test_with_a_teacher_the_score_is_the_mean_cosine_to_it(bert, distilled, n_mux):
    teacher, tokenizer = load_backbone(bert, dropout=0.0)
    tokenizer.enable_truncation(16)
    alone = [ask_teacher(teacher, tokenizer, [text], with_tokens=False)[1].rows for text in UNSEEN]
    wanted = np.concatenate(alone).astype(float)
    cosines = np.diag(cosine_similarity(distilled.transform(UNSEEN, n_mux=n_mux), wanted))
    assert distilled.score(UNSEEN, n_mux=n_mux) == pytest.approx(cosines.mean(), abs=1e-6)


def test_distillation_raises_the_score(bert, long_distilled):
    before = distiller(bert, max_epochs=0).fit(TEXTS).score(TEXTS)
    assert long_distilled.score(TEXTS) > before + 0.1


def test_without_a_teacher_the_score_is_the_share_of_tokens_recovered(retrieved):
    assert retrieved.score(UNSEEN) == retrieval_score(retrieved, UNSEEN)


def test_what_distillation_alone_has_taught_recovers_no_tokens(distilled):
    with pytest.raises(TypeError, match="MuxSequenceEmbedder has no retrieval task"):
        retrieval_score(distilled, TEXTS)


def test_retrieval_raises_the_score(long_retrieved):
    before = clone(long_retrieved).set_params(max_epochs=0).fit(TEXTS).score(TEXTS)
    assert long_retrieved.score(TEXTS) > before + 0.1


def test_a_saved_one_scores_alike(distilled, folder):
    assert MuxTextPretrainer.load(folder).score(UNSEEN) == distilled.score(UNSEEN)


def test_the_teacher_of_a_score_must_be_there(distilled, tmp_path):
    moved = pickle.loads(pickle.dumps(distilled)).set_params(teacher=tmp_path / "gone")
    with pytest.raises(OSError, match=r"`teacher`: there is no folder .*gone"):
        moved.score(TEXTS)


def test_a_search_takes_the_score():
    pretrainer = MuxTextPretrainer(backbone=SMALL, **TINY, objective="retrieval")
    search = GridSearchCV(pretrainer, {"n_mux": [1, 2]}, cv=2).fit(TEXTS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("given", "problem"),
    [({"n_mux": 5}, "`n_mux` .* at most 4, got 5"), ({"X": ["a", None]}, "row 1 of `X`")],
)
def test_what_cannot_be_scored_is_named(distilled, given, problem):
    with pytest.raises(ValueError, match=problem):
        distilled.score(**{"X": TEXTS, **given})


def test_nothing_is_scored_before_fit(bert):
    with pytest.raises(NotFittedError):
        distiller(bert).score(TEXTS)


# Taking a training up again


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(bert, tmp_path):
    whole = distiller(bert, max_epochs=4).fit(TEXTS)
    # Of a schedule that would fall at the end of two epochs, stop before it does.
    stop = StopAfter(n_steps=9)
    distiller(bert, max_epochs=4, callbacks=[stop]).fit(TEXTS, checkpoint=tmp_path)
    resumed = distiller(bert, max_epochs=4).fit(TEXTS, checkpoint=tmp_path)
    np.testing.assert_allclose(resumed.transform(TEXTS), whole.transform(TEXTS), atol=1e-5)


def test_a_finished_training_is_read_and_not_repeated(bert, tmp_path):
    first = distiller(bert).fit(TEXTS, checkpoint=tmp_path)
    second = distiller(bert, callbacks=[StopAfter(0)]).fit(TEXTS, checkpoint=tmp_path)
    np.testing.assert_array_equal(first.transform(TEXTS), second.transform(TEXTS))


def test_a_training_of_any_seed_goes_on_with_its_own(bert, tmp_path):
    stop = StopAfter(n_steps=9)
    first = distiller(bert, random_state=None, callbacks=[stop]).fit(TEXTS, checkpoint=tmp_path)
    resumed = distiller(bert, random_state=None).fit(TEXTS, checkpoint=tmp_path)
    assert resumed._plan_seed == first._plan_seed


def test_a_training_can_be_made_longer_with_a_cache(bert, tmp_path):
    state, cache = tmp_path / "state", tmp_path / "cache"
    distiller(bert).fit(TEXTS, checkpoint=state)
    longer = distiller(bert, max_epochs=3, cache=cache).fit(TEXTS, checkpoint=state)
    assert [epoch["epoch"] for epoch in longer.history_] == [1, 2, 3]


def test_a_training_cannot_be_made_shorter(bert, tmp_path):
    distiller(bert).fit(TEXTS, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="that has ended 2 epochs, but `max_epochs` is 1; raise"):
        distiller(bert, max_epochs=1).fit(TEXTS, checkpoint=tmp_path)


def test_the_state_of_another_training_is_refused(bert, tmp_path):
    distiller(bert).fit(TEXTS, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"`checkpoint` .* is of a training with other rows"):
        distiller(bert, lr=0.5).fit(TEXTS, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"`checkpoint` .* is of a training with other rows"):
        distiller(bert).fit(TEXTS[:20], checkpoint=tmp_path)


# As the start of others


def test_a_classifier_starts_from_its_weights(distilled):
    clf = MuxTextClassifier(n_mux=4, backbone=distilled, max_length=16, max_epochs=0)
    module = clf.fit(TEXTS, LABELS).module_
    state, start = module.state_dict(), distilled.module_.state_dict()
    same = [name for name in state if name in start]
    assert {name.partition(".")[0] for name in same} >= {
        *("encoder", "multiplexer", "demultiplexer", "lexical_mean")
    }
    for name in same:
        if not name.startswith(("head.", "retrieval.")):
            torch.testing.assert_close(state[name], start[name])


@pytest.mark.parametrize("n_mux", [1, 2, 3])
def test_rows_share_the_blocks_of_an_encoder_for_more(distilled, n_mux):
    clf = MuxTextClassifier(n_mux=n_mux, backbone=distilled, max_length=16, max_epochs=1)
    clf.fit(TEXTS, LABELS)
    assert clf.module_.n_mux == n_mux
    assert clf.module_.multiplexer.n_blocks == 4
    assert len(clf.predict(TEXTS[:7])) == 7


@pytest.mark.filterwarnings("ignore:.*was warmed up for mixtures of up to 4 rows")
@pytest.mark.parametrize(
    "params", [{"n_mux": 5}, {"n_mux": 4, "multiplexer": "hadamard"}, {"demultiplexer": "mlp"}]
)
def test_of_another_network_the_encoder_alone_starts_from_it(distilled, params):
    clf = MuxTextClassifier(**params, backbone=distilled, max_length=16, max_epochs=0)
    clf.set_params(warm_up=None).fit(TEXTS, LABELS)
    assert not clf.module_.warmed_up
    weights = distilled.module_.encoder.layers[0].qkv.weight
    torch.testing.assert_close(clf.module_.encoder.layers[0].qkv.weight, weights)


def test_no_second_warm_up_unless_it_is_asked_for(distilled):
    params = {"n_mux": 2, "backbone": distilled, "max_length": 16, "max_epochs": 1}
    assert MuxTextClassifier(**params).fit(TEXTS, LABELS).warm_up_history_ is None
    again = MuxTextClassifier(**params, warm_up=1).fit(TEXTS, LABELS)
    assert len(again.warm_up_history_) == 1


def test_a_tagger_starts_from_it(distilled):
    sentences = [text.split() for text in TEXTS]
    tags = [["x" if len(token) > 1 else "y" for token in sentence] for sentence in sentences]
    tagger = MuxTokenTagger(n_mux=2, backbone=distilled, max_length=16, max_epochs=2)
    assert tagger.fit(sentences, tags).module_.warmed_up
    assert list(map(len, tagger.predict(sentences))) == list(map(len, sentences))


def test_prefixes_of_index_embeddings_are_taken_over(retrieved):
    clf = MuxTextClassifier(
        n_mux=2, demultiplexer="index", backbone=retrieved, max_length=16, max_epochs=0
    ).fit(TEXTS, LABELS)
    torch.testing.assert_close(
        clf.module_.prefix_embedding.weight, retrieved.module_.prefix_embedding.weight
    )


def test_what_started_from_it_is_saved_without_it(distilled, tmp_path):
    clf = MuxTextClassifier(n_mux=3, backbone=distilled, max_length=16, max_epochs=1)
    clf.fit(TEXTS, LABELS).save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.backbone is None
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


def test_a_saved_one_is_a_backbone(distilled, folder):
    params = {"n_mux": 2, "max_length": 16, "max_epochs": 1, "random_state": 0}
    of_folder = MuxTextClassifier(backbone=folder, **params).fit(TEXTS, LABELS)
    of_object = MuxTextClassifier(backbone=distilled, **params).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(of_folder.predict_proba(TEXTS), of_object.predict_proba(TEXTS))


def test_a_frozen_one_survives_a_search(distilled):
    clf = MuxTextClassifier(
        backbone=FrozenEstimator(distilled), max_length=16, max_epochs=1, random_state=0
    )
    search = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_estimator_.module_.warmed_up


def test_a_clone_of_one_is_told_from_a_fitted_one(distilled):
    clf = clone(MuxTextClassifier(backbone=distilled, max_length=16))
    with pytest.raises(NotFittedError, match=r"give FrozenEstimator\(pretrainer\)"):
        clf.fit(TEXTS, LABELS)


def test_longer_texts_than_it_has_positions_for_are_refused(folder):
    clf = MuxTextClassifier(n_mux=4, backbone=folder, max_length=17)
    with pytest.raises(ValueError, match=r"`max_length` 17 takes 17 positions, but .* has 16"):
        clf.fit(TEXTS, LABELS)


def test_a_folder_of_something_else_is_refused(distilled, tmp_path):
    clf = MuxTextClassifier(n_mux=2, backbone=distilled, max_length=16, max_epochs=0)
    clf.fit(TEXTS, LABELS).save(tmp_path)
    with pytest.raises(FormatError, match=r"is no backbone .* MuxTextClassifier\.load and train"):
        MuxTextClassifier(backbone=tmp_path).fit(TEXTS, LABELS)


# Saving


def test_a_saved_one_embeds_alike(distilled, folder):
    loaded = MuxTextPretrainer.load(folder)
    np.testing.assert_array_equal(loaded.transform(TEXTS), distilled.transform(TEXTS))
    assert not hasattr(loaded, "classes_")


def test_a_pickle_holds_nothing_of_the_teacher_s_answers(distilled):
    data = pickle.dumps(distilled)
    loaded = pickle.loads(data)
    assert loaded.net_.objective.teacher is None
    np.testing.assert_array_equal(loaded.transform(TEXTS), distilled.transform(TEXTS))


def test_the_state_of_another_teacher_is_refused(bert, tmp_path):
    teacher = tmp_path / "teacher"
    shutil.copytree(bert, teacher)
    distiller(teacher, max_epochs=1).fit(TEXTS, checkpoint=tmp_path / "state")
    weights = load_file(teacher / "model.safetensors")
    changed = {name: tensor + 0.01 for name, tensor in weights.items()}
    save_file(changed, teacher / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"`checkpoint` .* is of a training with other rows"):
        distiller(teacher, max_epochs=2).fit(TEXTS, checkpoint=tmp_path / "state")


def test_a_cache_keeps_no_tokens_that_nothing_learns_from(bert, tmp_path):
    rows_alone = Distillation(token_weight=0.0)
    distiller(bert, objective=rows_alone, cache=tmp_path, max_epochs=0).fit(TEXTS)
    assert [file.name for file in tmp_path.glob("*/*.npy")] == ["rows.npy"]


def test_a_damaged_cache_is_told(bert, tmp_path):
    distiller(bert, cache=tmp_path, max_epochs=1).fit(TEXTS)
    for file in tmp_path.glob("*/*.npy"):
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(OSError, match=r"`cache` is damaged: .* delete that folder"):
        distiller(bert, cache=tmp_path, max_epochs=1).fit(TEXTS)


def test_it_gets_a_model_card(bert, tmp_path):
    distiller(bert, cache=tmp_path / "answers", max_epochs=1).fit(TEXTS).save_pretrained(
        tmp_path / "saved"
    )
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "feature-extraction" in card
    assert "label" not in card
    assert "prediction." not in card
    # Somebody's folders are nobody else's business.
    assert str(tmp_path) not in card.replace(str(tmp_path / "saved"), "")
    assert str(bert) not in card


def test_its_model_card_says_how_it_is_used(distilled, tmp_path, monkeypatch):
    distilled.save_pretrained(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    code = (tmp_path / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(code, names)
    assert names["model"].transform(TEXTS[:2]).shape == (2, 16)


# What is refused


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({}, "`objective` 'distillation' needs a `teacher`"),
        ({"objective": "both"}, "`objective` 'both' needs a `teacher`"),
        ({"objective": "retrieval", "cache": "kept"}, "`cache` is 'kept', where the answers of a"),
        ({"objective": "retrieval", "teacher": "x"}, "`teacher` is 'x', but objective='retrieval'"),
        ({"objective": "retreival"}, r"did you mean 'retrieval'\?"),
        ({"teacher": "x", "n_mux": 10, "operating_points": (20,)}, "`operating_points` holds 20"),
        (
            {"teacher": "x", "objective": Distillation(token_weight=-1)},
            "`token_weight` must be a number of at least 0",
        ),
        (
            {"teacher": "x", "backbone": Scratch(num_attention_heads=3)},
            "cannot be divided by `num_attention_heads`",
        ),
    ],
)
def test_wrong_parameters_are_named(params, problem):
    with pytest.raises(ValueError, match=problem):
        MuxTextPretrainer(**params).fit(TEXTS)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([], "`X` has 0 rows"),
        (["a", None], "row 1 of `X` is missing"),
        ([("a", "b")], "`X` holds pairs of texts; give single texts"),
    ],
)
def test_rows_that_are_no_texts_are_named(bert, texts, problem):
    with pytest.raises(ValueError, match=problem):
        distiller(bert).fit(texts)


def test_an_estimator_that_is_no_pretrainer_is_refused():
    with pytest.raises(TypeError, match=r"`backbone` must be .* a MuxTextPretrainer"):
        MuxTextClassifier(backbone=MuxImageClassifier()).fit(TEXTS, LABELS)


@pytest.mark.parametrize("method", ["predict", "predict_iter", "predict_dataset"])
def test_it_predicts_nothing(distilled, method):
    assert not hasattr(distilled, method)


def test_weights_of_both_objectives_are_numbers(bert):
    with pytest.raises((TypeError, ValueError), match="`retrieval_weight` must be a number"):
        distiller(bert, objective=Distillation(retrieval_weight="auto")).fit(TEXTS)
