"""A new architecture is one class and a line in a registry."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from muxlearn import MuxTextClassifier, architectures
from muxlearn._params import Integer
from muxlearn.architectures import Architecture, Built, MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.nn.module import MuxModule

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 4
LABELS = ["weather", "sport"] * 8


class Bag(MuxModule):
    """The mean of a text's token vectors; texts of a mixture do not meet."""

    def __init__(self, n_tokens, width, n_outputs, n_mux):
        super().__init__()
        self.n_mux = n_mux
        self.table = nn.Embedding(n_tokens, width)
        self.out = nn.Linear(width, n_outputs)

    def forward(self, input_ids, attention_mask, n_mux=None):
        vectors = self.table(input_ids) * attention_mask[..., None]
        return self.out(vectors.sum(1) / attention_mask.sum(1, keepdim=True))

    def for_inference(self, dtype=None):
        return self.eval()


class BagOfWords(Architecture):
    """A bag of words."""

    name = "bag"
    constraints: ClassVar = {"width": Integer(1)}
    structural = ("width",)

    def __init__(self, *, width=8):
        self.width = width

    def backbone(self, given):
        return Scratch() if given is None else given

    def build(self, setting, data, n_outputs):
        reader = self.backbone(setting.params["backbone"]).learn_reader(
            data, setting.params["max_length"]
        )
        n_tokens = reader.get_vocab_size()
        return Built(reader, Bag(n_tokens, self.width, n_outputs, setting.n_mux), self)

    def config(self, module):
        return {"n_tokens": module.table.num_embeddings}

    def rebuild(self, setting, config, n_outputs):
        return Bag(config["n_tokens"], self.width, n_outputs, setting.n_mux)

    def learning_rate(self, setting, module):
        return 0.03

    def param_groups(self, setting, module, lr):
        return [("*", {})]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(architectures.TEXT_ARCHITECTURES, "bag", BagOfWords)


def toy(**params):
    return MuxTextClassifier(
        **{"n_mux": 2, "architecture": "bag", "batch_size": 4, "random_state": 0, **params}
    )


@pytest.mark.slow
def test_a_toy_is_trained_saved_and_loaded(registered, tmp_path):
    clf = toy(architecture=BagOfWords(width=4)).fit(TEXTS, LABELS)
    assert clf.score(TEXTS, LABELS) == 1
    assert clf.net_.lr == 0.03
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.architecture == BagOfWords(width=4)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


def test_a_toy_is_searched(registered):
    search = GridSearchCV(toy(max_epochs=1), {"architecture__width": [2, 3]}, cv=2)
    assert search.fit(TEXTS, LABELS).best_estimator_.architecture.width in (2, 3)


def test_its_parameters_are_checked_in_fit(registered):
    clf = toy(architecture=BagOfWords(width=0))
    with pytest.raises(ValueError, match="`width` must be a whole number of at least 1, got 0"):
        clf.fit(TEXTS, LABELS)


def test_objects_are_equal_by_their_parameters():
    assert MIMOFormer(grid=(2, 2)) == MIMOFormer(grid=(2, 2)) != MIMOFormer()
    assert clone(MIMOFormer(pooling="cls")) == MIMOFormer(pooling="cls")


def test_a_string_becomes_an_object_where_its_parameters_are_set():
    clf = MuxTextClassifier(architecture="mimoformer", backbone="scratch")
    clf.set_params(architecture__grid=(5, 2), backbone__hidden_size=32)
    assert clf.architecture == MIMOFormer(grid=(5, 2))
    assert clf.backbone == Scratch(hidden_size=32)
    with pytest.raises(ValueError, match="`backbone` is None, which has no parameters"):
        MuxTextClassifier().set_params(backbone__hidden_size=32)
