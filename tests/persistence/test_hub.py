"""Folders, here and on the hub, and what is read from them."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from muxlearn.persistence import FormatError, find_folder, read_tokenizer, read_weights

COMMIT = "0" * 40


@pytest.fixture
def snapshot(tmp_path):
    """Make a cache with one repository, some/model, as the hub's library would have done."""
    repository = tmp_path / "cache" / "models--some--model"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (folder / "config.json").write_text("{}")
    return folder


def find(name, parameter="name_or_folder", **options):
    return find_folder(name, ["config.json"], parameter=parameter, **options)


# Folders


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_found(tmp_path, kind):
    assert find(kind(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["./nothing", "/nothing", "~/nothing", "a/b/c", Path("nothing")])
def test_a_path_that_is_no_folder_is_not_asked_for(name):
    with pytest.raises(FileNotFoundError, match="`tokenizer`: there is no folder"):
        find(name, parameter="tokenizer")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(NotADirectoryError, match="give the folder that it is in"):
        find(tmp_path / "config.json")


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match=r"`name_or_folder` must be a folder .* got 3 \(int\)"):
        find(3)


def test_an_empty_name_is_not_the_working_directory():
    with pytest.raises(ValueError, match=r"`name_or_folder` must be a folder .* got ''"):
        find("")


# The hub


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_in_the_cache_is_found_by_name(snapshot, weights):
    (snapshot / weights).touch()
    options = {"cache_dir": snapshot.parents[2], "local_files_only": True, "weights": True}
    assert find("some/model", **options) == snapshot
    assert find("some/model", revision=COMMIT, **options) == snapshot


def test_what_is_in_the_cache_is_found_offline(snapshot, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find("some/model", cache_dir=snapshot.parents[2]) == snapshot


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("other/model", {"local_files_only": True}, "`local_files_only` is True"),
        (
            "some/model",
            {"local_files_only": True, "revision": "v2"},
            "revision 'v2' was not found",
        ),
        ("no such name", {}, "HFValidationError: "),
    ],
)
def test_what_cannot_be_had_names_the_cache(snapshot, name, options, reason):
    cache = snapshot.parents[2]
    with pytest.raises(OSError, match=f"`name_or_folder` '{name}'") as error:
        find(name, cache_dir=cache, **options)
    for part in (repr(str(cache)), reason, "HF_HUB_OFFLINE", "HF_HOME"):
        assert part in str(error.value)


def test_offline_is_said_without_a_chain_of_tracebacks(tmp_path, monkeypatch):
    # What the library makes of the environment variables when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="`tokenizer` 'some/model' was not found") as error:
        find("some/model", parameter="tokenizer")
    assert f"{str(tmp_path)!r} has it (HF_HUB_OFFLINE is set)" in str(error.value)
    assert error.value.__suppress_context__


# Weights


@pytest.fixture
def folder(tmp_path):
    torch.save({"x": torch.arange(3.0)}, tmp_path / "pytorch_model.bin")
    return tmp_path


def test_safetensors_are_preferred(folder):
    assert read_weights(folder)["x"].tolist() == [0, 1, 2]
    save_file({"x": torch.ones(2)}, folder / "model.safetensors")
    assert read_weights(folder)["x"].tolist() == [1, 1]


def test_weights_that_are_not_there(folder):
    (folder / "pytorch_model.bin").rename(folder / "tf_model.h5")
    with pytest.raises(FormatError, match=r"neither model\.safetensors nor .* but tf_model\.h5"):
        read_weights(folder)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04" + b"x" * 100])
def test_bytes_that_are_no_weights(folder, file, content):
    (folder / file).write_bytes(content)
    with pytest.raises(FormatError, match=f"{file} in .* is damaged or no file of weights"):
        read_weights(folder)


def test_weights_that_are_cut_short(folder):
    file = folder / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FormatError, match="is damaged"):
        read_weights(folder)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_the_weights_is_not_run(folder):
    torch.save({"x": Code(folder / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="no code in it was run"):
        read_weights(folder)
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("content", "odd"), [([torch.zeros(2)], "list"), ({"state_dict": {}, "epoch": 3}, "state_dict")]
)
def test_weights_that_are_no_tensors_by_name(folder, content, odd):
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match=f"does not hold tensors by name, but '{odd}'"):
        read_weights(folder)


# Tokenizers


def test_a_tokenizer_is_read(tmp_path):
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    assert read_tokenizer(tmp_path).get_vocab() == {"a": 0}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_vocabulary_alone_is_a_tokenizer(tmp_path, family):
    (tmp_path / "config.json").write_text(f'{{"model_type": "{family}"}}')
    if family == "bert":
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "e"]
        (tmp_path / "vocab.txt").write_text("\n".join(words))
    else:
        words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "\u0120e"]
        pairs = ", ".join(f'"{word}": {i}' for i, word in enumerate([*words, "\u0120", "e"]))
        (tmp_path / "vocab.json").write_text(f"{{{pairs}}}")
        (tmp_path / "merges.txt").write_text("#version: 0.2\n\u0120 e\n")
    tokens = read_tokenizer(tmp_path).encode("a e").tokens
    assert tokens in (["[CLS]", "a", "e", "[SEP]"], ["<s>", "a", "\u0120e", "</s>"])


def test_a_folder_without_a_tokenizer_has_none(folder):
    assert read_tokenizer(folder) is None


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.json"])
def test_a_damaged_tokenizer_is_named(folder, file):
    (folder / file).write_text("{")
    with pytest.raises(FormatError, match=r"the tokenizer in .* cannot be read"):
        read_tokenizer(folder)
