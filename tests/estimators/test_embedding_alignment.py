"""Vectors of fast operating points, brought closer to those of the slowest."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from muxlearn import MuxTextEmbedder
from muxlearn.persistence import FormatError
from muxlearn.prediction import load_predictor
from tests.persistence.folders import edit_config

WORDS = ["man", "woman", "dog", "guitar", "ball", "hill", "runs", "plays", "sleeps", "sees"]
SUBJECTS, VERBS = WORDS[:6], WORDS[6:]
TEXTS = [
    f"a {a} {verb} while the {b} {other}"
    for a in SUBJECTS
    for b in SUBJECTS
    for verb in VERBS
    for other in VERBS
    if a != b
]
SEEN, NEW = TEXTS[::3], TEXTS[1::12]
FAST = [(1, 2), (1, 5), (3, 1), (3, 5), "words"]


@pytest.fixture(scope="module")
def plain(encoder_folder):
    return MuxTextEmbedder(3, patch_size=1, backbone=encoder_folder, max_length=32).fit()


@pytest.fixture(scope="module")
def aligned(plain):
    return clone(plain).set_params(align=True).fit(SEEN)


def nearness(embedder, plain, point, texts=NEW):
    """Return the mean cosine to what the slowest point says of new texts."""
    wanted = plain.transform(texts, n_mux=(1, 1))
    return float((embedder.transform(texts, n_mux=point) * wanted).sum(1).mean())


@pytest.mark.parametrize("point", FAST)
def test_new_texts_are_nearer_to_what_the_slowest_point_says(plain, aligned, point):
    assert 1 - nearness(aligned, plain, point) < 0.02 * (1 - nearness(plain, plain, point))


def test_a_number_of_rows_between_has_the_map_of_the_capacity(plain, aligned):
    assert nearness(aligned, plain, (2, 1)) > nearness(plain, plain, (2, 1))


@pytest.mark.slow
def test_the_packaged_encoder_gains():
    plain = MuxTextEmbedder(max_length=16).fit()
    aligned = clone(plain).set_params(align=True).fit(SEEN)
    for point in [(1, 2), (1, 5), (1, 10), "words"]:
        assert 1 - nearness(aligned, plain, point) < 0.7 * (1 - nearness(plain, plain, point))


@pytest.mark.slow
def test_two_texts_do_others_no_harm():
    others = ["shares fell on Tuesday", "a man plays the guitar", "it rains", "whisk two eggs"]
    plain = MuxTextEmbedder(max_length=16).fit()
    aligned = clone(plain).set_params(align=True).fit(["the film is a delight", "a dull plot"])
    for point in [(1, 2), (1, 5), "words"]:
        far = 1 - nearness(plain, plain, point, others)
        assert 1 - nearness(aligned, plain, point, others) < 1.02 * far


def test_the_slowest_point_stays_as_it_is(plain, aligned):
    wanted = plain.transform(NEW, n_mux=(1, 1))
    np.testing.assert_array_equal(aligned.transform(NEW, n_mux=(1, 1)), wanted)


def test_the_slowest_point_need_not_be_where_it_starts(encoder_folder):
    embedder = MuxTextEmbedder(patch_size=2, backbone=encoder_folder, align=True).fit(SEEN[:9])
    assert set(embedder.module_.alignments) == {"1x2", "1x5", "words"}


@pytest.mark.parametrize("point", FAST)
def test_vectors_keep_their_length_unless_they_shall_have_length_1(aligned, point):
    of_length_1 = aligned.transform(NEW, n_mux=point)
    np.testing.assert_allclose(np.linalg.norm(of_length_1, axis=1), 1, rtol=1e-5)
    free = clone(aligned).set_params(normalize=False).fit(SEEN)
    vectors = free.transform(NEW, n_mux=point)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.ptp(lengths) > 1e-3
    np.testing.assert_allclose(vectors / lengths, of_length_1, atol=1e-5)


@pytest.mark.parametrize("point", [(1, 5), "words"])
def test_of_single_rows_none_depends_on_another(aligned, point):
    alone = [aligned.transform([text], n_mux=point)[0] for text in NEW[:3]]
    np.testing.assert_allclose(aligned.transform(NEW[:3], n_mux=point), alone, atol=1e-5)


def test_a_folder_a_predictor_and_a_pickle_keep_it(aligned, tmp_path):
    aligned.save(tmp_path)
    loaded, predictor = MuxTextEmbedder.load(tmp_path), load_predictor(tmp_path)
    copied = pickle.loads(pickle.dumps(aligned))
    for point in FAST:
        wanted = aligned.transform(NEW, n_mux=point)
        for other in (loaded, copied):
            np.testing.assert_array_equal(other.transform(NEW, n_mux=point), wanted)
        found = predictor.predict(NEW, point, method="transform")
        np.testing.assert_array_equal(found, wanted)


def test_a_folder_without_the_maps_it_names_is_refused(aligned, tmp_path):
    aligned.save(tmp_path)
    for named in (["1x2"], ["1x2", "1x5", "3", "3x2", "3x5", "words", "1x9"], "1x2"):
        edit_config(tmp_path, lambda config, named=named: config.update(aligned_points=named))
        with pytest.raises(FormatError, match="align"):
            MuxTextEmbedder.load(tmp_path)


def test_few_of_many_texts_are_learned_from_and_each_once(aligned, monkeypatch):
    monkeypatch.setattr("muxlearn.estimators._aligning._MAX_TEXTS", 4)
    few = clone(aligned).fit(["a", *SEEN[:6], "a"] * 2)
    same = clone(aligned).fit(["a", SEEN[1], SEEN[3], SEEN[5]])
    wanted = few.transform(NEW, n_mux="words")
    np.testing.assert_allclose(same.transform(NEW, n_mux="words"), wanted, atol=1e-5)


def test_an_iterator_of_texts_is_read(aligned):
    vectors = clone(aligned).fit(iter(SEEN[:20])).transform(NEW)
    np.testing.assert_array_equal(vectors, clone(aligned).fit(SEEN[:20]).transform(NEW))


@pytest.mark.parametrize("texts", [None, ["a dog"], ["a dog", "a dog"]])
def test_without_texts_there_is_nothing_to_learn_from(encoder_folder, texts):
    embedder = MuxTextEmbedder(backbone=encoder_folder, align=True)
    with pytest.raises(ValueError, match=r"`align` is True, .* give `fit` some hundred"):
        embedder.fit(texts)
    with pytest.raises(NotFittedError):
        embedder.transform(NEW)


def test_one_point_has_nothing_to_be_aligned_with(bert):
    with pytest.raises(ValueError, match="`align` is True, but the encoder has one operating"):
        MuxTextEmbedder(backbone=bert, max_length=16, align=True).fit(NEW)


def test_align_is_true_or_false():
    with pytest.raises(TypeError, match="`align` must be"):
        MuxTextEmbedder(align="yes").fit(NEW)
