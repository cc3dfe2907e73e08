"""Folders of models in which an entry has another value: a clear error, or a model that predicts.

Every kind of folder is made anew, and its entries get odd values one by one, each with a checksum
to match. An entry that says what a model is, such as its labels, may make it another model; any
other one changes no prediction.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import resource
import signal
import tempfile
import time
import traceback
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch
from muxlearn.benchmark._report import report
from muxlearn.export import OnnxMuxClassifier, export_onnx
from muxlearn.nn.reference import MuxBertSequenceClassifier
from muxlearn.persistence import CONFIG, quiet_transformers, seal
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.rows import train_tokenizer

__all__ = ["KINDS", "VALUES", "add_arguments", "main", "mutations"]

#: What an entry becomes.
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 3, 0.5, float("nan"), float("inf"), -(10**9), 10**9, 10**29),
    *("", "x", "\ud800", "1", [], [1, "x"], [[]], {}, {"a": 1}),
)

#: Entries that say what a model is: another value that makes sense is another model.
_MEANING = {
    *("labels", "plan_seed", "planner", "reader", "task"),
    *("structure", "encoder", "backbone", "reference"),
}

_TEXTS = ["rain and wind", "a goal", "snow in the hills", "a late equaliser", "", "sun"] * 2
_LABELS = ["weather", "sport"] * 6
_SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
_SIZES |= {"vocab_size": 270}
_OWN: dict[str, Any] = {"max_epochs": 0, "random_state": 0, "max_length": 16, "batch_size": 4}
_SECONDS = 20


def add_arguments(parser: Any) -> None:
    """Declare the options."""
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--mutations", type=int, default=300, help="of a kind, drawn by --seed; 0: all there are"
    )


def main(args: Namespace) -> int:
    """Run the fuzzer, each kind in a process of its own; the status says whether one was found."""
    # The server imports what is slow to import, once, and starts no thread that a fork would lose.
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    rows = []
    for kind in args.kinds:
        with ProcessPoolExecutor(1, mp_context=server) as process:
            row, found = process.submit(try_kind, kind, args.mutations, args.seed).result()
        rows.append(row)
        for details in found:
            print(details.encode(errors="backslashreplace").decode())
    report(
        "folders in which an entry has another value: what comes of it, at most how many seconds "
        "more than to load and predict as it was, and MiB more than the process had",
        rows,
        args,
    )
    return int(any(row["others"] for row in rows))


def try_kind(kind: str, n_mutations: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Change the entries of a folder of a kind, one at a time, and load it.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    n_mutations : int
        0 takes all.
    seed : int

    Returns
    -------
    row : dict
        A row of the table.
    found : list of str
        What is neither a clear error nor a model, once for each place that it comes from.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as parent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make, predict, sealed = KINDS[kind]
        folder = Path(parent, "model")
        make(folder)
        before = (folder / CONFIG).read_bytes()
        changes = list(mutations(json.loads(before)))
        if n_mutations and n_mutations < len(changes):
            chosen = rng.choice(len(changes), n_mutations, replace=False)
            changes = [changes[i] for i in chosen]
        expected = predict(folder)
        usual = min(_seconds(lambda: predict(folder)) for _ in range(3))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row: dict[str, Any] = {
            "kind": kind,
            "mutations": len(changes),
            "errors": 0,
            "equal": 0,
            "models": 0,
        }
        row |= {"others": 0, "more_s": 0.0, "more_MiB": 0.0}
        found: dict[str, str] = {}
        for path, value in changes:
            (folder / CONFIG).write_text(_changed(before, path, value, sealed=sealed))
            start = time.perf_counter()
            outcome, details = _outcome(predict, folder, expected)
            row["more_s"] = max(row["more_s"], time.perf_counter() - start - usual)
            may_differ = not sealed or path[0] in _MEANING
            if outcome == "models" and not may_differ:
                outcome, details = "others", "another model, in silence"
            row[outcome] += 1
            if details:
                where = ".".join(map(str, path))
                found.setdefault(details[-300:], f"{kind}, {where} = {value!r}:\n{details}")
        row["more_MiB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    return row, list(found.values())


def mutations(config: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield where an entry is, and what it becomes; of a list, the first two items count.

    Parameters
    ----------
    config : dict

    Yields
    ------
    path : tuple of str and int
    value : object
        As JSON keeps it.
    """
    for path in _paths(config):
        for value in VALUES:
            # This one is asked for, and takes a minute.
            if not (path == ("params", "compile") and value is True):
                yield path, value


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:2]
    for name, item in items:
        if path or name != "sha256":
            yield (*path, name)
            if isinstance(item, dict | list):
                yield from _paths(item, (*path, name))


def _changed(before: bytes, path: tuple[Any, ...], value: Any, *, sealed: bool) -> str:
    config = json.loads(before)
    part = config
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = copy.deepcopy(value)
    return json.dumps(seal(config) if sealed else config)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _outcome(predict: Callable[[Path], Any], folder: Path, expected: Any) -> tuple[str, str | None]:
    try:
        with _in_time():
            given = predict(folder)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        clear = isinstance(error, ValueError | TypeError | OSError) and "`" in str(error)
        ours = "muxlearn" in frames[-1].filename and (frames[-1].line or "").startswith("raise")
        if clear or ours:
            return "errors", None
        return "others", traceback.format_exc(chain=False)
    same = np.shape(given) == np.shape(expected) and np.allclose(given, expected, atol=1e-5)
    return ("equal" if same else "models"), None


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {_SECONDS} seconds")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


# Kinds of folders


def _text(folder: Path) -> None:
    points: dict[str, Any] = {"operating_points": ((2, 1), (1, 2), "words")}
    clf = MuxTextClassifier(2, backbone=Scratch(**_SIZES), warm_up=None, **_OWN, **points)
    clf.fit(_TEXTS, _LABELS).save(folder)


def _tagger(folder: Path) -> None:
    tags = [["B-X" if i % 2 else "O" for i in range(len(text.split()))] for text in _TEXTS]
    network = TMUX(lexical_size=8)
    tagger = MuxTokenTagger(
        2, architecture=network, backbone=Scratch(**_SIZES), warm_up=None, **_OWN
    )
    tagger.fit([text.split() for text in _TEXTS], tags).save(folder)


def _image(folder: Path) -> None:
    clf = MuxImageClassifier(2, architecture="cnn", max_epochs=0, random_state=0)
    clf.fit(_pixels(), _LABELS).save(folder)


def _pixels() -> Any:
    return np.random.default_rng(0).random((12, 8, 8))


def _mimoformer(folder: Path) -> None:
    clf = MuxTextClassifier(
        4, architecture="mimoformer", backbone=Scratch(**_SIZES), warm_up=None, **_OWN
    )
    clf.fit(_TEXTS, _LABELS).save(folder)


def _revmux(folder: Path) -> None:
    _backbone(folder.parent / "bert")
    clf = MuxTextClassifier(2, architecture="revmux", backbone=folder.parent / "bert", **_OWN)
    clf.fit(_TEXTS, _LABELS).save(folder)


def _pretrainer(folder: Path) -> None:
    own = {**_OWN, "objective": "retrieval"}
    MuxTextPretrainer(2, backbone=Scratch(**_SIZES), **own).fit(_TEXTS).save(folder)


def _with_backbone(folder: Path) -> None:
    _backbone(folder.parent / "bert")
    clf = MuxTextClassifier(2, backbone=folder.parent / "bert", warm_up=None, **_OWN)
    clf.fit(_TEXTS, _LABELS).save(folder)


def _onnx(folder: Path) -> None:
    _text(folder.parent / "exported")
    export_onnx(MuxTextClassifier.load(folder.parent / "exported"), folder)


def _backbone(folder: Path) -> None:
    """Write an encoder of transformers."""
    from transformers import AutoModel, BertConfig, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = BertConfig(
        **_SIZES, intermediate_size=16, max_position_embeddings=40, attention_probs_dropout_prob=0
    )
    with quiet_transformers():
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer = _tokenizer()
    marks = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)


def _tokenizer() -> Any:
    return train_tokenizer(_TEXTS, 270)


def _published(folder: Path) -> None:
    """Write a checkpoint in the layout of MUX-PLMs."""
    from tokenizers import Tokenizer

    config: dict[str, Any] = {**_SIZES, "intermediate_size": 12, "max_position_embeddings": 40}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 0}
    config |= {"type_vocab_size": 2}
    torch.manual_seed(0)
    model = MuxBertSequenceClassifier(
        config,
        n_mux=2,
        n_classes=2,
        demultiplexer="index_pos",
        multiplexer="vector",
        n_demux_layers=2,
    )
    folder.mkdir()
    tensors = {name: tensor.detach().clone() for name, tensor in model.published_tensors().items()}
    torch.save(tensors, folder / "pytorch_model.bin")
    said: dict[str, Any] = {
        "architectures": ["MuxedBertForSequenceClassification"],
        "num_instances": 2,
    }
    said["id2label"] = {"0": "weather", "1": "sport"}
    (folder / CONFIG).write_text(json.dumps({**config, **said}))
    tokenizer: Tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))


def _proba(load: Any, rows: Any, **moved: str) -> Callable[[Path], Any]:
    """Return what loads a folder and predicts."""

    def predict(folder: Path) -> Any:
        named = {name: str(folder.parent / other) for name, other in moved.items()}
        proba = load(folder, **named).predict_proba(rows)
        return np.concatenate(proba) if isinstance(proba, list) else proba

    return predict


def _embed(folder: Path) -> Any:
    return MuxTextPretrainer.load(folder).transform(_TEXTS)


def _fit_to(folder: Path) -> Any:
    """Build a classifier on a backbone, which is not trained."""
    clf = MuxTextClassifier(2, backbone=folder, warm_up=None, **_OWN)
    return clf.fit(_TEXTS, _LABELS).predict_proba(_TEXTS)


_SENTENCES = [text.split() for text in _TEXTS]

#: What makes a folder, what loads it and predicts, and whether it has a checksum.
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any], bool]] = {
    "text": (_text, _proba(MuxTextClassifier.load, _TEXTS), True),
    "tagger": (_tagger, _proba(MuxTokenTagger.load, _SENTENCES), True),
    "image": (_image, _proba(MuxImageClassifier.load, _pixels()), True),
    "mimoformer": (_mimoformer, _proba(MuxTextClassifier.load, _TEXTS), True),
    "revmux": (_revmux, _proba(MuxTextClassifier.load, _TEXTS, backbone="bert"), True),
    "pretrainer": (_pretrainer, _embed, True),
    "with a backbone": (_with_backbone, _proba(MuxTextClassifier.load, _TEXTS), True),
    "ONNX": (_onnx, _proba(OnnxMuxClassifier.load, _TEXTS), True),
    "backbone": (_backbone, _fit_to, False),
    "published": (_published, _proba(MuxTextClassifier.from_reference, _TEXTS), False),
}
