"""The contextual multiplexer and deep demultiplexers in estimators."""

import numpy as np
import pytest
import transformers

from muxlearn.rows._texts import train_tokenizer

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
TAGS = [[word[0] for word in text.split()] for text in TEXTS]
KINDS = ("classifier", "tagger")
SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
SPECIAL = dict.fromkeys(("cls_token_id", "bos_token_id", "sep_token_id", "eos_token_id"), 1)
CONFIGS = {
    "compact": None,
    "ELECTRA": transformers.ElectraConfig(embedding_size=10, **SIZES),
    "ModernBERT": transformers.ModernBertConfig(pad_token_id=0, **SPECIAL, **SIZES),
}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    """Folders of encoders by name; None stands for the library's own."""
    folders = {}
    transformers.logging.disable_progress_bar()
    for name, config in CONFIGS.items():
        folders[name] = config and tmp_path_factory.mktemp(name)
        if config is not None:
            transformers.AutoModel.from_config(config).save_pretrained(folders[name])
            transformers.PreTrainedTokenizerFast(
                tokenizer_object=train_tokenizer(TEXTS, 300), pad_token="[PAD]"
            ).save_pretrained(folders[name])
    transformers.logging.enable_progress_bar()
    return folders


@pytest.fixture(scope="module")
def make(tiny_classifier, tiny_tagger, backbones):
    def build(kind, backbone="compact", **params):
        maker = {"classifier": tiny_classifier, "tagger": tiny_tagger}[kind]
        if backbones[backbone] is not None:
            params["backbone"] = backbones[backbone]
        return maker(**{"multiplexer": "contextual"} | params)

    return build


def data_of(kind):
    return (TEXTS, LABELS) if kind == "classifier" else ([t.split() for t in TEXTS], TAGS)


def probabilities(estimator, rows, **options):
    proba = estimator.predict_proba(rows, **options)
    return np.concatenate(proba) if isinstance(proba, list) else proba


@pytest.mark.parametrize("backbone", CONFIGS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_trained_saved_and_loaded(make, kind, backbone, tmp_path):
    rows, y = data_of(kind)
    estimator = make(
        kind, backbone, n_mux=3, operating_points=(1, 3), architecture__demux_layers=2
    ).fit(rows, y)
    expected = probabilities(estimator, rows)
    assert np.isfinite(estimator.history_[:, "train_loss"]).all()
    estimator.save(tmp_path)
    again = type(estimator).load(tmp_path)
    np.testing.assert_array_equal(probabilities(again, rows), expected)
    for n_mux in (1, 2):
        np.testing.assert_array_equal(
            probabilities(again, rows, n_mux=n_mux), probabilities(estimator, rows, n_mux=n_mux)
        )


@pytest.mark.parametrize("backbone", CONFIGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_mux", [1, 2])
def test_a_prediction_does_not_depend_on_padding(make, kind, backbone, n_mux):
    rows, y = data_of(kind)
    estimator = make(kind, backbone, batch_size=2).fit(rows, y)
    short, long = ["a b c", "d e"], ["a text that is longer than the others"] * 2
    if kind == "tagger":
        short, long = [t.split() for t in short], [t.split() for t in long]
    alone = estimator.predict_proba(short, n_mux=n_mux)
    padded = estimator.predict_proba([*short, *long], n_mux=n_mux)[:2]
    for p, a in zip(padded, alone, strict=True):
        np.testing.assert_allclose(p, a, atol=1e-6)


def test_one_text_in_a_pass_needs_no_multiplexer(make):
    # As without: there is nothing to tell apart, and no layer runs on the rows.
    plain = make("classifier", n_mux=1, multiplexer="subspace").fit(TEXTS, LABELS)
    clf = make("classifier", n_mux=1).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), plain.predict_proba(TEXTS))


def test_keys_may_stay_while_layers_learn(make):
    params = {"architecture__learn_keys": False, "warm_up": None, "lr": 1e-2}
    before = make("classifier", max_epochs=0, **params).fit(TEXTS, LABELS).module_.state_dict()
    after = make("classifier", **params).fit(TEXTS, LABELS).module_.state_dict()
    same = {name for name in before if (before[name] == after[name]).all()}
    assert {n for n in same if n.startswith("multiplexer.")} == {
        "multiplexer.keys",
        "multiplexer.scale",
    }


def test_it_learns(make):
    texts = ["snow and ice", "sun and sand", "frost in winter", "heat in summer"] * 8
    params = {"backbone__hidden_size": 32, "max_epochs": 20, "lr": 3e-3}
    clf = make("classifier", **params).fit(texts, [0, 1] * 16)
    assert clf.score(texts, [0, 1] * 16) == 1
    assert clf.score(texts, [0, 1] * 16, n_mux=1) == 1


@pytest.mark.parametrize("demux_layers", [0, 1.5, None])
def test_a_number_of_layers_that_is_none_is_refused(make, demux_layers):
    with pytest.raises((TypeError, ValueError), match="`demux_layers` must be a whole number"):
        make("classifier", architecture__demux_layers=demux_layers).fit(TEXTS, LABELS)


def test_other_demultiplexers_have_no_layers_to_choose(make):
    clf = make("classifier", demultiplexer="mlp", architecture__demux_layers=4)
    with pytest.raises(ValueError, match="`demux_layers` is 4, but demultiplexer='mlp' has none"):
        clf.fit(TEXTS, LABELS)


def test_training_goes_on_with_as_many_layers(make):
    clf = make("classifier", architecture__demux_layers=2, warm_start=True).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="goes on with architecture__demux_layers=2, but"):
        clf.set_params(architecture__demux_layers=3).fit(TEXTS, LABELS)


def test_layers_are_counted_by_the_parameter(make):
    clf = make("classifier", max_epochs=0, architecture__demux_layers=3)
    assert len(clf.fit(TEXTS, LABELS).module_.demultiplexer.hidden) == 2
