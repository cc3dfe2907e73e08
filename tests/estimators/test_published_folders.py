"""Folders that `from_reference` reads: their tokenizers, and what is wrong with others."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
)
from muxlearn.persistence import FormatError
from tests.estimators.published_checkpoints import (
    MUXBERT,
    TEXTS,
    make_checkpoint,
    make_tokenizer,
    number_tokenizer,
    write_folder,
)

# Code

CODE = {"AutoModel": "modeling_own.OwnModel"}


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_folder_that_names_code_is_refused_and_the_code_does_not_run(folder_of, tmp_path, file):
    folder = folder_of("rsa")
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    described = folder / file
    content = json.loads(described.read_text()) if described.exists() else {}
    described.write_text(json.dumps({**content, "auto_map": CODE}))
    with pytest.raises(FormatError, match=r"code of its own.*`auto_map`.*muxlearn runs no code"):
        MuxTextClassifier.from_reference(folder)
    assert not (tmp_path / "ran").exists()


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
    message = f"{right._kind.level} classifier, not a .*{right.__name__}.from_reference"
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
        (["bert.pooler.dense.weight"], "no checkpoint of DataMUX or MUX-PLMs.*given as `backbone`"),
        (["instance_embedding", "t5.shared"], "no checkpoint of DataMUX or MUX-PLMs"),
        (["electra.embeddings"], "no checkpoint of DataMUX or MUX-PLMs"),
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


@pytest.mark.parametrize(("name", "value"), [("n_mux", 5), ("dropout", 0.5)])
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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_attention_heads", 10**29, "`num_attention_heads` is 1000000"),
        ("num_attention_heads", -1, "`num_attention_heads` is -1, below 0"),
        ("num_attention_heads", 0, "do not make up a model"),
        ("num_attention_heads", "x", "do not make up a model"),
        ("hidden_dropout_prob", float("nan"), "`hidden_dropout_prob` is nan"),
        ("pad_token_id", 10**6, "do not make up a model"),
    ],
)
def test_entries_that_make_no_sense(folder_of, name, value, message):
    file = folder_of("rsa") / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(ValueError, match=message):
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
    with pytest.raises(OSError, match="'some/model' at revision 'v2' was not found"):
        MuxTextClassifier.from_reference("some/model", revision="v2", **where)


def test_what_is_not_in_the_cache_names_it(folder_of, tmp_path):
    with pytest.raises(OSError, match="`name_or_folder` 'some/model' was not found") as error:
        MuxTextClassifier.from_reference("some/model", cache_dir=tmp_path, local_files_only=True)
    for part in (str(tmp_path), "`local_files_only` is True", "HF_HUB_OFFLINE", "HF_HOME"):
        assert part in str(error.value)
    assert error.value.__suppress_context__
    with pytest.raises(OSError, match="`tokenizer` 'roberta-base' was not found"):
        MuxTextClassifier.from_reference(
            folder_of("mlp"), tokenizer="roberta-base", cache_dir=tmp_path, local_files_only=True
        )
