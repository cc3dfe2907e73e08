"""A new architecture is one class and a line in a registry."""

import copy
import math
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger, architectures
from muxlearn._params import Integer
from muxlearn.architectures import Architecture, Built, ImageArchitecture, MIMOFormer
from muxlearn.backbones import Scratch, make_backbone
from muxlearn.nn.module import MuxModule
from muxlearn.pretraining import MuxTextPretrainer

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
        model = copy.deepcopy(self).eval()
        return model if dtype is None else model.to(dtype)


class BagOfWords(Architecture):
    """A bag of words."""

    name = "bag"
    tasks = ("sequence",)
    unused = ("multiplexer", "demultiplexer", "warm_up")
    constraints: ClassVar = {"width": Integer(1)}
    structural = ("width",)

    def __init__(self, *, width=8):
        self.width = width

    def backbone(self, given):
        return make_backbone("scratch" if given is None else given)

    def check(self, setting):
        super().check(setting)
        given = setting.params["backbone"]
        if not self.backbone(given).from_scratch:
            raise ValueError(f"`backbone` is {given!r}, but architecture='bag' needs 'scratch'")

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


@pytest.mark.parametrize("backbone", ["scratch", Scratch(vocab_size=300)])
def test_a_backbone_may_be_named_or_given(registered, backbone):
    clf = toy(backbone=backbone, max_epochs=1).fit(TEXTS, LABELS)
    assert len(clf.predict(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize(
    ("estimator", "params", "message"),
    [
        (MuxTokenTagger, {}, "'bag' is for a MuxTextClassifier, not for a MuxTokenTagger; take"),
        (MuxTextPretrainer, {"objective": "retrieval"}, "not for a MuxTextPretrainer; take"),
        (MuxTextClassifier, {"multiplexer": "hadamard"}, "'hadamard', but .*'bag' has no use for"),
        (MuxTextClassifier, {"demultiplexer": "mlp"}, "`demultiplexer` is 'mlp', but .*'bag'"),
        (MuxTextClassifier, {"warm_up": 5}, "`warm_up` is 5, but .*'bag' .* leave it at 'auto'"),
        (MuxTextClassifier, {"backbone": "bert"}, "`backbone` is 'bert', but .* needs 'scratch'"),
    ],
    ids=str,
)
def test_what_has_no_effect_is_an_error(registered, estimator, params, message):
    rows = [text.split() for text in TEXTS] if estimator is MuxTokenTagger else TEXTS
    y = rows if estimator is MuxTokenTagger else LABELS
    with pytest.raises(ValueError, match=message):
        estimator(n_mux=2, architecture="bag", **params).fit(rows, y)


def test_an_architecture_without_a_registry_is_not_saved(tmp_path):
    clf = toy(architecture=BagOfWords(width=2), max_epochs=1).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match=r"'bag' is neither in TEXT_ARCHITECTURES .* joblib"):
        clf.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


class Pixels(MuxModule):
    """A linear layer for each image."""

    def __init__(self, n_pixels, n_outputs, n_mux):
        super().__init__()
        self.n_mux = n_mux
        self.out = nn.Linear(n_pixels, n_outputs)

    def forward(self, images, n_mux=None):
        return self.out(images.flatten(1))

    def for_inference(self, dtype=None):
        model = copy.deepcopy(self).eval()
        return model if dtype is None else model.to(dtype)


class Linear(ImageArchitecture):
    """All that an image architecture defines."""

    name = "linear"

    def make(self, setting, shape, n_outputs):
        return Pixels(math.prod(shape), n_outputs, setting.n_mux)

    def learning_rate(self, setting, module):
        return 0.1


def test_an_image_architecture_is_a_module_and_a_learning_rate():
    rng = np.random.default_rng(0)
    images = rng.random((16, 4, 4), np.float32) + np.arange(16)[:, None, None] % 2
    clf = MuxImageClassifier(n_mux=2, architecture=Linear(), max_epochs=5, random_state=0)
    assert clf.fit(images, np.arange(16) % 2).score(images, np.arange(16) % 2) > 0.8
    with pytest.raises(
        ValueError, match=r"`multiplexer` must be .*'identity', got 'hrr'.*'linear'"
    ):
        clf.set_params(multiplexer="hrr").fit(images, np.arange(16) % 2)


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
