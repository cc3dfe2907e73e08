"""A new reader is one class, with its files, and a line in a registry."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from muxlearn import MuxTextClassifier, architectures
from muxlearn._params import Integer
from muxlearn.architectures import TMUX, Built
from muxlearn.backbones import Scratch
from muxlearn.estimators._model_card import model_card
from muxlearn.export import OnnxMuxClassifier, export_onnx
from muxlearn.persistence import FormatError, write_folder
from muxlearn.prediction import load_predictor
from muxlearn.rows import READERS, Reader, TokenTable, check_rows
from tests.architectures.test_architectures import LABELS, TEXTS, Bag, BagOfWords


@dataclass(frozen=True)
class LetterReader(Reader):
    """Reads a text, or both of a pair, as letters."""

    letters: str
    max_length: int

    kind = "letters"
    constraints: ClassVar = {"max_length": Integer(1)}
    column_kind = "texts"

    def iterate(self, X):
        return iter(X)

    def check(self, X, *, first_row=0):
        return check_rows(X, first_row=first_row)

    def table(self, rows):
        rows = ["".join(row)[: self.max_length] or " " for row in rows]
        numbers = [self.letters.find(letter) + 1 for row in rows for letter in row]
        return TokenTable(np.array(numbers), np.array([len(row) for row in rows]))

    def to_config(self):
        return {"kind": self.kind, "max_length": self.max_length}

    def files(self):
        return {"letters.txt": self.letters}

    @classmethod
    def from_config(cls, config, files):
        return cls(files["letters.txt"], config["max_length"])


class BagOfLetters(BagOfWords):
    """A bag of letters."""

    name = "letters"

    def build(self, setting, data, n_outputs):
        letters = "".join(sorted({letter for row in data.rows for letter in "".join(row)}))
        reader = LetterReader(letters, setting.params["max_length"])
        return Built(reader, Bag(len(letters) + 1, self.width, n_outputs, setting.n_mux), self)


class Lettered(TMUX):
    """Reads letters with an encoder."""

    name = "lettered"

    def build(self, setting, data, n_outputs):
        reader = LetterReader("abcdefghijklmnopqrstuvwxyz ", setting.params["max_length"])
        return super().build(setting, data, n_outputs)._replace(reader=reader)


@pytest.fixture(scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(READERS, LetterReader.kind, LetterReader)
        patch.setitem(architectures.TEXT_ARCHITECTURES, BagOfLetters.name, BagOfLetters)
        yield


@pytest.fixture(scope="module")
def fitted(registered):
    clf = MuxTextClassifier(n_mux=2, architecture="letters", max_epochs=2, random_state=0)
    return clf.fit(TEXTS, LABELS)


def test_it_reads_for_the_estimator(fitted):
    assert fitted.predictor_.reader == LetterReader(" adeghilnopqrstuwy", 128)
    assert len(fitted.predict(["", *TEXTS])) == len(TEXTS) + 1


def test_it_reads_columns_of_pairs(fitted):
    frame = pd.DataFrame({"first": TEXTS, "second": TEXTS})
    assert len(clone(fitted).fit(frame, LABELS).predict(frame)) == len(TEXTS)


def test_its_card_says_texts(fitted):
    assert "[[3, 1, 4], [1, 5]]" not in str(model_card(fitted, "model"))


def test_its_files_are_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["config.json", "letters.txt", "model.safetensors"]
    for loaded in (MuxTextClassifier.load(tmp_path), load_predictor(tmp_path)):
        assert loaded.predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()


def test_its_files_are_checked(fitted, tmp_path):
    fitted.save(tmp_path)
    (tmp_path / "letters.txt").write_text("abc")
    with pytest.raises(FormatError, match=r"letters\.txt in .* is not the file that was saved"):
        MuxTextClassifier.load(tmp_path)


@pytest.mark.slow
def test_its_files_are_exported(registered, monkeypatch, tmp_path):
    monkeypatch.setitem(architectures.TEXT_ARCHITECTURES, Lettered.name, Lettered)
    scratch = Scratch(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=300)
    clf = MuxTextClassifier(n_mux=2, architecture="lettered", backbone=scratch, max_length=16)
    clf.set_params(warm_up=None, max_epochs=1, random_state=0).fit(TEXTS, LABELS)
    export_onnx(clf, tmp_path)
    exported = OnnxMuxClassifier.load(tmp_path)
    assert exported.predictor_.reader == clf.predictor_.reader
    np.testing.assert_allclose(exported.predict_proba(TEXTS), clf.predict_proba(TEXTS), atol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["../letters", "a/letters", ".letters", "", "config.json", "model.safetensors", "README.md"],
)
def test_a_file_stands_in_the_folder_by_a_name_of_its_own(name, tmp_path):
    with pytest.raises(ValueError, match=r"`files` has the name '.*'; give one of"):
        write_folder(tmp_path / "model", {}, {}, {name: "abc"}, {"README.md": b"mine"})
    assert not list(tmp_path.iterdir())
