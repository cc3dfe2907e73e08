"""The tagger under scikit-learn's rules, in its tools, and in files."""

import copy
import io
import pickle
from functools import partial

import joblib
import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch
from muxlearn.metrics import entity_f1_score
from muxlearn.persistence import FormatError
from muxlearn.testing import parametrize_with_text_checks

SENTENCES = [
    [subject, *verb.split(), place]
    for subject in ("Ada", "Bo", "Cy")
    for verb in ("lives in", "saw")
    for place in ("Rome", "Oslo", "Bern", "San Juan")
]
TAGS = [["B-PER", *["O"] * (len(row) - 2), "B-LOC"] for row in SENTENCES]
COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}


def tagger_to_check(n_mux):
    """As the fixture `tiny_tagger`, which is not there yet when the checks are listed."""
    return MuxTokenTagger(
        backbone=Scratch(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300
        ),
        architecture=TMUX(lexical_size=8),
        n_mux=n_mux,
        max_epochs=1,
        warm_up=None,
        random_state=0,
    )


@parametrize_with_text_checks(
    [tagger_to_check(1), tagger_to_check(2), tagger_to_check(2).set_params(decode="legal")],
    data=(SENTENCES, TAGS),
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


# In scikit-learn's tools


@pytest.fixture(scope="module")
def tiny(tiny_tagger):
    return partial(tiny_tagger, warm_up=None)


@pytest.fixture(scope="module")
def fitted(tiny):
    return tiny(early_stopping=True, warm_up=1).fit(SENTENCES, TAGS)


def lower(sentences):
    return [[token.lower() for token in row] for row in sentences]


def all_proba(tagger, **params):
    return np.concatenate(tagger.predict_proba([*SENTENCES, [], SENTENCES[0] * 9], **params))


def test_it_is_no_classifier_to_scikit_learn(tiny):
    tags = tiny().__sklearn_tags__()
    assert not is_classifier(tiny())
    assert tags.target_tags.required
    assert not tags.input_tags.string


def test_a_clone_is_not_fitted_and_has_the_same_parameters(fitted):
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not hasattr(twin, "classes_")


def test_cross_validation_splits_sentences(tiny):
    scores = cross_val_score(tiny(), SENTENCES, TAGS, cv=KFold(3), error_score="raise")
    expected = []
    for train, test in KFold(3).split(SENTENCES):
        sentences, tags = ([rows[i] for i in train] for rows in (SENTENCES, TAGS))
        tagger = tiny().fit(sentences, tags)
        expected.append(tagger.score([SENTENCES[i] for i in test], [TAGS[i] for i in test]))
    np.testing.assert_allclose(scores, expected)


@pytest.mark.parametrize("scoring", ["entity_f1", "entity_recall", "token_accuracy"])
def test_cross_validation_scores_by_name(tiny, scoring):
    scores = cross_val_score(
        tiny(max_epochs=8, lr=1e-2), SENTENCES, TAGS, cv=KFold(2), scoring=scoring
    )
    assert scores.shape == (2,)
    assert scores.max() > 0.3


def test_grid_search_over_n_mux_scores_entities(tiny):
    tagger = tiny(max_epochs=8, lr=1e-2)
    grid = {"n_mux": [1, 2], "decode": [None, "legal", "learned"]}
    search = GridSearchCV(tagger, grid, scoring="entity_f1", cv=2, error_score="raise")
    search.fit(SENTENCES, TAGS)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_estimator_.n_mux == search.best_params_["n_mux"]
    predicted = search.predict(SENTENCES)
    assert search.score(SENTENCES, TAGS) == entity_f1_score(TAGS, predicted) > 0.3


def test_a_pipeline_searches_over_the_tagger_behind_a_transformer(tiny):
    pipeline = make_pipeline(FunctionTransformer(lower), tiny())
    grid = {"muxtokentagger__n_mux": [1, 3]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(SENTENCES, TAGS)
    assert list(map(len, search.predict([["ADA"], [], ["Bo", "SAW"]]))) == [1, 0, 2]
    shouted = [[token.upper() for token in row] for row in SENTENCES]
    assert search.predict(shouted) == search.predict(SENTENCES)


def test_groups_reach_predict_through_a_pipeline(tiny):
    with sklearn.config_context(enable_metadata_routing=True):
        tagger = tiny().set_predict_request(groups=True)
        pipeline = make_pipeline(FunctionTransformer(lower), tagger).fit(SENTENCES, TAGS)
        with pytest.raises(ValueError, match="`groups` needs one label for each"):
            pipeline.predict(SENTENCES, groups=[0])


# Files


@pytest.fixture
def folder(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def loaded_from_folder(tagger, folder):
    tagger.save(folder)
    return MuxTokenTagger.load(folder)


def dumped_by_joblib(tagger, _):
    file = io.BytesIO()
    joblib.dump(tagger, file)
    file.seek(0)
    return joblib.load(file)


every_copy = pytest.mark.parametrize(
    "duplicate",
    [
        loaded_from_folder,
        lambda tagger, _: pickle.loads(pickle.dumps(tagger)),
        dumped_by_joblib,
        lambda tagger, _: copy.deepcopy(tagger),
    ],
    ids=["folder", "pickle", "joblib", "deepcopy"],
)


@every_copy
def test_a_copy_predicts_the_same_and_shares_nothing(fitted, duplicate, tmp_path):
    expected = all_proba(fitted, n_passes=2)
    twin = duplicate(fitted, tmp_path)
    np.testing.assert_array_equal(all_proba(twin, n_passes=2), expected)
    assert twin.get_params() == fitted.get_params()
    assert twin.classes_.tolist() == fitted.classes_.tolist()
    assert twin.scheme_ == fitted.scheme_ == "IOB2"
    assert twin.history_[:, "valid_loss"] == fitted.history_[:, "valid_loss"]
    with torch.no_grad():
        for parameter in twin.module_.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(all_proba(fitted, n_passes=2), expected)


@every_copy
def test_a_copy_decodes_the_same(tiny, duplicate, tmp_path):
    """The net has learned nothing: all that decides is what followed what in training."""
    sentences, tags = [["a"] * 6] * 8, [["O", "B-X", "I-X"] * 2] * 8
    tagger = tiny(max_epochs=0, decode="learned").fit(sentences, tags)
    assert tagger.predict(sentences) == tags
    twin = duplicate(tagger, tmp_path)
    assert twin.predict(sentences) == tags
    legal = [copy.deepcopy(t).set_params(decode="legal").predict(sentences) for t in (tagger, twin)]
    assert legal[0] == legal[1]


@every_copy
def test_a_copy_remembers_that_tags_were_in_iob1(tiny, duplicate, tmp_path):
    sentences, tags = [["a", "b"]] * 8, [["I-X", "B-X"]] * 8
    tagger = tiny(max_epochs=0, decode="learned").fit(sentences, tags)
    assert tagger.predict(sentences) == tags
    assert duplicate(tagger, tmp_path).predict(sentences) == tags


@pytest.mark.parametrize(
    "kinds", [("b", "a", "é"), (2, 1, -3), (True, False, True), (1.5, 0.5, -1.0)], ids=str
)
def test_tags_come_back_with_their_type(tiny, kinds, tmp_path):
    tags = [[dict(zip(("O", "B-PER", "B-LOC"), kinds, strict=True))[t] for t in r] for r in TAGS]
    tagger = tiny(max_epochs=0).fit(SENTENCES, tags)
    loaded = loaded_from_folder(tagger, tmp_path)
    assert loaded.classes_.dtype == tagger.classes_.dtype
    predicted = loaded.predict(SENTENCES)
    assert predicted == tagger.predict(SENTENCES)
    assert type(predicted[0][0]) is type(kinds[0])


def test_the_parameters_of_a_tagger_come_back(tiny, tmp_path):
    params = {
        "label_pieces": "all",
        "architecture__lexical_size": 0,
        "decode": "learned",
        "class_weight": {"O": 0.5, "B-PER": 1.0, "B-LOC": 1.0},
    }
    tagger = tiny(max_epochs=0, **params).fit(SENTENCES, TAGS)
    loaded = loaded_from_folder(tagger, tmp_path)
    assert loaded.get_params() == tagger.get_params()
    np.testing.assert_array_equal(all_proba(loaded), all_proba(tagger))


@pytest.mark.parametrize("demultiplexer", ["rsa", "index", "mlp"])
@pytest.mark.parametrize("multiplexer", ["subspace", "hadamard", "orthogonal"])
def test_every_demultiplexer_comes_back_with_its_extra_input(
    tiny, multiplexer, demultiplexer, tmp_path
):
    tagger = tiny(max_epochs=0, multiplexer=multiplexer, demultiplexer=demultiplexer)
    tagger.fit(SENTENCES, TAGS)
    np.testing.assert_array_equal(
        all_proba(loaded_from_folder(tagger, tmp_path)), all_proba(tagger)
    )


def test_a_loaded_tagger_is_saved_again_as_it_was(folder, tmp_path):
    MuxTokenTagger.load(folder).save(tmp_path / "again")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_loaded_tagger_can_be_trained_further(folder, fitted):
    tagger = MuxTokenTagger.load(folder).set_params(warm_start=True).fit(SENTENCES, TAGS)
    assert tagger.n_iter_ == fitted.n_iter_ + 1


def test_a_tagger_is_not_loaded_as_a_classifier(folder):
    with pytest.raises(FormatError, match=r"a MuxTokenTagger, not a MuxTextClassifier; load it"):
        MuxTextClassifier.load(folder)
