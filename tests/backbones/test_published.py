"""Published checkpoints as `backbone`: a start with the authors' arithmetic and a new head."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Published
from muxlearn.benchmark.parity import load_case
from muxlearn.nn._loading import rename_parameters
from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
)
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.persistence import FormatError

GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="no recorded cases")

SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 24,
}
BERT = SIZES | {"vocab_size": 700, "pad_token_id": 0, "type_vocab_size": 2}
ROBERTA = SIZES | {"vocab_size": 50265, "pad_token_id": 1, "type_vocab_size": 1}
OFFICIAL = {
    ReferenceSequenceClassifier: "RobertaSequenceClassificationMuxed",
    ReferenceTokenClassifier: "RobertaTokenClassificationMuxed",
    MuxBertSequenceClassifier: "MuxedBertForSequenceClassification",
    MuxBertTokenClassifier: "MuxedBertForTokenClassification",
    MuxBertMaskedLM: "MuxedBertForMaskedLM",
}
DATAMUX = {"n_mux": 3, "n_classes": 2, "demultiplexer": "index", "orthogonal": False}
MUXBERT = {
    "n_mux": 3,
    "n_classes": None,
    "demultiplexer": "index_pos",
    "multiplexer": "vector",
    "n_demux_layers": 2,
}
WARM_UP = (ReferenceSequenceClassifier, DATAMUX)
WORDS = (MuxBertMaskedLM, MUXBERT)
#: What one may start from.
VARIANTS = {
    "warm-up": WARM_UP,
    "warm-up-mlp": (ReferenceSequenceClassifier, DATAMUX | {"demultiplexer": "mlp"}),
    "warm-up-ortho": (ReferenceSequenceClassifier, DATAMUX | {"orthogonal": True}),
    "words": WORDS,
    "words-3": (MuxBertMaskedLM, MUXBERT | {"n_demux_layers": 3}),
    "words-prefix": (MuxBertMaskedLM, MUXBERT | {"demultiplexer": "index"}),
    "words-contextual": (MuxBertMaskedLM, MUXBERT | {"multiplexer": "contextual"}),
}
FINE_TUNED = {
    "rows": (MuxBertSequenceClassifier, MUXBERT | {"n_classes": 4}),
    "tokens": (MuxBertTokenClassifier, MUXBERT | {"n_classes": 4}),
    "roberta-tokens": (ReferenceTokenClassifier, DATAMUX),
}
TEXTS = ["a b c", "b", "c a a b d", "e", "a e", "d d d", "b a", "c"]
LABELS = ["x", "y"] * 4
DATA = {
    MuxTextClassifier: (TEXTS, LABELS),
    MuxTokenTagger: ([t.split() for t in TEXTS], [list(t.replace(" ", "")) for t in TEXTS]),
}
both_estimators = pytest.mark.parametrize("estimator", DATA)


def make_tokenizer():
    """Return a tokenizer that knows a few words and puts a mark before a text and behind it."""
    words = {"[PAD]": 0, "[CLS]": 1, "[UNK]": 2, **{c: 3 + i for i, c in enumerate("abcde")}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [UNK]",
        pair="[CLS] $A [UNK] $B [UNK]",
        special_tokens=[("[CLS]", 1), ("[UNK]", 2)],
    )
    return tokenizer


def write_folder(folder, config, tensors, tokenizer=True):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(tensors, folder / "pytorch_model.bin")
    if tokenizer:
        make_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def checkpoints():
    """Configuration and tensors of every variant under the authors' names, made once."""
    made = {}

    def make(variant):
        if variant not in made:
            model_class, kinds = (VARIANTS | FINE_TUNED)[variant]
            config = BERT if model_class.__name__.startswith("MuxBert") else ROBERTA
            model = model_class(config, **kinds)
            for name, parameter in model.named_parameters():
                is_scale = "norm" in name.lower() and name.endswith("weight")
                nn.init.normal_(parameter, mean=float(is_scale), std=0.3)
            names = model._names() | {"backbone.": model._backbone_name}
            tensors = {k: v.detach().clone() for k, v in rename_parameters(model, names).items()}
            said = {"architectures": [OFFICIAL[model_class]], "num_instances": model.n_mux}
            made[variant] = config | said, tensors
        config, tensors = made[variant]
        return dict(config), dict(tensors)

    return make


@pytest.fixture
def folder_of(checkpoints, tmp_path):
    """Write a variant's folder; keyword arguments change the configuration."""

    def write(variant, tokenizer=True, tensors=None, **config):
        said, own = checkpoints(variant)
        folder = tmp_path / variant
        return write_folder(folder, said | config, own if tensors is None else tensors, tokenizer)

    return write


def start(estimator, folder, **params):
    """Fit with a `backbone`; without epochs that is what training would begin with."""
    params = {"n_mux": 3, "max_epochs": 0, "max_length": 8, "random_state": 0} | params
    return estimator(backbone=folder, **params).fit(*DATA[estimator])


def probabilities(estimator, **options):
    proba = estimator.predict_proba(DATA[type(estimator)][0], **options)
    return np.concatenate(proba) if isinstance(proba, list) else proba


# What it starts from


@pytest.mark.parametrize("variant", VARIANTS)
@both_estimators
def test_all_but_the_head_is_the_checkpoints(checkpoints, folder_of, estimator, variant):
    model = start(estimator, folder_of(variant)).module_.model
    _, tensors = checkpoints(variant)
    names = model._names() | {"backbone.": model._backbone_name}
    for name, tensor in rename_parameters(model, names).items():
        if name.startswith(model._head_names):
            assert name not in tensors or not torch.equal(tensor, tensors[name])
        elif name == "instance_embedding" and variant not in ("warm-up-ortho", "words-contextual"):
            # We divide by the root of n_mux, the reference by n_mux.
            torch.testing.assert_close(tensor, tensors[name] / 3**0.5)
        else:
            assert torch.equal(tensor, tensors[name]), name


@both_estimators
def test_the_head_has_the_classes_of_the_data(folder_of, estimator):
    fitted = start(estimator, folder_of("words"))
    n_classes = {MuxTextClassifier: 2, MuxTokenTagger: 5}[estimator]
    assert probabilities(fitted).shape[1] == len(fitted.classes_) == n_classes


@both_estimators
def test_one_seed_gives_one_head(folder_of, estimator):
    folder = folder_of("words")
    same = [start(estimator, folder, random_state=seed) for seed in (0, 0, 1)]
    first, second, other = map(probabilities, same)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-4


@both_estimators
def test_a_name_says_nothing_and_the_tensors_all(folder_of, estimator):
    folder = folder_of("words", architectures=["BertModel"], num_instances=None, model_type="bert")
    assert isinstance(start(estimator, folder).module_, ReferenceTextModule)


def test_safetensors_are_known_too(checkpoints, folder_of):
    folder = folder_of("words")
    expected = probabilities(start(MuxTextClassifier, folder))
    save_file(checkpoints("words")[1], folder / "model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    np.testing.assert_array_equal(probabilities(start(MuxTextClassifier, folder)), expected)


def recorded_words():
    paths = sorted(GOLDEN.glob("muxbert/*_mlm_*.json"))
    absent = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
    return [pytest.param(p, id=p.stem) for p in paths] or [
        pytest.param(None, id="none", marks=absent)
    ]


@pytest.mark.parametrize("path", recorded_words())
def test_the_encoder_sees_what_the_authors_code_saw(path, tmp_path):
    """The recorded outputs of the encoder of a masked language model, to 2e-5."""
    config, tensors, outputs = load_case(path)
    write_folder(tmp_path, config, tensors, tokenizer=False)
    vocabulary = {str(i): i for i in range(config["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ids = outputs["input.input_ids"]
    texts = [" ".join(map(str, row)) for row in ids.tolist()]
    clf = MuxTextClassifier(
        backbone=Published(tmp_path, tokenizer=tokenizer),
        n_mux=config["num_instances"],
        max_length=ids.shape[1],
        max_epochs=0,
    ).fit(texts, np.arange(len(texts)) % 2)
    model = clf.module_.model
    if "attention" in path.stem:
        model.multiplexer.mask_slots = False  # the class for words has no mask there
    with torch.no_grad():
        _, hidden = model._encode(ids, outputs["input.attention_mask"])
    torch.testing.assert_close(hidden, outputs["output.sequence_output"], atol=2e-5, rtol=0)


@golden
@both_estimators
@pytest.mark.parametrize(
    "folder", ["datamux_seqcls_index_N2", "muxbert_mlm_contextual_index_pos_N2"]
)
def test_the_authors_own_folders_are_a_start(folder, estimator, tmp_path):
    source = GOLDEN / f"ckpt_{folder}"
    tensors = torch.load(source / "pytorch_model.bin", weights_only=True)
    config = json.loads((source / "config.json").read_text())
    fitted = start(estimator, write_folder(tmp_path, config, tensors), n_mux=2, max_epochs=1)
    assert isinstance(fitted.module_, ReferenceTextModule)
    assert np.isfinite(probabilities(fitted)).all()


# Training


@pytest.mark.parametrize("variant", VARIANTS)
@both_estimators
def test_it_is_trained_saved_and_loaded(folder_of, estimator, variant, tmp_path):
    params = {"max_epochs": 2, "batch_size": 2, "operating_points": (1, 3)}
    before = start(estimator, folder_of(variant)).module_.state_dict()
    fitted = start(estimator, folder_of(variant), **params)
    after = fitted.module_.state_dict()
    moved = {n.split(".")[1] for n in before if not torch.equal(before[n], after[n])}
    assert {"backbone", "demultiplexer", "head", "retrieval_demultiplexer"} <= moved
    expected = [probabilities(fitted, n_mux=n) for n in (3, 2, 1)]
    fitted.save(tmp_path / "saved")
    (tmp_path / variant / "config.json").unlink()  # nothing of the checkpoint is asked for again
    again = estimator.load(tmp_path / "saved")
    for n_mux, proba in zip((3, 2, 1), expected, strict=True):
        np.testing.assert_array_equal(probabilities(again, n_mux=n_mux), proba)
    assert again.get_params()["backbone"] == str(tmp_path / variant)


def test_a_pickle_predicts_the_same(folder_of):
    fitted = start(MuxTextClassifier, folder_of("words"))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(probabilities(again), probabilities(fitted))


@pytest.mark.slow
@both_estimators
def test_it_learns(folder_of, estimator):
    params = {"max_epochs": 30, "batch_size": 4, "lr": 0.01, "dropout": 0.0}
    params |= {"architecture": TMUX(retrieval_weight=0), "random_state": 0}
    fitted = estimator(n_mux=3, backbone=folder_of("words"), max_length=5, **params)
    rows, y = ["a a a", "b b b"] * 12, ["x", "y"] * 12
    if estimator is MuxTokenTagger:
        rows, y = [row.split() for row in rows], [[label] * 3 for label in y]
    losses = fitted.fit(rows, y).history_[:, "train_loss"]
    assert losses[-1] < 0.5 * losses[0]


@both_estimators
def test_the_authors_have_done_the_warm_up_but_it_may_go_on(folder_of, estimator):
    assert start(estimator, folder_of("words")).warm_up_history_ is None
    asked = start(estimator, folder_of("words"), warm_up=2)
    assert len(asked.warm_up_history_) == 2


def test_the_head_learns_faster_than_what_has_learned(folder_of):
    clf = start(MuxTextClassifier, folder_of("words"), max_epochs=1)
    rates = {}
    for group in clf.net_.optimizer_.param_groups:
        for parameter in group["params"]:
            rates[id(parameter)] = group["initial_lr"]
    of = {name: rates[id(p)] for name, p in clf.module_.named_parameters() if p.requires_grad}
    assert of["model.head.out.weight"] == of["model.head.out.bias"] == pytest.approx(2.5e-4)
    assert {rate for name, rate in of.items() if ".head." not in name} == {5e-5}


@pytest.mark.parametrize(
    ("said", "learn_keys", "learned"),
    [(1, True, True), (1, False, False), (0, True, False), (None, True, False)],
)
def test_keys_learn_as_they_did_unless_they_shall_not(folder_of, said, learn_keys, learned):
    folder = folder_of("words", learn_muxing=said)
    clf = start(MuxTextClassifier, folder, architecture=TMUX(learn_keys=learn_keys))
    assert clf.module_.model.multiplexer.keys.requires_grad is learned


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (MuxTextClassifier, {"demux_layers": 3}),
        (MuxTextClassifier, {"lexical_path": False}),
        (MuxTextClassifier, {"lexical_length": 99}),
        (MuxTokenTagger, {"lexical_size": 16}),
    ],
)
def test_parameters_of_our_own_parts_are_refused(folder_of, estimator, params):
    (name,) = params
    with pytest.raises(ValueError, match=f"`{name}` is .* no effect on .*, a published model"):
        start(estimator, folder_of("words"), architecture=TMUX(**params))


def test_dropout_is_that_of_the_estimator(folder_of):
    clf = start(MuxTextClassifier, folder_of("words"), dropout=0.3)
    config = clf.module_.model.backbone.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.3, 0.0)


def test_training_goes_on(folder_of):
    clf = start(MuxTextClassifier, folder_of("words"), warm_start=True, max_epochs=1)
    before = clf.module_.model.head.out.weight.clone()
    clf.fit(TEXTS, LABELS)
    assert clf.n_iter_ == 2
    assert 0 < (clf.module_.model.head.out.weight - before).abs().max() < 0.05


# What does not fit


@both_estimators
@pytest.mark.parametrize("n_mux", [1, 2, 10])
def test_n_mux_that_disagrees_with_the_weights_is_refused(folder_of, estimator, n_mux):
    message = rf"`n_mux` is {n_mux}, but the checkpoint in .* with 3 slots; set n_mux=3"
    with pytest.raises(ValueError, match=message):
        start(estimator, folder_of("words"), n_mux=n_mux)


@pytest.mark.parametrize(
    ("name", "value", "own"),
    [("multiplexer", "orthogonal", "hadamard"), ("demultiplexer", "mlp", "rsa")],
)
def test_a_choice_that_disagrees_with_the_weights_is_refused(folder_of, name, value, own):
    with pytest.raises(ValueError, match=f"`{name}` is '{value}', .* comes with its own, '{own}'"):
        start(MuxTextClassifier, folder_of("words"), **{name: value})


@pytest.mark.parametrize("multiplexer", ["contextual", "auto"])
def test_a_choice_may_agree_or_be_left_out(folder_of, multiplexer):
    clf = start(MuxTextClassifier, folder_of("words-contextual"), multiplexer=multiplexer)
    assert clf.multiplexer == multiplexer


@pytest.mark.parametrize(
    ("variant", "estimator"),
    [
        ("tokens", MuxTextClassifier),
        ("roberta-tokens", MuxTextClassifier),
        ("rows", MuxTokenTagger),
    ],
)
def test_a_classifier_of_another_task_is_refused(folder_of, variant, estimator):
    right = ({*DATA} - {estimator}).pop()
    message = f"from which no {estimator._kind.level} classifier can start.*{right.__name__}.f"
    with pytest.raises(ValueError, match=message):
        start(estimator, folder_of(variant))


@pytest.mark.parametrize(
    ("variant", "estimator"),
    [
        ("rows", MuxTextClassifier),
        ("tokens", MuxTokenTagger),
        ("roberta-tokens", MuxTokenTagger),
    ],
)
def test_a_classifier_of_the_same_task_gets_a_new_head(folder_of, variant, estimator):
    assert len(start(estimator, folder_of(variant)).classes_) in (2, 5)


@pytest.mark.parametrize(
    ("variant", "name"), [("warm-up", "roberta-base"), ("words", "bert-base-uncased")]
)
@both_estimators
def test_a_missing_tokenizer_is_named(folder_of, estimator, variant, name):
    message = rf"has no tokenizer .* that of {name}: save it there with .*from_pretrained\('{name}'"
    with pytest.raises(ValueError, match=message) as error:
        start(estimator, folder_of(variant, tokenizer=False))
    assert ("give it as `tokenizer`" in str(error.value)) is (estimator is MuxTextClassifier)


def test_a_tokenizer_may_be_given(folder_of, tmp_path):
    expected = probabilities(start(MuxTextClassifier, folder_of("words")))
    (tmp_path / "words" / "tokenizer.json").unlink()
    clf = start(MuxTextClassifier, Published(tmp_path / "words", tokenizer=make_tokenizer()))
    np.testing.assert_array_equal(probabilities(clf), expected)
    clf.save(tmp_path / "saved")
    again = MuxTextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(probabilities(again), expected)


def test_all_that_is_wrong_with_tensors_is_one_error(folder_of, checkpoints):
    _, tensors = checkpoints("words")
    del tensors["demultiplexer.pre_decoder.bias"]
    tensors["bert.pooler.dense.bias"] = torch.zeros(8)
    tensors["retrieval_head.pre_decoder.bias"] = torch.zeros(5)
    folder = folder_of("words", tensors=tensors, num_instances=7)
    with pytest.raises(ValueError, match="do not fit") as error:
        start(MuxTextClassifier, folder)
    assert str(error.value).splitlines()[1:] == [
        "  missing: demultiplexer.pre_decoder.bias",
        "  unexpected: bert.pooler.dense.bias",
        "  mis-shaped: retrieval_head.pre_decoder.bias is (5,), not (8,)",
        "  config.json: num_instances is 7, the tensors show 3",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["instance_embedding", "t5.shared"], "no checkpoint of DataMUX or MUX-PLMs"),
    ],
)
def test_checkpoints_of_other_libraries_are_refused(folder_of, names, message):
    folder = folder_of("words", tensors={name: torch.zeros(2, 2) for name in names})
    with pytest.raises(ValueError, match=message):
        start(MuxTextClassifier, folder)


def test_a_checkpoint_without_configuration_is_refused(folder_of):
    folder = folder_of("words")
    (folder / "config.json").unlink()
    with pytest.raises(FormatError, match=r"is no checkpoint: it has no config\.json"):
        start(MuxTextClassifier, folder)


class Harm:
    def __reduce__(self):
        return (os.abort, ())


def test_nothing_but_tensors_is_unpickled(folder_of):
    folder = folder_of("words", tensors={"instance_embedding": Harm()})
    with pytest.raises(OSError, match="holds no model that transformers can read"):
        start(MuxTextClassifier, folder)


@both_estimators
def test_texts_longer_than_the_positions_are_refused(folder_of, estimator):
    with pytest.raises(ValueError, match=r"`max_length` is 25, .* lower it to 24 or less"):
        start(estimator, folder_of("words"), max_length=25)


@both_estimators
def test_a_refused_checkpoint_leaves_nothing_fitted(folder_of, estimator):
    refused = estimator(n_mux=2, backbone=folder_of("words"))
    before = set(vars(refused))
    with pytest.raises(ValueError, match="`n_mux` is 2"):
        refused.fit(*DATA[estimator])
    assert set(vars(refused)) == before


def test_what_is_not_in_the_cache_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="`backbone` 'some/model' was not found") as error:
        start(MuxTextClassifier, "some/model")
    for part in (str(tmp_path), "HF_HUB_OFFLINE is set", "environment variable HF_HOME"):
        assert part in str(error.value)
    assert "cache_dir" not in str(error.value)
    assert error.value.__suppress_context__
