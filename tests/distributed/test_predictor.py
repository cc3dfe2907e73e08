"""What the engines share, without any of them."""

import pickle
import shutil
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from muxlearn import MuxTextClassifier, MuxTextEmbedder, MuxTextRegressor, distributed
from muxlearn.backbones import Scratch
from muxlearn.distributed._predictor import open_folder
from muxlearn.persistence import FormatError

DEFAULTS = {
    "column": "text",
    "groups": None,
    "n_mux": None,
    "n_passes": 1,
    "method": "predict",
}


def open_for(frame, folder, **arguments):
    return open_folder(folder, pa.Schema.from_pandas(frame), **{**DEFAULTS, **arguments})


def test_a_frame_gets_what_predict_says_of_it(model, folder, frame):
    frame = frame.set_index(frame["id"] + 7)
    given = open_for(frame, folder, groups="tenant", n_mux=1)(frame)
    assert given.index.equals(frame.index)
    expected = model.predict(frame["text"], groups=frame["tenant"], n_mux=1)
    np.testing.assert_array_equal(given["prediction"], expected)


def test_probabilities_are_lists(model, folder, frame):
    given = open_for(frame, folder, method="predict_proba", groups="tenant", n_passes=2)(frame)
    expected = model.predict_proba(frame["text"], groups=frame["tenant"], n_passes=2)
    np.testing.assert_allclose(np.stack(given["probabilities"]), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:the score of n_mux=")
def test_the_fastest_point_is_that_of_the_saved_measurements(model, frame, tmp_path):
    measured = pickle.loads(pickle.dumps(model))
    texts = frame["text"].tolist()
    measured.measure_operating_points(texts, measured.predict(texts, n_mux=1), n_mux=1)
    measured.save(tmp_path)
    point = MuxTextClassifier.load(tmp_path).fastest_point(1)
    given = open_for(frame, tmp_path, n_mux=point, method="predict_proba")
    assert given.n_mux == 1
    np.testing.assert_allclose(
        np.stack(given(frame)["probabilities"]), model.predict_proba(texts, n_mux=1), atol=1e-6
    )


def test_an_empty_frame_gets_a_column_of_the_same_type(folder, frame):
    predictor = open_for(frame, folder)
    assert predictor(frame[:0])["prediction"].dtype == predictor(frame)["prediction"].dtype


def test_tags_are_lists(tiny_tagger, tmp_path):
    sentences = [["Ada", "sings"], ["It", "rained"], []] * 8
    tagger = tiny_tagger(warm_up=None, max_epochs=0).fit(
        sentences, [["A", "B"], ["B", "B"], []] * 8
    )
    tagger.save(tmp_path)
    frame = pd.DataFrame({"text": sentences})
    predictor = open_for(frame, tmp_path)
    assert predictor(frame)["prediction"].tolist() == tagger.predict(sentences)
    assert predictor.result_type() == pa.list_(pa.string())


SMALL = Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=300)


@pytest.fixture
def vectors_folder(frame, bert, tmp_path):
    MuxTextEmbedder(backbone=bert, max_length=16).fit().save(tmp_path / "embedder")
    return tmp_path / "embedder"


def test_vectors_are_lists_of_numbers(frame, vectors_folder):
    predictor = open_for(frame, vectors_folder, method="transform")
    expected = MuxTextEmbedder.load(vectors_folder).transform(frame["text"])
    np.testing.assert_allclose(np.stack(predictor(frame)["vector"]), expected, atol=1e-6)
    assert predictor.result_type() == pa.list_(pa.float32())
    assert predictor(frame[:0])["vector"].tolist() == []


def test_an_embedder_has_vectors_alone_and_others_have_none(frame, folder, vectors_folder):
    with pytest.raises(ValueError, match="`method` must be 'transform', got 'predict'"):
        open_for(frame, vectors_folder)
    with pytest.raises(ValueError, match=r"'predict_proba', .*got 'transform'"):
        open_for(frame, folder, method="transform")


@pytest.mark.parametrize(
    ("estimator", "targets", "several"),
    [
        (MuxTextRegressor, [0.5, 1.0], False),
        (MuxTextRegressor, [[0.5, 1.0], [1.0, 2.0]], True),
        (MuxTextClassifier, [[0, 1], [1, 0]], True),
        (MuxTextClassifier, [{"a"}, set()], True),
    ],
)
def test_an_empty_frame_gets_a_column_for_any_answer(frame, tmp_path, estimator, targets, several):
    untrained = estimator(n_mux=2, backbone=SMALL, max_epochs=0, warm_up=0)
    untrained.fit(frame["text"][:2], targets).save(tmp_path / "model")
    predictor = open_for(frame, tmp_path / "model")
    given, nothing = predictor(frame), predictor(frame[:0])
    assert list(nothing.columns) == list(given.columns)
    assert nothing["prediction"].dtype == given["prediction"].dtype
    assert isinstance(given["prediction"][0], list) == several


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"column": "body"}, ValueError, "'id', 'text', 'tenant'"),
        ({"column": "id"}, TypeError, "int64, but the model reads text"),
        ({"groups": "owner"}, ValueError, "`groups` 'owner'"),
        ({"n_mux": 3}, ValueError, "at most 2"),
        ({"n_mux": "auto"}, TypeError, "`fastest_point` returns a point"),
        ({"n_passes": 0}, ValueError, "`n_passes`"),
        ({"method": "predict_prob"}, ValueError, "did you mean"),
    ],
)
def test_bad_arguments_are_refused_before_a_worker_starts(folder, frame, arguments, error, message):
    with pytest.raises(error, match=message):
        open_for(frame, folder, **arguments)


def test_probabilities_of_a_regressor_are_refused_before_a_worker_starts(frame, tmp_path):
    untrained = MuxTextRegressor(n_mux=2, backbone=SMALL, max_epochs=0, warm_up=0)
    untrained.fit(frame["text"][:4], range(4)).save(tmp_path / "model")
    with pytest.raises(ValueError, match="`method` must be 'predict', got 'predict_proba'"):
        open_for(frame, tmp_path / "model", method="predict_proba")


def test_a_column_of_the_results_name_is_not_overwritten(folder, frame):
    with pytest.raises(ValueError, match="'prediction' already"):
        open_for(frame.assign(prediction=0), folder)


@pytest.mark.parametrize("name", ["text", "tenant"])
def test_a_part_without_the_column_is_named(folder, frame, name):
    predictor = open_for(frame, folder, groups="tenant")
    with pytest.raises(ValueError, match=f"a part of `dataset` has no column '{name}', but 'id'"):
        predictor(frame.drop(columns=name))


def test_a_folder_without_a_model_is_refused(frame, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no saved model"):
        open_for(frame, tmp_path)


def test_a_worker_that_has_another_model_says_so(tiny_classifier, folder, frame, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    predictor = open_for(frame, tmp_path / "model")
    tiny_classifier(warm_up=None, max_epochs=0).fit(["a", "b"], [0, 1]).save(tmp_path / "model")
    open_for(frame, folder)  # a worker keeps one model
    with pytest.raises(FormatError, match="another model"):
        predictor(frame)


def test_a_worker_that_does_not_see_the_folder_says_so(folder, frame, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    predictor = open_for(frame, tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    open_for(frame, folder)
    with pytest.raises(FileNotFoundError, match=r"the worker .* has no model in"):
        predictor(frame)


@pytest.mark.parametrize(
    ("name", "module"),
    [("dask", "dask.dataframe"), ("ray", "ray.data"), ("spark", "pyspark.sql")],
)
def test_an_engine_that_is_not_installed_names_the_extra(monkeypatch, folder, frame, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with pytest.raises(ModuleNotFoundError, match=rf"install muxlearn\[{name}\]"):
        getattr(distributed, f"predict_{name}")(frame, folder)
