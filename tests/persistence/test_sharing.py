"""Estimators as folders with a card: `save_pretrained` and `from_pretrained`."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.persistence import FormatError
from tests.persistence.hub_server import FILES, assert_same

# scikit-learn's contract


@pytest.mark.parametrize("cls", [MuxTextClassifier, MuxTokenTagger, MuxImageClassifier])
def test_an_estimator_holds_its_parameters_and_nothing_else(cls):
    model = cls(n_mux=3).set_params(n_mux=7)
    assert vars(model) == model.get_params(deep=False)
    assert vars(clone(model)) == vars(model)
    assert vars(pickle.loads(pickle.dumps(model))) == vars(model)
    assert repr(clone(model)) == f"{cls.__name__}(n_mux=7)"


def test_a_loaded_estimator_is_cloned_like_any_other(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    loaded = MuxTextClassifier.from_pretrained(tmp_path)
    assert vars(clone(loaded)) == loaded.get_params(deep=False) == fitted.get_params(deep=False)
    assert repr(loaded) == repr(fitted)


# Folders


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_comes_back(fitted, tmp_path, kind):
    fitted.save_pretrained(kind(tmp_path / "model"))
    assert {file.name for file in (tmp_path / "model").iterdir()} == FILES
    assert_same(MuxTextClassifier.from_pretrained(kind(tmp_path / "model")), fitted)
    assert_same(MuxTextClassifier.load(tmp_path / "model"), fitted)


def test_what_save_has_written_comes_back(fitted, tmp_path):
    fitted.save(tmp_path)
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_images_come_back(images, tmp_path):
    images.save_pretrained(tmp_path)
    rows = np.random.RandomState(0).rand(5, 8, 8)
    assert_same(MuxImageClassifier.from_pretrained(tmp_path), images, rows)


def test_a_tagger_comes_back(tagger, tmp_path):
    tagger.save_pretrained(tmp_path)
    loaded = MuxTokenTagger.from_pretrained(tmp_path)
    assert loaded.predict([["the", "cat"]]) == tagger.predict([["the", "cat"]])


def test_a_card_is_replaced_with_its_model(fitted, tmp_path):
    fitted.save_pretrained(tmp_path, scores={1: {"accuracy": 0.125}})
    fitted.save_pretrained(tmp_path)
    assert "0.125" not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("text", ["# My project\n", "caf\xe9".encode("latin1")])
def test_a_file_of_somebody_else_is_left_as_it_is(fitted, tmp_path, text):
    file = tmp_path / "README.md"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    with pytest.warns(UserWarning, match=r"existing README\.md lacks the comment"):
        fitted.save_pretrained(tmp_path)
    assert file.read_bytes() == before
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_without_its_first_comment_a_card_is_somebody_s_own(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    file = tmp_path / "README.md"
    own = re.sub("<!--.*-->", "My words.", file.read_text())
    file.write_text(own)
    with pytest.warns(UserWarning, match="lacks the comment.* it is kept"):
        fitted.save_pretrained(tmp_path)
    assert file.read_text() == own


def test_what_is_not_fitted_leaves_a_folder_alone(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    with pytest.raises(NotFittedError):
        MuxTextClassifier().save_pretrained(tmp_path)
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_a_wrong_card_writes_nothing(fitted, tmp_path):
    with pytest.raises(ValueError, match=r"`n_mux` must be a whole number .* got 3"):
        fitted.save_pretrained(tmp_path / "model", scores={3: {"accuracy": 0.5}})
    assert not (tmp_path / "model").exists()


def test_a_folder_of_another_library(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FormatError, match=r"another library; .* `backbone`, .* `from_reference`"):
        MuxTextClassifier.from_pretrained(tmp_path)


def test_a_folder_of_another_estimator(tagger, tmp_path):
    tagger.save_pretrained(tmp_path)
    with pytest.raises(FormatError, match=r"MuxTokenTagger\.load or \.from_pretrained"):
        MuxTextClassifier.from_pretrained(tmp_path)


def test_a_path_without_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="`name_or_folder`: there is no folder"):
        MuxTextClassifier.from_pretrained(tmp_path / "nothing")
