"""ONNX graphs beside torch: the same plan, the same answers."""

import copy
import hashlib
import logging
import math
import pickle
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.exceptions import NotFittedError
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.architectures import MIMOConv, MIMOFormer
from muxlearn.export import OnnxMuxClassifier, OnnxMuxTagger, export_onnx
from muxlearn.export._graph import _with_small_tables
from muxlearn.persistence import FormatError
from muxlearn.prediction._onnx import make_session
from muxlearn.rows._texts import train_tokenizer
from tests.persistence.folders import edit_config

TOLERANCE = 1e-4

TEXTS = ["rain and wind", "a goal", "snow", "a late equaliser in the second half", "", "fog"] * 3
LABELS = [3, 1, 3, 1, 1, 3] * 3
SENTENCES = [["Ada", "lives", "in", "Paris"], ["Bo"], ["It", "rained", "on", "us", "all"], []] * 4
TAGS = [["B-PER", "O", "O", "B-LOC"], ["B-PER"], ["O"] * 5, []] * 4
TENANTS = ["a", "b", "b"] * 6


@pytest.fixture(scope="module")
def classifier(tiny_classifier):
    return tiny_classifier(n_mux=3, operating_points=(3, 1)).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "model"
    export_onnx(classifier, folder)
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    return OnnxMuxClassifier.load(folder, n_threads=1)


@pytest.fixture
def tiny_bert(tmp_path):
    folder = tmp_path / "bert"
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=300, intermediate_size=32, max_position_embeddings=40, **sizes)
    BertModel(config).save_pretrained(folder)
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(TEXTS, 300), **special)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    return tiny_tagger(n_mux=3, decode="legal").fit(SENTENCES, TAGS)


@pytest.fixture(scope="module")
def exported_tagger(tagger, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(tagger, folder, n_mux=(3, 2))
    return OnnxMuxTagger.load(folder, n_threads=1)


def test_a_graph_for_the_capacity_and_each_operating_point(exported, folder):
    assert exported.operating_points == (3, 1)
    assert exported.n_mux == 3
    names = {file.name for file in folder.iterdir()}
    assert names == {"n_mux_3.onnx", "n_mux_1.onnx", "tokenizer.json", "config.json"}


def test_the_points_of_the_training_get_graphs_whatever_is_set_since(classifier, tmp_path):
    export_onnx(copy.copy(classifier).set_params(operating_points=None), tmp_path)
    assert OnnxMuxClassifier.load(tmp_path).operating_points == (3, 1)


def test_a_graph_names_no_file_of_the_machine_that_made_it(folder):
    for file in folder.glob("*.onnx"):
        assert b".py" not in file.read_bytes()


@pytest.mark.parametrize("n_mux", [None, 3, 1])
@pytest.mark.parametrize("n_rows", [1, 2, 18])
def test_probabilities_of_texts_are_torchs(classifier, exported, n_mux, n_rows):
    ours = exported.predict_proba(TEXTS[:n_rows], n_mux=n_mux)
    np.testing.assert_allclose(
        ours, classifier.predict_proba(TEXTS[:n_rows], n_mux=n_mux), atol=TOLERANCE
    )


def test_groups_and_passes_follow_the_same_plan(classifier, exported):
    options = {"groups": TENANTS, "n_passes": 2}
    expected = classifier.predict_proba(TEXTS, **options)
    assert np.abs(expected - classifier.predict_proba(TEXTS)).max() > TOLERANCE
    np.testing.assert_allclose(exported.predict_proba(TEXTS, **options), expected, atol=TOLERANCE)
    logarithms = exported.predict_log_proba(TEXTS, **options)
    np.testing.assert_allclose(np.exp(logarithms), expected, atol=TOLERANCE)


def test_labels_keep_their_values_and_their_type(classifier, exported):
    predicted = exported.predict(TEXTS)
    np.testing.assert_array_equal(predicted, classifier.predict(TEXTS))
    assert predicted.dtype == classifier.classes_.dtype
    assert exported.score(TEXTS, LABELS) == classifier.score(TEXTS, LABELS)


def test_a_stream_is_predicted_in_order(exported):
    assert list(exported.predict_iter(iter(TEXTS))) == exported.predict(TEXTS).tolist()


def test_an_exported_model_goes_through_pickle(exported):
    loaded = pickle.loads(pickle.dumps(exported))
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), exported.predict_proba(TEXTS))


@pytest.mark.slow
def test_sequences_of_few_integers_are_exported(tiny_classifier, tmp_path):
    X = np.arange(32).reshape(8, 4) % 5
    clf = tiny_classifier(warm_up=None).fit(X, [0, 1] * 4)
    export_onnx(clf, tmp_path)
    exported = OnnxMuxClassifier.load(tmp_path)
    np.testing.assert_allclose(exported.predict_proba(X), clf.predict_proba(X), atol=TOLERANCE)


@pytest.mark.slow
def test_rows_of_more_than_one_large_patch_are_exported(tiny_classifier, tmp_path):
    clf = tiny_classifier(n_mux=1, patch_size=10, warm_up=None).fit(TEXTS, LABELS)
    export_onnx(clf, tmp_path)
    exported, texts = OnnxMuxClassifier.load(tmp_path), ["a late equaliser " * 9, "fog"]
    np.testing.assert_allclose(
        exported.predict_proba(texts), clf.predict_proba(texts), atol=TOLERANCE
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_mux", [3, 2])
def test_probabilities_of_tags_are_torchs(tagger, exported_tagger, n_mux):
    ours = exported_tagger.predict_proba(SENTENCES, n_mux=n_mux)
    for given, expected in zip(ours, tagger.predict_proba(SENTENCES, n_mux=n_mux), strict=True):
        np.testing.assert_allclose(given, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_tags_are_decoded_as_by_the_tagger(tagger, exported_tagger):
    assert exported_tagger.predict(SENTENCES) == tagger.predict(SENTENCES)
    # The legal steps between tags have travelled too.
    learned = exported_tagger.predictor_.task.step_scores()
    for given, expected in zip(learned, tagger.predictor_.task.step_scores(), strict=True):
        np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(MIMOConv(width=1), marks=pytest.mark.slow),
        MIMOConv(width=1, patch_size=2),
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_small", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_probabilities_of_images_are_torchs(architecture, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 255, (16, 8, 8), np.uint8), [0, 1] * 8
    clf = MuxImageClassifier(architecture=architecture, n_mux=2, max_epochs=1, random_state=0).fit(
        X, y
    )
    export_onnx(clf, tmp_path)
    exported = OnnxMuxClassifier.load(tmp_path)
    for n_rows in (1, 2, 7):
        np.testing.assert_allclose(
            exported.predict_proba(X[:n_rows]), clf.predict_proba(X[:n_rows]), atol=TOLERANCE
        )


@pytest.mark.slow
def test_an_encoder_of_transformers_is_exported(tiny_bert, tmp_path):
    clf = MuxTextClassifier(
        n_mux=2,
        demultiplexer="index",
        multiplexer="hadamard",
        backbone=tiny_bert,
        max_length=16,
        warm_up=None,
        max_epochs=1,
        random_state=0,
    ).fit(TEXTS, LABELS)
    export_onnx(clf, tmp_path / "onnx")
    exported = OnnxMuxClassifier.load(tmp_path / "onnx")
    for n_rows in (1, 18):
        np.testing.assert_allclose(
            exported.predict_proba(TEXTS[:n_rows]),
            clf.predict_proba(TEXTS[:n_rows]),
            atol=TOLERANCE,
        )


@pytest.mark.slow
def test_int8_is_smaller_and_near(classifier, folder, tmp_path):
    export_onnx(classifier, tmp_path, n_mux=3, dtype="int8")
    exported = OnnxMuxClassifier.load(tmp_path)
    assert exported.dtype == "int8"
    sizes = [(where / "n_mux_3.onnx").stat().st_size for where in (tmp_path, folder)]
    assert sizes[0] < sizes[1]
    weights = onnx.load(tmp_path / "n_mux_3.onnx").graph.initializer
    whole = [math.prod(w.dims) for w in weights if w.data_type == onnx.TensorProto.FLOAT]
    assert max(whole) < 300 * 16  # numbers of the smallest table of tokens
    ours, torchs = exported.predict_proba(TEXTS), classifier.predict_proba(TEXTS)
    assert TOLERANCE < np.abs(ours - torchs).max() < 0.1


# What cannot be exported


def test_int8_leaves_the_logging_of_the_caller_as_it_is(classifier, tmp_path, monkeypatch):
    with monkeypatch.context() as script:
        script.setattr(logging.root, "handlers", [])  # there are those of pytest
        export_onnx(classifier, tmp_path, n_mux=1, dtype="int8")
        assert logging.root.handlers == []


def test_int8_leaves_a_table_that_something_else_reads_too():
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["read"]),
        helper.make_node("MatMul", ["read", "table"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tied",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3, 64])],
        [numpy_helper.from_array(values, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = make_session(_with_small_tables(model.SerializeToString()), n_threads=1)
    (out,) = session.run(None, {"ids": np.array([5, 0, 63])})
    np.testing.assert_allclose(out, values[[5, 0, 63]] @ values, rtol=1e-5, atol=1e-5)


def test_an_estimator_must_be_fitted(tiny_classifier, tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(tiny_classifier(), tmp_path)


def test_another_estimator_is_called_by_its_name(tmp_path):
    with pytest.raises(TypeError, match="got an instance of str"):
        export_onnx("model", tmp_path)


def test_the_network_that_no_graph_can_hold_is_named(tiny_classifier, tiny_tagger, tmp_path):
    mimo = tiny_classifier(
        architecture=MIMOFormer(head_dim=8, n_features=8), max_epochs=0, warm_up=None
    )
    with pytest.raises(TypeError, match="a MIMOFormer cannot be exported"):
        export_onnx(mimo.fit(TEXTS, LABELS), tmp_path)
    mlp = tiny_tagger(demultiplexer="mlp", max_epochs=0, warm_up=None).fit(SENTENCES, TAGS)
    with pytest.raises(TypeError, match="MuxTokenClassifier with a MLPDemultiplexer"):
        export_onnx(mlp, tmp_path)
    assert not list(tmp_path.iterdir())


def test_convolutions_are_not_quantized(tmp_path):
    clf = MuxImageClassifier(architecture=MIMOConv(width=1), n_mux=2, max_epochs=0, random_state=0)
    clf.fit(np.random.default_rng(0).random((4, 8, 8)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="made of convolutions"):
        export_onnx(clf, tmp_path, dtype="int8")


@pytest.mark.parametrize(
    ("n_mux", "message"),
    [
        (4, "at most 3|from 1 to 3"),
        ((1, 5), r"a single pair stands in a list, \[\(1, 5\)\]"),
        ((), "is empty"),
    ],
)
def test_rows_in_a_mixture_are_checked(classifier, tmp_path, n_mux, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(classifier, tmp_path, n_mux=n_mux)


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_missing_package_names_the_extra(classifier, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {package}.*muxlearn\[onnx\]"):
        export_onnx(classifier, tmp_path)


# What cannot be loaded


def test_prediction_needs_onnxruntime_alone_and_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    OnnxMuxClassifier.load(folder)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"muxlearn\[onnx\]"):
        OnnxMuxClassifier.load(folder)


def test_rows_that_were_not_exported_for_are_told(exported):
    with pytest.raises(ValueError, match=r"exported for 3, 1; export it with n_mux=\[1, 2, 3\]"):
        exported.predict(TEXTS, n_mux=2)


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        OnnxMuxClassifier.load(tmp_path / "nowhere")


def test_a_graph_that_was_cut_short_is_noticed(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    graph = tmp_path / "copy" / "n_mux_3.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"n_mux_3\.onnx .* is not the file that was saved"):
        OnnxMuxClassifier.load(tmp_path / "copy")


def test_a_lost_graph_is_noticed(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "n_mux_1.onnx").unlink()
    with pytest.raises(FormatError, match=r"not complete: n_mux_1\.onnx is missing"):
        OnnxMuxClassifier.load(tmp_path / "copy")


@pytest.mark.parametrize("points", [None, [], ["../../etc"], 3])
def test_damaged_operating_points_are_noticed(folder, tmp_path, points):
    shutil.copytree(folder, tmp_path / "copy")
    edit_config(tmp_path / "copy", lambda config: config.update(operating_points=points))
    with pytest.raises(FormatError, match="its `operating_points` are"):
        OnnxMuxClassifier.load(tmp_path / "copy")


def test_each_format_sends_to_the_class_that_reads_it(classifier, folder, tmp_path):
    with pytest.raises(FormatError, match="not loaded by OnnxMuxTagger but by another class"):
        OnnxMuxTagger.load(folder)
    with pytest.raises(FormatError, match="exported to ONNX"):
        MuxTextClassifier.load(folder)
    classifier.save(tmp_path)
    with pytest.raises(FormatError, match=r"MuxTextClassifier\.load, and give it to export_onnx"):
        OnnxMuxClassifier.load(tmp_path)


def test_a_model_in_another_format_is_not_replaced(classifier, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "graph")
    with pytest.raises(FileExistsError, match="holds a model in another format"):
        classifier.save(tmp_path / "graph")
    assert OnnxMuxClassifier.load(tmp_path / "graph").predict(TEXTS[:1])
    classifier.save(tmp_path / "model")
    with pytest.raises(FileExistsError, match="holds a model in another format"):
        export_onnx(classifier, tmp_path / "model")
    MuxTextClassifier.load(tmp_path / "model")


def test_a_graph_of_another_point_is_noticed(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    shutil.copy(folder / "n_mux_3.onnx", tmp_path / "copy" / "n_mux_1.onnx")
    digest = hashlib.sha256((folder / "n_mux_3.onnx").read_bytes()).hexdigest()
    edit_config(tmp_path / "copy", lambda config: config["sha256"].update({"n_mux_1.onnx": digest}))
    with pytest.raises(FormatError, match=r"n_mux_1.onnx takes 3 rows at once, not 1"):
        OnnxMuxClassifier.load(tmp_path / "copy")


def test_an_exporter_that_is_too_old_is_named(classifier, tmp_path, monkeypatch):
    def give_up(*args, **kwargs):
        raise ValueError("no such argument")

    monkeypatch.setattr(torch.onnx, "export", give_up)
    monkeypatch.setattr("muxlearn.export._graph._LEAST_TORCH", "99.0")
    with pytest.raises(RuntimeError, match=r"no such argument; the export needs torch 99\.0 or"):
        export_onnx(classifier, tmp_path / "model")
    assert not (tmp_path / "model").exists()
