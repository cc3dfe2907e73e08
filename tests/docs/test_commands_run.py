"""The commands of the pages run: with the options that stand there, at the least of sizes."""

import gzip
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from muxlearn.benchmark import revmux
from muxlearn.benchmark.__main__ import COMMANDS, main
from muxlearn.benchmark._report import synthetic_texts
from muxlearn.benchmark.reproduce._command import RECIPES
from tests.docs.test_commands import commands

ROOT = Path(__file__).parents[2]

TEXT_MODEL = [
    *("--layers", "1", "--width", "48", "--heads", "2", "--length", "8", "--vocab-size", "300"),
    *("--batch-size", "2"),
]
NETWORK = ["--depth", "10", "--width", "1", "--initial-width", "1", "--repeats", "1"]

#: What makes a documented command small; the last of two values counts.
SMALLER = {
    "speed": [*TEXT_MODEL, "--repeats", "1", "--min-rows", "4"],
    "multiplexing": [
        *("--width", "40", "--length", "4", "--vocab-size", "300", "--mixtures", "2"),
        *("--n-mux", "2", "--repeats", "1"),
    ],
    "mimoformer": [
        *("--length", "8", "--width", "8", "--mlp", "8", "--heads", "1", "--head-dim", "4"),
        *("--features", "8", "--rows", "4", "--sides", "2", "--repeats", "1"),
    ],
    "revmux": [
        *("--epochs", "1", "--seeds", "0", "--n-mux", "1", "2", "--max-length", "8"),
        *("--mux-layer", "0", "--repeats", "1", "--backbone", "ENCODER"),
    ],
    "retrieval": ["--n-mux", "2", "--epochs", "1", "--n-texts", "40"],
    "pipeline": [
        *("--backbone", "ENCODER", "--n-texts", "8", "--batch-size", "2", "--max-length", "8"),
        *("--repeats", "1"),
    ],
    "parity": [],
}
#: Two kinds of runs of one command.
IMAGE = {
    True: [*NETWORK, "--n-train", "64", "--epochs", "1", "--batch-size", "8"],
    False: [*NETWORK, "--image-shape", "1", "8", "8", "--images", "8", "--mixtures", "1"],
}

#: Where other commands run, all of their parts.
ELSEWHERE = {
    "answers": "test_answers.py",
    "companions": "test_companions.py",
    "embedding": "test_embedding.py",
    "export": "test_commands.py",
    "frontier": "frontier/test_command.py",
    "fuzz": "test_fuzz.py",
    "gpu": "test_gpu.py",
    "memory": "test_commands.py",
    "pixels": "test_commands.py",
    "reproduce": "test_reproduce.py",
    "scale": "test_scale.py",
    "serving": "test_commands.py",
    "tenants": "test_companions.py",
}

#: What the page itself adds to the library before it is named.
ADDED = {"shift"}


def documented():
    """Return one command for each choice of options, and the values of the first page."""
    chosen = {}
    for param in commands():
        words = param.values[0]
        if not ADDED & set(words):
            options = frozenset(word for word in words if word.startswith("--"))
            chosen.setdefault((words[0], options), words)
    return list(chosen.values())


@pytest.fixture(scope="module")
def files(tmp_path_factory, bert):
    """Write what commands read, by what stands for it on the pages."""
    folder = tmp_path_factory.mktemp("files")
    texts = folder / "texts.txt"
    texts.write_text("\n".join(synthetic_texts(2040, (2, 4))))
    rng = np.random.default_rng(0)
    for name, n in (("train", 64), ("t10k", 16)):
        labels = np.arange(n, dtype=np.uint8) % 2
        images = rng.integers(0, 256, (n, 28, 28), np.uint8)
        for kind, values, n_axes in (("images-idx3", images, 3), ("labels-idx1", labels, 1)):
            header = bytes([0, 0, 8, n_axes]) + np.array(values.shape, ">i4").tobytes()
            path = folder / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + values.tobytes()))
    return Namespace(folder=folder, texts=texts, bert=bert)


def fill(words, files):
    """Put files in place of what stands for them."""
    folder = ROOT / "tests" / "data" if words[0] == "parity" else files.folder
    stand_ins = {
        **{"FILE": files.texts, "FOLDER": folder},
        **dict.fromkeys(("ENCODER", "minilm", "google-bert/bert-base-uncased"), files.bert),
    }
    return [str(stand_ins.get(word, word)) for word in words]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [words for words in documented() if words[0] not in ELSEWHERE], ids=" ".join
)
def test_a_command_of_the_pages_runs(words, files, tmp_path, monkeypatch, capsys):
    news = [f"{place} {event}" for place in ("here", "there", "at home") for event in "abcdef"] * 4
    topics = ["x" if text[-1] in "abc" else "y" for text in news]
    monkeypatch.setattr(revmux, "bbc_news", lambda: (news, topics))
    monkeypatch.chdir(tmp_path)
    smaller = IMAGE["--data" in words] if words[0] == "image" else SMALLER[words[0]]
    assert main(fill([*words, *smaller], files)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", sorted({words[0] for words in documented()}))
def test_a_documented_command_runs_somewhere(command):
    assert command in COMMANDS
    if command in ELSEWHERE:
        test = ROOT / "tests" / "benchmark" / ELSEWHERE[command]
        assert f'"{command}"' in test.read_text(encoding="utf-8")
    else:
        assert command in SMALLER or command == "image", "say here how it runs, or where"


@pytest.mark.parametrize("command", ELSEWHERE)
def test_options_of_the_pages_stand_in_the_test_of_their_command(command):
    text = (ROOT / "tests" / "benchmark" / ELSEWHERE[command]).read_text(encoding="utf-8")
    words = [word for words in documented() if words[0] == command for word in words]
    assert [w for w in words if w.startswith("--") and f'"{w}"' not in text] == []


@pytest.mark.parametrize(
    "words", [p.values[0] for p in commands() if p.values[0][0] == "reproduce"], ids=" ".join
)
def test_an_experiment_of_the_pages_has_the_tasks_that_stand_there(words):
    name, scale = words[1], words[words.index("--scale") + 1]
    sources = {source.name for source in RECIPES[name](scale).sources}
    after = words[words.index("--tasks") + 1 :] if "--tasks" in words else []
    tasks = set()
    for word in after:
        if word.startswith("--"):
            break
        tasks.add(word)
    assert tasks <= sources
