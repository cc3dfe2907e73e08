import subprocess

import pytest
import torch
from hypothesis import settings

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch
from muxlearn.box._student import make_student
from muxlearn.box.save import save_student
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.points import Point
from muxlearn.rows._texts import train_tokenizer

# The same examples on every machine, and no verdict that hangs on its speed.
settings.register_profile("muxlearn", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("muxlearn")

# The models are tiny: more threads only wait for each other, the more so under `pytest -n`.
torch.set_num_threads(1)

TINY = {
    "n_mux": 2,
    "max_length": 16,
    "max_epochs": 1,
    "batch_size": 8,
    "random_state": 0,
}
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}


def make_tiny(estimator, network, **params):
    """Make an estimator of the least size; other parameters as given."""
    if "backbone" not in params or any(name.startswith("backbone__") for name in params):
        params.setdefault("warm_up", 1)  # an encoder that comes warmed up has had its own
    made = estimator(architecture=network, backbone=Scratch(**SIZES), **TINY)
    return made.set_params(**params)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_classifier():
    """Make a text classifier of the least size; other parameters as given."""
    return lambda **params: make_tiny(MuxTextClassifier, TMUX(), **params)


@pytest.fixture(scope="session")
def tiny_tagger():
    """Make a token tagger of the least size; other parameters as given."""
    return lambda **params: make_tiny(MuxTokenTagger, TMUX(lexical_size=8), **params)


@pytest.fixture
def set_window_rows(monkeypatch):
    """Set how many rows a window of an estimator's prediction holds at least."""

    def set_rows(estimator, n_rows):
        monkeypatch.setattr(type(estimator._kind), "window_rows", n_rows)

    return set_rows


@pytest.fixture(scope="session")
def write_tokenizer():
    """Write a tokenizer of 300 tokens, as transformers saves it, to a folder."""

    def write(folder):
        from transformers import PreTrainedTokenizerFast

        subjects = "the cat", "my old dog", "it"
        texts = [f"{subject} {verb}" for subject in subjects for verb in "abcdefgh"]
        PreTrainedTokenizerFast(
            tokenizer_object=train_tokenizer(texts, 300),
            pad_token="[PAD]",
            cls_token="[CLS]",
            sep_token="[SEP]",
        ).save_pretrained(folder)

    return write


@pytest.fixture(scope="session")
def write_backbone(write_tokenizer):
    """Write an encoder of a configuration, with a tokenizer, to a folder; returns the folder."""

    def write(folder, config):
        from transformers import AutoModel, logging

        logging.disable_progress_bar()
        AutoModel.from_config(config).save_pretrained(folder)
        write_tokenizer(folder)
        logging.enable_progress_bar()
        return folder

    return write


@pytest.fixture(scope="session")
def bert(tmp_path_factory, write_backbone):
    """The folder of a BERT of the least size."""
    from transformers import BertConfig

    config = BertConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    return write_backbone(tmp_path_factory.mktemp("bert"), config)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """What the packaged encoder was packed from, of the least size."""
    torch.manual_seed(0)
    encoder = CompactEncoder(300, 16, 1, 2, 32, 128, dropout=0.0, norm_first=False)
    trained = (Point(1, 1), Point(1, 2), Point(1, 5), Point(3, 1))
    student = make_student(encoder, trained)
    with torch.no_grad():
        student.head.weight.add_(0.1 * torch.randn(16, 16))
    tokenizer = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = ["the cat", "my old dog is asleep", "it rains", "a late equaliser in the last minute"]
    tokenizer.write_text(train_tokenizer(texts, 300).to_str())
    folder = tmp_path_factory.mktemp("backbone")
    save_student(student, trained, tokenizer.read_text(), folder)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
