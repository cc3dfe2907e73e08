"""Published checkpoints in estimators: the authors' numbers, and what is wrong with a folder."""

import json
import os
import pickle
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.benchmark.parity import load_case
from muxlearn.inspection._points import predict_regrouped
from muxlearn.nn._loading import rename_parameters
from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
)
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import FormatError

DATA = Path(__file__).parent / "data"
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))

SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 40,
}
BERT = SIZES | {"vocab_size": 700, "pad_token_id": 0, "type_vocab_size": 2}
# The reference marks rows with words that only the whole vocabulary has.
ROBERTA = SIZES | {"vocab_size": 50265, "pad_token_id": 1, "type_vocab_size": 1}
OFFICIAL = {
    ReferenceSequenceClassifier: "RobertaSequenceClassificationMuxed",
    ReferenceTokenClassifier: "RobertaTokenClassificationMuxed",
    MuxBertSequenceClassifier: "MuxedBertForSequenceClassification",
    MuxBertTokenClassifier: "MuxedBertForTokenClassification",
    MuxBertMaskedLM: "MuxedBertForMaskedLM",
}
DATAMUX = {"n_mux": 3, "n_classes": 4, "demultiplexer": "index", "orthogonal": False}
MUXBERT = {
    "n_mux": 3,
    "n_classes": 4,
    "demultiplexer": "index_pos",
    "multiplexer": "vector",
    "n_demux_layers": 2,
}
VARIANTS = {
    "index": (ReferenceSequenceClassifier, DATAMUX),
    "mlp": (ReferenceSequenceClassifier, DATAMUX | {"demultiplexer": "mlp"}),
    "orthogonal": (ReferenceSequenceClassifier, DATAMUX | {"orthogonal": True}),
    "index-token": (ReferenceTokenClassifier, DATAMUX),
    "mlp-token": (ReferenceTokenClassifier, DATAMUX | {"demultiplexer": "mlp"}),
    "rsa": (MuxBertSequenceClassifier, MUXBERT),
    "rsa-3": (MuxBertSequenceClassifier, MUXBERT | {"n_demux_layers": 3}),
    "prefix": (MuxBertSequenceClassifier, MUXBERT | {"demultiplexer": "index"}),
    "matrix": (MuxBertSequenceClassifier, MUXBERT | {"multiplexer": "matrix"}),
    "contextual": (MuxBertSequenceClassifier, MUXBERT | {"multiplexer": "contextual"}),
    "rsa-token": (MuxBertTokenClassifier, MUXBERT),
    "prefix-token": (MuxBertTokenClassifier, MUXBERT | {"demultiplexer": "index"}),
    "contextual-token": (MuxBertTokenClassifier, MUXBERT | {"multiplexer": "contextual"}),
}
TEXTS = ["a b c", "b", "c a a b d", "e", "a e", "d d d", "b a", "c"]
SENTENCES = [text.split() for text in TEXTS]


def make_tokenizer(**words):
    """Return a tokenizer that knows a few words and puts a mark before a text and behind it."""
    words = {"[PAD]": 0, "[CLS]": 101, "[UNK]": 3, **{c: 10 + i for i, c in enumerate("abcde")}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [(mark, words[mark]) for mark in ("[CLS]", "[UNK]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [UNK]", pair="[CLS] $A [UNK] $B [UNK]", special_tokens=marks
    )
    return tokenizer


def number_tokenizer(vocab_size):
    """Return a tokenizer whose words are the numbers of its tokens."""
    tokenizer = Tokenizer(models.WordLevel({str(i): i for i in range(vocab_size)}, unk_token="3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def write_folder(folder, config, tensors, tokenizer=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(tensors, folder / "pytorch_model.bin")
    if tokenizer is not None:
        tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def make_checkpoint(model_class, kinds):
    """Return the configuration and the tensors of a random checkpoint under the authors' names."""
    config = BERT if model_class.__module__.endswith("muxbert") else ROBERTA
    model = model_class(config, **kinds)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    names = model._names() | {"backbone.": model._backbone_name}
    tensors = {k: v.detach().clone() for k, v in rename_parameters(model, names).items()}
    said = {"architectures": [OFFICIAL[model_class]], "num_instances": model.n_mux}
    return {**config, **said}, tensors


@pytest.fixture(scope="session")
def checkpoints():
    """Configuration and tensors of every variant, made once."""
    made = {}

    def make(variant):
        if variant not in made:
            made[variant] = make_checkpoint(*VARIANTS[variant])
        config, tensors = made[variant]
        return dict(config), dict(tensors)

    return make


@pytest.fixture
def folder_of(checkpoints, tmp_path):
    """Write a variant's folder; keyword arguments change the configuration."""

    def write(variant, tokenizer=True, tensors=None, **config):
        said, own = checkpoints(variant)
        own = own if tensors is None else tensors
        reader = make_tokenizer() if tokenizer else None
        return write_folder(tmp_path / variant, {**said, **config}, own, reader)

    return write


def estimator_of(variant):
    return MuxTokenTagger if variant.endswith("token") else MuxTextClassifier


def rows_of(variant):
    return SENTENCES if variant.endswith("token") else TEXTS


def probabilities(estimator, rows, **options):
    proba = estimator.predict_proba(rows, **options)
    return np.concatenate(proba) if isinstance(proba, list) else proba


# The authors' numbers


def recorded():
    absent = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
    paths = [p for p in GOLDEN.glob("*mux*/*cls*.json") if "regression" not in p.stem]
    return [pytest.param(p, id=p.stem) for p in sorted(paths)] or [
        pytest.param(None, id="none", marks=absent)
    ]


def check_parity(folder, path):
    """Compare an estimator's probabilities for the recorded rows with those recorded."""
    config, _, tensors = load_case(path)
    estimator = MuxTokenTagger if "tokcls" in path.stem else MuxTextClassifier
    loaded = estimator.from_reference(
        folder, tokenizer=number_tokenizer(config["vocab_size"]), max_length=10
    )
    # The recorded runs come from a later transformers; one has the mask of the authors'.
    logits = tensors.get("output_legacy_mask10000.logits", tensors["output.logits"])
    lengths = tensors["input.attention_mask"].sum(1).tolist()
    rows = [
        [str(token) for token in row[:length].tolist()]
        for row, length in zip(tensors["input.input_ids"], lengths, strict=True)
    ]
    expected = logits.double().softmax(-1)
    if estimator is MuxTokenTagger:
        expected = torch.cat([e[-10:][:n] for e, n in zip(expected, lengths, strict=True)])
    else:
        rows = [" ".join(row) for row in rows]
    assert np.abs(probabilities(loaded, rows) - expected.numpy()).max() <= 2e-5


def write_case(path, folder):
    config, tensors, _ = load_case(path)
    official = json.loads(path.read_text())["official_class"].rpartition(".")[2]
    return write_folder(folder, config | {"architectures": [official]}, tensors)


@pytest.mark.parametrize("path", sorted(DATA.glob("*mux*.json")), ids=lambda path: path.stem)
def test_the_copied_cases_give_their_numbers(path, tmp_path):
    check_parity(write_case(path, tmp_path), path)


@pytest.mark.parametrize("path", recorded())
def test_all_recorded_cases_give_their_numbers(path, tmp_path):
    check_parity(write_case(path, tmp_path), path)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no recorded cases")
@pytest.mark.parametrize(
    ("folder", "case"),
    [
        ("datamux_seqcls_index_N2", "datamux/datamux_seqcls_gaussian_hadamard_index_N2"),
        ("muxbert_seqcls_index_pos_N2", "muxbert/muxbert_seqcls_gaussian_hadamard_index_pos_N2"),
    ],
)
def test_the_authors_own_folders_give_their_numbers(folder, case):
    check_parity(GOLDEN / f"ckpt_{folder}", GOLDEN / f"{case}.json")


# A fitted estimator


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_saved_and_loaded(folder_of, variant, tmp_path):
    estimator, rows = estimator_of(variant), rows_of(variant)
    loaded = estimator.from_reference(folder_of(variant))
    expected = probabilities(loaded, rows)
    assert np.ptp(expected, axis=0).max() > 1e-3
    loaded.save(tmp_path / "saved")
    again = estimator.load(tmp_path / "saved")
    np.testing.assert_array_equal(probabilities(again, rows), expected)
    assert again.get_params() == loaded.get_params()
    assert again.module_.setting == loaded.module_.setting


@pytest.mark.parametrize("variant", ["mlp", "rsa-token"])
def test_a_pickle_predicts_the_same(folder_of, variant):
    estimator, rows = estimator_of(variant), rows_of(variant)
    loaded = estimator.from_reference(folder_of(variant))
    again = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(probabilities(again, rows), probabilities(loaded, rows))


def test_a_model_without_a_tensor_is_not_loaded_again(folder_of, tmp_path):
    MuxTextClassifier.from_reference(folder_of("rsa")).save(tmp_path / "saved")
    loaded = MuxTextClassifier.load(tmp_path / "saved")
    # A tensor that two parts share is saved once.
    names = {name for name, _ in loaded.module_.named_parameters()}
    assert names < set(loaded.module_.state_dict())
    loaded.module_.model.head.out.register_buffer("surprise", torch.zeros(1))
    loaded.save(tmp_path / "other")
    with pytest.raises(FormatError, match=r"missing or too many: model\.head\.out\.surprise"):
        MuxTextClassifier.load(tmp_path / "other")


def test_the_parameters_describe_the_model(folder_of):
    params = MuxTextClassifier.from_reference(folder_of("mlp"), batch_size=5).get_params()
    described = {
        "n_mux": 3,
        "multiplexer": "hadamard",
        "demultiplexer": "mlp",
        "learn_keys": False,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "vocab_size": 50265,
        "max_length": 38,
        "dropout": 0.0,
        "batch_size": 5,
    }
    assert described.items() <= params.items()


def test_keys_of_zeros_and_one_number_are_binary(folder_of, checkpoints):
    _, tensors = checkpoints("rsa")
    tensors["instance_embedding"] = torch.eye(3).repeat_interleave(3, 1)[:, :8]
    clf = MuxTextClassifier.from_reference(folder_of("rsa", tensors=tensors))
    assert clf.multiplexer == "binary"


def test_score_counts_right_labels(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"))
    assert clf.score(TEXTS, clf.predict(TEXTS)) == 1


def test_safetensors_are_preferred(folder_of, checkpoints):
    folder = folder_of("mlp")
    expected = MuxTextClassifier.from_reference(folder).predict_proba(TEXTS)
    save_file(checkpoints("mlp")[1], folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    got = MuxTextClassifier.from_reference(folder).predict_proba(TEXTS)
    np.testing.assert_array_equal(got, expected)


# Mixtures


def test_rows_share_mixtures_in_their_order(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    proba = clf.predict_proba(TEXTS)
    # Two whole mixtures, each as if it were alone, and one that is filled up.
    for rows in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(clf.predict_proba(TEXTS[rows]), proba[rows], atol=1e-6)
    assert np.abs(clf.predict_proba(TEXTS[1:4]) - proba[1:4]).max() > 1e-4


def test_displays_see_rows_where_they_stand(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    labels, places = predict_regrouped(clf, TEXTS[:6], 3, 1)
    assert places.tolist() == [[0, 1, 2, 0, 1, 2]]
    assert labels[0].tolist() == clf.predict(TEXTS[:6]).tolist()


def test_windows_hold_whole_mixtures(folder_of, monkeypatch):
    clf = MuxTextClassifier.from_reference(folder_of("index"), batch_size=1)
    monkeypatch.setattr(MuxTextClassifier, "_window_rows", 25)
    rows = TEXTS * 10
    expected = clf.predict_proba(rows[:27] + rows[27:])
    monkeypatch.setattr(MuxTextClassifier, "_window_rows", 1000)
    np.testing.assert_allclose(clf.predict_proba(rows), expected, atol=1e-6)
    streamed = list(clf.predict_iter(iter(rows), method="predict_proba"))
    np.testing.assert_allclose(streamed, expected, atol=1e-6)


def test_groups_do_not_see_each_other(folder_of):
    tagger = MuxTokenTagger.from_reference(folder_of("rsa-token"))
    groups = [0, 1, 0, 1, 0, 1, 0, 1]
    got = tagger.predict_proba(SENTENCES, groups=groups)
    alone = tagger.predict_proba(SENTENCES[::2])
    for g, a in zip(got[::2], alone, strict=True):
        np.testing.assert_allclose(g, a, atol=1e-6)


def test_several_passes_change_companions(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("index"))
    once, often = clf.predict_proba(TEXTS), clf.predict_proba(TEXTS, n_passes=4)
    assert np.abs(once - often).max() > 1e-4
    np.testing.assert_allclose(often.sum(1), 1)


@pytest.mark.parametrize("variant", ["index", "contextual-token"])
def test_a_row_in_every_slot_gets_the_mean_of_the_slots(folder_of, variant):
    loaded = estimator_of(variant).from_reference(folder_of(variant))
    row = rows_of(variant)[2]
    copies = loaded.predict_proba([row] * 3)
    got = loaded.predict_proba([row], n_mux=1)[0]
    np.testing.assert_allclose(got, np.mean(copies, axis=0), atol=1e-6)


def test_a_row_fills_what_slots_are_left(folder_of):
    tagger = MuxTokenTagger.from_reference(folder_of("prefix-token"))
    first, second = SENTENCES[:2]
    slots = tagger.predict_proba([first, second, first])
    got = tagger.predict_proba([first, second], n_mux=2)
    np.testing.assert_allclose(got[0], (slots[0] + slots[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(got[1], slots[1], atol=1e-6)


# Labels


def test_labels_come_from_the_configuration_sorted(folder_of):
    plain = MuxTextClassifier.from_reference(folder_of("mlp"))
    names = {"0": "neutral", "1": "bad", "2": "good", "3": "awful"}
    named = MuxTextClassifier.from_reference(folder_of("mlp", id2label=names))
    assert plain.classes_.tolist() == [0, 1, 2, 3]
    assert named.classes_.tolist() == ["awful", "bad", "good", "neutral"]
    expected = plain.predict_proba(TEXTS)[:, [3, 1, 2, 0]]
    np.testing.assert_allclose(named.predict_proba(TEXTS), expected, atol=1e-9)
    assert named.predict(TEXTS).tolist() == [names[str(i)] for i in plain.predict(TEXTS)]


def test_names_that_say_nothing_are_numbers(folder_of):
    names = {str(i): f"LABEL_{i}" for i in range(4)}
    clf = MuxTextClassifier.from_reference(folder_of("rsa", id2label=names))
    assert clf.classes_.tolist() == [0, 1, 2, 3]


def test_given_classes_take_the_place_of_the_configurations(folder_of):
    folder = folder_of("rsa", id2label={"0": "x", "1": "y"})
    plain = MuxTextClassifier.from_reference(folder, classes=range(4)).predict_proba(TEXTS)
    clf = MuxTextClassifier.from_reference(folder, classes=["d", "b", "c", "a"])
    assert clf.classes_.tolist() == ["a", "b", "c", "d"]
    expected = plain[:, [3, 1, 2, 0]]
    np.testing.assert_allclose(clf.predict_proba(TEXTS), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (["a", "b"], ValueError, "`classes` has 2 labels, but the tensors show 4 classes"),
        (["a", "b", "a", "c"], ValueError, "`classes` holds a label twice"),
        (["a", "b", 1, "c"], TypeError, "`classes` has to be strings, or numbers"),
        (["a", "b", None, "c"], TypeError, "`classes` has to be strings, or numbers"),
    ],
)
def test_classes_that_are_none(folder_of, classes, error, message):
    with pytest.raises(error, match=message):
        MuxTextClassifier.from_reference(folder_of("rsa"), classes=classes)


def test_labels_of_another_number_are_refused(folder_of):
    folder = folder_of("rsa", id2label={"0": "x", "1": "y"})
    with pytest.raises(ValueError, match=r"id2label .* has 2 labels, .* 4 classes; give `classes`"):
        MuxTextClassifier.from_reference(folder)


def test_tags_that_mark_entities_have_a_scheme(folder_of):
    names = {"0": "O", "1": "B-PER", "2": "I-PER", "3": "B-LOC"}
    folder = folder_of("rsa-token", id2label=names)
    tagger = MuxTokenTagger.from_reference(folder, decode="viterbi")
    assert tagger.scheme_ == "IOB2"
    before = {"I-PER": {"B-PER", "I-PER"}}
    for tags in tagger.predict([list("abcde") * 4] * 3):
        assert tags[0] != "I-PER"
        assert all(a in before.get(b, {a}) for a, b in pairwise(tags))
    with pytest.raises(ValueError, match="`transitions` is 'learned'"):
        MuxTokenTagger.from_reference(folder, transitions="learned")


# Tokenizers


def test_a_tokenizer_may_be_given_in_many_ways(folder_of, tmp_path):
    expected = MuxTextClassifier.from_reference(folder_of("rsa")).predict_proba(TEXTS)
    (tmp_path / "rsa" / "tokenizer.json").unlink()
    (tmp_path / "other").mkdir()
    make_tokenizer().save(str(tmp_path / "other" / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=make_tokenizer())
    for tokenizer in (make_tokenizer(), fast, tmp_path / "other", str(tmp_path / "other")):
        clf = MuxTextClassifier.from_reference(tmp_path / "rsa", tokenizer=tokenizer)
        np.testing.assert_array_equal(clf.predict_proba(TEXTS), expected)


def test_a_given_tokenizer_is_left_as_it_is(folder_of):
    tokenizer = make_tokenizer()
    tokenizer.enable_padding(length=30)
    before = tokenizer.to_str()
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), tokenizer=tokenizer)
    assert tokenizer.to_str() == before
    assert (clf.tokenizer_.padding, clf.tokenizer_.truncation["max_length"]) == (None, 40)


@pytest.mark.parametrize(
    ("variant", "name"), [("mlp", "roberta-base"), ("rsa", "bert-base-uncased")]
)
def test_a_missing_tokenizer_is_named(folder_of, variant, name):
    folder = folder_of(variant, tokenizer=False)
    with pytest.raises(ValueError, match=f"has no tokenizer .*give tokenizer='{name}'"):
        MuxTextClassifier.from_reference(folder)


def test_something_else_is_no_tokenizer(folder_of):
    with pytest.raises(TypeError, match=r"`tokenizer` is of type int.*bert-base-uncased"):
        MuxTextClassifier.from_reference(folder_of("rsa"), tokenizer=3)


def test_a_tokenizer_with_more_tokens_than_vectors_is_refused(folder_of):
    with pytest.raises(ValueError, match=r"the tokenizer has 701 tokens, .* vectors for 700"):
        MuxTextClassifier.from_reference(folder_of("rsa"), tokenizer=number_tokenizer(701))


# Other folders


@pytest.mark.parametrize(
    ("variant", "right"),
    [
        ("rsa-token", MuxTokenTagger),
        ("mlp-token", MuxTokenTagger),
        ("index-token", MuxTokenTagger),
        ("rsa", MuxTextClassifier),
        ("index", MuxTextClassifier),
    ],
)
def test_a_model_of_another_task_is_refused(folder_of, variant, right):
    (wrong,) = {MuxTextClassifier, MuxTokenTagger} - {right}
    message = f"{right._reference_task} classifier, not a .*{right.__name__}.from_reference"
    with pytest.raises(ValueError, match=message):
        wrong.from_reference(folder_of(variant))


def test_the_tensors_tell_the_task_where_they_can(folder_of):
    with pytest.raises(ValueError, match="load it with MuxTokenTagger"):
        MuxTextClassifier.from_reference(folder_of("index-token", architectures=None))


def test_one_who_asks_is_believed_where_nothing_tells(folder_of):
    folder = folder_of("rsa", architectures=None)
    assert MuxTextClassifier.from_reference(folder).module_.model.per_token is False
    assert MuxTokenTagger.from_reference(folder).module_.model.per_token is True


@pytest.mark.parametrize("said", [{}, {"architectures": None}])
@pytest.mark.parametrize("estimator", [MuxTextClassifier, MuxTokenTagger])
def test_a_language_model_has_no_classes(estimator, said, tmp_path):
    config, tensors = make_checkpoint(MuxBertMaskedLM, MUXBERT | {"n_classes": None})
    write_folder(tmp_path, config | said, tensors, make_tokenizer())
    with pytest.raises(ValueError, match="masked language model, which has no classes"):
        estimator.from_reference(tmp_path)


def test_a_regression_has_no_classes(tmp_path):
    config, tensors = make_checkpoint(MuxBertSequenceClassifier, MUXBERT | {"n_classes": 1})
    write_folder(tmp_path, config, tensors, make_tokenizer())
    with pytest.raises(ValueError, match="one output, a regression"):
        MuxTextClassifier.from_reference(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["bert.pooler.dense.weight"], "no checkpoint of DataMUX or MUX-BERT.*given as `backbone`"),
        (["instance_embedding", "t5.shared"], "no checkpoint of DataMUX or MUX-BERT"),
        (["instance_embedding", "electra.embeddings"], "a MUX-ELECTRA checkpoint"),
        ([], "here are none"),
    ],
)
def test_checkpoints_of_other_libraries_are_refused(folder_of, names, message):
    folder = folder_of("rsa", tensors={name: torch.zeros(2) for name in names})
    with pytest.raises(ValueError, match=message):
        MuxTextClassifier.from_reference(folder)


def test_a_model_of_our_own_is_loaded_otherwise(folder_of, tmp_path):
    MuxTextClassifier.from_reference(folder_of("rsa")).save(tmp_path / "own")
    with pytest.raises(FormatError, match=r"saved by muxlearn; load it with MuxTextClassifier\.l"):
        MuxTextClassifier.from_reference(tmp_path / "own")


def test_all_that_is_wrong_with_tensors_is_one_error(folder_of, checkpoints):
    _, tensors = checkpoints("rsa")
    del tensors["demultiplexer.pre_decoder.bias"]
    tensors["bert.pooler.dense.bias"] = torch.zeros(8)
    tensors["classifier.bias"] = torch.zeros(5)
    folder = folder_of("rsa", tensors=tensors, num_instances=7)
    with pytest.raises(ValueError, match="do not fit") as error:
        MuxTextClassifier.from_reference(folder)
    assert str(error.value).splitlines()[1:] == [
        "  missing: demultiplexer.pre_decoder.bias",
        "  unexpected: bert.pooler.dense.bias",
        "  mis-shaped: classifier.bias is (5,), not (4,)",
        "  config.json: num_instances is 7, the tensors show 3",
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("num_instances", 10, "3"),
        ("num_hidden_layers", 2, "1"),
        ("hidden_size", 768, "8"),
        ("vocab_size", 30522, "700"),
        ("num_hidden_demux_layers", 3, "2"),
        ("demuxing_variant", "index", "'index_pos'"),
        ("muxing_variant", "random_ortho", r"\['gaussian_hadamard', 'binary_hadamard'\]"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(folder_of, name, value, shown):
    folder = folder_of("rsa", **{name: value})
    with pytest.raises(ValueError, match=f"{name} is {value!r}, the tensors show {shown}"):
        MuxTextClassifier.from_reference(folder)


@pytest.mark.parametrize(("name", "value"), [("n_mux", 5), ("hidden_size", 16)])
def test_a_parameter_that_contradicts_the_tensors_is_refused(folder_of, name, value):
    with pytest.raises(ValueError, match=f"`{name}` is {value}, but the model in .* leave it out"):
        MuxTextClassifier.from_reference(folder_of("rsa"), **{name: value})


def test_a_parameter_may_agree(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), n_mux=3, operating_points=(1, 3))
    assert clf.operating_points == (1, 3)


@pytest.mark.parametrize(("variant", "room"), [("index", 34), ("mlp", 38), ("rsa", 40)])
def test_rows_may_take_all_positions_and_no_more(folder_of, variant, room):
    folder = folder_of(variant)
    clf = MuxTextClassifier.from_reference(folder, max_length=room)
    assert clf.predict(["a b c " * 40]).shape == (1,)
    with pytest.raises(ValueError, match=f"`max_length` is {room + 1}.*lower it to {room} or"):
        MuxTextClassifier.from_reference(folder, max_length=room + 1)


@pytest.mark.parametrize(
    ("params", "error"),
    [({"batch_size": 0}, ValueError), ({"dtype": "int8"}, ValueError), ({"depth": 3}, TypeError)],
)
def test_parameters_are_checked_before_anything_is_read(params, error):
    with pytest.raises(error, match=next(iter(params))):
        MuxTextClassifier.from_reference("nobody/nothing", local_files_only=True, **params)


def test_a_retrieval_checkpoint_warns(folder_of):
    folder = folder_of("index", task_loss_coeff=0)
    with pytest.warns(UserWarning, match="on the retrieval task alone"):
        MuxTextClassifier.from_reference(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"is no checkpoint: it has no config\.json"),
        ("{", r"config\.json in .* is damaged"),
        ("[]", "it holds no object"),
        ("{}", "lacks 'num_attention_heads'"),
    ],
)
def test_configurations_that_are_none(folder_of, content, message):
    file = folder_of("rsa") / "config.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(FormatError, match=message):
        MuxTextClassifier.from_reference(file.parent)


# The hub


def fill_cache(cache, name, folder):
    """Put a folder into a cache as the hub's library would have done."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))


def test_what_is_in_the_cache_is_found_by_name(folder_of, tmp_path):
    folder = folder_of("rsa", tokenizer=False)
    fill_cache(tmp_path / "cache", "some/model", folder)
    (tmp_path / "words").mkdir()
    make_tokenizer().save(str(tmp_path / "words" / "tokenizer.json"))
    fill_cache(tmp_path / "cache", "words", tmp_path / "words")
    where = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    clf = MuxTextClassifier.from_reference("some/model", tokenizer="words", **where)
    expected = MuxTextClassifier.from_reference(folder, tokenizer=make_tokenizer())
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), expected.predict_proba(TEXTS))
    with pytest.raises(OSError, match="'some/model' at revision 'v2' is neither"):
        MuxTextClassifier.from_reference("some/model", revision="v2", **where)


def test_what_is_not_in_the_cache_names_it(folder_of, tmp_path):
    with pytest.raises(OSError, match="`name_or_folder` 'some/model' is neither") as error:
        MuxTextClassifier.from_reference("some/model", cache_dir=tmp_path, local_files_only=True)
    for part in (str(tmp_path), "`local_files_only` is True", "HF_HUB_OFFLINE", "HF_HOME"):
        assert part in str(error.value)
    assert error.value.__suppress_context__
    with pytest.raises(OSError, match="`tokenizer` 'roberta-base' is neither"):
        MuxTextClassifier.from_reference(
            folder_of("mlp"), tokenizer="roberta-base", cache_dir=tmp_path, local_files_only=True
        )


# Training


@pytest.mark.parametrize("variant", ["mlp", "index-token", "rsa", "contextual-token"])
def test_training_goes_on(folder_of, variant):
    estimator, rows = estimator_of(variant), rows_of(variant)
    params = {"warm_start": True, "max_epochs": 2, "batch_size": 2, "random_state": 0}
    loaded = estimator.from_reference(folder_of(variant), **params)
    before = {k: v.clone() for k, v in loaded.module_.state_dict().items()}
    y = [0, 1, 2, 3] * 2
    if estimator is MuxTokenTagger:
        y = [[label] * len(row) for label, row in zip(y, rows, strict=True)]
    loaded.fit(rows, y)
    after = loaded.module_.state_dict()
    moved = {
        name.split(".")[1] for name, old in before.items() if not torch.equal(after[name], old)
    }
    assert moved == {"backbone", "demultiplexer", "head", "retrieval_demultiplexer"} | (
        # Keys stay; MUX-BERT's contextual multiplexer has layers of its own.
        {"multiplexer"} if variant.startswith("contextual") else set()
    ) | {"retrieval_head"}
    torch.testing.assert_close(after["model.multiplexer.keys"], before["model.multiplexer.keys"])
    assert loaded.net_.lr == 5e-5
    assert len(loaded.history_) == 2
    assert np.isfinite(loaded.history_[:, "train_loss"]).all()


def test_training_lowers_the_loss(folder_of):
    params = {"max_epochs": 10, "batch_size": 4, "lr": 0.03, "random_state": 0}
    clf = MuxTextClassifier.from_reference(
        folder_of("rsa"), warm_start=True, retrieval_weight=0, max_length=6, **params
    )
    losses = clf.fit(TEXTS, [0, 0, 0, 0, 0, 1, 2, 3]).history_[:, "train_loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_other_classes_need_a_model_of_their_own(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), warm_start=True)
    with pytest.raises(ValueError, match=r"goes on with the classes \[0, 1, 2, 3\]"):
        clf.fit(TEXTS, ["x", "y"] * 4)


def test_a_fit_begins_anew_with_a_model_of_our_own(folder_of):
    clf = MuxTextClassifier.from_reference(folder_of("rsa"), max_epochs=0, warm_up=None)
    with pytest.raises(NotFittedError):
        clone(clf).predict(TEXTS)
    for estimator in (clone(clf), clf):
        assert estimator.fit(TEXTS, ["x", "y"] * 4).predict(TEXTS).shape == (8,)
        assert isinstance(estimator.module_, MuxTextModule)
        assert estimator.module_.encoder.hidden_size == 8
        assert estimator.module_.n_mux == 3
