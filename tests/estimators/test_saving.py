import copy
import io
import pickle
import shutil
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from muxlearn import MuxTextClassifier
from muxlearn.persistence import FORMAT_VERSION, FormatError
from muxlearn.prediction import load_predictor
from tests.persistence.folders import edit_config

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return tiny_classifier


@pytest.fixture(scope="module")
def untrained(tiny):
    def fit(labels=LABELS, **params):
        return tiny(max_epochs=0, warm_up=None, **params).fit(TEXTS, labels)

    return fit


@pytest.fixture(scope="module")
def fitted(tiny):
    return tiny(early_stopping=True).fit(TEXTS, LABELS)


@pytest.fixture
def folder(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


# What comes back


@pytest.mark.parametrize(
    "changed", [{"architecture": "mimoformer"}, {"lr": -1, "max_epochs": "many"}]
)
def test_what_was_set_after_the_fit_changes_no_model(untrained, tmp_path, changed):
    clf = untrained()
    expected = clf.predict_proba(TEXTS)
    clf.set_params(**changed)
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), expected)
    if "architecture" in changed:
        clf.save(tmp_path / "model")
        loaded = MuxTextClassifier.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)


def test_a_predictor_takes_no_argument_that_it_does_not_know(folder):
    with pytest.raises(TypeError, match="load_predictor has no argument `bogus`"):
        load_predictor(folder, bogus=3)
    with pytest.raises(ValueError, match="carries its own encoder; leave it out"):
        load_predictor(folder, backbone="elsewhere")


def test_a_folder_holds_three_files_of_data(folder):
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.slow
def test_another_process_predicts_the_same(fitted, folder, tmp_path):
    code = (
        "import sys, numpy, muxlearn\n"
        "clf = muxlearn.MuxTextClassifier.load(sys.argv[1])\n"
        "numpy.savez(sys.argv[2], proba=clf.predict_proba(sys.argv[3:], n_passes=2),\n"
        "            labels=clf.predict(sys.argv[3:], n_mux=1))\n"
    )
    out = tmp_path / "out.npz"
    subprocess.run([sys.executable, "-c", code, str(folder), str(out), *TEXTS], check=True)
    with np.load(out) as results:
        np.testing.assert_allclose(
            results["proba"], fitted.predict_proba(TEXTS, n_passes=2), atol=1e-6
        )
        assert results["labels"].tolist() == fitted.predict(TEXTS, n_mux=1).tolist()


def test_the_fitted_attributes_come_back(fitted, folder):
    loaded = MuxTextClassifier.load(folder)
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.n_iter_ == fitted.n_iter_
    for name in ("train_loss", "valid_loss", "retrieval_acc"):
        assert loaded.history_[:, name] == fitted.history_[:, name]
    assert loaded.warm_up_history_[:, "train_loss"] == fitted.warm_up_history_[:, "train_loss"]
    assert loaded.tokenizer_.to_str() == fitted.tokenizer_.to_str()
    assert not loaded.module_.training


def test_a_loaded_estimator_is_saved_again_as_it_was(folder, tmp_path):
    MuxTextClassifier.load(folder).save(tmp_path / "again")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_saving_replaces_the_model_in_the_folder(untrained, folder):
    other = untrained(random_state=1)
    other.save(folder)
    loaded = MuxTextClassifier.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), other.predict_proba(TEXTS))


@pytest.mark.parametrize("demultiplexer", ["rsa", "index", "mlp"])
@pytest.mark.parametrize(
    "multiplexer", ["subspace", "hadamard", "orthogonal", "binary", "identity", "contextual"]
)
def test_every_pair_of_multiplexer_and_demultiplexer_comes_back(
    untrained, multiplexer, demultiplexer, tmp_path
):
    clf = untrained(multiplexer=multiplexer, demultiplexer=demultiplexer)
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_weight", {0: 2.0, 1: 0.5}),
        ("class_weight", {True: 2.0}),
        ("class_weight", "balanced"),
        ("operating_points", (1, 2)),
        ("operating_points", [1, 2]),
        ("backbone__intermediate_size", 24),
        ("warm_up", None),
        ("lr", 1e-3),
        ("dropout", 0),
        ("architecture__demux_layers", 3),
        ("architecture__learn_keys", False),
        ("random_state", None),
    ],
)
def test_a_parameter_comes_back_with_its_type(tiny, name, value, tmp_path):
    labels = [0, 1] * 12
    clf = tiny(**{"max_epochs": 0, "warm_up": None, name: value}).fit(TEXTS, labels)
    clf.save(tmp_path)
    params = MuxTextClassifier.load(tmp_path).get_params()
    assert params == clf.get_params()
    assert type(params[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("n_mux", np.int64(2), 2),
        ("architecture__learn_keys", np.True_, True),
        ("operating_points", [np.int64(1), 2], [1, 2]),
        ("class_weight", {np.int64(0): np.float32(2)}, {0: 2.0}),
        ("device", torch.device("cpu"), "cpu"),
        ("random_state", np.random.RandomState(0), None),
        ("callbacks", [], None),
    ],
)
def test_a_parameter_that_json_does_not_know_comes_back_plain(
    untrained, name, value, plain, tmp_path
):
    clf = untrained([0, 1] * 12, **{name: value})
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path).get_params()[name]
    assert loaded == plain
    assert type(loaded) is type(plain)


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2],
        [True, False],
        [1.0, 2.0],
        ["é", "日本"],
        ["\ud83d", "b"],
        [2**62, -1],
        np.array(["a", "bbb"], dtype=object),
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=np.float32),
        np.array(["a", "b"], dtype="U7"),
    ],
    ids=repr,
)
def test_labels_come_back_with_their_dtype(untrained, labels, tmp_path):
    clf = untrained(np.tile(labels, 12))
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.classes_.dtype == clf.classes_.dtype
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert list(map(type, loaded.classes_)) == list(map(type, clf.classes_))


def test_a_folder_from_before_a_parameter_was_there_goes_on_with_its_default(fitted, folder):
    def forget(config):
        name = "architecture__demux_layers"
        del config["params"][name], config["structure"][name]

    edit_config(folder, forget)
    loaded = MuxTextClassifier.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    assert loaded.get_params()["architecture__demux_layers"] == 1
    loaded.set_params(warm_start=True).fit(TEXTS, LABELS)
    assert loaded.n_iter_ == 2 * fitted.n_iter_


def test_labels_that_are_no_json_are_refused_and_nothing_is_written(untrained, tmp_path):
    days = np.array(["2020-01-01", "2020-01-02"] * 12, dtype="datetime64[D]")
    with pytest.raises(TypeError, match="is of type date; a saved folder keeps strings, numbers"):
        untrained(days).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_loading_unpickles_nothing(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    MuxTextClassifier.load(folder).predict(TEXTS)


# What cannot be saved


def test_an_estimator_that_is_not_fitted_is_not_saved(tiny, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        tiny().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_file_in_the_place_of_the_folder_is_not_overwritten(fitted, tmp_path):
    file = tmp_path / "notes"
    file.write_text("keep me")
    with pytest.raises(NotADirectoryError, match="notes' is a file; give the name of a folder"):
        fitted.save(file)
    assert file.read_text() == "keep me"


@pytest.mark.parametrize("content", ['{"model_type": "bert"}', "[]"])
@pytest.mark.parametrize("method", ["save", "save_pretrained"])
def test_the_folder_of_another_library_is_not_overwritten(fitted, method, content, tmp_path):
    contents = {"config.json": content, "model.safetensors": "w", "tokenizer.json": "{}"}
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match=r"config\.json of another library"):
        getattr(fitted, method)(tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == contents


def test_a_damaged_model_is_replaced(fitted, folder):
    (folder / "config.json").write_text('{"format": "muxl')
    fitted.save(folder)
    MuxTextClassifier.load(folder)


@pytest.mark.parametrize(("folder", "error"), [(None, TypeError), (3, TypeError), ("", ValueError)])
@pytest.mark.parametrize("method", ["save", "save_pretrained"])
def test_what_names_no_folder_is_refused(fitted, method, folder, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match="`folder` must be the name of a folder, got "):
        getattr(fitted, method)(folder)
    assert not list(tmp_path.iterdir())


# What cannot be loaded


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        MuxTextClassifier.load(tmp_path / "nowhere")


def test_a_file_is_not_loaded(folder):
    with pytest.raises(NotADirectoryError, match="is a file; give the folder that was saved"):
        MuxTextClassifier.load(folder / "model.safetensors")


def test_a_foreign_folder_is_not_loaded(tmp_path):
    with pytest.raises(FormatError, match=r"not a model saved by muxlearn: it has no config\.json"):
        MuxTextClassifier.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FormatError, match=r"is of another library; .* given as `backbone`"):
        MuxTextClassifier.load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FormatError, match=f"is not complete: {name} is missing"):
        MuxTextClassifier.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    ],
    ids=["cut short", "emptied", "one bit flipped"],
)
def test_a_damaged_file_is_named(folder, name, damage):
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(FormatError, match=f"{name} in .* wrong checksum.*copy the folder anew"):
        MuxTextClassifier.load(folder)


@pytest.mark.parametrize("n_bytes", [0, 100, -2])
def test_a_config_that_was_cut_short_is_damaged(folder, n_bytes):
    file = folder / "config.json"
    file.write_bytes(file.read_bytes()[:n_bytes])
    with pytest.raises(FormatError, match=r"config\.json in .* is damaged"):
        MuxTextClassifier.load(folder)


def test_a_newer_format_is_not_loaded(folder):
    newer = {"format_version": FORMAT_VERSION + 1, "muxlearn_version": "9.9"}
    edit_config(folder, lambda config: config.update(newer))
    with pytest.raises(FormatError, match=r"of format 4, written by a newer muxlearn \(9\.9\).*up"):
        MuxTextClassifier.load(folder)


@pytest.mark.parametrize("version", [0, "1", True, None])
def test_a_format_that_never_was_is_damaged(folder, version):
    edit_config(folder, lambda config: config.update(format_version=version))
    with pytest.raises(FormatError, match="is damaged: its format is"):
        MuxTextClassifier.load(folder)


def test_another_estimator_is_not_loaded(folder):
    edit_config(folder, lambda config: config.update(estimator="MuxTokenTagger"))
    with pytest.raises(FormatError, match=r"load it with MuxTokenTagger\.load"):
        MuxTextClassifier.load(folder)


@pytest.mark.parametrize("name", ["estimator", "params", "sha256"])
def test_a_config_without_an_entry_is_damaged(folder, name):
    edit_config(folder, lambda config: config.pop(name))
    with pytest.raises(FormatError, match=f"is damaged: it lacks '{name}'"):
        MuxTextClassifier.load(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.pop("structure"),
        lambda config: config["encoder"].update(vocab_size=10),
        lambda config: config["encoder"].update(hidden_size=32),
        lambda config: config["labels"].update(values=["x"]),
        lambda config: config["params"].update(not_a_parameter=1),
    ],
    ids=["no structure", "other vocabulary", "other width", "other labels", "unknown parameter"],
)
def test_a_config_that_does_not_fit_the_weights_is_told_of(folder, edit):
    edit_config(folder, edit)
    with pytest.raises(FormatError, match=r"the files in .* do not make up a model"):
        MuxTextClassifier.load(folder)


def test_a_tokenizer_that_is_neither_a_name_nor_described_is_told(folder):
    edit_config(folder, lambda config: config["structure"].update(backbone__tokenizer=True))
    with pytest.raises(FormatError, match="`tokenizer` must be"):
        MuxTextClassifier.load(folder)


def test_a_config_cannot_name_files_outside_of_its_folder(folder):
    secret = folder.parent / "secret"
    secret.write_text("x")
    edit_config(folder, lambda config: config["sha256"].update({"../secret": "y"}))
    MuxTextClassifier.load(folder)


# Other devices


def test_a_model_of_a_gpu_goes_on_with_a_cpu_and_one_warning(fitted, folder):
    edit_config(folder, lambda config: config["params"].update(device="cuda:99"))
    with pytest.warns(UserWarning, match="saved with device='cuda:99'.*device='auto'") as caught:
        loaded = MuxTextClassifier.load(folder)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert loaded.device == "auto"
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS), atol=1e-6)


def test_a_model_of_half_precision_goes_on_in_full_and_one_warning(fitted, folder):
    edit_config(folder, lambda config: config["params"].update(device="cpu", dtype="float16"))
    with pytest.warns(UserWarning, match="saved with dtype='float16', which needs a GPU") as caught:
        loaded = MuxTextClassifier.load(folder)
    assert len(caught) == 1
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


# Pickles


def dumped_by_joblib(clf):
    file = io.BytesIO()
    joblib.dump(clf, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "duplicate",
    [lambda clf: pickle.loads(pickle.dumps(clf)), dumped_by_joblib, copy.deepcopy],
    ids=["pickle", "joblib", "deepcopy"],
)
def test_a_copy_predicts_the_same_and_shares_nothing(fitted, duplicate):
    expected = fitted.predict_proba(TEXTS)
    twin = duplicate(fitted)
    np.testing.assert_array_equal(twin.predict_proba(TEXTS), expected)
    assert twin.history_[:, "train_loss"] == fitted.history_[:, "train_loss"]
    with torch.no_grad():
        for parameter in twin.module_.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), expected)
    assert np.abs(twin.predict_proba(TEXTS) - expected).max() > 1e-4


def test_a_copy_can_be_saved_and_trained_further(fitted, tmp_path):
    twin = copy.deepcopy(fitted)
    twin.save(tmp_path)
    np.testing.assert_array_equal(
        MuxTextClassifier.load(tmp_path).predict_proba(TEXTS), fitted.predict_proba(TEXTS)
    )
    twin.set_params(warm_start=True).fit(TEXTS, LABELS)
    assert twin.n_iter_ == 2 * fitted.n_iter_


def test_a_pickle_holds_the_weights_once_and_no_training_data(tiny):
    texts = [f"{text} {i}" for i in range(40) for text in TEXTS]
    clf = tiny(early_stopping=True, batch_size=512, backbone__hidden_size=64)
    clf.fit(texts, LABELS * 40).predict(texts[:10])
    n_bytes = sum(4 * parameter.numel() for parameter in clf.module_.parameters())
    dumped = pickle.dumps(clf)
    assert len(dumped) < 1.3 * n_bytes + len(clf.tokenizer_.to_str())
    assert b"MixtureData" not in dumped


def test_a_pickle_holds_tensors_only_where_skorch_moves_them_between_devices(fitted):
    class Spy(pickle.Pickler):
        def persistent_id(self, value):
            assert not isinstance(value, torch.Tensor | torch.nn.Module)

    Spy(io.BytesIO()).dump(fitted)


def test_a_pickled_estimator_of_a_gpu_goes_on_with_a_cpu(fitted):
    twin = copy.deepcopy(fitted)
    twin.device = "cuda:99"
    with pytest.warns(UserWarning, match="saved with device='cuda:99'"):
        loaded = pickle.loads(pickle.dumps(twin))
    assert loaded.device == "auto"


def test_a_folder_can_be_moved(fitted, folder, tmp_path):
    shutil.move(folder, tmp_path / "elsewhere")
    loaded = MuxTextClassifier.load(str(tmp_path / "elsewhere"))
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
