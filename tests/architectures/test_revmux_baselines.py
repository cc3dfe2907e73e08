"""The baselines of RevMUX's paper beside it."""

import numpy as np
import pytest
import torch
import transformers

from muxlearn import MuxTextClassifier
from muxlearn.architectures import RevMUX

TEXTS = [f"{a} {b}" for a in ("snow and ice", "sun and sand") for b in "abcdefghij"]
LABELS = ["winter"] * 10 + ["summer"] * 10
SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}


@pytest.fixture(scope="module")
def tiny(tiny_classifier, tmp_path_factory, write_backbone):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    bert = write_backbone(folder, transformers.BertConfig(**SIZES))
    return lambda adapters, **params: tiny_classifier(
        **{"architecture": RevMUX(adapters=adapters), "backbone": bert, "n_mux": 2, **params}
    )


@pytest.mark.parametrize("adapters", ["ora", "adapter"])
@pytest.mark.parametrize("n_mux", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_baseline_learns_saves_and_loads(tiny, adapters, n_mux, tmp_path):
    clf = tiny(adapters, n_mux=n_mux, max_epochs=30, lr=5e-3).fit(TEXTS, LABELS)
    losses = clf.history_[:, "train_loss"]
    assert losses[-1] < losses[0] - 0.1
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    assert loaded.architecture == RevMUX(adapters=adapters)
    for rows in (1, 2, n_mux):
        if n_mux % rows == 0:
            np.testing.assert_array_equal(
                loaded.predict_proba(TEXTS, n_mux=rows), clf.predict_proba(TEXTS, n_mux=rows)
            )


def test_only_the_parts_that_a_baseline_drops_differ(tiny):
    parts = {
        adapters: {name.partition(".")[0] for name, _ in module.named_parameters()}
        for adapters in ("reversible", "ora", "adapter")
        for module in [tiny(adapters, max_epochs=0).fit(TEXTS, LABELS).module_.multiplexer]
    }
    assert parts["reversible"] == parts["ora"] == {"down", "couplings"}
    assert parts["adapter"] == {"mapping", "fold"}


def test_other_adapters_are_refused(tiny):
    with pytest.raises(
        ValueError, match="`adapters` must be one of 'reversible', 'ora', 'adapter'"
    ):
        tiny("linear").fit(TEXTS, LABELS)
