"""The text embedder: vectors of texts at any operating point, with nothing to train."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from muxlearn import MuxTextClassifier, MuxTextEmbedder
from muxlearn.backbones import Published, Scratch
from muxlearn.persistence import FormatError
from muxlearn.points import WORDS, Point
from muxlearn.prediction import load_predictor
from muxlearn.pretraining import MuxTextPretrainer

TEXTS = ["the cat", "my old dog is asleep", "it rains", "", "a late equaliser in the last minute"]
POINTS = [Point(1, 1), Point(1, 2), Point(1, 5), Point(2, 1), Point(3, 5), "words"]


@pytest.fixture(scope="module")
def embedder(encoder_folder):
    return MuxTextEmbedder(3, patch_size=1, backbone=encoder_folder, max_length=32).fit()


# Vectors


@pytest.mark.parametrize("n_mux", [None, *POINTS])
def test_each_text_gets_a_vector_of_length_1(embedder, n_mux):
    vectors = embedder.transform(TEXTS, n_mux=n_mux)
    assert vectors.shape == (len(TEXTS), 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("n_mux", POINTS)
def test_they_are_those_of_the_pretrainer(embedder, encoder_folder, n_mux):
    theirs = MuxTextPretrainer.load(encoder_folder).transform(TEXTS, n_mux)
    np.testing.assert_allclose(embedder.transform(TEXTS, n_mux=n_mux), theirs, atol=1e-5)


@pytest.mark.parametrize("n_mux", [p for p in POINTS if p == "words" or p.n_mux == 1])
def test_of_single_rows_none_depends_on_another(embedder, n_mux):
    together = embedder.transform(TEXTS, n_mux=n_mux)
    alone = [embedder.transform([text], n_mux=n_mux)[0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_rows_of_a_mixture_depend_on_each_other_but_for_groups(embedder):
    alone = embedder.transform(TEXTS[:1])
    among = embedder.transform(TEXTS)[:1]
    assert np.abs(alone - among).max() > 1e-3
    apart = embedder.transform(TEXTS, groups=range(len(TEXTS)))[:1]
    np.testing.assert_allclose(apart, alone, atol=1e-5)


def test_not_normalized_they_differ_in_length_alone(embedder, encoder_folder):
    plain = MuxTextEmbedder(3, patch_size=1, backbone=encoder_folder, normalize=False).fit(TEXTS)
    vectors = plain.transform(TEXTS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.ptp(lengths) > 1e-3
    np.testing.assert_allclose(vectors / lengths, embedder.transform(TEXTS), atol=1e-5)
    plain.set_params(normalize=True)
    np.testing.assert_allclose(plain.transform(TEXTS), vectors / lengths, atol=1e-5)


def test_passes_are_averaged(embedder):
    vectors = embedder.transform(TEXTS, n_passes=3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert np.abs(vectors - embedder.transform(TEXTS)).max() > 1e-4


# Encoders


@pytest.mark.parametrize(("patch_size", "own"), [("auto", 2), (1, 1), (2, 2), (5, 5)])
def test_auto_takes_most_tokens_up_to_two(encoder_folder, patch_size, own):
    embedder = MuxTextEmbedder(patch_size=patch_size, backbone=encoder_folder).fit()
    assert embedder.predictor_.resolve_point() == (1, own)
    assert set(embedder.module_.patch_sizes) == {1, 2, 5}


def test_the_packaged_encoder_needs_no_parameter():
    vectors = MuxTextEmbedder().fit().transform(["a cat", "a kitten", "stocks fell"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_an_encoder_of_transformers_runs_as_it_is(bert):
    from transformers import AutoModel, AutoTokenizer

    embedder = MuxTextEmbedder(backbone=bert, max_length=16, normalize=False).fit()
    cut = {"padding": True, "truncation": True, "max_length": 16}
    inputs = AutoTokenizer.from_pretrained(bert)(TEXTS, **cut, return_tensors="pt")
    model = AutoModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        hidden = model(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    mean = (hidden * mask).sum(1) / mask.sum(1)
    rows = [i for i, text in enumerate(TEXTS) if text]  # without tokens there is nothing to compare
    np.testing.assert_allclose(embedder.transform(TEXTS)[rows], mean[rows].numpy(), atol=1e-5)


def test_the_words_alone_can_be_where_it_starts(encoder_folder, tmp_path):
    embedder = MuxTextEmbedder("words", backbone=encoder_folder).fit()
    wanted = MuxTextEmbedder(backbone=encoder_folder).fit().transform(TEXTS, n_mux="words")
    assert embedder.operating_point_ == WORDS
    np.testing.assert_array_equal(embedder.transform(TEXTS), wanted)
    np.testing.assert_array_equal(list(embedder.transform_iter(iter(TEXTS))), wanted)
    assert np.abs(embedder.transform(TEXTS, n_mux=1) - wanted).max() > 1e-3
    embedder.save_pretrained(tmp_path)
    assert "words" in (tmp_path / "README.md").read_text()
    np.testing.assert_array_equal(MuxTextEmbedder.load(tmp_path).transform(TEXTS), wanted)
    predictor = load_predictor(tmp_path)
    np.testing.assert_array_equal(predictor.predict(TEXTS, method="transform"), wanted)


def test_an_encoder_without_words_does_not_start_with_them(bert, tmp_path):
    embedder = MuxTextEmbedder("words", backbone=bert, max_length=16)
    with pytest.raises(ValueError, match="`n_mux` is 'words', but the encoder has no vectors"):
        embedder.fit(TEXTS)
    assert not hasattr(embedder, "net_")
    embedder.set_params(n_mux=1).fit(TEXTS).set_params(n_mux="words").save(tmp_path)
    for load in (MuxTextEmbedder.load, load_predictor):
        with pytest.raises(FormatError, match="not trained to answer by the words alone"):
            load(tmp_path)


def test_a_pretrainer_is_taken_as_it_is(bert):
    pretrainer = MuxTextPretrainer(
        2,
        backbone=Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
        teacher=bert,
        max_length=16,
        max_epochs=1,
        batch_size=4,
        random_state=0,
    ).fit(TEXTS)
    embedder = MuxTextEmbedder(2, backbone=pretrainer, max_length=16).fit()
    wanted = pretrainer.transform(TEXTS, n_mux=1)
    np.testing.assert_allclose(embedder.transform(TEXTS, n_mux=1), wanted, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*was warmed up for mixtures of up to")
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_mux": 0}, ValueError, "n_mux"),
        ({"n_mux": 4}, ValueError, "`n_mux` is 4, but .*lower it"),
        ({"patch_size": 3}, ValueError, "`patch_size` is 3, but .* was trained for 1, 2, 5"),
        ({"patch_size": "most"}, ValueError, "patch_size"),
        ({"normalize": "l2"}, TypeError, "normalize"),
        ({"max_length": 129}, ValueError, "lower `max_length` to 128"),
        ({"backbone": "scratch"}, ValueError, "random"),
        ({"backbone": Scratch()}, ValueError, "random"),
        ({"backbone": 3}, TypeError, "backbone"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(encoder_folder, params, error, message):
    embedder = MuxTextEmbedder(backbone=encoder_folder).set_params(**params)
    with pytest.raises(error, match=message):
        embedder.fit(TEXTS)
    with pytest.raises(NotFittedError):
        embedder.transform(TEXTS)


def test_an_encoder_that_learned_no_mixtures_takes_none(bert):
    for params in ({"n_mux": 2}, {"patch_size": 2}):
        with pytest.raises(ValueError, match="MuxTextPretrainer"):
            MuxTextEmbedder(backbone=bert, max_length=16, **params).fit()


@pytest.mark.parametrize("backbone", [str, lambda folder: Published(checkpoint=folder)])
def test_a_published_model_is_for_a_classifier(folder_of, backbone):
    with pytest.raises(ValueError, match="learned no vectors; give it to a MuxTextClassifier"):
        MuxTextEmbedder(backbone=backbone(folder_of("rsa"))).fit()


@pytest.mark.parametrize("bad", [[], ["a", None], [("a", "b")], "a text", [3]])
def test_bad_texts_are_told(embedder, bad):
    for method in (clone(embedder).fit, embedder.transform):
        with pytest.raises((TypeError, ValueError)):
            method(bad)


def test_fit_leaves_an_iterator_to_transform(encoder_folder):
    embedder = MuxTextEmbedder(backbone=encoder_folder)
    vectors = embedder.fit_transform(text for text in TEXTS)
    np.testing.assert_array_equal(vectors, embedder.transform(TEXTS))
    unread = iter(TEXTS)
    embedder.fit(unread)
    assert list(unread) == TEXTS
    with pytest.raises(TypeError, match="row 1 of `X` is of type int"):
        embedder.fit_transform(iter(["a", 1]))


# Streams and data sets


def test_a_stream_is_embedded_in_order(embedder):
    vectors = list(embedder.transform_iter(iter(TEXTS), n_mux=(1, 2)))
    np.testing.assert_allclose(vectors, embedder.transform(TEXTS, n_mux=(1, 2)), atol=1e-6)


def test_a_data_set_is_embedded_into_parquet(embedder, tmp_path):
    pd.DataFrame({"text": TEXTS, "id": range(5)}).to_parquet(tmp_path / "texts.parquet")
    out = embedder.transform_dataset(tmp_path / "texts.parquet", tmp_path / "out", keep=["id"])
    table = pq.read_table(out)
    assert table.schema.field("vector").type.value_type == pa.float32()
    assert table["id"].to_pylist() == list(range(5))
    vectors = np.array(table["vector"].to_pylist())
    np.testing.assert_allclose(vectors, embedder.transform(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    "method",
    [
        *("predict", "predict_iter", "predict_dataset", "fastest_point"),
        *("measure_operating_points", "measured_points_"),
    ],
)
def test_it_predicts_no_labels(embedder, method):
    assert not hasattr(embedder, method)


# Folders and pickles


@pytest.mark.parametrize("patch_size", ["auto", 1])
def test_a_folder_gives_it_back(encoder_folder, tmp_path, patch_size):
    embedder = MuxTextEmbedder(
        3, patch_size=patch_size, backbone=encoder_folder, normalize=False
    ).fit()
    embedder.save(tmp_path)
    loaded = MuxTextEmbedder.load(tmp_path)
    assert loaded.get_params() == {**embedder.get_params(), "backbone": str(encoder_folder)}
    for n_mux in (None, *POINTS):
        wanted = embedder.transform(TEXTS, n_mux=n_mux)
        np.testing.assert_array_equal(loaded.transform(TEXTS, n_mux=n_mux), wanted)
    predictor = load_predictor(tmp_path)
    wanted = embedder.transform(TEXTS)
    np.testing.assert_array_equal(predictor.predict(TEXTS, method="transform"), wanted)


def test_an_encoder_of_transformers_is_saved_with_it(bert, tmp_path):
    embedder = MuxTextEmbedder(backbone=bert, max_length=16).fit()
    embedder.save_pretrained(tmp_path)
    loaded = MuxTextEmbedder.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.transform(TEXTS), embedder.transform(TEXTS))
    card = (tmp_path / "README.md").read_text()
    assert "feature-extraction" in card
    assert "MuxTextEmbedder" in card


def test_another_estimator_does_not_load_its_folder(embedder, tmp_path):
    embedder.save(tmp_path)
    with pytest.raises(FormatError, match="MuxTextEmbedder"):
        MuxTextClassifier.load(tmp_path)


def test_a_saved_embedder_is_no_backbone(embedder, tmp_path):
    embedder.save(tmp_path)
    with pytest.raises(FormatError, match=r"is no backbone .* or load it with .*Embedder\.load$"):
        MuxTextEmbedder(backbone=tmp_path).fit()


def test_it_goes_through_pickle(embedder):
    copied = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(copied.transform(TEXTS), embedder.transform(TEXTS))


# scikit-learn


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks_pass(encoder_folder):
    results = check_estimator(MuxTextEmbedder(backbone=encoder_folder), on_skip=None)
    assert {result["status"] for result in results} == {"passed"}


def test_columns_have_names(embedder):
    names = embedder.get_feature_names_out()
    assert names.tolist() == [f"muxtextembedder{i}" for i in range(16)]
    frame = clone(embedder).set_output(transform="pandas").fit_transform(pd.Series(TEXTS))
    assert frame.columns.tolist() == names.tolist()


def test_it_stands_before_a_classifier(encoder_folder):
    embedder = MuxTextEmbedder(backbone=encoder_folder, max_length=32)
    pipeline = make_pipeline(embedder, LogisticRegression())
    search = GridSearchCV(pipeline, {"muxtextembedder__patch_size": [1, 2]}, cv=2)
    search.fit(TEXTS * 2, ["a", "b", "a", "b", "a"] * 2)
    assert len(search.predict(TEXTS)) == len(TEXTS)


def test_columns_of_a_frame_are_embedded(encoder_folder):
    frame = pd.DataFrame({"title": TEXTS, "body": TEXTS[::-1], "year": range(5)})
    columns = ColumnTransformer(
        [
            ("title", MuxTextEmbedder(backbone=encoder_folder), "title"),
            ("body", MuxTextEmbedder(backbone=encoder_folder), "body"),
        ]
    )
    vectors = columns.fit_transform(frame)
    np.testing.assert_allclose(vectors[:, :16], vectors[::-1, 16:], atol=1e-6)


def test_it_stands_before_clusters_and_neighbours(encoder_folder):
    embedder = MuxTextEmbedder(backbone=encoder_folder)
    clusters = make_pipeline(embedder, KMeans(2, n_init=1, random_state=0)).fit_predict(TEXTS)
    assert set(clusters) == {0, 1}
    vectors = embedder.fit_transform(TEXTS)
    _, nearest = NearestNeighbors(n_neighbors=1).fit(vectors).kneighbors(vectors)
    assert nearest.ravel().tolist() == list(range(5))


def test_groups_are_routed_through_a_pipeline(encoder_folder):
    groups = ["a", "b"] * 3
    texts = ["rain and wind", "goal", "snow", "a late goal", "sun", "penalty"]
    with sklearn.config_context(enable_metadata_routing=True):
        embedder = MuxTextEmbedder(3, patch_size=1, backbone=encoder_folder)
        embedder.set_transform_request(groups=True)
        pipeline = make_pipeline(embedder, LogisticRegression())
        pipeline.fit(texts, [0, 1] * 3, groups=groups)
        assert len(pipeline.predict(texts, groups=groups)) == 6
    vectors = embedder.fit_transform(texts, groups=groups)
    np.testing.assert_array_equal(vectors, embedder.transform(texts, groups=groups))
    assert np.abs(vectors - embedder.transform(texts)).max() > 1e-4
